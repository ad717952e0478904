"""The way to the service manager: sd_notify(3), without ever waiting for it.

What it must hear once (ready, stopping, the arming of its watchdog) is owed until it got through; of a ping or a status
that found its queue full, the next one takes the place. A process forked off the agent says nothing here: it would
keep the watchdog of a hung parent quiet.
"""

from __future__ import annotations

import atexit
import os
import socket

from sdnotify import SystemdNotifier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

    Environment = MutableMapping[str, str]

STATUS_EVERY = 1.0
AWAY = 1.0
"""Seconds until somebody who was not there is tried again."""


class Notifier(SystemdNotifier):  # type: ignore[misc]
    """sdnotify's own, for an address that has left the environment, and with a socket that never blocks."""

    def __init__(self, address: str) -> None:
        self.debug = True  # it raises then, so that we know
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        try:
            self.socket.connect("\0" + address[1:] if address.startswith("@") else address)
        except (OSError, ValueError):  # ValueError: a path with a NUL
            self.socket.close()
            raise

    def notify(self, state: str) -> None:
        """sdnotify sends Latin-1 and refuses what is none; systemd wants UTF-8: these are the same bytes."""
        super().notify(state.encode(errors="replace").decode("latin-1"))


class Manager:
    """`tell` sends what is due. Without a NOTIFY_SOCKET nothing ever is."""

    def __init__(self, environ: Environment) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")  # children must not speak for us
        self._pid = os.getpid()
        self._notifier: Notifier | None = None
        self._away_until = float("-inf")
        self._owed: dict[str, str] = {}
        self._ready = False
        self._interval, self._arm = _watchdog(environ, self._pid)
        self._pinged = float("-inf")
        self._status, self._status_at = "", float("-inf")

    def owe(self, line: str) -> None:
        """Send this line, once, with the next message that gets through."""
        self._owed[line.partition("=")[0]] = line

    def owe_ready(self) -> None:
        """READY=1, once in the life of this process."""
        if not self._ready:
            self._ready = True
            self.owe("READY=1")

    def tell(self, status: str, *, now: float, ping: bool = False, urgent: bool = False) -> bool:
        """Send what is due, in one message. `urgent`: a new status does not wait for its second to be over.

        False where the queue was full: to try again soon is worth it.
        """
        if not self._address or os.getpid() != self._pid or now < self._away_until:
            return True
        pinging = ping and self._interval is not None and now - self._pinged >= self._interval / 3
        stating = status != self._status and (urgent or now - self._status_at >= STATUS_EVERY)
        owed = dict(self._owed)
        lines = list(owed.values())
        if pinging:
            lines += [self._arm, "WATCHDOG=1"] if self._arm else ["WATCHDOG=1"]
        if stating:
            lines.append(f"STATUS={status}")
        if not lines:
            return True
        try:
            self._send("\n".join(lines))
        except BlockingIOError:
            return False
        except (OSError, ValueError):  # not there, or not for us
            self.close()
            self._away_until = now + AWAY
            return True
        for key in owed:  # a signal handler may have come in between, and owe more
            self._owed.pop(key, None)
        if pinging:
            self._pinged, self._arm = now, ""
        if stating:
            self._status, self._status_at = status, now
        return True

    def close(self) -> None:
        if self._notifier is not None:
            self._notifier.socket.close()
            self._notifier = None

    def _send(self, message: str) -> None:
        if self._notifier is None:
            self._notifier = Notifier(self._address)
        self._notifier.notify(message)


def _watchdog(environ: Environment, pid: int) -> tuple[float | None, str]:
    """Seconds of the watchdog's interval, None without one; and the line that arms it, empty where it is armed.

    sd_watchdog_enabled(3): a WATCHDOG_PID that is not ours says that the watchdog is another process's.
    """
    armed = _microseconds(environ, "WATCHDOG_USEC")
    if armed:
        ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        return (armed / 1_000_000 if ours else None), ""
    wanted = _microseconds(environ, "SUPERVISE_WATCHDOG_USEC")
    return (wanted / 1_000_000, f"WATCHDOG_USEC={wanted}") if wanted else (None, "")


def _microseconds(environ: Environment, name: str) -> int:
    text = environ.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else 0


_found: dict[str, Manager] = {}


def of_this_process() -> Manager:
    """The one manager that this process has. It outlives an Agent, since NOTIFY_SOCKET can be read only once."""
    if "manager" not in _found or "NOTIFY_SOCKET" in os.environ:
        _found["manager"] = Manager(os.environ)
        atexit.register(_found["manager"].close)
    return _found["manager"]
