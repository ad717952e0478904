"""Whose processes run where, as the daemon is told: by the scan service, or (user scope) by a census of its own.

The scan service is asked over its socket and may be killed at any time. Until it is back the last findings stand for
`GRACE`; after that nothing is known of processes, which is said, and nothing is started.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from supervise import clock
from supervise.errors import PlatformError
from supervise.model import AgentSpec, Findings, Outcome, Process, ProcessId
from supervise.observe import scan
from supervise.observe.ending import end
from supervise.observe.match import Matcher
from supervise.observe.permission import why_not_end
from supervise.observe.watching import Watching
from supervise.observe.wire import applied, differing

log = logging.getLogger(__name__)
EVERY = 1.0
"""Seconds between two looks of our own."""
GATHER = 0.01
"""Seconds in which those who ask share one look."""
PATIENCE = 10.0
"""Seconds that a look may take."""
GRACE = 5.0
"""Seconds that the last findings stand without the scan service."""
AGAIN = 0.1
LONGEST_LINE = 1 << 24
MOST_SUSPECTS = 20
"""Strangers who are looked at for one look's sake."""
AWAY = "processes cannot be seen: the scan service does not answer (`systemctl status supervise-scan`)"

Take = Callable[[Findings | None, Collection[str]], None]
"""Told of findings (None: nothing is known any longer) and of the agents whom a change concerns."""


class Scanning(Protocol):
    """Runs as long as the daemon."""

    async def run(self) -> None: ...

    async def fresh(self) -> Findings:
        """The findings of a look that begins now. Raises PlatformError where there can be none."""

    def suspect(self, pid: int) -> None:
        """Have this process looked at soon."""

    async def end(self, spec: AgentSpec, processes: Iterable[ProcessId]) -> Outcome:
        """End processes outside of the agent's unit, as `hidden: stop` allows."""


class Ends:
    """Notices at once that a process which was found has ended (pidfd_open(2)), so that no row outlives it."""

    def __init__(self, noticed: Callable[[ProcessId], None]) -> None:
        self._noticed = noticed
        self._held: dict[ProcessId, int] = {}
        self._over: set[ProcessId] = set()
        """What has ended since, of all that was found last."""

    def watch(self, found: Findings) -> Findings:
        """From now on these: whoever is outside, in doubt, or in the foreground. Gives who of them has not ended."""
        groups = (*found.outside.values(), *found.foreground.values(), [doubt.process for doubt in found.doubts])
        wanted = {process.id for group in groups for process in group}
        self._over &= wanted
        for gone in self._held.keys() - wanted:
            self._release(gone)
        for new in wanted - self._held.keys() - self._over:
            self._hold(new)
        return without(found, self._over)

    def close(self) -> None:
        for held in tuple(self._held):
            self._release(held)

    def _hold(self, process: ProcessId) -> None:
        with suppress(OSError):  # gone already: the next look tells
            descriptor = os.pidfd_open(process.pid)
            self._held[process] = descriptor
            asyncio.get_running_loop().add_reader(descriptor, self._ended, process)

    def _ended(self, process: ProcessId) -> None:
        self._release(process)
        self._over.add(process)
        self._noticed(process)

    def _release(self, process: ProcessId) -> None:
        if (descriptor := self._held.pop(process, None)) is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)


def without(found: Findings, over: Collection[ProcessId]) -> Findings:
    """What is found, but for these."""
    if not over:
        return found

    def left(part: Mapping[str, tuple[Process, ...]]) -> dict[str, tuple[Process, ...]]:
        kept = {name: tuple(one for one in processes if one.id not in over) for name, processes in part.items()}
        return {name: processes for name, processes in kept.items() if processes}

    doubts = tuple(doubt for doubt in found.doubts if doubt.process.id not in over)
    return replace(found, outside=left(found.outside), foreground=left(found.foreground), doubts=doubts)


