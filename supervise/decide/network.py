"""An error of the network that half of all probes meet at once is the host's, and no restart cures it. Pure.

It is told once when it comes over the host, and once when it is over. Who still seems to fail then is asked anew before
anything is done: their last answers are of the time before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from supervise.decide.events import told_of_host
from supervise.model import AgentSpec, Event, Instant, Past, Phase, Probe, ProbeKind, Reason, StatusRow, World

Rows = Mapping[str, StatusRow]
FAILING = (Reason.PROBE_FAILING, Reason.START_TIMEOUT)
HALF = 0.5
FEWEST = 3
"""At least this share of the probes that ask over the network, and so many."""
WORDS = {
    "refused": "their connections are refused",
    "unreachable": "the network is unreachable",
    "dns": "names are not found",
    "timeout": "nobody answers in time",
}
OVER = "ProbesAnswer"


def cuts(world: World, rows: Rows) -> frozenset[str]:
    """The errors that so many probes meet, where somebody would be restarted for one of them."""
    if not any(row.observed_reason in FAILING for row in rows.values()):
        return frozenset()
    asked = tuple(_asked(world, rows))
    counts = Counter(row.past.network_error for row in asked)
    return frozenset(
        error for error, count in counts.items() if error and count >= FEWEST and count >= HALF * len(asked)
    )


def spares(reason: Reason, past: Past, cut: Collection[str]) -> bool:
    """Whether what is wrong with the agent is the network's fault."""
    return reason in FAILING and past.network_error in cut


def patient(past: Past, spec: AgentSpec, over: Collection[str], now: Instant) -> Past:
    """The past of an agent once these errors are over: it is left in peace until it was asked often enough again."""
    probe = spec.live or spec.ready
    if probe is None or past.network_error not in over:
        return past
    return replace(past, not_before=max(now.monotonic + _asked_anew(probe), past.not_before or timedelta()))


def told(before: frozenset[str], cut: frozenset[str], world: World, rows: Rows, *, now: Instant) -> Iterator[Event]:
    """The events of what has begun and ended."""
    asked = tuple(_asked(world, rows))
    counts = Counter(row.past.network_error for row in asked)
    for error in sorted(cut - before):
        what = f"{counts[error]} of {len(asked)} probes fail at once: {WORDS.get(error, error)}"
        yield told_of_host(Reason.PROBE_FAILING.value, f"{what}; nobody is restarted for it.", now=now)
    for error in sorted(before - cut):
        text = f"It is over that half of the probes fail at once: {WORDS.get(error, error)} no more."
        yield told_of_host(OVER, text, now=now)


def _asked(world: World, rows: Rows) -> Iterator[StatusRow]:
    """The rows of agents whose probes ask over the network."""
    for name, spec in world.desired.items():
        row = rows.get(name)
        if row and row.phase is Phase.ACTIVE and (_over_network(spec.live) or _over_network(spec.ready)):
            yield row


def _over_network(probe: Probe | None) -> bool:
    return probe is not None and probe.kind is not ProbeKind.COMMAND


def _asked_anew(probe: Probe) -> timedelta:
    """In this time it has been asked so often that it would have failed by now."""
    return (probe.interval * 1.5 + probe.timeout) * probe.failures
