"""What is done about a verdict, and that it is patient: never too soon, never twice, never against a person's word."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from supervise.decide import Case, Verdict, concluded
from supervise.decide.remedy import DUE, REMEDIES, Remedy, endable, remedy, still_due
from supervise.model import (
    Action,
    ActionKind,
    AgentSpec,
    HiddenPolicy,
    Hold,
    HostFacts,
    Intent,
    IntentKind,
    Observation,
    Outcome,
    Past,
    Phase,
    ProbeResult,
    ProcessId,
    Reason,
    Requirement,
    Restart,
    RestartPolicy,
    Status,
    UnitState,
)
from tests.nouns import NOON, NOW, alive, copy, dead, minutes, row, seconds, spec, state

AGENT = spec(hidden=HiddenPolicy.STOP)
NEVER = spec(restart=Restart(policy=RestartPolicy.NEVER))
MOMENT = timedelta(microseconds=1)
HERE = HostFacts(may_act=True)
MONO = NOW.monotonic
THERE = {"agent@feed.service": Requirement(True)}
IDLE = state(Phase.INACTIVE, enabled=True)
GIVEN_UP = dead(phase=Phase.FAILED, gave_up=True)
NO = ProbeResult(False, "status 503", NOW)
LONG_SEEN = Past(boot=NOW.boot, seen_since=MONO - minutes(1))


def done(
    reason: Reason,
    unit: UnitState,
    past: Past = LONG_SEEN,
    *,
    spec: AgentSpec = AGENT,
    host: HostFacts = HERE,
    settled: bool = True,
    **seen: Any,
) -> Remedy:
    case = Case(spec, Observation(unit, **seen), NOW, past=past, host=host, settled=settled)
    return remedy(Verdict(Status.ERROR, reason, "."), case, unit)


def kind(found: Remedy) -> ActionKind | None:
    return found.action.kind if found.action else None


LEFT_ALONE = replace(LONG_SEEN, left_alone=True)
EXAMPLES: list[Any] = [
    (Reason.HELD, alive(), LONG_SEEN, {}, ActionKind.STOP),
    (Reason.DEPENDENCY_FAILED, IDLE, LONG_SEEN, {"requirements": THERE}, ActionKind.START),
    (Reason.DEPENDENCY_STOPPED, IDLE, LEFT_ALONE, {"requirements": THERE}, ActionKind.START),
    (Reason.QUARANTINED, GIVEN_UP, replace(LONG_SEEN, retry_at=MONO), {}, ActionKind.RESET_AND_START),
    (Reason.CRASH_LOOPING, dead(), LONG_SEEN, {}, ActionKind.STOP),
    (Reason.NOT_RUNNING, IDLE, LONG_SEEN, {}, ActionKind.START),
    (Reason.START_TIMEOUT, alive(), LONG_SEEN, {"ready": NO}, ActionKind.RESTART),
    (Reason.SILENT, alive(), LONG_SEEN, {}, ActionKind.RESTART),
    (Reason.PROBE_FAILING, alive(), LONG_SEEN, {}, ActionKind.RESTART),
    (Reason.HIDDEN_PROCESS, IDLE, LONG_SEEN, {"outside": (copy(),)}, ActionKind.END),
    (Reason.ORPHAN_PROCESS, IDLE, LONG_SEEN, {"inside": frozenset({copy().id})}, ActionKind.END),
    (Reason.DUPLICATE_PROCESS, alive(), LONG_SEEN, {"outside": (copy(),)}, ActionKind.END),
]
each = pytest.mark.parametrize(
    ("reason", "unit", "past", "seen", "wanted"), EXAMPLES, ids=[reason.value for reason, *_ in EXAMPLES]
)


# --- What, and for whom -----------------------------------------------------------------------------------------------


@each
def test_each_remedy_is_one_action_that_says_why(
    reason: Reason, unit: UnitState, past: Past, seen: dict[str, Any], wanted: ActionKind
) -> None:
    ended = (copy().id,) if wanted is ActionKind.END else ()
    assert done(reason, unit, past, **seen).action == Action(wanted, "sma", "agent@sma.service", reason.value, ended)


def test_every_remedy_has_a_condition_and_an_example() -> None:
    assert REMEDIES.keys() == DUE.keys() == {reason for reason, *_ in EXAMPLES}


@pytest.mark.parametrize("reason", sorted(set(Reason) - REMEDIES.keys()))
def test_for_all_else_nothing_is_done(reason: Reason) -> None:
    assert done(reason, alive()) == Remedy(None, LONG_SEEN)


@each
def test_a_command_that_only_looks_does_nothing(
    reason: Reason, unit: UnitState, past: Past, seen: dict[str, Any], wanted: ActionKind
) -> None:
    assert done(reason, unit, past, host=HostFacts(), **seen) == Remedy(None, past)


@each
def test_nothing_is_done_while_something_is(
    reason: Reason, unit: UnitState, past: Past, seen: dict[str, Any], wanted: ActionKind
) -> None:
    assert done(reason, unit, past, acting=True, **seen) == Remedy(None, past)


@each
def test_after_something_in_vain_nothing_is_done_before_its_time(
    reason: Reason, unit: UnitState, past: Past, seen: dict[str, Any], wanted: ActionKind
) -> None:
    waiting = replace(past, not_before=MONO + MOMENT)
    assert done(reason, unit, waiting, **seen) == Remedy(None, waiting, MONO + MOMENT)
    assert kind(done(reason, unit, replace(past, not_before=MONO), **seen)) is wanted


@pytest.mark.parametrize("which", EXAMPLES, ids=[reason.value for reason, *_ in EXAMPLES])
def test_no_start_is_made_within_a_wait(which: Any) -> None:
    reason, unit, past, seen, wanted = which
    waiting = replace(past, retry_at=MONO + MOMENT)
    found = done(reason, unit, waiting, **seen)
    if wanted in (ActionKind.STOP, ActionKind.END):
        assert kind(found) is wanted
    else:
        assert found == Remedy(None, waiting, MONO + MOMENT)
        assert kind(done(reason, unit, replace(past, retry_at=MONO), **seen)) is wanted


@pytest.mark.parametrize(
    ("reason", "allowed"),
    [
        (Reason.HELD, True),
        (Reason.DEPENDENCY_FAILED, False),
        (Reason.QUARANTINED, False),
        (Reason.NOT_RUNNING, True),
        (Reason.START_TIMEOUT, False),
        (Reason.SILENT, False),
        (Reason.PROBE_FAILING, False),
    ],
)
def test_what_is_never_restarted_is_only_started_as_at_boot(reason: Reason, allowed: bool) -> None:
    _, unit, past, seen, wanted = next(one for one in EXAMPLES if one[0] is reason)
    assert kind(done(reason, unit, past, spec=NEVER, **seen)) is (wanted if allowed else None)


# --- Whom `hidden: stop` ends ----------------------------------------------------------------------------------------

OUTSIDE = (copy(), copy(4712, user="stranger"), copy(4713))
OWN = (copy().id, copy(4713).id)
LEFT = frozenset({ProcessId(9, 1)})


@pytest.mark.parametrize(
    ("unit", "agent", "host", "wanted"),
    [
        (alive(), AGENT, HERE, OWN),
        (IDLE, AGENT, HERE, (ProcessId(9, 1), *OWN)),
        (IDLE, spec(hidden=HiddenPolicy.REPORT), HERE, ()),
        (alive(), replace(AGENT, user=None), HERE, ()),
        (alive(), replace(AGENT, user=None), replace(HERE, user="trader"), OWN),
        (alive(), replace(AGENT, user=None), replace(HERE, user="ada"), ()),
    ],
    ids=["a duplicate", "left behind too", "reported", "a passing user", "one's own agents", "another user's"],
)
def test_only_the_agents_own_users_copies_and_what_its_unit_left_are_ended(
    unit: UnitState, agent: AgentSpec, host: HostFacts, wanted: tuple[ProcessId, ...]
) -> None:
    case = Case(agent, Observation(unit, outside=OUTSIDE, inside=LEFT), NOW, past=LONG_SEEN, host=host)
    assert endable(case, unit) == wanted
    found = remedy(Verdict(Status.WARNING, Reason.DUPLICATE_PROCESS, "."), case, unit)
    assert (found.action.processes if found.action else ()) == wanted
    if not wanted:
        assert found == Remedy(None, LONG_SEEN)


@pytest.mark.parametrize("outside", [None, (), (copy(user="stranger"),)], ids=["unseen", "none", "a stranger's"])
def test_where_there_is_nobody_to_end_nothing_is_done(outside: Any) -> None:
    assert done(Reason.HIDDEN_PROCESS, IDLE, outside=outside) == Remedy(None, LONG_SEEN)


def test_of_what_is_held_and_down_the_copies_are_ended() -> None:
    found = done(Reason.HELD, IDLE, outside=OUTSIDE)
    assert found.action == Action(ActionKind.END, "sma", "agent@sma.service", "Held", OWN)


@pytest.mark.parametrize("reason", [Reason.HIDDEN_PROCESS, Reason.ORPHAN_PROCESS, Reason.DUPLICATE_PROCESS])
def test_an_end_is_not_asked_for_again_at_once(reason: Reason) -> None:
    assert done(reason, IDLE, outside=OUTSIDE).past == replace(LONG_SEEN, not_before=MONO + seconds(10))


@each
def test_a_restart_by_us_counts_as_one_that_nobody_asked_for(
    reason: Reason, unit: UnitState, past: Past, seen: dict[str, Any], wanted: ActionKind
) -> None:
    old = (MONO - minutes(9),)
    counted = (*old, MONO) if wanted is ActionKind.RESTART else old
    assert done(reason, unit, replace(past, restarted=old), **seen).past.restarted == counted


# --- When -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.ABSENT, Phase.INACTIVE, Phase.FAILED, Phase.QUEUED, Phase.STOPPING])
def test_what_is_held_and_down_or_going_down_is_left_alone(phase: Phase) -> None:
    assert kind(done(Reason.HELD, state(phase))) is None


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.ACTIVE, Phase.RESTARTING])
def test_what_is_held_and_up_or_coming_up_is_stopped(phase: Phase) -> None:
    assert kind(done(Reason.HELD, state(phase))) is ActionKind.STOP


@pytest.mark.parametrize(("age", "wanted"), [(seconds(5), ActionKind.STOP), (seconds(5) - MOMENT, None)])
def test_whoever_holds_it_has_five_seconds_to_stop_it(age: timedelta, wanted: ActionKind | None) -> None:
    case = Case(AGENT, Observation(alive()), NOW, hold=Hold("sma", "r", "ada", NOON - age), past=LONG_SEEN, host=HERE)
    assert kind(remedy(Verdict(Status.ERROR, Reason.HELD, "."), case, alive())) is wanted


def test_without_a_moment_for_the_next_try_there_is_none() -> None:
    assert done(Reason.QUARANTINED, GIVEN_UP) == Remedy(None, LONG_SEEN)


@pytest.mark.parametrize(
    "required",
    [{}, {"a.service": Requirement(False)}, {"a.service": Requirement(True), "b.service": Requirement(False)}],
)
def test_a_refused_start_waits_for_all_that_it_requires(required: dict[str, Requirement]) -> None:
    assert done(Reason.DEPENDENCY_FAILED, IDLE, requirements=required) == Remedy(None, LONG_SEEN)
    assert done(Reason.DEPENDENCY_STOPPED, IDLE, LEFT_ALONE, requirements=required) == Remedy(None, LEFT_ALONE)


def test_what_a_person_stopped_together_with_another_waits_for_a_person() -> None:
    assert done(Reason.DEPENDENCY_STOPPED, IDLE, requirements=THERE) == Remedy(None, LONG_SEEN)


@pytest.mark.parametrize("seen_since", [None, MONO])
def test_what_should_have_been_started_is_started_at_once_however_long_it_was_seen(seen_since: Any) -> None:
    assert kind(done(Reason.NOT_RUNNING, IDLE, replace(LONG_SEEN, seen_since=seen_since))) is ActionKind.START


def test_while_its_manager_may_be_about_to_start_it_nothing_is_done() -> None:
    soon = HostFacts(listening_since=MONO - seconds(5) + MOMENT, may_act=True)
    assert done(Reason.NOT_RUNNING, IDLE, host=soon) == Remedy(None, LONG_SEEN)


def test_what_need_not_run_is_not_started() -> None:
    assert kind(done(Reason.NOT_RUNNING, IDLE, settled=False)) is None


def test_a_start_that_a_person_asked_for_and_that_did_not_come_about_is_made_up_for() -> None:
    asked = Intent(IntentKind.START, "sma", "ada", NOON, NOW.boot, MONO - seconds(5))
    case = Case(AGENT, Observation(IDLE), NOW, past=LONG_SEEN, host=HERE, intent=asked)
    assert kind(remedy(Verdict(Status.STOPPED, Reason.NOT_RUNNING, "."), case, IDLE)) is ActionKind.START


@pytest.mark.parametrize("unit", [dead(phase=Phase.FAILED), dead()])
def test_a_start_that_its_manager_has_given_up_is_its_managers_matter(unit: UnitState) -> None:
    assert done(Reason.START_TIMEOUT, unit, ready=NO) == Remedy(None, LONG_SEEN)


def test_what_was_not_asked_whether_it_is_ready_is_not_restarted_for_it() -> None:
    assert done(Reason.START_TIMEOUT, alive()) == Remedy(None, LONG_SEEN)


# --- Whether it is due still ------------------------------------------------------------------------------------------

GONE = dead(phase=Phase.INACTIVE)
SINCE: list[Any] = [
    (ActionKind.START, GONE, GONE, True),
    (ActionKind.START, GONE, state(Phase.INACTIVE), True),
    (ActionKind.START, dead(phase=Phase.FAILED), GONE, True),
    (ActionKind.START, IDLE, alive(), False),
    (ActionKind.START, GONE, dead("b", phase=Phase.FAILED), False),
    (ActionKind.RESET_AND_START, GONE, alive("b"), False),
    (ActionKind.RESTART, alive(), alive(), True),
    (ActionKind.RESTART, alive(), GONE, False),
    (ActionKind.RESTART, alive(), alive("b", restarts=1), False),
    (ActionKind.END, GONE, alive("b"), False),
    (ActionKind.END, GONE, state(Phase.INACTIVE), True),
    (ActionKind.STOP, dead(), alive("b", restarts=4), True),
    (ActionKind.STOP, alive(), alive(), True),
    (ActionKind.STOP, alive(), GONE, True),
    (ActionKind.STOP, dead(), alive("b"), False),
]


@pytest.mark.parametrize(("kind", "then", "now", "due"), SINCE)
def test_it_is_due_no_more_once_somebody_has_started_stopped_or_restarted_the_agent(
    kind: ActionKind, then: UnitState, now: UnitState, due: bool
) -> None:
    assert still_due(Action(kind, "sma", "agent@sma.service"), then, now) is due


# --- What is remembered of it -----------------------------------------------------------------------------------------


def test_a_stop_of_what_is_held_is_not_repeated_at_once() -> None:
    assert done(Reason.HELD, alive()).past == replace(LONG_SEEN, not_before=MONO + seconds(10))


def test_a_crash_loop_is_parked_until_its_next_try() -> None:
    past = done(Reason.CRASH_LOOPING, dead(), replace(LONG_SEEN, attempts=1)).past
    assert (past.quarantined, past.asked, past.attempts, past.retry_life) == (True, False, 1, "boot-1/a")
    assert past.retry_at is not None
    assert minutes(2) <= past.retry_at - MONO <= minutes(2.4)


def test_on_probation_it_stays_on_probation_until_it_is_down() -> None:
    assert done(Reason.CRASH_LOOPING, dead(), replace(LONG_SEEN, half_open=True)).past.half_open


def test_a_try_after_a_quarantine_is_on_probation() -> None:
    past = replace(LONG_SEEN, attempts=2, retry_at=MONO, next_try=NOON, quarantined=True)
    assert done(Reason.QUARANTINED, GIVEN_UP, past).past == replace(
        past, asked=True, attempts=3, retry_at=None, half_open=True
    )


@pytest.mark.parametrize(
    "reason", [Reason.DEPENDENCY_FAILED, Reason.NOT_RUNNING, Reason.START_TIMEOUT, Reason.SILENT, Reason.PROBE_FAILING]
)
@pytest.mark.parametrize("agent", [AGENT, spec(quarantine=None)], ids=["on", "off"])
def test_any_other_start_waits_longer_each_time_also_without_a_quarantine(reason: Reason, agent: AgentSpec) -> None:
    _, unit, past, seen, _ = next(one for one in EXAMPLES if one[0] is reason)
    for attempts, wait in ((0, 2), (1, 4), (2, 8), (9, 30)):
        begun = done(reason, unit, replace(past, attempts=attempts), spec=agent, **seen).past
        assert (begun.asked, begun.attempts, begun.half_open) == (True, attempts + 1, False)
        assert begun.retry_at is not None
        assert minutes(wait) <= begun.retry_at - MONO <= minutes(wait * 1.2)


# --- What became of it ------------------------------------------------------------------------------------------------

START = Action(ActionKind.START, "sma", "agent@sma.service", "NotRunning")
STOP = Action(ActionKind.STOP, "sma", "agent@sma.service", "Held")
ASKED = Past(boot=NOW.boot, asked=True, attempts=1, not_before=MONO, blocked="a copy ran")


@pytest.mark.parametrize("kind", [ActionKind.STOP, ActionKind.END])
def test_a_stop_is_not_made_again_before_it_can_be_seen(kind: ActionKind) -> None:
    after = concluded(row(past=ASKED), replace(STOP, kind=kind), Outcome(True), now=NOW)
    assert after == row(past=replace(ASKED, not_before=MONO + seconds(2), blocked=""))


@pytest.mark.parametrize("kind", [ActionKind.START, ActionKind.RESET_AND_START, ActionKind.RESTART])
def test_after_a_start_that_came_about_nothing_need_wait(kind: ActionKind) -> None:
    after = concluded(row(past=ASKED), replace(START, kind=kind), Outcome(True), now=NOW)
    assert after == row(past=replace(ASKED, not_before=None, blocked=""))


@pytest.mark.parametrize(("denied", "wait"), [(False, seconds(10)), (True, minutes(5))])
def test_what_came_to_nothing_is_remembered_with_its_reason_and_waits(denied: bool, wait: timedelta) -> None:
    after = concluded(row(past=ASKED), START, Outcome(False, "a copy runs.", denied=denied), now=NOW)
    assert after == row(past=replace(ASKED, asked=False, not_before=MONO + wait, blocked="a copy runs"))


def test_a_start_that_was_not_made_is_due_again_soon_and_no_try() -> None:
    tried = replace(ASKED, attempts=3, half_open=True, retry_at=MONO + minutes(8), next_try=NOON + minutes(8))
    unmade = concluded(row(past=tried), START, Outcome(False, "a copy runs.", unmade=True), now=NOW).past
    soon = MONO + seconds(10)
    assert (unmade.attempts, unmade.half_open, unmade.retry_at, unmade.not_before) == (2, False, soon, soon)
    assert (unmade.next_try, unmade.blocked) == (NOON + seconds(10), "a copy runs")
    stopped = concluded(row(past=tried), STOP, Outcome(False, "it is locked", unmade=True), now=NOW).past
    assert (stopped.attempts, stopped.half_open, stopped.retry_at) == (3, True, tried.retry_at)
