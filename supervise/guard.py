"""Never twice, and never against a person's word: why an agent may not be started now.

Whoever starts agents asks here first, with a scan that is no older than the question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from supervise.decide import copies
from supervise.model import AgentSpec, Findings, Hold, Phase, Process, UnitState

UP = (Phase.ACTIVE, Phase.STARTING, Phase.QUEUED)
DOWN = (Phase.ABSENT, Phase.INACTIVE, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why not. `removable`: the processes that `--replace` may end to clear the way."""

    text: str
    removable: tuple[Process, ...] = ()


def obstacles(
    specs: Iterable[AgentSpec],
    seen: Findings,
    *,
    holds: Mapping[str, Hold],
    states: Mapping[str, UnitState],
) -> dict[str, Obstacle]:
    """What stands in the way of each agent; those that may start are not in it."""
    found = {spec.name: _obstacle(spec.name, seen, holds.get(spec.name), states[spec.name].phase) for spec in specs}
    return {name: obstacle for name, obstacle in found.items() if obstacle}


def _obstacle(name: str, seen: Findings, hold: Hold | None, phase: Phase) -> Obstacle | None:
    if hold:
        return Obstacle(f"it is held by {hold.by}: {hold.reason} (`supervise release {name}`)")
    if foreground := seen.foreground.get(name):
        where = f"outside of its unit, in the foreground or adopted (PID {foreground[0].id.pid})"
        return Obstacle(f"it runs {where}; `supervise stop {name}` ends it")
    if found := seen.outside.get(name):
        if phase in UP:
            return Obstacle(f"it runs, and a copy runs outside its unit too: {copies(found)}")
        text = f"a copy runs outside its unit: {copies(found)}; `supervise start {name} --replace` ends it first"
        return Obstacle(text, found)
    if phase in DOWN and (left := seen.inside.get(name)):
        what = f"its last run has left processes behind: {copies(left)}"
        return Obstacle(f"{what}; `supervise start {name} --replace` ends them first", left)
    if doubts := seen.doubtful(name):
        processes = copies(tuple(doubt.process for doubt in doubts))
        return Obstacle(f"a process that may be a copy of it runs: {processes} ({doubts[0].why}); end it by hand")
    return None
