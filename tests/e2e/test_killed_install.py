"""An install may be killed, run out of disk or meet another: what systemd loads is always whole, and the next one ends it.

`strace` kills the install before each system call that changes a file, one run per call. The oracle knows only what
stood there before and what stands there after an undisturbed install.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

UNITS, OURS = "/etc/systemd/system", "/etc/supervise"
STATE = (UNITS, OURS, "/etc/sysusers.d", "/etc/tmpfiles.d", "/var/lib/supervise", "/run/supervise")
CALLS = (
    "write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,symlinkat"
)
CALL = re.compile(r"(?P<call>\w+)\((?P<arguments>.*)")
STAGED = ".supervise-new"

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

    def __str__(self) -> str:
        return f"{self.call} {self.nth} ({self.arguments})"


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
        self.lab.sh(f"strace -y -qq -o /root/log -e trace={CALLS} {' '.join(self.command)}")
        lines = [found for line in self.lab.read("/root/log").splitlines() if (found := CALL.match(line))]
        counts: Counter[str] = Counter()
        points = []
        for line in lines:
            counts[line["call"]] += 1
            if any(path.startswith(STATE) for path in _paths(line["arguments"])):
                points.append(Point(line["call"], counts[line["call"]], line["arguments"]))
        return points

    def kill_at(self, point: Point) -> None:
        _restore(self.lab)
        inject = f"inject={point.call}:signal=SIGKILL:when={point.nth}"
        words = ["strace", "-y", "-qq", "-o", "/root/log", "-e", f"trace={point.call}", "-e", inject]
        done = self.lab.run(*words, *self.command, check=False)
        assert done.returncode == -signal.SIGKILL, (point, done)
        last = [line for line in self.lab.read("/root/log").splitlines() if CALL.match(line)][-1]
        assert _paths(last) == _paths(point.arguments), f"{point} was not the call that it was killed at: {last}"


def _paths(text: str) -> list[str]:
    return re.findall(r'[<"](/[^>"]*)[>"]', text)


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
    lab.sh(f"rm -rf /root/saved; mkdir /root/saved; for it in {' '.join(STATE)}; do "
           "if [ -e $it ]; then cp -a --parents $it /root/saved; fi; done")  # fmt: skip


def _restore(lab: Lab) -> None:
    lab.sh(f"rm -rf {' '.join(STATE[1:])} {UNITS}/agent@* {UNITS}/supervise* {UNITS}/.*{STAGED} "
           f"{UNITS}/multi-user.target.wants/supervise.target; cp -a /root/saved/. /; systemctl daemon-reload")  # fmt: skip


def _whole(content: bytes) -> bool:
    """Whether the digest in a file's first line is that of the rest."""
    first, _, rest = content.partition(b"\n")
    said = re.search(rb" file=(\w+)", first)
    return bool(said) and hashlib.sha256(rest).hexdigest().startswith(said[1].decode())  # type: ignore[index]


def _leftovers(lab: Lab) -> list[str]:
    return [str(path) for folder in STATE[:5] for path in lab.path(folder).rglob("*") if path.name.endswith(STAGED) or path.name == "install.journal"]  # fmt: skip


# --- Killed -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def machine() -> Iterator[Lab]:
    with Lab() as lab:
        lab.add_user("ann")
        lab.path("/srv/demo").mkdir()
        lab.write("/srv/demo/old.yaml", OLD)
        lab.write("/srv/demo/agents.yaml", NEW)
        lab.run("chown", "-R", "ann:", "/srv/demo")
        yield lab


def _disturbed(journey: Journey) -> None:
    points = journey.points()
    assert len(points) > 20
    for point in points:
        journey.kill_at(point)
        _assert_all_is_whole(journey, point)
        _assert_the_next_one_converges(journey, point)
        print(point)


def _assert_all_is_whole(journey: Journey, point: Point) -> None:
    now = _files(journey.lab)
    for path in {*now, *journey.before, *journey.after}:
        assert now.get(path) in (journey.before.get(path), journey.after.get(path)), f"{path} at {point}"
    for path, content in now.items():
        if path.startswith(UNITS) and not journey.lab.path(path).is_symlink():
            assert _whole(content), f"{path} at {point}"
    units = [path.split("/")[4].removesuffix(".d") for path in now if path.endswith(".conf")]
    verified = f"systemd-analyze verify --man=no {' '.join(units)}" if units else "true"
    said = journey.lab.run("sh", "-ec", f"systemctl daemon-reload; {verified}")
    assert not [line for line in said.stderr.splitlines() if "agent@" in line or "supervise" in line], point


def _assert_the_next_one_converges(journey: Journey, point: Point) -> None:
    lab = journey.lab
    lab.run(*journey.command)
    assert _files(lab) == journey.after, point
    assert _leftovers(lab) == [], point
    if journey.command[1] == "install":
        lab.run("supervise", "plan", "--check", *journey.command[2:])


INSTALL = ("supervise", "install", "-f", "/srv/demo/agents.yaml", "--moved")


def test_an_install_killed_at_any_change_of_a_file_leaves_whole_files_and_the_next_one_converges(machine: Lab) -> None:
    machine.supervise("install", "-f", "/srv/demo/old.yaml")
    _save(machine)
    before = _files(machine)
    machine.run(*INSTALL)
    _disturbed(Journey(machine, INSTALL, before, _files(machine)))
