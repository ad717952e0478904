"""One look at all processes of this host, through `/proc` alone. It never writes, signals or waits.

Everything of one process is read through one descriptor of its folder, so that a PID that is given to another process
in the middle cannot mix two of them. Fields: proc(5). Control group: systemd's hierarchy (v1, hybrid) or `0::` (v2).
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from supervise.errors import PlatformError
from supervise.model import Process, ProcessId
from supervise.observe.cgroups import below, container, looks_like_agents

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
DELETED = " (deleted)"
CHUNK = 1 << 16
KERNEL_THREAD = 0x00200000  # PF_KTHREAD of include/linux/sched.h
LOOKS = 10
BETWEEN_LOOKS = 0.0005
Signs = tuple[bytes, bytes, str | None, int]
"""Command line, control groups, working directory and user."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The processes of one moment, without kernel threads, zombies and ourselves.

    Those of other PID namespaces are left out too, unless they live in an agent unit. `complete` is false where other
    users' processes are hidden from us (`hidepid=`): then nobody knows that no copy of an agent runs.
    """

    processes: tuple[Process, ...]
    complete: bool
    booted_at: datetime


@dataclass(frozen=True, slots=True)
class View:
    """What we are: the moment that process times count from, our container and our PID namespace."""

    booted_at: datetime
    pid: str
    container: str
    namespace: str | None


def scan(proc: Path = PROC) -> Scan:
    """Raises PlatformError where `proc` is no process file system."""
    seen_from = view(proc)
    pids = [entry.name for entry in os.scandir(proc) if entry.name.isdecimal() and entry.name != seen_from.pid]
    seen: list[Process] = []
    complete = (proc / "1").is_dir()
    for pid in pids:
        try:
            found = read(proc, pid, seen_from)
        except PermissionError:
            complete = False
        else:
            if found:
                seen.append(found)
    return Scan(tuple(seen), complete, seen_from.booted_at)


def process(pid: int, proc: Path = PROC) -> Process | None:
    """The process that has this PID now; None if there is none, if it is a zombie, or if we may not look."""
    try:
        return read(proc, str(pid), view(proc))
    except PermissionError:
        return None


def environment(one: Process, proc: Path = PROC) -> Mapping[str, str] | None:
    """What a process was started with; None where it is gone, is another one by now, or may not be looked into."""
    with suppress(OSError), _folder(f"{proc}/{one.id.pid}") as folder:
        content = _read("environ", folder)
        if _parent_and_start(_read("stat", folder))[1] == one.id.started:
            pairs = (os.fsdecode(entry).partition("=") for entry in content.split(b"\0") if entry)
            return {name: value for name, _, value in pairs}
    return None


def view(proc: Path) -> View:
    try:
        booted_at = _booted_at((proc / "stat").read_bytes())
    except (OSError, IndexError, ValueError) as error:
        raise PlatformError(f"cannot scan processes: '{proc}' is not a process file system") from error
    with suppress(OSError), _folder(f"{proc}/self") as own:
        pid = (proc / "self").readlink().name
        return View(booted_at, pid, container(_cgroup(_read("cgroup", own))), _link("ns/pid", own))
    return View(booted_at, "", "", None)


def _booted_at(stat: bytes) -> datetime:
    return datetime.fromtimestamp(int(stat.split(b"\nbtime ", 1)[1].split(None, 1)[0]), UTC)


def read(proc: Path, pid: str, view: View) -> Process | None:
    """One process. None where there is nothing to tell; PermissionError where we may not look."""
    with suppress(FileNotFoundError, ProcessLookupError, NotADirectoryError), _folder(f"{proc}/{pid}") as folder:
        words = _words(folder)
        if words is None:
            return None
        cgroup = below(_cgroup(_read("cgroup", folder)), view.container)
        if _elsewhere(folder, view) and not looks_like_agents(cgroup):
            return None
        parent, started = _parent_and_start(_read("stat", folder))
        uid = os.fstat(folder).st_uid
        return Process(
            id=ProcessId(int(pid), started),
            parent=parent,
            uid=uid,
            argv=words,
            executable=_path("exe", folder),
            directory=_path("cwd", folder),
            cgroup=cgroup,
            started_at=view.booted_at + timedelta(seconds=started / TICKS),
            user=_user(uid),
        )
    return None


def signs(proc: Path, pid: str) -> Signs | None:
    """What changes when a process becomes another program, somebody else's, or goes elsewhere: a fifth of the cost of
    reading it. None where we may not look."""
    with suppress(OSError), _folder(f"{proc}/{pid}") as folder:
        return _read("cmdline", folder), _read("cgroup", folder), _link("cwd", folder), os.fstat(folder).st_uid
    return None


@cache
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


@contextmanager
def _folder(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(name: str, folder: int) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        content = chunk = os.read(descriptor, CHUNK)
        while len(chunk) == CHUNK:
            chunk = os.read(descriptor, CHUNK)
            content += chunk
        return content
    finally:
        os.close(descriptor)


def _parent_and_start(stat: bytes) -> tuple[int, int]:
    fields = _fields(stat)
    return int(fields[1]), int(fields[19])


def _fields(stat: bytes) -> list[bytes]:
    """All from field 3 (the state) on: the name before it may hold spaces and parentheses."""
    return stat[stat.rindex(b")") + 2 :].split()


def _words(folder: int) -> tuple[str, ...] | None:
    """None for kernel threads and zombies, who have none; nobody else has none but in the middle of an execve(2)."""
    for _ in range(LOOKS):
        content = _read("cmdline", folder)
        if content:
            return tuple(os.fsdecode(word) for word in content.removesuffix(b"\0").split(b"\0"))
        if _wordless(_read("stat", folder)):
            return None
        time.sleep(BETWEEN_LOOKS)
    return ()


def _wordless(stat: bytes) -> bool:
    fields = _fields(stat)
    return fields[0] in (b"Z", b"X") or bool(int(fields[6]) & KERNEL_THREAD)


def _cgroup(content: bytes) -> str:
    unified = ""
    for line in os.fsdecode(content).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "name=systemd":
            return path
        if number == "0" and not controllers:
            unified = path
    return unified


def _link(name: str, folder: int) -> str | None:
    """Where a link of the folder leads; None where we may not look, or where it leads nowhere."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


def _path(name: str, folder: int) -> Path | None:
    target = _link(name, folder)
    return Path(target.removesuffix(DELETED)) if target else None


def _elsewhere(folder: int, view: View) -> bool:
    """Whether the process lives in another PID namespace than we do; no where that cannot be seen."""
    namespace = _link("ns/pid", folder)
    return None not in (namespace, view.namespace) and namespace != view.namespace
