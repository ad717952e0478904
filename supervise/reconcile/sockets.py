"""The daemon's two sockets, handed over by systemd (sd_listen_fds(3)) or, where nobody did, made here."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
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
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(ConnectionRefusedError, FileNotFoundError):
            sock.connect(str(path))
            raise SuperviseError(f"cannot listen on {path}: another reconciler does")
        sock.close()
        sock = socket.socket(socket.AF_UNIX, kind)
        path.unlink(missing_ok=True)
        sock.bind(str(path))
        path.chmod(mode)
    except OSError as error:
        sock.close()
        raise SuperviseError(f"cannot listen on {path}: {error.strerror}") from error
    if kind is socket.SOCK_STREAM:
        sock.listen(128)
    return sock
