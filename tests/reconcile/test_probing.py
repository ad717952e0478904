"""When probes are asked, by a clock that is set by hand; and that their answers reach the life that they are of."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from supervise import clock as real_clock
from supervise.model import Outcome, Phase, Probe, ProbeKind, ProbeResult, ProbeRole, Reason, Status
from supervise.reconcile import probing as module
from supervise.reconcile.agenda import MOST
from supervise.reconcile.probing import Probing
from tests.install.machine import Machine
from tests.nouns import NOW, alive, minutes, places_in, seconds, spec, state
from tests.reconcile.rig import Rig, in_a_loop, until

MONO = NOW.monotonic
TEN, MINUTE = seconds(10), minutes(1)
PROBE = Probe(ProbeKind.TCP, ("127.0.0.1:1",), interval=TEN)
COMMAND = Probe(ProbeKind.COMMAND, ("/bin/check",), interval=TEN)
YES = ProbeResult(True, "it accepts connections", NOW)
REFUSED = ProbeResult(False, "connection refused", NOW, "refused")


# --- Asking -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Probe, list[int]]]:
    """A probe of a server, and how many connections it has had."""
    had: list[int] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        had.append(1)
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield replace(PROBE, target=(f"127.0.0.1:{port}",)), had


class Asked(Rig):
    """A rig whose probes are asked when the test looks."""

    def __init__(self, folder: Path, *specs: Any, machine: Machine | None = None) -> None:
        super().__init__(folder, *specs)
        self.machine = machine
        self.probing = Probing(self.reconciler, lambda: self.machine, clock=self.clock)

    async def looks(self, length: timedelta = MINUTE) -> None:
        """So much later, all who are due are asked and have answered."""
        self.probing.look()
        self.clock.go_on(length)
        self.probing.look()
        while self.probing._asking:
            await asyncio.wait(self.probing._asking)
            self.probing.look()

    @property
    def said(self) -> tuple[Status, Reason]:
        row = self.reconciler.rows["sma"]
        return row.status, row.reason


@in_a_loop
async def test_an_agent_is_asked_whether_it_is_ready_and_once_it_is_whether_it_lives(tmp_path: Path) -> None:
    async with listening() as (probe, had):
        rig = Asked(tmp_path, spec(ready=probe, live=probe))
        rig.see(alive())
        assert rig.said == (Status.STARTING, Reason.STARTING)
        await rig.looks(timedelta())
        assert rig.said == (Status.RUNNING, Reason.AS_WANTED)
        assert rig.probing.agenda.turns["sma"].question.role is ProbeRole.LIVE
        assert (len(had), rig.reconciler.probed["sma"].live) == (1, None)
        await rig.looks()
        probed = rig.reconciler.probed["sma"]
        assert (probed.live and probed.live.detail, probed.failed) == ("it accepts connections", 0)
        rig.see(alive("b", start=rig.clock.now))
        await rig.looks(timedelta())
        assert rig.reconciler.probed["sma"].incarnation == "boot-1/b"


@in_a_loop
async def test_an_agent_that_does_not_answer_is_restarted_after_so_many_noes(tmp_path: Path) -> None:
    rig = Asked(tmp_path, spec(live=PROBE))
    rig.see(alive())
    for _ in range(PROBE.failures):
        assert rig.actions == []
        await rig.looks()
    assert rig.said == (Status.ERROR, Reason.PROBE_FAILING)
    assert [action.reason for action in rig.actions] == ["ProbeFailing"]


@pytest.mark.parametrize(
    "unit",
    [
        state(Phase.INACTIVE),
        alive(phase=Phase.STARTING),
        alive(phase=Phase.STOPPING),
        alive(phase=Phase.RESTARTING),
        state(Phase.ACTIVE),
    ],
)
@in_a_loop
async def test_nothing_is_asked_of_who_is_not_active(tmp_path: Path, unit: Any) -> None:
    rig = Asked(tmp_path, spec(ready=PROBE, live=PROBE))
    rig.see(unit)
    await rig.looks()
    assert (rig.probing.agenda.turns, rig.reconciler.probed) == ({}, {})


@in_a_loop
async def test_whoever_is_still_being_started_when_it_is_first_seen_is_asked(tmp_path: Path) -> None:
    """Its start job goes without another change that its row would show."""
    rig = Asked(tmp_path, spec(live=PROBE))
    rig.see(alive(job=True))
    rig.probing.look()
    assert rig.probing.agenda.next_at() is not None


@in_a_loop
async def test_where_nobody_has_probes_nothing_is_ever_due(tmp_path: Path) -> None:
    rig = Asked(tmp_path, spec())
    rig.probing.look()
    rig.see(alive())
    assert (rig.probing._woken.is_set(), rig.probing.agenda.next_at()) == (False, None)


@in_a_loop
async def test_an_answer_that_comes_when_its_life_is_over_is_dropped(tmp_path: Path) -> None:
    async with listening() as (probe, had):
        rig = Asked(tmp_path, spec(ready=probe))
        rig.see(alive())
        rig.probing.look()
        rig.see(alive("b"))
        await asyncio.wait(rig.probing._asking)
        assert (len(had), rig.reconciler.probed, rig.said[1]) == (1, {}, Reason.STARTING)
        rig.probing.look()
        await asyncio.wait(rig.probing._asking)
        assert rig.said[1] is Reason.AS_WANTED


@in_a_loop
async def test_another_probe_begins_anew_and_a_probe_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    rig = Asked(tmp_path, spec(live=PROBE))
    rig.see(alive())
    await rig.looks()
    assert rig.reconciler.probed["sma"].failed == 1
    rig.install(spec(live=replace(PROBE, failures=1)))
    rig.probing.look_again()
    assert rig.probing._woken.is_set()
    rig.probing.look()
    assert rig.reconciler.probed == {}
    assert rig.probing.agenda.turns["sma"].question.probe.failures == 1
    rig.install(spec())
    rig.probing.look()
    assert rig.probing.agenda.turns == {}


@in_a_loop
async def test_an_install_that_changes_no_probe_forgets_nothing(tmp_path: Path) -> None:
    rig = Asked(tmp_path, spec(live=PROBE))
    rig.see(alive())
    await rig.looks()
    rig.install(spec(live=PROBE, max_idle=TEN))
    await rig.looks(timedelta())
    assert rig.reconciler.probed["sma"].failed == 1


@in_a_loop
async def test_a_no_that_comes_long_after_its_time_says_only_that_the_machine_stood_still(tmp_path: Path) -> None:
    rig = Asked(tmp_path, spec(live=PROBE))
    rig.see(alive())
    rig.probing.look()
    rig.clock.go_on(minutes(1))
    for late, failed in ((PROBE.timeout + module.OVERDUE, 1), (PROBE.timeout + module.OVERDUE + seconds(1), 1)):
        rig.probing.look()
        rig.clock.go_on(late)
        await asyncio.wait(rig.probing._asking)
        assert rig.reconciler.probed["sma"].failed == failed
        rig.clock.go_on(minutes(1))


@in_a_loop
async def test_the_same_good_answer_again_makes_no_pass(tmp_path: Path) -> None:
    async with listening() as (probe, _):
        rig = Asked(tmp_path, spec(live=probe))
        rig.see(alive())
        await rig.looks()
        passes: list[Any] = []
        rig.reconciler.run_pass = passes.append  # type: ignore[method-assign, assignment]
        await rig.looks()
        assert passes == []


@in_a_loop
async def test_the_first_error_of_the_network_has_the_others_asked_at_once(tmp_path: Path) -> None:
    async with listening() as (probe, had):
        slow = replace(probe, interval=minutes(60))
        rig = Asked(tmp_path, spec(live=PROBE), spec("ema", live=slow))
        rig.see(alive(), alive(name="ema"))
        await rig.looks()
        assert len(had) == 1


# --- Commands, and what cannot be asked -------------------------------------------------------------------------------


class Answering(Machine):
    """Gives what it is told to."""

    def __init__(self, folder: Path, outcome: Outcome) -> None:
        super().__init__(places_in(folder))
        self.outcome = outcome

    async def probe(self, name: str, role: ProbeRole) -> Outcome:
        await super().probe(name, role)
        return self.outcome


@in_a_loop
async def test_a_command_is_run_by_the_manager_under_the_name_of_agent_and_role(tmp_path: Path) -> None:
    machine = Answering(tmp_path, Outcome(True, "exited with code 0"))
    rig = Asked(tmp_path, spec(ready=COMMAND, live=COMMAND), machine=machine)
    rig.see(alive())
    await rig.looks(timedelta())
    await rig.looks()
    assert machine.orders == ["probe agent-ready@sma.service", "probe agent-probe@sma.service"]
    machine.outcome = Outcome(False, "exited with code 3")
    await rig.looks()
    live = rig.reconciler.probed["sma"].live
    assert live == ProbeResult(False, "exited with code 3", rig.clock.now)


@pytest.mark.parametrize("machine", [True, False])
@in_a_loop
async def test_what_cannot_be_asked_is_no_no_and_why_is_remembered(tmp_path: Path, machine: bool) -> None:
    there = Answering(tmp_path, Outcome(False, "it may not", unmade=True)) if machine else None
    rig = Asked(tmp_path, spec(live=replace(COMMAND, failures=1)), machine=there)
    rig.see(alive())
    await rig.looks()
    probed = rig.reconciler.probed["sma"]
    assert (probed.live, probed.failed) == (None, 0)
    assert probed.unasked == ("it may not" if machine else "the service manager cannot be asked")
    assert rig.said == (Status.RUNNING, Reason.AS_WANTED)


@in_a_loop
async def test_a_manager_that_is_gone_in_the_middle_is_no_no(tmp_path: Path) -> None:
    machine = Machine(places_in(tmp_path), deaf={"probe agent-probe@sma.service"})
    rig = Asked(tmp_path, spec(live=replace(COMMAND, failures=1)), machine=machine)
    rig.see(alive())
    await rig.looks()
    assert rig.reconciler.probed["sma"].unasked == "cannot probe agent-probe@sma.service: the connection is gone"


@in_a_loop
async def test_a_mistake_of_a_checker_ends_nobody_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(module, "ask", broken)
    rig = Asked(tmp_path, spec(live=PROBE))
    rig.see(alive())
    with caplog.at_level(logging.WARNING):
        await rig.looks()
        await rig.looks()
    assert rig.reconciler.probed["sma"].unasked == "ZeroDivisionError: division by zero"
    assert caplog.messages == ["cannot ask whether sma lives: ZeroDivisionError: division by zero"]


# --- Left alone -------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_it_wakes_by_itself_when_somebody_starts_and_when_somebody_is_due(tmp_path: Path) -> None:
    async with listening() as (probe, had):
        quick = replace(probe, interval=timedelta(milliseconds=20))
        rig = Rig(tmp_path, spec(ready=probe, live=quick))
        rig.reconciler.clock = real_clock.now
        probing = Probing(rig.reconciler, lambda: None, clock=real_clock.now)
        task = asyncio.ensure_future(probing.run())
        await asyncio.sleep(0)
        now = real_clock.now()
        rig.reconciler.take_all({"sma": alive(start=now)})
        rig.reconciler.run_pass()
        await until(lambda: len(had) >= 4)
        assert rig.reconciler.rows["sma"].reason is Reason.AS_WANTED
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert all(one.cancelled() or one.done() or one.cancelling() for one in probing._asking)


@in_a_loop
async def test_while_all_wait_for_somebody_elses_end_it_rests(tmp_path: Path) -> None:
    """Who is due and may not be asked yet must not keep it busy."""
    rig = Asked(tmp_path, *[spec(f"a{number}", live=PROBE) for number in range(MOST[ProbeKind.TCP] + 1)])
    rig.see(*[alive(name=name) for name in rig.reconciler.disk.specs])
    rig.probing.look()
    rig.clock.go_on(minutes(1))
    rig.probing.agenda.begin(rig.clock.now.monotonic)
    rest = asyncio.ensure_future(rig.probing._rest())
    await asyncio.wait((rest,), timeout=0.05)
    assert not rest.done()
    rest.cancel()


# --- The reconciler ---------------------------------------------------------------------------------------------------


@in_a_loop
async def test_answers_are_taken_only_of_the_life_that_is_active_now(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec(live=PROBE))

    def taken(life: str) -> bool:
        return rig.reconciler.take_answer("sma", life, ProbeRole.LIVE, REFUSED)

    assert not taken("boot-1/a")
    rig.see(alive())
    assert not taken("boot-1/b")
    assert taken("boot-1/a")
    rig.see(alive(phase=Phase.STOPPING))
    assert not taken("boot-1/a")


@in_a_loop
async def test_a_gap_forgives_the_noes_before_it_and_keeps_the_answers(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec(live=PROBE))
    rig.see(alive())
    for _ in range(2):
        rig.reconciler.take_answer("sma", "boot-1/a", ProbeRole.LIVE, REFUSED)
    rig.reconciler.forgive_failures()
    rig.reconciler.take_answer("sma", "boot-1/a", ProbeRole.LIVE, REFUSED)
    rig.reconciler.run_pass()
    assert rig.reconciler.rows["sma"].status is Status.RUNNING
    assert rig.reconciler.world().observed["sma"].failed_probes == 1


@in_a_loop
async def test_answers_go_with_the_agent(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec(live=PROBE))
    rig.see(alive())
    rig.reconciler.take_answer("sma", "boot-1/a", ProbeRole.LIVE, YES)
    rig.install()
    rig.see()
    assert rig.reconciler.probed == {}
