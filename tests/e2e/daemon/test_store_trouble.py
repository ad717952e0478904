"""The reconciler's disk fails it, in all ways that a disk can: the rows stay true, and nothing of them is lost.

The store lies on a file system of its own, mounted before the reconciler starts, so that it can be filled, made
read-only and damaged from outside of the service's sandbox.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.daemon.asking import answers, ask, events, rows
from tests.e2e.daemon.machine import RECONCILER, at, install, journal, pids, reconciler, shown, stored, unit
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

STATE = "/var/lib/supervise"
FILE = f"{STATE}/state.db"
SIZE = "8m"
CREW = ("first", "second", "third")
AGENTS = "project: store\ndefaults: {restart: {policy: never, burst: 1000}}\nagents:\n" + "\n".join(
    f"  {name}: {{command: [/usr/bin/python3, sleeper.py, {name}]}}" for name in CREW
)
RECONFIGURE = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *words):
    result = libc.syscall(number, *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result
picked = call(433, -100, sys.argv[1].encode(), 1)
call(431, picked, 0, sys.argv[2].encode(), None, 0)
call(431, picked, 7, None, None, 0)
"""
"""fspick(2) and fsconfig(2): the file system itself, as the kernel does after an error. mount(8) changes the mount too,
and the service keeps its own copy of that."""
RECOVERY = 12
"""Seconds: two attempts to write, and a margin."""


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Lab:
    lab.sh(f"mkdir -p {STATE}; mount -t tmpfs -o size={SIZE},mode=755 store {STATE}")
    install(lab, AGENTS)
    return lab


@pytest.fixture
def host(machine: Lab) -> Lab:
    """All run, and the store is well."""
    machine.run("systemctl", "start", RECONCILER, *map(unit, CREW))
    eventually(lambda: answers(machine) and _trouble(machine) is None, "a store without trouble", timeout=RECOVERY)
    eventually(lambda: {row["status"] for row in rows(machine).values()} == {"running"}, "all to run")
    return machine


def _trouble(lab: Lab) -> dict[str, Any] | None:
    found: dict[str, Any] | None = ask(lab, "info")["store"]
    return found


class Meanwhile:
    """What happens to one agent while the store is in trouble: it dies, is seen dead, is started, is seen running."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name
        self.begin = datetime.now(UTC)
        self.lines = len(journal(lab, "-u", RECONCILER))

    def row(self) -> dict[str, Any]:
        return rows(self.lab, self.name)[self.name]

    def happens(self) -> None:
        self.lab.run("kill", "-9", str(pids(self.lab, CREW)[self.name]))
        eventually(lambda: (self.row()["reason"], self.row()["pid"]) == ("Crashed", None), "its death to be seen")
        self.lab.run("systemctl", "start", unit(self.name))
        pid = pids(self.lab, CREW)[self.name]
        eventually(lambda: (self.row()["status"], self.row()["pid"]) == ("running", pid), "its start to be seen")
        assert {name: row["pid"] for name, row in rows(self.lab).items()} == pids(self.lab, CREW)

    def told(self) -> list[tuple[str, str]]:
        since = self.begin.isoformat()
        return [(one["after"], one["reason"]) for one in events(self.lab, self.name, since=since)]

    def instored(self) -> list[tuple[str, str]]:
        found = stored(self.lab, f"select * from agent_events where name = '{self.name}' order by at")
        return [(one["after"], one["reason"]) for one in found if at(one) >= self.begin]

    def said(self, words: str) -> list[str]:
        """Complaints in the journal since."""
        return [line for line in journal(self.lab, "-u", RECONCILER)[self.lines :] if words in line]

    def recovers(self, *, times: int = 1) -> None:
        """By itself: with the rows of all in the file, and everything that happened."""
        eventually(lambda: _trouble(self.lab) is None, "the trouble to be over", timeout=RECOVERY)
        wanted = [("error", "Crashed"), ("running", "AsWanted")] * times
        assert [one for one in self.told() if one in wanted] == wanted
        eventually(lambda: [one for one in self.instored() if one in wanted] == wanted, f"{wanted} in the file")
        here = pids(self.lab, CREW)
        there = stored(self.lab, "select name, pid, status from agent_status order by name")
        assert there == [{"name": name, "pid": here[name], "status": "running"} for name in sorted(CREW)]
        assert stored(self.lab, "pragma integrity_check") == [{"integrity_check": "ok"}]


def _restarted(lab: Lab) -> None:
    """The reconciler, killed in the midst of it."""
    last = reconciler(lab)
    lab.run("kill", "-9", str(last))
    eventually(lambda: reconciler(lab) not in (0, last) and answers(lab), "another reconciler", timeout=5)
    eventually(lambda: shown(lab, RECONCILER, "ActiveState") == "active", "it to be ready", timeout=5)


# --- Full, read-only: trouble that lasts ------------------------------------------------------------------------------


@contextmanager
def _full(lab: Lab) -> Iterator[None]:
    lab.sh(f"dd if=/dev/zero of={STATE}/filler bs=4k 2>/dev/null || true")
    try:
        yield
    finally:
        lab.run("rm", f"{STATE}/filler")


def test_a_full_disk_costs_nothing(host: Lab) -> None:
    meanwhile = Meanwhile(host, "first")
    with _full(host):
        meanwhile.happens()
        eventually(lambda: _trouble(host), "the trouble to be told")
        trouble = _trouble(host)
        assert trouble is not None
        assert "full" in trouble["why"]
        assert trouble["lost"] == 0
        meanwhile.happens()
        assert ("error", "Crashed") in meanwhile.told()
        eventually(lambda: "cannot be written" in shown(host, RECONCILER, "StatusText"), "systemd to be told")
    meanwhile.recovers(times=2)
    assert len(meanwhile.said("kept in memory")) == 1
    assert "full" in meanwhile.said("kept in memory")[0]


def test_a_reconciler_that_starts_on_a_full_disk_tells_the_truth(host: Lab) -> None:
    meanwhile = Meanwhile(host, "second")
    with _full(host):
        _restarted(host)
        meanwhile.happens()
        eventually(lambda: _trouble(host), "the trouble to be told")
        meanwhile.happens()
    meanwhile.recovers(times=2)
    assert len(meanwhile.said("kept in memory")) == 1


def _make(lab: Lab, mode: str) -> None:
    lab.run("/usr/bin/python3", "-c", RECONFIGURE, STATE, mode)


@contextmanager
def _read_only_from_the_start(lab: Lab) -> Iterator[None]:
    """One that is in use cannot be made so by hand: the kernel refuses while a file is open to write."""
    lab.run("systemctl", "stop", RECONCILER)
    _make(lab, "ro")
    lab.run("systemctl", "start", RECONCILER)
    try:
        yield
    finally:
        _make(lab, "rw")


@contextmanager
def _read_only_suddenly(lab: Lab) -> Iterator[None]:
    """In the reconciler's own view, since its sandbox shields it from what is mounted over its folder later."""
    within = ("nsenter", "-t", str(reconciler(lab)), "-m", "--")
    lab.run(*within, "mount", "-t", "tmpfs", "-o", "ro", "store", STATE)
    try:
        yield
    finally:
        lab.run(*within, "umount", STATE)


