"""Processes in a unit that seems down: systemd is asked before anybody says that they were left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from supervise.model import Findings, Phase, Reason
from supervise.reconcile.believing import Believing
from tests.nouns import NOW, alive, copy, dead, seconds, spec, state
from tests.platforms.systemd.patience import run
from tests.reconcile.test_following import Host, settle

NOT_STARTED = state(Phase.INACTIVE, cause=None)
INSIDE = Findings(at=NOW.monotonic + seconds(1), inside={"sma": (copy(),)})


def patiently(test: Callable[[Path], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    def told(tmp_path: Path) -> None:
        run(lambda: test(tmp_path))

    told.__name__ = test.__name__
    return told


class Scene(Host):
    """One agent that was never started, as far as is known; `believing` is told of what is found."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, spec())
        self.systemd = self.platform(NOT_STARTED)
        self.believing = Believing(self.rig.reconciler, self.following)

    async def finds(self, found: Findings | None, *concerned: str) -> None:
        self.believing.take(found, concerned)
        await self.believing.settled()

    @property
    def reason(self) -> Reason:
        return self.rig.reconciler.rows["sma"].reason

    @property
    def questions(self) -> int:
        """Since it follows."""
        return len(self.systemd.asked_for("snapshot")) - 1


@patiently
async def test_a_start_that_was_not_told_yet_leaves_nothing_behind(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    async with scene.follows():
        scene.systemd.states["sma"] = alive()
        await scene.finds(INSIDE)
        assert (scene.reason, scene.questions) == (Reason.AS_WANTED, 1)
        assert [one.after for one in scene.rig.events if one.reason == "OrphanProcess"] == []


@patiently
async def test_what_is_down_for_sure_is_asked_about_once_until_it_moves(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    async with scene.follows():
        for at in (1, 2, 3):
            await scene.finds(replace(INSIDE, at=NOW.monotonic + seconds(at)))
            assert (scene.reason, scene.questions) == (Reason.ORPHAN_PROCESS, 1)
        scene.rig.clock.go_on(seconds(10))
        for one in (alive(), dead(phase=Phase.INACTIVE, by_request=True)):
            scene.rig.reconciler.run_pass(scene.rig.reconciler.take_state(one))
        scene.systemd.states["sma"] = dead(phase=Phase.INACTIVE, by_request=True)
        await scene.finds(replace(INSIDE, at=NOW.monotonic + seconds(20)))
        assert (scene.reason, scene.questions) == (Reason.ORPHAN_PROCESS, 2)


@patiently
async def test_while_systemd_thinks_what_is_found_waits_and_only_the_newest_counts(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    async with scene.follows():
        scene.systemd.may_answer.clear()
        scene.believing.take(INSIDE, ())
        await settle()
        scene.believing.take(Findings(at=NOW.monotonic + seconds(2), outside={"sma": (copy(),)}), ("sma",))
        await settle()
        assert scene.reason is Reason.NOT_STARTED
        scene.systemd.may_answer.set()
        await scene.believing.settled()
        assert (scene.reason, scene.questions) == (Reason.HIDDEN_PROCESS, 1)


@patiently
async def test_where_systemd_cannot_be_asked_what_is_found_counts(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    async with scene.follows():
        scene.systemd.gone = True
        await scene.finds(INSIDE)
        assert scene.reason is Reason.ORPHAN_PROCESS


@patiently
async def test_what_is_found_while_nobody_follows_is_kept_until_all_was_seen(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    await scene.finds(INSIDE)
    assert scene.rig.reconciler.rows == {}
    assert scene.rig.reconciler.findings == INSIDE


@patiently
async def test_who_is_closed_asks_no_more(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    async with scene.follows():
        scene.systemd.may_answer.clear()
        scene.believing.take(INSIDE, ())
        await settle()
        scene.believing.close()
        await asyncio.wait_for(scene.believing.settled(), 5)
        assert scene.reason is Reason.NOT_STARTED
