"""Where things live on a host, for either scope. Pure: it looks at nothing but its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from supervise.model import Scope


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of one scope. `sysusers`, `tmpfiles` and `polkit` are None where an ordinary user has none.

    `stamps` is where systemd remembers when a timer that catches up has last run.
    """

    scope: Scope
    units: Path
    manifests: Path
    state: Path
    runtime: Path
    stamps: Path
    sysusers: Path | None = None
    tmpfiles: Path | None = None
    polkit: Path | None = None

    @property
    def holds(self) -> Path:
        return self.state / "hold"

    @property
    def store(self) -> Path:
        """The database of the reconciler, who alone opens it."""
        return self.state / "state.db"

    @property
    def reconciler_lock(self) -> Path:
        """The reconciler that runs holds it."""
        return self.state / "reconciler.lock"

    @property
    def control(self) -> Path:
        """Where the reconciler answers."""
        return self.runtime / "control.sock"

    @property
    def agent_socket(self) -> Path:
        """Where agents tell the reconciler how they are."""
        return self.runtime / "agent.sock"

    @property
    def scan_socket(self) -> Path:
        """Where the scan service of the system scope answers the reconciler."""
        return self.runtime / "scan.sock"

    @property
    def claims(self) -> Path:
        """Where running agents claim their names."""
        return self.runtime / "claim"

    @property
    def lock(self) -> Path:
        """Who installs holds it."""
        return self.runtime / "install.lock"

    @property
    def journal(self) -> Path:
        """What an unfinished install still has to do."""
        return self.manifests.parent / "install.journal"

    @property
    def boot_target(self) -> str:
        """The target that pulls `supervise.target` in at boot or login."""
        return "multi-user.target" if self.scope is Scope.SYSTEM else "default.target"

    def manifest(self, project: str) -> Path:
        return self.manifests / f"{project}.json"

    def hold(self, name: str) -> Path:
        return self.holds / name


SYSTEM = Places(
    scope=Scope.SYSTEM,
    units=Path("/etc/systemd/system"),
    manifests=Path("/etc/supervise/projects"),
    state=Path("/var/lib/supervise"),
    runtime=Path("/run/supervise"),
    stamps=Path("/var/lib/systemd/timers"),
    sysusers=Path("/etc/sysusers.d/supervise.conf"),
    tmpfiles=Path("/etc/tmpfiles.d/supervise.conf"),
    polkit=Path("/etc/polkit-1/rules.d/50-supervise.rules"),
)


def user_places(environ: Mapping[str, str], *, uid: int) -> Places:
    """The XDG folders of one user."""
    home = Path(environ.get("HOME", "/"))
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return Places(
        scope=Scope.USER,
        units=config / "systemd/user",
        manifests=config / "supervise/projects",
        state=Path(environ.get("XDG_STATE_HOME") or home / ".local/state") / "supervise",
        runtime=Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}") / "supervise",
        stamps=Path(environ.get("XDG_DATA_HOME") or home / ".local/share") / "systemd/timers",
    )


def places(scope: Scope, environ: Mapping[str, str], *, uid: int) -> Places:
    return SYSTEM if scope is Scope.SYSTEM else user_places(environ, uid=uid)