@pytest.mark.parametrize("read_only", [_read_only_from_the_start, _read_only_suddenly])
def test_a_read_only_disk_costs_nothing(host: Lab, read_only: Any) -> None:
    meanwhile = Meanwhile(host, "third")
    with read_only(host):
        eventually(lambda: answers(host), "it to answer")
        meanwhile.happens()
        eventually(lambda: _trouble(host), "the trouble to be told")
        trouble = _trouble(host)
        assert trouble is not None
        assert "ead-only" in trouble["why"] or "readonly" in trouble["why"]
        assert ("error", "Crashed") in meanwhile.told()
    meanwhile.recovers()
    assert len(meanwhile.said("kept in memory")) == 1


# --- Damaged, deleted: trouble that it mends itself -------------------------------------------------------------------


def _trash(lab: Lab, *, begin: int = 0) -> None:
    """Garbage over the file and what was written last, as far as they go."""
    for path in (lab.path(FILE), lab.path(f"{FILE}-wal")):
        if path.exists() and (size := path.stat().st_size) > begin:
            with path.open("r+b") as file:
                file.seek(begin)
                file.write(b"\xa5" * (size - begin))


def _told_of_host(lab: Lab, since: datetime) -> list[str]:
    return [one["reason"] for one in events(lab, "", since=since.isoformat()) if one["kind"] == "host"]


def _settled(lab: Lab) -> Meanwhile:
    """A store with its tables in the file itself: they lie beside it until so much is written, or it is closed."""
    lab.run("systemctl", "restart", RECONCILER)
    eventually(lambda: shown(lab, RECONCILER, "ActiveState") == "active", "it to be ready", timeout=5)
    return Meanwhile(lab, "first")


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_a_file_of_garbage_is_put_aside_and_made_anew(host: Lab, restarted: bool) -> None:
    """At once, so that `info` has seldom anything to say: what became of it is an event, and a line in the journal."""
    meanwhile = _settled(host)
    _trash(host)
    if restarted:
        _restarted(host)
    meanwhile.happens()
    meanwhile.recovers()
    eventually(lambda: _told_of_host(host, meanwhile.begin) == ["StoreDamaged"], "the damage to be an event")
    assert len(meanwhile.said("was damaged")) == 1
    (aside,) = meanwhile.said("was damaged")
    assert host.path(aside.split('"')[1]).exists()


def test_damage_that_hides_behind_a_good_beginning_is_found_at_the_next_start(host: Lab) -> None:
    """Until then only what is read shows it: within 10 min all is read. The rows are true all the same."""
    meanwhile = _settled(host)
    _trash(host, begin=4096)
    meanwhile.happens()
    _restarted(host)
    assert {name: row["pid"] for name, row in rows(host).items()} == pids(host, CREW)
    later = Meanwhile(host, "first")
    later.happens()
    later.recovers()
    eventually(lambda: "StoreDamaged" in _told_of_host(host, meanwhile.begin), "the damage to be an event")
    assert len(meanwhile.said("was damaged")) == 1


@pytest.mark.parametrize("what", ["state.db", "state.db*"])
def test_a_deleted_file_is_written_anew(host: Lab, what: str) -> None:
    meanwhile = _settled(host)
    host.sh(f"rm {STATE}/{what}")
    meanwhile.happens()
    meanwhile.recovers()
    eventually(lambda: _told_of_host(host, meanwhile.begin) == ["StoreGone"], "its loss to be an event")
    assert len(meanwhile.said("was gone")) == 1


@pytest.mark.parametrize("what", ["state.db", "state.db*"])
def test_a_reconciler_that_finds_no_file_begins_anew(host: Lab, what: str) -> None:
    meanwhile = _settled(host)
    host.sh(f"rm {STATE}/{what}")
    _restarted(host)
    meanwhile.happens()
    meanwhile.recovers()
