"""Recorded process file systems, and the real one of this machine."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from supervise.errors import PlatformError
from supervise.model import Process, ProcessId
from supervise.observe.scan import PROC, TICKS, process, read, scan, view
from tests.observe.running import WAITS, eventually, running

BOOT = 1_700_000_000
HYBRID = "9:name=systemd:{}\n4:memory:/elsewhere\n0::/unified\n"
UNIFIED = "0::{}\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with an init and ourselves, who are process 500."""
    folder = tmp_path / "proc"
    folder.mkdir()
    (folder / "stat").write_text(f"cpu  1 2 3\nintr 9 9\nctxt 5\nbtime {BOOT}\nprocesses 7\n")
    record(folder, 1, argv=b"/sbin/init\0", cgroup="/init.scope")
    record(folder, 500, argv=b"supervise\0")
    (folder / "self").symlink_to("500")
    (folder / "sys").mkdir()
    return folder


def record(
    proc: Path,
    pid: int,
    *,
    argv: bytes = b"python\0run.py\0",
    comm: str = "python",
    parent: int = 1,
    started: int = 100,
    cgroup: str = "/",
    form: str = UNIFIED,
    exe: str | None = "/usr/bin/python3.11",
    cwd: str | None = "/srv/p",
    namespace: str = "pid:[1]",
    state: str = "S",
    flags: int = 0x400000,
) -> None:
    folder = proc / str(pid)
    (folder / "ns").mkdir(parents=True)
    (folder / "cmdline").write_bytes(argv)
    fields = [state, str(parent), *"1234", str(flags), *("0" for _ in range(12)), str(started), "4096", "77"]
    (folder / "stat").write_text(f"{pid} ({comm}) {' '.join(fields)}\n")
    (folder / "cgroup").write_text(form.format(cgroup))
    for name, target in (("exe", exe), ("cwd", cwd), ("ns/pid", namespace)):
        if target:
            (folder / name).symlink_to(target)


def only(proc: Path, pid: int) -> Process:
    return next(one for one in scan(proc).processes if one.id.pid == pid)


def test_a_process_is_told_as_it_was_recorded(proc: Path) -> None:
    record(proc, 42, parent=7, started=250 * TICKS, cgroup="/user.slice/session-1.scope")

    assert only(proc, 42) == Process(
        id=ProcessId(42, 250 * TICKS),
        parent=7,
        uid=os.getuid(),
        argv=("python", "run.py"),
        executable=Path("/usr/bin/python3.11"),
        directory=Path("/srv/p"),
        cgroup="/user.slice/session-1.scope",
        started_at=datetime.fromtimestamp(BOOT, UTC) + timedelta(seconds=250),
        user=getpass.getuser(),
    )
    assert process(42, proc) == only(proc, 42)


@pytest.mark.parametrize("comm", ["python", "a b", ")", "x) R 1 2 3", "((", "", "a\nb"])
def test_a_process_name_may_be_anything(proc: Path, comm: str) -> None:
    record(proc, 42, comm=comm, parent=7, started=123)
    assert (only(proc, 42).parent, only(proc, 42).id.started) == (7, 123)


@pytest.mark.parametrize(
    ("recorded", "argv"),
    [
        (b"a\0", ("a",)),
        (b"a\0b c\0", ("a", "b c")),
        (b"a\0\0", ("a", "")),
        (b"a\0\0b\0", ("a", "", "b")),
        (b"a\0b", ("a", "b")),
        (b"\0", ("",)),
        (b"a\nb\0\xff\0", ("a\nb", "\udcff")),
        (b"a\0" + b"x" * 70_000 + b"\0", ("a", "x" * 70_000)),
        (b"a\0" + b"x" * 131_070 + b"\0b\0", ("a", "x" * 131_070, "b")),
    ],
)
def test_words_arrive_byte_for_byte(proc: Path, recorded: bytes, argv: tuple[str, ...]) -> None:
    record(proc, 42, argv=recorded)
    assert only(proc, 42).argv == argv


@pytest.mark.parametrize(("state", "flags"), [("Z", 0x400100), ("X", 0), ("I", 0x208040), ("S", 0x200000)])
def test_kernel_threads_and_zombies_have_no_words_and_are_left_out(proc: Path, state: str, flags: int) -> None:
    record(proc, 42, argv=b"", state=state, flags=flags)
    assert [one.id.pid for one in scan(proc).processes] == [1]
    assert process(42, proc) is None


def test_a_process_without_words_is_seen_all_the_same(proc: Path) -> None:
    record(proc, 42, argv=b"")
    assert only(proc, 42).argv == ()


def test_a_process_is_seen_in_the_moment_of_its_exec(tmp_path: Path) -> None:
    """While execve(2) lays out the new program, the kernel shows no words: a start would overlook the copy.

    Nine of ten children are in it when Popen returns, so the look must follow at once: hence the private ones.
    """
    seen_from = view(PROC)
    for _ in range(50):
        child = subprocess.Popen(["sleep", "60"], cwd=tmp_path)
        seen = read(PROC, str(child.pid), seen_from)
        child.kill()
        child.wait()
        assert seen
        assert seen.argv == ("sleep", "60")


