"""What the daemon knows and tells: rows before anything else, nothing of one life taken for the next, no word lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from supervise.model import (
    Action,
    ActionKind,
    AgentSpec,
    Beat,
    Dependency,
    Doubt,
    EventKind,
    Findings,
    HiddenPolicy,
    Instant,
    Intent,
    IntentKind,
    Lock,
    Outcome,
    Past,
    Phase,
    Ping,
    Reason,
    Requirement,
    Status,
    UnitState,
    Usage,
)
from supervise.reconcile.disk import Disk
from supervise.reconcile.reconciler import PREVIOUS_MAIN
from supervise.stores import Memory
from tests.nouns import NOON, NOW, after, alive, copy, dead, minutes, row, seconds, spec, state
from tests.reconcile.rig import Rig, in_a_loop

DOWN = dead(phase=Phase.FAILED, at=after(minutes(5)), gave_up=True)
"""systemd gave up: rule 11, and the reconciler starts it again after a while."""


def beat(at: Instant = NOW, **changes: object) -> Beat:
    return replace(Beat(at=at, pid=7), **changes)  # type: ignore[arg-type]


STARTS, LEAVES = alive(phase=Phase.STARTING), alive(phase=Phase.STOPPING)
ENDED = dead(at=after(seconds(1)))


def due_for_a_start(folder: Path) -> Rig:
    """An agent that was installed before this boot and that nobody has started."""
    rig = Rig(folder, spec())
    rig.install(spec(), settled=frozenset({"sma"}))
    rig.reconciler.listen()
    rig.see(state(Phase.INACTIVE, cause=None))
    rig.clock.go_on(seconds(10))
    rig.take()
    return rig


# --- Rows before actions ----------------------------------------------------------------------------------------------


@in_a_loop
async def test_rows_are_published_then_committed_and_actions_come_last_with_the_promise_of_that_commit(
    tmp_path: Path,
) -> None:
    rig = due_for_a_start(tmp_path)
    rig.slow = True
    rig.reconciler.run_pass()
    (_, (rows, *_)), (_, change), (_, (action, written)) = rig.told
    assert [what for what, _ in rig.told] == ["listener", "commit", "start"]
    assert rows == change.rows == rig.reconciler.rows
    assert action == Action(ActionKind.START, "sma", "agent@sma.service", "NotRunning")
    assert written is rig.promises[-1]
    assert not written.done()


@in_a_loop
async def test_while_an_action_is_under_way_no_second_one_is_asked_for(tmp_path: Path) -> None:
    rig = due_for_a_start(tmp_path)
    rig.reconciler.run_pass()
    assert len(rig.actions) == 1
    for _ in range(3):
        rig.clock.go_on(minutes(10))
        rig.reconciler.run_pass()
    assert len(rig.actions) == 1
    rig.reconciler.concluded(rig.actions[0], Outcome(False, "no"))
    rig.clock.go_on(minutes(10))
    rig.reconciler.run_pass()
    assert len(rig.actions) == 2


@in_a_loop
async def test_a_pass_that_changes_nothing_writes_nothing_and_tells_nobody(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive())
    assert [what for what, _ in rig.take()] == ["listener", "commit"]
    rig.reconciler.run_pass()
    assert rig.told == []


@in_a_loop
async def test_a_change_of_status_is_a_sample_and_a_change_of_anything_else_is_none(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive())
    assert [(one.name, one.row.status) for one in rig.changes[0].samples] == [("sma", Status.RUNNING)]
    rig.take()
    rig.reconciler.take_beat("sma", beat(after(seconds(1)), activity="trades"))
    rig.reconciler.run_pass({"sma"})
    assert [change.rows["sma"].last_activity for change in rig.changes] == ["trades"]
    assert rig.changes[0].samples == ()


@in_a_loop
async def test_only_a_beat_that_may_change_how_the_agent_is_is_decided_about_at_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    said = [rig.reconciler.take_beat("sma", beat(after(seconds(n)), activity=text)) for n, text in enumerate("aabb")]
    assert said == [True, False, False, False]
    assert rig.reconciler.beats["sma"].changed == after(seconds(2)).monotonic
    assert rig.reconciler.take_beat("sma", beat(after(seconds(5)), activity="b", error="it burns"))


@in_a_loop
async def test_what_an_agent_says_is_owed_a_row_until_it_is_decided_about(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive())
    assert rig.reconciler.owed(9) == set()
    for n, text in enumerate("ab"):
        rig.reconciler.take_beat("sma", beat(after(seconds(n)), activity=text))
    rig.reconciler.run_pass(rig.reconciler.owed(9))
    assert rig.reconciler.rows["sma"].last_activity == "b"
    rig.reconciler.take_beat("sma", beat(after(seconds(2)), activity="b"))
    assert rig.reconciler.owed(9) == set()


@in_a_loop
async def test_who_has_been_owed_a_row_for_longest_gets_it_first(tmp_path: Path) -> None:
    rig = Rig(tmp_path, *map(spec, "abc"))
    rig.see(*(alive(name=name) for name in "abc"))
    for text in ("one", "two"):
        for name in "cba":
            rig.reconciler.take_beat(name, beat(activity=text))
    assert rig.reconciler.owed(2) == {"c", "b"}
    rig.reconciler.take_beat("c", beat(activity="three"))
    assert rig.reconciler.owed(1) == {"a"}
    assert rig.reconciler.owed(9) == {"c"}


@in_a_loop
async def test_whose_row_tells_of_trouble_waits_for_nobody(tmp_path: Path) -> None:
    rig = Rig(tmp_path, *map(spec, "abc"))
    rig.see(*(alive(name=name) for name in "abc"))
    for name in "abc":
        rig.reconciler.take_beat(name, beat(activity="one"))
        rig.reconciler.take_beat(name, beat(activity="two"))
    rig.reconciler.rows["c"] = replace(rig.reconciler.rows["c"], observed_reason=Reason.LATE)
    assert rig.reconciler.owed(1) == {"a", "c"}
    assert rig.reconciler.owed(1) == {"b"}


# --- What a person wants ----------------------------------------------------------------------------------------------


@in_a_loop
async def test_an_order_is_an_event_and_an_intent_before_anything_happens(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive())
    rig.take()
    rig.reconciler.order("stop", ["sma", "stranger"], by="alice", kind=IntentKind.STOP, reason="holidays")
    assert rig.told[0] == ("listener", ({}, tuple(rig.events), ()))
    change = rig.changes[0]
    intent = Intent(IntentKind.STOP, "sma", "alice", NOW.wall, NOW.boot, NOW.monotonic, "holidays")
    assert change.intents == (intent,)
    assert rig.reconciler.intents == {"sma": intent}
    event = change.events[0]
    assert (event.kind, event.name, event.reason, event.message, event.by, event.after) == (
        EventKind.ORDER,
        "sma",
        "stop",
        "holidays",
        "alice",
        Status.RUNNING,
    )


@in_a_loop
async def test_an_order_without_a_kind_is_told_and_changes_no_wish(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.reconciler.order("stop", ["sma"], by="alice", kind=IntentKind.STOP)
    before = dict(rig.reconciler.intents)
    rig.take()
    rig.reconciler.order("release", ["sma"], by="bob")
    assert rig.reconciler.intents == before
    assert [(event.reason, event.by) for event in rig.events if event.kind is EventKind.ORDER] == [("release", "bob")]
    assert rig.changes[0].intents == ()


@in_a_loop
async def test_who_stopped_an_agent_is_said_in_its_row(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive())
    rig.reconciler.order("stop", ["sma"], by="alice", kind=IntentKind.STOP)
    rig.clock.go_on(seconds(1))
    rig.reconciler.run_pass(
        rig.reconciler.take_state(dead(phase=Phase.INACTIVE, at=after(seconds(1)), by_request=True))
    )
    told = rig.reconciler.rows["sma"]
    assert (told.reason, told.status) == (Reason.STOPPED_BY_OPERATOR, Status.STOPPED)
    assert "alice" in told.message


@in_a_loop
async def test_a_lock_is_shown_at_once_and_its_end_shows_the_truth(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive())
    rig.take()
    lock = Lock(Status.WARNING, 40, "migration", "alice", NOW.wall + minutes(5))
    rig.reconciler.lock(["sma", "stranger"], lock, by="alice")
    shown = rig.reconciler.rows["sma"]
    assert (shown.status, shown.health, shown.reason, shown.observed_status) == (
        Status.WARNING,
        40,
        Reason.LOCKED,
        Status.RUNNING,
    )
    order = rig.events[0]
    assert (order.kind, order.reason, order.by) == (EventKind.ORDER, "lock", "alice")
    assert order.message == "warning 40 until 2026-03-01 12:05 UTC: migration"
    assert rig.reconciler.wakes["sma"] == after(minutes(5)).monotonic
    rig.reconciler.lock(["sma"], None, by="bob")
    assert rig.reconciler.rows["sma"].status is Status.RUNNING
    assert rig.reconciler.rows["sma"].lock is None


# --- When to look again -----------------------------------------------------------------------------------------------


def locked_until(rig: Rig, **lengths: float) -> None:
    """Locks are a reason to look again at a known moment."""
    for name, length in lengths.items():
        rig.reconciler.lock([name], Lock(Status.STOPPED, 0, "x", "me", NOW.wall + seconds(length)), by="me")


@in_a_loop
async def test_each_agent_has_its_own_moment_to_be_looked_at_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec("a"), spec("b"))
    rig.see(alive(name="a"), alive(name="b", pid=8))
    locked_until(rig, a=60, b=120)
    due = rig.reconciler.due
    assert [due(after(seconds(n)).monotonic) for n in (59, 60, 120)] == [set(), {"a"}, {"a", "b"}]


@in_a_loop
async def test_a_wake_ends_with_the_pass_that_it_was_for_and_leaves_the_others(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec("a"), spec("b"))
    rig.see(alive(name="a"), alive(name="b", pid=8))
    locked_until(rig, a=60, b=120)
    now = rig.clock.go_on(seconds(120))
    rig.reconciler.run_pass({"a"})
    assert rig.reconciler.due(now.monotonic) == {"b"}
    rig.reconciler.run_pass()
    assert rig.reconciler.wakes == {}


@in_a_loop
async def test_a_wake_of_an_agent_that_has_gone_does_not_come_for_ever(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive())
    locked_until(rig, sma=60)
    rig.install()
    now = rig.clock.go_on(seconds(60))
    rig.reconciler.run_pass(rig.reconciler.due(now.monotonic))
    assert rig.reconciler.due(now.monotonic) == set()


# --- Forgotten and renamed --------------------------------------------------------------------------------------------


@in_a_loop
async def test_an_agent_in_no_manifest_and_without_a_unit_is_forgotten_by_the_next_full_pass(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec("a"), spec("b"))
    rig.see(alive(name="a"), alive(name="b", pid=8))
    rig.reconciler.order("stop", ["b"], by="me", kind=IntentKind.STOP)
    rig.reconciler.take_beat("b", beat())
    rig.install(spec("a"))
    rig.reconciler.take_all({"a": alive(name="a")})
    rig.take()
    rig.reconciler.run_pass({"a"})
    assert "b" in rig.reconciler.rows
    rig.reconciler.run_pass()
    assert rig.changes[-1].forget == ("b",)
    assert rig.told[0] == ("listener", ({}, (), ("b",)))
    known = rig.reconciler
    assert [set(one) for one in (known.rows, known.intents, known.beats)] == [{"a"}, set(), set()]


@in_a_loop
async def test_under_a_new_name_an_agent_keeps_its_row_and_what_a_person_wanted_of_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec("old"))
    rig.see(alive(name="old"))
    rig.reconciler.order("stop", ["old"], by="alice", kind=IntentKind.STOP)
    locked_until(rig, old=3600)
    rig.install(spec("new", renamed_from="old"))
    rig.take()
    rig.see(state(Phase.INACTIVE, "new"))
    change = rig.changes[0]
    assert (dict(change.renamed), change.forget) == ({"new": "old"}, ("old",))
    assert rig.reconciler.rows.keys() == {"new"}
    assert rig.reconciler.rows["new"].lock
    assert {name: (one.name, one.by) for name, one in rig.reconciler.intents.items()} == {"new": ("new", "alice")}


@in_a_loop
async def test_where_both_names_are_installed_nothing_is_renamed(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec("old"))
    rig.see(alive(name="old"))
    rig.reconciler.order("stop", ["old"], by="alice", kind=IntentKind.STOP)
    rig.install(spec("old"), spec("new", renamed_from="old"))
    rig.take()
    rig.see(alive(name="old"), state(Phase.INACTIVE, "new"))
    assert all(not change.renamed and not change.forget for change in rig.changes)
    assert rig.reconciler.intents.keys() == {"old"}


@in_a_loop
async def test_what_was_known_before_this_process_is_what_it_begins_with(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    kept = row(past=Past(boot=NOW.boot, started=True), last_activity="trades", status=Status.RUNNING)
    rig.reconciler.remember(Memory({"sma": kept}))
    rig.see(alive())
    assert rig.reconciler.rows["sma"].last_activity == "trades"
    assert rig.reconciler.rows["sma"].since == kept.since


# --- One unit, one life -----------------------------------------------------------------------------------------------


@in_a_loop
async def test_pings_and_an_armed_watchdog_last_as_long_as_the_life_that_they_are_of(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive("a"))
    rig.reconciler.take_pings({"sma": Ping(after(seconds(5)).monotonic, seconds(30))})
    rig.reconciler.take_state(alive("a", status_text="well"))
    known = rig.reconciler.states["sma"]
    assert (known.last_ping, known.watchdog, known.status_text) == (after(seconds(5)).monotonic, seconds(30), "well")
    rig.reconciler.take_state(alive("b", start=after(seconds(9)), pid=8))
    known = rig.reconciler.states["sma"]
    assert (known.last_ping, known.watchdog) == (None, None)


@in_a_loop
async def test_pings_that_arrive_after_the_end_are_not_believed(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(DOWN)
    rig.reconciler.take_pings({"sma": Ping(after(minutes(6)).monotonic, seconds(30)), "stranger": Ping(None, None)})
    assert rig.reconciler.states["sma"].last_ping is None
    assert rig.reconciler.states.keys() == {"sma"}


@in_a_loop
async def test_what_no_signal_tells_stays_until_it_is_asked_for_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive(next_run=NOW.wall, timer_active=True))
    rig.reconciler.take_stale({"sma"}, {"sma", "stranger"})
    rig.reconciler.take_state(alive("b", start=after(seconds(9))))
    known = rig.reconciler.states["sma"]
    assert (known.next_run, known.timer_active, known.needs_reload) == (NOW.wall, True, True)
    rig.reconciler.take_stale(frozenset(), {"sma"})
    assert not rig.reconciler.states["sma"].needs_reload


@pytest.mark.parametrize(
    ("older", "known"),
    [(STARTS, alive()), (STARTS, LEAVES), (STARTS, ENDED), (alive(), LEAVES), (alive(), ENDED), (LEAVES, ENDED)],
)
@in_a_loop
async def test_no_life_goes_backwards(tmp_path: Path, older: UnitState, known: UnitState) -> None:
    """What was signalled before a snapshot was taken may be heard only after it."""
    rig = Rig(tmp_path, spec())
    rig.see(known)
    assert rig.reconciler.take_state(older) == set()
    assert rig.reconciler.states["sma"].phase is known.phase
    rig.see(older)
    assert rig.reconciler.take_state(known) == {"sma"}
    assert rig.reconciler.take_state(alive("b", start=after(seconds(9)))) == {"sma"}
    assert rig.reconciler.take_state(ENDED) == set(), "of a life before"


@in_a_loop
async def test_what_was_read_in_two_moments_holds_up_no_later_part_of_that_life(tmp_path: Path) -> None:
    """Listed while it waited for its start, and asked about when that had come."""
    rig = Rig(tmp_path, spec())
    rig.see(alive(phase=Phase.QUEUED))
    assert rig.reconciler.take_state(alive()) == {"sma"}
    assert rig.reconciler.states["sma"].phase is Phase.ACTIVE


@in_a_loop
async def test_a_unit_that_is_given_up_while_its_process_lives_on_is_down(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(LEAVES)
    assert rig.reconciler.take_state(alive(phase=Phase.FAILED)) == {"sma"}
    assert rig.reconciler.states["sma"].phase is Phase.FAILED


@in_a_loop
async def test_what_a_snapshot_lacks_is_gone(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec("a"))
    rig.see(alive(name="a"), alive(name="b", pid=8))
    assert rig.reconciler.rows["b"].reason is Reason.UNMANAGED
    rig.see(alive(name="a"))
    assert rig.reconciler.states.keys() == rig.reconciler.world().observed.keys() == {"a"}
    assert rig.reconciler.rows.keys() == {"a"}


# --- Main processes ---------------------------------------------------------------------------------------------------


def main_of(rig: Rig, pid: int, length: float) -> str | None:
    """Whose main process this was, so long after now."""
    rig.reconciler.forget_main_processes(after(seconds(length)).monotonic)
    return rig.reconciler.mains.get(pid)


@in_a_loop
async def test_a_main_process_is_known_for_ten_seconds_after_its_end(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive("a", pid=7))
    rig.reconciler.take_state(alive("b", pid=8))
    assert seconds(10) == PREVIOUS_MAIN
    assert [main_of(rig, 7, 10), main_of(rig, 8, 10)] == ["sma", "sma"]
    assert [main_of(rig, 7, 10.1), main_of(rig, 8, 10.1)] == [None, "sma"]


@in_a_loop
async def test_the_main_process_of_a_unit_that_vanished_is_let_go_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive(pid=7))
    rig.see()
    assert [main_of(rig, 7, 10), main_of(rig, 7, 11)] == ["sma", None]


@pytest.mark.parametrize("order", [("new", "end"), ("end", "new")])
@in_a_loop
async def test_a_pid_that_went_to_another_agent_stays_with_that_one(tmp_path: Path, order: tuple[str, str]) -> None:
    rig = Rig(tmp_path, spec("a"), spec("b"))
    rig.see(alive(name="a", pid=7))
    states = {"new": alive("x", name="b", pid=7), "end": dead(name="a")}
    for which in order:
        rig.reconciler.take_state(states[which])
    assert main_of(rig, 7, 3600) == "b"


# --- What others require ----------------------------------------------------------------------------------------------


def needing(unit: str) -> AgentSpec:
    return spec("sma", depends_on=(Dependency(unit, required=True), Dependency("agent@other.service")))


@in_a_loop
async def test_who_requires_an_agent_is_looked_at_when_that_one_changes(tmp_path: Path) -> None:
    rig = Rig(tmp_path, needing("agent@feed.service"), spec("feed"), spec("other"))
    rig.see(alive(), alive(name="feed", pid=8), alive(name="other", pid=9))

    def feed_is_active() -> bool:
        return rig.reconciler.world().observed["sma"].requirements["agent@feed.service"].active

    assert feed_is_active()
    assert rig.reconciler.take_state(dead(name="feed")) == {"feed", "sma"}
    assert not feed_is_active()
    assert rig.reconciler.take_state(dead(name="other")) == {"other"}
    assert rig.reconciler.foreign_requirements == frozenset()


@in_a_loop
async def test_a_foreign_unit_that_changed_concerns_those_who_require_it_and_no_others(tmp_path: Path) -> None:
    rig = Rig(tmp_path, needing("postgres.service"), spec("feed"))
    rig.see(alive(), alive(name="feed", pid=8))
    assert rig.reconciler.foreign_requirements == {"postgres.service"}
    up = {"postgres.service": Requirement(active=True)}
    assert rig.reconciler.take_requirements(up) == {"sma"}
    assert rig.reconciler.take_requirements(dict(up)) == set()
    assert rig.reconciler.world().observed["sma"].requirements == up


# --- The end of an action ---------------------------------------------------------------------------------------------


@in_a_loop
async def test_of_an_action_in_vain_the_row_remembers_why_and_the_timeline_tells_it(tmp_path: Path) -> None:
    rig = due_for_a_start(tmp_path)
    rig.reconciler.run_pass()
    action = rig.actions[0]
    rig.take()
    rig.reconciler.concluded(action, Outcome(False, "a copy runs outside its unit."))
    event = rig.events[0]
    assert (event.kind, event.name, event.by) == (EventKind.ACTION, "sma", "supervise")
    assert event.message == "start agent@sma.service: a copy runs outside its unit."
    assert rig.changes[0].rows["sma"].past.blocked == "a copy runs outside its unit"
    assert "a copy runs outside its unit" in rig.reconciler.rows["sma"].message
    assert rig.reconciler.acting == set()
    assert rig.actions == []


@in_a_loop
async def test_an_action_whose_agent_has_gone_meanwhile_is_told_all_the_same(tmp_path: Path) -> None:
    rig = due_for_a_start(tmp_path)
    rig.reconciler.run_pass()
    action = rig.actions[0]
    rig.install()
    rig.see()
    rig.take()
    rig.reconciler.concluded(action, Outcome(True))
    assert [(event.kind, event.message) for event in rig.events] == [
        (EventKind.ACTION, "start agent@sma.service: done")
    ]
    assert rig.reconciler.rows == {}


# --- The host ---------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_a_platform_that_is_lost_is_lost_from_the_first_moment_until_a_snapshot(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive())
    rig.reconciler.lose_sight()
    rig.clock.go_on(seconds(6))
    rig.reconciler.lose_sight()
    rig.reconciler.run_pass()
    assert rig.reconciler.facts.unseen_since == NOW.monotonic
    rig.see(alive())
    told = [change.rows["sma"].reason for change in rig.changes]
    assert told == [Reason.AS_WANTED, Reason.NOT_OBSERVED, Reason.AS_WANTED]


@in_a_loop
async def test_a_disturbance_is_one_event_of_the_host_and_a_moment_that_silence_counts_from(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.reconciler.disturbed("Stalled", "Nothing ran.")
    assert [(one.kind, one.name, one.reason, one.message) for one in rig.events] == [
        (EventKind.HOST, "", "Stalled", "Nothing ran.")
    ]
    assert rig.reconciler.facts.disturbed == NOW.monotonic
    rig.take()
    rig.clock.go_on(seconds(3))
    rig.reconciler.disturb(rig.clock())
    assert (rig.events, rig.reconciler.facts.disturbed) == ([], after(seconds(3)).monotonic)


@in_a_loop
async def test_beats_are_expected_from_the_moment_that_somebody_listens(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert rig.reconciler.facts.listening_since is None
    rig.clock.go_on(seconds(2))
    rig.reconciler.listen()
    assert rig.reconciler.facts.listening_since == after(seconds(2)).monotonic


@in_a_loop
async def test_the_disk_says_of_a_unit_what_the_platform_does_not(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive())
    rig.reconciler.take_disk(Disk(specs={"sma": spec()}, edited=frozenset({"sma"})))

    def unit() -> UnitState:
        seen = rig.reconciler.world().observed["sma"].unit
        assert seen
        return seen

    assert (unit().edited, unit().enabled) == (True, False)
    rig.install(spec())
    assert (unit().edited, unit().enabled) == (False, True)


@in_a_loop
async def test_nothing_to_tell_is_told_to_nobody(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.reconciler.tell()
    rig.reconciler.lock([], None, by="alice")
    rig.reconciler.order("stop", ["stranger"], by="alice", kind=IntentKind.STOP)
    assert rig.told == []


# --- What agents take -------------------------------------------------------------------------------------------------


@in_a_loop
async def test_figures_are_of_one_life_and_of_whom_they_moved_there_is_something_to_tell(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec(), spec("ema"))
    rig.see(alive(), alive(name="ema"))
    found = {"sma": Usage("boot-1/a", 0.5, 1 << 30, 3), "ema": Usage("boot-1/a", 0.01, 1 << 20, 1)}
    assert rig.reconciler.take_usage(found) == {"sma", "ema"}
    rig.reconciler.run_pass()
    assert rig.reconciler.rows["sma"].memory == 1 << 30
    assert rig.reconciler.take_usage({**found, "sma": replace(found["sma"], cpu=0.7)}) == {"sma"}
    rig.reconciler.run_pass(rig.reconciler.take_state(alive("b", restarts=1)))
    assert rig.reconciler.rows["sma"].memory is None


@in_a_loop
async def test_whoever_is_looked_at_no_more_takes_nothing_that_is_known(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive())
    rig.reconciler.take_usage({"sma": Usage("boot-1/a", 0.5)})
    rig.reconciler.take_usage({})
    assert rig.reconciler.world().observed["sma"].usage is None


# --- Processes --------------------------------------------------------------------------------------------------------

STOPPED = dead(phase=Phase.INACTIVE, by_request=True)
LATER = Findings(at=NOW.monotonic + seconds(1))


def reason(rig: Rig) -> Reason:
    return rig.reconciler.rows["sma"].reason


def seen(rig: Rig, found: Findings | None, *concerned: str) -> None:
    rig.reconciler.run_pass(rig.reconciler.take_findings(found, concerned))


@in_a_loop
async def test_a_copy_outside_is_told_as_soon_as_it_is_found_and_no_longer_than_it_is(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec(), spec("feed"))
    rig.see(alive(), alive(name="feed"))
    seen(rig, LATER)
    seen(rig, replace(LATER, outside={"sma": (copy(),)}), "sma")
    assert reason(rig) is Reason.DUPLICATE_PROCESS
    assert rig.reconciler.rows["feed"].reason is Reason.AS_WANTED
    seen(rig, LATER, "sma")
    assert reason(rig) is Reason.AS_WANTED


@in_a_loop
async def test_what_was_in_a_unit_before_it_ended_is_nothing_left_behind(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive())
    rig.clock.go_on(seconds(5))
    before = Findings(inside={"sma": (copy(),)}, at=rig.clock.now.monotonic)
    seen(rig, before)
    rig.clock.go_on(seconds(1))
    rig.reconciler.run_pass(rig.reconciler.take_state(STOPPED))
    assert reason(rig) is Reason.STOPPED_BY_OPERATOR
    seen(rig, replace(before, at=rig.clock.now.monotonic))  # begun at the same moment: it may be older
    assert reason(rig) is Reason.STOPPED_BY_OPERATOR
    seen(rig, replace(before, at=rig.clock.now.monotonic + seconds(1)))  # the same as before, but seen since
    assert reason(rig) is Reason.ORPHAN_PROCESS


@in_a_loop
async def test_what_is_left_of_an_agent_that_nobody_has_any_more_is_unmanaged(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive())
    seen(rig, replace(LATER, inside={"old": (copy(),)}), "old")
    assert rig.reconciler.rows["old"].reason is Reason.UNMANAGED
    seen(rig, LATER, "old")
    rig.reconciler.run_pass()
    assert "old" not in rig.reconciler.rows


@in_a_loop
async def test_who_cannot_be_seen_any_more_is_judged_by_the_unit_alone_and_that_is_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive())
    seen(rig, None)
    assert rig.reconciler.facts.blind, "from the start"
    seen(rig, replace(LATER, outside={"sma": (copy(),)}), "sma")
    assert reason(rig) is Reason.DUPLICATE_PROCESS
    rig.take()
    for _ in range(2):
        seen(rig, None)
    assert reason(rig) is Reason.AS_WANTED
    assert rig.reconciler.facts.blind
    seen(rig, LATER)
    assert not rig.reconciler.facts.blind
    assert [one.reason for one in rig.events if not one.name] == ["ProcessesUnseen", "ProcessesSeen"]


@in_a_loop
async def test_a_doubt_is_told_once_for_as_long_as_it_lasts(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(alive())
    doubt, other = Doubt(copy(), ("sma",), "it fits"), Doubt(copy(2), ("sma",), "it fits")
    for doubts in ((doubt,), (doubt,), (doubt, other), (other,), (other,), (), (doubt,), (), (doubt,), (doubt,)):
        seen(rig, replace(LATER, doubts=doubts))
    told = [one.message.partition(" of ")[0] for one in rig.events if one.reason == "AmbiguousProcess"]
    assert told == ["PID 4711", "PID 2", "PID 4711"]
    assert reason(rig) is Reason.AS_WANTED


@in_a_loop
async def test_hidden_stop_is_asked_for_once_and_names_whom(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec(hidden=HiddenPolicy.STOP))
    rig.see(alive())
    for _ in range(3):
        seen(rig, replace(LATER, outside={"sma": (copy(), copy(2, user="ada"))}), "sma")
    ended = Action(ActionKind.END, "sma", "agent@sma.service", "DuplicateProcess", (copy().id,))
    assert rig.actions == [ended]


@in_a_loop
async def test_in_the_foreground_it_runs(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    rig.see(STOPPED)
    mine, child = copy(started_at=NOON - seconds(60)), copy(4712)
    seen(rig, replace(LATER, foreground={"sma": (child, mine)}), "sma")
    row = rig.reconciler.rows["sma"]
    assert (row.status, row.pid, row.started_at) == (Status.RUNNING, mine.id.pid, mine.started_at)


@pytest.mark.parametrize(
    "late",
    [alive("a"), dead("a", at=after(seconds(1))), alive("b", start=after(seconds(2)))],
    ids=["the life before", "its end", "before this end"],
)
@in_a_loop
async def test_what_was_said_before_what_is_known_is_over(tmp_path: Path, late: UnitState) -> None:
    """A snapshot may overtake what is on its way."""
    rig = Rig(tmp_path, spec())
    known = dead("b", start=after(seconds(2)), at=after(seconds(3)), restarts=1)
    rig.see(known)
    assert rig.reconciler.take_state(late) == set()
    assert rig.reconciler.states["sma"] == known
    assert rig.reconciler.take_state(alive("c", start=after(seconds(4)), restarts=2)) == {"sma"}
