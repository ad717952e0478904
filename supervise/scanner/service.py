"""Tells whoever is connected (the reconciler, root) whose processes run where, and ends what `hidden: stop` names.

    {"id", "op": "look", "pids": […]}                     → the findings of a look that begins now, then {"done": id}
    {"id", "op": "end", "name", "pid", "started", "grace"} → {"done": id, "ok", "detail"}
    unasked, after each look                               → {"findings": what changed since this client's last one}

It believes nothing that it is told: what it ends must, looked at again, be a copy that a manifest allows to end.
"""

from __future__ import annotations

import asyncio
import json
import pwd
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from supervise.clock import now
from supervise.model import AgentSpec, Findings, Process, ProcessId
from supervise.notify import Notify
from supervise.observe.ending import end
from supervise.observe.match import Matcher
from supervise.observe.permission import why_not_end
from supervise.observe.scan import process as look_at
from supervise.observe.watching import Watching
from supervise.observe.wire import difference
from supervise.scanner.sought import Sought

EVERY = 1.0
"""Seconds between two looks that nobody asked for."""
LONGEST_LINE = 1 << 16
MOST_CLIENTS = 8
LONGEST_GRACE = 3600.0
NOTHING = Findings()


class Client:
    """One that is connected, and what it has been told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        self._told = NOTHING

    def tell(self, found: Findings) -> None:
        self.say({"findings": difference(self._told, found)})
        self._told = found

    def say(self, what: Mapping[str, Any]) -> None:
        self._writer.write(json.dumps(what, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        self._writer.close()


class Service:
    """`run` it; it ends on SIGTERM."""

    def __init__(self, manifests: Path) -> None:
        self._sought = Sought(manifests)
        self._watching = Watching()
        self._clients: set[Client] = set()
        self._work: set[asyncio.Task[None]] = set()
        self._notify = Notify()

    async def run(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, ended.set)
        server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LONGEST_LINE)
        self._notify.ready()
        while not ended.is_set():
            if self._clients:
                self._look()
            self._notify.passed(f"{len(self._sought.specs)} agents sought")
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await ended.wait()
        self._notify.stopping()
        server.close()
        for client in self._clients:
            client.close()

    def _look(self, pids: tuple[int, ...] = ()) -> None:
        if self._sought.changed():
            self._watching.seek(self._sought.specs)
        found = self._watching.look(at=now().monotonic, anew=pids)
        for client in self._clients:
            client.tell(found)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MOST_CLIENTS:
            writer.close()
            return
        client = Client(reader, writer)
        self._clients.add(client)
        try:
            self._look()
            while line := await reader.readline():
                self._answer(client, json.loads(line))
        except (ValueError, KeyError, TypeError, OSError):  # it does not speak our language, or is gone
            pass
        finally:
            self._clients.discard(client)
            client.close()

    def _answer(self, client: Client, asked: Mapping[str, Any]) -> None:
        match asked["op"]:
            case "look":
                self._look(tuple(map(int, asked.get("pids", ()))))
                client.say({"done": asked["id"]})
            case "end":
                process = ProcessId(int(asked["pid"]), int(asked["started"]))
                grace = timedelta(seconds=min(max(float(asked["grace"]), 0.0), LONGEST_GRACE))
                task = asyncio.ensure_future(self._end(client, asked["id"], str(asked["name"]), process, grace))
                self._work.add(task)
                task.add_done_callback(self._work.discard)

    async def _end(self, client: Client, number: object, name: str, wanted: ProcessId, grace: timedelta) -> None:
        process = look_at(wanted.pid)
        if process is None or process.id != wanted:
            why = None  # it has ended by itself
        elif (why := self._why_not(name, process)) is None and not await end(process, grace=grace):
            why = "it does not end"
        client.say({"done": number, "ok": why is None, "detail": why or ""})
        self._look()

    def _why_not(self, name: str, process: Process) -> str | None:
        self._sought.changed()
        specs = {spec.name: spec for spec in self._sought.specs}
        if name not in specs:
            return "there is no such agent"
        place = Matcher(specs.values()).place(process)
        return why_not_end(specs[name], process, place, uid=_uid(specs[name]))


def _uid(spec: AgentSpec) -> int | None:
    try:
        return pwd.getpwnam(spec.user).pw_uid if spec.user else None
    except KeyError:
        return None
