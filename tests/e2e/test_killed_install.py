"""An install may be killed, run out of disk or meet another: what systemd loads is always whole, the next one ends it.

`strace` kills the install before a system call that changes a file, one run for each call. The oracle knows only
what stood there before and what stands there after an undisturbed install.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

UNITS, OURS = "/etc/systemd/system", "/etc/supervise"
RULES = "/etc/polkit-1/rules.d/50-supervise.rules"
STATE = (UNITS, OURS, "/etc/sysusers.d", "/etc/tmpfiles.d", "/var/lib/supervise", "/run/supervise")
CALLS = (
    "write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,symlinkat"
)
CALL = re.compile(r"(?P<call>\w+)\((?P<arguments>.*)")
STRACE = ("strace", "-y", "-qq", "-o", "/root/log")
PYTHON = "/usr/bin/python3"
STAGED = ".supervise-new"
INSTALL_OLD = ("supervise", "install", "-f", "/srv/demo/old.yaml", "--moved")
INSTALL = ("supervise", "install", "-f", "/srv/demo/agents.yaml", "--moved")
UNINSTALL = ("supervise", "uninstall", "-p", "demo", "--yes")

Files = Mapping[str, bytes]

OLD = """
project: demo
agents:
  changed: {command: [sleep, "1001"]}
  removed: {command: [sleep, "1002"]}
  stays: {command: [sleep, "1003"]}
"""
NEW = """
project: demo
agents:
  changed: {command: [sleep, "1004"], auto_start: false}
  stays: {command: [sleep, "1003"]}
  added: {command: [sleep, "1005"], schedule: daily, auto_start: false}
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
        calls = [one for one in _calls(self.lab) if one.paths and "= -1 E" not in one.arguments]
        return [one for one in calls if one.paths[0].startswith(STATE)]

    def kill_at(self, point: Point) -> None:
        """Before the call is carried out: what follows the last one is the undisturbed install itself."""
        _restore(self.lab)
        inject = f"--inject={point.call}:signal=SIGKILL:when={point.nth}"
        done = self.lab.run(*STRACE, f"--trace={point.call}", inject, *self.command, check=False)
        assert done.returncode == -signal.SIGKILL, (point, done)
        assert _calls(self.lab)[-1].paths == point.paths


def _calls(lab: Lab) -> list[Point]:
    """What was traced: the install itself, not the programs that it runs."""
    counts: Counter[str] = Counter()
    calls = []
    for line in lab.read("/root/log").splitlines():
        if found := CALL.match(line):
            counts[found["call"]] += 1
            calls.append(Point(found["call"], counts[found["call"]], found["arguments"]))
    return calls


# --- The disk ---------------------------------------------------------------------------------------------------------


def _files(lab: Lab) -> dict[str, bytes]:
    """Every file of ours that is in force, links as what they point to; the manifest without its times."""
    found = {}
    for root in (UNITS, f"{OURS}/projects", "/etc/sysusers.d", "/etc/tmpfiles.d", "/etc/polkit-1/rules.d"):
        for path in sorted(lab.path(root).rglob("*")):
            inside = f"{root}/{path.relative_to(lab.path(root))}"
            if not re.search(r"/(agent@|supervise|50-supervise|projects/)", inside) or path.name.endswith(STAGED):
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
    lab.sh(f"rm -rf /root/saved; mkdir /root/saved; cp -a --parents {' '.join(STATE)} {RULES} /root/saved 2>&1 || true")


def _restore(lab: Lab) -> None:
    ours = f"{UNITS}/agent@* {UNITS}/supervise* {UNITS}/.*{STAGED} {UNITS}/*.wants/supervise* {RULES}"
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
    """Whether the next one wants the new state or the old one back; and no agent is touched."""
    empty.run(*INSTALL_OLD)
    empty.run("systemctl", "start", "supervise.target")  # it keeps the units loaded that it comes after
    empty.run("systemctl", "stop", "agent@changed", "agent@removed")
    pids = _pids(empty)
    _save(empty)
    before = _files(empty)
    empty.run(*INSTALL)
    journey = Journey(empty, INSTALL, before, _files(empty))
    points = _most(journey.points())
    assert {"write", "fsync", "rename", "unlink", "rmdir"} <= {point.call for point in points}
    for number, point in enumerate(points):
        journey.kill_at(point)
        _assert_all_is_whole(journey, point)
        if number % 2:  # systemd reads the units while the install is half done; else only when the next one says so
            empty.run("systemctl", "daemon-reload")
        if number % 3:
            _assert_the_next_one_converges(journey, point)
        else:
            _assert_the_next_one_converges(Journey(empty, INSTALL_OLD, journey.after, journey.before), point)
        needed = empty.run("systemctl", "show", "--value", "-p", "NeedDaemonReload", "agent@stays", "agent@changed")
        assert needed.stdout.split() == ["no", "no"], point
    assert _pids(empty) == pids


