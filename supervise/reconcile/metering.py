"""Looks now and then at what running agents take, in a thread, so that a slow `/proc` holds no pass up."""

from __future__ import annotations

import asyncio
import logging

from supervise.observe.usage import Life, Meter
from supervise.reconcile.reconciler import Reconciler

log = logging.getLogger(__name__)
EVERY = 15.0
"""Seconds between two looks. One at 500 agents costs 20 to 30 ms of a core (measured), so this is a part in 500."""


class Metering:
    """Lives as long as the daemon."""

    def __init__(self, reconciler: Reconciler, meter: Meter | None = None) -> None:
        self._reconciler = reconciler
        self._meter = meter or Meter()

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:  # what is only good to know must not end whoever watches agents
                log.exception("cannot look at what agents take")
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        found = await asyncio.to_thread(self._meter.look, self._lives())
        if names := self._reconciler.take_usage(found):
            self._reconciler.run_pass(names)

    def _lives(self) -> dict[str, Life]:
        return {name: life for name in self._reconciler.states if (life := self._reconciler.life(name))}
