"""How long `decide()` takes for many agents, in this process: where nothing is new, and where everything is.

The host is a usual one: most agents run and beat, some wait for their restart, some are stopped, failed or doubled.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import replace

from supervise.decide import decide
from supervise.model import (
    Beat,
    BeatStatus,
    HostFacts,
    Instant,
    Observation,
    Phase,
    ProcessId,
    UnitState,
    Usage,
    World,
)
from tests.bench.figures import Figure
from tests.nouns import NOW, after, alive, copy, dead, seconds, spec

MANY = 10_000
LATER = after(seconds(10))


def measure(runs: int, agents: int = MANY) -> Iterator[Figure]:
    """Milliseconds of each pass, by what is new."""
    world = host(agents)
    known = replace(world, rows=decide(world, now=NOW).rows)
    for what, given, now in (("nothing is new", known, LATER), ("all are new", world, NOW)):
        yield Figure(f"decide(), {what}", agents, "ms", tuple(_timed(given, now) for _ in range(runs)))


def host(agents: int) -> World:
    """Every name's observation follows from its number, so each run decides the same."""
    specs = {name: spec(name) for name in (f"a{number}" for number in range(agents))}
    observed = {name: _seen(number, name) for number, name in enumerate(specs)}
    return World(desired=specs, observed=observed, host=HostFacts(may_act=True, listening_since=seconds(0)))


def _timed(world: World, now: Instant) -> float:
    gc.collect()
    began = time.perf_counter()
    decide(world, now=now)
    return (time.perf_counter() - began) * 1000


def _seen(number: int, name: str) -> Observation:
    unit = _unit(number, name)
    inside = frozenset({ProcessId(number, 1)}) if unit.pid else frozenset()
    outside = (copy(),) if number % 50 == 3 else ()
    usage = Usage(unit.incarnation or "", cpu=0.01, memory=50_000_000, tasks=2, memory_limit=500_000_000)
    return Observation(unit, inside, outside, beat=_beat(number), foreground=frozenset(), usage=usage)


def _unit(number: int, name: str) -> UnitState:
    match number % 50:
        case 0:
            return dead("b", name=name, restarts=2)
        case 1:
            return dead("c", name=name, phase=Phase.FAILED)
        case 2:
            return dead("d", name=name, phase=Phase.INACTIVE, by_request=True)
    return alive(
        "a", name=name, start=after(seconds(-600)), enabled=True, watchdog=seconds(30), last_ping=seconds(3595)
    )


def _beat(number: int) -> Beat:
    since = after(seconds(-1))
    words = f"page {number}"
    return Beat(
        since, number, status=BeatStatus.RUNNING, changed=seconds(3599), activity=words, health=100, progress=0.5
    )