def test_a_first_install_and_the_last_uninstall_may_be_killed_too(empty: Lab) -> None:
    _save(empty)
    assert _files(empty) == {}
    empty.run(*INSTALL)
    first = Journey(empty, INSTALL, {}, _files(empty))
    for point in _some(first.points()):
        empty.sh("systemctl stop supervise-reconciler.socket supervise-agent.socket supervise-reconciler || true")
        empty.sh("userdel supervise; groupdel supervise-operators")
        _disturb(first, point)
        empty.sh("id supervise; getent group supervise-operators")
    _save(empty)
    last = Journey(empty, UNINSTALL, first.after, {})
    for point in _some(last.points()):
        _disturb(last, point)


def _most(points: Sequence[Point]) -> Sequence[Point]:
    """Each that changes what is in force, and every third of those that prepare it."""
    prepare = [point for point in points if point.call in ("write", "fsync", "fdatasync")]
    return [point for point in points if point not in prepare or prepare.index(point) % 3 == 0]


def _some(points: Sequence[Point]) -> Sequence[Point]:
    """Every third file that is put in its place or taken away: the update above was killed at all of them."""
    return [point for point in points if point.call in ("rename", "unlink")][::3]


def _disturb(journey: Journey, point: Point) -> None:
    journey.kill_at(point)
    _assert_all_is_whole(journey, point)
    journey.lab.run("systemctl", "daemon-reload")
    _assert_the_next_one_converges(journey, point)


def _assert_all_is_whole(journey: Journey, point: Point) -> None:
    now = _files(journey.lab)
    for path in {*now, *journey.before, *journey.after}:
        assert now.get(path) in (journey.before.get(path), journey.after.get(path)), f"{path} at {point}"
    for path, content in now.items():
        if not path.endswith(".json") and not journey.lab.path(path).is_symlink():
            assert _whole(content), f"{path} at {point}"
    units = [path.split("/")[4].removesuffix(".d") for path in now if path.endswith(".service.d/50-supervise.conf")]
    if units:
        said = journey.lab.run("systemd-analyze", "verify", "--man=no", *units).stderr.splitlines()
        assert not [line for line in said if "agent@" in line or "supervise" in line], point


def _assert_the_next_one_converges(journey: Journey, point: Point) -> None:
    lab = journey.lab
    done = lab.run(*journey.command, check=False)
    assert done.returncode == 0, (point, done)
    assert _files(lab) == journey.after, point
    assert _leftovers(lab) == [], point
    if journey.command != UNINSTALL:
        lab.run("supervise", "plan", "--check", *journey.command[2:])


def _pids(lab: Lab) -> list[str]:
    return lab.run("systemctl", "show", "--value", "-p", "MainPID", "agent@stays", "agent@changed").stdout.split()


# --- No room ----------------------------------------------------------------------------------------------------------


PAGE = 4096


@pytest.fixture
def small_disk(empty: Lab) -> Iterator[Lab]:
    """The old state installed and one agent of it running, on disks of their own that a test can fill."""
    empty.run(*INSTALL_OLD)
    empty.supervise("start", "removed")
    for folder in (UNITS, OURS):
        empty.sh(
            f"cp -a {folder} /root/copy; mount -t tmpfs tmpfs {folder}; cp -a /root/copy/. {folder}; rm -r /root/copy"
        )
    yield empty
    empty.sh(f"for it in {UNITS} {OURS}; do umount $it; done; rm -rf {UNITS}/agent@* {UNITS}/supervise* {OURS}; "
             "rm -f /etc/sysusers.d/supervise.conf /etc/tmpfiles.d/supervise.conf "
             f" {UNITS}/*.wants/supervise* {RULES}; systemctl daemon-reload; "
             "systemctl stop 'supervise-*' 'agent@*'")  # fmt: skip


def _leave_room(lab: Lab, folder: str, pages: int) -> None:
    used = os.statvfs(lab.path(folder))
    blocks = (used.f_blocks - used.f_bfree) * used.f_frsize // PAGE
    lab.sh(f"mount -o remount,size={(blocks + pages) * PAGE} {folder}")


