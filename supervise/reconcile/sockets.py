"""The daemon's two sockets, handed over by systemd (sd_listen_fds(3)) or, where nobody did, made here."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from pathlib import Path

from supervise.errors import SuperviseError
from supervise.places import Places

FIRST = 3
"""The first descriptor that systemd hands over."""
CONTROL, AGENT = "control", "agent"


def sockets(places: Places, environ: MutableMapping[str, str]) -> tuple[socket.socket, socket.socket]:
    """(control, agent). Takes the variables out of the environment, as they are for nobody else."""
    given = _given(environ)
    return (
        given.get(CONTROL) or _made(places.control, socket.SOCK_STREAM, 0o666),
        given.get(AGENT) or _made(places.agent_socket, socket.SOCK_DGRAM, 0o660),
    )


def _given(environ: MutableMapping[str, str]) -> dict[str, socket.socket]:
    count, pid, names = (environ.pop(name, "") for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"))
    if not count.isdecimal() or pid != str(os.getpid()):
        return {}
    found = {}
    for number, name in zip(range(FIRST, FIRST + int(count)), names.split(":"), strict=False):
        os.set_inheritable(number, False)
        found[name] = socket.socket(fileno=number)
    return found


def _made(path: Path, kind: socket.SocketKind, mode: int) -> socket.socket:
    """A socket of our own. One that a dead reconciler has left is replaced; one that answers is not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _somebody_listens(path, kind):
            raise SuperviseError(f"cannot listen on {path}: another reconciler does")
        path.unlink(missing_ok=True)
        return _bound(path, kind, mode)
    except OSError as error:
        raise SuperviseError(f"cannot listen on {path}: {error.strerror or error}") from error


def _somebody_listens(path: Path, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.setblocking(False)
        try:
            sock.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:  # one that hangs, with as many waiting as may
            return True
    return True


def _bound(path: Path, kind: socket.SocketKind, mode: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        sock.bind(str(path))
        path.chmod(mode)
        if kind is socket.SOCK_STREAM:
            sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock
