"""What systemd signals, in its own order, and what is told of it: deaths at once, passing states never.

The messages are dbus-fast's own. Of each moment systemd sends first what the Service interface has, then Unit's.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dbus_fast import Message, MessageType, Variant

from supervise.errors import PlatformError
from supervise.model import Cause, Exit, Lost, Phase, UnitState
from supervise.platforms.systemd.bus import MANAGER, MANAGER_PATH, PROPERTIES, UNIT
from supervise.platforms.systemd.platform import Systemd
from supervise.platforms.systemd.watch import SERVICE, Watch, agent_name, unit_of_path
from tests.nouns import places_in
from tests.platforms.systemd.patience import elapse, run

SMA, TIMER = "agent@sma.service", "agent@sma.timer"
HELD_BACK = 0.05
INSTANT = 0.002
"""How long a passing state of a restart lasts."""
SECOND = 1_000_000
START = 1_000 * SECOND
"""When the first life began, on the monotonic clock in µs; the wall clock says the same."""
FIXED = {"Restart": "always", "RestartUSec": 300_000, "LoadState": "loaded"}
"""What is never signalled, so that it must be asked for."""
SIGNATURES = {"MainPID": "u", "NRestarts": "u", "ExecMainCode": "i", "ExecMainStatus": "i", "Job": "(uo)"}
NO_JOB, A_JOB = [0, "/"], [7, "/org/freedesktop/systemd1/job/7"]


@dataclass(frozen=True)
class Moment:
    """What both interfaces signal of one change."""

    service: dict[str, Any] = field(default_factory=dict)
    unit: dict[str, Any] = field(default_factory=dict)


def life(number: int) -> dict[str, Any]:
    """The Service side of the life that began after so many restarts."""
    start = START + number * 20 * SECOND
    return {
        **{"MainPID": 100 + number, "NRestarts": number, "Result": "success"},
        **{"ExecMainStartTimestamp": start, "ExecMainStartTimestampMonotonic": start},
        **{"ExecMainExitTimestamp": 0, "ExecMainExitTimestampMonotonic": 0, "ExecMainCode": 0, "ExecMainStatus": 0},
    }


def ended(
    number: int, *, code: int = 2, status: int = 9, result: str = "signal", at: int = 10 * SECOND
) -> dict[str, Any]:
    end = START + number * 20 * SECOND + at
    return {
        **life(number),
        **{"MainPID": 0, "ExecMainCode": code, "ExecMainStatus": status, "Result": result},
        **{"ExecMainExitTimestamp": end, "ExecMainExitTimestampMonotonic": end},
    }


def unit(active: str, sub: str, job: Any = NO_JOB, **times: int) -> dict[str, Any]:
    return {"ActiveState": active, "SubState": sub, "Job": job, **times}


DEATH = START + 10 * SECOND
LEFT: dict[str, Any] = {"ActiveExitTimestampMonotonic": DEATH + 500, "InactiveEnterTimestampMonotonic": DEATH + 500}
RUNNING = Moment(life(0), unit("active", "running", ActiveExitTimestampMonotonic=0))
FAILS = Moment(ended(0), unit("failed", "failed", **LEFT))
WAITS = Moment(ended(0), unit("activating", "auto-restart", **LEFT))
RESTS = Moment(
    {**ended(0), "NRestarts": 1},
    unit("inactive", "dead", A_JOB, **{**LEFT, "InactiveEnterTimestampMonotonic": DEATH + 432_000}),
)
BEGINS = Moment(life(1), unit("activating", "start", A_JOB))
RUNS_AGAIN = Moment(life(1), unit("active", "running"))
GIVES_UP = Moment(RESTS.service, {**RESTS.unit, **unit("failed", "failed")})
STOPS = Moment(life(0), unit("deactivating", "stop-sigterm", A_JOB, ActiveExitTimestampMonotonic=DEATH - 100))
STOPPED = Moment(
    ended(0, status=15),
    unit("inactive", "dead", ActiveExitTimestampMonotonic=DEATH - 100, InactiveEnterTimestampMonotonic=DEATH + 100),
)


class Bus:
    """A watch, what is signalled to it, and what it asks."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        """What it gets for an answer: properties, None, or an error."""
        self.asked: list[str] = []
        self.watch = Watch("boot-1", ask=self._answer, ask_timer=self._answer)

    async def _answer(self, name: str) -> dict[str, Any] | None:
        self.asked.append(name)
        await elapse()
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return None if answer is None else dict(answer)

    def know(self, moment: Moment = RUNNING) -> UnitState:
        return self.reads({**FIXED, **moment.service, **moment.unit, "JobType": ""})

    def reads(self, properties: dict[str, Any]) -> UnitState:
        """A snapshot does."""
        with self.watch.reading() as reading:
            return self.watch.know(SMA, properties, reading)

    def service(self, moment: Moment) -> None:
        self.watch.hear(changed(SERVICE, moment.service))

    def unit(self, moment: Moment) -> None:
        self.watch.hear(changed(UNIT, moment.unit))

    def manager(self, member: str, signature: str, *body: Any) -> None:
        self.watch.hear(signal(MANAGER_PATH, MANAGER, member, signature, *body))

    def told(self) -> list[Any]:
        """All that came out since the last look."""
        return [self.watch.queue.get_nowait() for _ in range(self.watch.queue.qsize())]

    def phases(self) -> list[Phase]:
        return [change.phase for change in self.told()]

    def happens(self, *moments: Moment) -> list[Phase]:
        for moment in moments:
            self.service(moment)
            self.unit(moment)
        return self.phases()


def signal(path: str, interface: str, member: str, signature: str, *body: Any) -> Message:
    return Message(
        path=path,
        interface=interface,
        member=member,
        signature=signature,
        body=list(body),
        message_type=MessageType.SIGNAL,
    )


def changed(interface: str, properties: dict[str, Any], *, name: str = SMA) -> Message:
    signatures = {int: "t", str: "s", bool: "b"}
    variants = {
        key: Variant(SIGNATURES.get(key) or signatures[type(value)], value) for key, value in properties.items()
    }
    path = "/org/freedesktop/systemd1/unit/" + name.replace("@", "_40").replace(".", "_2e")
    return signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", interface, variants, [])


def watched(test: Callable[[Bus], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The test with a bus of its own, on a clock that stands still."""

    def wrapped() -> None:
        async def work() -> None:
            bus = Bus()
            await test(bus)
            bus.watch.close()

        run(work)

    return wrapped


