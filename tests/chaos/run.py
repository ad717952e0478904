"""One run: a lab, its agents, the faults of a plan as they come due, and the oracle that looks on all the while."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos import ending
from tests.chaos.board import Board, Reader, Row, as_it_is
from tests.chaos.crew import KINDS, Member
from tests.chaos.facts import Facts
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.history import Act, History
from tests.chaos.limits import AWAY, LIMITS, QUIET, seconds
from tests.chaos.look import Census, Look, lives, planted
from tests.chaos.machine import CONTROL, Hands, prepare
from tests.chaos.oracle import Oracle
from tests.chaos.plan import Step
from tests.chaos.pulse import Pulse, Waits
from tests.lab import Lab, eventually

TICK = 0.05
"""Seconds between two looks, if the machine is quick enough."""
REST = 1.5
"""An agent of which nothing is new is looked at as seldom as this."""
IN_MOTION = 3.0
"""So long after something was done to an agent it is looked at each time."""
STARTED = 60.0
CALM = 3.0
HOST = Member("", KINDS[0])
Progress = Callable[[str], None]


@dataclass(slots=True)
class Result:
    """What came of a run."""

    oracle: Oracle
    acts: Sequence[Act]
    board: Board
    took: float
    stalled: float
    waited: float
    loads: Sequence[float]
    slowest_look: float

    @property
    def ok(self) -> bool:
        return not self.oracle.findings


@dataclass(slots=True)
class Watching:
    """The oracle's rhythm: whom it looks at, and when."""

    look: Look
    oracle: Oracle
    histories: Mapping[str, History]
    host: Sequence[Act]
    waits: Waits
    slowest: float = 0.0
    copies: dict[str, float] = field(default_factory=dict)
    """When each unit in which a copy was planted was last seen with a process."""
    _looked: dict[str, float] = field(default_factory=dict)
    _seen: dict[str, frozenset[tuple[int, float]]] = field(default_factory=dict)
    _restless: set[str] = field(default_factory=set)

    def once(self) -> dict[str, Facts]:
        """One look at all that are in motion; gives what was seen."""
        begin = time.monotonic()
        census = self.look.census()
        self.waits.note(begin, census.waited)
        self.copies |= {unit: begin for unit in planted(census)}
        chosen = [name for name in self.histories if self._is_due(name, census, begin)]
        found = dict(self.look.facts(chosen, census, begin=begin))
        wall, counted_from = time.time(), self._counted_from(begin)
        for name, facts in found.items():
            self.oracle.judge(name, facts, wall=wall, counted_from=counted_from)
            self._looked[name] = begin
            self._restless -= {name}
            if not facts.unit.steady:
                self._restless.add(name)
        self.slowest = max(self.slowest, time.monotonic() - begin)
        return found

    def _is_due(self, name: str, census: Census, now: float) -> bool:
        seen = lives((*census.inside.get(name, ()), *census.outside.get(name, ())))
        moved = seen != self._seen.get(name)
        self._seen[name] = seen
        last = self._looked.get(name, 0.0)
        acts = tuple(self.histories[name].acts)
        touched = bool(acts) and now - (acts[-1].end or now) < IN_MOTION
        return (
            moved
            or touched
            or now - last > REST
            or name in self._restless
            or name in self.oracle.disagreeing
            or self.oracle.board.newest(name) > last
        )

    def _counted_from(self, now: float) -> tuple[float, float]:
        """Between which moments that lies from which on silence counts: the reconciler's return, perhaps a flood."""
        away = tuple(self.oracle.board.away)
        least = [begin for begin, _ in away]
        most = [end or now for _, end in away] + [act.end or now for act in tuple(self.host) if act.deafens]
        return max(least, default=0.0), max(most, default=0.0)


