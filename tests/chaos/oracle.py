"""Holds what a reader has read against what is true, look by look, and remembers how long it was not so.

A disagreement begins when the truth changed and ends when a true row arrived. Seen once, it may be a picture of two
moments; longer than its limit it is a lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.board import Board, standing
from tests.chaos.crew import PLANTED
from tests.chaos.facts import Facts
from tests.chaos.history import Act, History, Life, newest
from tests.chaos.limits import seconds
from tests.chaos.truth import Complaint, complaints

ALONE = 5.0
"""So long after a fault of the host whatever becomes untrue is put down to it."""
NO_FAULT = "none"
FORK = 1.0
"""Seconds in which a child has become another program, or has ended."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wrong:
    """A row was untrue for so long, after this fault."""

    name: str
    fault: str
    length: float
    stalled: float
    """So much of it the machine had no time for us."""
    what: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be: a lie, or worse."""

    kind: str
    name: str
    at: float
    text: str
    timeline: tuple[str, ...] = ()


@dataclass(slots=True)
class Open:
    """A disagreement that goes on."""

    begin: float
    what: tuple[Complaint, ...]
    looks: int = 1
    told: bool = False
    rows: list[Row] = field(default_factory=list)

    @property
    def limit(self) -> float:
        return max(seconds(one.limit) for one in self.what)


class Oracle:
    """Judges looks, one after the other. `stalled` gives the seconds of a span that count for nothing."""

    def __init__(
        self,
        board: Board,
        histories: Mapping[str, History],
        *,
        host: Sequence[Act] = (),
        stalled: Callable[[float, float], float] = lambda begin, end: 0.0,
    ) -> None:
        self.board = board
        self.histories = histories
        self.host = host
        self.wrongs: list[Wrong] = []
        self.findings: list[Finding] = []
        self.looks = 0
        self._stalled = stalled
        self._before: dict[str, Facts] = {}
        self._open: dict[str, Open] = {}
        self._doubles: dict[str, dict[tuple[int, float], float]] = {}
        self._told: set[tuple[int, float]] = set()
        self._lines: dict[str, list[tuple[float, str]]] = {name: [] for name in histories}

    @property
    def disagreeing(self) -> frozenset[str]:
        return frozenset(self._open)

    def judge(self, name: str, facts: Facts, *, wall: float, counted_from: tuple[float, float] = (0.0, 0.0)) -> None:
        """One look at one agent. `wall`: the time of day at its end."""
        self.looks += 1
        before = self._before.get(name)
        self._before[name] = facts
        history = self.histories[name]
        if before is not None:
            self._follow(history, before, facts)
        versions = self.board.versions(name, facts.begin)
        if before is None or not versions or any(row is None for _, row in versions):
            self._open.pop(name, None)  # nobody says anything, true or not
            return
        known = history.known(facts, counted_from=counted_from)
        wrong = [complaints(row, facts, known, wall=wall) for row in standing(versions)]
        changed = _changed(before, facts, history.member.kind.watchdog)
        if all(wrong):
            self._disagrees(name, wrong[-1], facts, changed)
        else:
            self._agrees(name, facts, changed, versions[[not one for one in wrong].index(True)][0])

    # --- Rows ---------------------------------------------------------------------------------------------------------

    def _disagrees(self, name: str, what: tuple[Complaint, ...], facts: Facts, changed: float | None) -> None:
        found = self._open.get(name)
        if found is None:
            self._open[name] = Open(facts.begin if changed is None else changed, what)
            return
        found.looks += 1
        found.what = what
        lasted = facts.begin - found.begin - self._stalled(found.begin, facts.begin)
        if lasted > found.limit and not found.told:
            found.told = True
            text = "; ".join(one.text for one in what)
            self.find("lie", name, facts.begin, f"for {lasted:.2f} s its row {text}")

    def _agrees(self, name: str, facts: Facts, changed: float | None, arrived: float) -> None:
        found = self._open.pop(name, None)
        if found is not None and arrived > found.begin:
            self._note(name, found.begin, arrived, found.what)
        elif found is not None and found.looks > 1:
            self._note(name, found.begin, facts.begin, found.what)
        elif changed is not None and arrived > changed:
            self._note(name, changed, arrived, ())

    def _note(self, name: str, begin: float, end: float, what: tuple[Complaint, ...]) -> None:
        text = "; ".join(one.text for one in what)
        self.wrongs.append(Wrong(name, self._fault(name, begin), end - begin, self._stalled(begin, end), text))

    def _fault(self, name: str, at: float) -> str:
        """To what a change is put down: the last thing that was done to the agent, or just now to the host."""
        own, hosts = newest(tuple(self.histories[name].acts), at + 0.05), newest(tuple(self.host), at)
        if hosts and at - (hosts.end or at) < ALONE and (own is None or own.begin < hosts.begin):
            return hosts.fault
        return own.fault if own else NO_FAULT

    # --- Lives --------------------------------------------------------------------------------------------------------

    def _follow(self, history: History, before: Facts, facts: Facts) -> None:
        name = history.member.name
        if _essence(before) != _essence(facts):
            self._lines[name].append((facts.begin, _told(facts)))
        if facts.unit.phase == "failed" or (facts.unit.phase == "inactive" and not history.may_be_stopped(facts)):
            history.given_up = facts.end
        self._count(history, facts)
        if before.unit.pid and before.unit.life != facts.unit.life:
            self._ended(history, before, facts)

    def _ended(self, history: History, before: Facts, facts: Facts) -> None:
        exited = facts.unit.exited if facts.unit.exited > before.unit.started else facts.end
        life = Life(before.unit.pid, before.unit.started, min(exited, facts.end), seen=before.begin)
        explained = history.explained(life)
        history.lives.append(life)
        if not explained:
            text = f"its process {life.pid} ended and nobody is known to have ended it"
            self.find("wrongly killed", history.member.name, life.end, text)

    def _count(self, history: History, facts: Facts) -> None:
        """Processes of an agent that nobody has planted, beside its main one. For a moment a fork looks like one."""
        name = history.member.name
        extra = {one.life for one in facts.outside if not one.unit.startswith(PLANTED)}
        if facts.unit.phase == "active" and not history.forked(facts.unit.started):
            others = [one for one in facts.inside if one.argv == history.member.argv and one.pid != facts.unit.pid]
            extra |= {one.life for one in others}
        before = self._doubles.get(name, {})
        seen = self._doubles[name] = {life: before.get(life, facts.begin) for life in extra}
        for life, since in seen.items():
            if facts.begin - since > FORK and life not in self._told:
                self._told.add(life)
                self.find("doubled", name, facts.begin, f"PID {life[0]} runs it too, and nobody has planted that")

    # --- Findings -----------------------------------------------------------------------------------------------------

    def find(self, kind: str, name: str, at: float, text: str) -> None:
        self.findings.append(Finding(kind, name, at, text, self.timeline(name, at)))

    def timeline(self, name: str, at: float, *, around: float = 10.0) -> tuple[str, ...]:
        """All that is known of an agent around a moment, in the order of time."""
        if name not in self.histories:
            return ()
        lines = list(self._lines[name])
        lines += [(arrived, f"row    {_said(row)}") for arrived, row in self.board.versions(name, at - around)]
        for act in (*self.histories[name].acts, *self.host):
            took = "" if act.end is None else f" ({act.end - act.begin:.2f} s)"
            lines.append((act.begin, f"done   {act.fault} #{act.step} {act.wants}{took} {act.void}".rstrip()))
        near = [line for line in sorted(lines) if at - around <= line[0] <= at + around]
        return tuple(f"{moment - at:+8.3f} s  {text}" for moment, text in near)


def _changed(before: Facts, facts: Facts, watchdog: float | None) -> float | None:
    """When the truth changed between two looks, as exactly as it is known; None if it did not."""
    expired = facts.unit.pinged + watchdog if watchdog and facts.unit.pinged else 0.0
    moments = [one for one in (*facts.moments, expired) if before.begin < one <= facts.end]
    if _essence(before) == _essence(facts) and not before.end < expired <= facts.end:
        return None
    return max(moments, default=facts.begin)


def _essence(facts: Facts) -> tuple[object, ...]:
    """What of the facts can change what is to be said."""
    unit = facts.unit
    copies = tuple(sorted(one.life for one in facts.outside))
    return unit.phase, unit.life, unit.result, facts.held is None, facts.edited is None, unit.stale, copies


def _told(facts: Facts) -> str:
    unit = facts.unit
    also = [
        *([f"held since {facts.held:.2f}"] if facts.held is not None else []),
        *(["edited"] if facts.edited is not None else []),
        *(["needs a reload"] if unit.stale else []),
        *(f"copy {one.pid} of uid {one.uid}" for one in facts.outside),
    ]
    how = f"{unit.phase} ({unit.active}/{unit.sub}) PID {unit.pid} {unit.result} code {unit.code}/{unit.status}"
    return f"true   {how}, {len(facts.inside)} inside" + "".join(f", {one}" for one in also)


def _said(row: Row | None) -> str:
    if row is None:
        return "nobody answers"
    return f"{row['status']}/{row['reason']} PID {row['pid']} {row['phase']}: {row['message']}"
