"""What must be so when all is over."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.chaos.board import Board
from tests.chaos.crew import Kind, Member
from tests.chaos.ending import check_events, excused
from tests.chaos.history import Act, History
from tests.chaos.oracle import Oracle

NAME = "plain_0"
KILL = Act("sigkill", NAME, 1, 100.0, 100.1, leaves=frozenset({"Crashed", "death"}))


def event(
    at: float, reason: str = "Crashed", before: str = "running", after: str = "error", **more: Any
) -> dict[str, Any]:
    moment = datetime.fromtimestamp(time.time() - time.monotonic() + at, UTC).isoformat()
    plain = {"id": f"{at}", "kind": "status", "at": moment, "reason": reason, "before": before, "after": after}
    return {**plain, **more}


def found(told: list[dict[str, Any]], *acts: Act, **more: Any) -> list[str]:
    history = History(Member(NAME, Kind("plain")), list(acts))
    oracle = Oracle(Board(), {NAME: history})
    check_events(oracle, history, told, **more)
    return [one.kind for one in oracle.findings]


@pytest.mark.parametrize("told", [event(100.02), event(100.02, kind="death")])
def test_a_fault_that_is_in_the_timeline_is_well(told: dict[str, Any]) -> None:
    assert found([told], KILL) == []


@pytest.mark.parametrize(
    "told",
    [[], [event(90.0)], [event(150.0)], [event(100.02, reason="AsWanted")]],
    ids=["none", "early", "late", "other"],
)
def test_a_fault_that_is_not_in_the_timeline_is_missed(told: list[dict[str, Any]]) -> None:
    assert found(told, KILL) == ["no event"]


def test_what_came_to_nothing_leaves_nothing() -> None:
    assert found([], Act("sigkill", NAME, 1, 100.0, 100.1, leaves=KILL.leaves, void="its victim had gone")) == []


def test_the_silence_of_what_hangs_counts_anew_once_the_reconciler_is_back() -> None:
    hang = Act("hang", NAME, 1, 100.0, 100.1, hang=True, leaves=frozenset({"Silent"}))
    assert found([event(130.0, "Silent")], hang) == ["no event"]
    assert found([event(130.0, "Silent")], hang, deafened=[115.0]) == []


def test_every_change_follows_from_the_one_before() -> None:
    died, runs = event(100.0), event(101.0, "AsWanted", "error", "running")
    assert found([died, runs]) == []
    assert found([died, event(101.0, "AsWanted", "stopping", "running")]) == ["broken timeline"]
    assert found([died, runs, {**runs, "before": "running"}]) == ["broken timeline"]


def test_what_a_full_disk_and_a_kill_have_lost_together_is_excused() -> None:
    full = Act("full_disk", "", 1, 98.0, 98.1, over=104.0)
    kill = Act("kill_reconciler", "", 2, 102.0, 102.1)
    assert found([], KILL, excused=excused([full, kill])) == []
    assert found([], KILL, excused=excused([full])) == ["no event"]
    assert found([], KILL, excused=excused([kill])) == ["no event"]


@pytest.mark.parametrize(
    ("away", "missed"),
    [
        ([(100.5, 106.0)], False),
        ([(100.5, None)], False),
        ([(100.5, 103.0), (104.0, 107.0)], False),
        ([(95.0, 101.0)], True),
        ([], True),
    ],
)
def test_nobody_can_tell_of_a_copy_that_came_and_went_while_nobody_was_there(
    away: list[tuple[float, float | None]], missed: bool
) -> None:
    copied = Act("copy", NAME, 1, 100.0, 100.1, leaves=frozenset({"DuplicateProcess"}), over=107.5)
    assert found([], copied, away=away) == (["no event"] if missed else [])
    assert found([], KILL, away=away) == ["no event"], "of a death the system keeps a trace"


@pytest.mark.parametrize(("back", "missed"), [(105.0, True), (106.0, False)])
def test_a_hold_that_was_released_before_anybody_could_see_it_leaves_only_the_order(back: float, missed: bool) -> None:
    held = Act("hold", NAME, 1, 100.0, 100.1, leaves=frozenset({"Held"}), over=107.5)
    assert found([], held, away=[(99.9, back)]) == (["no event"] if missed else [])


def test_a_copy_in_place_of_another_while_nobody_was_there_is_no_news() -> None:
    first = Act("copy", NAME, 1, 90.0, 90.1, over=99.5)
    second = Act("copy", NAME, 2, 100.0, 100.1, leaves=frozenset({"DuplicateProcess"}), over=110.0)
    assert found([], first, second, away=[(99.0, 102.0)]) == []
    assert found([], first, second, away=[(99.9, 104.5)]) == [], "nobody had time to see that the first was gone"
    assert found([], replace(first, over=96.0), second, away=[(99.9, 102.0)]) == ["no event"]


def test_who_hangs_obeys_only_once_its_silence_has_ended_it() -> None:
    hang = Act("hang", NAME, 1, 90.0, 90.1, hang=True)
    assert found([event(130.0)], hang, KILL, deafened=[115.0]) == []
    assert found([event(130.0)], KILL, deafened=[115.0]) == ["no event"]
