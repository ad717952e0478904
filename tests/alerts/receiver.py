"""A small real HTTP server in the test's event loop that answers by a script: what the other side may do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HANG, CUT, HALF = "hang", "cut", "half"
OK = "200"
"""An answer is a status with headers below it, or one of the words above. HALF or HANG as its last line: it gives half
of its body, and then ends or does not."""


@dataclass(frozen=True, slots=True)
class Request:
    at: float
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """Gives the answers of its script one after the other, then 200. `requests`: all that came."""

    script: list[str]
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    said: bytes = b"ok"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/T0SECRET/B0SECRET?key=hunter2"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await _request(reader))
            answer = self.script.pop(0) if self.script else OK
            if answer == HANG:
                await reader.read()  # until the other side goes away
            elif answer != CUT:
                await self._answer(answer, writer)
                if answer.endswith(HANG):
                    await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, answer: str, writer: asyncio.StreamWriter) -> None:
        lines, body = answer.splitlines(), self.said
        headers = [line for line in lines[1:] if line not in (HALF, HANG)]
        length = len(body) * (1 if headers == lines[1:] else 2)
        head = [f"HTTP/1.1 {lines[0]} x", *headers, f"Content-Length: {length}"]
        writer.write("\r\n".join((*head, "Connection: close", "", "")).encode() + body)
        await writer.drain()


async def _request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-1])}
    body = await reader.readexactly(int(headers["content-length"]))
    return Request(asyncio.get_running_loop().time(), head[0].split()[1], headers, body)


@asynccontextmanager
async def receiver(*script: str, said: bytes = b"ok") -> AsyncIterator[Receiver]:
    found = Receiver(list(script), said=said)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


async def until(true: Callable[[], object], *, seconds: float = 10) -> None:
    """Wait for a condition, and fail when it does not come."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.002)


def ids(requests: Iterable[Request]) -> list[str]:
    return [request.headers["webhook-id"] for request in requests]
