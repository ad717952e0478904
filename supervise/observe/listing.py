"""Every process of every agent, with what it is: the table of `supervise ps`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from supervise.model import Findings, Phase, Process
from supervise.observe.match import UNSEEN
from supervise.observe.scan import PROC

PAGE = os.sysconf("SC_PAGE_SIZE")
DOWN = (None, Phase.ABSENT, Phase.INACTIVE, Phase.FAILED)


class ProcessClass(StrEnum):
    """What a process is to its agent."""

    MANAGED = "managed"
    FOREGROUND = "foreground"
    HIDDEN = "hidden"
    DUPLICATE = "duplicate"
    ORPHAN = "orphan"
    AMBIGUOUS = "ambiguous"
    UNKNOWN = "unknown"


WHY = {
    ProcessClass.MANAGED: "in its unit",
    ProcessClass.FOREGROUND: "by hand in a scope of its own: `supervise run`, or adopted",
    ProcessClass.HIDDEN: "runs the agent's command outside of its unit, which is down",
    ProcessClass.DUPLICATE: "runs the agent's command outside of its unit, beside another that runs it",
    ProcessClass.ORPHAN: "left in the control group of its unit, which is down",
    ProcessClass.AMBIGUOUS: "fits several agents",
    ProcessClass.UNKNOWN: "looks like the agent's, and cannot be inspected",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One process. `agents`: whose it is, or whose it may be; `unit`: in which unit of ours it lives, if in any."""

    process: Process
    kind: ProcessClass
    agents: tuple[str, ...]
    unit: str | None = None


def listed(found: Findings, phases: Mapping[str, Phase]) -> list[Listed]:
    """All that was found, by agent; of an agent those in its unit first. `phases`: of the units."""
    rows = [*_of_units(found, phases), *_outside(found, phases), *_doubts(found)]
    order = list(ProcessClass)
    return sorted(rows, key=lambda one: (one.agents, order.index(one.kind), one.process.id.pid))


def _of_units(found: Findings, phases: Mapping[str, Phase]) -> Iterator[Listed]:
    for name, processes in found.inside.items():
        kind = ProcessClass.ORPHAN if phases.get(name) in DOWN else ProcessClass.MANAGED
        yield from (Listed(one, kind, (name,), f"agent@{name}.service") for one in processes)
    for name, processes in found.foreground.items():
        yield from (Listed(one, ProcessClass.FOREGROUND, (name,), f"agent-run-{name}.scope") for one in processes)


def _outside(found: Findings, phases: Mapping[str, Phase]) -> Iterator[Listed]:
    for name, processes in found.outside.items():
        alone = phases.get(name) in (*DOWN, Phase.RESTARTING) and name not in found.foreground
        kind = ProcessClass.HIDDEN if alone else ProcessClass.DUPLICATE
        yield from (Listed(one, kind, (name,)) for one in processes)


def _doubts(found: Findings) -> Iterator[Listed]:
    for doubt in found.doubts:
        kind = ProcessClass.UNKNOWN if doubt.why == UNSEEN else ProcessClass.AMBIGUOUS
        yield Listed(doubt.process, kind, doubt.names)


def plain(one: Listed, proc: Path = PROC) -> dict[str, Any]:
    """For JSON, with the memory of this moment."""
    process = one.process
    return {
        "pid": process.id.pid,
        "class": one.kind.value,
        "agents": list(one.agents),
        "unit": one.unit,
        "uid": process.uid,
        "user": process.user,
        "started_at": process.started_at.isoformat(),
        "memory": resident(process.id.pid, proc),
        "command": list(process.argv),
        "executable": str(process.executable) if process.executable else None,
        "directory": str(process.directory) if process.directory else None,
        "why": WHY[one.kind],
    }


def resident(pid: int, proc: Path = PROC) -> int | None:
    """Bytes of memory that a process holds; None where that cannot be seen."""
    try:
        return int((proc / str(pid) / "statm").read_bytes().split()[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return None
