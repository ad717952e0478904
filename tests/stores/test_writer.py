"""A daemon's store on a disk that fails it: nothing raises, nothing waits, and what could not be written is kept."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from supervise.clock import now
from supervise.errors import StoreError
from supervise.model import EventKind
from supervise.stores import Change, EventQuery, Memory, database
from supervise.stores import writer as timing
from supervise.stores.backlog import LIMIT
from supervise.stores.sqlite import Sqlite
from supervise.stores.writer import Writer
from tests.nouns import NOON
from tests.stores.nouns import HOST, event, intent, opened, row, sample, setting

Test = Callable[..., Coroutine[Any, Any, None]]
FULL = 4 * 64 * 1024


def in_a_loop(test: Test) -> Callable[..., None]:
    @wraps(test)
    def run(*args: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **named), 60))

    return run


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same life at fifty times the speed."""
    for name in ("FIRST_RETRY", "RETRY", "IDLE_CHECK"):
        monkeypatch.setattr(timing, name, getattr(timing, name) / 50)
    monkeypatch.setattr(database, "BUSY", 0.01)


@asynccontextmanager
async def started(path: Path, **options: Any) -> AsyncIterator[Writer]:
    writer = Writer(path / "state.db" if path.is_dir() else path, host=HOST, **options)
    await writer.start()
    try:
        yield writer
    finally:
        await writer.close()


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.01)


def written(folder: Path) -> Memory:
    """What is in the file, seen by who comes after."""
    store = opened(folder)
    memory = store.load()
    store.close()
    return memory


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody has the file open by hand, and a transaction begun."""
    db = sqlite3.connect(path / "state.db", isolation_level=None)
    db.execute("begin immediate")
    try:
        yield
    finally:
        db.close()


@contextmanager
def no_room(size: int = FULL) -> Iterator[None]:
    """No file may become bigger than this (EFBIG, as a full disk gives ENOSPC)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# --- In good times ----------------------------------------------------------------------------------------------------


@in_a_loop
async def test_what_is_promised_is_in_the_file(tmp_path: Path) -> None:
    async with started(tmp_path) as writer:
        promises = [writer.commit(Change(rows={"sma": row(pid=pid)}, notes={"n": str(pid)})) for pid in range(300)]
        assert all(await asyncio.gather(*promises))
        assert await writer.commit(Change(intents=(intent(),), events=(event(),), samples=(sample(),)))
        assert writer.trouble is None
        assert await writer.events(EventQuery()) == (event(),)
        assert [one.at for one in await writer.history("sma", NOON, NOON)] == [NOON]
    assert written(tmp_path) == Memory({"sma": row(pid=299)}, {"sma": intent()}, {"n": "299"})


@in_a_loop
async def test_a_start_gives_what_was_there(tmp_path: Path) -> None:
    async with started(tmp_path) as writer:
        await writer.commit(Change(rows={"sma": row()}))
    writer = Writer(tmp_path / "state.db", host=HOST)
    assert (await writer.start()).rows == {"sma": row()}
    await writer.close()


@in_a_loop
async def test_a_close_writes_what_waits(tmp_path: Path) -> None:
    async with started(tmp_path) as writer:
        promises = [writer.commit(Change(rows={f"a{one}": row(f"a{one}")})) for one in range(50)]
    assert len(written(tmp_path).rows) == 50
    assert all([await promise for promise in promises])


@in_a_loop
async def test_after_the_end_everything_is_answered_with_nothing(tmp_path: Path) -> None:
    async with started(tmp_path) as writer:
        pass
    assert await writer.commit(Change(rows={"sma": row()})) is False
    assert await writer.events(EventQuery()) == ()
    assert await writer.prune(events_before=NOON, samples_before=NOON) == 0
    await writer.close()


@in_a_loop
async def test_a_row_was_made_when_it_was_handed_over(tmp_path: Path) -> None:
    async with started(tmp_path) as writer:
        with locked(tmp_path):
            await writer.commit(Change(rows={"sma": row(updated_at=None)}))
            handed_over = now().wall
        await until(lambda: writer.trouble is None)
    made = written(tmp_path).rows["sma"].updated_at
    assert made is not None
    assert made <= handed_over


