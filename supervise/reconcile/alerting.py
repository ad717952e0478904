"""Alerts beside the daemon: hears what changed, asks the pure engine, hands messages to the sender.

It never holds a pass up: a change only wakes it, and what it sends waits in queues of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from supervise.alerts.messages import Message
from supervise.alerts.notes import KEY, from_note, to_note
from supervise.alerts.senders import Sender
from supervise.alerts.troubles import AlertState, advance
from supervise.model import AlertTarget, Event, StatusRow
from supervise.reconcile.reconciler import Commit, Reconciler
from supervise.stores import Change

LAST_CHANCE = timedelta(seconds=2)
"""For what is still to be sent when the daemon ends; the rest is kept for the next one."""
GATHER = 0.05
"""Seconds in which changes are gathered, so that what happens at once is told at once."""
IDLE = 30.0
"""Seconds after which it looks again even if nothing has changed."""


class Alerting:
    """Lives as long as the daemon. Without targets it does nothing and imports nothing dear."""

    def __init__(self, reconciler: Reconciler, commit: Commit) -> None:
        self._reconciler = reconciler
        self._commit = commit
        self._sender = Sender()
        self._state = AlertState()
        self._unsent: tuple[Message, ...] = ()
        self._woken = asyncio.Event()

    def remember(self, notes: Mapping[str, str]) -> None:
        """Where the daemon before this one left off."""
        if KEY in notes:
            note = from_note(notes[KEY])
            self._state = note.state
            self._sender.retarget(self._all_targets())
            self._sender.send(note.unsent)

    def heard(self, rows: Mapping[str, StatusRow], events: Collection[Event], forgotten: Collection[str]) -> None:
        if rows or forgotten:
            self._woken.set()

    async def run(self) -> None:
        while True:
            wait = self._advance()
            try:
                async with asyncio.timeout(wait):  # `wait_for` would lose a cancellation that comes with the waking
                    await self._woken.wait()
                await asyncio.sleep(GATHER)
            except TimeoutError:
                pass
            self._woken.clear()

    async def close(self) -> None:
        unsent = await self._sender.close(LAST_CHANCE)
        if self._targets() or unsent:
            self._commit(Change(notes={KEY: to_note(self._state, unsent)}))

    def info(self) -> dict[str, Any]:
        """How it goes with each target, for `status` and `doctor`."""
        targets = {target.id: target for target in self._all_targets()}
        return {
            name: {
                "kind": targets[name].kind.value if name in targets else None,
                "last_ok": one.last_ok.isoformat() if one.last_ok else None,
                "last_error": one.last_error,
                "failing": one.failing,
                "dropped": one.dropped,
                "pending": one.pending,
            }
            for name, one in self._sender.states().items()
        }

    def _advance(self) -> float:
        """Tell what is due; gives the seconds until the next look."""
        targets = self._targets()
        self._sender.retarget(self._all_targets())
        if not targets:
            return IDLE
        now = self._reconciler.clock()
        after = advance(
            self._state,
            self._reconciler.rows,
            targets,
            now=now,
            specs=self._reconciler.disk.specs,
            host=self._reconciler.facts.name,
        )
        self._sender.send(after.messages)
        unsent = self._sender.unsent()
        if (after.state, unsent) != (self._state, self._unsent):
            self._state, self._unsent = after.state, unsent
            self._commit(Change(notes={KEY: to_note(after.state, unsent)}))
        if after.wake_at is None:
            return IDLE
        return min(max((after.wake_at - now.monotonic).total_seconds(), 0.01), IDLE)

    def _targets(self) -> dict[str, tuple[AlertTarget, ...]]:
        return {one.project: one.alerts for one in self._reconciler.disk.manifests if one.alerts}

    def _all_targets(self) -> list[AlertTarget]:
        return [target for targets in self._targets().values() for target in targets]
