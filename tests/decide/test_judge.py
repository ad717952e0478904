"""The rules that judge an agent: each by one example, their order by making two of them true at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervise.decide import Case, Verdict, copies, judge
from supervise.decide.judge import counted_from, idleness, silence
from supervise.model import (
    AgentSpec,
    Beat,
    BeatStatus,
    Cause,
    Ending,
    Exit,
    HeartbeatLimits,
    Hold,
    HostFacts,
    Instant,
    Intent,
    IntentKind,
    Observation,
    Past,
    Phase,
    ProcessId,
    Rate,
    Reason,
    Requirement,
    Restart,
    RestartPolicy,
    Schedule,
    Status,
    UnitState,
)
from tests.nouns import NOON, NOW, after, alive, copy, dead, minutes, seconds, spec, state

AGENT = spec()
JOB = spec(schedule=Schedule(("*-*-* 04:00:00 UTC",)))
HOLD = Hold("sma", "too many orders", "ada", NOON - timedelta(minutes=1))
COPY = (copy(),)
LEFT = frozenset({ProcessId(12, 1), ProcessId(7, 1)})
CRASH: dict[str, Any] = {"cause": Cause.EXIT_CODE, "exit": Exit(code=3), "started_at": NOON}
GIVEN_UP: dict[str, Any] = {**CRASH, "gave_up": True, "by_request": False}
BEFORE = after(-minutes(10))
"""When what runs was started."""
SECOND = seconds(1)
MOMENT = timedelta(microseconds=1)
TOGETHER = seconds(5)
NEEDED = "agent@feed.service"

ACTIVE, INACTIVE, FAILED, ABSENT = Phase.ACTIVE, Phase.INACTIVE, Phase.FAILED, Phase.ABSENT
RESTARTING, QUEUED, STARTING, STOPPING = Phase.RESTARTING, Phase.QUEUED, Phase.STARTING, Phase.STOPPING


def seen(
    phase: Phase, *, outside: Any = (), inside: Any = frozenset(), requires: Any = None, **unit: Any
) -> Observation:
    return Observation(state(phase, **unit), inside, outside, requirements=requires or {})


def verdict(observation: Observation, *, spec: AgentSpec = AGENT, job: bool = False, **case: Any) -> Verdict:
    return judge(Case(JOB if job else spec, observation, case.pop("now", NOW), **case))


def said(observation: Observation, **case: Any) -> tuple[Status, Reason]:
    found = verdict(observation, **case)
    assert found.message.endswith(".")
    return found.status, found.reason


def message(observation: Observation, **case: Any) -> str:
    return verdict(observation, **case).message


def intent(kind: IntentKind = IntentKind.STOP, *, by: str = "ada", at: Instant = NOW, reason: str = "") -> Intent:
    return Intent(kind, "sma", by, at.wall, at.boot, at.monotonic, reason)


def beating(unit: UnitState, **beat: Any) -> Observation:
    """A unit with a beat of this moment."""
    return Observation(unit, frozenset(), (), Beat(**{"at": NOW, "pid": 7, **beat}))


# --- 1 to 7: unseen, held, outside of its unit, not there, on the move ------------------------------------------------


def test_what_could_not_be_asked_for_is_unknown() -> None:
    assert said(Observation()) == (Status.UNKNOWN, Reason.NOT_OBSERVED)


def test_held_and_down_is_stopped_and_says_who_and_why() -> None:
    assert said(seen(INACTIVE), hold=HOLD) == (Status.STOPPED, Reason.HELD)
    assert message(seen(INACTIVE), hold=HOLD) == "It is held by ada: too many orders."


@pytest.mark.parametrize("phase", [ABSENT, INACTIVE, FAILED, QUEUED])
def test_held_and_not_begun_is_as_it_should_be(phase: Phase) -> None:
    assert said(seen(phase), hold=HOLD) == (Status.STOPPED, Reason.HELD)


@pytest.mark.parametrize("phase", [ACTIVE, STARTING, RESTARTING])
def test_held_and_up_is_an_error(phase: Phase) -> None:
    assert said(seen(phase), hold=HOLD) == (Status.ERROR, Reason.HELD)
    assert f"yet its unit is {phase.value}" in message(seen(phase), hold=HOLD)


def held_for(age: timedelta) -> Hold:
    return replace(HOLD, at=NOON - age)


@pytest.mark.parametrize("phase", [ACTIVE, STARTING, STOPPING, RESTARTING])
def test_what_has_just_been_held_is_being_stopped(phase: Phase) -> None:
    assert verdict(seen(phase), hold=held_for(timedelta())) == Verdict(
        Status.STOPPING, Reason.HELD, "It is held by ada: too many orders; it is being stopped."
    )


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (-seconds(1) - MOMENT, Status.ERROR),
        (-seconds(1), Status.STOPPING),
        (seconds(5) - MOMENT, Status.STOPPING),
        (seconds(5), Status.ERROR),
    ],
)
def test_a_hold_is_new_for_five_seconds(age: timedelta, status: Status) -> None:
    assert said(seen(ACTIVE), hold=held_for(age)) == (status, Reason.HELD)
    assert said(seen(STOPPING), hold=held_for(age)) == (Status.STOPPING, Reason.HELD)


@pytest.mark.parametrize("phase", [ABSENT, INACTIVE, FAILED, QUEUED])
def test_what_has_just_been_held_and_is_down_is_stopped(phase: Phase) -> None:
    assert said(seen(phase), hold=held_for(timedelta())) == (Status.STOPPED, Reason.HELD)


def test_what_has_just_been_held_while_a_copy_runs_outside_is_an_error() -> None:
    assert said(seen(ACTIVE, outside=COPY), hold=held_for(timedelta())) == (Status.ERROR, Reason.HELD)


@pytest.mark.parametrize("phase", [INACTIVE, ACTIVE])
def test_held_while_a_copy_runs_outside_is_an_error_that_names_it(phase: Phase) -> None:
    assert said(seen(phase, outside=COPY), hold=HOLD) == (Status.ERROR, Reason.HELD)
    assert "PID 4711" in message(seen(phase, outside=COPY), hold=HOLD)


@pytest.mark.parametrize("phase", [INACTIVE, FAILED])
def test_held_while_processes_of_it_are_left_is_an_error_that_names_them(phase: Phase) -> None:
    assert said(seen(phase, inside=LEFT), hold=HOLD) == (Status.ERROR, Reason.HELD)
    assert message(seen(phase, inside=LEFT), hold=HOLD) == (
        "It is held by ada: too many orders; yet processes of it are left: PID 7, 12."
    )


def test_what_runs_in_the_foreground_runs() -> None:
    alone = Observation(state(INACTIVE), foreground=LEFT)
    assert verdict(alone) == Verdict(
        Status.RUNNING, Reason.AS_WANTED, "It runs outside of its unit, in the foreground or adopted (PID 7)."
    )


def test_a_unit_beside_the_foreground_is_a_duplicate() -> None:
    both = Observation(state(ACTIVE), foreground=LEFT)
    assert said(both) == (Status.WARNING, Reason.DUPLICATE_PROCESS)
    assert "PID 7" in message(both)


def test_a_copy_beside_the_foreground_is_a_duplicate_and_both_are_named() -> None:
    both = Observation(state(INACTIVE), foreground=LEFT, outside=COPY)
    assert said(both) == (Status.WARNING, Reason.DUPLICATE_PROCESS)
    assert "PID 7" in message(both)
    assert "PID 4711" in message(both)


@pytest.mark.parametrize("phase", [ABSENT, INACTIVE, FAILED, RESTARTING])
def test_a_copy_outside_of_a_unit_that_is_down_is_hidden(phase: Phase) -> None:
    assert said(seen(phase, outside=COPY)) == (Status.WARNING, Reason.HIDDEN_PROCESS)
    assert "PID 4711" in message(seen(phase, outside=COPY))


@pytest.mark.parametrize("phase", [ABSENT, INACTIVE, FAILED])
def test_processes_left_in_a_unit_that_is_down_are_orphans_by_pid(phase: Phase) -> None:
    assert said(seen(phase, inside=LEFT)) == (Status.WARNING, Reason.ORPHAN_PROCESS)
    assert "PID 7, 12." in message(seen(phase, inside=LEFT))


def test_without_a_file_it_is_not_installed() -> None:
    assert said(seen(ABSENT)) == (Status.STOPPED, Reason.NOT_INSTALLED)


@pytest.mark.parametrize("phase", [INACTIVE, FAILED])
def test_masked_and_down_is_stopped_by_hand(phase: Phase) -> None:
    assert said(seen(phase, masked=True)) == (Status.STOPPED, Reason.MASKED)
    assert "systemctl unmask agent@sma.service" in message(seen(phase, masked=True))


@pytest.mark.parametrize(
    ("phase", "status", "reason"),
    [
        (QUEUED, Status.STARTING, Reason.QUEUED),
        (STARTING, Status.STARTING, Reason.STARTING),
        (STOPPING, Status.STOPPING, Reason.STOPPING),
    ],
)
@pytest.mark.parametrize("job", [True, False])
def test_a_unit_on_the_move_says_where_to(phase: Phase, status: Status, reason: Reason, job: bool) -> None:
    assert said(seen(phase), job=job) == (status, reason)


# --- 8: a job between its runs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("timer", [{"timer_active": True}, {"next_run": NOON}])
def test_a_job_between_two_runs_waits(timer: dict[str, Any]) -> None:
    assert said(seen(INACTIVE, **timer), job=True) == (Status.STOPPED, Reason.WAITING)


def test_a_job_whose_last_run_failed_is_an_error_until_the_next() -> None:
    failed = seen(FAILED, timer_active=True, **CRASH)
    assert said(failed, job=True) == (Status.ERROR, Reason.LAST_RUN_FAILED)
    assert message(failed, job=True) == "Its last run exited with code 3."


@pytest.mark.parametrize("phase", [INACTIVE, FAILED])
def test_a_job_whose_last_run_somebody_stopped_is_no_error(phase: Phase) -> None:
    assert said(seen(phase, timer_active=True, by_request=True), job=True) == (Status.STOPPED, Reason.RUN_STOPPED)


@pytest.mark.parametrize("phase", [INACTIVE, FAILED])
@pytest.mark.parametrize("timer", [{"timer_active": False, "next_run": NOON}, {}])
def test_a_job_whose_timer_is_off_does_not_run_by_itself(phase: Phase, timer: dict[str, Any]) -> None:
    assert said(seen(phase, **timer), job=True) == (Status.STOPPED, Reason.TIMER_STOPPED)


def test_a_run_that_did_not_take_place_is_a_warning_that_names_it() -> None:
    waiting, past = seen(INACTIVE, timer_active=True), Past(missed=NOON)
    assert said(waiting, job=True, past=past) == (Status.WARNING, Reason.RUN_MISSED)
    assert message(waiting, job=True, past=past) == "Its run of 2026-03-01 12:00:00 UTC did not take place."


def test_a_run_that_found_the_one_before_it_still_running_was_skipped() -> None:
    waiting, past = seen(INACTIVE, timer_active=True), Past(missed=NOON, skipped=True)
    assert said(waiting, job=True, past=past) == (Status.WARNING, Reason.RUN_SKIPPED)
    assert "2026-03-01 12:00:00 UTC was skipped" in message(waiting, job=True, past=past)


def test_a_job_that_runs_is_like_any_other() -> None:
    assert said(seen(ACTIVE), job=True) == (Status.RUNNING, Reason.AS_WANTED)


# --- 9: refused, or stopped with what it requires ---------------------------------------------------------------------


def test_a_condition_that_does_not_hold_is_an_error() -> None:
    assert said(seen(INACTIVE, cause=Cause.CONDITION)) == (Status.ERROR, Reason.CONDITION_UNMET)


def test_a_condition_says_nothing_of_a_unit_that_is_up() -> None:
    assert said(seen(ACTIVE, cause=Cause.CONDITION)) == (Status.RUNNING, Reason.AS_WANTED)


def test_a_start_that_its_dependency_refused_names_what_is_missing() -> None:
    required = {"b.service": Requirement(False), "a.service": Requirement(False), "c.service": Requirement(True)}
    refused = seen(INACTIVE, cause=Cause.DEPENDENCY, requires=required)
    assert said(refused) == (Status.ERROR, Reason.DEPENDENCY_FAILED)
    assert message(refused) == "It did not start, since it requires a.service, b.service."


def test_a_refused_start_whose_dependencies_nobody_knows_is_an_error_all_the_same() -> None:
    refused = seen(INACTIVE, cause=Cause.DEPENDENCY)
    assert said(refused) == (Status.ERROR, Reason.DEPENDENCY_FAILED)
    assert "something that it requires" in message(refused)


def test_what_should_have_been_started_and_lacks_what_it_requires_waits_for_that() -> None:
    lacking = seen(INACTIVE, enabled=True, requires={NEEDED: Requirement(False)})
    assert said(lacking, settled=True) == (Status.ERROR, Reason.DEPENDENCY_FAILED)
    assert said(lacking, settled=False) == (Status.STOPPED, Reason.NOT_STARTED)


@pytest.mark.parametrize("apart", [TOGETHER, -TOGETHER, timedelta()])
def test_what_was_stopped_together_with_what_it_requires_says_so(apart: timedelta) -> None:
    stopped = seen(INACTIVE, by_request=True, ended_at=NOON, requires={NEEDED: Requirement(False, NOON + apart)})
    later = after(minutes(1))
    assert said(stopped, now=later) == (Status.ERROR, Reason.DEPENDENCY_STOPPED)
    assert message(stopped, now=later) == (
        f"It was stopped together with {NEEDED}, which it requires; `supervise start sma` starts it."
    )


@pytest.mark.parametrize("apart", [TOGETHER + MOMENT, -TOGETHER - MOMENT])
def test_what_was_stopped_at_another_time_was_stopped_by_itself(apart: timedelta) -> None:
    stopped = seen(INACTIVE, by_request=True, ended_at=NOON, requires={NEEDED: Requirement(False, NOON + apart)})
    assert said(stopped, now=after(minutes(1))) == (Status.STOPPED, Reason.STOPPED_BY_OPERATOR)


@pytest.mark.parametrize(
    ("since", "active", "reason"),
    [
        (timedelta(), False, Reason.DEPENDENCY_STOPPED),
        (TOGETHER, False, Reason.DEPENDENCY_STOPPED),
        (TOGETHER + MOMENT, False, Reason.STOPPED_BY_OPERATOR),
        (timedelta(), True, Reason.STOPPED_BY_OPERATOR),
    ],
)
def test_what_has_just_been_stopped_and_lacks_what_it_requires_is_stopped_together_with_it(
    since: timedelta, active: bool, reason: Reason
) -> None:
    stopped = seen(INACTIVE, by_request=True, ended_at=NOON, requires={NEEDED: Requirement(active)})
    assert said(stopped, now=after(since))[1] is reason


def test_of_a_stop_of_unknown_time_nobody_says_what_it_was_together_with() -> None:
    stopped = seen(INACTIVE, by_request=True, requires={NEEDED: Requirement(False, NOON)})
    assert said(stopped) == (Status.STOPPED, Reason.STOPPED_BY_OPERATOR)


def test_what_it_was_stopped_together_with_is_remembered() -> None:
    stopped = seen(INACTIVE, by_request=True, ended_at=NOON, requires={NEEDED: Requirement(True)})
    past = Past(stopped_with="agent@other.service")
    assert said(stopped, past=past, now=after(minutes(9)))[1] is Reason.DEPENDENCY_STOPPED
    assert "together with agent@other.service," in message(stopped, past=past)
    assert said(stopped, past=past, intent=intent())[1] is Reason.STOPPED_BY_OPERATOR


# --- 10: stopped by a person ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [INACTIVE, FAILED])
def test_stopped_by_request_is_no_error_and_tells_how_it_ended(phase: Phase) -> None:
    stopped = seen(phase, by_request=True, **CRASH)
    assert said(stopped) == (Status.STOPPED, Reason.STOPPED_BY_OPERATOR)
    assert message(stopped) == "Somebody stopped it; it exited with code 3."


def test_a_stop_is_told_by_its_exit_even_when_a_start_was_refused_since() -> None:
    stopped = seen(INACTIVE, by_request=True, cause=Cause.ASSERTION, exit=Exit(signal=15))
    assert message(stopped) == "Somebody stopped it; it was killed by SIGTERM."


def test_who_asked_for_a_stop_is_named_with_the_reason() -> None:
    stopped = seen(INACTIVE, **CRASH)
    asked = intent(reason="maintenance")
    assert said(stopped, intent=asked) == (Status.STOPPED, Reason.STOPPED_BY_OPERATOR)
    assert message(stopped, intent=asked) == "ada stopped it: maintenance; it exited with code 3."


def test_what_had_ended_by_itself_before_a_person_wanted_it_down_says_both() -> None:
    ended = Observation(dead(phase=INACTIVE, start=BEFORE, at=after(-MOMENT), exit=Exit(code=1)))
    assert said(ended, intent=intent()) == (Status.STOPPED, Reason.STOPPED_BY_OPERATOR)
    assert message(ended, intent=intent()) == "It exited with code 1; since then ada wants it to stay down."
    why = intent(reason="maintenance")
    assert message(ended, intent=why).endswith("; since then ada wants it to stay down: maintenance.")


@pytest.mark.parametrize(
    ("at", "by_request"), [(NOW, False), (after(-SECOND), True)], ids=["ended-with-it", "by-request"]
)
def test_what_ended_by_its_stop_was_stopped(at: Instant, by_request: bool) -> None:
    ended = Observation(dead(phase=INACTIVE, start=BEFORE, at=at, by_request=by_request))
    assert message(ended, intent=intent()) == "ada stopped it; it exited with code 3."


def test_how_its_unit_had_ended_long_before_is_not_told_of_a_stop() -> None:
    ended = Observation(dead(phase=INACTIVE, start=BEFORE, at=after(-minutes(1)), by_request=True))
    assert message(ended, intent=intent()) == "ada stopped it."


def test_a_stop_of_what_had_not_run_is_one_as_well() -> None:
    assert message(seen(INACTIVE), intent=intent()) == "ada stopped it."


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(intent(IntentKind.START), id="a-start"),
        pytest.param(intent(at=Instant(NOON, NOW.monotonic, NOW.boottime, "boot-0")), id="of-another-boot"),
        pytest.param(intent(at=after(-SECOND, BEFORE)), id="started-since"),
    ],
)
def test_a_wish_that_holds_no_more_is_not_what_stopped_it(asked: Intent) -> None:
    ended = Observation(dead(phase=INACTIVE, start=BEFORE, cause=Cause.CLEAN, exit=Exit(code=0)))
    assert said(ended, intent=asked) == (Status.STOPPED, Reason.EXITED_CLEANLY)


def test_a_wish_of_the_very_moment_of_the_start_still_holds() -> None:
    ended = Observation(dead(phase=INACTIVE, start=BEFORE))
    assert said(ended, intent=intent(at=BEFORE))[1] is Reason.STOPPED_BY_OPERATOR


# --- 11 and 12: given up, and dying again and again -------------------------------------------------------------------


@pytest.mark.parametrize("phase", [INACTIVE, FAILED])
def test_what_the_manager_gave_up_is_quarantined_with_its_cause_and_next_try(phase: Phase) -> None:
    past = Past(next_try=NOON)
    assert said(seen(phase, **GIVEN_UP), past=past) == (Status.ERROR, Reason.QUARANTINED)
    assert message(seen(phase, **GIVEN_UP), past=past) == (
        "It exited with code 3, and after too many deaths systemd gave up;"
        " it is tried again at 2026-03-01 12:00:00 UTC."
    )


def test_what_we_took_out_of_service_is_quarantined_though_its_stop_was_asked_for() -> None:
    stopped = seen(INACTIVE, by_request=True, **CRASH)
    past = Past(quarantined=True)
    assert said(stopped, past=past) == (Status.ERROR, Reason.QUARANTINED)
    assert "it was taken out of service; it is tried again soon." in message(stopped, past=past)


def test_a_quarantine_tells_why_the_last_try_came_to_nothing() -> None:
    text = message(seen(FAILED, **GIVEN_UP), past=Past(next_try=NOON, blocked="a copy runs"))
    assert text.endswith("12:00:00 UTC; the last try came to nothing: a copy runs.")


def test_what_is_never_restarted_says_so() -> None:
    never = spec(restart=Restart(policy=RestartPolicy.NEVER))
    text = message(seen(FAILED, **GIVEN_UP), spec=never, past=Past(next_try=NOON))
    assert text.endswith("; restart.policy: never, so it is not tried again.")


@pytest.mark.parametrize("phase", [ACTIVE, RESTARTING])
def test_five_deaths_are_a_crash_loop_and_four_are_none(phase: Phase) -> None:
    observation = Observation(alive(phase=phase, start=BEFORE))
    deaths = (NOW.monotonic,) * 5
    assert said(observation, past=Past(deaths=deaths)) == (Status.ERROR, Reason.CRASH_LOOPING)
    assert message(observation, past=Past(deaths=deaths)).startswith("It died 5 times within 15 min;")
    assert said(observation, past=Past(deaths=deaths[1:]))[1] is not Reason.CRASH_LOOPING


def test_nobody_is_taken_out_of_service_while_that_could_not_be_written_down() -> None:
    looping = Past(deaths=(NOW.monotonic,) * 5)
    forgetful = HostFacts(may_act=True, forgets=True)
    assert said(Observation(dead(start=BEFORE)), past=looping, host=forgetful) == (Status.ERROR, Reason.CRASHED)


def test_after_a_quarantine_one_death_is_enough() -> None:
    observation = Observation(dead(start=BEFORE))
    once = Past(deaths=(NOW.monotonic,), half_open=True)
    assert said(observation, past=once) == (Status.ERROR, Reason.CRASH_LOOPING)
    assert message(observation, past=once).startswith("It died again after it was tried once more;")
    assert said(observation, past=Past(half_open=True)) == (Status.ERROR, Reason.CRASHED)
    many = Past(deaths=(NOW.monotonic,) * 5, half_open=True)
    assert message(observation, past=many).startswith("It died 5 times")


def test_after_a_quarantine_one_death_is_enough_also_where_no_loop_is_looked_for() -> None:
    off = spec(restart=Restart(loop=None))
    for number in (1, 9):
        past = Past(deaths=(NOW.monotonic,) * number, half_open=True)
        assert said(Observation(dead()), spec=off, past=past) == (Status.ERROR, Reason.CRASH_LOOPING)
        assert message(Observation(dead()), spec=off, past=past).startswith("It died again after it was tried once")
    assert said(Observation(dead()), spec=off, past=Past(half_open=True))[1] is Reason.CRASHED


@pytest.mark.parametrize(
    "changes",
    [
        {"restart": Restart(loop=None)},
        {"restart": Restart(policy=RestartPolicy.NEVER)},
        {"quarantine": None},
        {"restart": Restart(loop=Rate(6, minutes(15)))},
    ],
    ids=["loop-off", "policy-never", "quarantine-off", "loop-of-six"],
)
def test_what_may_not_be_taken_out_of_service_does_not_loop(changes: dict[str, Any]) -> None:
    past = Past(deaths=(NOW.monotonic,) * 5)
    assert said(Observation(dead()), spec=spec(**changes), past=past) == (Status.ERROR, Reason.CRASHED)


# --- 13 and 14: one death ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [RESTARTING, FAILED])
@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (Cause.EXIT_CODE, Reason.CRASHED),
        (Cause.SIGNAL, Reason.CRASHED),
        (Cause.CORE_DUMP, Reason.CRASHED),
        (Cause.RESOURCES, Reason.CRASHED),
        (None, Reason.CRASHED),
        (Cause.WATCHDOG, Reason.WATCHDOG_EXPIRED),
        (Cause.OUT_OF_MEMORY, Reason.OUT_OF_MEMORY),
        (Cause.START_TIMEOUT, Reason.START_TIMEOUT),
        (Cause.NO_READINESS, Reason.START_TIMEOUT),
        (Cause.EXEC_FAILED, Reason.EXEC_FAILED),
    ],
)
def test_a_death_is_an_error_of_its_own_kind(phase: Phase, cause: Cause | None, reason: Reason) -> None:
    assert said(seen(phase, cause=cause, exit=Exit(code=203))) == (Status.ERROR, reason)


def test_what_could_not_be_executed_is_named() -> None:
    failed = seen(RESTARTING, cause=Cause.EXEC_FAILED, exit=Exit(code=203))
    assert "(203/EXEC) [/usr/bin/python3] and is started again soon." in message(failed)
    assert "[" not in message(seen(RESTARTING, **CRASH))


def test_a_watchdog_that_the_agent_armed_itself_is_known_by_what_was_wanted() -> None:
    lived = {"started_monotonic": NOW.monotonic, "ended_monotonic": NOW.monotonic + seconds(30)}
    bitten = seen(RESTARTING, cause=Cause.WATCHDOG, exit=Exit(signal=6), **lived)
    assert "sent no ping for 30 s" in message(bitten)
    for unsure in ({}, {**lived, "ended_monotonic": NOW.monotonic + seconds(29)}, {**lived, "ended_monotonic": None}):
        assert "ended by its watchdog" in message(seen(RESTARTING, cause=Cause.WATCHDOG, exit=Exit(signal=6), **unsure))
    mine = Case(replace(AGENT, watchdog=None), bitten, NOW)
    assert "ended by its watchdog" in judge(mine).message
    armed = seen(RESTARTING, cause=Cause.WATCHDOG, exit=Exit(signal=6), watchdog=seconds(2))
    assert "sent no ping for 2 s" in message(armed)


def test_a_clean_end_that_is_restarted_is_only_a_warning() -> None:
    exited = seen(RESTARTING, cause=Cause.CLEAN, exit=Exit(code=0))
    assert said(exited) == (Status.WARNING, Reason.EXITED)
    assert message(exited) == "It exited with code 0 and is started again soon."


def test_a_failure_with_a_clean_exit_is_an_error_all_the_same() -> None:
    assert said(seen(FAILED, cause=Cause.CLEAN, exit=Exit(code=0))) == (Status.ERROR, Reason.CRASHED)


@pytest.mark.parametrize(
    ("gave_up", "then"),
    [(True, "and systemd has stopped trying."), (False, "and is not started again."), (None, "is not started again.")],
)
def test_a_failed_unit_says_whether_systemd_gave_up(gave_up: bool | None, then: str) -> None:
    assert message(seen(FAILED, gave_up=gave_up, **CRASH), spec=spec(quarantine=None)).endswith(then)


# --- 15 and 16: inactive ----------------------------------------------------------------------------------------------


LISTENING = HostFacts(listening_since=NOW.monotonic)


@pytest.mark.parametrize(
    "why", [{"settled": True}, {"intent": intent(IntentKind.START, at=BEFORE)}], ids=["settled", "asked"]
)
def test_what_should_have_been_started_and_was_not_is_not_running(why: dict[str, Any]) -> None:
    idle = seen(INACTIVE, enabled=True)
    assert said(idle, **why) == (Status.STOPPED, Reason.NOT_RUNNING)
    assert message(idle, **why) == "It should have been started, and was not."
    blocked = message(idle, past=Past(blocked="a copy runs"), **why)
    assert blocked == "It should have been started, and was not; it is not started: a copy runs."


@pytest.mark.parametrize(
    "why",
    [
        {"settled": True, "host": LISTENING},
        {"intent": intent(IntentKind.START)},
        {"settled": True, "intent": intent(IntentKind.START)},
        {"intent": intent(IntentKind.START), "host": HostFacts(listening_since=timedelta())},
    ],
    ids=["since-we-listen", "since-it-was-asked-for", "asked-though-settled", "asked-though-listening-for-long"],
)
def test_its_manager_has_five_seconds_to_start_it(why: dict[str, Any]) -> None:
    idle = seen(INACTIVE, enabled=True)
    early, late = after(seconds(5) - MOMENT), after(seconds(5))
    assert said(idle, now=early, **why) == (Status.STOPPED, Reason.NOT_STARTED)
    assert said(idle, now=late, **why) == (Status.STOPPED, Reason.NOT_RUNNING)


@pytest.mark.parametrize(
    ("unit", "case"),
    [
        pytest.param({"enabled": False}, {"settled": True}, id="not-enabled"),
        pytest.param({"enabled": None}, {"settled": True}, id="perhaps-not-enabled"),
        pytest.param({"enabled": True}, {"settled": True, "spec": spec(auto_start=False)}, id="not-wanted"),
        pytest.param({"enabled": True}, {"settled": True, "past": Past(started=True)}, id="seen-started-in-this-boot"),
        pytest.param({"enabled": True}, {"settled": False}, id="installed-without-start"),
        pytest.param({"enabled": True}, {"intent": intent(IntentKind.STOP, at=BEFORE)}, id="asked-to-stop"),
        pytest.param(
            {"enabled": True},
            {"intent": intent(IntentKind.START, at=Instant(NOON, NOW.monotonic, NOW.boottime, "boot-0"))},
            id="asked-in-another-boot",
        ),
    ],
)
def test_nobody_missed_the_start_of_an_agent_that_need_not_run(unit: dict[str, Any], case: dict[str, Any]) -> None:
    assert said(seen(INACTIVE, **unit), **case)[1] in (Reason.NOT_STARTED, Reason.STOPPED_BY_OPERATOR)


def test_a_unit_that_ended_by_itself_is_stopped() -> None:
    ended = seen(INACTIVE, enabled=True, cause=Cause.CLEAN, exit=Exit(code=0), started_at=NOON, by_request=False)
    assert said(ended, settled=True) == (Status.STOPPED, Reason.EXITED_CLEANLY)
    assert message(ended) == "It ended by itself: it exited with code 0."


def test_a_unit_that_never_ran_is_not_started() -> None:
    assert said(seen(INACTIVE)) == (Status.STOPPED, Reason.NOT_STARTED)


@pytest.mark.parametrize(
    ("by_request", "gave_up", "reason"),
    [
        (True, False, Reason.STOPPED_BY_OPERATOR),
        (False, True, Reason.QUARANTINED),
        (False, False, Reason.EXITED_CLEANLY),
    ],
)
def test_an_ending_that_systemd_has_forgotten_is_remembered(by_request: bool, gave_up: bool, reason: Reason) -> None:
    ending = Ending(by_request, gave_up, NOON, NOW.monotonic, NOON, Cause.EXIT_CODE, Exit(code=3))
    assert said(seen(INACTIVE), past=Past(ending=ending))[1] is reason
    assert "exited with code 3" in message(seen(INACTIVE), past=Past(ending=ending))


def test_a_unit_that_ran_since_is_judged_by_what_is_seen() -> None:
    ending = Ending(True, False, NOON, NOW.monotonic, NOON, Cause.EXIT_CODE, Exit(code=3))
    ended = seen(INACTIVE, cause=Cause.CLEAN, exit=Exit(code=0), started_at=NOON, by_request=False)
    assert said(ended, past=Past(ending=ending))[1] is Reason.EXITED_CLEANLY
    assert said(seen(FAILED, cause=Cause.SIGNAL), past=Past(ending=ending))[1] is Reason.CRASHED


def test_a_start_that_was_refused_since_is_told_though_the_ending_is_remembered() -> None:
    ending = Ending(False, False, NOON, NOW.monotonic, NOON, Cause.EXIT_CODE, Exit(code=3))
    refused = seen(INACTIVE, cause=Cause.CONDITION)
    assert said(refused, past=Past(ending=ending))[1] is Reason.CONDITION_UNMET


GIVEN_UP_AT_NOON = Ending(False, True, NOON, NOW.monotonic, NOON, Cause.EXIT_CODE, Exit(code=3))
AS_STOPPED: dict[str, Any] = {"by_request": True, "gave_up": False, "cause": Cause.CLEAN, "exit": Exit(code=3)}
"""What a unit shows after its failure was reset."""


def test_a_failure_that_somebody_reset_is_a_failure_still() -> None:
    past = Past(ending=GIVEN_UP_AT_NOON)
    reset = seen(INACTIVE, **AS_STOPPED, started_at=NOON, ended_at=NOON)
    assert said(reset, past=past) == (Status.ERROR, Reason.QUARANTINED)
    assert message(reset, past=past).startswith("It exited with code 3, and after too many deaths systemd gave up")


def test_what_was_stopped_in_a_later_life_was_stopped() -> None:
    stopped = seen(INACTIVE, **AS_STOPPED, started_at=NOON + seconds(1), ended_at=NOON + seconds(2))
    assert said(stopped, past=Past(ending=GIVEN_UP_AT_NOON))[1] is Reason.STOPPED_BY_OPERATOR


def test_what_is_started_after_its_failure_was_reset_is_judged_by_what_is_seen() -> None:
    begins = seen(QUEUED, started_at=NOON, ended_at=NOON)
    assert said(begins, past=Past(ending=GIVEN_UP_AT_NOON))[1] is Reason.QUEUED


# --- 18 and 22: signs of life -----------------------------------------------------------------------------------------

WRITTEN = spec(heartbeat=HeartbeatLimits(minutes(1), minutes(5), written=True))
LONG_AGO = after(-minutes(60))


def quiet_for(length: timedelta, **changes: Any) -> Observation:
    """Active for long, and its last ping is so old."""
    return Observation(alive(start=LONG_AGO, last_ping=NOW.monotonic - length, **changes), frozenset(), ())


@pytest.mark.parametrize(
    ("length", "status", "reason"),
    [
        (minutes(1) - MOMENT, Status.RUNNING, Reason.AS_WANTED),
        (minutes(1), Status.WARNING, Reason.LATE),
        (minutes(5) - MOMENT, Status.WARNING, Reason.LATE),
        (minutes(5), Status.ERROR, Reason.SILENT),
    ],
)
def test_silence_is_late_from_one_limit_on_and_silent_from_the_other(
    length: timedelta, status: Status, reason: Reason
) -> None:
    assert said(quiet_for(length), spec=WRITTEN) == (status, reason)


def test_silence_is_told_by_its_limit_so_that_the_message_stays() -> None:
    assert message(quiet_for(minutes(2)), spec=WRITTEN) == "It gave no sign of life for 1 min (heartbeat.late_after)."
    assert message(quiet_for(minutes(7)), spec=WRITTEN) == "It gave no sign of life for 5 min (heartbeat.silent_after)."


@pytest.mark.parametrize(
    ("observation", "spec", "past"),
    [
        pytest.param(quiet_for(minutes(9)), WRITTEN, Past(), id="heartbeat-written"),
        pytest.param(quiet_for(minutes(9), watchdog=seconds(30)), AGENT, Past(), id="watchdog-armed"),
        pytest.param(quiet_for(minutes(9)), AGENT, Past(beaten="boot-1/a"), id="has-beaten-in-this-life"),
    ],
)
def test_silence_is_an_error_where_a_sign_is_expected(observation: Observation, spec: AgentSpec, past: Past) -> None:
    assert said(observation, spec=spec, past=past)[1] is Reason.SILENT


@pytest.mark.parametrize("past", [Past(), Past(beaten="boot-1/before")])
def test_of_an_agent_that_has_never_beaten_in_this_life_no_sign_is_expected(past: Past) -> None:
    assert said(quiet_for(minutes(9)), past=past)[1] is Reason.AS_WANTED


def test_a_unit_without_a_life_has_not_beaten_in_it() -> None:
    assert said(Observation(state(ACTIVE, last_ping=timedelta())))[1] is Reason.AS_WANTED


@pytest.mark.parametrize(
    ("since", "host"),
    [
        pytest.param(after(-minutes(3)), HostFacts(), id="it-was-up"),
        pytest.param(LONG_AGO, HostFacts(listening_since=NOW.monotonic - minutes(3)), id="we-listened"),
        pytest.param(LONG_AGO, HostFacts(disturbed=NOW.monotonic - minutes(3)), id="the-machine-was-awake"),
    ],
)
def test_silence_counts_only_from_when(since: Instant, host: HostFacts) -> None:
    unit = alive(start=since, last_ping=None)
    assert counted_from(Case(WRITTEN, Observation(unit), NOW, host=host), unit) == NOW.monotonic - minutes(3)
    assert said(Observation(unit), spec=WRITTEN, host=host)[1] is Reason.LATE


def test_the_newer_of_ping_and_beat_counts() -> None:
    unit = alive(start=LONG_AGO, last_ping=NOW.monotonic - minutes(9))
    beaten = beating(unit, at=after(-seconds(3)))
    assert silence(Case(WRITTEN, beaten, NOW), unit) == seconds(3)
    pinged = alive(start=LONG_AGO, last_ping=NOW.monotonic - seconds(2))
    assert silence(Case(WRITTEN, replace(beaten, unit=pinged), NOW), pinged) == seconds(2)


def test_a_beat_of_an_earlier_life_is_none() -> None:
    unit = alive(start=BEFORE)
    old = beating(unit, at=after(-MOMENT, BEFORE), status=BeatStatus.ERROR)
    assert said(old)[1] is Reason.AS_WANTED
    assert silence(Case(AGENT, old, NOW), unit) == minutes(10)
    first = beating(unit, at=BEFORE, status=BeatStatus.ERROR)
    assert said(first)[1] is Reason.AGENT_ERROR


def test_a_unit_of_unknown_start_has_not_been_silent_at_all() -> None:
    unit = state(ACTIVE)
    assert silence(Case(WRITTEN, beating(unit, at=LONG_AGO), NOW), unit) == timedelta()


# --- 20 to 23: it runs, but -------------------------------------------------------------------------------------------


def test_a_copy_beside_the_running_unit_is_a_duplicate() -> None:
    assert said(seen(ACTIVE, outside=COPY)) == (Status.WARNING, Reason.DUPLICATE_PROCESS)
    assert "PID 4711" in message(seen(ACTIVE, outside=COPY))


@pytest.mark.parametrize(
    ("beat", "status", "reason", "words"),
    [
        ({"status": BeatStatus.ERROR}, Status.ERROR, Reason.AGENT_ERROR, "It reports an error."),
        ({"status": BeatStatus.ERROR, "activity": "login"}, Status.ERROR, Reason.AGENT_ERROR, "login"),
        ({"status": BeatStatus.ERROR, "activity": "a", "error": "b"}, Status.ERROR, Reason.AGENT_ERROR, "b"),
        ({"status": BeatStatus.ERROR, "waiting": "a"}, Status.ERROR, Reason.AGENT_ERROR, "It reports an error."),
        ({"status": BeatStatus.WARNING}, Status.WARNING, Reason.AGENT_WARNING, "It reports a warning."),
        ({"status": BeatStatus.WARNING, "activity": "a"}, Status.WARNING, Reason.AGENT_WARNING, "a"),
        ({"status": BeatStatus.WARNING, "activity": "a", "error": "b"}, Status.WARNING, Reason.AGENT_WARNING, "b"),
        ({"status": BeatStatus.WARNING, "waiting": "for it"}, Status.WARNING, Reason.AGENT_WAITING, "for it"),
        ({"status": BeatStatus.WARNING, "waiting": "a", "error": "b"}, Status.WARNING, Reason.AGENT_WARNING, "b"),
        ({"waiting": "no route to exchange"}, Status.WARNING, Reason.AGENT_WAITING, "no route to exchange"),
        ({"status": BeatStatus.RUNNING, "activity": "page 3"}, Status.RUNNING, Reason.AS_WANTED, "page 3"),
        ({"status": BeatStatus.STOPPING}, Status.RUNNING, Reason.AS_WANTED, "It runs as wanted."),
    ],
)
def test_an_agent_may_say_what_is_wrong_with_it(
    beat: dict[str, Any], status: Status, reason: Reason, words: str
) -> None:
    assert verdict(beating(alive(start=BEFORE), **beat)) == Verdict(status, reason, words)


def test_what_its_children_report_is_a_sign_of_life_and_no_more() -> None:
    assert said(beating(alive(start=BEFORE), status=BeatStatus.ERROR, by_main=False))[1] is Reason.AS_WANTED


@pytest.mark.parametrize("beat", [{"status": BeatStatus.ERROR, "error": "a\x1b[2Jb" * 300}, {"activity": "a\nb" * 300}])
def test_an_agents_own_words_are_made_harmless_and_short(beat: dict[str, Any]) -> None:
    text = message(beating(alive(start=BEFORE), **beat))
    assert len(text) == 500
    assert text.isprintable()


def test_an_agent_without_a_new_activity_for_long_is_idle() -> None:
    patient = spec(max_idle=minutes(5))
    unit = alive(start=LONG_AGO)
    busy = beating(unit, changed=NOW.monotonic - minutes(5) + MOMENT)
    idle = beating(unit, changed=NOW.monotonic - minutes(5))
    assert said(busy, spec=patient)[1] is Reason.AS_WANTED
    assert said(idle, spec=patient) == (Status.WARNING, Reason.IDLE)
    assert message(idle, spec=patient) == "It reported no new activity for 5 min (max_idle)."


def test_an_agent_that_has_reported_nothing_is_idle_since_its_start() -> None:
    unit = alive(start=BEFORE)
    for silent in (Observation(unit), beating(unit, changed=None), beating(unit, at=LONG_AGO, changed=NOW.monotonic)):
        assert idleness(Case(AGENT, silent, NOW), unit) == minutes(10)


@pytest.mark.parametrize(("length", "reason"), [(MOMENT, Reason.AS_WANTED), (timedelta(), Reason.OVERRAN)])
def test_a_run_past_its_deadline_overran(length: timedelta, reason: Reason) -> None:
    job = spec(schedule=Schedule(("*-*-* 04:00:00 UTC",), deadline=minutes(10) + length))
    assert said(Observation(alive(start=BEFORE)), spec=job)[1] is reason


def test_the_deadline_is_told_with_its_length() -> None:
    job = spec(schedule=Schedule(("*-*-* 04:00:00 UTC",), deadline=seconds(90)))
    assert message(Observation(alive(start=BEFORE)), spec=job) == (
        "Its run takes longer than 90 s (schedule's deadline)."
    )


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        ({"edited": True}, "edited or removed by hand"),
        ({"masked": True}, "masked by hand"),
        ({"needs_reload": True}, "systemctl daemon-reload"),
        ({"masked": True, "edited": True, "needs_reload": True}, "masked by hand"),
        ({"edited": True, "needs_reload": True}, "edited or removed by hand"),
    ],
)
def test_a_unit_that_is_not_as_installed_has_drifted(unit: dict[str, Any], words: str) -> None:
    assert said(seen(ACTIVE, **unit)) == (Status.WARNING, Reason.DRIFT)
    assert words in message(seen(ACTIVE, **unit))


@pytest.mark.parametrize(("text", "words"), [("42 bars", "42 bars"), ("", "It runs as wanted.")])
def test_all_well_is_running_in_the_agents_own_words(text: str, words: str) -> None:
    assert verdict(seen(ACTIVE, status_text=text)) == Verdict(Status.RUNNING, Reason.AS_WANTED, words)


def test_its_last_beat_speaks_for_it_and_not_what_it_told_the_manager_before() -> None:
    unit = alive(start=BEFORE, status_text="42 bars")
    assert message(beating(unit, activity="page 3")) == "page 3"
    assert message(beating(unit)) == "It runs as wanted."


def test_a_beat_of_a_former_life_does_not_speak_for_it() -> None:
    old = after(-MOMENT, BEFORE)
    assert message(beating(alive(start=BEFORE, status_text="42 bars"), at=old, activity="page 3")) == "42 bars"
    assert message(beating(alive(start=BEFORE), at=old, activity="page 3")) == "It runs as wanted."


# --- Order: two rules are true, the first one speaks ------------------------------------------------------------------

LOOP = Past(deaths=(NOW.monotonic,) * 5)
REQUIRED = {NEEDED: Requirement(False, NOON)}


@pytest.mark.parametrize(
    ("observation", "case", "reason"),
    [
        pytest.param(Observation(outside=COPY), {"hold": HOLD}, Reason.NOT_OBSERVED, id="unseen-before-held"),
        pytest.param(seen(ABSENT, outside=COPY), {"hold": HOLD}, Reason.HELD, id="held-before-hidden"),
        pytest.param(seen(INACTIVE, inside=LEFT), {"hold": HOLD}, Reason.HELD, id="held-before-orphan"),
        pytest.param(seen(ACTIVE, edited=True), {"hold": HOLD}, Reason.HELD, id="held-before-drift"),
        pytest.param(seen(INACTIVE), {"hold": HOLD, "intent": intent()}, Reason.HELD, id="held-before-stopped"),
        pytest.param(seen(FAILED, **GIVEN_UP), {"hold": HOLD}, Reason.HELD, id="held-before-quarantined"),
        pytest.param(Observation(state(INACTIVE), foreground=LEFT), {"hold": HOLD}, Reason.HELD, id="held-before-run"),
        pytest.param(
            Observation(state(INACTIVE), outside=COPY, foreground=LEFT),
            {},
            Reason.DUPLICATE_PROCESS,
            id="run-beside-hidden",
        ),
        pytest.param(seen(FAILED, outside=COPY, inside=LEFT), {}, Reason.HIDDEN_PROCESS, id="hidden-before-orphan"),
        pytest.param(seen(ABSENT, outside=COPY), {}, Reason.HIDDEN_PROCESS, id="hidden-before-not-installed"),
        pytest.param(seen(RESTARTING, outside=COPY, **CRASH), {}, Reason.HIDDEN_PROCESS, id="hidden-before-crashed"),
        pytest.param(
            seen(RESTARTING, outside=COPY), {"past": LOOP}, Reason.HIDDEN_PROCESS, id="hidden-before-crash-looping"
        ),
        pytest.param(
            seen(INACTIVE, outside=COPY, timer_active=True),
            {"job": True},
            Reason.HIDDEN_PROCESS,
            id="hidden-before-job",
        ),
        pytest.param(seen(ABSENT, inside=LEFT), {}, Reason.ORPHAN_PROCESS, id="orphan-before-not-installed"),
        pytest.param(seen(INACTIVE, inside=LEFT, masked=True), {}, Reason.ORPHAN_PROCESS, id="orphan-before-masked"),
        pytest.param(seen(FAILED, inside=LEFT, **GIVEN_UP), {}, Reason.ORPHAN_PROCESS, id="orphan-before-quarantined"),
        pytest.param(seen(ABSENT, masked=True), {}, Reason.NOT_INSTALLED, id="not-installed-before-masked"),
        pytest.param(seen(ABSENT), {"job": True}, Reason.NOT_INSTALLED, id="not-installed-before-timer"),
        pytest.param(seen(ABSENT), {"intent": intent()}, Reason.NOT_INSTALLED, id="not-installed-before-stopped"),
        pytest.param(seen(INACTIVE, masked=True), {"job": True}, Reason.MASKED, id="masked-before-timer"),
        pytest.param(
            seen(FAILED, masked=True, by_request=True, **CRASH), {}, Reason.MASKED, id="masked-before-stopped"
        ),
        pytest.param(seen(STARTING, masked=True), {}, Reason.STARTING, id="starting-though-masked"),
        pytest.param(seen(STOPPING, outside=COPY), {}, Reason.STOPPING, id="stopping-before-duplicate"),
        pytest.param(seen(STARTING), {"past": LOOP}, Reason.STARTING, id="starting-before-crash-looping"),
        pytest.param(seen(STARTING, inside=LEFT), {}, Reason.STARTING, id="own-processes-are-no-orphans"),
        pytest.param(seen(RESTARTING, inside=LEFT, **CRASH), {}, Reason.CRASHED, id="nor-while-restarting"),
        pytest.param(
            seen(FAILED, timer_active=False, **CRASH), {"job": True}, Reason.TIMER_STOPPED, id="timer-before-run"
        ),
        pytest.param(
            seen(FAILED, timer_active=True, by_request=False, **CRASH),
            {"job": True},
            Reason.LAST_RUN_FAILED,
            id="job-before-crashed",
        ),
        pytest.param(
            seen(FAILED, timer_active=True, **CRASH),
            {"job": True, "past": Past(missed=NOON)},
            Reason.LAST_RUN_FAILED,
            id="run-failed-before-missed",
        ),
        pytest.param(
            seen(INACTIVE, timer_active=True, by_request=True),
            {"job": True, "past": Past(missed=NOON)},
            Reason.RUN_STOPPED,
            id="run-stopped-before-missed",
        ),
        pytest.param(
            seen(INACTIVE, timer_active=True, cause=Cause.CONDITION),
            {"job": True},
            Reason.WAITING,
            id="job-before-condition",
        ),
        pytest.param(
            seen(INACTIVE, cause=Cause.CONDITION, by_request=True),
            {},
            Reason.CONDITION_UNMET,
            id="condition-before-stopped",
        ),
        pytest.param(
            seen(INACTIVE, cause=Cause.CONDITION, enabled=True, requires=REQUIRED),
            {"settled": True},
            Reason.CONDITION_UNMET,
            id="condition-before-dependency",
        ),
        pytest.param(
            seen(INACTIVE, cause=Cause.DEPENDENCY),
            {"intent": intent()},
            Reason.STOPPED_BY_OPERATOR,
            id="wish-before-dependency",
        ),
        pytest.param(
            seen(INACTIVE, cause=Cause.DEPENDENCY, by_request=True),
            {},
            Reason.DEPENDENCY_FAILED,
            id="dependency-before-stopped",
        ),
        pytest.param(
            seen(INACTIVE, cause=Cause.DEPENDENCY, gave_up=True),
            {},
            Reason.DEPENDENCY_FAILED,
            id="dependency-before-quarantined",
        ),
        pytest.param(
            seen(INACTIVE, cause=Cause.DEPENDENCY, enabled=True),
            {"settled": True},
            Reason.DEPENDENCY_FAILED,
            id="dependency-before-not-running",
        ),
        pytest.param(
            seen(INACTIVE, by_request=True, ended_at=NOON, requires=REQUIRED),
            {"past": Past(quarantined=True)},
            Reason.QUARANTINED,
            id="our-own-stop-is-no-dependencys",
        ),
        pytest.param(
            seen(FAILED, **{**GIVEN_UP, "by_request": True}),
            {},
            Reason.STOPPED_BY_OPERATOR,
            id="stopped-before-quarantined",
        ),
        pytest.param(
            seen(FAILED, **GIVEN_UP), {"intent": intent()}, Reason.STOPPED_BY_OPERATOR, id="wish-before-quarantined"
        ),
        pytest.param(
            seen(INACTIVE, enabled=True),
            {"settled": True, "intent": intent()},
            Reason.STOPPED_BY_OPERATOR,
            id="wish-before-not-running",
        ),
        pytest.param(
            seen(INACTIVE, by_request=True, started_at=NOON), {}, Reason.STOPPED_BY_OPERATOR, id="stopped-before-ended"
        ),
        pytest.param(seen(RESTARTING, by_request=True, **CRASH), {}, Reason.CRASHED, id="stopped-only-while-down"),
        pytest.param(seen(FAILED, **GIVEN_UP), {"past": LOOP}, Reason.QUARANTINED, id="quarantined-before-failed"),
        pytest.param(
            seen(RESTARTING, **CRASH), {"past": LOOP}, Reason.CRASH_LOOPING, id="crash-looping-before-crashed"
        ),
        pytest.param(
            quiet_for(minutes(9)),
            {"spec": WRITTEN, "past": LOOP},
            Reason.CRASH_LOOPING,
            id="crash-looping-before-silent",
        ),
        pytest.param(
            Observation(quiet_for(minutes(9)).unit, frozenset(), COPY),
            {"spec": WRITTEN},
            Reason.SILENT,
            id="silent-before-duplicate",
        ),
        pytest.param(
            Observation(alive(start=BEFORE), frozenset(), COPY, Beat(NOW, 7, status=BeatStatus.ERROR)),
            {},
            Reason.DUPLICATE_PROCESS,
            id="duplicate-before-own-report",
        ),
        pytest.param(
            beating(alive(start=LONG_AGO), at=after(-minutes(2)), status=BeatStatus.WARNING),
            {"spec": WRITTEN},
            Reason.AGENT_WARNING,
            id="own-report-before-late",
        ),
        pytest.param(
            quiet_for(minutes(2)),
            {"spec": spec(heartbeat=WRITTEN.heartbeat, max_idle=minutes(1))},
            Reason.LATE,
            id="late-before-idle",
        ),
        pytest.param(
            Observation(alive(start=LONG_AGO)),
            {"spec": spec(max_idle=minutes(1), schedule=Schedule(("daily",), deadline=minutes(1)))},
            Reason.IDLE,
            id="idle-before-overran",
        ),
        pytest.param(
            Observation(alive(start=LONG_AGO, edited=True)),
            {"spec": spec(schedule=Schedule(("daily",), deadline=minutes(1)))},
            Reason.OVERRAN,
            id="overran-before-drift",
        ),
        pytest.param(
            seen(ACTIVE, outside=COPY, edited=True), {}, Reason.DUPLICATE_PROCESS, id="duplicate-before-drift"
        ),
    ],
)
def test_the_first_rule_that_fits_wins(observation: Observation, case: dict[str, Any], reason: Reason) -> None:
    assert said(observation, **case)[1] is reason


@pytest.mark.parametrize("phase", list(Phase))
def test_processes_that_could_not_be_seen_make_nothing_worse(phase: Phase) -> None:
    assert said(seen(phase, outside=None, inside=None)) == said(seen(phase))


# --- Words ------------------------------------------------------------------------------------------------------------


def test_copies_are_named_with_all_that_finds_them() -> None:
    two = (copy(1, user="ada"), copy(2, uid=0, user="", directory=None))
    assert copies(two) == (
        "PID 1 of ada since 2026-03-01 12:00:00 UTC in /srv/trading; PID 2 of uid 0 since 2026-03-01 12:00:00 UTC"
    )


@pytest.mark.parametrize(
    ("length", "words"),
    [(minutes(120), "2 h"), (minutes(90), "90 min"), (seconds(60), "1 min"), (seconds(2.5), "2.5 s")],
)
def test_a_limit_is_told_in_its_largest_whole_unit(length: timedelta, words: str) -> None:
    late = spec(heartbeat=HeartbeatLimits(length, minutes(600), written=True))
    assert (
        message(Observation(alive()), spec=late, now=after(minutes(200)))
        == f"It gave no sign of life for {words} (heartbeat.late_after)."
    )


# --- Whatever is seen -------------------------------------------------------------------------------------------------


UNITS = st.builds(
    state,
    st.sampled_from(Phase),
    pid=st.none() | st.just(7),
    started_at=st.none() | st.just(NOON),
    cause=st.none() | st.sampled_from(Cause),
    exit=st.none() | st.builds(Exit, st.integers(0, 255)) | st.builds(Exit, st.none(), st.integers(1, 64)),
    by_request=st.sampled_from([None, True, False]),
    gave_up=st.sampled_from([None, True, False]),
    masked=st.booleans(),
    edited=st.booleans(),
    timer_active=st.sampled_from([None, True, False]),
)
OBSERVATIONS = st.builds(
    Observation,
    unit=UNITS,
    inside=st.sampled_from([None, frozenset(), LEFT]),
    outside=st.sampled_from([None, (), COPY]),
)
PASTS = st.builds(
    Past,
    deaths=st.sampled_from([(), (NOW.monotonic,), (NOW.monotonic,) * 5]),
    started=st.booleans(),
    quarantined=st.booleans(),
    half_open=st.booleans(),
)


@settings(max_examples=200)
@given(OBSERVATIONS, PASTS, st.sampled_from([None, HOLD]), st.booleans(), st.booleans())
def test_what_is_down_is_never_said_to_run(
    observation: Observation, past: Past, hold: Hold | None, job: bool, settled: bool
) -> None:
    assert observation.unit is not None
    status = said(observation, past=past, hold=hold, job=job, settled=settled)[0]
    if observation.unit.phase in (ABSENT, INACTIVE, FAILED):
        assert status in (Status.STOPPED, Status.ERROR, Status.WARNING)
    if status is Status.RUNNING:
        assert observation.unit.phase is ACTIVE
        assert not observation.outside
        assert hold is None