@in_a_loop
async def test_old_events_go_and_a_replica_gets_what_waits_for_it(tmp_path: Path) -> None:
    async with started(tmp_path, replicate=True) as writer:
        await writer.commit(Change(rows={"sma": row()}, events=(event("old"), event("new", minutes=5))))
        assert await writer.prune(events_before=NOON + timedelta(minutes=1), samples_before=NOON) == 1
        items = await asyncio.to_thread(writer.consult, lambda store: store.pending(10))
        assert [item.content for item in items] == [row(), event("new", minutes=5)]
        await asyncio.to_thread(writer.consult, lambda store: store.acknowledge([item.id for item in items]))
        assert await writer.outbox_depth() == 0


@in_a_loop
async def test_from_when_on_something_is_kept_for_a_replica_can_change(tmp_path: Path) -> None:
    async with started(tmp_path) as writer:
        await writer.commit(Change(events=(event("1"),)))
        writer.replicate(True)
        await writer.commit(Change(events=(event("2"),)))
        assert await writer.outbox_depth() == 1
    async with started(tmp_path) as writer:
        await writer.commit(Change(events=(event("3"),)))
        assert await writer.outbox_depth() == 2
        writer.replicate(False)
        await writer.commit(Change(events=(event("4"),)))
        assert await writer.outbox_depth() == 0


@in_a_loop
async def test_who_asks_from_another_thread_hears_why_there_is_no_answer(tmp_path: Path) -> None:
    async with started(tmp_path) as writer:
        await writer.commit(Change())
        with locked(tmp_path):
            await writer.commit(Change(events=(event("1"),)))
            with pytest.raises(StoreError, match="cannot be written"):
                await asyncio.to_thread(writer.consult, lambda store: store.depth())
    with pytest.raises(StoreError, match="closed"):
        writer.consult(lambda store: store.depth())


# --- A disk that takes nothing ----------------------------------------------------------------------------------------


@in_a_loop
async def test_what_cannot_be_written_is_kept_answered_and_written_later(tmp_path: Path) -> None:
    async with started(tmp_path) as writer:
        assert await writer.commit(Change(rows={"sma": row(pid=1)}, events=(event("1"),), notes={"a": "1"}))
        with locked(tmp_path):
            assert await writer.commit(Change(rows={"sma": row(pid=2)}, events=(event("2", minutes=2),))) is False
            trouble = writer.trouble
            assert trouble is not None
            assert "database is locked" in trouble.why
            late = Change(
                rows={"ema": row("ema")}, events=(event("3", minutes=1),), intents=(intent(),), forget=("sma",)
            )
            assert await writer.commit(late) is False
            assert [one.id for one in await writer.events(EventQuery())] == ["1", "3", "2"]
            assert [one.id for one in await writer.events(EventQuery(limit=1))] == ["2"]
            since_noon = EventQuery(name="sma", since=NOON, until=NOON + timedelta(minutes=1))
            assert [one.id for one in await writer.events(since_noon)] == ["1", "3"]
            assert await writer.commit(Change(samples=(sample("ema"),))) is False
            assert len(await writer.history("ema", NOON, NOON)) == 1
            assert writer.trouble == replace(trouble, why=writer.trouble.why if writer.trouble else "")
        await until(lambda: writer.trouble is None)
        assert [one.id for one in await writer.events(EventQuery())] == ["1", "3", "2"]
    assert written(tmp_path) == Memory({"ema": row("ema")}, {"sma": intent()}, {"a": "1"})


@in_a_loop
async def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    async with started(tmp_path) as writer:
        with no_room():
            number = 0
            while await writer.commit(Change(events=tuple(event(f"{number}-{one}") for one in range(50)))):
                number += 1
            trouble = writer.trouble
            assert trouble is not None
            assert "full" in trouble.why or "I/O" in trouble.why
            assert len(await writer.events(EventQuery(limit=10**6))) == (number + 1) * 50
            assert await writer.commit(Change(rows={"sma": row()})) is False
        await until(lambda: writer.trouble is None)
    assert written(tmp_path).rows == {"sma": row()}
    store = opened(tmp_path)
    assert len(store.events(EventQuery(limit=10**6))) == (number + 1) * 50
    store.close()


