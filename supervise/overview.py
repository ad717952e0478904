"""How agents are: what the reconciler says, or without one what the platform and one process scan show now.

As long as the reconciler does not look for processes outside of units itself, what this process sees of them is laid
over its rows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from supervise.control.client import Unreachable, connect
from supervise.errors import SuperviseError
from supervise.manager import managing
from supervise.model import AgentSpec, Phase, Reason, StatusRow
from supervise.observe.cgroups import UnitKind
from supervise.observe.match import inside, outside
from supervise.observe.scan import scan
from supervise.places import Places

if TYPE_CHECKING:
    from pydantic import TypeAdapter

DOWN = (Phase.ABSENT, Phase.INACTIVE, Phase.FAILED)
OF_PROCESSES = (Reason.HIDDEN_PROCESS, Reason.DUPLICATE_PROCESS, Reason.ORPHAN_PROCESS, Reason.HELD)
BEFORE_COPIES = (Reason.SILENT, Reason.PROBE_FAILING)
"""What only the reconciler can tell, and what is worse than a copy beside a unit that runs."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Rows by name. `reconciler`: what it says of itself; None where none answers, and then `why`."""

    rows: Mapping[str, StatusRow]
    at: datetime
    reconciler: Mapping[str, Any] | None = None
    why: str = ""


async def overview(places: Places, specs: Sequence[AgentSpec]) -> Overview:
    """The rows of these agents. Raises PlatformError where neither a reconciler nor a service manager answers."""
    names = [spec.name for spec in specs]
    try:
        async with connect(places.control) as control:
            answer = await control.ask("rows", names=names)
    except (Unreachable, SuperviseError) as error:
        async with managing(places) as manager:
            view = await manager.status(specs)
        return Overview(view.rows, view.at, None, str(error))
    rows = {row.name: row for row in map(row_of, answer["rows"])}
    rows.update(await _seen_otherwise(places, specs, rows))
    return Overview({name: rows[name] for name in names}, datetime.now(UTC), answer["reconciler"])


async def changes(places: Places, specs: Sequence[AgentSpec]) -> AsyncIterator[Overview]:
    """The overview now, and again at each change of a row. Raises Unreachable where no reconciler answers."""
    rows: dict[str, StatusRow] = {}
    async with connect(places.control) as control:
        info: Mapping[str, Any] = {}
        async for item in control.stream("watch", names=[spec.name for spec in specs]):
            info = item.get("reconciler", info)
            rows.update(
                {row.name: row for row in map(row_of, item.get("rows", [item["row"]] if "row" in item else []))}
            )
            rows.pop(item.get("forget", ""), None)
            yield Overview(dict(rows), datetime.now(UTC), info)


def row_of(said: Mapping[str, Any]) -> StatusRow:
    row: StatusRow = _adapter().validate_python(said)
    return row


async def _seen_otherwise(
    places: Places, specs: Sequence[AgentSpec], rows: Mapping[str, StatusRow]
) -> dict[str, StatusRow]:
    """Rows of agents of which processes are seen where the reconciler does not look, and of those it does not know."""
    processes = scan().processes
    copies = outside(specs, processes)
    within, foreground = inside(processes), inside(processes, kind=UnitKind.RUN)

    def is_odd(name: str) -> bool:
        left = name in within and rows[name].phase in DOWN
        return bool(copies[name] or left or name in foreground)

    odd = [spec for spec in specs if spec.name not in rows or is_odd(spec.name)]
    if not odd:
        return {}
    async with managing(places) as manager:
        view = await manager.status(odd)
    return {name: _laid_over(rows.get(name), row) for name, row in view.rows.items()}


def _laid_over(known: StatusRow | None, seen: StatusRow) -> StatusRow:
    """What was seen just now, with what only the reconciler knows; its lock stays on top."""
    if known is None:
        return seen
    if seen.reason not in OF_PROCESSES and not (seen.reason is Reason.AS_WANTED and known.phase in DOWN):
        return known
    if seen.reason is Reason.DUPLICATE_PROCESS and known.observed_reason in BEFORE_COPIES:
        return known
    observed = replace(known, observed_status=seen.status, observed_reason=seen.reason)
    if known.lock:
        return observed
    return replace(observed, status=seen.status, reason=seen.reason, message=seen.message, health=seen.health)


@cache
def _adapter() -> TypeAdapter[StatusRow]:
    from pydantic import TypeAdapter

    return TypeAdapter(StatusRow)
