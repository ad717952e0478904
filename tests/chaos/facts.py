"""What is true of an agent at one moment, as the kernel and systemd say it. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field

STEADY = ("active", "inactive", "failed")


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the lab. `started` is in seconds of the monotonic clock (hundredths)."""

    pid: int
    started: float
    state: str
    uid: int
    argv: tuple[str, ...]
    directory: str
    unit: str
    """The innermost unit in whose control group it lives."""

    @property
    def life(self) -> tuple[int, float]:
        return self.pid, self.started


@dataclass(frozen=True, slots=True)
class Unit:
    """What `systemctl show` says. Moments are seconds of the monotonic clock, 0 where there was none."""

    active: str = "inactive"
    sub: str = "dead"
    pid: int = 0
    job: bool = False
    result: str = "success"
    code: int = 0
    """How its main process ended: 1 by itself, 2 and 3 by a signal."""
    status: int = 0
    restarts: int = 0
    started: float = 0.0
    exited: float = 0.0
    left_active: float = 0.0
    changed: float = 0.0
    pinged: float = 0.0
    """When it last pinged, if its watchdog is armed."""
    stale: bool = False
    """It was changed on disk since systemd read it."""

    @property
    def phase(self) -> str:
        if self.active == "activating" and self.sub.startswith("auto-restart"):
            return "restarting"
        if self.active in ("inactive", "failed") and self.job:
            return "queued"
        return {"activating": "starting", "deactivating": "stopping", "reloading": "active"}.get(
            self.active, self.active
        )

    @property
    def steady(self) -> bool:
        return self.phase in STEADY and not self.job

    @property
    def life(self) -> tuple[int, float]:
        return self.pid, self.started


@dataclass(frozen=True, slots=True)
class Facts:
    """One agent, looked at between two moments. `outside`: processes with its command line outside of its unit."""

    begin: float
    end: float
    unit: Unit
    inside: tuple[Process, ...] = ()
    outside: tuple[Process, ...] = ()
    held: float | None = None
    """Since when there is a hold (monotonic)."""
    edited: float | None = None
    """Since when its drop-in is not as it was installed (monotonic)."""
    moments: tuple[float, ...] = field(default=(), compare=False)
    """When anything of this changed, as far as anybody wrote it down."""
