"""The way to the reconciler: the whole state in each datagram, not too often and not too seldom, never waiting.

The queue is everybody's, so no agent may flood it: not even one that turns from well to ill and back in a tight loop.
"""

from __future__ import annotations

import atexit
import os
import socket

from supervise.agent.wording import datagram

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from supervise.agent.wording import Fields

SYSTEM = "/run/supervise/agent.sock"
AT_MOST_EVERY = 0.25
AT_LEAST_EVERY = 5.0
BURST = 8
"""So many changes of status are sent at once; then they too wait their turn."""
AWAY = 1.0
"""Seconds until it is tried again after it was not there."""


class Reconciler:
    """`tell` sends the state if that is due. Times are those of the monotonic clock."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._socket = _socket()
        self._sent: Fields = {}
        self._sent_at = float("-inf")
        self._credit = float(BURST)
        self._pause_until = float("-inf")

    def tell(self, fields: Fields, *, now: float, urgent: bool = False) -> None:
        """`urgent`: there will be no later one."""
        if self._socket is None or not (urgent or self._due(fields, now)):
            return
        try:
            self._socket.sendto(datagram(fields), address(self._environ))
        except BlockingIOError:  # its queue is full: the next beat carries the newest state
            return
        except (OSError, ValueError):  # not there, not for us, or no path at all
            self._pause_until = now + AWAY
        else:
            self._credit = min(BURST, self._credit + (now - self._sent_at) / AT_MOST_EVERY) - 1
            self._sent, self._sent_at = fields, now

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _due(self, fields: Fields, now: float) -> bool:
        if now < self._pause_until:
            return False
        since = now - self._sent_at
        if fields == self._sent:
            return since >= AT_LEAST_EVERY
        if since >= AT_MOST_EVERY:
            return True
        return fields.get("status") != self._sent.get("status") and self._credit >= 1


def address(environ: Mapping[str, str]) -> str:
    """Where it listens: looked up for each datagram, so that a socket made anew is found.

    A user's own agents have no right to the machine's socket, and speak to that of their user.
    """
    written = environ.get("SUPERVISE_AGENT_SOCKET")
    if written:
        return written
    if os.access(SYSTEM, os.W_OK) or "XDG_RUNTIME_DIR" not in environ:
        return SYSTEM
    return f"{environ['XDG_RUNTIME_DIR']}/supervise/agent.sock"


def _socket() -> socket.socket | None:
    try:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    except (OSError, AttributeError):  # no descriptor left, or a system without such sockets
        return None
    found.setblocking(False)
    return found


_found: dict[str, Reconciler] = {}


def for_agent(name: str) -> Reconciler:
    """The one that this process has for an agent of that name: an Agent made anew keeps its turn."""
    if name not in _found:
        _found[name] = Reconciler(os.environ)
        atexit.register(_found[name].close)
    return _found[name]
