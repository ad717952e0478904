"""A simulated machine with the real reconciler on it, people who use both, and a witness of all that is done.

The witness knows nothing of the rules by which the reconciler decides: only the machine as it is, and what people want.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from pathlib import Path

from supervise.decide.remedy import STARTS
from supervise.model import (
    Action,
    ActionKind,
    AgentSpec,
    Event,
    EventKind,
    HiddenPolicy,
    Instant,
    IntentKind,
    Phase,
    ProbeResult,
    Process,
    Quarantine,
    Question,
    Status,
    StatusRow,
)
from tests.reconcile.simulation.clocks import Swift, swiftly
from tests.reconcile.simulation.life import Life, simulated
from tests.reconcile.simulation.machine import Simulated
from tests.reconcile.simulation.units import UP

DOWN = (Phase.INACTIVE, Phase.FAILED)


class World:
    """`wrong`: what should never have been; `wants`: whether people want an agent to run, None where nobody can say."""

    def __init__(self, folder: Path, *specs: AgentSpec) -> None:
        self.machine = Simulated(folder, *specs)
        self.machine.performing, self.machine.ending = self._is_done, self._is_ended
        self.network: Callable[[Question, Instant], ProbeResult] = self._answers
        self.life: Life | None = None
        self.wants: dict[str, bool | None] = {}
        self.wrong: list[str] = []
        self.log: list[str] = []
        self.events: list[Event] = []
        self._under_way: dict[str, Action] = {}
        self._starts: defaultdict[str, list[float]] = defaultdict(list)
        """Ours, since somebody else has started the agent, or since it ran well for long."""

    @property
    def loop(self) -> Swift:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Swift)
        return loop

    def note(self, what: str) -> None:
        self.log.append(f"{self.loop.time():9.2f} {what}")

    def must(self, true: object, otherwise: str) -> None:
        if not true:
            self.note(f"WRONG: {otherwise}")
            self.wrong.append(otherwise)

    # --- What happens -------------------------------------------------------------------------------------------------

    def boot(self, *, without: str = "") -> None:
        self.die()
        self._starts.clear()
        self.wants = dict.fromkeys(self.machine.specs, True)
        self.machine.boot(without=without)
        self.wake()

    def wake(self) -> None:
        """The reconciler begins, where none is."""
        if self.life is None:
            self.life = Life(self.machine, self._is_decided)
            self.life.reconciler.listeners.append(self._is_told)

    def die(self) -> None:
        """The reconciler is killed. Whoever has just asked it for something does not know what became of that."""
        if self.life:
            self.life.kill()
            known, written = self.life.reconciler.intents, self.machine.intents
            self.wants |= {name: None for name, intent in known.items() if written.get(name) is not intent}
        self.life = None
        self._under_way.clear()

    def ask(self, what: str, name: str, *, of_us: bool) -> None:
        """A person starts, stops or restarts an agent, by our command or (not `of_us`) by systemctl."""
        unit, wish = self.machine.units_of[name], None if what == "restart" else IntentKind(what)
        if of_us and self.life:
            self.life.reconciler.order(what, [name], by="ada", kind=wish)
        if what != "stop":
            self.wants[name], unit.deaths = True, 0
            self._starts[name].clear()
        elif of_us and self.life:
            self.wants[name] = False
        elif unit.state.phase is Phase.STOPPING or self._is_stopped_by_us(name):
            self.wants[name] = None  # from a stop of ours nobody can tell it
        elif unit.state.phase in (*UP, Phase.RESTARTING):
            self.wants[name] = False
        self.machine.asks(what, name)

    # --- What becomes of it -------------------------------------------------------------------------------------------

    def unfinished(self) -> Iterator[str]:
        """What is not as people want it, or not said as it is."""
        assert self.life
        yield from (f"{action} is under way" for action in self._under_way.values())
        for name, unit in self.machine.units_of.items():
            row, wanted = self.life.reconciler.rows[name], self.wants[name]
            if wanted is None:
                wanted = unit.runs
            if unit.state.phase not in ((Phase.ACTIVE,) if wanted else DOWN) or unit.hung_at is not None:
                yield f"{name} is {unit.state.phase}{' and hangs' if unit.hung_at is not None else ''}"
            if self.machine.copies(name):
                yield f"{name} runs outside of its unit"
            if row.status is not (Status.RUNNING if wanted else Status.STOPPED) or row.pid != unit.state.pid:
                yield f"{name} is said to be {row.status} with PID {row.pid}: {row.message}"

    async def becomes_calm(self, *, within: float, calm: float) -> None:
        """All is as people want it, and stays so."""
        until, since = self.loop.time() + within, self.loop.time()
        while self.loop.time() < min(since + calm, until):
            if any(self.unfinished()):
                since = self.loop.time()
            await asyncio.sleep(1.0)
        for what in self.unfinished():
            self.must(False, f"not reached: {what}")

    async def keeps_still(self, seconds: float) -> None:
        """Nothing is told, and so nothing is done, since nothing happens."""
        before = len(self.events)
        await asyncio.sleep(seconds)
        for event in self.events[before:]:
            self.must(False, f"does not keep still: {event.name} {event.message}")

    # --- What is seen -------------------------------------------------------------------------------------------------

    def _answers(self, question: Question, now: Instant) -> ProbeResult:
        return ProbeResult(self.machine.units_of[question.name].hung_at is None, "answered", now)

    def _is_stopped_by_us(self, name: str) -> bool:
        return name in self._under_way and self._under_way[name].kind is ActionKind.STOP

    def _is_decided(self, action: Action) -> None:
        self.note(f"decided: {action.kind} {action.name} ({action.reason})")
        assert self.life
        self.must(action.name not in self._under_way, f"two things are done to {action.name} at once")
        self.must(self.life.reconciler.facts.unseen_since is None, f"{action.kind} {action.name}, which nobody can see")
        self._under_way[action.name] = action

    def _is_told(self, rows: Mapping[str, StatusRow], events: Collection[Event], forgotten: Collection[str]) -> None:
        for event in events:
            self.note(f"told: {event.name} {event.before} → {event.after} {event.reason}: {event.message}")
            if event.kind is EventKind.ACTION:
                self._under_way.pop(event.name, None)
        self.events += events

    def _is_done(self, action: Action) -> None:
        """Something is about to be done to a unit."""
        name, unit, what = action.name, self.machine.units_of[action.name], f"{action.kind} {action.name}"
        self.note(f"done: {what}")
        if action.kind is ActionKind.STOP:
            self.must(unit.deaths or unit.state.phase in DOWN, f"{what}, which is well")
        elif action.kind is ActionKind.RESTART:
            self.must(unit.hung_at is not None, f"{what}, which is well")
        else:
            self.must(unit.state.phase in DOWN, f"{what}, which is {unit.state.phase}")
        if action.kind in STARTS:
            self._is_started(name, what)

    def _is_started(self, name: str, what: str) -> None:
        self.must(not self.machine.copies(name), f"{what} beside a copy")
        self.must(not self.machine.blind, f"{what}, while processes cannot be seen")
        self.must(self.wants[name] is not False, f"{what}, which a person stopped")
        row = self.machine.rows.get(name)
        self.must(row and row.past.asked, f"{what}, which is not written down")
        starts, quarantine = self._starts[name], self.machine.specs[name].quarantine or Quarantine()
        waited = self.loop.time() - starts[-1] if starts else None
        if waited is not None:
            least = min(quarantine.first * quarantine.factor ** len(starts), quarantine.max).total_seconds()
            self.must(waited >= least, f"{what} {waited:.2f} s after try {len(starts)}")
            if waited > quarantine.settle.total_seconds():
                starts.clear()
        starts.append(self.loop.time())

    def _is_ended(self, name: str, process: Process) -> None:
        """A process is about to be ended."""
        what = f"ends PID {process.id.pid} for {name}"
        self.note(what)
        self.must(self.machine.specs[name].hidden is HiddenPolicy.STOP, f"{what}, which only reports")
        self.must(process.id in self._under_way[name].processes, f"{what}, which is another by now")


def told(story: Callable[[World], Awaitable[None]], *specs: AgentSpec) -> World:
    """The world after a story in it. Whatever anybody has raised in the background is wrong too."""

    async def tell() -> World:
        with tempfile.TemporaryDirectory(prefix="s") as folder:
            world = World(Path(folder), *specs)
            world.loop.set_exception_handler(lambda loop, context: world.must(False, str(context)))
            with simulated(world.machine, lambda question, now: world.network(question, now)):
                world.boot()
                await story(world)
                world.die()
                await asyncio.sleep(0)
            return world

    return swiftly(tell)
