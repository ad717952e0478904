"""The claim to be the only copy of an agent on this host: a lock on a file, held for the life of the process.

The kernel gives it back however the process ends. Who cannot take it for want of a place does without: it must keep a
second copy from running, and never the first one. Each user has a folder of their own, so that nobody else can take a
claim; those of root, and of the agent's unit, count for all users.
"""
# ruff: noqa: PTH102, PTH115, PTH116, PTH123, PTH208 (pathlib would add half to what importing this package costs)

from __future__ import annotations

import os
import stat
import time

try:
    import fcntl
except ImportError:  # a system without such locks
    fcntl = None  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SYSTEM = "/run/supervise/claim"
SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
TRIES, PAUSE = 20, 0.005
"""How long the first copy may take to write its PID into the file that it has locked."""

_held: dict[str, int] = {}
"""The claims of this process: name → descriptor of the locked file."""


def claim(name: str, environ: Mapping[str, str]) -> str | None:
    """Claim to be the only copy. Gives a sentence about the first copy if there is one, None if we are that.

    A process that the first copy has started is no second copy, but a part of it.
    """
    if fcntl is None or name in _held:
        return None
    for pid in _of_others(name):
        return None if pid in tuple(_own_line()) else _sentence(name, pid)
    for folder in _folders(environ):
        descriptor = _opened(folder, name)
        if descriptor is None:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(descriptor)
            os.close(descriptor)
            return None if owner in tuple(_own_line()) else _sentence(name, owner)
        except OSError:  # a file system without locks
            os.close(descriptor)
        else:
            _held[name] = descriptor
            _sign(descriptor)
            return None
    return None


def _release() -> None:
    """In a forked child: the lock is held as long as anybody has it open, and the child may outlive the agent."""
    while _held:
        os.close(_held.popitem()[1])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release)


# --- Places -----------------------------------------------------------------------------------------------------------


