"""An installation for tests: small, below a folder, and different only where a test says so."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from supervise import __version__
from supervise.access import Identity, identity
from supervise.doctor.findings import Finding, Severity
from supervise.doctor.installation import Installation, Systemd
from supervise.install.plan import Plan
from supervise.manifest import Manifest, RunMark, to_json
from supervise.model import AgentSpec, Scope
from supervise.places import Places
from supervise.platforms.systemd.units import DAEMON, RECONCILER, units
from tests.nouns import NOW, places_in, spec

STRANGER = Identity("supervise", 12_345, 12_345, frozenset({12_345}))
"""A reconciler's user who owns nothing here."""
WELL = {
    "version": __version__,
    "pid": 0,
    "view_age": 1.0,
    "platform_unseen": None,
    "store": None,
    "refused_beats": {},
    "alerts": {},
}
UNIT = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "DropInPaths": [],
    "NeedDaemonReload": False,
}
SERVICE = {"NRestarts": 0, "WatchdogUSec": 30_000_000, "WatchdogTimestampMonotonic": 3_599_000_000}
"""Fed a second before `NOW`."""


def nothing_pending(file: Path, environment: str | None) -> Plan:
    return Plan("trading")


def systemd(**of_reconciler: Any) -> Systemd:
    """One that is well, with our units as a test wants them."""
    found = {name: dict(UNIT) for name in DAEMON}
    found[RECONCILER] |= {**SERVICE, **of_reconciler}
    return Systemd("252.39-1", "running", 0.003, None, found)


def manifest(*specs: AgentSpec, folder: Path, **changes: Any) -> Manifest:
    plain: dict[str, Any] = {
        "project": "trading",
        "source": folder / "agents.yaml",
        "scope": Scope.SYSTEM,
        "platform": "systemd",
        "version": __version__,
        "agents": specs or (spec(),),
        "runs": {one.name: RunMark("0", NOW.boot, timedelta(minutes=1)) for one in specs},
    }
    return Manifest(**{**plain, **changes})


def installation(folder: Path, *manifests: Manifest, **changes: Any) -> Installation:
    """By root, with a reconciler that is well."""
    plain: dict[str, Any] = {
        "places": places_in(folder),
        "uid": 0,
        "at": NOW,
        "daemon": identity("root"),
        "pending": nothing_pending,
        "manifests": manifests,
        "info": WELL,
        "seconds": 0.01,
        "systemd": systemd(),
    }
    return Installation(**{**plain, **changes})


def installed(there: Installation) -> Places:
    """Write what these manifests stand for."""
    places = there.places
    places.manifests.mkdir(parents=True, exist_ok=True)
    for one in there.manifests:
        places.manifest(one.project).write_text(to_json(one))
        one.source.touch()
        for file in units(one.agents, places=places, version=252):
            file.path.parent.mkdir(parents=True, exist_ok=True)
            file.path.write_text(file.content)
    return places


def bad(findings: Iterable[Finding]) -> list[Finding]:
    return [one for one in findings if one.severity in (Severity.WARNING, Severity.ERROR)]


def only(findings: Iterable[Finding], words: str) -> Finding:
    """The one of them that says so."""
    every = list(findings)
    fitting = [one for one in every if words in one.text]
    assert len(fitting) == 1, every
    return fitting[0]
