"""A simulated machine: units, processes outside of them, a store, and all that may be wrong with it.

What becomes of it is decided by tests alone. To the reconciler it is the platform, and `Eyes` are its scan.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from supervise.errors import PlatformError
from supervise.model import (
    Action,
    ActionKind,
    AgentSpec,
    Beat,
    Change,
    Findings,
    Intent,
    Lost,
    Outcome,
    Phase,
    Ping,
    Process,
    ProcessId,
    Snapshot,
    StatusRow,
    UnitState,
)
from supervise.observe.wire import differing
from supervise.reconcile.scanning import AWAY, EVERY, Here, Take
from supervise.stores import Change as Written
from tests.install.machine import Machine
from tests.nouns import copy, places_in
from tests.reconcile.simulation.clocks import Clocks
from tests.reconcile.simulation.units import Unit

FIRST_PID, LAST_PID = 300, 320
"""So few that each is soon given to somebody else."""
BEATING, ANSWER, LOOK, WRITING = 4.0, 0.01, 0.02, 0.5
"""Seconds between two beats, and that an answer of the manager, a look at all processes and a write take: the disk is
slow, so that much may happen between a decision and its action."""
DOOM, SLOW = 0.5, 30.0
"""Seconds that a doomed agent lives, and that a slow manager takes."""
VERBS = {ActionKind.START: "start", ActionKind.RESET_AND_START: "start", ActionKind.RESTART: "restart"}


class Simulated(Machine):
    """`lossy`: signals get lost; `cut`: the manager cannot be asked; `slow`: it does what it is told, and takes its
    time to say so; `blind`: processes cannot be seen; `silenced`: agents whose beats nobody hears; `doomed`: until when
    (in the loop's time) an agent dies soon after each start."""

    def __init__(self, folder: Path, *specs: AgentSpec) -> None:
        super().__init__(places_in(folder))
        self.clock = Clocks()
        self.specs = {one.name: one for one in specs}
        self.units_of = {one.name: Unit(one, self) for one in specs}
        self.outside: dict[int, tuple[str, Process]] = {}
        """Copies that people run by hand, and of whom, by PID."""
        self.lossy = self.cut = self.blind = self.slow = False
        self.silenced: set[str] = set()
        self.doomed: dict[str, float] = {}
        self.rows: dict[str, StatusRow] = {}
        self.intents: dict[str, Intent] = {}
        """Both as they were written down."""
        self.hears: Callable[[str, Beat], None] | None = None
        self.performing: Callable[[Action], None] = lambda action: None
        self.ending: Callable[[str, Process], None] = lambda name, process: None
        """Who is told before anything is done for the reconciler."""
        self._signals: asyncio.Queue[Change | None] | None = None
        self._last_pid = FIRST_PID - 1
        self._busy: set[asyncio.Task[str]] = set()

    def boot(self, *, without: str = "") -> None:
        """Everything is gone and starts anew, but for one agent that the boot forgets."""
        self.clock.boot()
        self.outside.clear()
        for name, unit in self.units_of.items():
            unit.forget()
            if name != without:
                self.asks("start", name)

    def asks(self, what: str, name: str) -> None:
        """Somebody, of the manager. In the background: it takes its time."""
        task = asyncio.ensure_future(self.units_of[name].do(what))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    def tells(self, change: Change | None) -> None:
        """Whoever follows the manager; None is the end of the connection."""
        if self._signals:
            self._signals.put_nowait(change)

    # --- Processes ----------------------------------------------------------------------------------------------------

    def begins(self, name: str, *, pid: int | None = None) -> int:
        """A copy of this agent, under this PID or a free one."""
        pid, now = pid or self.next_pid(), self.clock()
        argv = self.specs[name].command
        born = ProcessId(pid, int(now.boottime.total_seconds() * 100))
        process = copy(uid=os.getuid(), id=born, argv=argv, executable=Path(argv[0]), started_at=now.wall)
        self.outside[pid] = name, process
        return pid

    def begins_anew(self, pid: int) -> None:
        """Another copy, under the same PID."""
        if pid in self.outside:
            self.begins(self.outside[pid][0], pid=pid)

    def ends(self, pid: int) -> None:
        self.outside.pop(pid, None)

    def process(self, pid: int) -> Process | None:
        return self.outside[pid][1] if pid in self.outside else None

    def copies(self, name: str) -> list[Process]:
        return [process for whose, process in self.outside.values() if whose == name]

    async def end(self, process: Process, *, grace: Any) -> bool:
        self.ending(self.outside[process.id.pid][0], process)
        del self.outside[process.id.pid]
        return True

    def next_pid(self) -> int:
        used = {unit.state.pid for unit in self.units_of.values()} | self.outside.keys()
        while True:
            self._last_pid = self._last_pid + 1 if self._last_pid < LAST_PID else FIRST_PID
            if self._last_pid not in used:
                return self._last_pid

    # --- Units --------------------------------------------------------------------------------------------------------

    def moved(self, unit: Unit) -> None:
        if not self.lossy:
            self.tells(unit.state)
        if unit.runs:
            self._lives(unit, unit.state.incarnation)

    def _lives(self, unit: Unit, life: str | None) -> None:
        loop, name = asyncio.get_running_loop(), unit.spec.name
        if self.doomed.get(name, 0.0) > loop.time():
            loop.call_later(DOOM, lambda: unit.dies() if unit.state.incarnation == life else None)
        if unit.spec.heartbeat.written and unit.state.pid:
            first = BEATING * (unit.state.pid % 10) / 10  # they do not beat all at once
            loop.call_later(first, self._beats, unit, life)

    def _beats(self, unit: Unit, life: str | None) -> None:
        if unit.state.incarnation != life or not unit.state.pid:
            return
        if unit.hung_at is None and unit.spec.name not in self.silenced and self.hears:
            self.hears(unit.spec.name, Beat(self.clock(), unit.state.pid))
        asyncio.get_running_loop().call_later(BEATING, self._beats, unit, life)

    # --- The platform -------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Simulated:
        self._must_answer()
        return self

    async def __aexit__(self, *why: object) -> None:
        self._signals = None

    async def snapshot(
        self, names: Collection[str] | None = None, *, known: Collection[str] = (), endings: bool = True
    ) -> Snapshot:
        if names is None:
            await asyncio.sleep(ANSWER)
        self._must_answer()
        wanted = self.units_of if names is None else names
        return Snapshot({name: self.units_of[name].shown() for name in wanted}, self.clock())

    async def is_as_known(self, states: Mapping[str, UnitState]) -> bool:
        await asyncio.sleep(ANSWER)
        self._must_answer()
        shown = {name: unit.shown() for name, unit in self.units_of.items()}
        return shown.keys() == states.keys() and all(_is_same(one, states[name]) for name, one in shown.items())

    async def changes(self) -> AsyncIterator[Change]:
        signals = self._signals = asyncio.Queue()
        yield Lost("the beginning")
        while change := await signals.get():
            yield change

    async def pings(self, names: Collection[str]) -> Mapping[str, Ping]:
        self._must_answer()
        return {name: Ping(self.units_of[name].last_ping, self.units_of[name].state.watchdog) for name in names}

    async def perform(self, action: Action) -> Outcome:
        self._must_answer()
        self.performing(action)
        unit = self.units_of[action.name]
        if action.kind in (ActionKind.RESET_AND_START, ActionKind.RESTART):
            unit.reset()
        result = await unit.do(VERBS.get(action.kind, "stop"))
        await asyncio.sleep(SLOW if self.slow else 0)
        self._must_answer()
        return Outcome(result == "done", result)

    def _must_answer(self) -> None:
        if self.cut:
            raise PlatformError("cannot ask systemd: not connected")


def _is_same(state: UnitState, known: UnitState) -> bool:
    """As a list of units tells: of what is down, that it is; of what is active, which life it is too."""
    return state.phase is known.phase and (state.phase is not Phase.ACTIVE or state.incarnation == known.incarnation)


class Eyes(Here):
    """The real scan, but for the look itself."""

    def __init__(self, machine: Simulated, take: Take) -> None:
        super().__init__(machine.specs.values, take)
        self._machine = machine

    async def run(self) -> None:
        while True:
            try:
                await self.fresh()
            except PlatformError:
                self._take(None, ())
            await asyncio.sleep(EVERY)

    async def fresh(self) -> Findings:
        await asyncio.sleep(LOOK)
        if self._machine.blind:
            raise PlatformError(AWAY)
        copies = {name: tuple(found) for name in self._machine.specs if (found := self._machine.copies(name))}
        before, self._found = self._found, Findings(outside=copies, at=self._machine.clock().monotonic)
        self._take(self._found, differing(before, self._found))
        return self._found


class Writer:
    """What one life of the reconciler writes down. `over`: it was killed, so nothing of it is written any more."""

    trouble = None

    def __init__(self, machine: Simulated) -> None:
        self.over = False
        self._machine = machine
        self._waiting: deque[tuple[Written, asyncio.Future[bool]]] = deque()
        """In their order, which two timers of one moment do not keep."""

    def commit(self, change: Written) -> asyncio.Future[bool]:
        promise: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, promise))
        asyncio.get_running_loop().call_later(WRITING, self._write)
        return promise

    async def prune(self, **before: Any) -> int:
        return 0

    def _write(self) -> None:
        change, promise = self._waiting.popleft()
        if self.over or promise.done():
            return
        self._machine.rows |= change.rows
        self._machine.intents |= {one.name: one for one in change.intents}
        promise.set_result(True)