# --- Snapshots --------------------------------------------------------------------------------------------------------


@watched
async def test_what_is_signalled_while_a_snapshot_is_read_is_newer_than_what_that_reads(bus: Bus) -> None:
    bus.know()
    read = {**FIXED, **RUNNING.service, **RUNNING.unit, "JobType": ""}
    with bus.watch.reading() as reading:
        bus.service(STOPPED)
        bus.unit(STOPPED)
        assert bus.watch.know(SMA, read, reading).phase is Phase.INACTIVE
    assert bus.told() == [], "the snapshot has told it"
    bus.unit(STOPPED)  # whatever is signalled next
    assert [(state.phase, state.pid) for state in bus.told()] == [(Phase.INACTIVE, None)]
    assert bus.know(RUNNING).phase is Phase.ACTIVE, "that was read later"


@watched
async def test_what_a_snapshot_has_read_before_or_never_reads_is_told(bus: Bus) -> None:
    bus.know()
    read = {**FIXED, **RUNNING.service, **RUNNING.unit, "JobType": ""}
    with bus.watch.reading():
        assert bus.happens(STOPPED) == [], "it may be about to"
    assert [state.phase for state in bus.told()] == [Phase.INACTIVE]
    bus.know()
    with bus.watch.reading() as reading:
        bus.watch.know(SMA, read, reading)
        assert bus.happens(STOPPED) == [Phase.INACTIVE]


