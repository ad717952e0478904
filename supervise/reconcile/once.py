"""What is asked of a reconciler once: a full pass (here, where none runs, with all that it writes and does), what that
changed, or to read everything anew.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from supervise import clock
from supervise.control.client import Unreachable, connect
from supervise.errors import NoSuchAgent
from supervise.manager import asker
from supervise.manifest import is_empty
from supervise.model import Event, Scope, StatusRow
from supervise.places import Places
from supervise.platforms.systemd.platform import Systemd
from supervise.reconcile import disk, journaling
from supervise.reconcile.acting import Acting
from supervise.reconcile.alone import alone
from supervise.reconcile.orders import event_json, remaining, row_json
from supervise.reconcile.reconciler import Reconciler
from supervise.reconcile.scanning import Here
from supervise.selection import NOBODY as NOTHING_INSTALLED
from supervise.stores.writer import Writer

BY_RECONCILER, WITHOUT = "by the reconciler that runs", "without a reconciler"
PATIENCE = 60.0
"""Seconds for a pass of a reconciler that runs."""
NOBODY = (FileNotFoundError, ConnectionRefusedError)
"""What a connection ends with where no reconciler runs. One that is slow does run: beside it nobody else may act."""


async def once(places: Places, *, host: str) -> dict[str, Any]:
    """The rows after the pass, and who made it. Raises SuperviseError."""
    try:
        async with connect(places.control) as control:
            await control.ask("look", patience=PATIENCE)
            return {"by": BY_RECONCILER, **await control.ask("rows")}
    except Unreachable as error:
        if not isinstance(error.__cause__, NOBODY):
            raise
        refuse_where_nothing_is(places)
        with alone(places):
            return {"by": WITHOUT, "rows": list(map(row_json, (await _here(places, host))[0]))}


async def fix(places: Places, *, host: str) -> dict[str, Any]:
    """What one full pass changed, by whom, what it could not see, and who is not well yet. Raises SuperviseError."""
    try:
        async with connect(places.control) as control:
            return {"by": BY_RECONCILER, **await control.ask("fix", patience=PATIENCE, by=asker())}
    except Unreachable as error:
        if not isinstance(error.__cause__, NOBODY) or (places.scope is Scope.SYSTEM and os.geteuid()):
            raise
        refuse_where_nothing_is(places)
        with alone(places):
            rows, events = await _here(places, host)
        return {"by": WITHOUT, "agents": len(rows), "events": events, "troubles": [], "remaining": remaining(rows)}


async def reload(places: Places) -> dict[str, Any]:
    """What the reconciler that runs found, and what is damaged. Raises SuperviseError."""
    async with connect(places.control) as control:
        said: dict[str, Any] = await control.ask("reload", patience=PATIENCE)
        return said


def refuse_where_nothing_is(places: Places) -> None:
    """Before the first install, which makes the folder of the store and gives it to its owner."""
    if is_empty(places):
        raise NoSuchAgent(NOTHING_INSTALLED)


async def _here(places: Places, host: str) -> tuple[list[StatusRow], list[dict[str, Any]]]:
    """The rows after a pass of our own, and its events."""
    told: list[Event] = []
    writer = Writer(places.store, host=host)
    async with Systemd(places) as platform:
        scanning = Here(lambda: reconciler.disk.specs.values(), lambda found, names: None)
        acting = Acting(lambda: platform, scanning)
        reconciler = Reconciler(places, host=host, clock=clock.now, commit=writer.commit, start=acting.start)
        acting.reconciler = reconciler
        reconciler.listeners += [lambda rows, events, forgotten: told.extend(events), journaling.tell_of_actions]
        reconciler.remember(await writer.start())
        found, _ = disk.look(places, reconciler.disk)
        reconciler.take_disk(found)
        snapshot = await platform.snapshot(known=found.specs)
        reconciler.take_requirements(await platform.requirements(reconciler.foreign_requirements))
        reconciler.take_all(snapshot.states)
        reconciler.take_findings(await scanning.fresh(), ())
        reconciler.listen()
        reconciler.run_pass()
        await acting.finished()
    await asyncio.shield(writer.close())
    return list(reconciler.rows.values()), list(map(event_json, told))
