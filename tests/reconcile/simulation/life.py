"""One life of the real daemon on a simulated machine: all of it but its sockets, threads and looks at the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import pytest

from supervise import clock
from supervise.model import Action, Beat, Instant, ProbeResult, Question
from supervise.observe import scan
from supervise.observe.beats import Said
from supervise.reconcile import daemon as daemons
from supervise.reconcile import probing, scanning
from supervise.reconcile.daemon import Daemon
from supervise.reconcile.disk import Disk
from supervise.reconcile.following import Following
from supervise.stores import Memory
from tests.reconcile.rig import HOST, manifest_of
from tests.reconcile.simulation.machine import Eyes, Simulated, Writer

TICK = 1.0
"""Seconds between two ticks of the daemon; real ones are 0.25 apart."""
ASKING = 0.01
Decided = Callable[[Action], None]
Network = Callable[[Question, Instant], ProbeResult]
"""What becomes of a probe."""


class Beats:
    """The agents' socket: beats wait here until the daemon reads them."""

    def __init__(self, socket: None, **named: Any) -> None:
        self.said: list[Said] = []

    def read(self, now: Instant) -> tuple[list[Said], bool]:
        said, self.said = self.said, []
        return said, False


class Told:
    """Our own service manager, which does not mind."""

    def ready(self) -> None: ...
    def passed(self, summary: str) -> None: ...
    def reloading(self) -> Any:
        return nullcontext()


class Life:
    """It begins at once. `decided` is told of each action when it is decided."""

    def __init__(self, machine: Simulated, decided: Decided) -> None:
        self._machine = machine
        self._decided = decided
        self.daemon = Daemon(machine.places, host=HOST, environ={})
        self.reconciler = self.daemon.reconciler
        self.reconciler._start = self._start
        self.reconciler.remember(Memory(machine.rows, machine.intents))
        self.reconciler.lose_sight()
        specs, everyone = machine.specs, frozenset(unit.state.unit for unit in machine.units_of.values())
        manifests = (manifest_of(*specs.values()),)
        self.reconciler.take_disk(Disk(manifests, specs=specs, settled=frozenset(specs), enabled=everyone))
        self.reconciler.listen()
        machine.hears = self._hear
        works = (self.daemon.following, self.daemon.scanning, self.daemon.probing)
        rhythms = (self.daemon._rhythm(), self.daemon._questions())
        self._tasks = [asyncio.ensure_future(work) for work in (*rhythms, *(one.run() for one in works))]

    def kill(self) -> None:
        """As by SIGKILL: nothing of it does anything any more, and what it had not written is lost."""
        self.daemon.writer.over = True  # type: ignore[attr-defined]
        self._machine.hears = None
        self.daemon.acting.close()
        for task in self._tasks:
            task.cancel()

    def _start(self, action: Action, written: asyncio.Future[bool]) -> None:
        self._decided(action)
        self.daemon.acting.start(action, written)

    def _hear(self, name: str, beat: Beat) -> None:
        self.daemon._beats.said.append(Said(name, beat))  # type: ignore[attr-defined]
        self.daemon._hear()


@contextmanager
def simulated(machine: Simulated, network: Network) -> Iterator[None]:
    """The real code takes the machine for the world."""

    async def ask(question: Question, *, run: Any, clock: Callable[[], Instant]) -> ProbeResult:
        await asyncio.sleep(ASKING)
        return network(question, clock())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", machine.clock)
        patch.setattr(probing, "ask", ask)
        patch.setattr(scan, "process", machine.process)
        patch.setattr(scanning, "end", machine.end)
        patch.setattr(daemons, "TICK", TICK)
        patch.setattr(daemons, "sockets", lambda places, environ: (None, None))
        patch.setattr(daemons, "Beats", Beats)
        patch.setattr(daemons, "Notify", Told)
        patch.setattr(daemons, "Writer", lambda path, host: Writer(machine))
        patch.setattr(daemons, "Following", partial(Following, connect=lambda places: machine))
        patch.setattr(Daemon, "_eyes", lambda daemon: Eyes(machine, daemon._take_findings))
        patch.setattr(Daemon, "_look_at_disk", lambda daemon: None)
        yield
