"""The lab: a real systemd booted by systemd-nspawn over an overlay of this machine's root, in about half a second.

Whatever happens inside stays inside. The checkout is bound read-only to /opt/supervise, `supervise` is on PATH. Each
lab has cgroups of its own (labs that share one kill each other's units), its own loopback network and machine id. Needs
root, overlayfs and writable cgroups. `python -m tests.lab [COMMAND…]` boots one for a shell or a single command.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

CHECKOUT = Path(__file__).resolve().parents[1]
HOME = Path("/opt/supervise")
CGROUPS = Path("/sys/fs/cgroup")
LIMITERS = ("memory", "pids", "cpu", "cpuacct")
"""The cgroup v1 controllers which the lab gets a writable part of, so that limits bite."""
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "logrotate.timer",
    "man-db.timer",
    "postgresql.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-timesyncd.service",
)
"""What a real machine runs by itself and a test has no use for."""
REBOOTED = 133
"""How nspawn ends, with --keep-unit, when whoever started it is to start it again."""
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": os.environ.get("TERM", "dumb"),
}
WRAPPER = f'#!/bin/sh\nexec {HOME}/.venv/bin/python -P -m supervise "$@"\n'

Completed = subprocess.CompletedProcess[str]


class Lab:
    """One booted machine. Use it as a context manager, or `boot()` and `stop()`."""

    def __init__(self, name: str = "lab", *, binds: Sequence[str] = ()) -> None:
        self.name = f"{name}-{uuid.uuid4().hex[:6]}"
        self.binds = binds
        self.base = Path(tempfile.mkdtemp(prefix="supervise-lab-"))
        self.root = self.base / "merged"
        self.init = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Lab:
        try:
            return self.boot()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def boot(self, timeout: float = 60) -> Lab:
        self._lay_out_root()
        self._make_cgroups()
        self._start(timeout)
        self._open_limiters()
        return self

    def reboot(self, timeout: float = 60) -> None:
        """An orderly restart: what is on the disk stays, what was in memory, in /run or mounted by hand is gone."""
        assert self._process is not None
        self.run("systemctl", "reboot", check=False)
        code = self._process.wait(timeout)
        assert code == REBOOTED, f"the lab ended with {code}"
        self.init = ""
        self._start(timeout)
        self._open_limiters()

    def run(
        self, *argv: str | Path, check: bool = True, timeout: float = 120, user: str | None = None, **more: object
    ) -> Completed:
        """Run a command inside. `user`: as that user with their session bus, else as root."""
        command = [*self._enter(user), *map(str, argv)]
        done: Completed = subprocess.run(command, text=True, capture_output=True, timeout=timeout, **more)  # type: ignore[call-overload]
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, argv))} → {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def sh(self, script: str, **options: object) -> str:
        """Run a shell script inside and give its output."""
        return self.run("sh", "-ec", script, **options).stdout  # type: ignore[arg-type]

    def popen(self, *argv: str | Path, user: str | None = None, **options: object) -> subprocess.Popen[str]:
        command = [*self._enter(user), *map(str, argv)]
        return subprocess.Popen(command, text=True, **options)  # type: ignore[call-overload, no-any-return]

    def supervise(self, *argv: str | Path, **options: object) -> Completed:
        return self.run("supervise", *argv, **options)  # type: ignore[arg-type]

    def path(self, inside: str | Path) -> Path:
        """Where a path of the lab is seen from outside."""
        return Path(f"/proc/{self.init}/root") / str(inside).lstrip("/")

    def write(self, inside: str | Path, text: str, *, mode: int = 0o644) -> Path:
        target = self.path(inside)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        target.chmod(mode)
        return target

    def read(self, inside: str | Path) -> str:
        return self.path(inside).read_text(encoding="utf-8")

    def add_user(self, name: str, *, linger: bool = False) -> int:
        """A new user with a home; with `linger`, one whose own systemd runs. Gives the uid."""
        self.run("useradd", "--create-home", "--shell", "/bin/sh", name)
        uid = int(self.run("id", "-u", name).stdout)
        if linger:
            self.run("loginctl", "enable-linger", name)
            eventually(lambda: self.path(f"/run/user/{uid}/bus").exists(), f"the bus of {name}")
        return uid

    def stop(self, timeout: float = 15) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)  # nspawn makes of it an orderly power-off
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for mount in (self.root, self.base):
            subprocess.run(["umount", "-q", "-l", mount], check=False, capture_output=True)
        for group in self._groups():
            _remove_cgroup(group)
        shutil.rmtree(self.base, ignore_errors=True)

    def _enter(self, user: str | None) -> list[str]:
        environment = dict(ENVIRONMENT)
        become: list[str] = []
        if user:
            uid, gid = self.path("/etc/passwd").read_text().split(f"\n{user}:")[1].split(":")[1:3]
            environment |= {
                "HOME": f"/home/{user}",
                "USER": user,
                "XDG_RUNTIME_DIR": f"/run/user/{uid}",
                "DBUS_SESSION_BUS_ADDRESS": f"unix:path=/run/user/{uid}/bus",
            }
            become = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--init-groups", "--"]
        assignments = [f"{name}={value}" for name, value in environment.items()]
        namespaces = ["nsenter", "-t", self.init, "-m", "-p", "-u", "-i", "-n", "-C", "--"]
        return [*namespaces, "env", "-i", *assignments, *become]

    def _lay_out_root(self) -> None:
        _run("mount", "-t", "tmpfs", "-o", "size=4g", "tmpfs", self.base)
        for folder in ("upper/etc/systemd/system", "upper/usr/local/bin", "upper/opt/supervise", "work", "merged"):
            (self.base / folder).mkdir(parents=True)
        upper = self.base / "upper"
        (upper / "etc/hostname").write_text(f"{self.name}\n")  # it beats --hostname=
        (upper / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")  # else it equals the host's
        for unit in MASKED:
            (upper / "etc/systemd/system" / unit).symlink_to("/dev/null")
        (upper / "usr/local/bin/supervise").write_text(WRAPPER)
        (upper / "usr/local/bin/supervise").chmod(0o755)
        _run(
            "mount",
            "-t",
            "overlay",
            "overlay",
            "-o",
            f"lowerdir=/,upperdir={upper},workdir={self.base}/work",
            self.root,
        )

    def _groups(self) -> list[Path]:
        """One cgroup in each hierarchy that matters: v1 by name and by controller, or the single v2 tree."""
        parents = [CGROUPS / name for name in ("systemd", "unified", *LIMITERS)]
        return [parent / self.name for parent in parents if (parent / "cgroup.procs").exists()] or [CGROUPS / self.name]

    def _make_cgroups(self) -> None:
        for group in self._groups():
            group.mkdir()

    def _start(self, timeout: float) -> None:
        join = (
            "for group in "
            + " ".join(map(str, self._groups()))
            + '; do echo $$ > "$group/cgroup.procs"; done; exec "$@"'
        )
        nspawn = [
            "systemd-nspawn",
            "--quiet",
            "-D",
            str(self.root),
            f"--machine={self.name}",
            "--boot",
            "--register=no",
        ]
        nspawn += [
            "--keep-unit",
            "--private-network",
            f"--bind-ro={CHECKOUT}:{HOME}",
            *(f"--bind={bind}" for bind in self.binds),
        ]
        log = (self.base / "nspawn.log").open("wb")
        with log:
            self._process = subprocess.Popen(
                ["sh", "-c", join, "sh", *nspawn],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._booted, "the lab to boot", timeout=timeout)

    def _booted(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"cannot boot the lab: {(self.base / 'nspawn.log').read_text(errors='replace')[-2000:]}")
        if not self.init:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            self.init = next((pid for pid in children if _name(pid) == "systemd"), "")
        return bool(self.init) and self.is_up("--wait")  # to ask again and again would slow the boot down

    def is_up(self, *options: str) -> bool:
        asked = self.run("systemctl", "is-system-running", *options, check=False)
        return asked.stdout.strip() in ("running", "degraded")

    def _open_limiters(self) -> None:
        """nspawn mounts the v1 controllers read-only, and a systemd that boots so does not use them."""
        mounts = [path for path in (CGROUPS / name for name in LIMITERS) if path.is_dir()]
        for mount in mounts:
            self.run("mount", "-o", "remount,rw,bind", mount)
        if mounts:
            self.run("systemctl", "daemon-reexec")
            eventually(self.is_up, "systemd to run again")


def eventually(condition: Callable[[], object], what: str, *, timeout: float = 15) -> None:
    """Wait until the condition holds; fail by name when it does not in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(0.02)


def _name(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _run(*argv: str | Path) -> None:
    subprocess.run(argv, check=True)


def _remove_cgroup(group: Path) -> None:
    folders = sorted((path for path in group.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
    for folder in [*folders, group]:
        try:
            folder.rmdir()
        except OSError:  # a process that is still dying: the empty group costs nothing
            continue


def end_in_order() -> None:
    """Whoever ends this process ends its labs with it, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def main() -> int:
    end_in_order()
    with Lab() as lab:
        return subprocess.run([*lab._enter(None), *(sys.argv[1:] or ["/bin/bash", "-l"])], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
