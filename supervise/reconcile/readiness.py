"""Whether agents that were just started are ready: who starts them waits for this answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from supervise.model import Phase, Reason, StatusRow
from supervise.reconcile.live import Live
from supervise.reconcile.reconciler import Reconciler

NEVER = (Reason.HELD, Reason.CRASH_LOOPING, Reason.START_TIMEOUT)
"""What an active unit may be told to be that will not get ready."""
NOT_TOLD = "it did not become ready in time"
GONE = "it did not stay up"


async def readiness(reconciler: Reconciler, lives: Mapping[str, str], *, patience: timedelta) -> dict[str, str]:
    """Why each agent did not become ready in the life that is named for it; empty where it did."""
    known: dict[str, str] = {}
    seen: set[str] = set()

    def look() -> bool:
        for name, life in lives.items():
            row = reconciler.rows.get(name)
            said = None if row is None else verdict(row, life, seen=name in seen)
            if said is not None:
                known.setdefault(name, said)
            if row and row.incarnation == life:
                seen.add(name)
        return len(known) < len(lives)

    with Live.listening(reconciler) as live, suppress(TimeoutError):
        if look():
            async with asyncio.timeout(patience.total_seconds()):
                async for _ in live:
                    if not look():
                        break
    return {name: known.get(name, NOT_TOLD) for name in lives}


def verdict(row: StatusRow, life: str, *, seen: bool) -> str | None:
    """Empty for ready, or why not; None as long as that is open. `seen`: the row was of this life before."""
    if row.incarnation != life:
        return GONE if seen else None
    if row.phase is not Phase.ACTIVE or row.observed_reason in NEVER:
        return row.message
    return None if row.observed_reason is Reason.STARTING else ""
