"""What stays said, and what the next word ends."""

from __future__ import annotations

from typing import Any

import pytest

from supervise.agent.state import State


def without_name(state: State) -> dict[str, Any]:
    assert (state.fields["v"], state.fields["agent"]) == (1, "sma")
    return {key: value for key, value in state.fields.items() if key not in ("v", "agent")}


@pytest.fixture
def state() -> State:
    found = State("sma")
    found.works("page 3", progress=0.4, health=90, metadata={"symbol": "BTC"})
    found.is_well()
    return found


def test_only_what_was_said_is_there() -> None:
    state = State("sma")
    state.works()
    state.is_well()
    assert without_name(state) == {"status": "running"}


def test_what_is_not_said_anew_stays(state: State) -> None:
    before = without_name(state)
    state.works()
    state.is_well()
    assert without_name(state) == before
    state.works(progress=0.5)
    state.is_well()
    assert without_name(state) == {**before, "progress": 0.5}


def test_progress_ends_with_its_activity(state: State) -> None:
    state.works("page 3")
    state.is_well()
    assert state.fields["progress"] == 0.4
    state.works("page 4")
    state.is_well()
    assert "progress" not in state.fields


@pytest.mark.parametrize("trouble", [{"error": "login failed"}, {"waiting": "no route"}])
def test_trouble_lowers_health_and_is_over_when_all_is_well(state: State, trouble: dict[str, str]) -> None:
    well = without_name(state)
    state.is_in_trouble("warning", health=30, **trouble)
    assert without_name(state) == {**well, "status": "warning", "health": 30, **trouble}
    state.is_well()
    assert without_name(state) == well


def test_one_trouble_takes_the_place_of_the_other(state: State) -> None:
    state.is_in_trouble("warning", waiting="no route")
    state.is_in_trouble("error", error="login failed")
    assert state.fields["status"] == "error"
    assert "waiting" not in state.fields


def test_stopping_is_the_last_status(state: State) -> None:
    state.is_stopping()
    state.is_well()
    assert state.fields["status"] == "stopping"
    state.is_in_trouble("error", error="login failed")
    assert (state.fields["status"], state.fields["error"]) == ("stopping", "login failed")


def test_metadata_that_the_agent_goes_on_changing_is_a_copy(state: State) -> None:
    counts = {"seen": 1}
    state.works(metadata=counts)
    state.is_well()
    counts["seen"] = 2
    assert state.fields["metadata"] == {"seen": 1}


def test_fields_that_were_given_away_never_change(state: State) -> None:
    before = state.fields
    kept = dict(before)
    state.works("page 4", metadata={"symbol": "ETH"})
    state.is_in_trouble("error", error="login failed")
    assert before == kept