class Asked:
    """A manager that stops a unit while it is asked about it, and tells how that was before."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def call(self, member: str, signature: str, *body: Any) -> list[Any]:
        self._bus.service(STOPPED)
        self._bus.unit(STOPPED)
        return [[[SMA, "", "loaded", "active", "running", "", "path", 0, "", "/"]]]

    async def all_properties(self, path: str, interface: str) -> dict[str, Any]:
        return {**FIXED, **RUNNING.service}

    async def property(self, path: str, interface: str, name: str) -> Any:
        return RUNNING.unit.get(name, 0)


@watched
async def test_who_asks_about_some_takes_nothing_from_who_follows_all(bus: Bus) -> None:
    systemd = Systemd(places_in(Path("/nowhere")))
    systemd._bus, systemd._watch = Asked(bus), bus.watch  # type: ignore[assignment]
    for names, read, told in ((["sma"], Phase.ACTIVE, [Phase.INACTIVE]), (None, Phase.INACTIVE, [])):
        bus.know()
        assert (await systemd.snapshot(names)).states["sma"].phase is read
        assert [state.phase for state in bus.told()] == told


# --- Deaths and restarts ----------------------------------------------------------------------------------------------


@watched
async def test_a_death_is_told_at_once_and_in_full(bus: Bus) -> None:
    bus.know()
    bus.service(FAILS)
    bus.unit(FAILS)
    (state,) = bus.told()
    assert (state.phase, state.pid, state.cause, state.exit) == (
        Phase.RESTARTING,
        None,
        Cause.SIGNAL,
        Exit(signal=9),
    )
    assert (state.by_request, state.gave_up) == (None, None)
    assert state.ended_monotonic == timedelta(seconds=1010)
    assert state.ended_at == datetime.fromtimestamp(1010, UTC)


@watched
async def test_a_restart_is_never_told_as_one_of_its_passing_states(bus: Bus) -> None:
    bus.know()
    told = bus.happens(FAILS)
    await elapse(INSTANT)
    told += bus.happens(WAITS)
    await elapse(0.3)
    told += bus.happens(RESTS)
    await elapse(INSTANT)
    told += bus.happens(BEGINS, RUNS_AGAIN)
    await elapse(1.0)
    assert told == [Phase.RESTARTING, Phase.RESTARTING, Phase.STARTING, Phase.ACTIVE]
    assert bus.told() == []


@watched
async def test_also_a_restart_whose_signals_come_all_at_once(bus: Bus) -> None:
    bus.know()
    assert bus.happens(FAILS, WAITS, RESTS, BEGINS, RUNS_AGAIN) == [
        Phase.RESTARTING,
        Phase.RESTARTING,
        Phase.STARTING,
        Phase.ACTIVE,
    ]
    await elapse(1.0)
    assert bus.told() == []


@watched
async def test_after_a_restart_it_is_another_life(bus: Bus) -> None:
    first = bus.know()
    bus.happens(FAILS, WAITS, RESTS)
    bus.service(RUNS_AGAIN)
    bus.unit(RUNS_AGAIN)
    (second,) = bus.told()
    assert second.incarnation not in (None, first.incarnation)
    assert (second.pid, second.restarts, second.exit, second.ended_at) == (101, 1, None, None)


@watched
async def test_a_failure_after_which_nothing_follows_is_told_as_one_soon(bus: Bus) -> None:
    bus.know()
    assert bus.happens(FAILS) == [Phase.RESTARTING]
    await elapse(HELD_BACK - 0.001)
    assert bus.told() == []
    await elapse(0.001)
    (state,) = bus.told()
    assert (state.phase, state.by_request, state.gave_up) == (Phase.FAILED, False, False)
    await elapse(1.0)
    assert bus.happens(FAILS) == [Phase.FAILED]


@watched
async def test_signals_that_go_on_coming_do_not_put_it_off(bus: Bus) -> None:
    bus.know()
    for _ in range(3):
        assert bus.happens(FAILS) == [Phase.RESTARTING]
        await elapse(HELD_BACK / 4)
    await elapse(HELD_BACK / 4)
    assert bus.phases() == [Phase.FAILED]
    await elapse(1.0)
    assert bus.told() == []


@watched
async def test_what_the_manager_does_not_restart_has_failed_at_once(bus: Bus) -> None:
    bus.reads({**FIXED, **RUNNING.service, **RUNNING.unit, "Restart": "no"})
    assert bus.happens(FAILS) == [Phase.FAILED]


@watched
async def test_what_never_made_a_process_has_failed_at_once(bus: Bus) -> None:
    bus.know(Moment({}, unit("activating", "start")))
    assert bus.happens(Moment({"Result": "resources"}, unit("failed", "failed"))) == [Phase.FAILED]


@watched
async def test_a_manager_that_gives_up_is_told_as_such(bus: Bus) -> None:
    bus.know()
    bus.happens(FAILS, WAITS)
    await elapse(0.3)
    assert bus.happens(RESTS) == []
    bus.service(GIVES_UP)
    bus.unit(GIVES_UP)
    (state,) = bus.told()
    assert (state.phase, state.gave_up, state.by_request) == (Phase.FAILED, True, False)
    await elapse(1.0)
    assert bus.told() == []


@watched
async def test_a_failure_that_is_reset_for_a_start_is_not_told_as_a_stop_in_passing(bus: Bus) -> None:
    bus.know(GIVES_UP)
    forgotten = Moment(GIVES_UP.service, unit("inactive", "dead"))
    assert bus.happens(forgotten, BEGINS) == [Phase.STARTING]
    await elapse(1.0)
    assert bus.told() == []
    bus.know(GIVES_UP)
    assert bus.happens(forgotten) == []
    await elapse(HELD_BACK)
    assert bus.phases() == [Phase.INACTIVE]


# --- Stops ------------------------------------------------------------------------------------------------------------


@watched
async def test_a_stop_is_told_at_once(bus: Bus) -> None:
    bus.know()
    assert bus.happens(STOPS) == [Phase.STOPPING]
    bus.service(STOPPED)
    bus.unit(STOPPED)
    (state,) = bus.told()
    assert (state.phase, state.by_request, state.exit) == (Phase.INACTIVE, True, Exit(signal=15))
    await elapse(1.0)
    assert bus.told() == []


@watched
async def test_a_stop_of_a_program_that_fails_on_it_is_no_death(bus: Bus) -> None:
    bus.know()
    failed = Moment(ended(0, code=1, status=1, result="exit-code"), {**STOPPED.unit, **unit("failed", "failed")})
    assert bus.happens(STOPS, failed) == [Phase.STOPPING, Phase.FAILED]


@watched
async def test_a_stop_during_the_wait_for_a_restart_is_told_once_it_stays(bus: Bus) -> None:
    bus.know()
    assert bus.happens(FAILS, WAITS) == [Phase.RESTARTING, Phase.RESTARTING]
    rests = Moment({**RESTS.service, "NRestarts": 0}, {**RESTS.unit, "Job": NO_JOB})
    assert bus.happens(rests) == []
    await elapse(HELD_BACK)
    (state,) = bus.told()
    assert (state.phase, state.by_request) == (Phase.INACTIVE, True)


@watched
async def test_what_waits_for_others_is_told_once_it_does_so_for_more_than_a_moment(bus: Bus) -> None:
    bus.know(STOPPED)
    assert bus.happens(Moment(STOPPED.service, {**STOPPED.unit, "Job": A_JOB})) == []
    await elapse(HELD_BACK)
    assert bus.phases() == [Phase.QUEUED]
    assert bus.happens(STOPPED) == [Phase.INACTIVE]


@watched
async def test_the_job_that_is_still_there_at_the_end_of_a_stop_is_no_start(bus: Bus) -> None:
    bus.know()
    done = Moment(STOPPED.service, {**STOPPED.unit, "Job": A_JOB})
    assert bus.happens(STOPS, done, STOPPED) == [Phase.STOPPING, Phase.INACTIVE]


@watched
async def test_a_clean_end_that_is_restarted_is_told_as_that_and_not_as_a_stop(bus: Bus) -> None:
    bus.know()
    ends = Moment(ended(0, code=1, status=0, result="success"), {**STOPPED.unit, "ActiveExitTimestampMonotonic": 2**40})
    assert bus.happens(ends) == [Phase.RESTARTING]


@watched
async def test_a_clean_end_that_is_not_restarted_is_told_as_it_is(bus: Bus) -> None:
    ends = Moment(ended(0, code=1, status=0, result="success"), {**STOPPED.unit, "ActiveExitTimestampMonotonic": 2**40})
    bus.reads({**FIXED, **RUNNING.service, **RUNNING.unit, "Restart": "on-failure"})
    assert bus.happens(ends) == [Phase.INACTIVE]


@watched
async def test_how_a_before_start_ended_is_asked_since_nobody_signals_it(bus: Bus) -> None:
    pre = {"ExecStartPre": [["/bin/x", ["/bin/x"], False, START, START, 0, 0, 0, 0, 0]]}
    bus.reads({**FIXED, **pre, **RUNNING.service, **RUNNING.unit})
    refused = {"ExecStartPre": [["/bin/x", ["/bin/x"], False, 0, 0, DEATH, DEATH, 9, 1, 3]]}
    bus.answers[SMA] = {**FIXED, **refused, **life(0), **WAITS.unit, "MainPID": 0, "Result": "exit-code"}
    assert bus.happens(Moment({**life(0), "MainPID": 0, "Result": "exit-code"}, WAITS.unit)) == []
    await elapse()
    await elapse()
    (state,) = bus.told()
    assert (bus.asked, state.phase, state.before_start, state.exit) == ([SMA], Phase.RESTARTING, True, Exit(code=3))
    assert bus.happens(RUNS_AGAIN) == [Phase.ACTIVE]
    assert bus.asked == [SMA]


# --- Two signals are one moment ---------------------------------------------------------------------------------------


@watched
async def test_the_first_half_of_a_moment_tells_nothing(bus: Bus) -> None:
    bus.know()
    bus.service(FAILS)
    await elapse(1.0)
    assert bus.told() == []
    bus.unit(FAILS)
    (state,) = bus.told()
    assert (state.phase, state.pid) == (Phase.RESTARTING, None)


@watched
async def test_other_messages_tell_nothing(bus: Bus) -> None:
    bus.know()
    bus.watch.hear(Message(path="/", interface=MANAGER, member="Reload", message_type=MessageType.METHOD_CALL))
    bus.watch.hear(changed("org.freedesktop.systemd1.Socket", FAILS.unit))
    bus.watch.hear(changed(UNIT, FAILS.unit, name="cron.service"))
    bus.watch.hear(signal("/", "org.example", "Reloading", "b", False))
    bus.manager("StartupFinished", "t", 1)
    await elapse(1.0)
    assert (bus.told(), bus.asked) == ([], [])


# --- Units that come and go -------------------------------------------------------------------------------------------


@watched
async def test_an_unknown_unit_is_asked_about_before_anything_is_told(bus: Bus) -> None:
    bus.answers[SMA] = {**FIXED, **BEGINS.service, **BEGINS.unit, "JobType": "start"}
    bus.service(BEGINS)
    bus.unit(BEGINS)
    assert bus.told() == []
    bus.service(RUNS_AGAIN)
    bus.unit(RUNS_AGAIN)
    assert bus.told() == []
    await elapse()
    assert bus.asked == [SMA]
    await elapse()
    assert bus.phases() == [Phase.ACTIVE]
    assert bus.happens(FAILS) == [Phase.RESTARTING]


@watched
async def test_what_was_signalled_while_it_was_asked_is_newer_than_the_answer(bus: Bus) -> None:
    bus.answers[SMA] = {**FIXED, **RUNNING.service, **RUNNING.unit}
    bus.manager("UnitNew", "so", SMA, "/whatever")
    assert bus.happens(STOPPED) == []
    await elapse()
    await elapse()
    assert bus.phases() == [Phase.INACTIVE]


@watched
async def test_what_is_being_asked_about_is_not_asked_about_again(bus: Bus) -> None:
    bus.answers[SMA] = {**FIXED, **RUNNING.service, **RUNNING.unit}
    bus.happens(STOPPED)
    bus.manager("UnitNew", "so", SMA, "/whatever")
    await elapse()
    await elapse()
    assert (bus.asked, bus.phases()) == ([SMA], [Phase.INACTIVE])


@watched
async def test_a_unit_that_is_gone_before_it_was_asked_is_nothing(bus: Bus) -> None:
    bus.answers[SMA] = None
    bus.manager("UnitNew", "so", SMA, "/whatever")
    await elapse()
    await elapse()
    assert (bus.told(), bus.asked) == ([], [SMA])
    bus.unit(RUNNING)
    await elapse()
    assert bus.asked == [SMA, SMA]


@watched
async def test_what_cannot_be_asked_may_have_been_missed(bus: Bus) -> None:
    bus.answers |= {SMA: PlatformError("no answer"), TIMER: PlatformError("no timer")}
    bus.unit(RUNNING)
    await elapse()
    await elapse()
    assert bus.told() == [Lost("no answer")]
    bus.manager("UnitNew", "so", TIMER, "/whatever")
    await elapse(HELD_BACK)
    await elapse()
    assert bus.told() == [Lost("no timer")]


@watched
async def test_a_new_unit_is_asked_about_only_if_it_is_an_unknown_agent(bus: Bus) -> None:
    bus.know()
    bus.manager("UnitNew", "so", SMA, "/whatever")
    bus.manager("UnitNew", "so", "cron.service", "/whatever")
    bus.manager("UnitNew", "so", "agent@.service", "/whatever")
    await elapse()
    assert bus.asked == []


@watched
async def test_a_unit_that_is_unloaded_is_inactive_and_no_longer_known(bus: Bus) -> None:
    bus.know()
    bus.happens(FAILS)
    bus.manager("UnitRemoved", "so", SMA, "/whatever")
    assert bus.told() == [UnitState("sma", SMA, Phase.INACTIVE)]
    await elapse(1.0)
    assert bus.told() == []
    bus.manager("UnitRemoved", "so", SMA, "/whatever")
    bus.manager("UnitRemoved", "so", "cron.service", "/whatever")
    assert bus.told() == []
    bus.answers[SMA] = None
    bus.unit(RUNNING)
    await elapse()
    assert bus.asked == [SMA]


@watched
async def test_after_a_reload_all_must_be_asked_anew(bus: Bus) -> None:
    bus.manager("Reloading", "b", True)
    assert bus.told() == []
    bus.manager("Reloading", "b", False)
    (lost,) = bus.told()
    assert isinstance(lost, Lost)


@watched
async def test_in_a_reload_no_unit_is_told_as_gone_nor_asked_about(bus: Bus) -> None:
    """systemd forgets all of them and finds them again; what runs has run all the time."""
    bus.know()
    bus.manager("Reloading", "b", True)
    bus.manager("UnitRemoved", "so", SMA, "/whatever")
    bus.manager("UnitRemoved", "so", "agent@ema.service", "/whatever")
    assert bus.told() == []
    bus.manager("Reloading", "b", False)
    bus.manager("UnitNew", "so", SMA, "/whatever")
    await elapse()
    assert [type(change) for change in bus.told()] == [Lost]
    assert bus.asked == []
    assert bus.happens(FAILS) == [Phase.RESTARTING]
    bus.manager("UnitRemoved", "so", SMA, "/whatever")
    assert bus.phases() == [Phase.INACTIVE]


@watched
async def test_a_snapshot_says_what_was_held_back(bus: Bus) -> None:
    bus.know()
    bus.happens(FAILS)
    assert bus.know(FAILS).phase is Phase.FAILED
    await elapse(1.0)
    assert bus.told() == []
    assert bus.happens(FAILS) == [Phase.FAILED]


# --- Refused by a dependency ------------------------------------------------------------------------------------------


@watched
async def test_a_start_that_a_dependency_refused_is_told_with_its_cause(bus: Bus) -> None:
    never = Moment({}, unit("inactive", "dead"))
    bus.know(never)
    bus.happens(Moment({}, unit("inactive", "dead", A_JOB)))
    bus.manager("JobRemoved", "uoss", 7, A_JOB[1], SMA, "dependency")
    (state,) = bus.told()
    assert (state.phase, state.cause) == (Phase.INACTIVE, Cause.DEPENDENCY)
    assert bus.know(never).cause is Cause.DEPENDENCY
    assert bus.happens(BEGINS, STOPPED) == [Phase.STARTING, Phase.INACTIVE]
    assert bus.know(never).cause is None


@watched
async def test_other_ends_of_jobs_tell_nothing(bus: Bus) -> None:
    bus.know(STOPPED)
    bus.manager("JobRemoved", "uoss", 7, A_JOB[1], SMA, "done")
    bus.manager("JobRemoved", "uoss", 7, A_JOB[1], "cron.service", "dependency")
    assert bus.told() == []
    assert bus.know(STOPPED).cause is Cause.SIGNAL


# --- Timers -----------------------------------------------------------------------------------------------------------

NEXT = {"next_run": datetime(2026, 3, 2, 4, tzinfo=UTC), "timer_active": True}


@watched
async def test_when_a_timer_fires_next_is_asked_once_its_signals_rest(bus: Bus) -> None:
    bus.know(STOPPED)
    bus.answers[TIMER] = NEXT
    for _ in range(3):
        bus.watch.hear(changed(UNIT, unit("active", "waiting"), name=TIMER))
    await elapse(HELD_BACK - 0.001)
    assert bus.asked == []
    await elapse(0.001)
    await elapse()
    assert bus.asked == [TIMER]
    (state,) = bus.told()
    assert (state.name, state.phase, state.next_run, state.timer_active) == (
        "sma",
        Phase.INACTIVE,
        NEXT["next_run"],
        True,
    )
    bus.watch.hear(changed(UNIT, unit("active", "waiting"), name=TIMER))
    await elapse(HELD_BACK)
    assert bus.asked == [TIMER, TIMER]


@watched
async def test_a_timer_that_is_gone_is_off(bus: Bus) -> None:
    bus.watch.know_timer("sma", NEXT)
    assert bus.know(STOPPED).timer_active
    bus.answers[TIMER] = None
    bus.manager("UnitNew", "so", TIMER, "/whatever")
    await elapse(HELD_BACK)
    await elapse()
    (state,) = bus.told()
    assert (state.next_run, state.timer_active) == (None, False)


@watched
async def test_a_timer_of_an_unknown_job_leads_to_the_job(bus: Bus) -> None:
    bus.answers |= {TIMER: NEXT, SMA: {**FIXED, **STOPPED.service, **STOPPED.unit}}
    bus.watch.hear(changed(UNIT, unit("active", "waiting"), name=TIMER))
    await elapse(HELD_BACK)
    await elapse()
    await elapse()
    assert bus.asked == [TIMER, SMA]
    assert [state.timer_active for state in bus.told()] == [True]


# --- The end ----------------------------------------------------------------------------------------------------------


@watched
async def test_after_its_end_nothing_more_is_told(bus: Bus) -> None:
    bus.know()
    bus.answers["agent@ema.service"] = {**FIXED, **RUNNING.service, **RUNNING.unit}
    bus.manager("UnitNew", "so", "agent@ema.service", "/whatever")
    bus.happens(FAILS)
    bus.watch.close()
    await elapse(1.0)
    await elapse()
    assert bus.told() == []


# --- Names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/org/freedesktop/systemd1/unit/agent_40sma_2eservice", "agent@sma.service"),
        ("/org/freedesktop/systemd1/unit/agent_40market_5fdata_2e1_2eservice", "agent@market_data.1.service"),
        ("", ""),
    ],
)
def test_the_unit_behind_a_path_is_found(path: str, unit: str) -> None:
    assert unit_of_path(path) == unit


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        ("agent@sma.service", "sma"),
        ("agent@sma.1.service", "sma.1"),
        ("agent@nightly.timer", "nightly"),
        ("cron.service", "cron.service"),
    ],
)
def test_an_agent_is_named_by_its_unit(unit: str, name: str) -> None:
    assert agent_name(unit) == name
