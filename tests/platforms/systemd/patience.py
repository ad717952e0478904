"""An event loop whose clock stands still until a test moves it: nothing that waits happens by chance, or too late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Patience(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def move(self, seconds: float) -> None:
        self._now += seconds


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=Patience) as runner:
        runner.run(work())


async def elapse(seconds: float = 0.0) -> None:
    """Let the time go by, and all that is due by then happen."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Patience)
    loop.move(seconds)
    for _ in range(5):
        await asyncio.sleep(0)
