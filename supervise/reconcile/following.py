"""Keeps the reconciler's view of the platform true: follows its changes, and asks for what it does not tell.

The connection may be lost at any time: then it is made anew, and all is asked again before anything is believed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from supervise.errors import PlatformError
from supervise.model import Lost, Phase, UnitState
from supervise.places import Places
from supervise.platforms import Platform
from supervise.platforms.systemd.platform import Systemd
from supervise.reconcile.reconciler import Reconciler

log = logging.getLogger(__name__)
PATIENCE = 60.0
"""Seconds for an answer about all: as long as none comes, no signal is taken either."""
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0
"""Seconds between two tries to connect."""
SOONEST_PING = timedelta(seconds=1)
LATEST_PING = timedelta(seconds=10)
"""How often an agent's pings are asked for: three times per watchdog interval, within these bounds."""
YOUNG = timedelta(minutes=2)
"""An agent that has run for so long without arming a watchdog will hardly do so any more."""
FIRST_QUESTION = timedelta(seconds=2)
RARER = 4
"""Until then it is asked whether it has, at first so soon, then each time its age has grown by a part in so many."""
Connect = Callable[[Places], AbstractAsyncContextManager[Platform]]


class Following:
    """One platform, for as long as the daemon lives. `platform` is None while it cannot be asked."""

    def __init__(self, places: Places, reconciler: Reconciler, *, connect: Connect = Systemd) -> None:
        self.platform: Platform | None = None
        self.seen = asyncio.Event()
        """Set once a first snapshot has been taken."""
        self._places = places
        self._connect = connect
        self._reconciler = reconciler
        self._asked_at: dict[str, timedelta] = {}
        self._turn = asyncio.Lock()
        self._wanted = self._answered = 0
        """How often everything was to be asked, and up to which of these times it has been."""
        self._meanwhile: list[UnitState] | None = None
        """What was signalled while a snapshot is being taken; None while none is."""

    async def run(self) -> None:
        wait = FIRST_WAIT
        while True:
            try:
                async with self._connect(self._places) as platform:
                    self.platform, wait = platform, FIRST_WAIT
                    await self._follow(platform)
            except PlatformError as error:
                log.warning("%s; trying again", error)
            finally:
                self.platform = None
                self._reconciler.lose_sight()
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def _follow(self, platform: Platform) -> None:
        """Until the connection is lost. Signals are taken while all is asked anew: those that are older than an answer
        must not wait until after it, one by one, and undo it step by step."""
        try:
            async with asyncio.TaskGroup() as asking:
                async for change in platform.changes():
                    if isinstance(change, Lost):
                        asking.create_task(self.resync())
                        await asyncio.sleep(0)  # what is signalled from here on comes after the question
                    else:
                        if self._stopped_perhaps_with_others(change):
                            await self.look_at_requirements()
                        self._take(change)
                raise PlatformError("cannot follow systemd: the connection to D-Bus was lost")
        except ExceptionGroup as group:
            raise group.exceptions[0] from group  # the others came of the first

    def _stopped_perhaps_with_others(self, state: UnitState) -> bool:
        """Whether what it requires and we are not told of decides what is to be said of its end."""
        spec = self._reconciler.disk.specs.get(state.name)
        foreign = self._reconciler.foreign_requirements
        return state.phase is Phase.INACTIVE and bool(spec and any(one.unit in foreign for one in spec.depends_on))

    def _take(self, state: UnitState) -> None:
        if self._meanwhile is not None:
            self._meanwhile.append(state)
        else:
            self._reconciler.run_pass(self._reconciler.take_state(state))

    async def resync(self) -> None:
        """Ask for everything anew, and decide about everyone. One question at a time: the answer to an older one must
        not come last. All who wanted it before it was put share one."""
        self._wanted += 1
        mine = self._wanted
        async with self._turn:
            if self.platform is None or self._answered >= mine:
                return
            put = self._wanted
            await self._take_snapshot(self.platform)
            self._answered = put
            await self.look_at_requirements()
            self._reconciler.run_pass()
            self.seen.set()

    async def check(self) -> None:
        """Ask for everything anew if anything is not as it was signalled."""
        if self.platform and not await self.platform.is_as_known(self._reconciler.states):
            await self.resync()

    async def look_at(self, names: Collection[str]) -> None:
        """Ask for these anew, where it can be asked."""
        if self.platform is None:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                states = (await self.platform.snapshot(names)).states
        except (PlatformError, TimeoutError) as error:
            log.warning("cannot look at units anew: %s", error)
            return
        self._reconciler.run_pass(set().union(*map(self._reconciler.take_state, states.values())))

    async def _take_snapshot(self, platform: Platform) -> None:
        """It is not of one moment, so what is signalled while it is taken comes after it: it must not undo that."""
        meanwhile: list[UnitState] = []
        self._meanwhile = meanwhile
        try:
            async with asyncio.timeout(PATIENCE):
                snapshot = await platform.snapshot(known=self._reconciler.disk.specs)
            self._reconciler.take_all(snapshot.states)
        except TimeoutError as error:
            raise PlatformError("the service manager does not answer") from error
        finally:
            self._meanwhile = None
            concerned: set[str] = set()
            for state in meanwhile:
                concerned |= self._reconciler.take_state(state)
            if concerned:
                self._reconciler.run_pass(concerned)

    async def look_at_requirements(self) -> set[str]:
        """Units that are not ours and that an agent requires: the only ones we are not told of. Gives who needs them,
        where they changed."""
        units = self._reconciler.foreign_requirements
        if not (units and self.platform):
            return set()
        return self._reconciler.take_requirements(await self.platform.requirements(units))

    async def look_at_drift(self, names: Collection[str]) -> None:
        """Whether systemd has read what now stands on disk."""
        if names and self.platform:
            self._reconciler.take_stale(await self.platform.needing_reload(names), names)

    async def look_at_pings(self, now: timedelta) -> set[str]:
        """Ask for the pings that are due; gives whose were asked for."""
        due = {name for name, state in self._reconciler.states.items() if self._due(name, state, now)}
        if due and self.platform:
            self._asked_at.update(dict.fromkeys(due, now))
            self._reconciler.take_pings(await self.platform.pings(due))
        return due

    def _due(self, name: str, state: UnitState, now: timedelta) -> bool:
        if state.phase is not Phase.ACTIVE or name not in self._reconciler.disk.specs:
            return False
        since_asked = now - self._asked_at.get(name, timedelta())
        if state.watchdog is None:
            age = YOUNG if state.started_monotonic is None else now - state.started_monotonic
            return age < YOUNG and since_asked >= max(FIRST_QUESTION, age / RARER)
        often = min(max(state.watchdog / 3, SOONEST_PING), LATEST_PING)
        beat = self._reconciler.beats.get(name)
        if beat and now - beat.at.monotonic < often:
            return False  # it has told us itself
        return since_asked >= often
