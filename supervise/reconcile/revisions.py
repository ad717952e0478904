"""Looks now and then at what agents would be started with, and soon after each start: in a thread, one look at a time.

A disk that does not answer holds up no more than that.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

from supervise.observe.revision import Disk
from supervise.reconcile.reconciler import Reconciler

log = logging.getLogger(__name__)
EVERY = timedelta(seconds=30)
"""A look at 500 agents in as many repositories costs 25 ms of a core (measured)."""
SOONEST = timedelta(milliseconds=250)
"""However often somebody wants to know it now, it is looked no more often than this."""
AFTER_A_START = 1.0
"""Seconds between two questions whether somebody was started."""
PATIENCE = 1.0
"""Seconds that somebody waits who wants to know it now."""


class Revisions:
    """Lives as long as the daemon."""

    def __init__(self, reconciler: Reconciler, disk: Disk | None = None) -> None:
        self._reconciler = reconciler
        self._disk = disk or Disk(reconciler.clock)
        self._last: timedelta | None = None
        self._looking: asyncio.Task[None] | None = None

    async def run(self) -> None:
        while True:
            if self._is_due():
                try:
                    await self.look()
                except Exception:  # what is only good to know must not end whoever watches agents
                    log.exception("cannot look at what agents would be started with")
            await asyncio.sleep(AFTER_A_START)

    async def look(self) -> None:
        """After a look that begins now at the earliest."""
        while self._looking:
            await asyncio.shield(self._looking)
        self._looking = asyncio.ensure_future(self._look())
        await asyncio.shield(self._looking)

    async def look_soon(self) -> None:
        """The same for whoever wants to know it now: but not at once again, and for no longer than anybody waits."""
        if self._last is not None and self._reconciler.clock().monotonic - self._last < SOONEST:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self.look()

    def _is_due(self) -> bool:
        now = self._reconciler.clock().monotonic
        return self._last is None or now - self._last >= EVERY or bool(self._reconciler.unlooked())

    async def _look(self) -> None:
        try:
            self._last = self._reconciler.clock().monotonic
            specs = tuple(self._reconciler.disk.specs.values())
            found = await asyncio.to_thread(self._disk.look, specs)
            if names := self._reconciler.take_on_disk(found):
                self._reconciler.run_pass(names)
        finally:
            self._looking = None
