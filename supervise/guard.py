"""Never twice, and never against a person's word: why an agent may not be started now.

Whoever starts agents asks here first, with a scan that is no older than the question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from supervise.decide import copies
from supervise.model import AgentSpec, Hold, Phase, Process, UnitState
from supervise.observe.cgroups import UnitKind
from supervise.observe.match import inside, outside

UP = (Phase.ACTIVE, Phase.STARTING, Phase.QUEUED)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why not. `removable`: the copies that `--replace` may end to clear the way."""

    text: str
    removable: tuple[Process, ...] = ()


def obstacles(
    specs: Iterable[AgentSpec],
    processes: Iterable[Process],
    *,
    holds: Mapping[str, Hold],
    states: Mapping[str, UnitState],
) -> dict[str, Obstacle]:
    """What stands in the way of each agent; those that may start are not in it."""
    processes = tuple(processes)
    foreground = inside(processes, kind=UnitKind.RUN)
    found: dict[str, Obstacle] = {}
    for name, seen in outside(specs, processes).items():
        if name in holds:
            hold = holds[name]
            found[name] = Obstacle(f"it is held by {hold.by}: {hold.reason} (`supervise release {name}`)")
        elif name in foreground:
            pid = min(one.pid for one in foreground[name])
            found[name] = Obstacle(f"it runs in the foreground (`supervise run`, PID {pid})")
        elif seen and states[name].phase in UP:
            found[name] = Obstacle(f"it runs, and a copy runs outside its unit too: {copies(seen)}")
        elif seen:
            text = f"a copy runs outside its unit: {copies(seen)}; `supervise start {name} --replace` ends it first"
            found[name] = Obstacle(text, seen)
    return found
