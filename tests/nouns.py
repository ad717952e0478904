"""Values of the model for tests: small and complete, and different only where a test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from supervise.model import AgentSpec, Instant, Phase, Process, ProcessId, Scope, UnitState
from supervise.places import Places

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = Instant(NOON, timedelta(hours=1), timedelta(hours=1), "boot-1")


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
