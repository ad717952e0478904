"""Time as a test wants it: a loop in which it passes at once, and the clocks of a machine, which follow the loop."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from supervise.model import Instant
from tests.nouns import NOON, seconds

T = TypeVar("T")
BOOTING = seconds(10)
"""What the monotonic clock shows when the machine has come up."""


class Nothing(selectors.SelectSelector):
    """Waits for no file; `now` is the time that it has waited for."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits for ever"
        self.now += max(timeout, 0.0)
        return []


class Swift(asyncio.SelectorEventLoop):
    """When nobody can go on, it is the moment at which somebody can. Everybody is woken in the same order each time."""

    def __init__(self) -> None:
        self.waiting = Nothing()
        super().__init__(self.waiting)

    def time(self) -> float:
        return self.waiting.now

    def stand_still(self, seconds: float) -> None:
        """Nothing runs for so long, and everybody is late."""
        self.waiting.now += seconds


def swiftly(story: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of a story in a loop of its own. Whatever is still under way ends with it."""
    loop = Swift()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(story())
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        asyncio.set_event_loop(None)
        loop.close()


class Clocks:
    """`stepped`: how far somebody has set the wall clock; `slept`: how long this boot was suspended."""

    def __init__(self) -> None:
        self.boots = 0
        self.stepped = self.slept = timedelta()
        self.boot()

    def boot(self) -> None:
        self.boots += 1
        self.stepped, self.slept = self.stepped + self.slept, timedelta()
        self._booted = self._elapsed - BOOTING

    def __call__(self) -> Instant:
        monotonic = self._elapsed - self._booted
        wall = NOON + self._elapsed + self.slept + self.stepped
        return Instant(wall, monotonic, monotonic + self.slept, f"boot-{self.boots}")

    @property
    def _elapsed(self) -> timedelta:
        return seconds(asyncio.get_running_loop().time())
