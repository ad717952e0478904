"""What a watcher is given: the newest of everything, however slow it is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from supervise.model import Event, EventKind, Status, StatusRow
from supervise.reconcile import live
from supervise.reconcile.live import Live
from tests.nouns import NOON, alive, row, spec
from tests.reconcile.rig import Rig, in_a_loop


def event(number: int) -> Event:
    return Event(f"e{number}", "sma", NOON, EventKind.ORDER, None, None, "stop", f"number {number}", "ada")


async def given(watched: Live, count: int) -> list[tuple[str, Any]]:
    """The next things that a watcher is given."""
    stream = watched.__aiter__()
    try:
        return [await anext(stream) for _ in range(count)]
    finally:
        await stream.aclose()  # type: ignore[attr-defined]


def rows(*shown: StatusRow) -> dict[str, StatusRow]:
    return {one.name: one for one in shown}


@in_a_loop
async def test_of_each_agent_the_newest_row_is_given_and_no_older_one() -> None:
    watched = Live()
    watched.tell(rows(row(), row("breakout")), (), ())
    newest = row(status=Status.ERROR)
    watched.tell(rows(row(status=Status.STOPPED)), (), ())
    watched.tell(rows(newest), (), ())
    found = await given(watched, 2)
    assert sorted(value.name for what, value in found if what == "row") == ["breakout", "sma"]
    assert ("row", newest) in found
    assert not watched._rows


@in_a_loop
async def test_every_event_is_given_in_its_order() -> None:
    watched = Live()
    for number in range(3):
        watched.tell({}, (event(2 * number), event(2 * number + 1)), ())
    assert await given(watched, 6) == [("event", event(number)) for number in range(6)]


@in_a_loop
async def test_a_watcher_that_does_not_read_costs_no_more_than_so_many_events(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Live()
    for number in range(live.MOST_EVENTS + 5):
        watched.tell(rows(row()), (event(number),), ())
    found = await given(watched, live.MOST_EVENTS + 1)
    assert found == [*(("event", event(number)) for number in range(5, live.MOST_EVENTS + 5)), ("row", row())]


@in_a_loop
async def test_whoever_is_forgotten_is_told_of_and_whoever_comes_back_is_shown() -> None:
    watched = Live()
    watched.tell(rows(row(), row("breakout")), (), ())
    watched.tell({}, (), ("sma", "breakout"))
    watched.tell(rows(row("breakout")), (), ())
    found = await given(watched, 2)
    assert ("forget", "sma") in found
    assert ("row", row("breakout")) in found


@in_a_loop
async def test_a_watcher_waits_until_there_is_something_and_then_again() -> None:
    watched = Live()
    stream = watched.__aiter__()
    for _ in range(2):
        waiting = asyncio.ensure_future(anext(stream))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        watched.tell(rows(row()), (), ())
        assert await waiting == ("row", row())
    await stream.aclose()  # type: ignore[attr-defined]


@in_a_loop
async def test_what_happens_while_a_watcher_is_busy_with_one_thing_is_given_next() -> None:
    watched = Live()
    watched.tell(rows(row()), (event(0),), ())
    found: list[Any] = []
    async for _, value in watched:
        found.append(value)
        if value == event(0):
            watched.tell(rows(row(status=Status.ERROR)), (), ())
        elif len(found) == 2:
            watched.tell(rows(row(status=Status.STOPPED)), (event(1),), ())
        elif len(found) == 4:
            break
    assert found[:2] == [event(0), row(status=Status.ERROR)]
    assert row(status=Status.STOPPED) in found
    assert event(1) in found


@in_a_loop
async def test_each_watcher_has_its_own_and_one_that_has_gone_costs_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec())
    before = list(rig.reconciler.listeners)
    with Live.listening(rig.reconciler) as first, Live.listening(rig.reconciler) as second:
        rig.see(alive())
        told = [await given(one, 2) for one in (first, second)]
        assert told[0] == told[1]
        assert told[0][-1] == ("row", rig.reconciler.rows["sma"])
        assert len(rig.reconciler.listeners) == len(before) + 2
    with pytest.raises(ConnectionResetError), Live.listening(rig.reconciler):
        raise ConnectionResetError
    assert rig.reconciler.listeners == before
