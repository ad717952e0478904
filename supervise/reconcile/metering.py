"""Looks now and then at what running agents take, in a thread, so that a slow `/proc` holds no pass up."""

from __future__ import annotations

import asyncio

from supervise.observe.usage import Life, Meter
from supervise.reconcile.reconciler import Reconciler

EVERY = 15.0
"""Seconds between two looks. One at 500 agents costs 20 to 30 ms of a core (measured), so this is a part in 500."""


class Metering:
    """Lives as long as the daemon."""

    def __init__(self, reconciler: Reconciler, meter: Meter | None = None) -> None:
        self._reconciler = reconciler
        self._meter = meter or Meter()

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        found = await asyncio.to_thread(self._meter.look, self._lives())
        if names := self._reconciler.take_usage(found):
            self._reconciler.run_pass(names)

    def _lives(self) -> dict[str, Life]:
        states = self._reconciler.states.items()
        return {
            name: Life(state.incarnation, state.unit, state.pid)
            for name, state in states
            if state.pid and state.incarnation
        }
