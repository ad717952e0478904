"""Actions: written first, never a start beside a copy or against a word, one outcome whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from supervise.errors import PlatformError
from supervise.holds import write_hold
from supervise.model import (
    Action,
    ActionKind,
    AgentSpec,
    Event,
    EventKind,
    Findings,
    Hold,
    IntentKind,
    Outcome,
    Phase,
    Process,
    ProcessId,
    Scope,
)
from supervise.reconcile.acting import Acting
from tests.install.machine import Machine
from tests.nouns import NOON, copy, seconds, spec, state
from tests.reconcile.rig import Rig, in_a_loop

START = Action(ActionKind.START, "sma", "agent@sma.service", "NotRunning")
STOP = Action(ActionKind.STOP, "sma", "agent@sma.service", "Held")

END = Action(ActionKind.END, "sma", "agent@sma.service", "HiddenProcess", (ProcessId(4711, 99),))

Look = Callable[[], Findings]


def seeing(*processes: Process, complete: bool = True) -> Look:
    return lambda: Findings(outside={"sma": processes} if processes else {}, complete=complete)


class Eyes:
    """Sees what it is told to see, and ends whom it is told to end."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.ended: list[tuple[str, tuple[ProcessId, ...]]] = []

    async def run(self) -> None:
        raise AssertionError("nobody runs it")

    async def fresh(self) -> Findings:
        return self.look()

    def suspect(self, pid: int) -> None:
        raise AssertionError("nobody is suspected")

    async def end(self, spec: AgentSpec, processes: Iterable[ProcessId]) -> Outcome:
        self.ended.append((spec.name, tuple(processes)))
        return Outcome(True)


class Stage:
    """A reconciler with one agent that is down, a machine, and what acts on it."""

    def __init__(self, folder: Path, look: Look | None = None) -> None:
        self.eyes = Eyes(look or seeing())
        self.rig = Rig(folder, spec())
        self.machine: Machine | None = Machine(self.rig.reconciler.places)
        self.acting = Acting(lambda: self.machine, self.eyes)
        self.acting.reconciler = self.rig.reconciler

    async def act(self, action: Action = START) -> str:
        """What the timeline says became of it."""
        self.rig.see(state(Phase.INACTIVE))
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        written.set_result(True)
        self.acting.start(action, written)
        await self.acting.finished()
        return self.ended[-1].message.partition(": ")[2]

    @property
    def ended(self) -> list[Event]:
        return [event for event in self.rig.events if event.kind is EventKind.ACTION]

    @property
    def orders(self) -> list[str]:
        return self.machine.orders if self.machine else []


