"""The serving end of the control socket: who is asking, how often they may, and one answer for each line.

Everybody may read. The kernel tells who a peer is; root, the owner of the reconciler and the members of one group may
act. A peer that asks too much waits, one that does not read is let go: neither can hold the reconciler up.
"""

from __future__ import annotations

import asyncio
import grp
import json
import logging
import os
import pwd
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from supervise.control import LONGEST_REQUEST, OPERATORS
from supervise.errors import SuperviseError, UsageError

SO_PEERGROUPS = 59
CREDENTIALS = struct.Struct("iII")
LONGEST_OPTION = 1024
"""Bytes, and so 256 groups; Python's getsockopt refuses to ask for more."""
RATE, BURST = 200.0, 400.0
"""Requests a second of one user, over all connections, and how many at once."""
MOST_CONNECTIONS = 256
MOST_OF_ONE_USER = 64
BACKLOG = 1024 * 1024
"""Bytes that a peer may leave unread for as long as it likes; with more it is waited for …"""
UNREAD = 30.0
"""… so many seconds. As long it may take to fetch what is left when a conversation is over."""
ROOT = 0

log = logging.getLogger(__name__)
Send = Callable[[Any], Awaitable[None]]
Answer = Callable[["Request", Send], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks, as the kernel knows them."""

    pid: int
    uid: int
    groups: frozenset[int]

    @property
    def may_act(self) -> bool:
        return self.uid in (ROOT, os.getuid()) or _operators() in self.groups

    @property
    def name(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid {self.uid}"


@dataclass(frozen=True, slots=True)
class Request:
    """One question, and whose."""

    op: str
    args: dict[str, Any]
    peer: Peer

    def require_right_to_act(self) -> None:
        if not self.peer.may_act:
            raise Denied(
                f"{self.peer.name} may read here but not {self.op}: that takes root or a member of {OPERATORS}"
            )


class Denied(SuperviseError):
    """The peer has no right to what it asked for."""


class Server:
    """Serves connections until it is closed. `answer` is called for each request."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._connections: Counter[int] = Counter()
        self._budgets: dict[int, tuple[float, float]] = {}
        """What each user has left, and since when."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        self._server = await asyncio.start_unix_server(self._connected, sock=sock, limit=LONGEST_REQUEST)

    async def close(self) -> None:
        """Let everybody go. The socket itself belongs to whoever made it."""
        if self._server:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = peer_of(writer.get_extra_info("socket"))
        self._connections[peer.uid] += 1
        try:
            if self._too_many(peer):
                await _reply(writer, {"id": None, **_error("busy", "too many connections; try again later")})
            else:
                await self._converse(peer, reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the peer has gone, or we close: either way there is nobody left to tell
        except Exception:  # whatever a peer sends, it must not end the reconciler
            log.exception("cannot serve a control connection of uid %d", peer.uid)
        finally:
            await _let_go(writer)  # until then it counts: whoever fetches nothing must not open one after the other
            self._connections[peer.uid] -= 1
            self._tasks.discard(task)

    def _too_many(self, peer: Peer) -> bool:
        if peer.uid == ROOT:
            return False
        return self._connections.total() > MOST_CONNECTIONS or self._connections[peer.uid] > MOST_OF_ONE_USER

    async def _converse(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():  # what a peer that has gone had still to ask is of no interest
            try:
                line = await reader.readline()
            except ValueError:
                await _reply(writer, {"id": None, **_error("usage", f"a request is at most {LONGEST_REQUEST} bytes")})
                return
            if not line:
                return
            if peer.uid != ROOT and (wait := self._wait(peer.uid)):
                await asyncio.sleep(wait)
            await self._serve(line, peer, reader, writer)

    def _wait(self, uid: int) -> float:
        """The seconds until it is this user's turn again. Whoever asks over many connections has no more turns."""
        now = asyncio.get_running_loop().time()
        left, then = self._budgets.get(uid, (BURST, now))
        left = min(left + (now - then) * RATE, BURST) - 1
        self._budgets[uid] = (left, now)
        return max(-left / RATE, 0.0)

    async def _serve(self, line: bytes, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = None
        answering = asyncio.current_task()
        assert answering is not None
        listening: list[asyncio.Task[None]] = []
        try:
            number, request = _request(line, peer)

            async def send(item: Any) -> None:
                """From the first item on, whatever the peer says, or its going, ends the stream."""
                if not listening:
                    listening.append(asyncio.ensure_future(_ended_by(reader, answering)))
                await _reply(writer, {"id": number, "item": item})

            reply = {"ok": True, "result": await self._answer(request, send)}
        except Denied as error:
            reply = _error("denied", str(error))
        except SuperviseError as error:
            reply = _error("usage" if isinstance(error, UsageError) else "failed", str(error))
        except ConnectionError:
            raise
        except OSError as error:  # a disk that is full or read-only, say
            reply = _error("failed", str(error))
        finally:
            for task in listening:
                task.cancel()
                await asyncio.wait((task,))  # two cannot read at once
        await _reply(writer, {"id": number, **reply})


async def _ended_by(reader: asyncio.StreamReader, answering: asyncio.Task[Any]) -> None:
    with suppress(OSError):
        await reader.read(1)
    answering.cancel()


def peer_of(sock: socket.socket) -> Peer:
    """Who is at the other end (SO_PEERCRED and SO_PEERGROUPS, unix(7)): as they were when they connected."""
    pid, uid, gid = CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
    try:
        packed = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, LONGEST_OPTION)
    except OSError:  # a kernel older than 4.13, or more groups than that: then the main one alone counts
        packed = b""
    groups = struct.unpack(f"{len(packed) // 4}I", packed)
    return Peer(pid, uid, frozenset({gid, *groups}))


def _operators() -> int | None:
    try:
        return grp.getgrnam(OPERATORS).gr_gid
    except KeyError:
        return None


def _request(line: bytes, peer: Peer) -> tuple[Any, Request]:
    try:
        said = json.loads(line)
        number, op, args = said.get("id"), said["op"], said.get("args") or {}
    except (ValueError, KeyError, AttributeError, RecursionError) as error:
        raise UsageError('a request is one line of JSON: {"id": 1, "op": "rows", "args": {}}') from error
    if not isinstance(op, str) or not isinstance(args, dict) or not isinstance(number, int | str | None):
        raise UsageError('"op" is a word, "args" an object, "id" a number or a word')
    return number, Request(op, args, peer)


def _error(code: str, text: str) -> dict[str, Any]:
    return {"ok": False, "error": {"code": code, "message": text}}


async def _reply(writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
    writer.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    if writer.transport.get_write_buffer_size() <= BACKLOG:
        return
    try:
        async with asyncio.timeout(UNREAD):
            await writer.drain()
    except TimeoutError as error:
        writer.transport.abort()
        raise ConnectionResetError("the peer does not read what it asked for") from error


async def _let_go(writer: asyncio.StreamWriter) -> None:
    """Close, and keep what is still to be read for a while."""
    writer.close()
    with suppress(OSError, asyncio.CancelledError):  # TimeoutError is one of the former
        async with asyncio.timeout(UNREAD):
            await writer.wait_closed()
    if writer.transport.get_write_buffer_size():
        writer.transport.abort()
