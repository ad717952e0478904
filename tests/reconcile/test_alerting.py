"""Alerts beside the daemon: told once, remembered by the next daemon, and nothing at all where nobody wants any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from supervise.alerts.notes import KEY, from_note
from supervise.model import AlertKind, AlertTarget, Phase
from supervise.reconcile import alerting as module
from supervise.reconcile.alerting import Alerting
from tests.alerts.receiver import receiver
from tests.nouns import after, alive, dead, minutes, seconds, spec
from tests.reconcile.rig import HOST, Rig, in_a_loop, manifest_of, until

FAILED = dead(phase=Phase.FAILED, at=after(seconds(1)))


def target(url: str, **changes: Any) -> AlertTarget:
    return AlertTarget("trading/ops", AlertKind.WEBHOOK, url=url, hold_down=seconds(0), **changes)


def rig_with(folder: Path, *targets: AlertTarget) -> Rig:
    rig = Rig(folder)
    rig.install(spec(), manifests=(manifest_of(spec(), alerts=targets),))
    return rig


@asynccontextmanager
async def alerting(rig: Rig, notes: dict[str, str] | None = None) -> AsyncIterator[Alerting]:
    """It runs beside the reconciler, as in the daemon, and ends in order."""
    found = Alerting(rig.reconciler, rig.commit)
    found.remember(notes or {})
    rig.reconciler.listeners.append(found.heard)
    running = asyncio.ensure_future(found.run())
    try:
        yield found
    finally:
        running.cancel()
        await asyncio.wait([running])
        await found.close()


def ops(found: Alerting) -> dict[str, Any]:
    """How it goes with the one target, once it has been looked at."""
    said: dict[str, Any] = found.info().get("trading/ops", {})
    return said


def note_of(rig: Rig) -> str:
    note = [change.notes[KEY] for change in rig.changes if KEY in change.notes][-1]
    assert note
    return note


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER", 0.001)


@in_a_loop
async def test_a_trouble_is_told_as_soon_as_a_row_has_it_and_only_once(tmp_path: Path) -> None:
    async with receiver() as other:
        rig = rig_with(tmp_path, target(other.url))
        rig.see(alive())
        async with alerting(rig) as found:
            rig.clock.go_on(seconds(1))
            rig.see(FAILED)
            await until(lambda: other.requests)
            rig.see(FAILED)
            rig.reconciler.tell()
            await until(lambda: not ops(found)["pending"])
        assert len(other.requests) == 1
        assert b"sma" in other.requests[0].body
        assert HOST.encode() in other.requests[0].body


@in_a_loop
async def test_the_next_daemon_tells_nothing_twice(tmp_path: Path) -> None:
    async with receiver() as other:
        rig = rig_with(tmp_path, target(other.url))
        async with alerting(rig) as first:
            rig.see(FAILED)
            await until(lambda: ops(first).get("last_ok"))
        note = note_of(rig)
        async with alerting(rig, {KEY: note}) as second:
            rig.see(FAILED)
            rig.take()
            rig.clock.go_on(seconds(30))
            rig.see(alive("b", start=rig.clock()))  # an end of the trouble is told, so it has heard of all before
            await until(lambda: any(KEY in change.notes for change in rig.changes))
            rig.clock.go_on(minutes(10))
            second.heard(rig.reconciler.rows, (), ())
            await until(lambda: len(other.requests) == 2)
        assert [b"firing" in one.body for one in other.requests] == [True, False]


@in_a_loop
async def test_what_did_not_arrive_is_kept_for_the_next_daemon_and_sent_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LAST_CHANCE", seconds(0.01))
    async with receiver("503 busy") as other:
        rig = rig_with(tmp_path, target(other.url))
        async with alerting(rig):
            rig.see(FAILED)
            await until(lambda: other.requests)
        note = note_of(rig)
        assert len(from_note(note).unsent) == 1
        async with alerting(rig, {KEY: note}):
            await until(lambda: len(other.requests) == 2)
        assert other.requests[0].headers["webhook-id"] == other.requests[1].headers["webhook-id"]


@in_a_loop
async def test_what_was_told_is_written_down_when_it_is_told(tmp_path: Path) -> None:
    async with receiver() as other:
        rig = rig_with(tmp_path, target(other.url))
        async with alerting(rig):
            rig.see(FAILED)
            await until(lambda: any(KEY in change.notes for change in rig.changes))
            assert "trading/ops" in from_note(note_of(rig)).state.targets


@in_a_loop
async def test_a_target_that_fails_is_said_so_for_status_and_doctor(tmp_path: Path) -> None:
    async with receiver("404 gone") as other:
        rig = rig_with(tmp_path, target(other.url))
        async with alerting(rig) as found:
            rig.see(FAILED)
            await until(lambda: ops(found).get("failing"))
            said = ops(found)
            assert said["kind"] == "webhook"
            assert "404" in said["last_error"]
            assert "hunter2" not in str(said)


@in_a_loop
async def test_where_nobody_wants_alerts_nothing_is_sent_nor_written(tmp_path: Path) -> None:
    rig = rig_with(tmp_path)
    async with alerting(rig) as found:
        rig.see(FAILED)
        await asyncio.sleep(0)
        assert found.info() == {}
    assert not any(change.notes for change in rig.changes)


@in_a_loop
async def test_it_ends_when_it_is_told_to_even_in_the_moment_in_which_it_is_woken(tmp_path: Path) -> None:
    rig = rig_with(tmp_path)
    found = Alerting(rig.reconciler, rig.commit)
    running = asyncio.ensure_future(found.run())
    for _ in range(3):
        await asyncio.sleep(0)
    found.heard({}, (), ("sma",))
    await asyncio.sleep(0)
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=1)
    assert done
    await found.close()


@in_a_loop
async def test_events_alone_wake_nobody(tmp_path: Path) -> None:
    rig = rig_with(tmp_path)
    found = Alerting(rig.reconciler, rig.commit)
    found.heard({}, rig.events, ())
    assert not found._woken.is_set()
    found.heard({}, (), ("sma",))
    assert found._woken.is_set()
