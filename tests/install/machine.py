"""A service manager in memory, over real unit files below a folder: it knows what it last read, and refuses as systemd
would where files are not there when they are needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from supervise.errors import PlatformError
from supervise.install.disk import STAGED
from supervise.model import (
    Action,
    ActionKind,
    AgentSpec,
    Change,
    LogLine,
    LogQuery,
    Outcome,
    Phase,
    Ping,
    ProbeRole,
    ProcessId,
    Requirement,
    Scope,
    Snapshot,
    UnitFile,
    UnitState,
)
from supervise.places import Places
from supervise.platforms import Traits, UnitChanges
from supervise.platforms.systemd import units
from tests.nouns import NOW


class Machine:
    """`stubborn` units do not stop; of `overtaken` ones the next so many stops are, by a start; `deaf` to an order, it
    raises PlatformError as when D-Bus is gone. `revived` units are started when nobody looks: before each reload."""

    traits = Traits("memory", (Scope.SYSTEM,), signals=False, outlives_us=False, schedules=True)

    def __init__(self, places: Places, *, stubborn: Collection[str] = (), deaf: Collection[str] = ()) -> None:
        self.places = places
        self.stubborn = set(stubborn)
        self.deaf = set(deaf)
        self.overtaken: dict[str, int] = {}
        self.revived: set[str] = set()
        self.running: set[str] = set()
        self.loaded: dict[Path, str] = {}
        self.orders: list[str] = []

    # --- For tests ---

    def agents_up(self) -> set[str]:
        """What runs, but for our own daemon."""
        return self.running - {*units.DAEMON, *units.SCANNER}

    def files(self) -> dict[Path, str]:
        """What systemd would load: every file below the units' folder but hidden ones and links."""
        found = (path for path in self.places.units.rglob("*") if path.is_file() and not path.is_symlink())
        return {path: path.read_text() for path in found if not path.name.endswith(STAGED)}

    def links(self) -> set[str]:
        """Every link that enables something, as `target/unit`."""
        found = self.places.units.glob("*.wants/*")
        return {f"{path.parent.name.removesuffix('.wants')}/{path.name}" for path in found}

    # --- The protocol ---

    def units(self, specs: Iterable[AgentSpec], *, places: Places, version: int) -> Iterator[UnitFile]:
        return units.units(specs, places=places, version=version)

    async def snapshot(
        self, names: Collection[str] | None = None, *, known: Collection[str] = (), endings: bool = True
    ) -> Snapshot:
        if "snapshot" in self.deaf:
            raise PlatformError("cannot snapshot: the connection is gone")
        there = {unit.removeprefix("agent@").removesuffix(".service") for unit in self.running}
        states = {
            name: UnitState(
                name,
                units.unit_name(name),
                Phase.ACTIVE if units.unit_name(name) in self.running else Phase.INACTIVE,
                timer_active=units.timer_name(name) in self.running,
            )
            for name in {*(there if names is None else names), *known}
        }
        return Snapshot(states, NOW)

    async def is_as_known(self, states: Mapping[str, UnitState]) -> bool:
        return True

    async def changes(self) -> AsyncIterator[Change]:
        return
        yield

    async def perform(self, action: Action) -> Outcome:
        self._hear(f"{action.kind.value} {action.unit}")
        if action.kind is not ActionKind.STOP:
            self.running.add(action.unit)
        elif action.unit in self.stubborn:
            return Outcome(False, "it does not end")
        elif self.overtaken.get(action.unit, 0):
            self.overtaken[action.unit] -= 1
            return Outcome(False, "another request took its place", overtaken=True)
        elif action.unit not in self.running:
            return Outcome(False, f"Unit {action.unit} not loaded.")
        else:
            self.running.remove(action.unit)
        return Outcome(True)

    async def apply(self, changes: UnitChanges) -> None:
        for unit in changes.disable:
            self._hear(f"disable {unit}")
            self._needs_file(unit)
            self._link(unit).unlink()
        for unit in changes.enable:
            self._hear(f"enable {unit}")
            self._needs_file(unit)
            self._link(unit).parent.mkdir(exist_ok=True)
            self._link(unit).symlink_to(f"../{unit}")
        if changes.reload:
            self._hear("reload")
            self.running |= self.revived
            self.loaded = self.files()
        for unit in changes.forget:
            self._hear(f"forget {unit}")

    async def probe(self, name: str, role: ProbeRole) -> Outcome:
        self._hear(f"probe {units.probe_unit(name, role)}")
        return Outcome(True, "exited with code 0")

    async def pings(self, names: Collection[str]) -> Mapping[str, Ping]:
        return {}

    async def needing_reload(self, names: Collection[str]) -> frozenset[str]:
        return frozenset()

    async def requirements(self, unit_names: Collection[str]) -> Mapping[str, Requirement]:
        return {}

    async def processes(self) -> Mapping[str, frozenset[ProcessId]] | None:
        return None

    async def logs(self, query: LogQuery) -> AsyncIterator[LogLine]:
        return
        yield

    # --- Steps ---

    def _hear(self, order: str) -> None:
        if order in self.deaf:
            raise PlatformError(f"cannot {order}: the connection is gone")
        self.orders.append(order)

    def _needs_file(self, unit: str) -> None:
        template = f"{unit.partition('@')[0]}@.{unit.rpartition('.')[2]}"
        if not any((self.places.units / name).exists() for name in (unit, template)):
            raise PlatformError(f"Unit file {unit} does not exist.")

    def _link(self, unit: str) -> Path:
        if unit.startswith("supervise"):
            target = "sockets.target" if unit.endswith(".socket") else self.places.boot_target
        else:
            target = "supervise.target"
        return self.places.units / f"{target}.wants" / unit