@in_a_loop
async def test_there_is_an_end_to_what_is_kept_and_it_is_told(tmp_path: Path) -> None:
    async with started(tmp_path) as writer:
        with locked(tmp_path):
            for turn in range(3):
                await writer.commit(Change(events=tuple(event(f"{turn}-{one}") for one in range(LIMIT // 2))))
            assert writer.trouble is not None
            assert writer.trouble.lost == LIMIT // 2
        await until(lambda: writer.trouble is None)
    store = opened(tmp_path)
    found = store.events(EventQuery(limit=10**6))
    store.close()
    assert len(found) == LIMIT + 1
    assert min(one.id for one in found if one.name) == "1-0"
    assert [(one.kind, one.reason) for one in found if not one.name] == [(EventKind.HOST, "EventsLost")]


@in_a_loop
async def test_a_disk_that_does_not_answer_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    commit_all = Sqlite.commit_all

    def slowly(store: Sqlite, *args: Any, **named: Any) -> None:
        assert answers.wait(30)
        commit_all(store, *args, **named)

    async with started(tmp_path) as writer:
        monkeypatch.setattr(Sqlite, "commit_all", slowly)
        monkeypatch.setattr(timing, "PATIENCE", 0.1)
        assert await writer.commit(Change(rows={"sma": row()}, events=(event("1"),))) is False
        assert await writer.commit(Change(events=(event("2"),))) is False
        assert [one.id for one in await writer.events(EventQuery())] == ["1", "2"]
        monkeypatch.setattr(timing, "PATIENCE", 10)
        answers.set()
        assert await writer.commit(Change())
    assert written(tmp_path).rows == {"sma": row()}


@in_a_loop
async def test_a_bug_of_the_store_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with started(tmp_path) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(Sqlite, "_apply", None)
            patch.setattr(Sqlite, "events", None)
            assert await writer.commit(Change(rows={"sma": row()})) is False
            assert writer.trouble is not None
            assert await writer.events(EventQuery()) == ()
        await until(lambda: writer.trouble is None)
    assert written(tmp_path).rows == {"sma": row()}
    assert "the store has a bug" in caplog.text


# --- Other owners, other files ----------------------------------------------------------------------------------------


@in_a_loop
async def test_a_second_owner_is_refused_until_the_first_has_gone(tmp_path: Path) -> None:
    async with started(tmp_path) as first:
        await first.commit(Change(rows={"sma": row(pid=1)}))
        second = Writer(tmp_path / "state.db", host=HOST)
        assert await second.start() == Memory()
        assert second.trouble is not None
        assert f"another reconciler owns it (PID {os.getpid()})" in second.trouble.why
        assert await second.commit(Change(rows={"ema": row("ema")})) is False
        assert await first.commit(Change(rows={"sma": row(pid=2)}))
        assert first.trouble is None
    await until(lambda: second.trouble is None)
    await second.close()
    assert written(tmp_path).rows == {"sma": row(pid=2), "ema": row("ema")}


async def remembered(writer: Writer) -> None:
    """Three agents with all that is theirs; one is forgotten, one renamed."""
    three = {name: row(name) for name in "abc"}
    chosen = (setting("-"), setting("a"), setting("c"))
    intents = (intent("a"), intent("b"))
    assert await writer.commit(Change(rows=three, intents=intents, notes={"n": "1", "m": "2"}, settings=chosen))
    gone = (setting("a", None),)
    assert await writer.commit(Change(forget=("b",), renamed={"d": "c"}, notes={"m": None}, settings=gone))


REMEMBERED = Memory(
    {"a": row("a"), "d": replace(row("c"), name="d")},
    {"a": intent("a")},
    {"n": "1"},
    {one.of: one for one in (setting("-"), setting("d"))},
)


@in_a_loop
async def test_a_deleted_file_is_made_anew_by_the_next_commit(tmp_path: Path) -> None:
    async with started(tmp_path) as writer:
        await remembered(writer)
        (tmp_path / "state.db").unlink()
        assert await writer.commit(Change(events=(event(),)))
    assert written(tmp_path) == REMEMBERED


@in_a_loop
async def test_a_deleted_file_is_made_anew_though_nobody_writes(tmp_path: Path) -> None:
    async with started(tmp_path) as writer:
        await remembered(writer)
        for file in tmp_path.iterdir():
            file.unlink()
        tmp_path.rmdir()
        await until(lambda: (tmp_path / "state.db").exists() and writer.trouble is None)
        assert await writer.commit(Change())
    assert written(tmp_path) == REMEMBERED


@in_a_loop
async def test_a_file_that_was_put_in_the_place_of_ours_gets_what_we_know(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = opened(tmp_path / "other")
    other.commit(Change(rows={"a": row("a", pid=99), "z": row("z")}), now=NOON)
    other.close()
    async with started(tmp_path) as writer:
        await remembered(writer)
        (tmp_path / "other/state.db").replace(tmp_path / "state.db")
        assert await writer.commit(Change())
    assert written(tmp_path).rows == {**REMEMBERED.rows, "z": row("z")}
    assert not list(tmp_path.glob("*corrupt*"))


@pytest.mark.parametrize(("start", "length"), [(0, 100), (0, 10**6), (2 * 4096, 10**6)])
@in_a_loop
async def test_a_damaged_file_is_put_aside_and_made_anew(tmp_path: Path, start: int, length: int) -> None:
    path = tmp_path / "state.db"
    async with started(tmp_path) as writer:
        await remembered(writer)
        sqlite3.connect(path).execute("pragma wal_checkpoint(truncate)").connection.close()
        with path.open("r+b") as file:
            file.seek(start)
            file.write(os.urandom(min(length, path.stat().st_size - start)))
        while not aside(tmp_path):
            await writer.commit(Change(notes={"n": "1"}))
        assert await writer.commit(Change())
        assert writer.trouble is None
        told = [one for one in await writer.events(EventQuery()) if one.reason == "StoreDamaged"]
        assert [(one.kind, one.name, one.by) for one in told] == [(EventKind.HOST, "", "supervise")]
        assert str(tmp_path / aside(tmp_path)[0]) in told[0].message
    assert written(tmp_path) == REMEMBERED


@in_a_loop
async def test_damage_that_no_commit_meets_is_found_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "THOROUGH_CHECK", 0)
    store = opened(tmp_path)
    store.commit(Change(samples=tuple(sample(minutes=number) for number in range(500))), now=NOON)
    store.close()
    path = tmp_path / "state.db"
    async with started(tmp_path) as writer:
        await remembered(writer)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size - 4096)
            file.write(b"\xa5" * 4096)
        await until(lambda: aside(tmp_path))
    assert written(tmp_path) == REMEMBERED


def aside(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.glob("state.db.corrupt-*") if not one.name.endswith(("-wal", "-shm")))


@in_a_loop
async def test_a_damaged_file_is_put_aside_at_a_start_and_three_are_kept(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / "state.db").write_bytes(bytes([number]) * 10_000)
        async with started(tmp_path) as writer:
            assert writer.trouble is None
            assert await writer.commit(Change(rows={"sma": row()}))
    assert sorted((tmp_path / name).read_bytes()[0] for name in aside(tmp_path)) == [2, 3, 4]
    assert written(tmp_path).rows == {"sma": row()}


@in_a_loop
async def test_a_file_in_the_place_of_the_folder_is_waited_out(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    async with started(folder) as writer:
        await remembered(writer)
        folder.rename(tmp_path / "moved")
        folder.write_text("in the way")
        assert await writer.commit(Change(events=(event(),))) is False
        assert writer.trouble is not None
        assert "e1" in [one.id for one in await writer.events(EventQuery())]
        folder.unlink()
        await until(lambda: writer.trouble is None)
    assert written(folder) == REMEMBERED


@in_a_loop
async def test_a_start_that_is_impossible_gives_nothing_and_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.write_text("in the way")
    writer = Writer(folder / "state.db", host=HOST)
    assert await writer.start() == Memory()
    assert writer.trouble is not None
    assert await writer.commit(Change(rows={"sma": row()})) is False
    folder.unlink()
    await until(lambda: writer.trouble is None)
    await writer.close()
    assert written(folder).rows == {"sma": row()}


@in_a_loop
async def test_a_newer_version_s_store_is_left_alone(tmp_path: Path) -> None:
    opened(tmp_path).close()
    db = sqlite3.connect(tmp_path / "state.db")
    db.execute("insert into migrations values (99, '0099_new.sql', 'x', '2027-01-01')")
    db.commit()
    db.close()
    before = (tmp_path / "state.db").read_bytes()
    async with started(tmp_path) as writer:
        assert writer.trouble is not None
        assert "newer version" in writer.trouble.why
        assert await writer.commit(Change(rows={"sma": row()})) is False
    assert (tmp_path / "state.db").read_bytes() == before
    assert not aside(tmp_path)
