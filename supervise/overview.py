"""How agents are: what the reconciler says, or without one what the platform and one process scan show now."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from supervise import serial
from supervise.control.client import NoAnswer, Refused, Unreachable, connect
from supervise.errors import PlatformError
from supervise.hints import for_scope
from supervise.manager import managing
from supervise.manifest import manifests
from supervise.model import AgentSpec, Scope, StatusRow
from supervise.observe.probes import Probed
from supervise.places import Places

REFRESH = 2.0
"""Seconds after which we look again without a reconciler, even without a signal."""
SEEN_HERE = "this is what systemd and one process scan show at this moment"
WITHOUT_DAEMON = f"no reconciler is running: {SEEN_HERE}"
SILENT_DAEMON = f"the reconciler runs but does not answer: {SEEN_HERE}"
OTHERS_UNSEEN = "processes of other users cannot be looked into, so copies go unnoticed (`sudo supervise status`)"


@dataclass(frozen=True, slots=True)
class Overview:
    """Rows by name. `reconciler`: what it says of itself; None where none answers, and then `notes` say what that means
    for the rows. `probes`: what those of the agents have answered, as far as any were asked."""

    rows: Mapping[str, StatusRow]
    at: datetime
    reconciler: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    scope: Scope = Scope.SYSTEM
    probes: Mapping[str, Probed] = field(default_factory=dict)


async def overview(places: Places, specs: Sequence[AgentSpec]) -> Overview:
    """The rows of these agents. Raises PlatformError where neither a reconciler nor a service manager answers."""
    names = [spec.name for spec in specs]
    try:
        async with connect(places.control) as control:
            answer = await control.ask("rows", names=names)
    except (Unreachable, Refused) as error:
        async with managing(places) as manager:
            view = await manager.status(specs)
        return Overview(_fitting(view.rows, places), view.at, None, tuple(_notes(error, places)), places.scope)
    rows = {row.name: row for row in map(row_of, answer["rows"])}
    if unknown := [spec for spec in specs if spec.name not in rows]:  # it has not read their manifest yet
        async with managing(places) as manager:
            rows.update((await manager.status(unknown)).rows)
    probes = {name: serial.of_plain(Probed, found) for name, found in answer.get("probes", {}).items()}
    chosen = _fitting({name: rows[name] for name in names}, places)
    return Overview(chosen, datetime.now(UTC), answer["reconciler"], scope=places.scope, probes=probes)


def _notes(error: Unreachable | Refused, places: Places) -> Iterator[str]:
    """What rows that we look for ourselves are worth."""
    match error:
        case NoAnswer():
            yield SILENT_DAEMON
        case Unreachable():
            yield WITHOUT_DAEMON
        case _:
            yield f"the reconciler says: {error}; {SEEN_HERE}"
    if places.scope is Scope.SYSTEM and os.geteuid():
        yield OTHERS_UNSEEN


async def following(places: Places, specs: Sequence[AgentSpec] | None) -> AsyncIterator[Overview]:
    """The overview now and at each change, without end: told by the reconciler, or else looked for at each signal.

    `None` means all that are installed, also those that will be.
    """
    while True:
        with suppress(Unreachable):
            async for view in changes(places, specs):
                yield view
        async for view in _looks(places, specs):
            yield view
            if view.reconciler:
                break


async def _looks(places: Places, specs: Sequence[AgentSpec] | None) -> AsyncIterator[Overview]:
    """Without a reconciler: now, at each change of any unit, and every other second, until one answers."""
    woken = asyncio.Event()
    async with managing(places) as manager:

        async def listen() -> None:
            async for _ in manager.platform.changes():
                woken.set()

        listener = asyncio.ensure_future(listen())
        try:
            while True:
                chosen = specs if specs is not None else [spec for one in manifests(places) for spec in one.agents]
                yield await overview(places, chosen)
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), REFRESH)
                woken.clear()
                if listener.done():
                    listener.result()
                    raise PlatformError("cannot watch any longer: the connection to D-Bus was lost")
        finally:
            listener.cancel()


async def changes(places: Places, specs: Sequence[AgentSpec] | None) -> AsyncIterator[Overview]:
    """The overview now, and again at each change of a row. Raises Unreachable where no reconciler answers."""
    rows: dict[str, StatusRow] = {}
    async with connect(places.control) as control:
        info: Mapping[str, Any] = {}
        async for item in control.stream("watch", names=None if specs is None else [one.name for one in specs]):
            info = item.get("reconciler", info)
            told = map(row_of, item.get("rows", [item["row"]] if "row" in item else []))
            rows.update(_fitting({row.name: row for row in told}, places))
            rows.pop(item.get("forget", ""), None)
            yield Overview(dict(rows), datetime.now(UTC), info, scope=places.scope)


def _fitting(rows: Mapping[str, StatusRow], places: Places) -> dict[str, StatusRow]:
    """The rows, with commands in their messages that act where they are read."""
    return {name: replace(row, message=for_scope(row.message, places.scope)) for name, row in rows.items()}


def row_of(said: Mapping[str, Any]) -> StatusRow:
    row: StatusRow = serial.of_plain(StatusRow, said)
    return row
