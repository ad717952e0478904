"""Looks at all processes that cost little: what is read again and when, on a recorded /proc and on the real one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervise.model import Process
from supervise.observe import census as module
from supervise.observe.census import ROUND, YOUNG, Census
from supervise.observe.scan import View, read, scan
from tests.observe.running import WAITS, Running, eventually, running
from tests.observe.test_scan import proc, record

__all__ = ["proc"]
Reads = list[str]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """The PIDs that are read, as they are."""
    found: Reads = []

    def noting(folder: Path, pid: str, view: View) -> Process | None:
        found.append(pid)
        return read(folder, pid, view)

    monkeypatch.setattr(module, "read", noting)
    return found


def pids(census: Census) -> set[int]:
    return {one.id.pid for one in census.look()}


def rewrite(proc: Path, pid: int, **changes: object) -> None:
    """The same process, with the same folder, as another program."""
    for file in ("cmdline", "cgroup", "stat"):
        (proc / str(pid) / file).unlink()
    for link in ("exe", "cwd", "ns/pid"):
        (proc / str(pid) / link).unlink(missing_ok=True)
    (proc / str(pid) / "ns").rmdir()
    old = {entry.name: entry for entry in proc.iterdir()}[str(pid)]
    parked = proc.parent / "parked"
    record(parked, pid, **changes)  # type: ignore[arg-type]
    for entry in (parked / str(pid)).iterdir():
        shutil.move(entry, old / entry.name)
    shutil.rmtree(parked)


def test_it_sees_what_a_scan_sees(proc: Path) -> None:
    record(proc, 20)
    record(proc, 21, state="Z", argv=b"")
    census = Census(proc)
    assert set(census.look()) == set(scan(proc).processes)
    assert census.complete


def test_who_comes_is_seen_in_the_next_look_and_who_goes_is_not(proc: Path) -> None:
    census = Census(proc)
    assert pids(census) == {1}
    record(proc, 20)
    assert pids(census) == {1, 20}
    shutil.rmtree(proc / "20")
    assert pids(census) == {1}


def test_the_young_are_read_in_every_look_and_the_others_once_more(proc: Path, reads: Reads) -> None:
    record(proc, 20)
    census = Census(proc)
    for _ in range(YOUNG + 1):
        pids(census)
    assert reads.count("20") == YOUNG + 1
    reads.clear()
    for _ in range(10 * ROUND):
        pids(census)
    assert reads.count("20") == 1


@pytest.mark.parametrize("other", [{"argv": b"two\0"}, {"cgroup": "/elsewhere"}, {"cwd": "/elsewhere"}])
def test_of_the_others_one_whose_signs_differ_is_read_within_a_round(proc: Path, other: dict[str, Any]) -> None:
    record(proc, 20)
    census = Census(proc)
    for _ in range(3 * ROUND):
        before = list(census.look())
    rewrite(proc, 20, **other)
    for _ in range(ROUND):
        after = list(census.look())
    assert after != before


def test_who_becomes_another_program_is_known_within_a_round(proc: Path) -> None:
    record(proc, 20, argv=b"sh\0wrapper\0")
    census = Census(proc)
    for _ in range(3 * YOUNG):
        pids(census)
    rewrite(proc, 20, argv=b"python\0run.py\0")
    looks = 0
    while {one.argv for one in census.look() if one.id.pid == 20} != {("python", "run.py")}:
        looks += 1
        assert looks < ROUND


def test_who_is_suspected_is_read_in_the_next_look(proc: Path) -> None:
    record(proc, 20, argv=b"sh\0wrapper\0")
    census = Census(proc)
    for _ in range(3 * YOUNG):
        pids(census)
    rewrite(proc, 20, argv=b"python\0run.py\0")
    census.read_again(20)
    assert ("python", "run.py") in {one.argv for one in census.look()}


def test_who_has_not_changed_is_the_same_object(proc: Path) -> None:
    record(proc, 20)
    census = Census(proc)
    first = {one.id.pid: one for one in census.look()}
    for _ in range(2 * ROUND):
        later = {one.id.pid: one for one in census.look()}
        assert all(later[pid] is first[pid] for pid in first)


def test_a_pid_that_another_process_has_now_is_read_anew(proc: Path) -> None:
    record(proc, 20, argv=b"one\0")
    census = Census(proc)
    for _ in range(3 * YOUNG):
        pids(census)
    (proc / "20").rename(proc.parent / "kept")  # so that its inode is not given to the next one
    record(proc, 20, argv=b"two\0")
    assert ("two",) in {one.argv for one in census.look()}


def test_where_one_may_not_be_read_the_look_is_not_complete(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(proc, 20)
    closed = [True]

    def refusing(folder: Path, pid: str, view: View) -> Process | None:
        if pid == "20" and closed[0]:
            raise PermissionError(13, "Permission denied")
        return read(folder, pid, view)

    monkeypatch.setattr(module, "read", refusing)
    census = Census(proc)
    assert (pids(census), census.complete) == ({1}, False)
    closed[0] = False
    assert (pids(census), census.complete) == ({1, 20}, True)


# --- On this machine --------------------------------------------------------------------------------------------------


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "run.py").write_text(WAITS)
    with running(tmp_path) as found:
        yield found


def there(census: Census, pid: int) -> Callable[[], Process | None]:
    return lambda: next((one for one in census.look() if one.id.pid == pid and one.argv[1:] == ("run.py",)), None)


def test_a_shell_that_becomes_the_program_is_seen_as_such(programs: Running) -> None:
    census = Census()
    list(census.look())
    started = programs.start("sh", "-c", f"sleep 0.05; exec {sys.executable} run.py")
    assert eventually(there(census, started.pid))


def test_a_reused_pid_is_another_process(programs: Running) -> None:
    """The inode of its folder tells, though the look does not read it."""
    last = Path("/proc/sys/kernel/ns_last_pid")
    first = programs.start(sys.executable, "run.py")
    census = Census()
    assert eventually(there(census, first.pid))
    first.kill()
    first.wait()
    try:
        last.write_text(str(first.pid - 1))
    except OSError:
        pytest.skip("only root chooses PIDs")
    second = subprocess.Popen(["sleep", "60"], cwd=programs.folder)
    try:
        if second.pid != first.pid:
            pytest.skip("another process was quicker")
        seen = next(one for one in census.look() if one.id.pid == second.pid)
        assert seen.argv != (sys.executable, "run.py")
    finally:
        second.kill()
        second.wait()
