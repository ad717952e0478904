"""How long the whole machine stood still: a thread that wants to wake every 20 ms notes when it could not.

A bound that was missed in such a time was missed by the machine.
"""

from __future__ import annotations

import threading
import time

BEAT = 0.02
STALL = 0.1
"""Being late by less is how machines are."""


class Pulse(threading.Thread):
    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._stalls: list[tuple[float, float]] = []
        self._ended = threading.Event()

    def run(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(BEAT):
            now = time.monotonic()
            if now - last > BEAT + STALL:
                self._stalls.append((last + BEAT, now))
            last = now

    def stop(self) -> None:
        self._ended.set()

    def stalled(self, begin: float, end: float) -> float:
        """The seconds of a span in which nothing ran."""
        return sum(max(min(end, last) - max(begin, first), 0) for first, last in tuple(self._stalls))

    @property
    def total(self) -> float:
        return sum(last - first for first, last in tuple(self._stalls))
