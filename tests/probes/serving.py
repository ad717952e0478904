"""Servers of one test each, on a port of their own, that send what they are told to, raw."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from supervise.clock import now
from supervise.model import Outcome, Probe, ProbeKind, ProbeResult, ProbeRole, Question
from supervise.probes import ask

GOOD = Outcome(True)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port. What is still being served at the end is ended."""
    tasks: set[asyncio.Task[Any]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        with suppress(ConnectionError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(one, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def free_port() -> int:
    """One on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def probe(kind: ProbeKind, *target: str, **changes: Any) -> Probe:
    return replace(Probe(kind, target, timeout=timedelta(seconds=5)), **changes)


async def answer(asked: Probe, outcome: Outcome = GOOD) -> ProbeResult:
    """What a probe says now. A command ends as `outcome` has it."""

    async def run(name: str, role: ProbeRole) -> Outcome:
        assert (name, role) == ("sma", ProbeRole.LIVE)
        return outcome

    return await ask(Question("sma", ProbeRole.LIVE, asked), run=run, clock=now)
