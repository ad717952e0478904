"""Findings of a scan on their way to the reconciler: what they say of units is held against systemd first.

Processes in a unit that is down are left behind, or else of a start that systemd has not told us of yet: while hundreds
start at once, its signals come seconds later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from supervise.model import Findings
from supervise.reconcile.following import Following
from supervise.reconcile.reconciler import Reconciler


class Believing:
    """Lives as long as the daemon. Findings are taken in their order; where they come faster, only the newest."""

    def __init__(self, reconciler: Reconciler, following: Following) -> None:
        self._reconciler = reconciler
        self._following = following
        self._waiting: tuple[Findings | None, set[str]] | None = None
        self._asking: asyncio.Task[None] | None = None

    def take(self, found: Findings | None, concerned: Collection[str]) -> None:
        earlier = self._waiting[1] if self._waiting else ()
        self._waiting = found, {*concerned, *earlier}
        if self._asking is None and self._reconciler.seemingly_left(found):
            self._asking = asyncio.ensure_future(self._ask())
        elif self._asking is None:
            self._take_over()

    async def settled(self) -> None:
        """Until all that was taken is believed."""
        if self._asking:
            await asyncio.wait((self._asking,))

    def close(self) -> None:
        if self._asking:
            self._asking.cancel()

    async def _ask(self) -> None:
        try:
            while self._waiting:
                if names := self._reconciler.seemingly_left(self._waiting[0]):
                    await self._following.look_at(names)
                    self._reconciler.believe_down(names)
                else:
                    self._take_over()
        finally:
            self._asking = None

    def _take_over(self) -> None:
        assert self._waiting is not None
        (found, concerned), self._waiting = self._waiting, None
        names = self._reconciler.take_findings(found, concerned)
        if names and self._following.seen.is_set():
            self._reconciler.run_pass(names)
