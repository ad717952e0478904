"""Asks the agents' probes, each in its own time: first until the agent is ready, then whether it lives.

`Agenda` knows when to ask whom, reads no clock and does nothing; `Probing` asks, and hands the answers to the
reconciler. Of one agent there is never more than one question under way, and none while it is not active.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from supervise.model import AgentSpec, Event, Instant, Outcome, Phase, ProbeKind, ProbeResult, ProbeRole, StatusRow
from supervise.platforms import Platform
from supervise.probes import CannotAsk, Question, ask
from supervise.reconcile.reconciler import Reconciler

log = logging.getLogger(__name__)
SPREAD = 0.2
"""Intervals differ by this share of themselves, so that agents that were started together are not asked together."""
FIRST_PAUSE = timedelta(milliseconds=250)
"""Whether an agent is ready is asked at once, then after pauses that grow from this one to its interval."""
MOST = {ProbeKind.HTTP: 64, ProbeKind.TCP: 64, ProbeKind.COMMAND: 4}
"""Questions of each kind that are under way at once."""
HASTE = timedelta(seconds=10)
"""How often at most everybody is asked early since somebody has met an error of the network."""
OVERDUE = timedelta(seconds=2)
"""A no that comes so long after its time was over says only that we, or the machine, stood still."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What is asked in one life of an agent, when next, and how often it was."""

    life: str
    question: Question
    at: timedelta
    asked: int = 0
    asked_at: timedelta | None = None


@dataclass(slots=True)
class Agenda:
    """Who is asked what, and when. Times are of the monotonic clock."""

    seed: str = ""
    turns: dict[str, Turn] = field(default_factory=dict)
    under_way: dict[str, Turn] = field(default_factory=dict)
    hasted_at: timedelta | None = None

    def follow(self, name: str, life: str, question: Question | None, now: timedelta) -> None:
        """From now on this is asked of an agent (None: nothing). What it is asked already goes on."""
        known = self.turns.get(name)
        if question is None:
            self.turns.pop(name, None)
        elif known is None or (known.life, known.question) != (life, question):
            turn = Turn(life, question, now)
            live = question.role is ProbeRole.LIVE
            first = question.probe.interval * (0.5 + self._share(turn)) if live else timedelta()
            self.turns[name] = replace(turn, at=now + first)

    def begin(self, now: timedelta) -> list[Turn]:
        """Whom to ask now, who waits longest first. They are under way until they `end`."""
        busy = self._busy()
        begun = []
        for turn in sorted((turn for turn in self._waiting() if turn.at <= now), key=lambda turn: turn.at):
            if busy[turn.question.probe.kind] < _most(turn):
                busy[turn.question.probe.kind] += 1
                begun.append(replace(turn, asked=turn.asked + 1, asked_at=now))
        self.under_way |= {turn.question.name: turn for turn in begun}
        self.turns |= {turn.question.name: turn for turn in begun}
        return begun

    def end(self, turn: Turn, now: timedelta) -> bool:
        """A question was answered; whether that is still asked of the agent."""
        name = turn.question.name
        self.under_way.pop(name, None)
        current = self.turns.get(name)
        if current is None or (current.life, current.question) != (turn.life, turn.question):
            return False
        self.turns[name] = replace(current, at=max(now, (turn.asked_at or now) + self._pause(turn)))
        return True

    def hurry(self, turn: Turn, now: timedelta) -> None:
        """It has met an error of the network: whether others do is to be known before anything is done about it."""
        since = turn.asked_at or now
        if self.hasted_at is not None and now - self.hasted_at < HASTE:
            return
        self.hasted_at = now
        for name, other in self.turns.items():
            stale = other.asked_at is None or other.asked_at < since
            if stale and other.question.role is ProbeRole.LIVE and other.question.probe.kind is not ProbeKind.COMMAND:
                self.turns[name] = replace(other, at=min(other.at, now))

    def next_at(self) -> timedelta | None:
        """When the next question can be put. The end of one that is under way may be sooner."""
        busy = self._busy()
        return min((turn.at for turn in self._waiting() if busy[turn.question.probe.kind] < _most(turn)), default=None)

    def _waiting(self) -> Iterator[Turn]:
        return (turn for name, turn in self.turns.items() if name not in self.under_way)

    def _busy(self) -> Counter[ProbeKind]:
        return Counter(turn.question.probe.kind for turn in self.under_way.values())

    def _pause(self, turn: Turn) -> timedelta:
        interval = turn.question.probe.interval
        if turn.question.role is ProbeRole.READY:
            return min(interval, FIRST_PAUSE * float(2 ** min(turn.asked - 1, 32)))
        return interval * (1.0 + SPREAD * (self._share(turn) - 0.5))

    def _share(self, turn: Turn) -> float:
        """From 0 to 1, by chance as far as anybody can tell."""
        return zlib.crc32(f"{self.seed}/{turn.question.name}/{turn.life}/{turn.asked}".encode()) / 2**32


