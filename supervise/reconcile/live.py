"""What changes, for whoever watches: newest rows only, so that a slow watcher costs little and misses no state."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from supervise.model import Event, StatusRow
from supervise.reconcile.reconciler import Reconciler

MOST_EVENTS = 1000
"""So many wait for a watcher at most; then the oldest are dropped."""


class Live:
    """One watcher's queue: of each agent the newest row that it has not been given yet."""

    def __init__(self) -> None:
        self._rows: dict[str, StatusRow | None] = {}
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._woken = asyncio.Event()

    @classmethod
    @contextmanager
    def listening(cls, reconciler: Reconciler) -> Iterator[Live]:
        live = cls()
        reconciler.listeners.append(live.tell)
        try:
            yield live
        finally:
            reconciler.listeners.remove(live.tell)

    def tell(self, rows: Mapping[str, StatusRow], events: Collection[Event], forgotten: Collection[str]) -> None:
        self._rows.update(rows)
        self._rows.update(dict.fromkeys(forgotten))
        self._events.extend(events)
        self._woken.set()

    async def __aiter__(self) -> AsyncIterator[tuple[str, Any]]:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._events:
                yield "event", self._events.popleft()
            while self._rows:
                name, row = self._rows.popitem()
                yield ("row", row) if row else ("forget", name)
