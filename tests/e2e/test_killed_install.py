"""An install may be killed, run out of disk or meet another: what systemd loads is always whole, the next one ends it.

`strace` kills the install before each system call that changes a file, one run for each call. The oracle knows only what
stood there before and what stands there after an undisturbed install.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.lab

UNITS, OURS = "/etc/systemd/system", "/etc/supervise"
STATE = (UNITS, OURS, "/etc/sysusers.d", "/etc/tmpfiles.d", "/var/lib/supervise", "/run/supervise")
CALLS = (
    "write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,symlinkat"
)
CALL = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<arguments>.*)")
STRACE = ("strace", "-f", "-y", "-qq", "-o", "/root/log")
STAGED = ".supervise-new"
INSTALL_OLD = ("supervise", "install", "-f", "/srv/demo/old.yaml", "--moved")
INSTALL = ("supervise", "install", "-f", "/srv/demo/agents.yaml", "--moved")
UNINSTALL = ("supervise", "uninstall", "-p", "demo", "--yes")

Files = Mapping[str, bytes]

OLD = """
project: demo
agents:
  changed: {command: [sleep, "1"]}
  removed: {command: [sleep, "2"]}
  stays: {command: [sleep, "3"]}
"""
NEW = """
project: demo
agents:
  changed: {command: [sleep, "4"], auto_start: false}
  stays: {command: [sleep, "3"]}
  added: {command: [sleep, "5"], schedule: daily}
"""


@dataclass(frozen=True)
class Point:
    """The nth time that the install makes this system call."""

    call: str
    nth: int
    arguments: str

    @property
    def paths(self) -> list[str]:
        return re.findall(r'[<"](/[^>"]*)[>"]', self.arguments)


@dataclass(frozen=True)
class Journey:
    """From one state of the disk to another, by one command."""

    lab: Lab
    command: tuple[str, ...]
    before: Files
    after: Files

    def points(self) -> list[Point]:
        """Every call of an undisturbed run that changes one of our files."""
        _restore(self.lab)
        self.lab.run(*STRACE, f"--trace={CALLS}", *self.command)
        return [one for one in _traced(self.lab) if one.paths[0].startswith(STATE) and "= -1 E" not in one.arguments]

    def kill_at(self, point: Point) -> None:
        """Before the call is carried out: what follows the last one is the undisturbed install itself."""
        _restore(self.lab)
        inject = f"--inject={point.call}:signal=SIGKILL:when={point.nth}"
        done = self.lab.run(*STRACE, f"--trace={point.call}", inject, *self.command, check=False)
        assert done.returncode == -signal.SIGKILL, (point, done)
        assert _calls(self.lab)[-1][1].paths == point.paths


def _traced(lab: Lab) -> list[Point]:
    """The calls of the install itself that have to do with a path, not those of the programs that it runs."""
    calls = _calls(lab)
    main = next(pid for pid, point in calls if "install.lock" in point.arguments)
    return [point for pid, point in calls if pid == main and point.paths]


def _calls(lab: Lab) -> list[tuple[str, Point]]:
    """(PID, call) in their order; strace counts the calls of each process by itself, and so do we."""
    counts: Counter[tuple[str, str]] = Counter()
    calls = []
    for line in lab.read("/root/log").splitlines():
        if found := CALL.match(line):
            counts[found["pid"], found["call"]] += 1
            nth = counts[found["pid"], found["call"]]
            calls.append((found["pid"], Point(found["call"], nth, found["arguments"])))
    return calls


# --- The disk ---------------------------------------------------------------------------------------------------------


def _files(lab: Lab) -> dict[str, bytes]:
    """Every file of ours that is in force, links as what they point to; the manifest without its times."""
    found = {}
    for root in (UNITS, f"{OURS}/projects"):
        for path in sorted(lab.path(root).rglob("*")):
            inside = f"{root}/{path.relative_to(lab.path(root))}"
            if not re.search(r"/(agent@|supervise|projects/)", inside) or path.name.endswith(STAGED):
                continue
            if path.is_symlink():
                found[inside] = os.fsencode(path.readlink())
            elif path.is_file():
                found[inside] = _timeless(path.read_bytes()) if path.suffix == ".json" else path.read_bytes()
    return found


def _timeless(manifest: bytes) -> bytes:
    said = json.loads(manifest)
    said["runs"] = {name: mark["run"] for name, mark in said["runs"].items()}
    return json.dumps(said).encode()


def _save(lab: Lab) -> None:
    """What `_restore` goes back to."""
    lab.sh(f"rm -rf /root/saved; mkdir /root/saved; cp -a --parents {' '.join(STATE)} /root/saved 2>&1 || true")


def _restore(lab: Lab) -> None:
    ours = f"{UNITS}/agent@* {UNITS}/supervise* {UNITS}/.*{STAGED} {UNITS}/multi-user.target.wants/supervise.target"
    lab.sh(f"rm -rf {ours} {' '.join(STATE[1:])}; cp -a /root/saved/. /; systemctl daemon-reload")


def _whole(content: bytes) -> bool:
    """Whether the digest in a file's first line is that of the rest."""
    first, _, rest = content.partition(b"\n")
    said = re.search(rb" file=(\w+)", first)
    return bool(said) and hashlib.sha256(rest).hexdigest().startswith(said[1].decode())  # type: ignore[index]