class Probing:
    """All probes of one reconciler. It costs nothing where no agent has any."""

    def __init__(
        self,
        reconciler: Reconciler,
        platform: Callable[[], Platform | None],
        *,
        clock: Callable[[], Instant],
    ) -> None:
        self.agenda = Agenda(seed=reconciler.facts.name)
        self._reconciler = reconciler
        self._platform = platform
        self._clock = clock
        self._specs: Mapping[str, AgentSpec] = {}
        self._probed: frozenset[str] = frozenset()
        """Agents that have a probe."""
        self._changed: set[str] = set()
        self._woken = asyncio.Event()
        self._asking: set[asyncio.Task[None]] = set()
        reconciler.listeners.append(self._heard)
        reconciler.ask_probes()

    async def run(self) -> None:
        try:
            while True:
                self.look()
                await self._rest()
        finally:
            for task in self._asking:
                task.cancel()

    def look(self) -> None:
        """Take over what has changed, and ask whoever is due."""
        now = self._clock().monotonic
        if self._specs is not self._reconciler.disk.specs:
            self._take_specs(self._reconciler.disk.specs)
        for name in self._changed:
            life, question = self._wanted(name)
            self.agenda.follow(name, life, question, now)
        self._changed.clear()
        for turn in self.agenda.begin(now):
            task = asyncio.ensure_future(self._ask(turn))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    def look_again(self) -> None:
        """Something may have changed on disk."""
        if self._specs is not self._reconciler.disk.specs:
            self._woken.set()

    def _heard(self, rows: Mapping[str, StatusRow], events: Collection[Event], forgotten: Collection[str]) -> None:
        if concerned := self._probed & rows.keys():
            self._changed |= concerned
            self._woken.set()

    async def _rest(self) -> None:
        """Until something changes or somebody is due."""
        at = self.agenda.next_at()
        pause = None if at is None else max((at - self._clock().monotonic).total_seconds(), 0.0)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._woken.wait()
        self._woken.clear()

    def _take_specs(self, specs: Mapping[str, AgentSpec]) -> None:
        before, self._specs = self._specs, specs
        asked_before, self._probed = self._probed, frozenset(name for name, spec in specs.items() if _has_probe(spec))
        self._changed |= self._probed | asked_before
        self._reconciler.forget_answers(name for name in asked_before if _probes(before, name) != _probes(specs, name))

    def _wanted(self, name: str) -> tuple[str, Question | None]:
        """The life of an agent, and what is to be asked in it."""
        spec, state = self._specs.get(name), self._reconciler.states.get(name)
        if spec is None or state is None or state.phase is not Phase.ACTIVE or not state.incarnation:
            return "", None
        row = self._reconciler.rows.get(name)
        if spec.ready and not (row and row.past.ready == state.incarnation):
            return state.incarnation, Question(name, ProbeRole.READY, spec.ready)
        return state.incarnation, Question(name, ProbeRole.LIVE, spec.live) if spec.live else None

    async def _ask(self, turn: Turn) -> None:
        answer: ProbeResult | str
        try:
            answer = await ask(turn.question, run=self._run, clock=self._clock)
        except CannotAsk as error:
            answer = str(error)
        except Exception as error:  # of whatever library a probe needs, and none may end the others
            log.exception("cannot ask %s probe of %s", turn.question.role, turn.question.name)
            answer = f"{type(error).__name__}: {error}"
        self._answered(turn, answer)
        self._woken.set()

    def _answered(self, turn: Turn, answer: ProbeResult | str) -> None:
        now, name = self._clock().monotonic, turn.question.name
        if not self.agenda.end(turn, now) or _came_too_late(turn, answer, now):
            return
        reconciler = self._reconciler
        before = reconciler.probed.get(name)
        if not reconciler.take_answer(name, turn.life, turn.question.role, answer):
            return
        if not isinstance(answer, str) and answer.network_error and not (before and before.failed):
            self.agenda.hurry(turn, now)
        reconciler.run_pass({name})

    async def _run(self, name: str, role: ProbeRole) -> Outcome:
        platform = self._platform()
        if platform is None:
            return Outcome(False, "the service manager cannot be asked", unmade=True)
        return await platform.probe(name, role)


def _most(turn: Turn) -> int:
    return MOST[turn.question.probe.kind]


def _came_too_late(turn: Turn, answer: ProbeResult | str, now: timedelta) -> bool:
    if isinstance(answer, str) or answer.ok or turn.asked_at is None:
        return False
    return now - turn.asked_at > turn.question.probe.timeout + OVERDUE


def _has_probe(spec: AgentSpec) -> bool:
    return spec.ready is not None or spec.live is not None


def _probes(specs: Mapping[str, AgentSpec], name: str) -> tuple[object, object] | None:
    spec = specs.get(name)
    return (spec.ready, spec.live) if spec else None
