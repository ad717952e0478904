"""A control socket for tests: the real server, or one that behaves as no reconciler should, and peers that ask."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from supervise.control.server import Answer, Request, Send, Server

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(work: Coroutine[Any, Any, None], *, within: float = 20) -> None:
    asyncio.run(asyncio.wait_for(work, within))


async def eventually(ask: Callable[[], object]) -> None:
    while not ask():
        await asyncio.sleep(0.002)


def listening(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    return sock


@asynccontextmanager
async def serving(path: Path, answer: Answer) -> AsyncIterator[Server]:
    server = Server(answer)
    with listening(path) as sock:
        await server.start(sock)
        try:
            yield server
        finally:
            await server.close()


@asynccontextmanager
async def behaving(path: Path, behave: Behaviour) -> AsyncIterator[None]:
    """Something else where the reconciler should be: it takes connections and does this to each."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await behave(reader, writer)
        writer.close()

    server = await asyncio.start_unix_server(connected, path)
    try:
        yield
    finally:
        server.close()


class Asker:
    """One connection, which sends whatever a test has it send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, said: Any) -> None:
        self.writer.write(said if isinstance(said, bytes) else json.dumps(said).encode() + b"\n")

    async def heard(self) -> Any:
        """The next line; None where the connection has ended."""
        line = await self.reader.readline()
        return json.loads(line) if line else None

    async def answer(self, op: str, **more: Any) -> Any:
        self.say({"id": 1, "op": op, **more})
        return await self.heard()


@asynccontextmanager
async def asking(path: Path) -> AsyncIterator[Asker]:
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 26)
    try:
        yield Asker(reader, writer)
    finally:
        writer.transport.abort()


async def echo(request: Request, send: Send) -> Any:
    """An answer that repeats the question."""
    return {"op": request.op, "args": request.args}
