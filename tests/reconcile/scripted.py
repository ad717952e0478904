"""A platform in memory that tells what a test has it tell, and may be slow, refuse or be gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from types import TracebackType

from supervise.errors import PlatformError
from supervise.model import Change, Lost, Phase, Ping, Requirement, Snapshot, UnitState
from supervise.places import Places
from tests.install.machine import Machine
from tests.nouns import NOW, state


class Scripted(Machine):
    """`told` is what it signals, None its end. A snapshot is of when it was asked for, given once it `may_answer`."""

    def __init__(self, places: Places, *states: UnitState) -> None:
        super().__init__(places)
        self.states = {one.name: one for one in states}
        self.told: asyncio.Queue[Change | None] = asyncio.Queue()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.gone = False
        self.asked: list[tuple[str, frozenset[str]]] = []
        self.ping_of: dict[str, Ping] = {}
        self.required: dict[str, Requirement] = {}
        self.stale: frozenset[str] = frozenset()

    def asked_for(self, what: str) -> list[frozenset[str]]:
        return [names for asked, names in self.asked if asked == what]

    # --- A connection ---

    async def __aenter__(self) -> Scripted:
        self._ask("connect")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.asked.append(("close", frozenset()))

    # --- The protocol ---

    async def changes(self) -> AsyncIterator[Change]:
        yield Lost("nothing is known yet")
        while (change := await self.told.get()) is not None:
            yield change

    async def snapshot(
        self, names: Collection[str] | None = None, *, known: Collection[str] = (), endings: bool = True
    ) -> Snapshot:
        self._ask("snapshot", known)
        found = {**{name: state(Phase.INACTIVE, name) for name in known}, **self.states}
        await self.may_answer.wait()
        self._ask("answer")
        return Snapshot(found, NOW)

    async def is_as_known(self, states: Mapping[str, UnitState]) -> bool:
        self._ask("is_as_known", states)
        return all(states[name].phase is state.phase for name, state in self.states.items())

    async def pings(self, names: Collection[str]) -> Mapping[str, Ping]:
        self._ask("pings", names)
        return {name: self.ping_of.get(name, Ping(None, self.states[name].watchdog)) for name in names}

    async def requirements(self, unit_names: Collection[str]) -> Mapping[str, Requirement]:
        self._ask("requirements", unit_names)
        return {name: self.required.get(name, Requirement(active=False)) for name in unit_names}

    async def needing_reload(self, names: Collection[str]) -> frozenset[str]:
        self._ask("needing_reload", names)
        return self.stale & set(names)

    def _ask(self, what: str, names: Collection[str] = ()) -> None:
        self.asked.append((what, frozenset(names)))
        if self.gone:
            raise PlatformError(f"cannot {what}: D-Bus is gone")
