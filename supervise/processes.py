"""Which processes there are of the agents: seen by whoever may see them all, else told by the reconciler."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from supervise.control.client import connect
from supervise.manager import managing
from supervise.model import Scope
from supervise.observe.listing import listed, plain
from supervise.places import Places


async def processes(places: Places, names: Collection[str]) -> list[dict[str, Any]]:
    """The processes that are, or may be, of these agents, as `listing.plain` tells of each. Raises Unreachable."""
    if os.geteuid() != 0 and places.scope is Scope.SYSTEM:
        async with connect(places.control) as control:
            found: list[dict[str, Any]] = await control.ask("ps", names=list(names))
            return found
    async with managing(places) as manager:
        states = (await manager.platform.snapshot([spec.name for spec in manager.specs], endings=False)).states
        rows = listed(await manager.processes(), {name: state.phase for name, state in states.items()})
    return [plain(row) for row in rows if {*row.agents} & {*names}]