@in_a_loop
async def test_an_agent_of_which_nothing_is_seen_is_started(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert await stage.act() == "done"
    assert stage.orders == ["start agent@sma.service"]


@pytest.mark.parametrize("kind", [ActionKind.START, ActionKind.RESET_AND_START, ActionKind.RESTART])
@in_a_loop
async def test_no_kind_of_start_is_made_beside_a_copy_which_is_named(tmp_path: Path, kind: ActionKind) -> None:
    stage = Stage(tmp_path, seeing(copy(4711)))
    told = await stage.act(Action(kind, "sma", "agent@sma.service", "NotRunning"))
    assert told.startswith("a copy runs outside its unit: ")
    assert "4711" in told
    assert stage.orders == []
    assert "4711" in stage.rig.reconciler.rows["sma"].past.blocked


@in_a_loop
async def test_a_stop_needs_no_scan(tmp_path: Path) -> None:
    def never() -> Findings:
        raise AssertionError("nobody asked for a scan")

    stage = Stage(tmp_path, never)
    assert await stage.act(STOP) == "Unit agent@sma.service not loaded."
    assert stage.orders == ["stop agent@sma.service"]


@in_a_loop
async def test_what_hidden_stop_ends_is_ended_by_who_sees_processes(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert await stage.act(END) == "done"
    assert stage.eyes.ended == [("sma", (ProcessId(4711, 99),))]
    assert stage.orders == []
    assert stage.ended[-1].message == "end PID 4711: done"


@pytest.mark.parametrize(("scope", "started"), [(Scope.SYSTEM, False), (Scope.USER, True)])
@in_a_loop
async def test_where_not_all_processes_are_seen_nothing_is_started_for_the_machine(
    tmp_path: Path, scope: Scope, started: bool
) -> None:
    stage = Stage(tmp_path, seeing(complete=False))
    stage.rig.reconciler.places = replace(stage.rig.reconciler.places, scope=scope)
    told = await stage.act()
    assert bool(stage.orders) is started
    assert ("not all processes of this machine can be seen" in told) is not started


@in_a_loop
async def test_a_hold_that_came_after_the_decision_is_obeyed(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    def look() -> Findings:
        write_hold(stage.rig.reconciler.places, Hold("sma", "migration", "alice", NOON))
        return seeing()()

    stage.eyes.look = look
    assert await stage.act() == "it is held by alice: migration (`supervise release sma`)"
    assert stage.orders == []


@in_a_loop
async def test_a_stop_that_a_person_asked_for_since_the_decision_is_obeyed(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    def look() -> Findings:
        stage.rig.clock.go_on(seconds(1))
        stage.rig.reconciler.order("stop", ["sma"], by="ada", kind=IntentKind.STOP)
        return seeing()()

    stage.rig.reconciler.order("stop", ["sma"], by="ada", kind=IntentKind.STOP)
    assert await stage.act() == "done"
    assert stage.machine
    stage.machine.running.clear()
    stage.eyes.look = look
    assert await stage.act() == "ada stopped it meanwhile"
    assert stage.orders == ["start agent@sma.service"]


@pytest.mark.parametrize("kind", [ActionKind.START, ActionKind.RESET_AND_START, ActionKind.RESTART, ActionKind.END])
@in_a_loop
async def test_nothing_is_done_to_what_has_changed_unseen_and_now_it_is_seen(tmp_path: Path, kind: ActionKind) -> None:
    stage = Stage(tmp_path)
    stage.rig.see(state(Phase.INACTIVE))
    assert stage.machine
    stage.machine.running.add("agent@sma.service")
    stage.rig.reconciler.acting.add("sma")
    assert await stage.act(Action(kind, "sma", "agent@sma.service", "NotRunning")) == "it has changed meanwhile"
    assert (stage.orders, stage.eyes.ended) == ([], [])
    assert stage.rig.reconciler.rows["sma"].phase is Phase.ACTIVE
    assert stage.rig.reconciler.rows["sma"].past.attempts == 0


@in_a_loop
async def test_nothing_is_done_to_what_cannot_be_looked_at(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.machine
    stage.machine.deaf.add("snapshot")
    for action in (START, STOP, END):
        assert await stage.act(action) == "cannot snapshot: the connection is gone"
    assert (stage.orders, stage.eyes.ended) == ([], [])


@in_a_loop
async def test_an_agent_that_is_not_installed_any_more_is_not_started(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    def look() -> Findings:
        stage.rig.install()
        return seeing()()

    stage.eyes.look = look
    assert await stage.act() == "it is not installed any more"
    assert stage.orders == []


@in_a_loop
async def test_a_platform_that_is_gone_is_an_outcome(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.machine
    stage.machine.deaf.add("start agent@sma.service")
    assert await stage.act() == "cannot start agent@sma.service: the connection is gone"
    stage.machine = None
    assert await stage.act() == "the service manager cannot be asked"
    assert stage.rig.reconciler.acting == set()


@in_a_loop
async def test_a_scan_that_fails_is_an_outcome(tmp_path: Path) -> None:
    for error in (PlatformError("cannot scan processes"), PermissionError(13, "Permission denied", "/proc")):

        def broken(error: Exception = error) -> Findings:
            raise error

        stage = Stage(tmp_path, broken)
        stage.rig.reconciler.acting.add("sma")
        assert await stage.act() == str(error)
        assert stage.orders == []
        assert stage.rig.reconciler.acting == set()


@pytest.mark.parametrize("written", [True, False])
@in_a_loop
async def test_nothing_is_done_before_it_is_written_or_known_to_be_unwritable(tmp_path: Path, written: bool) -> None:
    stage = Stage(tmp_path)
    stage.rig.see(state(Phase.INACTIVE))
    promise: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    stage.acting.start(STOP, promise)
    for _ in range(5):
        await asyncio.sleep(0)
    assert stage.orders == []
    promise.set_result(written)
    await stage.acting.finished()
    assert stage.orders == ["stop agent@sma.service"]


@in_a_loop
async def test_what_is_closed_acts_no_more(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.rig.see(state(Phase.INACTIVE))
    promise: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    stage.acting.start(STOP, promise)
    await asyncio.sleep(0)
    stage.acting.close()
    await stage.acting.finished()
    assert (stage.orders, stage.ended) == ([], [])
