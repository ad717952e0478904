"""An agent that finds out what its sandbox lets it do, and prints it as one line of JSON. Standard library only.

`sandbox_probe.py PATH…`: besides the fixed questions, is there a file at each PATH, and can one be made there?
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import multiprocessing
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLONE_NEWUSER = 0x10000000
LIBC = ctypes.CDLL(None, use_errno=True)


def tried(action: Callable[[], Any]) -> Any:
    """What it gives, `ok` if that is nothing, or the name of the error."""
    try:
        answer = action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "ok" if answer is None else answer


def in_a_child(action: Callable[[], Any]) -> str:
    """The same, in a process that may come out changed."""
    read, write = os.pipe()
    if not (child := os.fork()):
        os.write(write, str(tried(action)).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as answer:
        return answer.read()


def written(folder: str) -> Any:
    def make() -> None:
        file = Path(folder, ".probe")
        file.write_text("probe", encoding="utf-8")
        file.unlink()

    return tried(make)


def read_only(path: str) -> Any:
    return tried(lambda: bool(os.statvfs(path).f_flag & os.ST_RDONLY))


def listed(path: str) -> Any:
    return tried(lambda: sorted(name for name in os.listdir(path) if not name.startswith("systemd-private-")))


def called(name: str, *arguments: int) -> None:
    if getattr(LIBC, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def opened(family: str, kind: int) -> Any:
    def make() -> None:
        socket.socket(getattr(socket, family), kind).close()

    return tried(make)


def setuid_file() -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        os.chmod(file.name, 0o4755)


def real_work() -> None:
    """What ordinary programs do: threads, processes, semaphores, a database, machine code made at run time."""
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    subprocess.run([sys.executable, "-c", "import ssl, asyncio"], check=True)
    with multiprocessing.Semaphore(1), contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("create table t (x)")
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    os.nice(1)


def status(name: str) -> str:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))


def nested_container() -> str:
    argv = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "true"]
    return "ok" if subprocess.run(argv, capture_output=True, check=False).returncode == 0 else "refused"


def facts(paths: list[str]) -> dict[str, Any]:
    return {
        "executable": sys.executable,
        "cwd": os.getcwd(),
        "uid": os.getuid(),
        "no_new_privileges": status("NoNewPrivs"),
        "seccomp": int(status("Seccomp_filters")),
        "capabilities": int(status("CapBnd"), 16),
        "users": len(Path("/proc/self/uid_map").read_text(encoding="utf-8").splitlines()),
        "etc_owner": os.stat("/etc").st_uid,
        "write": {path: written(path) for path in paths},
        "exists": {path: os.path.exists(path) for path in paths},
        "read_only": {
            path: read_only(path) for path in ("/", "/usr", "/etc", "/opt", "/run", "/sys/fs/cgroup/systemd")
        },
        "list": {path: listed(path) for path in ("/home", "/root", "/tmp", "/run/user")},
        "sockets": {
            "unix": opened("AF_UNIX", socket.SOCK_DGRAM),
            "inet": opened("AF_INET", socket.SOCK_STREAM),
            "netlink": opened("AF_NETLINK", socket.SOCK_RAW),
            "vsock": opened("AF_VSOCK", socket.SOCK_STREAM),
        },
        "namespace": in_a_child(lambda: called("unshare", CLONE_NEWUSER)),
        "nested_container": nested_container(),
        "personality": in_a_child(lambda: called("personality", 0x0400000)),
        "trace": in_a_child(lambda: called("ptrace", 0, 0, 0, 0)),
        "setuid_file": tried(setuid_file),
        "init_seen": os.path.exists("/proc/1"),
        "modules_seen": tried(lambda: bool(os.listdir("/usr/lib/modules"))),
        "terminal_seen": os.path.exists("/dev/tty0") or os.path.exists("/dev/console"),
        "uts": os.readlink("/proc/self/ns/uts"),
        "work": tried(real_work),
    }


if __name__ == "__main__":
    print("FACTS " + json.dumps(facts(sys.argv[1:])), flush=True)
