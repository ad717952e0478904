"""The agent's own voice: one object, one call for each turn of its loop.

Nothing here waits, and nothing is said by itself: what is due goes out with the next call. See `state.py` for what is
said, `manager.py` and `reconciler.py` for to whom and how often.
"""

from __future__ import annotations

import errno
import os
import sys
from threading import RLock
from time import monotonic, sleep

from supervise.agent import manager, reconciler
from supervise.agent.claim import claim
from supervise.agent.credentials import secret
from supervise.agent.state import State
from supervise.agent.wording import line, number, reason, status_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

TRIES, PAUSE = 5, 0.002
"""How often, and after how many seconds, what has no later chance is tried again while a queue is full."""
LONGEST_EXTENSION = 365 * 86400
SECOND_COPY = 75
"""sysexits(3): EX_TEMPFAIL, "try again later"."""


class Agent:
    """One agent; make it first of all, once. A second copy of it ends here, with a sentence and exit code 75.

    `name` is that of `agents.yaml`; what runs an agent from there knows it better and wins (SUPERVISE_AGENT).
    As a context manager it says that it stops, or what it dies of, when it is left.
    """

    _lock = RLock()
    """Of the whole process, as its manager is. Reentrant, since a signal handler may speak in the midst of a beat."""

    def __init__(self, name: str) -> None:
        self.name = os.environ.get("SUPERVISE_AGENT") or str(name)
        self._manager = manager.of_this_process()
        if os.environ.get("SUPERVISE_SINGLE") != "0":
            self._insist_on_being_single()
        self._state = State(self.name)
        self._reconciler = reconciler.for_agent(self.name)

    def _insist_on_being_single(self) -> None:
        first = claim(self.name, os.environ)
        if first:
            print(first, file=sys.stderr, flush=True)
            self._manager.tell(line(first), now=monotonic(), urgent=True)
            raise SystemExit(SECOND_COPY)

    # --- Signs of life, one for each turn of the loop -----------------------------------------------------------------

    def beat(
        self,
        activity: str | None = None,
        *,
        progress: float | None = None,
        health: float | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> None:
        """The loop turns and all is well. What is not given stays as it was, but troubles are over.

        `progress` from 0 to 1, `health` from 0 to 100; `metadata` is anything for people to see, a few KB at most.
        """
        with Agent._lock:
            self._state.works(activity, progress=progress, health=health, metadata=metadata)
            self._state.is_well()
            self._manager.owe_ready()
            self._tell(ping=True)

    def waiting(self, what: object, *, health: float | None = None) -> None:
        """The loop turns, but can do nothing until something comes back: "no route to exchange"."""
        with Agent._lock:
            self._state.is_in_trouble("warning", waiting=reason(what), health=health)
            self._tell(ping=True)

    def warning(self, what: object, *, health: float | None = None) -> None:
        """The loop turns, but something should be looked at."""
        with Agent._lock:
            self._state.is_in_trouble("warning", error=reason(what), health=health)
            self._tell(ping=True)

    def error(self, what: object, *, health: float | None = None) -> None:
        """The loop turns, but its work fails. `what`: a text or an exception."""
        with Agent._lock:
            self._state.is_in_trouble("error", error=reason(what), health=health)
            self._tell(ping=True)

    # --- Said once ----------------------------------------------------------------------------------------------------

    def ready(self, activity: str | None = None) -> None:
        """The start is over: whoever depends on this agent may start. No beat: it arms no watchdog."""
        with Agent._lock:
            self._state.works(activity)
            self._state.is_well()
            self._manager.owe_ready()
        self._insist()

    def stopping(self) -> None:
        """The end has begun. It is the last word on the status; later beats are signs of life still."""
        with Agent._lock:
            self._state.is_stopping()
            self._manager.owe("STOPPING=1")
            self._tell(urgent=True)

    def extend(self, seconds: float) -> None:
        """Ask the manager for more time to start or to stop, from now on."""
        wanted = number(seconds)
        if wanted is None or wanted <= 0:
            return
        with Agent._lock:
            self._manager.owe(f"EXTEND_TIMEOUT_USEC={round(min(wanted, LONGEST_EXTENSION) * 1_000_000)}")
            self._tell_manager()

    def deadlock(self, what: object = "deadlock") -> None:
        """Ask to be killed and started again, as if the watchdog had expired: for a loop that cannot turn any more."""
        with Agent._lock:
            self._state.is_in_trouble("error", error=reason(what))
            self._manager.owe("WATCHDOG=trigger")
            self._reconciler.tell(self._state.fields, now=monotonic(), urgent=True)
        self._insist()

    secret = staticmethod(secret)

    # --- The end ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and _is_failure(error):
            self._last_words(error)
        else:
            self.stopping()
        self._insist()

    def _last_words(self, error: BaseException) -> None:
        """What it dies of. Without STOPPING=1: to systemd that is an orderly end, and this is none."""
        code = error.code if isinstance(error, SystemExit) else None
        what = f"exit code {code}" if isinstance(code, int) else code or error
        with Agent._lock:
            self._state.is_in_trouble("error", error=reason(what))
            self._manager.owe(f"ERRNO={_number(error)}")
            self._reconciler.tell(self._state.fields, now=monotonic(), urgent=True)

    # --- Telling ------------------------------------------------------------------------------------------------------

    def _tell(self, *, ping: bool = False, urgent: bool = False) -> None:
        self._tell_manager(ping=ping, urgent=urgent)
        self._reconciler.tell(self._state.fields, now=monotonic(), urgent=urgent)

    def _tell_manager(self, *, ping: bool = False, urgent: bool = False) -> bool:
        return self._manager.tell(status_text(self._state.fields), now=monotonic(), ping=ping, urgent=urgent)

    def _insist(self) -> None:
        """Tell the manager what may have no later chance: for a few milliseconds, and not a moment under the lock."""
        for _ in range(TRIES):
            with Agent._lock:
                if self._tell_manager(urgent=True):
                    return
            sleep(PAUSE)


def _is_failure(error: BaseException) -> bool:
    """Whether this is no way to end: an exception, or an exit with a code or a complaint."""
    return isinstance(error, Exception) or (isinstance(error, SystemExit) and error.code not in (None, 0))


def _number(error: BaseException | None) -> int:
    """The errno of the error, or of what caused it."""
    while error is not None:
        if isinstance(error, OSError) and isinstance(error.errno, int):
            return error.errno
        error = error.__cause__ or error.__context__
    return errno.ENOTRECOVERABLE


def _renew_lock() -> None:
    """In a forked child: the thread that held the lock may not exist here."""
    Agent._lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
