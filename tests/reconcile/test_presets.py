"""Presets as people change them: kept, told of, and followed at once by the health of everybody whom it concerns."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.decide.presets import BALANCED, BUILT_IN, PARTS, Choices, said
from supervise.errors import UsageError
from supervise.model import EventKind
from supervise.reconcile import presets
from supervise.stores import OF_HOST, Memory, Setting
from tests.nouns import NOON, alive, dead, row, spec
from tests.reconcile.rig import Rig, in_a_loop

NIGHT = {**BUILT_IN[BALANCED], "restarts": 90}
WEB = spec("web", tags=("front",))
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)
choices = st.builds(
    Choices,
    own=st.dictionaries(words, st.fixed_dictionaries(dict.fromkeys(PARTS, st.floats(0, 100)))),
    host=st.none() | words,
    tags=st.dictionaries(words, words),
    agents=st.dictionaries(words.filter(lambda word: word != OF_HOST), words),
)


def setting(name: str, key: str, value: str | None) -> Setting:
    return Setting(name, key, value, "ada", NOON)


def restarted(folder: Path) -> Rig:
    """Two agents that died once each; the second one has a tag."""
    rig = Rig(folder, spec(), WEB)
    for one in ("sma", "web"):
        rig.see(alive(name=one), *(state for state in rig.reconciler.states.values() if state.name != one))
    rig.see(dead(), dead(name="web"))
    rig.see(alive("b", restarts=1), alive("b", restarts=1, name="web"))
    rig.take()
    return rig


def health(rig: Rig) -> tuple[int, int]:
    return rig.reconciler.rows["sma"].health, rig.reconciler.rows["web"].health


def told(rig: Rig) -> list[tuple[str, EventKind, str, str, str]]:
    return [(one.name, one.kind, one.reason, one.message, one.by) for one in rig.events]


# --- What is kept -----------------------------------------------------------------------------------------------------


@given(choices)
def test_what_is_kept_is_understood_as_it_was(there: Choices) -> None:
    written = presets.changes(Choices(), there, by="ada", at=NOON)
    assert presets.read({one.of: one for one in written}) == there


@given(choices, choices)
def test_changes_lead_from_what_was_kept_to_what_is(before: Choices, after: Choices) -> None:
    stored: dict[tuple[str, str], str | None] = dict(presets.kept(before))
    for one in presets.changes(before, after, by="ada", at=NOON):
        stored[one.of] = one.value
    assert {of: value for of, value in stored.items() if value is not None} == presets.kept(after)
    assert presets.changes(after, after, by="ada", at=NOON) == ()


@pytest.mark.parametrize("value", ["", "no json", "[1]", '{"restarts": 700}', '{"strange": 1}', "{}"])
def test_a_preset_that_cannot_be_understood_costs_the_others_nothing(value: str) -> None:
    night = setting(OF_HOST, "own preset night", json.dumps(NIGHT))
    bad = setting(OF_HOST, "own preset bad", value)
    found = presets.read({one.of: one for one in (bad, night, setting(OF_HOST, "something newer", "x"))})
    assert found.own["night"] == NIGHT
    assert found.own.get("bad", BUILT_IN[BALANCED]) == BUILT_IN[BALANCED]
    assert replace(found, own={}) == Choices()


# --- What follows -----------------------------------------------------------------------------------------------------


@in_a_loop
async def test_a_choice_is_told_kept_and_followed_at_once(tmp_path: Path) -> None:
    rig = restarted(tmp_path)
    assert health(rig) == (90, 90)
    assert await presets.use(rig.reconciler, "aggressive", agents=(), tags=(), by="ada") == {
        "sma": "aggressive",
        "web": "aggressive",
    }
    assert health(rig) == (80, 80)
    assert told(rig) == [("", EventKind.HOST, "PresetUsed", "the host: aggressive", "ada")]
    assert rig.changes[0].settings == (Setting(OF_HOST, "preset", "aggressive", "ada", NOON),)
    assert [set(change.rows) for change in rig.changes] == [set(), {"sma", "web"}]


@in_a_loop
async def test_a_choice_of_one_agent_or_tag_is_told_there_and_concerns_nobody_else(tmp_path: Path) -> None:
    rig = restarted(tmp_path)
    await presets.use(rig.reconciler, "aggressive", agents=["sma"], tags=(), by="ada")
    await presets.use(rig.reconciler, "conservative", agents=(), tags=["front"], by="bob")
    assert health(rig) == (80, 95)
    assert told(rig) == [
        ("sma", EventKind.ORDER, "preset", "aggressive", "ada"),
        ("", EventKind.HOST, "PresetUsed", "tag front: conservative", "bob"),
    ]
    rig.take()
    await presets.use(rig.reconciler, "default", agents=["sma"], tags=["front"], by="ada")
    assert health(rig) == (90, 90)
    assert [one.value for one in rig.changes[0].settings] == [None, None]
    assert told(rig)[1] == ("sma", EventKind.ORDER, "preset", "what is usual", "ada")


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ({"name": "night"}, "there is no preset"),
        ({"name": BALANCED, "agents": ["sma", "nobody"]}, "no such agent: nobody"),
        ({"name": BALANCED, "tags": ["front", "back"]}, "no agent has the tag back"),
    ],
)
@in_a_loop
async def test_what_there_is_not_cannot_be_chosen_and_nothing_happens(
    tmp_path: Path, args: dict[str, Any], why: str
) -> None:
    rig = restarted(tmp_path)
    with pytest.raises(UsageError, match=why):
        await presets.use(rig.reconciler, **{"agents": (), "tags": (), **args}, by="ada")
    assert rig.told == []


@in_a_loop
async def test_a_preset_that_is_in_use_is_followed_when_it_is_changed(tmp_path: Path) -> None:
    rig = restarted(tmp_path)
    reconciler = rig.reconciler
    assert await presets.save(reconciler, "night", {"restarts": 90}, base=BALANCED, by="ada") == {
        "weights": NIGHT,
        "before": None,
    }
    await presets.use(reconciler, "night", agents=["sma"], tags=(), by="ada")
    assert health(rig) == (70, 90)
    found = await presets.save(reconciler, "night", {"restarts": 0}, base="night", by="bob")
    assert (found["before"], found["weights"]) == (NIGHT, {**NIGHT, "restarts": 0})
    assert health(rig) == (100, 90)
    saved = [one for one in told(rig) if one[2] == "PresetSaved"]
    assert saved[1][3:] == (
        "night: trouble=60 heartbeat=30 restarts=0 probes=30 pressure=20 report=100; "
        "before: trouble=60 heartbeat=30 restarts=90 probes=30 pressure=20 report=100",
        "bob",
    )


@in_a_loop
async def test_a_preset_is_deleted_once_nobody_uses_it_and_what_it_was_is_told(tmp_path: Path) -> None:
    rig = restarted(tmp_path)
    reconciler = rig.reconciler
    await presets.save(reconciler, "night", {"restarts": 90}, base=BALANCED, by="ada")
    await presets.use(reconciler, "night", agents=["sma"], tags=(), by="ada")
    with pytest.raises(UsageError, match='"night" is in use by sma'):
        await presets.delete(reconciler, "night", by="ada")
    await presets.use(reconciler, "default", agents=["sma"], tags=(), by="ada")
    rig.take()
    assert await presets.delete(reconciler, "night", by="bob") == {"before": NIGHT}
    assert rig.changes[0].settings == (Setting(OF_HOST, "own preset night", None, "bob", NOON),)
    assert told(rig)[0][2:] == ("PresetDeleted", "night: " + said(NIGHT), "bob")
    with pytest.raises(UsageError, match="there is no preset"):
        await presets.delete(reconciler, "night", by="bob")


@in_a_loop
async def test_who_is_asked_says_who_uses_what(tmp_path: Path) -> None:
    rig = restarted(tmp_path)
    await presets.use(rig.reconciler, "aggressive", agents=["sma"], tags=["front"], by="ada")
    found = presets.info(rig.reconciler)
    assert found["agents"] == {"sma": "aggressive", "web": "aggressive"}
    assert [(one["name"], one["built_in"], one["used_by"]) for one in found["presets"]] == [
        ("balanced", True, ("the host",)),
        ("aggressive", True, ("tag front", "sma")),
        ("conservative", True, ()),
    ]


@in_a_loop
async def test_it_is_written_when_the_answer_is_there(tmp_path: Path) -> None:
    rig = restarted(tmp_path)
    rig.slow = True
    asking = asyncio.ensure_future(presets.use(rig.reconciler, "aggressive", agents=(), tags=(), by="ada"))
    await asyncio.sleep(0)
    assert not asking.done()
    assert health(rig) == (80, 80)
    rig.promises[-2].set_result(True)
    await asking


# --- What is remembered -----------------------------------------------------------------------------------------------


@in_a_loop
async def test_choices_are_followed_after_a_restart_of_ours(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec(), WEB)
    kept = [setting(OF_HOST, "own preset night", json.dumps(NIGHT)), setting(OF_HOST, "preset of tag front", "night")]
    rig.reconciler.remember(Memory(settings={one.of: one for one in kept}))
    assert rig.reconciler.world().weights == {"web": NIGHT}


@in_a_loop
async def test_a_new_agent_goes_by_its_tags_and_a_renamed_one_by_its_old_choice(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    kept = [setting("sma", "preset", "aggressive"), setting(OF_HOST, "preset of tag front", "conservative")]
    rig.reconciler.remember(Memory({"sma": row()}, settings={one.of: one for one in kept}))
    rig.install(spec("ema", renamed_from="sma"), WEB)
    assert rig.reconciler.world().weights == {"ema": BUILT_IN["aggressive"], "web": BUILT_IN["conservative"]}
