"""The rules that judge an agent: each by one example, their order by making two of them true at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervise.decide import copies, decide, judge
from supervise.model import (
    Cause,
    Exit,
    Hold,
    Observation,
    Phase,
    ProcessId,
    Reason,
    Schedule,
    Status,
    UnitState,
    World,
)
from tests.nouns import NOON, NOW, copy, spec, state

AGENT = spec()
JOB = spec(schedule=Schedule(("*-*-* 04:00:00 UTC",)))
HOLD = Hold("sma", "too many orders", "ada", NOON)
COPY = (copy(),)
LEFT = frozenset({ProcessId(12, 1), ProcessId(7, 1)})
CRASH: dict[str, Any] = {"cause": Cause.EXIT_CODE, "exit": Exit(code=3), "started_at": NOON}

ACTIVE, INACTIVE, FAILED, ABSENT = Phase.ACTIVE, Phase.INACTIVE, Phase.FAILED, Phase.ABSENT
RESTARTING, QUEUED, STARTING, STOPPING = Phase.RESTARTING, Phase.QUEUED, Phase.STARTING, Phase.STOPPING


def seen(phase: Phase, *, outside: Any = (), inside: Any = frozenset(), **unit: Any) -> Observation:
    return Observation(state(phase, **unit), inside, outside)


def said(observation: Observation, *, hold: Hold | None = None, job: bool = False) -> tuple[Status, Reason]:
    verdict = judge(JOB if job else AGENT, observation, hold)
    assert verdict.message.endswith(".")
    return verdict.status, verdict.reason


def message(observation: Observation, *, hold: Hold | None = None, job: bool = False) -> str:
    return judge(JOB if job else AGENT, observation, hold).message


# --- One example for each rule ----------------------------------------------------------------------------------------


def test_what_could_not_be_asked_for_is_unknown() -> None:
    assert said(Observation()) == (Status.UNKNOWN, Reason.NOT_OBSERVED)


def test_held_and_down_is_stopped_and_says_who_and_why() -> None:
    assert said(seen(INACTIVE), hold=HOLD) == (Status.STOPPED, Reason.HELD)
    assert message(seen(INACTIVE), hold=HOLD) == "It is held by ada: too many orders."


@pytest.mark.parametrize("phase", [ACTIVE, STARTING, STOPPING, QUEUED, RESTARTING])
def test_held_and_up_is_an_error(phase: Phase) -> None:
    assert said(seen(phase), hold=HOLD) == (Status.ERROR, Reason.HELD)
    assert f"yet its unit is {phase.value}" in message(seen(phase), hold=HOLD)


@pytest.mark.parametrize("phase", [INACTIVE, ACTIVE])
def test_held_while_a_copy_runs_outside_is_an_error_that_names_it(phase: Phase) -> None:
    assert said(seen(phase, outside=COPY), hold=HOLD) == (Status.ERROR, Reason.HELD)
    assert "PID 4711" in message(seen(phase, outside=COPY), hold=HOLD)


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


def test_a_job_that_runs_is_like_any_other() -> None:
    assert said(seen(ACTIVE), job=True) == (Status.RUNNING, Reason.AS_WANTED)


def test_a_condition_that_does_not_hold_is_an_error() -> None:
    assert said(seen(INACTIVE, cause=Cause.CONDITION)) == (Status.ERROR, Reason.CONDITION_UNMET)


@pytest.mark.parametrize("phase", [INACTIVE, FAILED])
def test_stopped_by_request_is_no_error_and_tells_how_it_ended(phase: Phase) -> None:
    stopped = seen(phase, by_request=True, **CRASH)
    assert said(stopped) == (Status.STOPPED, Reason.STOPPED_BY_OPERATOR)
    assert message(stopped) == "Somebody stopped it; it exited with code 3."


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
    assert message(seen(FAILED, gave_up=gave_up, **CRASH)).endswith(then)


def test_a_unit_that_ended_by_itself_is_stopped() -> None:
    ended = seen(INACTIVE, cause=Cause.CLEAN, exit=Exit(code=0), started_at=NOON, by_request=False)
    assert said(ended) == (Status.STOPPED, Reason.EXITED_CLEANLY)
    assert message(ended) == "It ended by itself: it exited with code 0."


def test_a_unit_that_never_ran_is_not_started() -> None:
    assert said(seen(INACTIVE)) == (Status.STOPPED, Reason.NOT_STARTED)


def test_what_runs_in_the_foreground_runs() -> None:
    alone = Observation(state(INACTIVE), foreground=LEFT)
    assert said(alone) == (Status.RUNNING, Reason.AS_WANTED)
    assert "supervise run" in message(alone)


def test_a_unit_beside_the_foreground_is_a_duplicate() -> None:
    assert said(Observation(state(ACTIVE), foreground=LEFT)) == (Status.WARNING, Reason.DUPLICATE_PROCESS)


def test_a_stop_is_told_by_its_exit_even_when_a_start_was_refused_since() -> None:
    stopped = seen(INACTIVE, by_request=True, cause=Cause.ASSERTION, exit=Exit(signal=15))
    assert message(stopped) == "Somebody stopped it; it was killed by SIGTERM."


def test_a_copy_beside_the_running_unit_is_a_duplicate() -> None:
    assert said(seen(ACTIVE, outside=COPY)) == (Status.WARNING, Reason.DUPLICATE_PROCESS)


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
    verdict = judge(AGENT, seen(ACTIVE, status_text=text), None)
    assert (verdict.status, verdict.reason, verdict.message) == (Status.RUNNING, Reason.AS_WANTED, words)


# --- Order: two rules are true, the first one speaks ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("observation", "hold", "job", "reason"),
    [
        pytest.param(Observation(outside=COPY), HOLD, False, Reason.NOT_OBSERVED, id="unseen-before-held"),
        pytest.param(seen(ABSENT, outside=COPY), HOLD, False, Reason.HELD, id="held-before-hidden"),
        pytest.param(seen(INACTIVE, inside=LEFT), HOLD, False, Reason.HELD, id="held-before-orphan"),
        pytest.param(seen(ACTIVE, edited=True), HOLD, False, Reason.HELD, id="held-before-drift"),
        pytest.param(
            seen(FAILED, outside=COPY, inside=LEFT), None, False, Reason.HIDDEN_PROCESS, id="hidden-before-orphan"
        ),
        pytest.param(seen(ABSENT, outside=COPY), None, False, Reason.HIDDEN_PROCESS, id="hidden-before-not-installed"),
        pytest.param(
            seen(RESTARTING, outside=COPY, **CRASH), None, False, Reason.HIDDEN_PROCESS, id="hidden-before-crashed"
        ),
        pytest.param(
            seen(INACTIVE, outside=COPY, timer_active=True), None, True, Reason.HIDDEN_PROCESS, id="hidden-before-job"
        ),
        pytest.param(seen(ABSENT, inside=LEFT), None, False, Reason.ORPHAN_PROCESS, id="orphan-before-not-installed"),
        pytest.param(
            seen(INACTIVE, inside=LEFT, masked=True), None, False, Reason.ORPHAN_PROCESS, id="orphan-before-masked"
        ),
        pytest.param(seen(ABSENT, masked=True), None, False, Reason.NOT_INSTALLED, id="not-installed-before-masked"),
        pytest.param(seen(ABSENT), None, True, Reason.NOT_INSTALLED, id="not-installed-before-timer"),
        pytest.param(seen(INACTIVE, masked=True), None, True, Reason.MASKED, id="masked-before-timer"),
        pytest.param(
            seen(FAILED, masked=True, by_request=True, **CRASH), None, False, Reason.MASKED, id="masked-before-stopped"
        ),
        pytest.param(seen(STARTING, masked=True), None, False, Reason.STARTING, id="starting-though-masked"),
        pytest.param(seen(STOPPING, outside=COPY), None, False, Reason.STOPPING, id="stopping-before-duplicate"),
        pytest.param(seen(STARTING, inside=LEFT), None, False, Reason.STARTING, id="own-processes-are-no-orphans"),
        pytest.param(seen(RESTARTING, inside=LEFT, **CRASH), None, False, Reason.CRASHED, id="nor-while-restarting"),
        pytest.param(
            seen(FAILED, timer_active=False, **CRASH), None, True, Reason.TIMER_STOPPED, id="timer-before-run"
        ),
        pytest.param(
            seen(FAILED, timer_active=True, by_request=False, **CRASH),
            None,
            True,
            Reason.LAST_RUN_FAILED,
            id="job-before-crashed",
        ),
        pytest.param(
            seen(INACTIVE, cause=Cause.CONDITION, by_request=True),
            None,
            False,
            Reason.CONDITION_UNMET,
            id="condition-before-stopped",
        ),
        pytest.param(
            seen(FAILED, by_request=True, gave_up=True, **CRASH),
            None,
            False,
            Reason.STOPPED_BY_OPERATOR,
            id="stopped-before-failed",
        ),
        pytest.param(
            seen(INACTIVE, by_request=True, started_at=NOON),
            None,
            False,
            Reason.STOPPED_BY_OPERATOR,
            id="stopped-before-ended",
        ),
        pytest.param(
            seen(RESTARTING, by_request=True, **CRASH), None, False, Reason.CRASHED, id="stopped-only-while-down"
        ),
        pytest.param(
            seen(ACTIVE, outside=COPY, edited=True), None, False, Reason.DUPLICATE_PROCESS, id="duplicate-before-drift"
        ),
    ],
)
def test_the_first_rule_that_fits_wins(observation: Observation, hold: Hold | None, job: bool, reason: Reason) -> None:
    assert said(observation, hold=hold, job=job)[1] is reason


@pytest.mark.parametrize("phase", list(Phase))
def test_processes_that_could_not_be_seen_make_nothing_worse(phase: Phase) -> None:
    assert said(seen(phase, outside=None, inside=None)) == said(seen(phase))


# --- Whatever is seen -------------------------------------------------------------------------------------------------

NAMES = ("sma", "market_data", "nightly")
UNITS = st.builds(
    UnitState,
    name=st.just("sma"),
    unit=st.just("agent@sma.service"),
    phase=st.sampled_from(Phase),
    pid=st.none() | st.just(7),
    since=st.none() | st.just(NOON),
    started_at=st.none() | st.just(NOON),
    cause=st.none() | st.sampled_from(Cause),
    exit=st.none() | st.builds(Exit, st.integers(0, 255)) | st.builds(Exit, st.none(), st.integers(1, 64)),
    by_request=st.sampled_from([None, True, False]),
    gave_up=st.sampled_from([None, True, False]),
    masked=st.booleans(),
    edited=st.booleans(),
    needs_reload=st.booleans(),
    timer_active=st.sampled_from([None, True, False]),
    next_run=st.none() | st.just(NOON),
)
OBSERVATIONS = st.builds(
    Observation,
    unit=st.none() | UNITS,
    inside=st.sampled_from([None, frozenset(), LEFT]),
    outside=st.sampled_from([None, (), COPY]),
)
WORLDS = st.builds(
    World,
    desired=st.fixed_dictionaries(
        {}, optional={name: st.just(spec(name, schedule=JOB.schedule if name == "nightly" else None)) for name in NAMES}
    ),
    observed=st.dictionaries(st.sampled_from((*NAMES, "stranger")), OBSERVATIONS),
    holds=st.dictionaries(st.sampled_from(NAMES), st.just(HOLD)),
)
OFTEN = settings(max_examples=40)


@OFTEN
@given(WORLDS)
def test_the_same_world_gives_the_same_decision(world: World) -> None:
    assert decide(world, now=NOW) == decide(world, now=NOW)


@OFTEN
@given(WORLDS)
def test_each_desired_agent_has_exactly_one_row_and_nobody_else_has(world: World) -> None:
    rows = decide(world, now=NOW).rows
    assert list(rows) == list(world.desired)
    assert all(row.name == name for name, row in rows.items())


@OFTEN
@given(WORLDS)
def test_unknown_is_said_of_exactly_those_that_were_not_seen(world: World) -> None:
    unknown = {name for name, row in decide(world, now=NOW).rows.items() if row.status is Status.UNKNOWN}
    assert unknown == {name for name in world.desired if world.observed.get(name, Observation()).unit is None}


@OFTEN
@given(WORLDS)
def test_running_is_said_only_of_what_is_active_alone_and_not_held(world: World) -> None:
    for name, row in decide(world, now=NOW).rows.items():
        if row.status is Status.RUNNING:
            assert row.phase is ACTIVE
            assert not world.observed[name].outside
            assert name not in world.holds


@OFTEN
@given(OBSERVATIONS, st.sampled_from([None, HOLD]), st.booleans())
def test_what_is_down_is_never_said_to_run(observation: Observation, hold: Hold | None, job: bool) -> None:
    if observation.unit and observation.unit.phase in (ABSENT, INACTIVE, FAILED):
        status = said(observation, hold=hold, job=job)[0]
        assert status in (Status.STOPPED, Status.ERROR, Status.WARNING)


# --- The row ----------------------------------------------------------------------------------------------------------


def test_a_row_says_what_was_seen() -> None:
    started = NOON - timedelta(minutes=5)
    unit = state(since=NOON, started_at=started, pid=7, incarnation="boot-1/x/7/1", restarts=2)
    row = decide(World({"sma": AGENT}, {"sma": Observation(unit, frozenset(), ())}), now=NOW).rows["sma"]
    assert (row.title, row.project, row.unit, row.platform) == ("Sma", "trading", "agent@sma.service", "systemd")
    assert (row.phase, row.pid, row.incarnation, row.boot) == (ACTIVE, 7, "boot-1/x/7/1", "boot-1")
    assert (row.since, row.started_at, row.restarts, row.updated_at) == (NOON, started, 2, NOW.wall)
    assert (row.observed_status, row.observed_reason) == (row.status, row.reason)
    assert row.health == FULL_HEALTH


def test_a_row_of_an_agent_that_was_not_seen_claims_nothing() -> None:
    row = decide(World({"sma": AGENT}, {}), now=NOW).rows["sma"]
    assert (row.unit, row.phase, row.pid, row.incarnation, row.started_at) == ("agent@sma.service", *[None] * 4)
    assert (row.since, row.health) == (NOW.wall, 0)


def test_a_unit_without_a_moment_of_change_is_as_it_is_since_now() -> None:
    assert decide(World({"sma": AGENT}, {"sma": seen(INACTIVE)}), now=NOW).rows["sma"].since == NOW.wall


def test_copies_are_named_with_all_that_finds_them() -> None:
    two = (copy(1), copy(2, uid=0, directory=None))
    assert copies(two) == (
        "PID 1 of uid 1000 since 2026-03-01 12:00:00 UTC in /srv/trading; PID 2 of uid 0 since 2026-03-01 12:00:00 UTC"
    )
