"""Follows what a service manager signals about agent units, and tells it as states that stand.

A signal carries all that its interface ever signals, so it is merged into what is known and nothing need be asked. In
each automatic restart a unit is `failed` and then `inactive` for a millisecond or two: such passing states are held
back until nothing follows, while a death is told at once.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from dbus_fast import Message, MessageType

from supervise.errors import PlatformError
from supervise.model import Change, Lost, Phase, UnitState
from supervise.platforms.systemd.bus import MANAGER, UNIT, signal_body
from supervise.platforms.systemd.states import REFUSED_BY_DEPENDENCY, USED, unit_state

SERVICE = "org.freedesktop.systemd1.Service"
UNIT_NAME = re.compile(r"agent@(?P<name>[^.].*)\.(?P<kind>service|timer)")
ENDED = (Phase.RESTARTING, Phase.FAILED, Phase.INACTIVE)
PASSING = 0.05
"""Seconds after which a state that may be one of a restart's passing ones is taken for what it is."""

Ask = Callable[[str], Awaitable[dict[str, Any] | None]]
"""All properties of a service by its name, or what a UnitState says of a timer; None where it is not loaded."""


@dataclass(slots=True)
class Reading:
    """A snapshot that is being read: what was signalled since it began, whom it has read so far, and what is told of
    the others in the end."""

    signalled: defaultdict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    known: set[str] = field(default_factory=set)
    late: dict[str, UnitState] = field(default_factory=dict)


