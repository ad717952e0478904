"""From the start of a second copy by hand to the row that names its PID.

It is found by the next look at all processes, or at once where it beats: as a member of the agents' group, or in user
scope.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing

from tests.bench.control import Reader, Row
from tests.bench.figures import Figure
from tests.bench.fleet import Fleet, copy

GROUP = "supervise-agents"
PAUSE = (0.1, 1.1)
"""Seconds between two copies: at random over more than a second, which is how often is looked."""
SHORT_PAUSE = (0.05, 0.15)


def measure(fleet: Fleet, copies: int) -> Iterator[Figure]:
    """Copies that say nothing, then copies that beat."""
    agents, where = len(fleet.names), ", user scope" if fleet.user else ""
    with closing(Reader(fleet.control)) as reader:
        silent = tuple(_seen(reader, fleet, copies, PAUSE, group=None))
        yield Figure(f"hidden → row, by the scan{where}", agents, "s", silent)
        beating = tuple(_seen(reader, fleet, 2 * copies, SHORT_PAUSE, group=GROUP))
        yield Figure(f"hidden → row, it beats{where}", agents, "s", beating)


def _seen(
    reader: Reader, fleet: Fleet, copies: int, pause: tuple[float, float], *, group: str | None
) -> Iterator[float]:
    chance = random.Random(3)
    for name in chance.choices(fleet.names, k=copies):
        reader.rest(chance.uniform(*pause))
        before, started = copy(fleet, name, group=group)
        at, _ = reader.wait(_tells_of(name, started.pid), f"the copy of {name}")
        started.kill()
        started.wait()
        reader.wait(_runs_alone(name), f"the end of the copy of {name}")
        yield at - before


def _tells_of(name: str, pid: int) -> Callable[[Row], bool]:
    return lambda row: row["name"] == name and row["reason"] == "DuplicateProcess" and f"PID {pid} " in row["message"]


def _runs_alone(name: str) -> Callable[[Row], bool]:
    return lambda row: bool(row["name"] == name and row["status"] == "running")
