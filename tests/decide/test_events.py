"""What goes into the timeline: each fact once, with who was behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from supervise.decide.events import (
    action_event,
    doubt_event,
    host_event,
    order_event,
    status_event,
    told_of_host,
    unseen_death,
    was_done,
)
from supervise.model import (
    Action,
    ActionKind,
    Doubt,
    EventKind,
    Findings,
    Intent,
    IntentKind,
    Lock,
    Outcome,
    Phase,
    Reason,
    Status,
)
from tests.nouns import NOON, NOW, after, alive, copy, minutes, row, seconds

RUNNING = row(incarnation="boot-1/a")
CRASHED = row(status=Status.ERROR, reason=Reason.CRASHED, message="It crashed.", incarnation="boot-1/a")
START = Action(ActionKind.START, "sma", "agent@sma.service", "NotRunning")


def behind(intent: Intent | None = None, **changes: Any) -> str:
    return status_event(RUNNING, row(**changes), at=NOON, intent=intent).by


# --- Changes of status ------------------------------------------------------------------------------------------------


def test_a_change_of_status_says_from_what_to_what_and_why() -> None:
    event = status_event(RUNNING, CRASHED, at=NOON - seconds(1), intent=None)
    assert (event.kind, event.name, event.at, event.by) == (
        EventKind.STATUS,
        "sma",
        NOON - seconds(1),
        "systemd",
    )
    assert (event.before, event.after, event.reason, event.message) == (
        Status.RUNNING,
        Status.ERROR,
        "Crashed",
        "It crashed.",
    )


def test_the_first_row_of_an_agent_came_from_nothing() -> None:
    assert status_event(None, CRASHED, at=NOON, intent=None).before is None


def test_the_same_fact_is_the_same_event_from_wherever_it_came() -> None:
    first = status_event(RUNNING, CRASHED, at=NOON, intent=None)
    assert status_event(None, replace(CRASHED, message="again", pid=3), at=NOON, intent=None).id == first.id
    assert len(first.id) == 20


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "ema"},
        {"boot": "boot-2"},
        {"incarnation": "boot-1/b"},
        {"status": Status.WARNING},
        {"reason": Reason.EXEC_FAILED},
        {"observed_reason": Reason.EXEC_FAILED},
    ],
)
def test_another_fact_is_another_event(changes: dict[str, Any]) -> None:
    first = status_event(RUNNING, CRASHED, at=NOON, intent=None)
    assert status_event(RUNNING, replace(CRASHED, **changes), at=NOON, intent=None).id != first.id
    assert status_event(RUNNING, CRASHED, at=NOON + seconds(1), intent=None).id != first.id


# --- Who was behind it ------------------------------------------------------------------------------------------------


def stop(by: str, kind: IntentKind = IntentKind.STOP) -> Intent:
    return Intent(kind, "sma", by, NOON, NOW.boot, NOW.monotonic)


def stopped(by: str) -> dict[str, Any]:
    return {"status": Status.STOPPED, "reason": Reason.STOPPED_BY_OPERATOR, "message": f"{by} stopped it."}


@pytest.mark.parametrize(
    ("intent", "who", "by"),
    [
        (stop("ada"), "ada", "ada"),
        (stop("ada"), "Somebody", "somebody"),
        (stop("ada", IntentKind.START), "ada", "somebody"),
        (stop("it"), "Somebody", "somebody"),
        (stop("Some"), "Somebody", "somebody"),
        (stop("a\nb"), "a␊b", "a\nb"),
        (None, "Somebody", "somebody"),
    ],
)
def test_behind_a_stop_is_who_asked_for_it_if_that_is_known(intent: Intent | None, who: str, by: str) -> None:
    assert behind(intent, **stopped(who)) == by


@pytest.mark.parametrize(
    ("intent", "who", "by"),
    [(stop("ada"), "ada", "ada"), (stop("ada", IntentKind.START), "ada", "somebody"), (stop("ad"), "ada", "somebody")],
)
def test_behind_what_is_to_stay_down_is_who_wants_it_so(intent: Intent, who: str, by: str) -> None:
    words = f"It exited with code 1; since then {who} wants it to stay down: fees."
    assert behind(intent, **{**stopped(who), "message": words}) == by


@pytest.mark.parametrize(
    ("reason", "phase", "by"),
    [
        (Reason.STARTING, Phase.STARTING, "systemd"),
        (Reason.START_TIMEOUT, Phase.FAILED, "systemd"),
        (Reason.STARTING, Phase.ACTIVE, "supervise"),
        (Reason.START_TIMEOUT, Phase.ACTIVE, "supervise"),
        (Reason.CRASHED, Phase.ACTIVE, "systemd"),
    ],
)
def test_a_start_that_is_over_for_its_manager_goes_on_by_our_word(reason: Reason, phase: Phase, by: str) -> None:
    assert behind(reason=reason, phase=phase) == by


@pytest.mark.parametrize(
    "reason", [Reason.QUARANTINED, Reason.CRASH_LOOPING, Reason.NOT_OBSERVED, Reason.PROBE_FAILING]
)
def test_behind_what_we_make_out_are_we(reason: Reason) -> None:
    assert behind(stop("ada"), status=Status.ERROR, reason=reason) == "supervise"


@pytest.mark.parametrize("reason", [Reason.CRASHED, Reason.AS_WANTED, Reason.EXITED_CLEANLY])
def test_behind_all_else_is_the_manager(reason: Reason) -> None:
    assert behind(stop("ada"), reason=reason) == "systemd"


@pytest.mark.parametrize("reason", [Reason.AGENT_ERROR, Reason.AGENT_WARNING, Reason.AGENT_WAITING])
def test_behind_what_the_agent_says_of_itself_is_the_agent(reason: Reason) -> None:
    assert behind(status=Status.WARNING, reason=reason) == "the agent"


@pytest.mark.parametrize(
    ("over", "now", "by"),
    [
        (Reason.DUPLICATE_PROCESS, Reason.AS_WANTED, "somebody"),
        (Reason.HIDDEN_PROCESS, Reason.STOPPED_BY_OPERATOR, "somebody"),
        (Reason.AGENT_WARNING, Reason.AS_WANTED, "the agent"),
        (Reason.PROBE_FAILING, Reason.AS_WANTED, "the agent"),
        (Reason.PROBE_FAILING, Reason.DRIFT, "systemd"),
        (Reason.CRASHED, Reason.AS_WANTED, "systemd"),
    ],
)
def test_behind_what_is_over_in_the_same_life_is_whose_it_was(over: Reason, now: Reason, by: str) -> None:
    changed = row(reason=now, message="root stopped it.")
    assert status_event(row(reason=over), changed, at=NOON, intent=stop("root")).by == by


def test_behind_what_is_well_in_another_life_is_the_manager() -> None:
    again = row(incarnation="boot-1/b")
    assert status_event(row(reason=Reason.PROBE_FAILING), again, at=NOON, intent=None).by == "systemd"


@pytest.mark.parametrize("reason", [Reason.CRASHED, Reason.AGENT_ERROR, Reason.STOPPED_BY_OPERATOR])
def test_behind_the_end_of_a_lock_are_we(reason: Reason) -> None:
    locked = row(reason=Reason.LOCKED, observed_reason=reason)
    shown = row(status=Status.ERROR, reason=reason, message="ada stopped it.")
    assert status_event(locked, shown, at=NOON, intent=stop("ada")).by == "supervise"


def test_behind_what_is_locked_is_who_locked_it() -> None:
    lock = Lock(Status.RUNNING, 100, "known", "ada", NOON + minutes(1))
    assert behind(reason=Reason.LOCKED, observed_reason=Reason.QUARANTINED, lock=lock) == "ada"


# --- Other facts ------------------------------------------------------------------------------------------------------


def test_a_death_that_nobody_saw_changes_no_status() -> None:
    event = unseen_death(RUNNING, RUNNING, alive("b", restarts=3), at=NOON)
    assert (event.kind, event.name, event.at, event.by, event.reason) == (
        EventKind.DEATH,
        "sma",
        NOON,
        "systemd",
        "Crashed",
    )
    assert (event.before, event.after) == (Status.RUNNING, Status.RUNNING)
    assert "restart 3" in event.message
    assert unseen_death(RUNNING, RUNNING, alive("b", restarts=3, pid=9), at=NOON).id == event.id
    assert unseen_death(RUNNING, RUNNING, alive("b", restarts=4), at=NOON).id != event.id


def test_what_concerns_the_host_names_no_agent() -> None:
    event = host_event(Reason.SILENT, "many are silent", now=NOW)
    assert (event.kind, event.name, event.at, event.before, event.after) == (EventKind.HOST, "", NOON, None, None)
    assert (event.reason, event.message, event.by) == ("Silent", "many are silent", "supervise")
    assert told_of_host("Reload", "anew", now=NOW, by="ada").by == "ada"
    assert host_event(Reason.SILENT, "many are silent", now=after(seconds(1))).id != event.id


def test_what_we_did_is_told_with_what_became_of_it() -> None:
    event = action_event(START, Outcome(True), now=NOW, status=Status.STOPPED)
    assert (event.kind, event.name, event.at, event.by, event.reason) == (
        EventKind.ACTION,
        "sma",
        NOON,
        "supervise",
        "NotRunning",
    )
    assert (event.before, event.after) == (Status.STOPPED, Status.STOPPED)
    assert event.message == "start agent@sma.service: done"
    failed = action_event(START, Outcome(False, "a copy runs"), now=NOW, status=None)
    assert failed.message == "start agent@sma.service: a copy runs"
    assert (was_done(event), was_done(failed)) == (True, False)


def test_what_a_person_asked_for_is_told_in_their_name() -> None:
    event = order_event("sma", "lock", by="ada", reason="known", now=NOW, status=Status.ERROR)
    assert (event.kind, event.name, event.at, event.by, event.reason, event.message) == (
        EventKind.ORDER,
        "sma",
        NOON,
        "ada",
        "lock",
        "known",
    )
    assert (event.before, event.after) == (Status.ERROR, Status.ERROR)
    by_another = order_event("sma", "lock", by="bob", reason="known", now=NOW, status=Status.ERROR)
    assert by_another.id != event.id


# --- Of processes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "told"), [("ab", "of a, b:"), ("abc", "of a, b, c:"), ("abcde", "of a, b, c and 2 more:")]
)
def test_a_process_of_which_nobody_can_tell_is_the_hosts_finding(names: str, told: str) -> None:
    event = doubt_event(Doubt(copy(), tuple(names), "it fits several agents"), now=NOW)
    assert (event.name, event.kind, event.reason) == ("", EventKind.HOST, "AmbiguousProcess")
    assert told in event.message
    assert "PID 4711 of trader" in event.message
    assert "it fits several agents; it keeps us from starting them." in event.message


def test_who_was_ended_is_named_by_pid() -> None:
    ended = replace(START, kind=ActionKind.END, processes=(copy(7).id, copy(9).id))
    assert action_event(ended, Outcome(True), now=NOW, status=None).message == "end PID 7, 9: done"


def test_of_what_is_found_each_agent_has_its_doubts() -> None:
    doubts = (Doubt(copy(), ("a", "b"), "."), Doubt(copy(2), ("b",), "."))
    found = Findings(doubts=doubts)
    assert (found.doubtful("a"), found.doubtful("b"), found.doubtful("c")) == (doubts[:1], doubts, ())