class Watch:
    """One subscription. Made by the platform, which feeds it answers and signals; changes come out of `queue`."""

    def __init__(self, boot: str, *, ask: Ask, ask_timer: Ask) -> None:
        self.queue: asyncio.Queue[Change] = asyncio.Queue()
        self._boot = boot
        self._ask = ask
        self._ask_timer = ask_timer
        self._timers: dict[str, dict[str, Any]] = {}
        self._known: dict[str, dict[str, Any]] = {}
        self._told: dict[str, Phase] = {}
        self._asked: dict[str, dict[str, Any]] = {}
        self._held_back: dict[str, asyncio.TimerHandle] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._reloading = False
        self._readings: list[Reading] = []

    def close(self) -> None:
        for handle in self._held_back.values():
            handle.cancel()
        for task in self._asking:
            task.cancel()

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """While a snapshot is read: what is signalled may be newer than what it reads, and what that tells nothing else
        does. So only for a snapshot of all, which whoever follows takes over."""
        reading = Reading()
        self._readings.append(reading)
        try:
            yield reading
        finally:
            self._readings.remove(reading)
            for unit, state in reading.late.items():
                self._pass_on(unit, state)

    def know(self, unit: str, properties: Mapping[str, Any], reading: Reading) -> UnitState:
        """Take over what a snapshot has read, and give the state which that is."""
        refused = self._known.get(unit, {}).get(REFUSED_BY_DEPENDENCY, False)
        self._known[unit] = {**properties, REFUSED_BY_DEPENDENCY: refused, **reading.signalled.get(unit, {})}
        reading.known.add(unit)
        reading.late.pop(unit, None)
        self._forget_held_back(unit)
        state = self._state(unit)
        self._told[unit] = state.phase
        return state

    def know_timer(self, name: str, timer: Mapping[str, Any]) -> None:
        self._timers[name] = dict(timer)

    def hear(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        if message.member == "PropertiesChanged":
            self._properties_changed(message)
        elif message.interface == MANAGER:
            self._manager_said(message)

    # --- Signals ------------------------------------------------------------------------------------------------------

    def _properties_changed(self, message: Message) -> None:
        unit = unit_of_path(message.path or "")
        found = UNIT_NAME.fullmatch(unit)
        if not found:
            return
        interface, signalled, _ = signal_body(message)
        changed = {name: value for name, value in signalled.items() if name in USED or name == "Job"}
        if found["kind"] == "timer":
            self._look_at_timer(unit)
            return
        if interface not in (UNIT, SERVICE):
            return
        if "Job" in changed:
            changed["JobType"] = "start" if changed["Job"][0] else ""
        for reading in self._readings:
            reading.signalled[unit] |= changed
        if unit in self._asked:
            self._asked[unit] |= changed
        elif unit in self._known:
            self._known[unit] |= changed
            if interface == UNIT:  # it always comes right after the other, and only both together are one moment
                self._tell(unit)
        else:
            self._ask_about(unit, changed)

    def _manager_said(self, message: Message) -> None:
        match message.member:
            case "Reloading":
                self._reloading = message.body[0]
                if not self._reloading:
                    self.queue.put_nowait(Lost("systemd has read its units anew"))
            case "UnitRemoved" if self._reloading:
                pass  # it forgets every unit for a moment, the running ones too; what is gone the next snapshot lacks
            case "UnitNew" if UNIT_NAME.fullmatch(message.body[0]) and message.body[0] not in self._known:
                self._ask_about(message.body[0], {})
            case "UnitRemoved" if self._known.pop(message.body[0], None) is not None:
                self._told.pop(message.body[0], None)
                self._forget_held_back(message.body[0])
                self.queue.put_nowait(UnitState(agent_name(message.body[0]), message.body[0], Phase.INACTIVE))
            case "JobRemoved" if message.body[2] in self._known and message.body[3] == "dependency":
                self._known[message.body[2]][REFUSED_BY_DEPENDENCY] = True
                self._known[message.body[2]]["JobType"] = ""
                self._tell(message.body[2])

    def _ask_about(self, unit: str, changed: dict[str, Any]) -> None:
        """A unit that has just been loaded: its signals lack what never changes."""
        if unit.endswith(".timer"):
            self._look_at_timer(unit)
        elif unit not in self._asked:
            self._asked[unit] = changed
            self._in_background(self._answered(unit))

    def _look_at_timer(self, unit: str) -> None:
        """When a timer fires next is signalled by nobody: ask, once its signals have come to rest."""
        if unit not in self._held_back:
            loop = asyncio.get_running_loop()
            self._held_back[unit] = loop.call_later(PASSING, self._ask_timer_now, unit)

    def _ask_timer_now(self, unit: str) -> None:
        self._held_back.pop(unit, None)
        self._in_background(self._timer_answered(unit))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _timer_answered(self, unit: str) -> None:
        try:
            timer = await self._ask_timer(unit)
        except PlatformError as error:
            self.queue.put_nowait(Lost(str(error)))
            return
        self._timers[agent_name(unit)] = timer or {"next_run": None, "timer_active": False}
        service = f"agent@{agent_name(unit)}.service"
        self._tell(service) if service in self._known else self._ask_about(service, {})

    async def _answered(self, unit: str) -> None:
        try:
            properties = await self._ask(unit)
        except PlatformError as error:
            self.queue.put_nowait(Lost(str(error)))
            properties = None
        changed = self._asked.pop(unit, {})
        if properties is not None:
            self._known[unit] = {**properties, **changed}
            self._tell(unit, fresh=True)

    # --- States -------------------------------------------------------------------------------------------------------

    def _tell(self, unit: str, *, fresh: bool = False) -> None:
        """`fresh`: all of it was just asked for. How a before_start ended is signalled by nobody, so it must be."""
        state = self._state(unit)
        if not fresh and self._known[unit].get("ExecStartPre") and state.phase in ENDED:
            self._ask_about(unit, {})
            return
        if state.phase is Phase.STARTING or state.phase is Phase.ACTIVE:
            self._known[unit].pop(REFUSED_BY_DEPENDENCY, None)
        passing = _in_passing(state, self._told.get(unit), self._known[unit])
        if passing is state:
            self._forget_held_back(unit)
        elif unit not in self._held_back:  # signals that go on coming must not put it off for ever
            loop = asyncio.get_running_loop()
            self._held_back[unit] = loop.call_later(PASSING, self._tell_as_it_is, unit)
        if passing is not None:
            self._emit(unit, passing)

    def _tell_as_it_is(self, unit: str) -> None:
        self._held_back.pop(unit, None)
        if unit in self._known:
            self._emit(unit, self._state(unit))

    def _emit(self, unit: str, state: UnitState) -> None:
        self._told[unit] = state.phase
        self._pass_on(unit, state)

    def _pass_on(self, unit: str, state: UnitState) -> None:
        """Tell it, unless a snapshot is about to tell of the same or a later moment."""
        if reading := next((one for one in self._readings if unit not in one.known), None):
            reading.late[unit] = state
        else:
            self.queue.put_nowait(state)

    def _state(self, unit: str) -> UnitState:
        name = agent_name(unit)
        state = unit_state(name, unit, self._known[unit], boot=self._boot)
        return replace(state, **self._timers[name]) if name in self._timers else state

    def _forget_held_back(self, unit: str) -> None:
        if handle := self._held_back.pop(unit, None):
            handle.cancel()


def _in_passing(state: UnitState, told: Phase | None, properties: Mapping[str, Any]) -> UnitState | None:
    """What is to be told at once: the state itself; that it restarts, of one that seems about to; or nothing yet."""
    if _restarts_from_here(state, told, properties):
        return replace(state, phase=Phase.RESTARTING, by_request=None, gave_up=None)
    if state.phase is Phase.QUEUED:
        return None  # in every start and at the end of every stop a job is there for a moment
    if state.phase is Phase.INACTIVE and told in (Phase.RESTARTING, Phase.FAILED):
        return None  # in the middle of a restart; or its failure was forgotten, since somebody is about to start it
    return state


def _restarts_from_here(state: UnitState, told: Phase | None, properties: Mapping[str, Any]) -> bool:
    """Whether its process has ended by itself and the manager, by all appearances, is about to start it again."""
    if properties.get("Restart", "no") == "no" or state.exit is None:
        return False
    if state.phase is Phase.FAILED:
        return not state.by_request and not state.gave_up and told is not Phase.FAILED
    if properties["Restart"] != "always":
        return False  # it ended well, so it stays down
    left, ended = (properties.get(f"{one}TimestampMonotonic", 0) for one in ("ActiveExit", "ExecMainExit"))
    return state.phase is Phase.INACTIVE and told in (Phase.ACTIVE, Phase.STARTING) and 0 < ended <= left


def unit_of_path(path: str) -> str:
    """The unit behind an object path: `_40` is `@` (sd_bus_path_decode(3))."""
    return re.sub(r"_([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), path.rpartition("/")[2])


def agent_name(unit: str) -> str:
    found = UNIT_NAME.fullmatch(unit)
    return found["name"] if found else unit