class Run:
    """Does the steps of a plan to the agents of a lab."""

    def __init__(
        self,
        lab: Lab,
        members: Sequence[Member],
        *,
        tell: Progress = print,
        told: Callable[[Row], Row] = as_it_is,
        quiet: float = LIMITS[QUIET].seconds,
    ) -> None:
        self.lab = lab
        self.members = {one.name: one for one in members}
        self.histories = {one.name: History(one) for one in members}
        self.host: list[Act] = []
        self.board = Board(told)
        self.pulse = Pulse()
        self.hands = Hands(lab)
        self.waits = Waits()
        self.oracle = Oracle(self.board, self.histories, host=self.host, stalled=self.stalled)
        self.quiet = quiet
        self._tell = tell
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._ended = threading.Event()
        self._broken: list[BaseException] = []
        self._loads: list[float] = []

    def go(self, steps: Sequence[Step]) -> Result:
        begin = time.monotonic()
        prepare(self.lab, list(self.members.values()))
        path = self.lab.path(CONTROL)
        look = Look(self.lab, list(self.members.values()))
        self.watching = Watching(look, self.oracle, self.histories, self.host, self.waits)
        reader, watcher = Reader(self.board, path), threading.Thread(target=self._watch, daemon=True)
        for thread in (self.pulse, reader, watcher):
            thread.start()
        try:
            eventually(self._all_well, "all agents to run", timeout=STARTED)
            since = time.time()
            self._tell(f"{len(self.members)} agents run after {time.monotonic() - begin:.0f} s; the faults begin")
            self._do(steps)
            self._settle()
            ending.check(self, path, since=since)
        finally:
            self._ended.set()
            watcher.join(timeout=10)
            reader.stop()
            self.pulse.stop()
            look.close()
        if self._broken:
            raise self._broken[0]
        acts = [*self.host, *(act for one in self.histories.values() for act in one.acts)]
        took = time.monotonic() - begin
        waited, slowest = self.waits.total, self.watching.slowest
        return Result(self.oracle, acts, self.board, took, self.pulse.total, waited, self._loads, slowest)

    def stalled(self, begin: float, end: float) -> float:
        """The seconds of a span that the machine had no time for us."""
        return max(self.pulse.stalled(begin, end), self.waits.between(begin, end))

    # --- Looking ------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        try:
            while not self._ended.is_set():
                begin = time.monotonic()
                self.watching.once()
                self._ended.wait(max(TICK - (time.monotonic() - begin), TICK / 5))
        except BaseException as error:  # it is raised by the run
            self._broken.append(error)

    def _all_well(self) -> bool:
        """Whether every agent runs, and its row says so."""
        if self._broken:
            raise self._broken[0]
        return not self.not_well()

    def not_well(self) -> dict[str, str]:
        """What keeps an agent from running as wished, for each that does not."""
        found = {}
        for name in self.members:
            versions = self.board.versions(name, time.monotonic())
            row = versions[-1][1] if versions else None
            if row is None:
                found[name] = "nobody answers"
            elif (row["status"], row["reason"]) != ("running", "AsWanted"):
                found[name] = f"{row['status']}/{row['reason']}: {row['message']}"
        return found

    # --- Doing --------------------------------------------------------------------------------------------------------

    def _do(self, steps: Sequence[Step]) -> None:
        begin, told = time.monotonic(), time.monotonic()
        threads = []
        for step in steps:
            while (wait := begin + step.at - time.monotonic()) > 0 and not self._broken:
                time.sleep(min(wait, 0.2))
            thread = threading.Thread(target=self._step, args=(step,), daemon=True)
            thread.start()
            threads.append(thread)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                self._tell_progress(step.number, len(steps))
        for thread in threads:
            thread.join(timeout=120)
        self._tell_progress(len(steps), len(steps))

    def _tell_progress(self, done: int, of: int) -> None:
        load = os.getloadavg()[0]
        self._loads.append(load)
        longest = max((one.length for one in self.oracle.wrongs), default=0.0)
        self._tell(
            f"{done:5}/{of} faults, {self.oracle.looks} looks, longest wrong {longest:.2f} s, "
            f"{len(self.oracle.findings)} findings, load {load:.1f}"
        )

    def _step(self, step: Step) -> None:
        fault = FAULTS[step.fault]
        member = self.members.get(step.name, HOST)
        try:
            if fault.undone or fault.of_host or _stays_down(fault, member):
                with self._locks[step.name or step.fault]:
                    self._lasting(step, fault, member)
            else:
                self._act(step, fault, member)
        except BaseException as error:  # it is raised by the run
            self._broken.append(error)

    def _lasting(self, step: Step, fault: Fault, member: Member) -> None:
        act = self._act(step, fault, member)
        if act.void and not fault.wants:
            return
        self._ended.wait(step.lasts)
        if fault.undo:
            self._undo(step, fault, member, act)
        elif _stays_down(fault, member):
            self._start_again(step, fault, member)

    def _act(self, step: Step, fault: Fault, member: Member) -> Act:
        history = self.histories.get(member.name)
        act = Act(
            fault.name,
            member.name,
            step.number,
            time.monotonic(),
            ends=fault.ends or (fault.claimed and member.kind.beats),
            wants=fault.wants,
            hang=fault.hang,
            forks=fault.forks,
            deafens=fault.deafens,
            leaves=frozenset() if fault.claimed and member.kind.beats else fault.leaves,
            uncertain=bool(fault.wants and history and history.may_be_down(time.monotonic())),
        )
        (history.acts if history else self.host).append(act)
        act.void = fault.do(self.hands, member, step.lasts)
        act.end = time.monotonic()
        return act

    def _undo(self, step: Step, fault: Fault, member: Member, act: Act) -> None:
        assert fault.undo
        wants = "up" if fault.wants else ""
        undo = Act(f"{fault.name} undone", member.name, step.number, time.monotonic(), wants=wants)
        history = self.histories.get(member.name)
        (history.acts if history else self.host).append(undo)
        undo.void = fault.undo(self.hands, member, step.lasts)
        undo.end = act.over = time.monotonic()
        if fault.claimed and not act.ends:
            self._judge_copy(act, undo, member)

    def _judge_copy(self, act: Act, undo: Act, member: Member) -> None:
        """A copy is there until it is taken away, but for those of the own user of an agent that ends them."""
        if self.watching.copies.get(member.copy, 0.0) < act.begin:
            act.void = "it had ended before anybody saw it"
        elif act.fault == "copy" and member.kind.ends_copies:
            if not undo.void and not any(act.begin <= one.begin <= undo.begin for one in tuple(self.host)):
                self.oracle.find("not ended", member.name, undo.begin, "a copy still runs in spite of hidden: stop")
        elif undo.void:
            self.oracle.find("wrongly killed", member.name, undo.begin, f"the {act.fault} was ended by somebody")

    def _start_again(self, step: Step, fault: Fault, member: Member) -> None:
        """A person starts what is not started again by itself."""
        again = Act(f"{fault.name}, started again", member.name, step.number, time.monotonic(), wants="up")
        self.histories[member.name].acts.append(again)
        again.void = self.hands.run(f"systemctl reset-failed {member.unit}; systemctl start {member.unit}")
        again.end = time.monotonic()

    # --- The end ------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Until all run as wished and nothing is told any more; whoever does not is lost."""
        deadline = time.monotonic() + self.quiet
        while time.monotonic() < deadline and not self._broken:
            calm = time.monotonic() - max(self.board.newest_event, self.board.last_away) > CALM
            if calm and not self.not_well() and not self.oracle.disagreeing:
                return
            time.sleep(0.2)

    def away(self) -> list[tuple[float, float]]:
        """When nobody answered for too long, from the last kill on."""
        kills = [act.end or act.begin for act in self.host if act.deafens]
        spans = [(begin, end or time.monotonic()) for begin, end in self.board.away]
        since = [(max([begin, *(kill for kill in kills if begin < kill < end)]), end) for begin, end in spans]
        return [(begin, end) for begin, end in since if end - begin - self.stalled(begin, end) > seconds(AWAY)]


def _stays_down(fault: Fault, member: Member) -> bool:
    return fault.ends and member.kind.policy != "always"