def test_we_are_not_part_of_what_we_see(proc: Path) -> None:
    assert 500 not in {one.id.pid for one in scan(proc).processes}


@pytest.mark.parametrize(
    ("content", "cgroup"),
    [
        ("9:name=systemd:/a.service\n4:memory:/b\n0::/c\n", "/a.service"),
        ("0::/c.service\n", "/c.service"),
        ("4:memory:/b\n0::/c\n", "/c"),
        ("4:memory:/b\n", ""),
        ("0::/with:colon.service\n", "/with:colon.service"),
        ("1:name=systemd:/x\n", "/x"),
    ],
)
def test_the_control_group_is_that_of_the_service_manager(proc: Path, content: str, cgroup: str) -> None:
    record(proc, 42, form=content)
    assert only(proc, 42).cgroup == cgroup


def test_what_may_not_be_read_is_none(proc: Path) -> None:
    record(proc, 42, exe=None, cwd=None)
    assert (only(proc, 42).executable, only(proc, 42).directory) == (None, None)


def test_a_deleted_program_keeps_its_path(proc: Path) -> None:
    record(proc, 42, exe="/usr/bin/python3.11 (deleted)", cwd="/srv/p (deleted)")
    assert (only(proc, 42).executable, only(proc, 42).directory) == (Path("/usr/bin/python3.11"), Path("/srv/p"))


@pytest.mark.parametrize("missing", ["cmdline", "stat", "cgroup"])
def test_a_process_that_vanishes_in_the_middle_is_left_out(proc: Path, missing: str) -> None:
    record(proc, 42)
    (proc / "42" / missing).unlink()
    found = scan(proc)
    assert [one.id.pid for one in found.processes] == [1]
    assert found.complete


def test_a_scan_without_the_first_process_is_incomplete(proc: Path) -> None:
    assert scan(proc).complete
    (proc / "1").rename(proc / "hidden")
    assert not scan(proc).complete


def test_a_process_that_may_not_be_read_makes_the_scan_incomplete(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hidepid=1`: root may read everything, so the refusal is put into the one call that opens files."""
    record(proc, 42)
    opened = os.open

    def refusing(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "cmdline" and dir_fd is not None and os.readlink(f"/proc/self/fd/{dir_fd}").endswith("/42"):
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refusing)
    found = scan(proc)
    assert [one.id.pid for one in found.processes] == [1]
    assert not found.complete
    assert process(42, proc) is None


def test_another_namespaces_processes_are_left_out_unless_they_are_an_agents(proc: Path) -> None:
    record(proc, 42, namespace="pid:[2]")
    record(proc, 43, namespace="pid:[2]", cgroup="/supervise.slice/agent@api.service")
    record(proc, 44, namespace="")
    assert {one.id.pid for one in scan(proc).processes} == {1, 43, 44}


def test_within_a_container_our_own_container_is_not_foreign(proc: Path) -> None:
    (proc / "500/cgroup").write_text(HYBRID.format("/docker/0123/supervise.slice"))
    record(proc, 42, form=HYBRID, cgroup="/docker/0123/user.slice")
    record(proc, 43, form=HYBRID, cgroup="/docker/0123")
    record(proc, 44, form=HYBRID, cgroup="/docker/0123456")
    record(proc, 45, form=HYBRID, cgroup="/docker/0123/docker/nested")
    assert [only(proc, pid).cgroup for pid in (42, 43, 44, 45)] == [
        "/user.slice",
        "/",
        "/docker/0123456",
        "/docker/nested",
    ]


def test_within_nested_containers_the_innermost_is_ours(proc: Path) -> None:
    (proc / "500/cgroup").write_text(UNIFIED.format("/docker/0123/docker/4567/init.scope"))
    record(proc, 42, cgroup="/docker/0123/docker/4567/user.slice")
    record(proc, 43, cgroup="/docker/0123/user.slice")
    assert [only(proc, pid).cgroup for pid in (42, 43)] == ["/user.slice", "/docker/0123/user.slice"]


def test_a_folder_without_a_boot_time_is_no_process_file_system(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="is not a process file system"):
        scan(tmp_path)


def test_a_real_process_is_seen_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(WAITS)
    begun = datetime.now(UTC)
    with running(tmp_path) as programs:
        started = programs.start(sys.executable, "run.py", "", "ü\n")
        (seen,) = eventually(programs.seen)

    assert seen.id.pid == started.pid
    assert seen.parent == os.getpid()
    assert seen.uid == os.geteuid()
    assert seen.argv == (sys.executable, "run.py", "", "ü\n")
    assert seen.directory == tmp_path
    assert seen.executable == Path(os.path.realpath(sys.executable))
    assert abs(seen.started_at - begun) < timedelta(seconds=5)
    assert process(started.pid) is None


def test_our_parent_is_seen_and_we_are_not() -> None:
    seen = {one.id.pid for one in scan().processes}
    assert os.getppid() in seen
    assert os.getpid() not in seen
