"""Looks now and then at what running agents take, in a thread, so that a slow `/proc` holds no pass up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from supervise.observe.usage import Life, Meter
from supervise.reconcile.reconciler import Reconciler

log = logging.getLogger(__name__)
EVERY = 15.0
"""Seconds between two looks. One at 500 agents costs 20 to 30 ms of a core (measured), so this is a part in 500."""
SOON = 1.0
"""Seconds until who has just started is looked at."""
YOUNG = 2
"""Looks until a share of the CPU is known: it is between two of them."""


class Metering:
    """Lives as long as the daemon."""

    def __init__(self, reconciler: Reconciler, meter: Meter | None = None) -> None:
        self._reconciler = reconciler
        self._meter = meter or Meter()
        self._looks: Mapping[str, tuple[Life, int]] = {}
        """How often each of those that run was looked at in this life."""

    async def run(self) -> None:
        turns = round(EVERY / SOON)
        turn = 0
        while True:
            try:
                await self.look(only_young=turn % turns > 0)
            except Exception:  # what is only good to know must not end whoever watches agents
                log.exception("cannot look at what agents take")
            turn += 1
            await asyncio.sleep(SOON)

    async def look(self, *, only_young: bool = False) -> None:
        """Look at all that run, or only at those who have not been for long."""
        lives = dict(self._reconciler.lives)
        young = {name for name, life in lives.items() if self._looks.get(name) != (life, YOUNG)}
        if only_young and not young:
            return
        found = await asyncio.to_thread(self._meter.look, lives, young if only_young else lives.keys())
        looks = {name: (life, self._looked_at(name, life)) for name, life in lives.items() if name in young}
        self._looks = {name: looks.get(name) or self._looks[name] for name in lives}
        kept = {name: usage for name, usage in self._reconciler.usage.items() if name in lives}
        if names := self._reconciler.take_usage({**kept, **found}):
            self._reconciler.run_pass(names)

    def _looked_at(self, name: str, life: Life) -> int:
        """How often, with the look that was just made."""
        known, times = self._looks.get(name, (None, 0))
        return times + 1 if known == life else 1
