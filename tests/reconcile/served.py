"""A control socket that answers as a test wants it to, from a thread of its own: for who asks with a loop of theirs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from supervise.control.server import Request, Send, Server

INFO = {
    "version": "1.0",
    "host": "alpha",
    "view_age": 0.4,
    "platform_unseen": None,
    "store": None,
    "alerts": {},
    "processes": {"view_age": 0.5, "unseen": False, "complete": True, "doubts": []},
}
"""What a reconciler says of itself that is well."""


class Served:
    """`asked`: the requests, in order. An answer is a value, an exception to raise, or what makes one of a request."""

    def __init__(self, control: Path, answers: dict[str, Any]) -> None:
        self.asked: list[Request] = []
        self._answers = answers
        self._control = control
        self._ended = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        control.parent.mkdir(parents=True, exist_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(control))
        self._socket.listen()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """From any thread: everybody is let go."""
        self._loop.call_soon_threadsafe(self._ended.set)

    def wait(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.close()
        self._control.unlink()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = Server(self._answer)
        await server.start(self._socket)
        await self._ended.wait()
        await server.close()
        self._socket.close()

    async def _answer(self, request: Request, send: Send) -> Any:
        self.asked.append(request)
        found = self._answers[request.op]
        if isinstance(found, Exception):
            raise found
        return await found(request, send) if callable(found) else found


@contextmanager
def served(control: Path, **answers: Any) -> Iterator[Served]:
    made = Served(control, answers)
    try:
        yield made
    finally:
        made.close()
        made.wait()