def _leftovers(lab: Lab) -> list[str]:
    """What an install writes on its way and must not leave behind."""
    files = [path for folder in STATE for path in lab.path(folder).rglob("*")]
    return [str(path) for path in files if path.name.endswith(STAGED) or path.name == "install.journal"]


# --- Killed -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def machine() -> Iterator[Lab]:
    with Lab() as lab:
        lab.add_user("ann")
        lab.write("/srv/demo/old.yaml", OLD)
        lab.write("/srv/demo/agents.yaml", NEW)
        lab.run("chown", "-R", "ann:", "/srv/demo")
        yield lab


@pytest.fixture
def empty(machine: Lab) -> Iterator[Lab]:
    """The machine without any project."""
    yield machine
    machine.supervise("uninstall", "-p", "demo", "--yes", "--purge", check=False)


def test_an_update_killed_at_any_change_of_a_file_leaves_whole_files_and_the_next_one_converges(empty: Lab) -> None:
    empty.run(*INSTALL_OLD)
    _save(empty)
    before = _files(empty)
    empty.run(*INSTALL)
    journey = Journey(empty, INSTALL, before, _files(empty))
    points = journey.points()
    assert {"write", "fsync", "rename", "unlink", "rmdir"} <= {point.call for point in points}
    for point in points:
        _disturb(journey, point)


def test_a_first_install_and_the_last_uninstall_may_be_killed_too(empty: Lab) -> None:
    _save(empty)
    assert _files(empty) == {}
    empty.run(*INSTALL)
    first = Journey(empty, INSTALL, {}, _files(empty))
    for point in first.points():
        if point.call in ("rename", "unlink", "mkdir"):
            _disturb(first, point)
    _save(empty)
    last = Journey(empty, UNINSTALL, first.after, {})
    for point in last.points():
        if point.call in ("rename", "unlink"):
            _disturb(last, point)


def _disturb(journey: Journey, point: Point) -> None:
    journey.kill_at(point)
    _assert_all_is_whole(journey, point)
    _assert_the_next_one_converges(journey, point)


def _assert_all_is_whole(journey: Journey, point: Point) -> None:
    now = _files(journey.lab)
    for path in {*now, *journey.before, *journey.after}:
        assert now.get(path) in (journey.before.get(path), journey.after.get(path)), f"{path} at {point}"
    for path, content in now.items():
        if path.startswith(UNITS) and not journey.lab.path(path).is_symlink():
            assert _whole(content), f"{path} at {point}"
    units = [path.split("/")[4].removesuffix(".d") for path in now if path.endswith(".service.d/50-supervise.conf")]
    verify = f"systemd-analyze verify --man=no {' '.join(units)}" if units else "true"
    said = journey.lab.run("sh", "-ec", f"systemctl daemon-reload; {verify}")
    assert not [line for line in said.stderr.splitlines() if "agent@" in line or "supervise" in line], point


def _assert_the_next_one_converges(journey: Journey, point: Point) -> None:
    """Unless the killed uninstall had done all of its work, then there is nothing to uninstall."""
    lab = journey.lab
    done = lab.run(*journey.command, check=False)
    assert done.returncode == 0 or (journey.command == UNINSTALL and "is not installed" in done.stderr), (point, done)
    assert _files(lab) == journey.after, point
    assert _leftovers(lab) == [], point
    if journey.command == INSTALL:
        lab.run("supervise", "plan", "--check", *INSTALL[2:])
