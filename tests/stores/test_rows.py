"""What goes into a table comes out of it the same, whatever the model allows; and nothing that is said breaks it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervise.model import Event, HealthPart, Intent, Past, StatusRow
from supervise.stores import Change, EventQuery, Memory
from supervise.stores.rows import LENGTHS, ROW, SAMPLE
from supervise.stores.sqlite import Sqlite
from tests.nouns import NOON
from tests.stores.nouns import event, events, intents, opened, row, rows, sample

many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sqlite]:
    store = opened(tmp_path_factory.mktemp("store"))
    yield store
    store.close()


def put(store: Sqlite, change: Change) -> Memory:
    store.commit(change, now=NOON)
    return store.load()


@many
@given(rows)
def test_a_row_comes_back_as_it_was(store: Sqlite, one: StatusRow) -> None:
    assert put(store, Change(rows={one.name: one})).rows[one.name] == one
    store.commit(Change(forget=(one.name,)), now=NOON)


@many
@given(intents)
def test_an_intent_comes_back_as_it_was(store: Sqlite, one: Intent) -> None:
    assert put(store, Change(intents=(one,))).intents[one.name] == one


@many
@given(events)
def test_an_event_comes_back_as_it_was(store: Sqlite, one: Event) -> None:
    put(store, Change(events=(one,)))
    assert store.events(EventQuery(since=one.at, until=one.at, limit=10**6)) == (one,)
    store.prune(events_before=one.at + timedelta(microseconds=1), samples_before=NOON)


@many
@given(rows)
def test_a_sample_keeps_what_it_is_for(store: Sqlite, one: StatusRow) -> None:
    put(store, Change(rows={one.name: one}, samples=(sample(one.name, of=one),)))
    (kept,) = store.history(one.name, NOON, NOON)
    kept_fields = (*SAMPLE, "name", "title", "project", "unit", "platform", "health_parts")
    assert {field: getattr(kept.row, field) for field in kept_fields} == {
        field: getattr(one, field) for field in kept_fields
    }
    store.commit(Change(forget=(one.name,)), now=NOON)


@many
@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_of_an_agent_keeps_its_row_from_being_written(store: Sqlite, said: str, why: str) -> None:
    before = store.skipped
    said = f"{said}\x00\ud800"
    told = row(last_error=said, last_activity=said * 5000, health_parts=(HealthPart("a", 1, why),), past=Past(said))
    kept = put(store, Change(rows={"sma": told}, events=(event(said[:20] or "e", message=said),))).rows["sma"]
    assert store.skipped == before
    assert kept.last_error is not None
    assert kept.last_error.endswith("\ufffd\ufffd")
    assert kept.last_activity is not None
    assert len(kept.last_activity) == LENGTHS["last_activity"]


def test_every_field_of_a_row_has_its_place() -> None:
    apart = {"title", "health_parts", "outdated_by", "lock", "past"}
    assert {field.name for field in fields(StatusRow)} == set(ROW) | apart


def test_a_row_that_does_not_say_when_it_was_made_was_made_now(store: Sqlite) -> None:
    one = row("fresh", updated_at=None)
    assert put(store, Change(rows={"fresh": one})).rows["fresh"] == replace(one, updated_at=NOON)
