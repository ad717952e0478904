"""What runs agents. A platform is one folder here and one line in `PLATFORMS`; it is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from supervise.model import (
    Action,
    AgentSpec,
    Change,
    LogLine,
    LogQuery,
    Outcome,
    Ping,
    ProbeRole,
    Requirement,
    Scope,
    Snapshot,
    UnitFile,
    UnitState,
)
from supervise.places import Places


@dataclass(frozen=True, slots=True)
class Traits:
    """What a platform can do. `outlives_us`: our end is not the end of the agents."""

    name: str
    scopes: tuple[Scope, ...]
    signals: bool
    outlives_us: bool
    schedules: bool


@dataclass(frozen=True, slots=True)
class UnitChanges:
    """What the platform itself must do after files were written: enable at boot, no longer enable, read anew, forget
    that units failed whose files are gone."""

    enable: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    reload: bool = False
    forget: tuple[str, ...] = ()


class Platform(Protocol):
    """The questions and orders that every platform understands. All but `units` may raise PlatformError."""

    traits: Traits

    def units(self, specs: Iterable[AgentSpec], *, places: Places, version: int) -> Iterator[UnitFile]:
        """The files that these agents need. Pure."""

    async def snapshot(
        self, names: Collection[str] | None = None, *, known: Collection[str] = (), endings: bool = True
    ) -> Snapshot:
        """The state of these agents, or of all that are loaded, and in any case of the `known` ones. Without `endings`
        it is not asked how those that are down came to be so, which is the dearest part."""

    async def is_as_known(self, states: Mapping[str, UnitState]) -> bool:
        """Whether every agent is in the phase, and every active one in the life, of its state here. Asking that costs a
        tenth of a snapshot."""

    def changes(self) -> AsyncIterator[Change]:
        """States as they change, from now on; `Lost` where some may have been missed, and at the beginning. It ends
        when the platform is gone."""

    async def pings(self, names: Collection[str]) -> Mapping[str, Ping]:
        """When each agent that is loaded last pinged its manager."""

    async def needing_reload(self, names: Collection[str]) -> frozenset[str]:
        """Those of the agents whose unit was changed on disk since the platform read it."""

    async def requirements(self, unit_names: Collection[str]) -> Mapping[str, Requirement]:
        """Whether units, ours or not, are active."""

    async def perform(self, action: Action) -> Outcome:
        """Carry one action out and wait for its end."""

    async def probe(self, name: str, role: ProbeRole) -> Outcome:
        """Run an agent's command probe to its end: whether it exited with 0, or how. `unmade`: it could not be run."""

    async def apply(self, changes: UnitChanges) -> None:
        """Enable, disable, reload."""

    def logs(self, query: LogQuery) -> AsyncIterator[LogLine]:
        """Lines in the order of their time."""