class Here:
    """A census of our own, for processes that are all ours to see."""

    def __init__(self, specs: Callable[[], Iterable[AgentSpec]], take: Take) -> None:
        self._specs = specs
        self._take = take
        self._watching = Watching()
        self._sought: tuple[AgentSpec, ...] = ()
        self._found = Findings()
        self._suspects: set[int] = set()
        self._woken = asyncio.Event()
        self._looking = asyncio.Lock()
        self._ends = Ends(self._ended)
        self._thread = ThreadPoolExecutor(1, "scan")
        """Of its own: the threads that all share may be waiting for an answer of the network."""

    async def run(self) -> None:
        try:
            while True:
                await self.fresh()
                self._woken.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY):
                        await self._woken.wait()
        finally:
            self._ends.close()
            self._thread.shutdown(wait=False)

    async def fresh(self) -> Findings:
        async with self._looking:
            if (sought := tuple(self._specs())) != self._sought:
                self._sought = sought
                self._watching.seek(sought)
            suspects, self._suspects = frozenset(self._suspects), set()
            at = clock.now().monotonic
            look = partial(self._watching.look, at=at, anew=suspects)
            found = await asyncio.get_running_loop().run_in_executor(self._thread, look)
            return self._tell(self._ends.watch(found))

    def _tell(self, found: Findings) -> Findings:
        before, self._found = self._found, found
        self._take(found, differing(before, found))
        return found

    def _ended(self, process: ProcessId) -> None:
        self._tell(without(self._found, {process}))
        self.suspect(process.pid)

    def suspect(self, pid: int) -> None:
        if len(self._suspects) < MOST_SUSPECTS:
            self._suspects.add(pid)
            self._woken.set()

    async def end(self, spec: AgentSpec, processes: Iterable[ProcessId]) -> Outcome:
        matcher = Matcher(self._specs())
        refused = [why for one in processes if (why := await self._end(spec, one, matcher))]
        return Outcome(not refused, "; ".join(refused), denied=bool(refused))

    async def _end(self, spec: AgentSpec, one: ProcessId, matcher: Matcher) -> str | None:
        process = scan.process(one.pid)
        if process is None or process.id != one:
            return None
        if why := why_not_end(spec, process, matcher.place(process), uid=os.getuid()):
            return why
        return None if await end(process, grace=spec.stop_timeout) else f"PID {one.pid} does not end"


class Asked:
    """The scan service, on the other side of its socket."""

    def __init__(self, socket: Path, take: Take) -> None:
        self._socket = socket
        self._take = take
        self._found = self._told = Findings()
        self._writer: asyncio.StreamWriter | None = None
        self._answers: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._next: asyncio.Task[Findings] | None = None
        self._suspects: set[int] = set()
        self._connected = asyncio.Event()
        self._ends = Ends(self._ended)
        self._blind = False

    async def run(self) -> None:
        lost: float | None = None
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    reader, self._writer = await asyncio.open_unix_connection(str(self._socket), limit=LONGEST_LINE)
                    self._found, lost = Findings(), None
                    await self._listen(reader)
                except (OSError, ValueError, KeyError) as error:
                    log.debug("cannot hear the scan service: %s", error)
                self._lose()
                lost = lost if lost is not None else loop.time()
                if loop.time() - lost > GRACE:
                    self._blind = True
                    self._take(None, ())
                await asyncio.sleep(AGAIN)
        finally:
            self._lose()
            self._ends.close()

    async def fresh(self) -> Findings:
        if self._next is None:
            self._next = asyncio.ensure_future(self._soon())
        return await asyncio.shield(self._next)

    def suspect(self, pid: int) -> None:
        if len(self._suspects) < MOST_SUSPECTS:
            self._suspects.add(pid)
            if self._next is None:
                self._next = asyncio.ensure_future(self._soon())
                self._next.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody waits for it

    async def end(self, spec: AgentSpec, processes: Iterable[ProcessId]) -> Outcome:
        grace = spec.stop_timeout.total_seconds()
        about = {"op": "end", "name": spec.name, "grace": grace}
        asked = [self._ask(grace + PATIENCE, **about, pid=one.pid, started=one.started) for one in processes]
        refused = [answer["detail"] for answer in await asyncio.gather(*asked) if not answer["ok"]]
        return Outcome(not refused, "; ".join(refused), denied=bool(refused))

    async def _soon(self) -> Findings:
        await asyncio.sleep(GATHER)
        self._next = None  # whoever asks from here on wants a later one
        suspects, self._suspects = sorted(self._suspects), set()
        await self._ask(PATIENCE, op="look", pids=suspects)
        return self._told

    async def _ask(self, patience: float, **what: Any) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(patience):
                await self._connected.wait()
                number = next(self._numbers)
                answer = self._answers[number] = asyncio.get_running_loop().create_future()
                assert self._writer is not None
                self._writer.write(json.dumps({"id": number, **what}).encode() + b"\n")
                found: Mapping[str, Any] = await answer
                return found
        except (TimeoutError, ConnectionError) as error:
            raise PlatformError(AWAY) from error

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            said = json.loads(line)
            if "findings" in said:
                self._found = applied(self._found, said["findings"])
                self._connected.set()
                self._blind = False
                self._tell(self._ends.watch(self._found))
            elif (answer := self._answers.pop(said["done"], None)) and not answer.done():
                answer.set_result(said)

    def _tell(self, found: Findings) -> None:
        before, self._told = self._told, found
        self._take(found, differing(before, found))

    def _ended(self, process: ProcessId) -> None:
        """That is certain also while the scan service is away."""
        if not self._blind:
            self._tell(without(self._told, {process}))
        self.suspect(process.pid)

    def _lose(self) -> None:
        self._connected.clear()
        if self._writer:
            self._writer.close()
            self._writer = None
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the scan service is gone"))
        self._answers.clear()
