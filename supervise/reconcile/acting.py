"""Carries out what a pass decided: written first, and no start before a complete look at all processes.

An action takes as long as the manager takes. Others go on meanwhile; of one agent there is never more than one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from supervise.decide.remedy import STARTS
from supervise.errors import PlatformError
from supervise.guard import obstacles
from supervise.model import Action, ActionKind, Outcome, Scope
from supervise.platforms import Platform
from supervise.reconcile.disk import with_holds
from supervise.reconcile.reconciler import Reconciler
from supervise.reconcile.scanning import Scanning


class Acting:
    """The actions that are under way."""

    def __init__(self, platform: Callable[[], Platform | None], scanning: Scanning) -> None:
        self.reconciler: Reconciler | None = None
        self._platform = platform
        self._scanning = scanning
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, action: Action, written: asyncio.Future[bool]) -> None:
        task = asyncio.ensure_future(self._act(action, written))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def finished(self) -> None:
        """Once all that is under way has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _act(self, action: Action, written: asyncio.Future[bool]) -> None:
        reconciler = self.reconciler
        assert reconciler is not None
        await written  # a store that cannot be written has said so; the agent must not wait for it
        try:
            outcome = await self._perform(action, reconciler)
        except (PlatformError, OSError) as error:  # whatever it was: it is under way no longer
            outcome = Outcome(False, str(error))
        reconciler.concluded(action, outcome)

    async def _perform(self, action: Action, reconciler: Reconciler) -> Outcome:
        if action.kind is ActionKind.END:
            spec = reconciler.disk.specs.get(action.name)
            return await self._scanning.end(spec, action.processes) if spec else Outcome(True)
        platform = self._platform()
        if platform is None:
            return Outcome(False, "the service manager cannot be asked", unmade=True)
        if action.kind in STARTS and (why := await self._obstacle(action.name, reconciler)):
            return Outcome(False, why, unmade=True)
        return await platform.perform(action)

    async def _obstacle(self, name: str, reconciler: Reconciler) -> str | None:
        """Why it must not be started now: a person's word, a process that may be a copy, or that nobody can tell."""
        try:
            seen = await self._scanning.fresh()
        except PlatformError as error:
            return str(error)
        if not seen.complete and reconciler.places.scope is Scope.SYSTEM:
            return "not all processes of this machine can be seen (hidepid?), so a copy may run"
        disk = with_holds(reconciler.places, reconciler.disk)
        spec, state = disk.specs.get(name), reconciler.states.get(name)
        if spec is None or state is None:
            return "it is not installed any more"
        found = obstacles([spec], seen, holds=disk.holds, states={name: state})
        return found[name].text if name in found else None
