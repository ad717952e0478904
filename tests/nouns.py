"""Values of the model for tests: small and complete, and different only where a test says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from supervise.model import (
    AgentSpec,
    Cause,
    Exit,
    Instant,
    Past,
    Phase,
    Process,
    ProcessId,
    Reason,
    Scope,
    Status,
    StatusRow,
    UnitState,
)
from supervise.places import Places

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = Instant(NOON, timedelta(hours=1), timedelta(hours=1), "boot-1")


def after(length: timedelta, now: Instant = NOW) -> Instant:
    """So long after (or, below zero, before) a moment, in the same boot."""
    return replace(now, wall=now.wall + length, monotonic=now.monotonic + length, boottime=now.boottime + length)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def spec(name: str = "sma", **changes: Any) -> AgentSpec:
    """An agent that needs nothing."""
    plain: dict[str, Any] = {
        "name": name,
        "base": name.partition(".")[0],
        "title": name.replace("_", " ").title(),
        "project": "trading",
        "scope": Scope.SYSTEM,
        "command": ("/usr/bin/python3", f"{name}.py"),
        "working_directory": Path("/srv/trading"),
        "user": "trader",
    }
    return AgentSpec(**{**plain, **changes})


def state(phase: Phase = Phase.ACTIVE, name: str = "sma", **changes: Any) -> UnitState:
    """What the platform says of the agent's unit."""
    return UnitState(name, f"agent@{name}.service", phase, **changes)


def alive(
    life: str = "a", *, phase: Phase = Phase.ACTIVE, start: Instant = NOW, name: str = "sma", **changes: Any
) -> UnitState:
    """A unit in the life of this name, which began at `start`."""
    begun = {"incarnation": f"{start.boot}/{life}", "started_at": start.wall, "started_monotonic": start.monotonic}
    return state(phase, name, **{"pid": 7, **begun, **changes})


def dead(
    life: str = "a",
    *,
    phase: Phase = Phase.RESTARTING,
    start: Instant = NOW,
    at: Instant = NOW,
    name: str = "sma",
    **changes: Any,
) -> UnitState:
    """A unit whose life of this name began at `start` and ended at `at`, with code 3 and unasked."""
    how = {"cause": Cause.EXIT_CODE, "exit": Exit(code=3), "by_request": None if phase is Phase.RESTARTING else False}
    ended = {"pid": None, "ended_at": at.wall, "ended_monotonic": at.monotonic, "since": at.wall}
    return alive(life, phase=phase, start=start, name=name, **{**how, **ended, **changes})


def row(name: str = "sma", **changes: Any) -> StatusRow:
    """What was last said of the agent, in the boot of NOW."""
    plain: dict[str, Any] = {
        "name": name,
        "title": name.replace("_", " ").title(),
        "project": "trading",
        "unit": f"agent@{name}.service",
        "platform": "systemd",
        "phase": Phase.ACTIVE,
        "status": Status.RUNNING,
        "reason": Reason.AS_WANTED,
        "message": "It runs as wanted.",
        "since": NOON,
        "boot": NOW.boot,
        "past": Past(boot=NOW.boot),
    }
    shown = {**plain, **changes}
    return StatusRow(**{"observed_status": shown["status"], "observed_reason": shown["reason"], **shown})


def copy(pid: int = 4711, **changes: Any) -> Process:
    """A process that runs the agent's command outside every unit."""
    plain: dict[str, Any] = {
        "id": ProcessId(pid, 100),
        "parent": 1,
        "uid": 1000,
        "argv": ("/usr/bin/python3", "sma.py"),
        "executable": None,
        "directory": Path("/srv/trading"),
        "cgroup": "/user.slice",
        "started_at": NOON,
        "user": "trader",
    }
    return Process(**{**plain, **changes})


def places_in(folder: Path) -> Places:
    """The machine's places, below a folder; nothing there makes users or asks for root."""
    return Places(
        scope=Scope.SYSTEM,
        units=folder / "units",
        manifests=folder / "etc/projects",
        state=folder / "state",
        runtime=folder / "run",
        stamps=folder / "stamps",
    )
