"""From a host's name to its addresses, and from an error of the network to what it means for a probe.

Names are looked up in threads of their own: one that no server answers holds its thread for many seconds, and none of
the daemon's other work may wait behind it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

from supervise.probes import CannotAsk, Failed

AT_ONCE = 4
"""Names that are looked up at the same time."""
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


async def addresses(host: str, port: int) -> tuple[Address, ...]:
    """At least one address. Raises Failed where the host has none."""
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        try:
            found = look_up(flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            found = await asyncio.get_running_loop().run_in_executor(_threads(), look_up)
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


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, "probe-names")
