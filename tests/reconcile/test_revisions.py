"""When it is looked at what agents would be started with, and that a disk which does not answer holds nobody up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from supervise.model import AgentSpec, OnDisk
from supervise.reconcile import revisions as module
from supervise.reconcile.revisions import Revisions
from tests.nouns import NOW, alive, minutes, seconds, spec
from tests.reconcile.rig import Rig, in_a_loop, until


class Told:
    """A disk that says what it was told to say, as soon as it `may_answer`; it counts who asks at once."""

    def __init__(self, rig: Rig, revision: str | None = "abc") -> None:
        self.rig = rig
        self.revision = revision
        self.looks = self.at_once = self.most_at_once = 0
        self.may_answer = threading.Event()
        self.may_answer.set()

    def look(self, specs: Iterable[AgentSpec]) -> dict[str, OnDisk]:
        self.looks += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        at, revision = self.rig.clock().monotonic, self.revision
        self.may_answer.wait(10)
        self.at_once -= 1
        return {one.name: OnDisk(at, revision) for one in specs}


def made(folder: Path, *states: Any) -> tuple[Rig, Told, Revisions]:
    rig = Rig(folder, spec())
    rig.see(*states or (alive(),))
    disk = Told(rig)
    return rig, disk, Revisions(rig.reconciler, disk)  # type: ignore[arg-type]


@in_a_loop
async def test_a_look_ends_in_the_rows_of_whom_it_says_something_new(tmp_path: Path) -> None:
    rig, disk, revisions = made(tmp_path)
    await revisions.look()
    assert rig.reconciler.rows["sma"].revision == "abc"
    rig.take()
    await revisions.look()
    assert rig.changes == []
    disk.revision = "def"
    await revisions.look()
    assert rig.reconciler.rows["sma"].outdated_by == ("code",)


@in_a_loop
async def test_it_is_looked_soon_after_a_start_and_else_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AFTER_A_START", 0.001)
    rig, disk, revisions = made(tmp_path)
    running = asyncio.ensure_future(revisions.run())
    await until(lambda: rig.reconciler.rows["sma"].revision == "abc")
    rig.clock.go_on(seconds(29.9))
    await asyncio.sleep(0.02)
    assert disk.looks == 1
    rig.clock.go_on(seconds(0.1))
    await until(lambda: disk.looks == 2)
    rig.clock.go_on(seconds(1))
    rig.see(alive("b", start=rig.clock()))
    await until(lambda: disk.looks == 3)
    await until(lambda: rig.reconciler.unlooked() == set())
    running.cancel()


@in_a_loop
async def test_whoever_asks_gets_a_look_that_began_later_and_there_is_one_at_a_time(tmp_path: Path) -> None:
    rig, disk, revisions = made(tmp_path)
    disk.may_answer.clear()
    first = asyncio.ensure_future(revisions.look())
    await until(lambda: disk.looks == 1)
    disk.revision = "def"
    others = [asyncio.ensure_future(revisions.look()) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert disk.looks == 1
    disk.may_answer.set()
    await asyncio.gather(first, *others)
    assert disk.most_at_once == 1
    assert rig.reconciler.on_disk["sma"].revision == "def"


@in_a_loop
async def test_a_disk_that_does_not_answer_holds_up_nobody_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    rig, disk, revisions = made(tmp_path)
    disk.may_answer.clear()
    for _ in range(3):
        await revisions.look_soon()
        rig.clock.go_on(seconds(1))
    assert disk.looks == 1
    disk.may_answer.set()
    await until(lambda: rig.reconciler.rows["sma"].revision == "abc")


@in_a_loop
async def test_however_often_it_is_asked_for_it_is_not_looked_again_at_once(tmp_path: Path) -> None:
    rig, disk, revisions = made(tmp_path)
    await revisions.look_soon()
    rig.clock.go_on(seconds(0.249))
    await revisions.look_soon()
    assert disk.looks == 1
    rig.clock.go_on(seconds(0.001))
    await revisions.look_soon()
    assert disk.looks == 2


@in_a_loop
async def test_a_bug_in_a_look_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AFTER_A_START", 0.001)
    rig, disk, revisions = made(tmp_path)
    really, asked = disk.look, []

    def broken(specs: Iterable[AgentSpec]) -> dict[str, OnDisk]:
        asked.append(specs)
        if len(asked) == 1:
            raise ZeroDivisionError
        return really(specs)

    monkeypatch.setattr(disk, "look", broken)
    running = asyncio.ensure_future(revisions.run())
    await until(lambda: rig.reconciler.rows["sma"].revision == "abc")
    running.cancel()


@pytest.mark.parametrize(
    ("unit", "names"),
    [
        (alive(), {"sma"}),
        (alive(pid=None), set()),
        (alive(incarnation=None), set()),
        (alive(started_monotonic=None), set()),
        (alive(name="stranger"), set()),
    ],
)
@in_a_loop
async def test_only_of_those_that_run_and_are_wanted_it_must_be_known(tmp_path: Path, unit: Any, names: Any) -> None:
    rig, _, _ = made(tmp_path, unit)
    assert rig.reconciler.unlooked() == names
    rig.reconciler.take_on_disk({"sma": OnDisk(NOW.monotonic + minutes(1))})
    rig.reconciler.run_pass()
    assert rig.reconciler.unlooked() == set()
