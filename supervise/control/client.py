"""Asks the reconciler. Whoever cannot reach it gets `Unreachable`, at once, and does without."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from supervise.control import LONGEST_ANSWER
from supervise.errors import ExitCode, SuperviseError

PATIENCE = 5.0
"""Seconds for an answer that is not a stream: beyond it the reconciler hangs, and nobody should wait for it."""


class Unreachable(SuperviseError):
    """No reconciler answers on the control socket."""

    exit_code = ExitCode.UNREACHABLE


class NoAnswer(Unreachable):
    """A reconciler runs, since somebody takes connections, but does not answer in time."""


class Refused(SuperviseError):
    """The reconciler said no; `code` is its word for it, such as `denied`."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        self.exit_code = ExitCode.USAGE if code == "usage" else ExitCode.FAILED
        super().__init__(text)


class Control:
    """An open connection; one question at a time. Made by `connect`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._last = 0

    async def ask(self, op: str, *, patience: float = PATIENCE, **args: Any) -> Any:
        """The result of one operation. Raises Refused, or NoAnswer when there is none in time."""
        async with _in_time(op, patience):
            await self._send(op, args)
            while "ok" not in (answer := await self._receive()):
                continue
        return _result(answer)

    async def stream(self, op: str, *, patience: float = PATIENCE, **args: Any) -> AsyncIterator[Any]:
        """The items of one operation, until it or the connection ends. Raises NoAnswer when none comes in time."""
        async with _in_time(op, patience):
            await self._send(op, args)
            answer = await self._receive()
        while "ok" not in answer:
            yield answer["item"]
            answer = await self._receive()
        _result(answer)

    async def _send(self, op: str, args: dict[str, Any]) -> None:
        self._last += 1
        line = json.dumps({"id": self._last, "op": op, "args": args}) + "\n"
        try:
            self._writer.write(line.encode())
            await self._writer.drain()
        except OSError as error:
            raise Unreachable(f"cannot {op}: the reconciler has gone ({error})") from error

    async def _receive(self) -> dict[str, Any]:
        """What is said to the newest question: an answer to one that was given up may still come before it."""
        while True:
            try:
                line = await self._reader.readline()
            except (OSError, ValueError) as error:
                raise Unreachable(f"cannot go on: the reconciler has gone ({error})") from error
            if not line.endswith(b"\n"):
                raise Unreachable("cannot go on: the reconciler has closed the connection")
            answer = _answer(line)
            if answer["id"] in (None, self._last):
                return answer


def _answer(line: bytes) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        answer = json.loads(line)
        if isinstance(answer, dict) and "id" in answer and ("ok" in answer or "item" in answer):
            return answer
    raise Unreachable("cannot go on: what answers is no reconciler")


def _result(answer: dict[str, Any]) -> Any:
    if answer["ok"]:
        return answer.get("result")
    raise Refused(str(answer["error"]["code"]), str(answer["error"]["message"]))


@asynccontextmanager
async def _in_time(op: str, patience: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(patience):
            yield
    except TimeoutError as error:
        raise NoAnswer(f"cannot {op}: the reconciler did not answer within {patience:g} s") from error


@asynccontextmanager
async def connect(path: Path) -> AsyncIterator[Control]:
    """Raises Unreachable where nobody listens."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_ANSWER)
    except (OSError, TimeoutError) as error:
        user = "" if path.is_relative_to("/run/supervise") else "--user "
        advice = f"`systemctl {user}status supervise-reconciler` tells how it is"
        raise Unreachable(f"cannot reach the reconciler at {path}: {_why(error)}; {advice}") from error
    try:
        yield Control(reader, writer)
    finally:
        writer.close()
        with suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()


def _why(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) and error.errno else "it does not answer"
