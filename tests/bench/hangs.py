"""From a hang to the row: by how much it comes later than the watchdog's interval lets an agent be silent.

Each agent has armed its own watchdog and pings three times an interval; then its loop stops for ever. Hangs begin at
random moments and overlap, since each takes its interval.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import closing

from tests.bench.control import Reader, Row
from tests.bench.figures import Figure
from tests.bench.fleet import WATCHDOG, Fleet, Mode, order

APART = (0.1, 0.4)
"""Seconds between two hangs."""
LONGEST = 30.0


def measure(fleet: Fleet) -> Iterator[Figure]:
    """Each watched agent hangs once."""
    order(fleet, Mode.PINGING, fleet.watched)
    time.sleep(2 * WATCHDOG)
    with closing(Reader(fleet.control)) as reader:
        late = tuple(_late(reader, random.Random(2).sample(fleet.watched, len(fleet.watched))))
    note = f"of {WATCHDOG:g} s; systemd's own timers have 250 ms of slack"
    yield Figure("hang → row, beyond WatchdogSec", len(fleet.names), "s", late, note)


def _late(reader: Reader, names: list[str]) -> Iterator[float]:
    """Seconds of each, as they are told."""
    chance = random.Random(2)
    hung: dict[str, float] = {}
    deadline = time.monotonic() + LONGEST + len(names) * max(APART)
    while names or hung:
        if names:
            name = names.pop()
            hung[name] = _hang(reader, name)
        until = time.monotonic() + (chance.uniform(*APART) if names else 1.0)
        while (left := until - time.monotonic()) > 0:
            told = [(at, row["name"]) for at, row in reader.read(left) if _tells(row) and row["name"] in hung]
            yield from (at - hung.pop(name) - WATCHDOG for at, name in told)
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: the hangs of {', '.join(hung)} were never told")


def _hang(reader: Reader, name: str) -> float:
    at = time.monotonic()
    os.kill(reader.rows[name]["pid"], signal.SIGRTMIN + Mode.HANGING)
    return at


def _tells(row: Row) -> bool:
    return bool(row["reason"] == "WatchdogExpired")
