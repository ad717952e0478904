"""Serves the metrics over HTTP to whoever scrapes them: two answers, no state, and never for long.

No password is asked, so it listens on this machine's own addresses unless somebody has written otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress

from supervise.endpoints import split

log = logging.getLogger(__name__)
PATH = "/metrics"
LONGEST_HEAD = 8192
"""Bytes of a request."""
PATIENCE = 10.0
"""Seconds that a client may take for its request, and again for the answer."""
MOST_CLIENTS = 32
WORDS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}
PLAIN = "text/plain; charset=utf-8"

Text = Callable[[str], Awaitable[tuple[bytes, str]]]


class Scraping:
    """Listens where it is told to. What cannot be listened on is said, and tried again."""

    def __init__(self, text: Text) -> None:
        self.troubles: dict[str, str] = {}
        """Why an address is not listened on."""
        self._text = text
        self._servers: dict[str, asyncio.Server] = {}
        self._clients = 0

    async def listen(self, wanted: Collection[str]) -> None:
        """From now on on these addresses and no others."""
        for gone in self._servers.keys() - set(wanted):
            self._servers.pop(gone).close()
        self.troubles = {one: why for one, why in self.troubles.items() if one in wanted}
        for new in sorted(set(wanted) - self._servers.keys()):
            await self._open(new)

    def close(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    async def _open(self, endpoint: str) -> None:
        host, port = split(endpoint)
        try:
            self._servers[endpoint] = await asyncio.start_server(self._serve, host, port, limit=LONGEST_HEAD)
        except OSError as error:
            why = f"cannot serve metrics on {endpoint}: {error.strerror or error}"
            if endpoint not in self.troubles:
                log.error("%s", why)
            self.troubles[endpoint] = why
        else:
            self.troubles.pop(endpoint, None)
            log.info("metrics are served on http://%s%s", endpoint, PATH)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients > MOST_CLIENTS:  # before it is read: each costs a file descriptor that agents need
                return
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
            writer.write(await self._answer(head.decode("latin-1")))
            async with asyncio.timeout(PATIENCE):
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a client that is gone, too slow or too long-winded: nobody waits for an answer
        finally:
            self._clients -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, head: str) -> bytes:
        asked, headers = _parsed(head)
        if asked is None:
            return _response(400, b"this is no HTTP request\n")
        method, path = asked
        if method not in ("GET", "HEAD"):
            return _response(405, b"only GET is answered here\n")
        if path.partition("?")[0] != PATH:
            return _response(404, f"the metrics are at {PATH}\n".encode())
        body, kind = await self._text(headers.get("accept", ""))
        return _response(200, body, kind, body_too=method == "GET")


def _parsed(head: str) -> tuple[tuple[str, str] | None, Mapping[str, str]]:
    """(method, path) and the headers by small name."""
    first, *lines = head.split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None, {}
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return (words[0], words[1]), headers


def _response(code: int, body: bytes, kind: str = PLAIN, *, body_too: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {code} {WORDS[code]}\r\n"
        f"Content-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (body if body_too else b"")
