"""What a daemon of ours tells its own service manager. Its watchdog is fed by finished passes and by nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from sdnotify import SystemdNotifier


class Notify:
    """Does nothing where nobody listens."""

    def __init__(self) -> None:
        self._notifier = SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
        if self._notifier and self._notifier.socket is not None:
            self._notifier.socket.setblocking(False)
        self._last = ""
        self._ready = False

    @property
    def watchdog(self) -> timedelta | None:
        """Within what time a pass must have been finished."""
        with suppress(KeyError, ValueError):
            return timedelta(microseconds=int(os.environ["WATCHDOG_USEC"]))
        return None

    def ready(self) -> None:
        self._ready = True
        self._say("READY=1")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """While it reads its files anew (sd_notify(3)). Before it is ready the manager waits for it anyway."""
        if not self._ready:
            yield
            return
        self._say("RELOADING=1")
        try:
            yield
        finally:
            self._say("READY=1")

    def stopping(self) -> None:
        self._say("STOPPING=1")

    def passed(self, status: str) -> None:
        """A pass was finished."""
        self._say("WATCHDOG=1")
        if status != self._last:
            line = f"STATUS={status}"
            self._say(line.encode(errors="replace").decode("latin-1"))  # as which sdnotify sends it
            self._last = status

    def _say(self, line: str) -> None:
        if self._notifier:
            self._notifier.notify(line)