def _folders(environ: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Where a claim may lie, best first: a folder that is there, and those below it that are made if they are not."""
    uid = os.geteuid()
    yield SYSTEM, str(uid)
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime and _is_ours(runtime):  # it may be another user's still, after `su`
        yield runtime, "supervise", "claim"
    from tempfile import gettempdir  # only here: it costs more than all the rest of this package

    yield gettempdir(), f"supervise-claim-{uid}"


def _is_ours(folder: str) -> bool:
    try:
        return os.stat(folder).st_uid == os.geteuid()
    except (OSError, ValueError):
        return False


def _opened(folder: tuple[str, ...], name: str) -> int | None:
    """The file of this claim, in a folder that nobody else can write to; None where there can be none."""
    path = folder[0]
    try:
        for below in folder[1:]:
            path = f"{path}/{below}"
            _make(path)
        inside = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (OSError, ValueError):
        return None
    try:
        seen = os.fstat(inside)
        if seen.st_uid != os.geteuid() or stat.S_IMODE(seen.st_mode) & 0o022:
            return None
        if folder[0] == SYSTEM:  # others look at what lies in it; at mkdir a umask is in the way
            os.fchmod(inside, 0o755)
        return os.open(_file_name(name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=inside)
    except OSError:
        return None
    finally:
        os.close(inside)


def _make(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return


def _file_name(name: str) -> str:
    """The name itself if it is one of `agents.yaml`; from any other, one that leads nowhere else."""
    plain = "".join(one if one in SAFE or one == "." else f"%{ord(one):x}" for one in name)
    return plain if plain.strip(".") else f"%{plain}"


# --- Claims of other users --------------------------------------------------------------------------------------------


def _of_others(name: str) -> Iterator[int]:
    """Who holds this claim as another user, where that counts: as root, or in the unit of the agent.

    Anybody may lock a file of their own, so no other claim counts: it could keep an agent from starting. For the same
    reason nobody but its owner can open the file of a claim, since whoever reads a file can lock it as well; that it is
    locked, and by whom, is asked of the kernel.
    """
    files = dict(_files_of_others(name))
    holders = _holders() if files else {}
    for file, by_root in files.items():
        pid = holders.get(file)
        if pid and (by_root or _runs_unit(pid, name)):
            yield pid


def _files_of_others(name: str) -> Iterator[tuple[str, bool]]:
    """The files of this claim as /proc/locks names files, and whether root has made them."""
    try:
        uids = {entry for entry in os.listdir(SYSTEM) if entry.isdigit()} - {str(os.geteuid())}
    except OSError:
        return
    for uid in uids:
        try:
            inside = os.open(f"{SYSTEM}/{uid}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            folder, file = os.fstat(inside), os.stat(_file_name(name), dir_fd=inside, follow_symlinks=False)
        except (OSError, ValueError):
            continue
        finally:
            os.close(inside)
        if stat.S_ISREG(file.st_mode):
            device = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}"
            yield f"{device}:{file.st_ino}", folder.st_uid == file.st_uid == 0


def _holders() -> dict[str, int]:
    """The PIDs of those who hold a lock as we take it, by file; empty where the kernel does not show them."""
    try:
        lines = [line.split() for line in _read("/proc/locks").splitlines()]
    except OSError:
        return {}
    return {words[5]: int(words[4]) for words in lines if len(words) > 5 and words[1:4:2] == ["FLOCK", "WRITE"]}


def _runs_unit(pid: int, name: str) -> bool:
    try:
        return in_unit(_read(f"/proc/{pid}/cgroup"), name)
    except OSError:
        return False


def in_unit(cgroups: str, name: str) -> bool:
    """Whether what /proc/PID/cgroup says is the machine's unit of this agent.

    Above it are slices only: below their own `user@UID.service` users name units as they like.
    """
    for path in _of_manager(cgroups):
        above, found, _ = f"{path}/".partition(f"/agent@{name}.service/")
        if found and all(part.endswith(".slice") for part in above.split("/")[1:]):
            return True
    return False


# --- The first copy ---------------------------------------------------------------------------------------------------


def _sign(descriptor: int) -> None:
    """Write who holds it: PID and start time (field 22 of /proc/PID/stat), since a bare PID identifies nothing."""
    seen = _process(os.getpid())
    if seen:
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {seen[1]}\n".encode(), 0)
        except OSError:  # a full disk; it is held all the same
            return


def _owner(descriptor: int) -> int | None:
    """The PID of who holds it; None where the file does not tell, as in another container."""
    for _ in range(TRIES):
        words = os.pread(descriptor, 64, 0).split()
        if len(words) == 2 and all(word.isdigit() for word in words):
            pid, started = map(int, words)
            seen = _process(pid)
            if seen and seen[1] == started:
                return pid
        time.sleep(PAUSE)
    return None


def _process(pid: int) -> tuple[int, int] | None:
    """A living process's parent and its start in clock ticks."""
    try:
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return int(fields[1]), int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def _own_line() -> Iterator[int]:
    """Our parent, its parent …"""
    seen = _process(os.getpid())
    while seen and seen[0]:
        yield seen[0]
        seen = _process(seen[0])


def _sentence(name: str, pid: int | None) -> str:
    if pid is None:
        return f"{name} is already running, and holds its claim; not starting a second copy"
    return f"{name} is already running as PID {pid}{_since(pid)} ({_where(pid)}); not starting a second copy"


def _since(pid: int) -> str:
    seen = _process(pid)
    try:
        booted = next(line for line in _read("/proc/stat").splitlines() if line.startswith("btime "))
    except (OSError, StopIteration):
        return ""
    if not seen:
        return ""
    at = int(booted.split()[1]) + seen[1] / os.sysconf("SC_CLK_TCK")
    return time.strftime(" since %Y-%m-%d %H:%M:%S", time.localtime(at))


def _where(pid: int) -> str:
    try:
        unit = unit_of(_read(f"/proc/{pid}/cgroup"))
        return f"systemd unit {unit}" if unit else f"started by hand in {os.readlink(f'/proc/{pid}/cwd')}"
    except OSError:
        return "started by hand"


def unit_of(cgroups: str) -> str | None:
    """The service, or the scope of `supervise run`, in what /proc/PID/cgroup says; None for a process of a session."""
    for path in _of_manager(cgroups):
        unit = path.rpartition("/")[2]
        if unit.endswith(".service") or unit.startswith("agent-run-"):
            return unit
    return None


def _of_manager(cgroups: str) -> Iterator[str]:
    """The paths that the service manager has made."""
    for entry in cgroups.splitlines():
        _, controllers, path = entry.split(":", 2)
        if controllers in ("", "name=systemd"):
            yield path


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
