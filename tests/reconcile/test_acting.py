"""Actions: written first, never a start beside a copy or against a word, one outcome whatever happens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from supervise.errors import PlatformError
from supervise.holds import write_hold
from supervise.model import Action, ActionKind, Event, EventKind, Hold, Phase, Process, Scope
from supervise.observe.scan import Scan
from supervise.reconcile import acting as module
from supervise.reconcile.acting import Acting, Scanner
from tests.install.machine import Machine
from tests.nouns import NOON, copy, spec, state
from tests.reconcile.rig import Rig, in_a_loop, until

START = Action(ActionKind.START, "sma", "agent@sma.service", "NotRunning")
STOP = Action(ActionKind.STOP, "sma", "agent@sma.service", "Held")

Look = Callable[[], Scan]


def seeing(*processes: Process, complete: bool = True) -> Look:
    return lambda: Scan(processes, complete, NOON)


class Stage:
    """A reconciler with one agent that is down, a machine, and what acts on it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, look: Look | None = None) -> None:
        patch.setattr(module, "scan", look or seeing())
        self.rig = Rig(folder, spec())
        self.machine: Machine | None = Machine(self.rig.reconciler.places)
        self.acting = Acting(lambda: self.machine)
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
async def test_an_agent_of_which_nothing_is_seen_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path, monkeypatch)
    assert await stage.act() == "done"
    assert stage.orders == ["start agent@sma.service"]


@pytest.mark.parametrize("kind", [ActionKind.START, ActionKind.RESET_AND_START, ActionKind.RESTART])
@in_a_loop
async def test_no_kind_of_start_is_made_beside_a_copy_which_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: ActionKind
) -> None:
    stage = Stage(tmp_path, monkeypatch, seeing(copy(4711)))
    told = await stage.act(Action(kind, "sma", "agent@sma.service", "NotRunning"))
    assert told.startswith("a copy runs outside its unit: ")
    assert "4711" in told
    assert stage.orders == []
    assert "4711" in stage.rig.reconciler.rows["sma"].past.blocked


@in_a_loop
async def test_a_stop_needs_no_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> Scan:
        raise AssertionError("nobody asked for a scan")

    stage = Stage(tmp_path, monkeypatch, never)
    assert await stage.act(STOP) == "Unit agent@sma.service not loaded."
    assert stage.orders == ["stop agent@sma.service"]


@pytest.mark.parametrize(("scope", "started"), [(Scope.SYSTEM, False), (Scope.USER, True)])
@in_a_loop
async def test_where_not_all_processes_are_seen_nothing_is_started_for_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: Scope, started: bool
) -> None:
    stage = Stage(tmp_path, monkeypatch, seeing(complete=False))
    stage.rig.reconciler.places = replace(stage.rig.reconciler.places, scope=scope)
    told = await stage.act()
    assert bool(stage.orders) is started
    assert ("not all processes of this machine can be seen" in told) is not started


@in_a_loop
async def test_a_hold_that_came_after_the_decision_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path, monkeypatch)

    def look() -> Scan:
        write_hold(stage.rig.reconciler.places, Hold("sma", "migration", "alice", NOON))
        return seeing()()

    monkeypatch.setattr(module, "scan", look)
    assert await stage.act() == "it is held by alice: migration (`supervise release sma`)"
    assert stage.orders == []


@in_a_loop
async def test_an_agent_that_is_not_installed_any_more_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, monkeypatch)

    def look() -> Scan:
        stage.rig.install()
        return seeing()()

    monkeypatch.setattr(module, "scan", look)
    assert await stage.act() == "it is not installed any more"
    assert stage.orders == []


@in_a_loop
async def test_a_platform_that_is_gone_is_an_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path, monkeypatch)
    assert stage.machine
    stage.machine.deaf.add("start agent@sma.service")
    assert await stage.act() == "cannot start agent@sma.service: the connection is gone"
    stage.machine = None
    assert await stage.act() == "the service manager cannot be asked"
    assert stage.rig.reconciler.acting == set()


@in_a_loop
async def test_a_scan_that_fails_is_an_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (PlatformError("cannot scan processes"), PermissionError(13, "Permission denied", "/proc")):

        def broken(error: Exception = error) -> Scan:
            raise error

        stage = Stage(tmp_path, monkeypatch, broken)
        stage.rig.reconciler.acting.add("sma")
        assert await stage.act() == str(error)
        assert stage.orders == []
        assert stage.rig.reconciler.acting == set()


@pytest.mark.parametrize("written", [True, False])
@in_a_loop
async def test_nothing_is_done_before_it_is_written_or_known_to_be_unwritable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    stage = Stage(tmp_path, monkeypatch)
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
async def test_what_is_closed_acts_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path, monkeypatch)
    stage.rig.see(state(Phase.INACTIVE))
    promise: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    stage.acting.start(STOP, promise)
    await asyncio.sleep(0)
    stage.acting.close()
    await stage.acting.finished()
    assert (stage.orders, stage.ended) == ([], [])


# --- Scans ------------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_starts_that_are_asked_for_together_share_one_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Scan] = []

    def look() -> Scan:
        made.append(Scan((), True, NOON))
        return made[-1]

    monkeypatch.setattr(module, "scan", look)
    scanner = Scanner()
    seen = await asyncio.gather(*(scanner.scan() for _ in range(50)))
    assert len(made) == 1
    assert all(one is made[0] for one in seen)


@in_a_loop
async def test_a_scan_is_never_older_than_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    made: list[Scan] = []

    def slow() -> Scan:
        made.append(Scan((), True, NOON))
        mine = made[-1]
        begun.set()
        go_on.wait(10)
        return mine

    monkeypatch.setattr(module, "scan", slow)
    scanner = Scanner()
    early = asyncio.ensure_future(scanner.scan())
    await until(begun.is_set)
    late = asyncio.ensure_future(scanner.scan())  # asked when the first scan has begun to look
    await until(lambda: len(made) == 2)
    go_on.set()
    assert await early is made[0]
    assert await late is made[1]


@in_a_loop
async def test_who_gives_up_waiting_for_a_scan_takes_it_from_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "scan", seeing())
    scanner = Scanner()
    impatient, patient = (asyncio.ensure_future(scanner.scan()) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).complete
