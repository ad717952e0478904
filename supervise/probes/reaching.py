"""From a host's name to its addresses, and from an error of the network to what it means for a probe.

A name that no server answers for holds whoever looks it up for many seconds. So each lookup has a thread of its own,
which nobody waits for at the end either; there are only so many, and who finds none free has not asked.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from typing import Any

from supervise.probes import CannotAsk, Failed

AT_ONCE = 16
"""Names that are looked up at the same time."""
LOCAL = ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"))
"""What `localhost` is (RFC 6761), whatever becomes of lookups. Last what most listen on: the last one tells why."""
SLOT_PAUSE = 0.01
"""Seconds between two looks for a thread that is free."""
MOST_ADDRESSES = 4
"""Addresses of one host that are tried."""
NETWORK_ERRORS = {
    errno.ECONNREFUSED: ("refused", "connection refused"),
    errno.ENETUNREACH: ("unreachable", "network unreachable"),
    errno.ENETDOWN: ("unreachable", "network down"),
    errno.EHOSTUNREACH: ("unreachable", "no route to host"),
    errno.EHOSTDOWN: ("unreachable", "host down"),
    errno.EADDRNOTAVAIL: ("unreachable", "address not available"),
    errno.ETIMEDOUT: ("timeout", "connection timed out"),
}
OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EACCES, errno.EPERM})
"""What this process lacks, and not the agent."""

Address = tuple[int, str, int]
"""Family, number, port."""


async def addresses(host: str, port: int, *, patience: float) -> tuple[Address, ...]:
    """At least one address. Raises Failed where the host has none, and CannotAsk where nobody has begun to look it up
    after so many seconds."""
    if host == "localhost":
        return tuple((family, number, port) for family, number in LOCAL)
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        try:
            found = look_up(flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            found = await _in_a_thread(look_up, patience)
    except (socket.gaierror, UnicodeError) as error:
        why = error.strerror if isinstance(error, socket.gaierror) else "no such name can be"
        raise Failed(f'cannot find "{host}": {why}', "dns") from error
    numbers = dict.fromkeys((family, str(where[0]), port) for family, _, _, _, where in found)
    return tuple(numbers)[:MOST_ADDRESSES]


def meaning(error: BaseException) -> Exception:
    """What to raise for an error that a connection ended with: Failed, CannotAsk or TimeoutError."""
    for one in _behind(error):
        if isinstance(one, ssl.SSLError):  # first, since its numbers are not the system's
            reason = getattr(one, "reason", None) or "failed"  # there is none where nobody but Python made it
            return Failed(f"TLS: {getattr(one, 'verify_message', None) or reason.replace('_', ' ').lower()}")
        if isinstance(one, TimeoutError) and one.errno is None:
            return TimeoutError()
        if isinstance(one, OSError) and one.errno in OURS:
            return CannotAsk(os.strerror(one.errno))
        if isinstance(one, OSError) and one.errno in NETWORK_ERRORS:
            word, detail = NETWORK_ERRORS[one.errno]
            return Failed(detail, word)
        if isinstance(one, OSError) and one.errno:
            return Failed(os.strerror(one.errno).lower())
    return Failed("the connection broke off")


def _behind(error: BaseException) -> Iterator[BaseException]:
    """The error and those that led to it."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


async def _in_a_thread(work: Callable[[], Any], patience: float) -> Any:
    slots, loop = _slots(), asyncio.get_running_loop()
    try:
        async with asyncio.timeout(patience):
            while not slots.acquire(blocking=False):
                await asyncio.sleep(SLOT_PAUSE)  # it is freed by a thread, which may be of another loop
    except TimeoutError as error:
        raise CannotAsk("too many names are being looked up that no server answers for") from error
    ended: asyncio.Future[Any] = loop.create_future()

    def run() -> None:
        result: Any = None
        try:
            result = work()
        except Exception as error:  # whoever waits is told
            result = error
        finally:
            slots.release()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_conclude, ended, result)

    threading.Thread(target=run, name="probe-name", daemon=True).start()
    return await ended


def _conclude(ended: asyncio.Future[Any], result: Any) -> None:
    if ended.done():
        return
    if isinstance(result, Exception):
        ended.set_exception(result)
    else:
        ended.set_result(result)


@cache
def _slots() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(AT_ONCE)
