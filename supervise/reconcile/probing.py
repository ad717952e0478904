"""Asks the agents' probes, each in its own time: first until the agent is ready, then whether it lives.

The agenda knows when; here they are asked, and the answers handed to the reconciler. Nothing is asked of an agent that
is not active, and nothing is taken from a life that is over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import timedelta

from supervise.errors import PlatformError
from supervise.model import AgentSpec, Event, Instant, Outcome, Phase, ProbeResult, ProbeRole, Question, StatusRow
from supervise.platforms import Platform
from supervise.probes import CannotAsk, ask
from supervise.reconcile.agenda import Agenda, Turn
from supervise.reconcile.reconciler import Reconciler

log = logging.getLogger(__name__)
OVERDUE = timedelta(seconds=2)
"""A no that comes so long after its time was over says only that we, or the machine, stood still."""
MEANS = {ProbeRole.READY: "is ready", ProbeRole.LIVE: "lives"}


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
        self._until: timedelta | None = None
        """When it looks again though nothing wakes it."""
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
        at = self._until = self.agenda.next_at()
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
            answer = f"{type(error).__name__}: {error}"
            log.debug("%s", answer, exc_info=True)
        self._answered(turn, answer)
        at = self.agenda.next_at()
        if at is not None and (self._until is None or at < self._until):
            self._woken.set()

    def _answered(self, turn: Turn, answer: ProbeResult | str) -> None:
        now, name = self._clock().monotonic, turn.question.name
        if not self.agenda.end(turn, now) or _came_too_late(turn, answer, now):
            return
        reconciler = self._reconciler
        before = reconciler.answers(name)
        if isinstance(answer, str) and (before is None or before.unasked != answer):
            log.warning("cannot ask whether %s %s: %s", name, MEANS[turn.question.role], answer)
        if not reconciler.take_answer(name, turn.life, turn.question.role, answer):
            return
        if not isinstance(answer, str) and answer.network_error and not (before and before.failed):
            self.agenda.hurry(turn, now)
        reconciler.run_pass({name})

    async def _run(self, name: str, role: ProbeRole) -> Outcome:
        platform = self._platform()
        if platform is None:
            return Outcome(False, "the service manager cannot be asked", unmade=True)
        try:
            return await platform.probe(name, role)
        except PlatformError as error:
            return Outcome(False, str(error), unmade=True)


def _came_too_late(turn: Turn, answer: ProbeResult | str, now: timedelta) -> bool:
    if isinstance(answer, str) or answer.ok or turn.asked_at is None:
        return False
    return now - turn.asked_at > turn.question.probe.timeout + OVERDUE


def _has_probe(spec: AgentSpec) -> bool:
    return spec.ready is not None or spec.live is not None


def _probes(specs: Mapping[str, AgentSpec], name: str) -> tuple[object, object] | None:
    spec = specs.get(name)
    return (spec.ready, spec.live) if spec else None
