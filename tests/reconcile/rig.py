"""A reconciler for tests: a clock that is set by hand, a store that only keeps a list, actions that only are noted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any

from supervise.manifest import Manifest
from supervise.model import Action, AgentSpec, Event, Instant, Scope, StatusRow, UnitState
from supervise.reconcile.disk import Disk
from supervise.reconcile.reconciler import Reconciler
from supervise.stores import Change
from tests.nouns import NOW, after, places_in

Test = Callable[..., Coroutine[Any, Any, None]]
HOST = "alpha"


def in_a_loop(test: Test) -> Callable[..., None]:
    """The test in an event loop of its own. Whatever hangs fails."""

    @wraps(test)
    def run(*args: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **named), 20))

    return run


async def until(true: Callable[[], object], *, seconds: float = 10) -> None:
    """Wait for a condition, and fail when it does not come."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.001)


class Clock:
    """Shows `now` until somebody sets it."""

    def __init__(self, now: Instant = NOW) -> None:
        self.now = now

    def __call__(self) -> Instant:
        return self.now

    def go_on(self, length: timedelta) -> Instant:
        self.now = after(length, self.now)
        return self.now


class Rig:
    """`told` is all that left the reconciler, in order: (what it was, its content). Commits are kept at once, unless
    `slow`: then in their time, by the test."""

    def __init__(self, folder: Path, *specs: AgentSpec, slow: bool = False) -> None:
        self.clock = Clock()
        self.slow = slow
        self.told: list[tuple[str, Any]] = []
        self.promises: list[asyncio.Future[bool]] = []
        self.reconciler = Reconciler(
            places_in(folder), host=HOST, clock=self.clock, commit=self.commit, start=self._start
        )
        self.reconciler.listeners.append(self._listen)
        self.install(*specs)

    def install(self, *specs: AgentSpec, **changes: Any) -> None:
        found: dict[str, Any] = {
            "specs": {one.name: one for one in specs},
            "manifests": (manifest_of(*specs),) if specs else (),
            "enabled": frozenset(f"agent@{one.name}.service" for one in specs),
        }
        self.reconciler.take_disk(Disk(**{**found, **changes}))

    def see(self, *states: UnitState) -> None:
        """A snapshot of all units, and a pass over everyone."""
        self.reconciler.take_all({one.name: one for one in states})
        self.reconciler.run_pass()

    def commit(self, change: Change) -> asyncio.Future[bool]:
        promise: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if not self.slow:
            promise.set_result(True)
        self.promises.append(promise)
        self.told.append(("commit", change))
        return promise

    def _start(self, action: Action, written: asyncio.Future[bool]) -> None:
        self.told.append(("start", (action, written)))

    def _listen(self, rows: Mapping[str, StatusRow], events: Collection[Event], forgotten: Collection[str]) -> None:
        self.told.append(("listener", (dict(rows), tuple(events), tuple(forgotten))))

    def take(self) -> list[tuple[str, Any]]:
        """What was told since this was last asked."""
        told, self.told = self.told, []
        return told

    @property
    def changes(self) -> list[Change]:
        return [content for what, content in self.told if what == "commit"]

    @property
    def events(self) -> list[Event]:
        return [event for change in self.changes for event in change.events]

    @property
    def actions(self) -> list[Action]:
        return [content[0] for what, content in self.told if what == "start"]


def manifest_of(*specs: AgentSpec, **changes: Any) -> Manifest:
    plain: dict[str, Any] = {
        "project": specs[0].project,
        "source": Path("/srv/trading/agents.yaml"),
        "scope": Scope.SYSTEM,
        "platform": "systemd",
        "version": "1.0",
        "agents": specs,
        "runs": {},
    }
    return Manifest(**{**plain, **changes})
