"""The systemd platform: snapshots, changes, actions and reloads over one D-Bus connection.

Never `systemctl show` or GetAll(Unit) for many units: right after a reload the latter costs 4 ms a unit. What is
needed of the Unit interface is asked by name, and only for units that are down.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

from dbus_fast import Message, MessageType, Variant

from supervise.clock import boot_id, now
from supervise.errors import PlatformError
from supervise.logs import read_journal
from supervise.model import (
    Action,
    ActionKind,
    AgentSpec,
    Change,
    LogLine,
    LogQuery,
    Lost,
    Outcome,
    Phase,
    ProcessId,
    Scope,
    Snapshot,
    UnitFile,
    UnitState,
)
from supervise.observe.match import inside
from supervise.observe.scan import scan
from supervise.places import Places
from supervise.platforms import Traits, UnitChanges
from supervise.platforms.systemd import units
from supervise.platforms.systemd.bus import MANAGER, PROPERTIES, SYSTEMD, UNIT, Bus, CallFailed, signal_body
from supervise.platforms.systemd.enablement import enabled_units, masked_units
from supervise.platforms.systemd.states import moment, unit_state

SERVICE = "org.freedesktop.systemd1.Service"
TIMER = "org.freedesktop.systemd1.Timer"
PATTERNS = ("agent@*.service", "agent@*.timer")
UNIT_NAME = re.compile(r"agent@(?P<name>[^.].*)\.(?P<kind>service|timer)")
OF_A_DEAD_UNIT = (
    "StateChangeTimestamp",
    "ActiveExitTimestampMonotonic",
    "InactiveEnterTimestampMonotonic",
    "ConditionResult",
    "ConditionTimestamp",
    "AssertResult",
    "AssertTimestamp",
)
MANAGER_SIGNALS = f"type='signal',sender='{SYSTEMD}',interface='{MANAGER}'"
UNIT_SIGNALS = (
    f"type='signal',sender='{SYSTEMD}',interface='{PROPERTIES}',member='PropertiesChanged',"
    "path_namespace='/org/freedesktop/systemd1/unit'"
)
SCOPE_PATIENCE = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between tries while an earlier scope of the same name is still being taken down."""
GOOD_RESULTS = frozenset({"done", "skipped"})
JOB_RESULTS = {
    "failed": "it failed to start",
    "timeout": "it was not ready in time (startup_timeout)",
    "dependency": "something that it requires failed to start",
    "canceled": "another request took its place",
    "assert": "it is held, or another assertion of its unit does not hold",
    "invalid": "it cannot be done in its present state",
}


