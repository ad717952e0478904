"""What every check is given: the installation as it was found at one moment. Made by `looking.look`, or by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from supervise.access import Identity
from supervise.install.plan import Plan
from supervise.manifest import Manifest
from supervise.model import Instant, Scope
from supervise.places import Places

Pending = Callable[[Path, str | None], Plan]
"""What an install from this file, with this overlay, would change now. Raises SuperviseError."""


@dataclass(frozen=True, slots=True)
class Systemd:
    """What the service manager said, and how long that took. `units`: properties of our own daemon's units."""

    version: str
    state: str
    seconds: float
    loaded_at: datetime | None = None
    """When it last read the units."""
    units: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Installation:
    """`uid`: who looks. `daemon`: whom the reconciler runs as, None where there is no such user.

    `info`: what the reconciler says of itself and in how many `seconds`; None where none answers, and then `silence`.
    `systemd`: None where it cannot be asked, and then `unreachable`. `unseen`: the manifests cannot be looked at.
    """

    places: Places
    uid: int
    at: Instant
    daemon: Identity | None
    pending: Pending
    manifests: tuple[Manifest, ...] = ()
    damaged: Mapping[str, str] = field(default_factory=dict)
    unseen: bool = False
    info: Mapping[str, Any] | None = None
    seconds: float | None = None
    silence: str = ""
    systemd: Systemd | None = None
    unreachable: str = ""

    @property
    def system(self) -> bool:
        return self.places.scope is Scope.SYSTEM

    @property
    def sees_all(self) -> bool:
        """Whether whoever looks may look everywhere that matters."""
        return self.uid == 0 or not self.system

    @property
    def empty(self) -> bool:
        """Whether nothing is installed."""
        if self.manifests or self.damaged or self.unseen:
            return False
        return not (self.places.units / "agent@.service").exists()
