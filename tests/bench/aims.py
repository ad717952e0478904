"""What the figures are to be, at `MAIN` agents, and at twice as many."""

from __future__ import annotations

from tests.bench.deciding import MANY
from tests.bench.figures import MAIN, Aim
from tests.bench.load import LOADS

TWICE = 2 * MAIN
LIMITS = {"idle": 1.0}
"""Per cent of a core, both services together; with beats it is `BEATEN`."""
BEATEN = 4.0
MEMORY = 60.0
"""MB."""


def _of_load(agents: int, times: float) -> tuple[Aim, ...]:
    cpu = [
        Aim(f"CPU of both services, {load}", "p50", times * LIMITS.get(load, BEATEN), agents) for load in LOADS.values()
    ]
    return (*cpu, *(Aim(f"RSS of the reconciler, {load}", "p50", times * MEMORY, agents) for load in LOADS.values()))


AIMS = (
    Aim("supervise --help", "p50", 60),
    Aim("decide(), nothing is new", "p50", 150, MANY),
    Aim("decide(), all are new", "p50", 150, MANY),
    Aim("kill → row", "p50", 8),
    Aim("kill → row", "p99", 60),
    Aim("hang → row, beyond WatchdogSec", "most", 0.3),
    Aim("hidden → row, by the scan", "most", 3),
    Aim("hidden → row, it beats", "most", 0.1),
    Aim("hidden → row, it beats, user scope", "most", 0.1),
    *_of_load(MAIN, 1),
    *_of_load(TWICE, 2),
)
