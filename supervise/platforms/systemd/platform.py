"""The systemd platform: snapshots, changes, actions and reloads over one D-Bus connection.

Never `systemctl show` or GetAll(Unit) for many units: right after a reload the latter costs 4 ms a unit. What is
needed of the Unit interface is asked by name, and only for units that are down.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
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
    Ping,
    ProbeRole,
    Requirement,
    Scope,
    Snapshot,
    UnitFile,
    UnitState,
)
from supervise.places import Places
from supervise.platforms import Traits, UnitChanges
from supervise.platforms.systemd import units
from supervise.platforms.systemd.bus import MANAGER, PROPERTIES, SYSTEMD, UNIT, Bus, CallFailed
from supervise.platforms.systemd.enablement import enabled_units, masked_units
from supervise.platforms.systemd.probing import ended
from supervise.platforms.systemd.states import USED, invocation, length, moment, phase_of, unit_state
from supervise.platforms.systemd.watch import SERVICE, Reading, Watch, agent_name

TIMER = "org.freedesktop.systemd1.Timer"
PATTERNS = ("agent@*.service", "agent@*.timer")
FEW = 20
"""About so many agents systemd is asked by their names, and not about all that there are."""
OF_A_LIVING_UNIT = ("InvocationID", "ActiveExitTimestamp")
OF_A_DEAD_UNIT = (
    "InvocationID",
    "StateChangeTimestamp",
    "ActiveExitTimestamp",
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
MOST_JOBS = 400
"""Jobs that are under way at once: for each systemd watches who asked for it, and dbus-daemon refuses it the 513th such
watch. Of a thousand starts at once some were never answered (measured on 252)."""
MOST_UNCLAIMED = 1000
"""Results of jobs that are kept for whoever may ask for them; who started a job does so within milliseconds."""
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
        self._job_slots = asyncio.Semaphore(MOST_JOBS)
        self._watch: Watch | None = None
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

    async def snapshot(
        self, names: Collection[str] | None = None, *, known: Collection[str] = (), endings: bool = True
    ) -> Snapshot:
        if self._watch is None or names is not None or not endings:  # who asks of some is not who follows all
            return await self._snapshot(names, known, endings=endings)
        with self._watch.reading() as reading:
            return await self._snapshot(names, known, reading)

    async def _snapshot(
        self,
        names: Collection[str] | None,
        known: Collection[str],
        reading: Reading | None = None,
        *,
        endings: bool = True,
    ) -> Snapshot:
        at = now()
        loaded = {row[0]: row for row in (await self.bus.call("ListUnitsByPatterns", "asas", [], _patterns(names)))[0]}
        timers = [row for unit, row in loaded.items() if unit.endswith(".timer") and _wanted(unit, names)]
        runs = dict(await asyncio.gather(*(self._timer(row) for row in timers)))
        if self._watch and reading:
            for name, timer in runs.items():
                self._watch.know_timer(name, timer)
        rows = [row for unit, row in loaded.items() if unit.endswith(".service")]
        found = await asyncio.gather(
            *(self._state(row, reading, endings=endings) for row in rows if _wanted(row[0], names))
        )
        states = {state.name: state for state in found}
        for name in {*(names or ()), *known, *runs}:
            states.setdefault(name, self._unloaded(name))
        for name, timer in runs.items():
            states[name] = replace(states[name], **timer)
        return Snapshot(self._on_disk(states), at)

    async def is_as_known(self, states: Mapping[str, UnitState]) -> bool:
        rows = (await self.bus.call("ListUnitsByPatterns", "asas", [], [PATTERNS[0]]))[0]
        listed = {agent_name(row[0]): row for row in rows}
        down = {name for name, state in states.items() if state.phase in (Phase.INACTIVE, Phase.ABSENT)}
        if not listed.keys() <= states.keys() <= {*listed, *down}:
            return False
        if any(phase_of(_listed(row)) is not states[name].phase for name, row in listed.items()):
            return False
        lives = [(row[6], states[name]) for name, row in listed.items() if states[name].phase is Phase.ACTIVE]
        try:
            found = await asyncio.gather(*(self.bus.property(path, UNIT, "InvocationID") for path, _ in lives))
        except CallFailed:
            return False  # it has been unloaded since
        return all(bytes(one).hex() == invocation(state) for one, (_, state) in zip(found, lives, strict=True))

    async def changes(self) -> AsyncIterator[Change]:
        self._watch = watch = Watch(self._boot, ask=self._service, ask_timer=self._timer_by_name)
        await self.bus.listen(watch.hear, UNIT_SIGNALS)
        try:
            yield Lost("nothing is known yet")
            while True:
                waiting = asyncio.ensure_future(watch.queue.get())
                await asyncio.wait((waiting, self.bus.disconnected), return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    waiting.cancel()
                    return
                yield waiting.result()
        finally:
            self._watch = None
            watch.close()
            if self._bus:
                self._bus.deaf(watch.hear)

    async def pings(self, names: Collection[str]) -> Mapping[str, Ping]:
        """When each last pinged its manager: no signal tells, nor of a watchdog that it armed itself. Of what is not
        loaded nothing is said."""

        async def one(name: str) -> Ping | None:
            path = object_path(units.unit_name(name))
            try:
                at, watchdog = await asyncio.gather(
                    *(self.bus.property(path, SERVICE, one) for one in ("WatchdogTimestampMonotonic", "WatchdogUSec"))
                )
            except CallFailed as error:
                if error.gone:
                    return None
                raise
            return Ping(length(at), length(watchdog))

        wanted = tuple(names)
        answers = await asyncio.gather(*map(one, wanted))
        return {name: ping for name, ping in zip(wanted, answers, strict=True) if ping}

    async def needing_reload(self, names: Collection[str]) -> frozenset[str]:
        """Agents whose files changed since systemd read them. Dear right after a reload: ask about few."""

        async def one(name: str) -> bool:
            try:
                return bool(await self.bus.property(object_path(units.unit_name(name)), UNIT, "NeedDaemonReload"))
            except CallFailed:
                return False

        wanted = tuple(names)
        answers = await asyncio.gather(*map(one, wanted))
        return frozenset(name for name, stale in zip(wanted, answers, strict=True) if stale)

    async def requirements(self, unit_names: Collection[str]) -> Mapping[str, Requirement]:
        """Whether these units are active. One that is not loaded is not."""

        async def one(unit: str) -> Requirement:
            path = object_path(unit)
            try:
                active, left, job = await asyncio.gather(
                    *(self.bus.property(path, UNIT, name) for name in ("ActiveState", "ActiveExitTimestamp", "Job"))
                )
            except CallFailed:
                return Requirement(active=False)
            return Requirement(active in ("active", "reloading") and not job[0], moment(left))

        wanted = tuple(unit_names)
        return dict(zip(wanted, await asyncio.gather(*map(one, wanted)), strict=True))

    async def perform(self, action: Action) -> Outcome:
        try:
            return await self._perform(action)
        except CallFailed as error:
            return Outcome(False, str(error), denied=error.denied)

    async def probe(self, name: str, role: ProbeRole) -> Outcome:
        unit = units.probe_unit(name, role)
        try:
            result = await self._result((await self.bus.call("StartUnit", "ss", unit, "replace"))[0])
            if result in GOOD_RESULTS:
                return Outcome(True, "exited with code 0")
            if result != "failed":
                return Outcome(False, JOB_RESULTS.get(result, result), unmade=True)
            service = await self.bus.all_properties(object_path(unit), SERVICE)
            await self._reset(unit)  # its failure is the agent's matter, and nobody shall find a failed unit
        except CallFailed as error:
            return Outcome(False, str(error), denied=error.denied, unmade=True)
        return ended(service)

    async def apply(self, changes: UnitChanges) -> None:
        if changes.disable:
            await self.bus.call("DisableUnitFiles", "asb", list(changes.disable), False)
        if changes.enable:
            await self.bus.call("EnableUnitFiles", "asbb", list(changes.enable), False, False)
        if changes.reload:
            await self.bus.call("Reload")
        for unit in changes.forget:
            await self._reset(unit)

    def logs(self, query: LogQuery) -> AsyncIterator[LogLine]:
        return read_journal(query, scope=self.places.scope)

    async def version(self) -> int:
        """The major version, 252 for `252.39-1~deb12u2`."""
        text = await self.bus.property("/org/freedesktop/systemd1", MANAGER, "Version")
        return int(re.match(r"\D*(\d+)", text)[1])  # type: ignore[index]

    async def adopt(self, scope_unit: str, pids: Sequence[int], *, description: str) -> None:
        """Put running processes into a new scope below the agents' slice and wait until they are in it."""
        properties = [
            ["PIDs", Variant("au", list(pids))],
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
        await self._result(job[0])

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
        async with self._job_slots:
            result = await self._result((await self.bus.call(method, "ss", action.unit, "replace"))[0])
        if action.kind is ActionKind.STOP and units.is_probe(action.unit):
            await self._reset(action.unit)  # a command that is stopped has failed, as systemd sees it
        return Outcome(result in GOOD_RESULTS, JOB_RESULTS.get(result, result), overtaken=result == "canceled")

    async def _result(self, job: str) -> str:
        """How this job ends. Raises PlatformError where the connection is lost before: then nobody tells."""
        waiting, lost = asyncio.ensure_future(self._jobs.result(job)), self.bus.disconnected
        try:
            await asyncio.wait((waiting, lost), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            raise PlatformError("cannot tell what became of it: the connection to D-Bus was lost")
        finally:
            waiting.cancel()

    async def _reset(self, unit: str) -> None:
        """Forget failures, so that the start limit does not refuse what a person or a plan asks for."""
        try:
            await self.bus.call("ResetFailedUnit", "s", unit)
        except CallFailed as error:
            if not error.gone:
                raise

    async def _state(self, row: list[Any], reading: Reading | None, *, endings: bool) -> UnitState:
        properties = await self._properties(row, endings=endings)
        if properties is None:
            return self._unloaded(agent_name(row[0]))
        if self._watch and reading:
            return self._watch.know(row[0], properties, reading)
        return unit_state(agent_name(row[0]), row[0], properties, boot=self._boot)

    async def _service(self, unit: str) -> dict[str, Any] | None:
        rows = (await self.bus.call("ListUnitsByPatterns", "asas", [], [unit]))[0]
        return await self._properties(rows[0]) if rows else None

    async def _timer_by_name(self, unit: str) -> dict[str, Any] | None:
        rows = (await self.bus.call("ListUnitsByPatterns", "asas", [], [unit]))[0]
        return (await self._timer(rows[0]))[1] if rows else None

    async def _properties(self, row: list[Any], *, endings: bool = True) -> dict[str, Any] | None:
        unit, active, path, known = row[0], row[3], row[6], _listed(row)
        if not endings and active in ("inactive", "failed"):
            return known
        wanted = OF_A_LIVING_UNIT if active == "active" else OF_A_DEAD_UNIT
        try:
            service, *values = await asyncio.gather(
                self.bus.all_properties(path, SERVICE), *(self.bus.property(path, UNIT, name) for name in wanted)
            )
        except CallFailed as error:
            if error.gone:
                return None  # it was unloaded since it was listed
            raise PlatformError(f'cannot ask systemd about "{unit}": {error}') from error
        used = {name: value for name, value in service.items() if name in USED}
        return {**known, **used, **dict(zip(wanted, values, strict=True))}

    async def _timer(self, row: list[Any]) -> tuple[str, dict[str, Any]]:
        properties = await self.bus.all_properties(row[6], TIMER)
        return agent_name(row[0]), {
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
    """Results of jobs by their path, whichever comes first: the signal or whoever waits for it.

    The jobs of everybody else are heard too: of their results only the latest are kept.
    """

    def __init__(self) -> None:
        self._results: dict[str, asyncio.Future[str]] = {}
        self._unclaimed: deque[str] = deque()

    def hear(self, message: Message) -> None:
        if (
            message.message_type is MessageType.SIGNAL
            and message.member == "JobRemoved"
            and message.interface == MANAGER
        ):
            if message.body[1] not in self._results:
                self._unclaimed.append(message.body[1])
            future = self._future(message.body[1])
            if not future.done():
                future.set_result(message.body[3])
            if len(self._unclaimed) > MOST_UNCLAIMED:
                self._results.pop(self._unclaimed.popleft(), None)

    async def result(self, job: str) -> str:
        try:
            return await self._future(job)
        finally:
            self._results.pop(job, None)

    def _future(self, job: str) -> asyncio.Future[str]:
        return self._results.setdefault(job, asyncio.get_running_loop().create_future())


def object_path(unit: str) -> str:
    """Where a unit stands on the bus, loaded or not (sd_bus_path_encode(3))."""
    escaped = re.sub(r"[^A-Za-z0-9]", lambda found: f"_{ord(found[0]):02x}", unit)
    return f"/org/freedesktop/systemd1/unit/{escaped}"


def _patterns(names: Collection[str] | None) -> list[str]:
    """What to ask for: of a few agents, no other units."""
    if not names or len(names) > FEW:
        return list(PATTERNS)
    return [unit for name in names for unit in (units.unit_name(name), units.timer_name(name))]


def _listed(row: Sequence[Any]) -> dict[str, Any]:
    """What a list of units tells of one."""
    _, _, load, active, sub, _, _, _, job_type, _ = row
    return {"LoadState": load, "ActiveState": active, "SubState": sub, "JobType": job_type}


def _wanted(unit: str, names: Collection[str] | None) -> bool:
    return names is None or agent_name(unit) in names
