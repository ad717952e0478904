"""Disks that are really full, and really read-only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervise.model import Event
from supervise.stores import Change, EventQuery
from supervise.stores.writer import Writer
from tests.nouns import NOON
from tests.stores.nouns import HOST, event, intent, opened, row
from tests.stores.test_writer import in_a_loop, quickly, started, until, written

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")]
__all__ = ["quickly"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *map(str, words)], check=True, capture_output=True)


def fill(folder: Path) -> Path:
    """Leave not one byte."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return ballast


def many(number: int) -> tuple[Event, ...]:
    return tuple(event(f"{number}-{one}") for one in range(50))


@in_a_loop
async def test_a_disk_that_fills_up_loses_nothing(disk: Path) -> None:
    async with started(disk) as writer:
        assert await writer.commit(Change(rows={"sma": row(pid=1)}))
        ballast = fill(disk)
        number = 0
        while await writer.commit(Change(rows={"sma": row(pid=number)}, events=many(number))):
            number += 1
        assert writer.trouble is not None
        assert "full" in writer.trouble.why or "I/O" in writer.trouble.why
        assert len(await writer.events(EventQuery(limit=10**6))) == (number + 1) * 50
        ballast.unlink()
        await until(lambda: writer.trouble is None)
    assert written(disk).rows == {"sma": row(pid=number)}
    store = opened(disk)
    assert len(store.events(EventQuery(limit=10**6))) == (number + 1) * 50
    store.close()


@in_a_loop
async def test_a_start_on_a_full_disk_remembers_what_was_and_writes_once_there_is_room(disk: Path) -> None:
    store = opened(disk)
    store.commit(Change(rows={"sma": row(pid=1)}, intents=(intent(),)), now=NOON)
    store.close()
    ballast = fill(disk)
    writer = Writer(disk / "state.db", host=HOST)
    memory = await writer.start()
    assert (memory.rows, memory.intents) == ({"sma": row(pid=1)}, {"sma": intent()})
    assert await writer.commit(Change(rows={"ema": row("ema")})) is False
    assert writer.trouble is not None
    ballast.unlink()
    await until(lambda: writer.trouble is None)
    await writer.close()
    assert written(disk).rows == {"sma": row(pid=1), "ema": row("ema")}


@in_a_loop
async def test_a_start_on_a_read_only_disk_remembers_what_was_and_writes_once_it_may(disk: Path) -> None:
    store = opened(disk)
    store.commit(Change(rows={"sma": row(pid=1)}), now=NOON)
    store.close()
    mount("-o", "remount,ro", disk)
    writer = Writer(disk / "state.db", host=HOST)
    assert (await writer.start()).rows == {"sma": row(pid=1)}
    assert writer.trouble is not None
    assert "Read-only" in writer.trouble.why
    assert await writer.commit(Change(rows={"ema": row("ema")}, events=(event(),))) is False
    assert await writer.events(EventQuery()) == (event(),)
    mount("-o", "remount,rw", disk)
    await until(lambda: writer.trouble is None)
    await writer.close()
    assert written(disk).rows == {"sma": row(pid=1), "ema": row("ema")}
