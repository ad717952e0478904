"""What a run came to, as text: one line a fault, the thresholds, and every finding with its timeline."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.chaos.limits import LIMITS
from tests.chaos.oracle import Wrong
from tests.chaos.run import Result

LONGEST, MOST_REASONS = 5, 6
NUMBERS = re.compile(r"[0-9]+")
ROW = "{:28} {:>6} {:>6} {:>7} {:>9} {:>9} {:>9}"


def report(result: Result, *, command: str) -> str:
    return "\n".join(_lines(result, command)) + "\n"


def _lines(result: Result, command: str) -> Iterator[str]:
    yield f"$ {command}"
    yield ""
    yield ROW.format("fault", "done", "void", "changes", "p50 ms", "p99 ms", "max ms")
    done = Counter(act.fault for act in result.acts)
    void = Counter(act.fault for act in result.acts if act.void)
    for fault in sorted({*done, *(one.fault for one in result.oracle.wrongs)}):
        yield _row(fault, done[fault], void[fault], [one for one in result.oracle.wrongs if one.fault == fault])
    yield _row("all", sum(done.values()), sum(void.values()), result.oracle.wrongs)
    yield ""
    yield "How long rows were untrue after the truth had changed; `void`: it came to nothing, which was mostly for:"
    reasons = Counter((act.fault, NUMBERS.sub("N", act.void)) for act in result.acts if act.void)
    for (fault, why), count in reasons.most_common(MOST_REASONS):
        yield f"  {count:4} × {fault}: {why}"
    away = [end - begin for begin, end in result.board.away if end is not None]
    yield f"Nobody answered {len(away)} times, for {max(away, default=0):.2f} s at most."
    load = statistics.mean(result.loads or [0])
    yield (
        f"{result.oracle.looks} looks in {result.took:.0f} s, the slowest {result.slowest_look * 1000:.0f} ms; "
        f"mean load {load:.1f}."
    )
    yield (
        f"The machine stood still for {result.stalled:.1f} s, and of those that make rows true one "
        f"waited {result.waited:.1f} s for a processor: by such seconds a limit is longer."
    )
    yield ""
    yield "The longest:"
    for one in sorted(result.oracle.wrongs, key=lambda one: -one.length)[:LONGEST]:
        length, stalled = one.length * 1000, one.stalled * 1000
        what = one.what or "the row came late"
        yield f"  {length:7.1f} ms, {stalled:.0f} of them stood still:  {one.name}, after {one.fault}: {what}"
    yield ""
    yield "Limits, in seconds:"
    for name, limit in LIMITS.items():
        yield f"  {name:10} {limit.seconds:5g}  {limit.why}"
    yield ""
    yield from _findings(result, command)


def _row(fault: str, done: int, void: int, wrongs: Sequence[Wrong]) -> str:
    lengths = sorted(one.length * 1000 for one in wrongs)
    figures = [f"{_part(lengths, share):.1f}" if lengths else "-" for share in (0.5, 0.99, 1)]
    return ROW.format(fault, done, void, len(lengths), *figures)


def _part(lengths: Sequence[float], share: float) -> float:
    return lengths[min(int(share * len(lengths)), len(lengths) - 1)]


def _findings(result: Result, command: str) -> Iterator[str]:
    findings = result.oracle.findings
    if not findings:
        yield "Every row was true: no agent was lost, doubled or wrongly killed, and every fault is in the timeline."
        return
    for one in findings:
        yield f"{one.kind.upper()}: {one.name or 'the host'}: {one.text}"
        yield from (f"    {line}" for line in one.timeline)
    kinds = ", ".join(f"{count} × {kind}" for kind, count in Counter(one.kind for one in findings).items())
    yield f"{len(findings)} findings ({kinds}). Again with: {command}"
