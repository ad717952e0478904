"""Carries out what a pass decided: written first, and no start before a complete look at all processes.

The unit is looked at once more right before: whatever it was decided by, nothing is done to what nobody has seen. An
action takes as long as the manager takes. Others go on meanwhile; of one agent there is never more than one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from supervise.decide.remedy import STARTS, still_due
from supervise.errors import PlatformError
from supervise.guard import obstacles
from supervise.model import Action, ActionKind, IntentKind, Outcome, Scope, UnitState
from supervise.platforms import Platform
from supervise.reconcile.disk import with_holds
from supervise.reconcile.reconciler import Reconciler
from supervise.reconcile.scanning import Scanning


@dataclass(frozen=True, slots=True)
class _Decided:
    """An action, when it was decided (on the monotonic clock), and by what state of the unit."""

    action: Action
    at: timedelta
    state: UnitState | None


class Acting:
    """The actions that are under way."""

    def __init__(self, platform: Callable[[], Platform | None], scanning: Scanning) -> None:
        self.reconciler: Reconciler | None = None
        self._platform = platform
        self._scanning = scanning
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, action: Action, written: asyncio.Future[bool]) -> None:
        assert self.reconciler is not None
        at, state = self.reconciler.clock().monotonic, self.reconciler.states.get(action.name)
        task = asyncio.ensure_future(self._act(_Decided(action, at, state), written))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def finished(self) -> None:
        """Once all that is under way has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _act(self, decided: _Decided, written: asyncio.Future[bool]) -> None:
        reconciler, action = self.reconciler, decided.action
        assert reconciler is not None
        await written  # a store that cannot be written has said so; the agent must not wait for it
        try:
            outcome = await self._perform(decided, reconciler)
        except (PlatformError, OSError) as error:  # whatever it was: it is under way no longer
            outcome = Outcome(False, str(error))
        reconciler.concluded(action, outcome)

    async def _perform(self, decided: _Decided, reconciler: Reconciler) -> Outcome:
        action, platform = decided.action, self._platform()
        if platform is None:
            return Outcome(False, "the service manager cannot be asked", unmade=True)
        if why := await self._obstacle(decided, platform, reconciler):
            return Outcome(False, why, unmade=True)
        if action.kind is ActionKind.END:
            spec = reconciler.disk.specs.get(action.name)
            return await self._scanning.end(spec, action.processes) if spec else Outcome(True)
        return await platform.perform(action)

    async def _obstacle(self, decided: _Decided, platform: Platform, reconciler: Reconciler) -> str | None:
        """Why it must not be done after all: it would be twice, against a person's word, or to what has changed."""
        name = decided.action.name
        try:
            if decided.action.kind in STARTS and (why := await self._why_not_start(name, reconciler)):
                return why
            state = (await platform.snapshot([name])).states.get(name)
        except PlatformError as error:
            return str(error)
        if state and decided.state and not still_due(decided.action, decided.state, state):
            reconciler.run_pass(reconciler.take_state(state))
            return "it has changed meanwhile"
        wish = reconciler.intents.get(name)
        if decided.action.kind in STARTS and wish and wish.kind is IntentKind.STOP and wish.monotonic > decided.at:
            return f"{wish.by} stopped it meanwhile"
        return None

    async def _why_not_start(self, name: str, reconciler: Reconciler) -> str | None:
        """A person's word, a process that may be a copy, or that nobody can tell. Raises PlatformError."""
        seen = await self._scanning.fresh()
        if not seen.complete and reconciler.places.scope is Scope.SYSTEM:
            return "not all processes of this machine can be seen (hidepid?), so a copy may run"
        disk = with_holds(reconciler.places, reconciler.disk)
        spec, state = disk.specs.get(name), reconciler.states.get(name)
        if spec is None or state is None:
            return "it is not installed any more"
        found = obstacles([spec], seen, holds=disk.holds, states={name: state})
        return found[name].text if name in found else None