def test_a_disk_that_is_full_for_units_changes_nothing(small_disk: Lab) -> None:
    before = _files(small_disk)
    pid = small_disk.run("systemctl", "show", "-P", "MainPID", "agent@removed").stdout
    for pages in range(20):
        _leave_room(small_disk, UNITS, pages)
        done = small_disk.run(*INSTALL, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == 1
        assert re.search(
            rf'supervise: cannot write "{UNITS}/.*": No space left on device; nothing was changed', done.stderr
        )
        assert (_files(small_disk), _leftovers(small_disk)) == (before, [])
        assert small_disk.run("systemctl", "show", "-P", "MainPID", "agent@removed").stdout == pid
    assert pages > 2
    small_disk.run("supervise", "plan", "--check", *INSTALL[2:])


def test_a_disk_that_is_full_for_the_records_is_told_and_the_next_install_goes_on(small_disk: Lab) -> None:
    failures = 0
    for pages in range(20):
        _leave_room(small_disk, OURS, pages)
        done = small_disk.run(*INSTALL, check=False)
        if done.returncode == 0:
            break
        failures += 1
        assert done.returncode == 1
        assert re.search(rf'supervise: cannot write "{OURS}/.*": No space left on device', done.stderr)
        units = {path: content for path, content in _files(small_disk).items() if path.startswith(UNITS)}
        assert all(_whole(content) for path, content in units.items() if not small_disk.path(path).is_symlink())
    assert failures > 1
    assert _leftovers(small_disk) == []
    small_disk.run("supervise", "plan", "--check", *INSTALL[2:])


@pytest.mark.parametrize("folder", [UNITS, OURS])
def test_a_read_only_disk_is_told_in_one_line(small_disk: Lab, folder: str) -> None:
    small_disk.sh(f"mount -o remount,ro {folder}")
    done = small_disk.run(*INSTALL, check=False)
    assert done.returncode == 1
    assert re.search(rf'^supervise: cannot write "{folder}/.*": Read-only file system', done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr
    small_disk.sh(f"mount -o remount,rw {folder}")
    small_disk.run(*INSTALL)
    assert _leftovers(small_disk) == []
    small_disk.run("supervise", "plan", "--check", *INSTALL[2:])


# --- Two at once ------------------------------------------------------------------------------------------------------

HOLDER = """
import fcntl, json, os, signal
os.makedirs("/run/supervise", exist_ok=True)
lock = open("/run/supervise/install.lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
since = "2026-01-31T12:00:00+00:00"
json.dump({"pid": os.getpid(), "user": "olga", "command": "supervise install -f x.yaml", "since": since}, lock)
lock.flush()
print(os.getpid(), flush=True)
signal.pause()
"""


def test_who_holds_the_lock_is_named(empty: Lab) -> None:
    with empty.popen(PYTHON, "-c", HOLDER, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        pid = holder.stdout.readline().strip()
        done = empty.run(*INSTALL, check=False)
        empty.run("kill", "-9", pid)
    assert done.returncode == 1
    assert f"`supervise install -f x.yaml` (PID {pid}, olga) has been at it since 2026-01-31T12:00:00" in done.stderr
    assert _files(empty) == {}
    empty.run(*INSTALL)


def test_of_two_installs_at_once_the_second_is_refused_and_names_the_first(empty: Lab) -> None:
    """The first one waits for an agent that is removed and does not want to stop."""
    stubborn = "trap '' TERM; echo ready > /tmp/ready; while :; do sleep 0.1; done"
    old = f'project: demo\nagents:\n  stubborn: {{command: [sh, -c, "{stubborn}"], stop_timeout: 60s}}\n'
    empty.write("/srv/demo/stubborn.yaml", old)
    empty.supervise("install", "-f", "/srv/demo/stubborn.yaml", "--start")
    eventually(empty.path("/tmp/ready").exists, "the stubborn agent")
    first = empty.popen(*INSTALL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: _state(empty, "stubborn") == "deactivating", "the first install to stop it")
    pid = json.loads(empty.read("/run/supervise/install.lock"))["pid"]
    assert "install" in empty.read(f"/proc/{pid}/cmdline").split("\0")
    for second in (INSTALL, UNINSTALL):
        done = empty.run(*second, check=False)
        assert done.returncode == 1
        assert f"(PID {pid}, root)" in done.stderr
        assert "supervise install -f /srv/demo/agents.yaml --moved" in done.stderr
    empty.run("systemctl", "kill", "--signal=KILL", "agent@stubborn")
    assert first.wait(30) == 0
    empty.run("supervise", "plan", "--check", *INSTALL[2:])


def _state(lab: Lab, name: str) -> str:
    return lab.run("systemctl", "show", "-P", "ActiveState", f"agent@{name}").stdout.strip()
