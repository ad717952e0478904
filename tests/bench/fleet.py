"""Agents by the hundred: one small C program each, installed and started as a user would, told what to do by signal."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from tests.bench.control import Control, Reader
from tests.lab import eventually

SOURCE = Path(__file__).with_name("agent.c")
OWNER, USER = "fleet", "lena"
"""Of a fleet in the system's scope, and of one in user scope."""
QUEUE = Path("/proc/sys/net/unix/max_dgram_qlen")
QUEUE_OF_A_HOST = "512"
"""systemd sets it at the boot of a host, and leaves it alone in a container such as the lab."""
WATCHDOG = 2.0
"""Seconds, of those agents that are made to hang."""
WATCHED = 40
RESTART = "{delay: 100ms, burst: 10000, window: 1s, loop: off}"
"""At once and for ever: what is measured is seeing, not patience."""
PATIENCE = 300.0


class Mode(IntEnum):
    """What an agent does (`agent.c`)."""

    QUIET = 0
    PINGING = 1
    BEATING = 2
    TALKING = 3
    HANGING = 4


@dataclass(frozen=True, slots=True)
class Fleet:
    """Installed agents: `names`, and those among them whose watchdog is short."""

    owner: str
    names: tuple[str, ...]
    watched: tuple[str, ...]

    @property
    def user(self) -> bool:
        """Whether it is a user's own."""
        return self.owner == USER

    @property
    def control(self) -> Path:
        return Path(f"/run/user/{_uid(USER)}" if self.user else "/run") / "supervise/control.sock"

    @property
    def folder(self) -> Path:
        return Path(f"/home/{USER}/fleet" if self.user else "/srv/fleet")

    def command(self, name: str) -> list[str]:
        return [str(self.folder / "agent"), name]


def install(agents: int, *, user: bool = False, supabase: str = "") -> Fleet:
    """All of them, running. `supabase`: a URL where copies go, or would go."""
    names = tuple(f"{'u' if user else 'a'}{number}" for number in range(agents))
    fleet = Fleet(USER if user else OWNER, names, names[: min(WATCHED, agents // 2)])
    if not fleet.folder.exists():
        QUEUE.write_text(QUEUE_OF_A_HOST)
        _lay_out(fleet)
    (fleet.folder / "agents.yaml").write_text(_config(fleet) + _copies(fleet, supabase))
    _supervise(fleet, "install", "--start")
    wait_until_running(fleet)
    return fleet


def uninstall(fleet: Fleet) -> None:
    _supervise(fleet, "uninstall", "-y")


def wait_until_running(fleet: Fleet) -> None:
    """Until the reconciler says so of every one."""
    eventually(Control(fleet.control).answers, "the reconciler to answer", timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    with closing(Reader(fleet.control)) as reader:
        while not all(reader.rows.get(name, {}).get("status") == "running" for name in fleet.names):
            if time.monotonic() > deadline:
                raise SystemExit("bench: the fleet does not come to run")
            reader.read(1)


def order(fleet: Fleet, mode: Mode, names: Iterable[str] | None = None) -> None:
    """Have these (all, if None) do this from now on."""
    rows = Control(fleet.control).rows()
    for name in fleet.names if names is None else names:
        os.kill(rows[name]["pid"], signal.SIGRTMIN + mode)


def copy(fleet: Fleet, name: str, *, group: str | None = None) -> tuple[float, subprocess.Popen[bytes]]:
    """Start a second one by hand, as the agent's own user: the moment right before, and the process. With a `group` it
    may speak to the reconciler, and beats at once."""
    groups = [group] if group and not fleet.user else []
    environment = {**_environment(fleet), "BENCH_MODE": str(int(Mode.BEATING if group else Mode.QUIET))}
    before = time.monotonic()
    return before, subprocess.Popen(fleet.command(name), cwd=fleet.folder, env=environment, **_as(fleet.owner, groups))


def _lay_out(fleet: Fleet) -> None:
    _run("useradd", *(["--create-home"] if fleet.user else ["--system"]), fleet.owner)
    if fleet.user:
        _run("loginctl", "enable-linger", USER)
        eventually(Path(f"/run/user/{_uid(USER)}/bus").exists, f"the bus of {USER}")
    fleet.folder.mkdir()
    os.chown(fleet.folder, *([_uid(USER)] * 2 if fleet.user else [0, 0]))
    _run("gcc", "-O2", "-static", "-o", str(fleet.folder / "agent"), str(SOURCE))


def _config(fleet: Fleet) -> str:
    owner = "" if fleet.user else f"user: {OWNER}, "
    lines = ["version: 1", f"project: {fleet.owner}"]
    lines += [f"defaults: {{{owner}hardening: none, quarantine: off, restart: {RESTART}}}", "agents:"]
    for name in fleet.names:
        watchdog = f", watchdog: {WATCHDOG:g}s" if name in fleet.watched else ""
        lines.append(f"  {name}: {{command: [{fleet.folder}/agent, {name}]{watchdog}}}")
    return "\n".join(lines) + "\n"


def _copies(fleet: Fleet, url: str) -> str:
    if not url:
        return ""
    (fleet.folder / "supabase.key").write_text("sb_secret_of_nobody\n")
    return f"supabase: {{url: '{url}', key: 'file:supabase.key'}}\n"


def _supervise(fleet: Fleet, *argv: str) -> None:
    scope = ["--user"] if fleet.user else []
    who = _as(USER) if fleet.user else {}
    _run("supervise", *argv, *scope, "-f", str(fleet.folder / "agents.yaml"), env=_environment(fleet), **who)


def _environment(fleet: Fleet) -> dict[str, str]:
    if not fleet.user:
        return dict(os.environ)
    runtime = f"/run/user/{_uid(USER)}"
    own = {"HOME": f"/home/{USER}", "XDG_RUNTIME_DIR": runtime, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus"}
    return {**os.environ, **own}


def _as(owner: str, groups: Iterable[str] = ()) -> Mapping[str, Any]:
    """What has `Popen` become that user."""
    return {"user": owner, "group": owner, "extra_groups": list(groups)}


def _uid(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _run(*argv: str, **options: Any) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(argv)} → {done.returncode}: {done.stderr}")