class Systemd:
    """systemd of one scope. An async context manager: the connection lives as long as the block."""

    traits = Traits("systemd", (Scope.SYSTEM, Scope.USER), signals=True, outlives_us=True, schedules=True)

    def __init__(self, places: Places) -> None:
        self.places = places
        self._bus: Bus | None = None
        self._jobs = _Jobs()
        self._boot = boot_id()

    async def __aenter__(self) -> Systemd:
        self._bus = await Bus.connect(self.places.scope)
        await self._bus.listen(self._jobs.hear, MANAGER_SIGNALS)
        await self._bus.call("Subscribe")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bus:
            self._bus.close()
            self._bus = None

    @property
    def bus(self) -> Bus:
        if self._bus is None:
            raise PlatformError("cannot ask systemd: not connected")
        return self._bus

    def units(self, specs: Iterable[AgentSpec], *, places: Places, version: int) -> Iterator[UnitFile]:
        return units.units(specs, places=places, version=version)

    async def snapshot(self, names: Collection[str] | None = None, *, endings: bool = True) -> Snapshot:
        at = now()
        loaded = {row[0]: row for row in (await self.bus.call("ListUnitsByPatterns", "asas", [], list(PATTERNS)))[0]}
        rows = [row for unit, row in loaded.items() if unit.endswith(".service")]
        found = await asyncio.gather(*(self._state(row, endings=endings) for row in rows if _wanted(row[0], names)))
        states = {state.name: state for state in found}
        for name in names or ():
            states.setdefault(name, self._unloaded(name))
        timers = [row for unit, row in loaded.items() if unit.endswith(".timer") and _name(unit) in states]
        for name, changes in await asyncio.gather(*(self._timer(row) for row in timers)):
            states[name] = replace(states[name], **changes)
        return Snapshot(self._on_disk(states), at)

    async def changes(self) -> AsyncIterator[Change]:
        queue: asyncio.Queue[Change] = asyncio.Queue()
        watch = _Watch(self._boot, queue)
        await self.bus.listen(watch.hear, UNIT_SIGNALS)
        try:
            for row in (await self.bus.call("ListUnitsByPatterns", "asas", [], ["agent@*.service"]))[0]:
                watch.know(row[6], row[0], await self._properties(row))
            while True:
                waiting = asyncio.ensure_future(queue.get())
                await asyncio.wait((waiting, self.bus.disconnected), return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    waiting.cancel()
                    yield Lost("the connection to D-Bus was lost")
                    return
                yield waiting.result()
        finally:
            if self._bus:
                self._bus.deaf(watch.hear)

    async def perform(self, action: Action) -> Outcome:
        try:
            return await self._perform(action)
        except CallFailed as error:
            return Outcome(False, str(error), denied=error.denied)

    async def apply(self, changes: UnitChanges) -> None:
        if changes.disable:
            await self.bus.call("DisableUnitFiles", "asb", list(changes.disable), False)
        if changes.enable:
            await self.bus.call("EnableUnitFiles", "asbb", list(changes.enable), False, False)
        if changes.reload:
            await self.bus.call("Reload")

    async def processes(self) -> Mapping[str, frozenset[ProcessId]] | None:
        seen = scan()
        return inside(seen.processes) if seen.complete else None

    def logs(self, query: LogQuery) -> AsyncIterator[LogLine]:
        return read_journal(query, scope=self.places.scope)

    async def version(self) -> int:
        """The major version, 252 for `252.39-1~deb12u2`."""
        text = await self.bus.property("/org/freedesktop/systemd1", MANAGER, "Version")
        return int(re.match(r"\D*(\d+)", text)[1])  # type: ignore[index]

    async def adopt(self, scope_unit: str, pid: int, *, description: str) -> None:
        """Put a running process into a new scope below the agents' slice and wait until it is in it."""
        properties = [
            ["PIDs", Variant("au", [pid])],
            ["Slice", Variant("s", "supervise.slice")],
            ["Description", Variant("s", description)],
        ]
        for patience in (*SCOPE_PATIENCE, None):
            try:
                job = await self.bus.call("StartTransientUnit", "ssa(sv)a(sa(sv))", scope_unit, "fail", properties, [])
                break
            except CallFailed as error:
                if patience is None or not error.exists:
                    raise
                await asyncio.sleep(patience)  # the scope of a program that has just ended is there for a moment
        await self._jobs.result(job[0])

    async def _perform(self, action: Action) -> Outcome:
        match action.kind:
            case ActionKind.KILL:
                await self.bus.call("KillUnit", "ssi", action.unit, "all", 9)
                return Outcome(True)
            case ActionKind.RESET_AND_START:
                await self._reset(action.unit)
                method = "StartUnit"
            case ActionKind.START:
                method = "StartUnit"
            case ActionKind.STOP:
                method = "StopUnit"
            case ActionKind.RESTART:
                await self._reset(action.unit)
                method = "RestartUnit"
        result = await self._jobs.result((await self.bus.call(method, "ss", action.unit, "replace"))[0])
        return Outcome(result in GOOD_RESULTS, JOB_RESULTS.get(result, result))

    async def _reset(self, unit: str) -> None:
        """Forget failures, so that the start limit does not refuse what a person or a plan asks for."""
        try:
            await self.bus.call("ResetFailedUnit", "s", unit)
        except CallFailed as error:
            if not error.gone:
                raise

    async def _state(self, row: list[Any], *, endings: bool) -> UnitState:
        return unit_state(_name(row[0]), row[0], await self._properties(row, endings=endings), boot=self._boot)

    async def _properties(self, row: list[Any], *, endings: bool = True) -> dict[str, Any]:
        unit, _, load, active, sub, _, path, _, job_type, _ = row
        known = {"LoadState": load, "ActiveState": active, "SubState": sub, "JobType": job_type}
        if not endings and active in ("inactive", "failed"):
            return known
        wanted = ("InvocationID",) if active == "active" else ("InvocationID", *OF_A_DEAD_UNIT)
        try:
            service, *values = await asyncio.gather(
                self.bus.all_properties(path, SERVICE), *(self.bus.property(path, UNIT, name) for name in wanted)
            )
        except CallFailed as error:
            if error.gone:
                return {**known, "LoadState": "not-found"}
            raise PlatformError(f'cannot ask systemd about "{unit}": {error}') from error
        return {**known, **service, **dict(zip(wanted, values, strict=True))}

    async def _timer(self, row: list[Any]) -> tuple[str, dict[str, Any]]:
        properties = await self.bus.all_properties(row[6], TIMER)
        return _name(row[0]), {
            "next_run": moment(properties.get("NextElapseUSecRealtime", 0)),
            "timer_active": row[3] == "active",
        }

    def _unloaded(self, name: str) -> UnitState:
        """A unit which systemd holds nothing of: never started, or stopped and forgotten, or not there at all."""
        unit = units.unit_name(name)
        there = (self.places.units / f"{unit}.d" / units.DROP_IN).exists()
        return UnitState(name, unit, Phase.INACTIVE if there else Phase.ABSENT)

    def _on_disk(self, states: Mapping[str, UnitState]) -> dict[str, UnitState]:
        enabled, masked = enabled_units(self.places), masked_units(self.places)
        found = {}
        for name, state in states.items():
            on = state.unit in enabled or units.timer_name(name) in enabled
            found[name] = replace(state, enabled=on, masked=state.masked or state.unit in masked)
        return found


class _Jobs:
    """Results of jobs by their path, whichever comes first: the signal or whoever waits for it."""

    def __init__(self) -> None:
        self._results: dict[str, asyncio.Future[str]] = {}

    def hear(self, message: Message) -> None:
        if (
            message.message_type is MessageType.SIGNAL
            and message.member == "JobRemoved"
            and message.interface == MANAGER
        ):
            future = self._future(message.body[1])
            if not future.done():
                future.set_result(message.body[3])

    async def result(self, job: str) -> str:
        try:
            return await self._future(job)
        finally:
            self._results.pop(job, None)

    def _future(self, job: str) -> asyncio.Future[str]:
        return self._results.setdefault(job, asyncio.get_running_loop().create_future())


class _Watch:
    """Merges the properties that signals carry into states. A signal carries all that its interface ever signals."""

    def __init__(self, boot: str, queue: asyncio.Queue[Change]) -> None:
        self._boot = boot
        self._queue = queue
        self._known: dict[str, tuple[str, dict[str, Any]]] = {}

    def know(self, path: str, unit: str, properties: dict[str, Any]) -> None:
        self._known[path] = (unit, properties)

    def hear(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL or message.member != "PropertiesChanged":
            return
        interface, changed, _ = signal_body(message)
        unit, properties = self._known.get(message.path or "", (_unit_of_path(message.path or ""), {}))
        if interface not in (UNIT, SERVICE) or not UNIT_NAME.fullmatch(unit) or not unit.endswith(".service"):
            return
        properties |= changed
        if "Job" in changed:
            properties["JobType"] = "start" if changed["Job"][0] else ""
        self.know(message.path or "", unit, properties)
        self._queue.put_nowait(unit_state(_name(unit), unit, properties, boot=self._boot))


def _unit_of_path(path: str) -> str:
    """The unit behind an object path: `_40` is `@` (sd_bus_path_decode(3))."""
    return re.sub(r"_([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), path.rpartition("/")[2])


def _name(unit: str) -> str:
    found = UNIT_NAME.fullmatch(unit)
    return found["name"] if found else unit


def _wanted(unit: str, names: Collection[str] | None) -> bool:
    return names is None or _name(unit) in names
