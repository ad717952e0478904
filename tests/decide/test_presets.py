"""Presets: what each part may cost under a name, who goes by which, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from supervise.decide.presets import (
    BALANCED,
    BUILT_IN,
    INHERITED,
    MOST_PRESETS,
    PARTS,
    Choices,
    by_agent,
    chosen,
    deleted,
    renamed,
    said,
    saved,
    used_by,
    users,
    weighed,
)
from supervise.errors import UsageError
from tests.nouns import spec

USUAL = BUILT_IN[BALANCED]
NIGHT = {**USUAL, "heartbeat": 5}
WITH_NIGHT = Choices(own={"night": NIGHT})
ALL_PARTS = "the parts are trouble, heartbeat, restarts, probes, pressure, report"


@pytest.mark.parametrize("preset", BUILT_IN)
def test_every_preset_that_is_built_in_weighs_every_part(preset: str) -> None:
    assert list(BUILT_IN[preset]) == list(PARTS)
    assert weighed(BUILT_IN[preset], USUAL) == BUILT_IN[preset]


def test_one_is_stricter_and_one_is_milder_than_the_usual_one() -> None:
    strict, mild = BUILT_IN["aggressive"], BUILT_IN["conservative"]
    assert all(mild[part] <= USUAL[part] <= strict[part] for part in PARTS)
    assert mild != USUAL != strict


# --- Weights ----------------------------------------------------------------------------------------------------------


def test_what_is_not_given_weighs_what_it_did() -> None:
    assert weighed({"restarts": 12.5}, NIGHT) == {**NIGHT, "restarts": 12.5}
    assert weighed({"restarts": 0, "report": 100}, USUAL) == {**USUAL, "restarts": 0, "report": 100}


@pytest.mark.parametrize("weight", [-1, 100.5, math.nan, math.inf, True, "30", None])
def test_a_bad_weight_is_refused_by_its_part_the_range_and_all_parts(weight: Any) -> None:
    with pytest.raises(UsageError) as refused:
        weighed({"restarts": weight}, USUAL)
    assert str(refused.value) == f'"restarts" weighs 0 to 100 points, not {weight}; {ALL_PARTS}'


def test_a_part_that_there_is_not_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError) as refused:
        weighed({"restrats": 1}, USUAL)
    assert str(refused.value) == f'there is no part "restrats"; did you mean "restarts"? {ALL_PARTS}'


def test_weights_are_said_as_they_are_given() -> None:
    assert said({**USUAL, "restarts": 12.5}) == "trouble=60 heartbeat=30 restarts=12.5 probes=30 pressure=20 report=100"


# --- Who goes by which ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choices", "preset"),
    [
        ({}, BALANCED),
        ({"host": "aggressive"}, "aggressive"),
        ({"host": "aggressive", "tags": {"web": "night"}}, "night"),
        ({"tags": {"prod": "aggressive", "web": "night"}}, "night"),
        ({"tags": {"prod": "aggressive", "other": "night"}}, "aggressive"),
        ({"host": "aggressive", "tags": {"web": "night"}, "agents": {"sma": "conservative"}}, "conservative"),
        ({"agents": {"ema": "conservative"}}, BALANCED),
        ({"host": "gone"}, BALANCED),
        ({"host": "aggressive", "agents": {"sma": "gone"}}, "aggressive"),
    ],
)
def test_the_nearest_choice_that_there_is_counts(choices: dict[str, Any], preset: str) -> None:
    there = Choices(own={"night": NIGHT}, **choices)
    agent = spec(tags=("web", "prod"))
    assert used_by(agent, there) == preset
    assert by_agent([agent], there) == ({} if preset == BALANCED else {"sma": there.presets[preset]})


def test_whoever_has_chosen_it_uses_it_if_still_installed() -> None:
    choices = Choices(host="night", tags={"web": "night", "prod": "aggressive"}, agents={"b": "night", "a": "night"})
    assert users("night", choices, ["a", "c"]) == ("the host", "tag web", "a")


def test_a_renamed_agent_keeps_its_choice() -> None:
    choices = Choices(agents={"old": "night", "ema": "aggressive"})
    assert renamed(choices, {"sma": "old", "ema": "feed"}).agents == {"sma": "night", "ema": "aggressive"}
    assert renamed(choices, {"ema": "old"}) is choices
    assert renamed(choices, {}) is choices


def test_the_host_goes_by_the_usual_one_until_it_has_chosen() -> None:
    assert users(BALANCED, Choices(), []) == ("the host",)
    assert users(BALANCED, Choices(host="aggressive"), []) == ()


def test_a_choice_is_for_the_host_unless_agents_or_tags_are_named() -> None:
    assert chosen(WITH_NIGHT, "night") == Choices(own=WITH_NIGHT.own, host="night")
    both = chosen(WITH_NIGHT, "aggressive", agents=["sma"], tags=["web"])
    assert both == Choices(own=WITH_NIGHT.own, agents={"sma": "aggressive"}, tags={"web": "aggressive"})


def test_a_choice_can_be_taken_back() -> None:
    choices = Choices(host="aggressive", tags={"web": "aggressive"}, agents={"sma": "aggressive", "ema": "aggressive"})
    assert chosen(choices, INHERITED).host is None
    assert chosen(choices, INHERITED, agents=["sma"]).agents == {"ema": "aggressive"}
    assert chosen(choices, INHERITED, tags=["web"]).tags == {}


def test_a_preset_that_there_is_not_cannot_be_chosen() -> None:
    with pytest.raises(UsageError) as refused:
        chosen(WITH_NIGHT, "nigth")
    assert str(refused.value) == (
        'there is no preset "nigth"; did you mean "night"? the presets are balanced, aggressive, conservative, night'
    )


# --- Own ones ---------------------------------------------------------------------------------------------------------


def test_a_preset_is_saved_and_saved_again() -> None:
    assert saved(Choices(), "night", NIGHT) == WITH_NIGHT
    assert saved(WITH_NIGHT, "night", USUAL).own == {"night": USUAL}


@pytest.mark.parametrize("name", [*BUILT_IN, INHERITED])
def test_what_is_built_in_is_not_written_over(name: str) -> None:
    with pytest.raises(UsageError, match="save yours under another name"):
        saved(Choices(), name, NIGHT)


@pytest.mark.parametrize("name", ["", "Night", "7th", "a b", "a" * 41, "nuit\n"])
def test_a_strange_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a preset"):
        saved(Choices(), name, NIGHT)


def test_there_is_an_end_of_presets_but_not_of_changing_them() -> None:
    full = Choices(own={f"p{number}": NIGHT for number in range(MOST_PRESETS)})
    with pytest.raises(UsageError, match="there are 100 presets already"):
        saved(full, "night", NIGHT)
    assert saved(full, "p7", USUAL).own["p7"] == USUAL


def test_a_preset_that_nobody_uses_is_deleted() -> None:
    assert deleted(Choices(own={"night": NIGHT, "day": NIGHT}), "night", ["sma"]).own == {"day": NIGHT}


@pytest.mark.parametrize(
    ("name", "choices", "why"),
    [
        ("night", {"host": "night"}, '"night" is in use by the host; choose another one there first'),
        ("night", {"agents": {"sma": "night"}}, '"night" is in use by sma; choose another one there first'),
        ("balanced", {}, '"balanced" is built in and stays'),
        ("day", {}, 'there is no preset "day"; the presets are balanced, aggressive, conservative, night'),
    ],
)
def test_a_preset_that_is_used_or_built_in_stays(name: str, choices: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError) as refused:
        deleted(Choices(own={"night": NIGHT}, **choices), name, ["sma"])
    assert str(refused.value) == why


def test_what_an_agent_has_chosen_that_is_not_installed_binds_nobody() -> None:
    assert deleted(Choices(own={"night": NIGHT}, agents={"gone": "night"}), "night", ["sma"]).own == {}
