"""One decision about all agents: what is written, told and done, and that nothing more comes of deciding again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from supervise.decide import FULL, concluded
from supervise.model import (
    FORCE_STOP,
    Action,
    ActionKind,
    AgentSpec,
    Beat,
    Cause,
    Decision,
    EventKind,
    Exit,
    HeartbeatLimits,
    Hold,
    HostFacts,
    Instant,
    Intent,
    IntentKind,
    Lock,
    Observation,
    Outcome,
    Phase,
    ProcessId,
    Quarantine,
    Rate,
    Reason,
    Requirement,
    Restart,
    RestartPolicy,
    Schedule,
    Source,
    Status,
    UnitState,
)
from tests.decide.host import Host
from tests.nouns import NOON, NOW, after, alive, copy, dead, minutes, seconds, spec, state

AGENT = spec()
HOLD = Hold("sma", "r", "ada", NOON - minutes(1))
MONO = NOW.monotonic
MOMENT = timedelta(microseconds=1)
WRITTEN = HeartbeatLimits(minutes(1), minutes(5), written=True)
GIVEN_UP: dict[str, Any] = {"phase": Phase.FAILED, "gave_up": True}


def running(agent: AgentSpec = AGENT, **unit: Any) -> Host:
    """A host whose one agent has just been seen to run."""
    host = Host(agent)
    host.sees(alive(**unit))
    return host


def kinds(decision: Decision) -> list[tuple[str, ActionKind]]:
    return [(action.name, action.kind) for action in decision.actions]


def nothing(decision: Decision) -> bool:
    """Whether nothing comes of it but another look."""
    return replace(decision, wakes={}) == Decision({})


# --- The row ----------------------------------------------------------------------------------------------------------


def test_a_row_says_what_was_seen() -> None:
    started = after(-minutes(5))
    host = Host(AGENT, host=HostFacts(platform="local"))
    unit = alive("x", start=started, since=NOON, restarts=2)
    host.sees(Observation(unit, frozenset(), (), Beat(NOW, 7, activity="page 3")))
    row = host.row()
    assert (row.name, row.title, row.project, row.unit, row.platform) == (
        "sma",
        "Sma",
        "trading",
        "agent@sma.service",
        "local",
    )
    assert (row.phase, row.pid, row.incarnation, row.boot) == (Phase.ACTIVE, 7, "boot-1/x", "boot-1")
    assert (row.since, row.started_at, row.restarts, row.updated_at) == (NOON, started.wall, 2, NOON)
    assert (row.status, row.reason, row.message) == (Status.RUNNING, Reason.AS_WANTED, "page 3")
    assert (row.observed_status, row.observed_reason) == (row.status, row.reason)
    assert (row.health, row.health_parts, row.last_activity, row.last_error) == (FULL, (), "page 3", None)


def test_of_an_agent_at_which_nobody_has_looked_yet_nothing_is_said() -> None:
    assert Host(AGENT).sees().rows == {}


def test_a_row_of_an_agent_that_could_never_be_seen_claims_nothing() -> None:
    row = Host(AGENT, host=HostFacts(unseen_since=NOW.monotonic - minutes(1))).sees().rows["sma"]
    assert (row.unit, row.phase, row.pid, row.incarnation, row.started_at) == ("agent@sma.service", *[None] * 4)
    assert (row.status, row.since, row.health, row.restarts) == (Status.UNKNOWN, NOON, 0, 0)


def test_a_row_of_an_agent_that_is_seen_no_more_keeps_what_was_known() -> None:
    host = Host(AGENT)
    host.sees(Observation(alive(restarts=4), frozenset(), (), Beat(NOW, 7, activity="page 3")))
    host.learns(observed={}, rows={"sma": replace(host.row(), cpu=0.5, memory=1, revision="abc")})
    row = host.sees(at=after(minutes(1))).rows["sma"]
    assert (row.phase, row.pid, row.restarts, row.incarnation, row.started_at) == (None, None, 4, "boot-1/a", NOON)
    assert (row.last_activity, row.last_heartbeat) == ("page 3", NOON)
    assert (row.cpu, row.memory, row.revision) == (0.5, 1, "abc")


def test_what_died_while_nobody_could_look_is_counted_from_where_it_was() -> None:
    host = Host(AGENT)
    host.sees(alive(restarts=4))
    host.learns(observed={})
    host.sees(at=after(minutes(1)))
    host.sees(alive("b", start=after(seconds(30)), restarts=5), at=after(minutes(2)))
    assert len(host.row().past.deaths) == 1


def test_the_last_error_stays_when_all_is_well_again() -> None:
    host = running()
    host.sees(dead())
    host.sees(alive("b", restarts=1))
    assert host.row().status is Status.RUNNING
    assert host.row().last_error == "It exited with code 3 and is started again soon."


def test_that_it_runs_though_it_is_held_is_no_error_of_its_own() -> None:
    host = running()
    host.learns(holds={"sma": HOLD})
    host.sees()
    assert (host.row().status, host.row().last_error) == (Status.ERROR, None)


@pytest.mark.parametrize(
    ("mark", "unit", "outdated"),
    [
        (MONO + MOMENT, alive(), True),
        (MONO, alive(), False),
        (None, alive(), False),
        (MONO + MOMENT, alive(pid=None), False),
        (MONO + MOMENT, alive(started_monotonic=None), False),
        (MONO + MOMENT, None, False),
    ],
)
def test_what_was_started_before_its_files_changed_is_outdated(
    mark: timedelta | None, unit: UnitState | None, outdated: bool
) -> None:
    host = Host(AGENT, marks={"sma": mark} if mark else {}, host=HostFacts(unseen_since=None if unit else -MOMENT))
    host.sees(*[unit] if unit else [])
    assert host.row().outdated is outdated


def test_weights_are_of_the_world() -> None:
    host = Host(AGENT, spec("ema"), weights={"sma": {"restarts": 12.0}})
    host.sees(alive(), alive(name="ema"))
    host.sees(alive("b", restarts=1), alive("b", restarts=1, name="ema"))
    assert (host.row().health, host.row("ema").health) == (96, 90)


# --- Level, not edge --------------------------------------------------------------------------------------------------


def test_a_row_is_written_when_something_changes_and_not_before() -> None:
    host = running()
    assert host.sees(alive()).rows == {}
    assert host.sees(alive(), at=after(seconds(1))) == Decision({})
    assert host.sees(alive(status_text="42 bars")).rows["sma"].message == "42 bars"


def test_a_change_that_is_not_of_the_status_is_a_row_and_no_event() -> None:
    decision = running().sees(alive(status_text="42 bars"))
    assert list(decision.rows) == ["sma"]
    assert decision.events == ()


def test_only_those_that_are_asked_for_are_looked_at() -> None:
    host = Host(AGENT, spec("feed"))
    decision = host.sees(alive(), alive(name="feed"), alive(name="stray"), only=["feed", "nobody"])
    assert list(decision.rows) == ["feed"]
    assert list(host.sees(only=["stray"]).rows) == ["stray"]
    assert list(host.sees().rows) == ["sma"]


def test_nobody_is_forgotten_where_not_all_are_looked_at() -> None:
    host = running()
    host.learns(desired={}, observed={})
    assert host.sees(only=["feed"]).forget == ()
    assert host.sees().forget == ("sma",)


# --- Events and when it was -------------------------------------------------------------------------------------------


def test_the_first_sight_of_an_agent_is_an_event() -> None:
    (event,) = Host(AGENT).sees(alive()).events
    assert (event.before, event.after, event.reason, event.at) == (None, Status.RUNNING, "AsWanted", NOON)


def test_a_death_and_the_start_after_it_are_dated_by_the_operating_system() -> None:
    host = running()
    died = after(seconds(10))
    (event,) = host.sees(dead(at=died), at=after(seconds(11))).events
    assert (event.at, event.before, event.after, event.reason) == (
        died.wall,
        Status.RUNNING,
        Status.ERROR,
        "Crashed",
    )
    assert host.row().since == died.wall
    born = after(seconds(12))
    (event,) = host.sees(alive("b", start=born, since=born.wall, restarts=1), at=after(seconds(13))).events
    assert (event.at, event.after) == (born.wall, Status.RUNNING)
    assert host.row().since == born.wall


def test_what_the_operating_system_does_not_date_is_of_now() -> None:
    host = running()
    (event,) = host.sees(alive(edited=True), at=after(seconds(5))).events
    assert event.at == host.row().since == NOON + seconds(5)


def test_a_change_that_came_after_the_last_change_of_the_unit_is_of_now() -> None:
    host = Host(AGENT)
    host.sees(alive(since=NOON - minutes(1)))
    (event,) = host.sees(alive(since=NOON - minutes(1), edited=True), at=after(seconds(5))).events
    assert event.at == NOON + seconds(5)


def test_what_was_found_of_a_new_life_is_of_now_and_not_of_its_start() -> None:
    host = running()
    born = after(seconds(1))
    (*_, event) = host.sees(alive("b", start=born, since=born.wall, edited=True), at=after(seconds(5))).events
    assert (event.reason, event.at) == ("Drift", NOON + seconds(5))
    assert host.row().since == event.at


def test_what_is_well_again_in_a_life_that_nobody_saw_begin_is_so_since_that_began() -> None:
    host = running()
    host.sees(alive(edited=True), at=after(seconds(1)))
    born = after(seconds(2))
    events = host.sees(alive("b", start=born, since=born.wall), at=after(seconds(5))).events
    assert (events[-1].reason, events[-1].at) == ("AsWanted", born.wall)
    assert host.row().since == born.wall


def test_no_event_is_of_the_future() -> None:
    (event,) = Host(AGENT).sees(dead(at=after(seconds(5)))).events
    assert event.at == NOON


def test_a_death_without_a_time_is_dated_by_the_change_of_the_unit() -> None:
    host = running()
    host.sees(dead(ended_at=None, since=NOON + seconds(1)), at=after(seconds(2)))
    assert host.row().since == NOON + seconds(1)


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.RESTARTING])
def test_what_died_did_so_when_its_process_ended(phase: Phase) -> None:
    host = running()
    host.sees(dead(phase=phase, at=after(seconds(1)), since=NOON + seconds(2)), at=after(seconds(3)))
    assert host.row().since == NOON + seconds(1)


@pytest.mark.parametrize(
    ("phase", "by_request"), [(Phase.INACTIVE, False), (Phase.INACTIVE, True), (Phase.FAILED, True)]
)
def test_what_was_no_death_is_dated_by_when_the_unit_came_to_rest(phase: Phase, by_request: bool) -> None:
    host = running()
    ended = dead(phase=phase, at=after(seconds(1)), since=NOON + seconds(2), by_request=by_request)
    host.sees(ended, at=after(seconds(3)))
    assert host.row().since == NOON + seconds(2)


def test_the_timeline_goes_forward_where_what_a_death_left_was_stopped_after_it() -> None:
    """systemd dates the death before the stop that it tells first."""
    host = running()
    died, stopping = after(seconds(1)), NOON + seconds(2)
    first = host.sees(dead(phase=Phase.STOPPING, at=died, since=stopping), at=after(seconds(3))).events
    second = host.sees(dead(at=died, since=NOON + seconds(4)), at=after(seconds(4))).events
    assert [(one.at, one.after) for one in (*first, *second)] == [(stopping, Status.STOPPING), (stopping, Status.ERROR)]
    assert host.row().since == stopping


def test_what_waits_for_its_turn_does_so_from_now_on() -> None:
    host = running()
    host.sees(state(Phase.QUEUED, since=NOON + seconds(1), ended_at=NOON + seconds(1)), at=after(seconds(3)))
    assert host.row().since == NOON + seconds(3)


def test_it_is_so_since_the_status_and_the_reason_are_what_they_are() -> None:
    host = running()
    host.sees(alive(status_text="42 bars"), at=after(minutes(5)))
    assert host.row().since == NOON
    host.learns(holds={"sma": HOLD})
    host.sees(at=after(minutes(6)))
    assert (host.row().status, host.row().since) == (Status.ERROR, NOON + minutes(6))
    host.sees(state(Phase.INACTIVE), at=after(minutes(7)))
    assert (host.row().status, host.row().since) == (Status.STOPPED, NOON + minutes(7))


def test_a_death_that_was_over_before_anybody_looked_is_an_event_all_the_same() -> None:
    host = running()
    (event,) = host.sees(
        alive("b", start=after(seconds(9)), left_active=NOON + seconds(8), restarts=1), at=after(minutes(1))
    ).events
    assert (event.kind, event.at, event.before, event.after) == (
        EventKind.DEATH,
        NOON + seconds(8),
        Status.RUNNING,
        Status.RUNNING,
    )
    undated = running().sees(alive("b", start=after(seconds(9)), restarts=1), at=after(minutes(1))).events
    assert [one.at for one in undated] == [NOON + minutes(1)]


def test_such_a_death_is_told_also_when_an_older_one_is_forgotten_at_that_moment() -> None:
    host = running()
    host.sees(dead(at=NOW))
    host.sees(alive("b", restarts=1))
    late = after(minutes(16))
    (event,) = host.sees(alive("c", start=late, restarts=2), at=late).events
    assert event.kind is EventKind.DEATH
    assert len(host.row().past.deaths) == 1


def test_a_start_by_a_person_is_no_death() -> None:
    host = running()
    host.sees(dead())
    host.sees(alive("b", restarts=1))
    (event,) = host.sees(alive("c", start=after(seconds(50))), at=after(minutes(1))).events
    assert (event.kind, event.reason, event.by) == (EventKind.ORDER, "restart", "somebody")
    assert (event.before, event.after) == (Status.RUNNING, Status.RUNNING)
    assert host.row().past.deaths == ()


def test_a_start_by_a_person_is_told_once() -> None:
    """What they have told us of, and what we have done ourselves, is in the timeline already."""
    for wish in (IntentKind.START, IntentKind.STOP):
        host = running()
        host.learns(
            intents={"sma": Intent(wish, "sma", "ada", NOON + seconds(1), NOW.boot, after(seconds(1)).monotonic)}
        )
        told = host.sees(alive("b", start=after(seconds(2))), at=after(minutes(1))).events
        assert [one.reason for one in told] == ([] if wish is IntentKind.START else ["restart"])
    host = running()
    host.learns(rows={"sma": replace(host.row(), past=replace(host.row().past, asked=True))})
    assert host.sees(alive("b", start=after(seconds(2))), at=after(minutes(1))).events == ()


def test_a_counter_that_was_reset_hides_no_restart() -> None:
    """`systemctl reset-failed` sets it to 0."""
    host = running(restarts=3)
    (event,) = host.sees(alive("b", start=after(seconds(2)), restarts=1), at=after(minutes(1))).events
    assert event.reason == "restart"


def test_after_a_death_that_was_told_each_restart_but_one_was_another() -> None:
    for restarts, deaths in ((1, 0), (2, 1)):
        host = running()
        host.sees(dead(at=after(seconds(5))), at=after(seconds(5)))
        again = alive("c", start=after(seconds(20)), restarts=restarts)
        events = host.sees(again, at=after(minutes(1))).events
        assert [event.kind for event in events] == [EventKind.DEATH] * deaths + [EventKind.STATUS]


def test_a_death_that_nobody_saw_is_told_before_what_came_of_it() -> None:
    host = running()
    born = alive("b", phase=Phase.STARTING, start=after(seconds(9)), left_active=NOON + seconds(8), restarts=1)
    died, starts = host.sees(born, at=after(minutes(1))).events
    assert (died.kind, died.at, died.before, died.after) == (
        EventKind.DEATH,
        NOON + seconds(8),
        Status.RUNNING,
        Status.RUNNING,
    )
    assert (starts.kind, starts.before, starts.after) == (EventKind.STATUS, Status.RUNNING, Status.STARTING)


def test_who_was_dead_and_died_again_of_a_life_that_nobody_saw_has_a_death_more_and_only_one() -> None:
    host = running()
    host.sees(dead(phase=Phase.FAILED, at=after(seconds(5))), at=after(seconds(5)))
    again = dead("b", phase=Phase.FAILED, start=after(seconds(20)), at=after(seconds(25)))
    (event,) = host.sees(again, at=after(minutes(1))).events
    assert (event.kind, event.at, event.before, event.after, event.message) == (
        EventKind.DEATH,
        NOON + seconds(25),
        Status.ERROR,
        Status.ERROR,
        "It exited with code 3.",
    )
    assert host.sees(again, at=after(minutes(2))).events == ()


@pytest.mark.parametrize(
    ("how", "reason", "message"),
    [
        ({}, "Crashed", "It exited with code 3; a copy of it runs on."),
        ({"cause": Cause.CLEAN, "exit": Exit(code=0)}, "Exited", "It exited with code 0; a copy of it runs on."),
    ],
)
def test_a_death_beside_a_copy_is_told_though_the_status_is_about_the_copy(
    how: dict[str, Any], reason: str, message: str
) -> None:
    host = Host(AGENT)
    host.sees(Observation(alive(), outside=(copy(),)))
    died = dead(at=after(seconds(8)), **how)
    death, hidden = host.sees(Observation(died, outside=(copy(),)), at=after(seconds(9))).events
    assert (death.kind, death.reason, death.message, death.at) == (
        EventKind.DEATH,
        reason,
        message,
        NOON + seconds(8),
    )
    assert (hidden.kind, hidden.reason) == (EventKind.STATUS, "HiddenProcess")
    assert host.sees(Observation(died, outside=(copy(5),)), at=after(seconds(10))).events == ()


def test_a_death_that_was_seen_is_told_once() -> None:
    host = running()
    (died,) = host.sees(dead(at=after(seconds(1))), at=after(seconds(1))).events
    (again,) = host.sees(alive("b", phase=Phase.STARTING, restarts=1), at=after(seconds(2))).events
    assert (died.after, again.after) == (Status.ERROR, Status.STARTING)


def test_what_a_person_has_put_down_did_not_crash_only_since_it_is_wanted_again() -> None:
    host = running()
    host.learns(intents={"sma": Intent(IntentKind.STOP, "sma", "ada", NOON, NOW.boot, after(seconds(1)).monotonic)})
    killed = dead(phase=Phase.FAILED, by_request=False, at=after(seconds(1)))
    host.sees(killed, at=after(seconds(1)))
    assert host.row().reason is Reason.STOPPED_BY_OPERATOR
    asked = after(seconds(2))
    host.learns(intents={"sma": Intent(IntentKind.START, "sma", "ada", asked.wall, asked.boot, asked.monotonic)})
    assert not host.sees(at=asked).events
    assert host.row().message == "It was stopped; it exited with code 3."
    again = alive("b", start=after(seconds(3)))
    host.sees(again, at=after(seconds(3)))
    host.sees(dead("b", phase=Phase.FAILED, start=after(seconds(3)), at=after(seconds(4))), at=after(seconds(4)))
    assert host.row().reason is Reason.CRASHED


def test_what_seemed_to_be_stopped_in_passing_was_not_put_down_by_a_person() -> None:
    looping = spec(restart=Restart(loop=Rate(1, minutes(1))), quarantine=Quarantine())
    host = running(looping)
    passing = dead(phase=Phase.INACTIVE, by_request=True, at=after(seconds(1)))
    host.sees(passing, at=after(seconds(1)))
    assert host.row().reason is Reason.STOPPED_BY_OPERATOR
    decision = host.sees(dead(phase=Phase.RESTARTING, at=after(seconds(1))), at=after(seconds(1)))
    assert kinds(decision) == [("sma", ActionKind.STOP)]
    host.sees(dead(phase=Phase.INACTIVE, by_request=True, at=after(seconds(1))), at=after(seconds(2)))
    assert host.row().reason is Reason.QUARANTINED


@pytest.mark.parametrize(
    ("phase", "seen", "reason"),
    [
        (Phase.INACTIVE, {"inside": frozenset({ProcessId(12, 1)})}, Reason.ORPHAN_PROCESS),
        (Phase.INACTIVE, {"outside": (copy(),)}, Reason.HIDDEN_PROCESS),
        (Phase.ACTIVE, {"outside": (copy(),)}, Reason.DUPLICATE_PROCESS),
    ],
)
def test_what_a_look_at_processes_had_found_stands_until_the_next_look(
    phase: Phase, seen: dict[str, Any], reason: Reason
) -> None:
    host = running()
    unit = alive() if phase is Phase.ACTIVE else dead(phase=phase, by_request=True)
    host.sees(Observation(unit, **{"inside": frozenset(), "outside": (), **seen}))
    found = host.row()
    assert found.reason is reason
    assert not host.sees(Observation(unit)).events
    assert host.row().message == found.message
    if reason is Reason.ORPHAN_PROCESS:  # others were looked at; of this one what was seen is too old
        assert not host.sees(Observation(unit, None, ())).events
    host.learns(host=replace(host.world.host, blind=True))
    host.sees(Observation(unit))
    assert host.row().reason is not reason  # nobody can look any more
    host.learns(host=replace(host.world.host, blind=False))
    host.sees(Observation(dead(phase=Phase.FAILED, at=after(seconds(1)))), at=after(seconds(1)))
    assert host.row().reason is Reason.CRASHED  # something else has happened since
    host.sees(Observation(unit, **{"inside": frozenset(), "outside": (), **seen}))
    host.sees(Observation(unit, frozenset(), ()))
    assert host.row().reason in (Reason.AS_WANTED, Reason.STOPPED_BY_OPERATOR)


def test_a_start_that_its_manager_refuses_after_a_stop_leaves_it_given_up() -> None:
    host = running()
    host.learns(intents={"sma": Intent(IntentKind.STOP, "sma", "ada", NOON, NOW.boot, after(seconds(1)).monotonic)})
    host.sees(dead(phase=Phase.INACTIVE, by_request=True, at=after(seconds(1))), at=after(seconds(1)))
    asked = after(seconds(2))
    host.learns(intents={"sma": Intent(IntentKind.START, "sma", "ada", asked.wall, asked.boot, asked.monotonic)})
    host.sees(dead(**GIVEN_UP, by_request=False, at=after(seconds(1))), at=after(seconds(3)))
    assert host.row().reason is Reason.QUARANTINED


def test_the_runs_of_a_job_are_no_restarts() -> None:
    host = running(spec(schedule=Schedule(("daily",))))
    assert host.sees(alive("b", start=after(seconds(9))), at=after(minutes(1))).events == ()


def test_a_stop_is_told_with_who_asked_for_it() -> None:
    host = running()
    host.learns(intents={"sma": Intent(IntentKind.STOP, "sma", "ada", NOON, NOW.boot, MONO)})
    (event,) = host.sees(dead(phase=Phase.INACTIVE, by_request=True)).events
    assert (event.by, event.reason) == ("ada", "StoppedByOperator")


# --- Locks ------------------------------------------------------------------------------------------------------------

LOCK = Lock(Status.RUNNING, 90, "known", "ada", NOON + minutes(5))


def locks(host: Host, lock: Lock | None = LOCK) -> None:
    host.learns(rows={"sma": replace(host.row(), lock=lock)})


def locked() -> Host:
    host = running()
    locks(host)
    host.sees(dead(), at=after(seconds(1)))
    return host


def test_a_lock_replaces_what_is_shown_and_nothing_that_was_observed() -> None:
    row = locked().row()
    assert (row.status, row.reason, row.health) == (Status.RUNNING, Reason.LOCKED, 90)
    assert row.message == "Locked to running by ada until 2026-03-01 12:05:00 UTC: known"
    assert (row.observed_status, row.observed_reason, row.phase) == (*(Status.ERROR, Reason.CRASHED, Phase.RESTARTING),)
    assert (row.last_error, row.lock) == ("It exited with code 3 and is started again soon.", LOCK)


def test_what_changes_behind_a_lock_is_an_event() -> None:
    (event,) = locked().sees(alive("b", restarts=1)).events
    assert (event.before, event.after, event.reason, event.by) == (Status.RUNNING, Status.RUNNING, "Locked", "ada")


def test_a_lock_stops_no_remedy() -> None:
    host = locked()
    host.learns(holds={"sma": HOLD})
    assert kinds(host.sees()) == [("sma", ActionKind.STOP)]


def test_a_lock_ends_in_time_and_wakes_for_it() -> None:
    host = locked()
    host.sees(at=after(minutes(5) - MOMENT))
    assert host.row().lock == LOCK
    assert host.sees().wakes == {"sma": MONO + minutes(5)}
    (event,) = host.sees(at=after(minutes(5))).events
    assert (host.row().status, host.row().reason, host.row().lock) == (Status.ERROR, Reason.CRASHED, None)
    assert (event.before, event.after, event.by) == (Status.RUNNING, Status.ERROR, "supervise")


def test_a_lock_is_so_since_it_began_whatever_changes_behind_it() -> None:
    host = running()
    locks(host)
    host.sees(at=after(minutes(1)))
    assert host.row().since == NOON + minutes(1)
    host.sees(dead(at=after(minutes(2))), at=after(minutes(2)))
    host.sees(alive("b", restarts=1), at=after(minutes(3)))
    assert (host.row().reason, host.row().since) == (Reason.LOCKED, NOON + minutes(1))


def test_after_a_lock_it_is_so_since_what_is_observed_was_first_seen() -> None:
    host = running()
    locks(host)
    host.sees(at=after(minutes(1)))
    host.sees(dead(at=after(minutes(2))), at=after(minutes(2)))
    host.sees(at=after(minutes(4)))
    host.sees(at=after(minutes(5)))
    assert (host.row().reason, host.row().since) == (Reason.CRASHED, NOON + minutes(2))
    host.sees(at=after(minutes(6)))
    assert host.row().since == NOON + minutes(2)


def test_after_a_lock_that_ended_with_its_boot_it_is_so_since_that_of_this_one() -> None:
    host = running()
    locks(host)
    host.sees(at=after(minutes(1)))
    booted = Instant(NOON + minutes(9), minutes(1), minutes(1), "boot-2")
    host.sees(alive("b", start=booted, since=booted.wall), at=booted)
    assert (host.row().reason, host.row().since) == (Reason.AS_WANTED, booted.wall)


FORCED = Lock(Status.STOPPED, 0, f"{FORCE_STOP}cannot be killed: PID 7 lives on", "root", NOON + minutes(60))


def wants(kind: IntentKind, at: Instant) -> Intent:
    return Intent(kind, "sma", "root", at.wall, at.boot, at.monotonic)


def forced(lock: Lock = FORCED) -> Host:
    """Killed 10 s after NOON, and locked."""
    host = running()
    host.learns(intents={"sma": wants(IntentKind.STOP, after(seconds(10)))})
    locks(host, lock)
    host.sees(dead(phase=Phase.INACTIVE, by_request=True, at=after(seconds(11))), at=after(seconds(11)))
    assert host.row().lock == lock
    return host


@pytest.mark.parametrize("told", [True, False], ids=["by us", "by systemctl"])
def test_a_start_ends_the_lock_that_force_stop_made_and_says_so_once(told: bool) -> None:
    host = forced()
    if told:
        host.learns(intents={"sma": wants(IntentKind.START, after(seconds(20)))})
    events = host.sees(alive("b", start=after(seconds(20))), at=after(seconds(21))).events
    assert (host.row().lock, host.row().reason) == (None, Reason.AS_WANTED)
    assert [(one.kind, one.reason, one.by) for one in events if one.reason == "unlock"] == [
        (EventKind.ORDER, "unlock", "supervise")
    ]
    assert not host.sees(at=after(seconds(22))).events


def test_a_start_ends_no_lock_that_a_person_made() -> None:
    host = forced(replace(FORCED, reason="cannot be killed"))
    host.sees(alive("b", start=after(seconds(20))), at=after(seconds(21)))
    assert host.row().reason is Reason.LOCKED


@pytest.mark.parametrize(
    "seen",
    [
        alive(),
        alive("b", phase=Phase.STARTING, start=after(seconds(20))),
        dead("b", start=after(seconds(20)), at=after(seconds(21))),
    ],
    ids=["it lives on", "not up yet", "did not come up"],
)
def test_what_has_not_come_up_anew_stays_locked(seen: UnitState) -> None:
    host = forced()
    host.sees(seen, at=after(seconds(22)))
    assert host.row().lock == FORCED


@pytest.mark.parametrize(("at", "lifted"), [(9, False), (12, True)])
def test_what_was_installed_since_is_not_locked_by_what_force_stop_met_before(at: float, lifted: bool) -> None:
    host = forced()
    host.learns(marks={"sma": after(seconds(at)).monotonic})
    host.sees(at=after(seconds(13)))
    assert (host.row().lock is None) is lifted


# --- Signs of life ----------------------------------------------------------------------------------------------------


def test_the_last_heartbeat_is_the_newer_of_ping_and_beat() -> None:
    host = Host(AGENT)
    beat = Beat(after(-seconds(2)), 7)
    host.sees(Observation(alive(start=after(-minutes(1)), last_ping=MONO - seconds(3)), beat=beat))
    assert (host.row().last_heartbeat, host.row().source) == (NOON - seconds(2), Source.BEAT)
    host.sees(Observation(alive(start=after(-minutes(1)), last_ping=MONO - seconds(1)), beat=beat))
    assert (host.row().last_heartbeat, host.row().source) == (NOON - seconds(1), Source.PING)


def test_of_an_agent_that_gives_no_sign_it_is_when_it_was_last_seen_active() -> None:
    host = running()
    host.sees(alive(), at=after(seconds(30)))
    assert (host.row().last_heartbeat, host.row().source) == (NOON + seconds(30), Source.OBSERVED)
    host.sees(alive(phase=Phase.STOPPING), at=after(seconds(70)))
    assert (host.row().last_heartbeat, host.row().source) == (NOON + seconds(30), Source.OBSERVED)


def test_the_last_heartbeat_does_not_go_back_to_an_older_sign() -> None:
    host = running()
    host.sees(alive(), at=after(seconds(39)))
    host.sees(alive(last_ping=MONO + seconds(2), status_text="a"), at=after(seconds(40)))
    assert (host.row().last_heartbeat, host.row().source) == (NOON + seconds(39), Source.OBSERVED)
    host.sees(alive(last_ping=MONO + seconds(50)), at=after(seconds(50)))
    assert (host.row().last_heartbeat, host.row().source) == (NOON + seconds(50), Source.PING)


def test_a_last_heartbeat_that_lies_in_the_future_gives_way() -> None:
    host = running()
    host.learns(rows={"sma": replace(host.row(), last_heartbeat=NOON + minutes(60))})
    host.sees(alive(last_ping=MONO + seconds(9)), at=after(seconds(10)))
    assert (host.row().last_heartbeat, host.row().source) == (NOON + seconds(9), Source.PING)


@pytest.mark.parametrize("phase", [Phase.ABSENT, Phase.INACTIVE, Phase.FAILED])
def test_what_is_down_keeps_its_last_sign(phase: Phase) -> None:
    host = running()
    host.sees(dead(phase=phase, last_ping=MONO + minutes(1)), at=after(minutes(2)))
    assert (host.row().last_heartbeat, host.row().source) == (NOON, Source.OBSERVED)


@pytest.mark.parametrize(
    ("watchdog", "coarse"), [(None, seconds(5)), (seconds(6), seconds(2)), (seconds(60), seconds(5))]
)
def test_a_newer_heartbeat_alone_is_a_row_only_now_and_then(watchdog: timedelta | None, coarse: timedelta) -> None:
    host = Host(AGENT)
    host.sees(alive(watchdog=watchdog, last_ping=MONO))
    soon = alive(watchdog=watchdog, last_ping=MONO + coarse - MOMENT)
    assert host.sees(soon, at=after(coarse)).rows == {}
    late = alive(watchdog=watchdog, last_ping=MONO + coarse)
    assert host.sees(late, at=after(coarse)).rows["sma"].last_heartbeat == NOON + coarse


def test_that_it_was_seen_once_more_is_a_row_only_each_half_minute() -> None:
    host = running()
    assert host.sees(at=after(seconds(30) - MOMENT)).rows == {}
    assert host.sees(at=after(seconds(30))).rows["sma"].last_heartbeat == NOON + seconds(30)


def test_the_first_heartbeat_is_a_row() -> None:
    host = running()
    host.learns(rows={"sma": replace(host.row(), last_heartbeat=None)})
    assert host.sees(at=after(seconds(1))).rows["sma"].last_heartbeat == NOON + seconds(1)


# --- When to look again -----------------------------------------------------------------------------------------------


def wake(agent: Any, unit: UnitState | Observation, **world: Any) -> timedelta | None:
    """How long after NOW it is to be looked at."""
    at = Host(agent, **world).sees(unit).wakes.get("sma")
    return None if at is None else at - MONO


@pytest.mark.parametrize(("age", "soonest"), [(0, 60), (59, 1), (60, 240), (299, 1), (300, None), (900, None)])
def test_silence_is_looked_for_when_it_becomes_too_long(age: float, soonest: float | None) -> None:
    unit = alive(start=after(-minutes(50)), last_ping=MONO - seconds(age))
    agent = spec(heartbeat=WRITTEN)
    assert wake(agent, unit, host=HostFacts()) == (None if soonest is None else seconds(soonest))


def test_a_start_or_a_disturbance_since_the_last_sign_puts_that_off() -> None:
    agent = spec(heartbeat=WRITTEN)
    assert wake(agent, alive(start=after(-seconds(20)))) == seconds(40)
    long = alive(start=after(-minutes(50)), last_ping=MONO - seconds(55))
    assert wake(agent, long, host=HostFacts(disturbed=MONO - seconds(30))) == seconds(30)


def test_where_no_sign_is_expected_time_alone_changes_nothing() -> None:
    assert wake(AGENT, alive()) is None
    assert wake(spec(heartbeat=WRITTEN), dead(phase=Phase.INACTIVE)) is None


def test_idleness_is_looked_for_four_times_as_often_as_it_lasts() -> None:
    assert wake(spec(max_idle=minutes(4)), alive()) == minutes(1)


def test_a_deadline_is_looked_at_when_it_passes() -> None:
    job = spec(schedule=Schedule(("daily",), deadline=minutes(3)))
    assert wake(job, alive(start=after(-minutes(1)))) == minutes(2)
    assert wake(job, alive(started_monotonic=None)) is None
    assert wake(spec(schedule=Schedule(("daily",))), alive()) is None


def test_what_is_on_probation_is_looked_at_when_it_has_settled() -> None:
    host = running()
    tried = replace(host.row().past, attempts=1)
    host.learns(rows={"sma": replace(host.row(), past=tried)})
    assert host.sees().wakes == {"sma": MONO + minutes(10)}
    host.sees(at=after(minutes(10)))
    assert host.row().past.attempts == 0
    host.learns(rows={"sma": replace(host.row(), past=tried)}, desired={"sma": spec(quarantine=None)})
    assert host.sees(at=after(minutes(1))).wakes == {}


def booted() -> Host:
    """A host whose one agent has not been started by its boot, of which we have only begun to hear."""
    return Host(AGENT, settled=frozenset({"sma"}), host=HostFacts(listening_since=MONO, may_act=True))


NEVER_STARTED = state(Phase.INACTIVE, enabled=True)


def test_what_was_not_started_is_looked_at_when_that_is_wrong() -> None:
    host = booted()
    assert host.sees(NEVER_STARTED).wakes == {"sma": MONO + seconds(5)}
    assert host.sees(at=after(seconds(5) - MOMENT)).wakes == {"sma": MONO + seconds(5)}
    assert host.row().reason is Reason.NOT_STARTED
    assert kinds(host.sees(at=after(seconds(5)))) == [("sma", ActionKind.START)]
    assert host.row().reason is Reason.NOT_RUNNING


def test_what_a_person_asked_to_start_is_looked_at_when_that_should_have_come_about() -> None:
    asked = Intent(IntentKind.START, "sma", "ada", NOON, NOW.boot, MONO)
    host = Host(AGENT, intents={"sma": asked})
    assert host.sees(NEVER_STARTED, at=after(seconds(2))).wakes == {"sma": MONO + seconds(5)}
    assert kinds(host.sees(at=after(seconds(5)))) == [("sma", ActionKind.START)]


def test_what_was_started_in_this_boot_is_not_looked_at_for_that() -> None:
    host = booted()
    host.sees(alive())
    assert host.sees(dead(phase=Phase.INACTIVE)).wakes == {}
    assert host.sees(NEVER_STARTED, at=after(seconds(1))).wakes == {}


def test_what_waits_for_its_next_try_is_not_looked_at_all_the_time() -> None:
    host = booted()
    host.sees(NEVER_STARTED)
    host.sees(at=after(seconds(5)))
    due = host.sees(at=after(seconds(6))).wakes["sma"]
    assert due - MONO > minutes(2)
    assert host.sees(at=after(due - MONO)).actions != ()


def test_a_hold_is_looked_at_when_its_agent_should_be_down() -> None:
    host = running()
    host.learns(holds={"sma": replace(HOLD, at=NOON)})
    assert host.sees().wakes == host.sees(at=after(seconds(3))).wakes == {"sma": MONO + seconds(5)}
    assert (host.row().status, host.row().reason) == (Status.STOPPING, Reason.HELD)
    assert kinds(host.sees(at=after(seconds(5) - MOMENT))) == []
    assert kinds(host.sees(at=after(seconds(5)))) == [("sma", ActionKind.STOP)]
    assert (host.row().status, host.row().reason) == (Status.ERROR, Reason.HELD)


def test_a_hold_of_what_is_down_need_not_be_looked_at() -> None:
    held = {"sma": replace(HOLD, at=NOON)}
    assert wake(AGENT, state(Phase.INACTIVE), holds=held) is None
    assert wake(AGENT, alive(), holds={"sma": HOLD}, host=HostFacts()) is None


# --- What is done -----------------------------------------------------------------------------------------------------


def test_a_missed_start_is_made_up_for_once() -> None:
    host = booted()
    host.sees(NEVER_STARTED)
    decision = host.sees(at=after(seconds(5)))
    assert decision.actions == (Action(ActionKind.START, "sma", "agent@sma.service", "NotRunning"),)
    assert host.row().next_try is not None
    assert host.sees(Observation(NEVER_STARTED, frozenset(), (), acting=True)) == Decision({})


def test_what_was_stopped_with_another_is_so_until_it_is_up_again_whatever_becomes_of_the_other() -> None:
    host = running()
    stopped = dead(phase=Phase.INACTIVE, by_request=True)

    def sees(at: Instant, **required: Requirement) -> Reason:
        host.sees(Observation(stopped, frozenset(), (), requirements=required), at=at)
        return host.row().reason

    assert sees(after(seconds(1)), feed=Requirement(False)) is Reason.DEPENDENCY_STOPPED
    assert sees(after(minutes(1)), feed=Requirement(False)) is Reason.DEPENDENCY_STOPPED
    assert sees(after(minutes(2)), feed=Requirement(True), ask=Requirement(True)) is Reason.DEPENDENCY_STOPPED
    assert "together with feed, which" in host.row().message
    host.sees(alive("b", start=after(minutes(3))), at=after(minutes(3)))
    stopped = dead("b", phase=Phase.INACTIVE, by_request=True, start=after(minutes(3)), at=after(minutes(4)))
    assert sees(after(minutes(4)), feed=Requirement(True)) is Reason.STOPPED_BY_OPERATOR


def test_a_first_word_of_whom_it_was_stopped_with_stays() -> None:
    host = running()
    stopped = dead(phase=Phase.INACTIVE, by_request=True)
    host.sees(Observation(stopped, frozenset(), (), requirements={"feed": Requirement(False)}))
    both = {"ask": Requirement(False, NOON), "feed": Requirement(False)}
    assert nothing(host.sees(Observation(stopped, frozenset(), (), requirements=both), at=after(seconds(1))))
    assert host.row().past.stopped_with == "feed"


def stopped_with_feed(feed: UnitState, **agent: Any) -> tuple[Host, Decision]:
    """A host whose one agent went down with what it requires, and what was decided when that was up again."""
    host = Host(spec(**agent), spec("feed", restart=Restart(loop=Rate(1, minutes(15)))))
    host.sees(alive(), alive(name="feed"))
    host.sees(feed)
    down = dead(phase=Phase.INACTIVE, by_request=True, at=after(seconds(1)))
    needs = {"agent@feed.service": Requirement(False)}
    host.sees(Observation(down, frozenset(), (), requirements=needs), at=after(seconds(1)))
    again = after(minutes(1))
    back = Observation(down, frozenset(), (), requirements={"agent@feed.service": Requirement(True)})
    return host, host.sees(alive("b", name="feed", start=again), back, at=again)


def test_what_went_down_with_another_that_no_person_stopped_comes_back_with_it() -> None:
    for feed in (dead(name="feed", **GIVEN_UP), dead(name="feed")):
        host, decision = stopped_with_feed(feed)
        assert kinds(decision) == [("sma", ActionKind.START)]
        assert host.row().message.endswith("which it requires; it is started again with that.")


def test_what_a_person_stopped_with_another_or_must_not_be_restarted_does_not() -> None:
    stopped = dead(name="feed", phase=Phase.INACTIVE, by_request=True)
    for host, decision in (
        stopped_with_feed(stopped),
        stopped_with_feed(dead(name="feed", **GIVEN_UP), restart=Restart(policy=RestartPolicy.NEVER)),
    ):
        assert kinds(decision) == []
        assert host.row().message.endswith("which it requires; `supervise start sma` starts it.")


def test_that_it_comes_back_with_another_is_forgotten_once_it_has() -> None:
    host, _ = stopped_with_feed(dead(name="feed", **GIVEN_UP))
    assert host.row().past.left_alone
    host.sees(alive("b", start=after(minutes(1))), at=after(minutes(1)))
    assert not host.row().past.left_alone


def test_a_failure_that_somebody_resets_is_tried_again_when_it_would_have_been() -> None:
    host = running()
    due = host.sees(dead(**GIVEN_UP)).wakes["sma"]
    reset = dead(phase=Phase.INACTIVE, by_request=True, gave_up=False, cause=Cause.CLEAN)
    assert host.sees(reset).events == ()
    assert kinds(host.sees(at=after(due - MONO))) == [("sma", ActionKind.RESET_AND_START)]


def test_what_is_given_up_is_tried_again_on_probation() -> None:
    host = running()
    decision = host.sees(dead(**GIVEN_UP))
    due = decision.wakes["sma"]
    assert minutes(1) <= due - MONO <= minutes(1.2)
    assert host.row().next_try == (NOON + (due - MONO)).replace(microsecond=0)
    assert host.sees(at=after(due - MONO - MOMENT)).actions == ()
    assert kinds(host.sees(at=after(due - MONO))) == [("sma", ActionKind.RESET_AND_START)]
    host.sees(Observation(dead(**GIVEN_UP), frozenset(), (), acting=True))
    born = after(minutes(2))
    host.sees(alive("b", start=born), at=born)
    assert (host.row().status, host.row().past.deaths, host.row().past.half_open) == (Status.RUNNING, (), True)
    again = host.sees(dead("b", start=born, at=after(minutes(3))), at=after(minutes(3)))
    assert (host.row().reason, kinds(again)) == (Reason.CRASH_LOOPING, [("sma", ActionKind.STOP)])


def test_a_crash_loop_is_stopped_and_told_as_one_until_it_is_down() -> None:
    host = Host(spec(restart=Restart(loop=Rate(2, minutes(15)))))
    host.sees(alive())
    host.sees(dead())
    host.sees(alive("b", restarts=1))
    again = dead("b", restarts=1)
    assert kinds(host.sees(again)) == [("sma", ActionKind.STOP)]
    assert host.sees(Observation(again, frozenset(), (), acting=True)) == Decision({})
    (event,) = host.sees(dead("b", phase=Phase.INACTIVE, by_request=True)).events
    assert (event.reason, event.by) == ("Quarantined", "supervise")
    assert "it was taken out of service; it is tried again at" in host.row().message


def test_a_death_on_probation_is_told_as_a_loop_until_it_is_down() -> None:
    host = running()
    host.learns(rows={"sma": replace(host.row(), past=replace(host.row().past, half_open=True, attempts=1))})
    assert kinds(host.sees(dead())) == [("sma", ActionKind.STOP)]
    assert host.sees(Observation(dead(), frozenset(), (), acting=True)) == Decision({})


def test_a_try_that_is_under_way_changes_nothing_that_is_told() -> None:
    host = running()
    due = after(host.sees(dead(**GIVEN_UP)).wakes["sma"] - MONO)
    host.sees(at=due)
    assert host.sees(Observation(dead(**GIVEN_UP), frozenset(), (), acting=True)) == Decision({})


def test_a_restart_in_vain_is_tried_again_later_each_time() -> None:
    """Although it has run for longer than it takes to settle: silent is not well."""
    host = Host(spec(heartbeat=WRITTEN))
    host.sees(alive(last_ping=MONO))
    waits, at = [], after(minutes(60))
    for _ in range(3):
        assert kinds(host.sees(at=at)) == [("sma", ActionKind.RESTART)]
        failed = concluded(host.row(), Action(ActionKind.RESTART, "sma", "u"), Outcome(False, "no"), now=at)
        host.learns(rows={"sma": failed})
        due = host.sees(at=after(seconds(1), at)).wakes["sma"]
        waits.append((due - at.monotonic) / minutes(1))
        at = after(due - at.monotonic, at)
    assert all(meant <= wait <= 1.2 * meant for meant, wait in zip((2, 4, 8), waits, strict=True))


def test_another_boot_voids_the_past() -> None:
    host = running()
    host.sees(dead(**GIVEN_UP))
    host.sees(state(Phase.INACTIVE), at=Instant(NOON + minutes(9), minutes(1), minutes(1), "boot-2"))
    row = host.row()
    assert (row.reason, row.boot, row.past.retry_at, row.next_try) == (Reason.NOT_STARTED, "boot-2", None, None)


# --- The host ---------------------------------------------------------------------------------------------------------


def test_for_five_seconds_the_last_rows_stand_while_nobody_can_be_asked() -> None:
    host = running()
    host.learns(host=HostFacts(unseen_since=MONO, may_act=True))
    assert host.sees(at=after(seconds(5) - MOMENT)) == Decision({}, wakes={"sma": MONO + seconds(5)})
    decision = host.sees(at=after(seconds(5)))
    assert host.row().status is Status.UNKNOWN
    assert host.row().since == NOON + seconds(5)
    assert [(event.reason, event.by) for event in decision.events] == [("NotObserved", "supervise")]
    assert (decision.actions, decision.forget) == ((), ())
    assert host.sees(at=after(seconds(6))) == Decision({})


def test_what_is_found_beside_a_unit_that_was_only_read_anew_is_dated_now() -> None:
    """systemd dates the state of a unit from when it has loaded it."""
    host = Host(AGENT)
    host.sees(state(Phase.INACTIVE, since=NOON))
    found = Observation(state(Phase.INACTIVE, since=NOON + seconds(5)), outside=(copy(),))
    decision = host.sees(found, at=after(seconds(9)))
    assert host.row().reason is Reason.HIDDEN_PROCESS
    assert {host.row().since, *(event.at for event in decision.events)} == {NOON + seconds(9)}


def test_a_restart_that_nobody_saw_is_told_also_where_the_status_is_another() -> None:
    host = running()
    decision = host.sees(alive(incarnation="boot-1/b", pid=99, phase=Phase.STARTING), at=after(seconds(9)))
    assert host.row().status is Status.STARTING
    assert [event.reason for event in decision.events] == ["restart", "Starting"]
    host = running()
    late = Observation(alive(incarnation="boot-1/b", pid=99), outside=(copy(),))
    decision = host.sees(late, at=after(seconds(9)))
    assert [event.reason for event in decision.events] == ["restart", "DuplicateProcess"]


def test_a_death_that_nobody_saw_comes_before_the_one_that_is_seen() -> None:
    host = running()
    died = replace(dead("b", restarts=2), ended_at=NOON + seconds(9), left_active=NOON + seconds(9.1))
    decision = host.sees(died, at=after(seconds(10)))
    assert [(event.kind, event.at) for event in decision.events] == [
        (EventKind.DEATH, NOON + seconds(9)),
        (EventKind.STATUS, NOON + seconds(9)),
    ]


def test_a_death_beside_a_copy_comes_after_the_stop_that_it_is_the_end_of() -> None:
    host = running()
    stopping = alive(phase=Phase.STOPPING, since=NOON + seconds(5))
    host.sees(Observation(stopping), at=after(seconds(5)))
    gone = replace(dead(), ended_at=NOON + seconds(4.9))
    decision = host.sees(Observation(gone, outside=(copy(),)), at=after(seconds(6)))
    assert decision.events[0].kind is EventKind.DEATH
    assert decision.events[0].at == NOON + seconds(5)


def test_what_is_seen_again_goes_on_where_it_was() -> None:
    host = running()
    host.learns(host=HostFacts(unseen_since=MONO))
    host.sees(at=after(seconds(5)))
    host.learns(host=HostFacts())
    host.sees(alive(), at=after(seconds(9)))
    assert (host.row().status, host.row().past.deaths) == (Status.RUNNING, ())


@pytest.mark.parametrize(
    "seen",
    [
        alive(name="stray"),
        state(Phase.FAILED, "stray"),
        Observation(state(Phase.INACTIVE, "stray"), frozenset({ProcessId(1, 1)})),
        Observation(state(Phase.ABSENT, "stray"), frozenset({ProcessId(1, 1)})),
    ],
)
def test_what_is_in_no_manifest_is_named_as_long_as_something_is_left(seen: UnitState | Observation) -> None:
    host = Host(AGENT, host=HostFacts(platform="local"))
    decision = host.sees(seen)
    row = decision.rows["stray"]
    assert (row.status, row.reason, row.title, row.project) == (
        Status.WARNING,
        Reason.UNMANAGED,
        "stray (unmanaged)",
        "-",
    )
    assert (row.observed_status, row.observed_reason, row.platform) == (Status.WARNING, Reason.UNMANAGED, "local")
    assert decision.actions == ()
    assert [event.reason for event in decision.events if event.name == "stray"] == ["Unmanaged"]
    again = host.sees(at=after(minutes(1)))
    assert "stray" not in again.rows
    assert "stray" not in again.forget


@pytest.mark.parametrize("phase", [Phase.ABSENT, Phase.INACTIVE])
def test_what_is_in_no_manifest_is_forgotten_once_nothing_is_left(phase: Phase) -> None:
    host = Host(AGENT)
    host.sees(alive(name="stray"), alive())
    assert host.sees(state(phase, "stray")).forget == ("stray",)
    assert list(host.world.rows) == ["sma"]


def test_what_is_in_no_manifest_and_was_not_seen_is_nothing() -> None:
    host = Host(AGENT)
    host.learns(observed={"stray": Observation()})
    assert "stray" not in host.sees().rows


def test_a_stray_unit_that_starts_anew_is_a_row_and_no_event() -> None:
    host = Host()
    host.sees(alive(name="stray"))
    decision = host.sees(alive("b", name="stray", pid=8), at=after(minutes(1)))
    assert (decision.rows["stray"].pid, decision.rows["stray"].since) == (8, NOON)
    assert decision.events == ()


def test_an_agent_that_leaves_its_manifest_while_it_runs_becomes_unmanaged() -> None:
    host = running()
    host.learns(desired={})
    (event,) = host.sees(at=after(minutes(1))).events
    assert (event.before, event.after, event.reason) == (Status.RUNNING, Status.WARNING, "Unmanaged")
    assert host.row().since == NOON + minutes(1)


def test_a_renamed_agent_keeps_its_past_and_its_old_row_goes() -> None:
    host = running()
    host.learns(rows={"sma": replace(host.row(), last_error="abc")}, observed={})
    host.learns(desired={"ema": spec("ema", renamed_from="sma")})
    decision = host.sees(alive("b", name="ema"))
    assert decision.rows["ema"].last_error == "abc"
    assert decision.forget == ("sma",)
    assert list(host.world.rows) == ["ema"]


def test_an_old_row_waits_until_its_new_name_is_seen() -> None:
    host = running()
    host.learns(rows={"sma": replace(host.row(), last_error="abc")}, observed={})
    host.learns(desired={"ema": spec("ema", renamed_from="sma")})
    assert host.sees().forget == ()
    assert host.sees(alive("b", name="ema")).rows["ema"].last_error == "abc"
    assert list(host.world.rows) == ["ema"]


def test_a_new_agent_does_not_take_the_row_of_one_that_is_still_there() -> None:
    host = running()
    host.learns(rows={"sma": replace(host.row(), last_error="abc")})
    host.learns(desired={"sma": AGENT, "ema": spec("ema", renamed_from="sma")})
    assert host.sees(alive("b", name="ema")).rows["ema"].revision is None
    fresh = Host(spec("ema", renamed_from="sma"))
    assert fresh.sees(alive(name="ema")).rows["ema"].revision is None


# --- Many at once -----------------------------------------------------------------------------------------------------


def fleet(count: int, **changes: Any) -> Host:
    host = Host(*[spec(f"a{number}", heartbeat=WRITTEN, **changes) for number in range(count)])
    host.sees(*[alive(name=f"a{number}", last_ping=MONO) for number in range(count)])
    return host


def silence(host: Host, silent: int) -> Decision:
    """Five minutes later: the first so many have given no sign since."""
    at = after(minutes(5))
    rest = range(silent, len(host.world.desired))
    return host.sees(*[alive(name=f"a{number}", last_ping=at.monotonic) for number in rest], at=at)


@pytest.mark.parametrize(("silent", "of", "spared"), [(2, 2, False), (3, 10, False), (3, 9, True), (4, 10, True)])
def test_where_more_than_three_in_ten_are_silent_at_once_nobody_is_restarted(
    silent: int, of: int, spared: bool
) -> None:
    host = fleet(of)
    decision = silence(host, silent)
    told = [event for event in decision.events if event.kind is EventKind.HOST]
    if spared:
        assert decision.actions == ()
        assert [event.message for event in told] == [
            f"{silent} of {of} agents are silent at once; none is restarted for it."
        ]
        assert (told[0].reason, told[0].name) == ("Silent", "")
    else:
        assert kinds(decision) == [(f"a{number}", ActionKind.RESTART) for number in range(silent)]
        assert told == []


def test_that_many_are_silent_is_told_once_and_written_once() -> None:
    host = fleet(4)
    assert len(silence(host, 3).rows) == 4
    assert nothing(host.sees())
    assert host.row("a0").past.retry_at is None


def test_when_the_first_falls_silent_those_that_are_only_late_count_too() -> None:
    """They do not beat at the same moment; without this each would be restarted, one after the other."""
    host = fleet(4)
    later = after(seconds(30))
    host.sees(*[alive(name=f"a{number}", last_ping=later.monotonic) for number in (1, 2)], at=later)
    decision = host.sees(alive(name="a3", last_ping=after(minutes(5)).monotonic), at=after(minutes(5)))
    assert [host.row(f"a{number}").reason for number in range(4)] == ["Silent", "Late", "Late", "AsWanted"]
    assert kinds(decision) == []
    (told,) = [event for event in decision.events if event.kind is EventKind.HOST]
    assert told.message == "3 of 4 agents are silent at once; none is restarted for it."


def test_as_long_as_many_are_only_late_nothing_has_come_over_all() -> None:
    host = fleet(4)
    decision = host.sees(at=after(minutes(2)))
    assert host.row("a0").reason == "Late"
    assert [event for event in decision.events if event.kind is EventKind.HOST] == []


def test_when_the_others_are_heard_again_the_last_that_is_silent_has_its_time_to_be_heard_too() -> None:
    host = fleet(4)
    silence(host, 3)
    now = after(minutes(5))
    decision = host.sees(alive(name="a2", last_ping=now.monotonic), only=["a2"])
    (told,) = [event for event in decision.events if event.kind is EventKind.HOST]
    assert (told.reason, told.message) == ("AgentsHeard", "It is over that many agents are silent at once.")
    assert (kinds(decision), decision.wakes["a0"]) == ([], now.monotonic + WRITTEN.late_after)
    assert kinds(host.sees(at=after(WRITTEN.late_after, now), only=["a0"])) == [("a0", ActionKind.RESTART)]


def test_a_wait_that_is_longer_stays_when_the_others_are_heard_again() -> None:
    host = fleet(4)
    silence(host, 3)
    long = MONO + minutes(30)
    host.learns(
        rows={**host.world.rows, "a0": replace(host.row("a0"), past=replace(host.row("a0").past, not_before=long))}
    )
    now = after(minutes(5))
    decision = host.sees(*[alive(name=f"a{number}", last_ping=now.monotonic) for number in (1, 2)])
    assert decision.wakes["a0"] == long


def test_others_are_helped_while_many_are_silent() -> None:
    host = fleet(4)
    host.learns(holds={"a3": replace(HOLD, name="a3")})
    assert kinds(silence(host, 3)) == [("a3", ActionKind.STOP)]


def test_only_agents_that_are_wanted_count() -> None:
    host = fleet(4)
    silence(host, 3)
    host.learns(desired={"a3": spec("a3")}, observed={})
    assert [event.kind for event in host.sees().events if event.kind is EventKind.HOST] == []


@pytest.mark.parametrize("first", [minutes(1), minutes(20)])
def test_where_many_are_given_up_at_once_it_is_one_event_and_nobody_waits_for_long(first: timedelta) -> None:
    host = fleet(4, quarantine=Quarantine(first=first))
    decision = host.sees(*[dead(name=f"a{number}", **GIVEN_UP) for number in range(3)])
    told = [event.message for event in decision.events if event.kind is EventKind.HOST]
    assert told == ["3 of 4 agents are quarantined at once; they are tried again within 2 min."]
    waits = [decision.wakes[f"a{number}"] - MONO for number in range(3)]
    assert all(min(first, minutes(2)) <= wait <= minutes(2.4) for wait in waits)
    assert len(set(waits)) == 3
    assert nothing(host.sees())


def test_those_that_wait_for_long_wait_less_once_many_are_given_up() -> None:
    host = fleet(4, quarantine=Quarantine(first=minutes(20)))
    assert host.sees(dead(name="a0", **GIVEN_UP)).wakes["a0"] - MONO >= minutes(20)
    later = after(minutes(1))
    decision = host.sees(*[dead(name=f"a{number}", at=later, **GIVEN_UP) for number in (1, 2)], at=later)
    assert decision.wakes["a0"] - later.monotonic <= minutes(2.4)


def test_what_has_come_over_many_is_not_told_again_when_something_else_comes_over_others() -> None:
    host = fleet(9)
    silence(host, 4)
    now = after(minutes(6))
    decision = host.sees(*[dead(name=f"a{number}", at=now, **GIVEN_UP) for number in range(4, 8)], at=now)
    assert [event.reason for event in decision.events if event.kind is EventKind.HOST] == ["Quarantined"]
