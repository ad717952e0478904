"""How long the machine stood still, or was too busy with others: a bound that was missed for it is nobody's lie.

A thread that wants to wake every 20 ms notes when it could not; and the kernel counts how long those that make rows
true (systemd, the bus, the reconciler) were ready to run and got no processor.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping

BEAT = 0.02
Life = tuple[int, float]
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


class Waits:
    """Look by look, the seconds that each process has waited for a processor in its life."""

    def __init__(self) -> None:
        self._at: list[float] = [0.0]
        self._looks: list[Mapping[Life, float]] = [{}]

    def note(self, at: float, waited: Mapping[Life, float]) -> None:
        self._at.append(at)
        self._looks.append(waited)

    def between(self, begin: float, end: float) -> float:
        """Of whoever waited longest in that time, since they wait for one another only now and then."""
        first = max(bisect_right(self._at, begin) - 1, 0)
        last = min(bisect_left(self._at, end), len(self._at) - 1)
        before: dict[Life, float] = {}
        more: defaultdict[Life, float] = defaultdict(float)
        for number in range(first, last + 1):
            for life, seconds in self._looks[number].items():
                if number > first:
                    more[life] += seconds - before.get(life, 0.0)
                before[life] = seconds
        return min(max(more.values(), default=0.0), end - begin)

    @property
    def total(self) -> float:
        return self.between(0.0, self._at[-1])
