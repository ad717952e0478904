"""Tells the reconciler, if there is one, what a person wants and that something on disk has changed.

Nothing fails for its absence: what it is not told it finds out within seconds, and what it cannot say is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from supervise.control.client import Refused, Unreachable, connect
from supervise.model import IntentKind

PATIENCE = 2.0
"""Seconds to wait for a reconciler that hangs."""


class Inform(Protocol):
    """Whom to tell."""

    async def order(self, what: str, names: Sequence[str], *, kind: IntentKind | None = None, reason: str = "") -> None:
        """What a person does, before it is done; `kind`: what is to be remembered of it."""

    async def look(self, pids: Sequence[int] = ()) -> None:
        """Something on disk has changed, or where these processes are."""

    async def ready(self, lives: Mapping[str, str], *, patience: timedelta) -> Mapping[str, str] | None:
        """Why each agent did not become ready in this life of it, empty where it did; None where nobody asks them."""


class ByControl:
    """Over the control socket, in somebody's name."""

    def __init__(self, control: Path, *, by: str) -> None:
        self._control = control
        self._by = by

    async def order(self, what: str, names: Sequence[str], *, kind: IntentKind | None = None, reason: str = "") -> None:
        wish = kind.value if kind else None
        await self._tell("order", what=what, kind=wish, names=list(names), by=self._by, reason=reason)

    async def look(self, pids: Sequence[int] = ()) -> None:
        await self._tell("look", pids=list(pids))

    async def ready(self, lives: Mapping[str, str], *, patience: timedelta) -> Mapping[str, str] | None:
        seconds = patience.total_seconds()
        with suppress(Unreachable, Refused):
            async with connect(self._control) as control:
                found: Mapping[str, str] = await control.ask(
                    "ready", patience=seconds + PATIENCE, lives=dict(lives), seconds=seconds
                )
                return found
        return None

    async def _tell(self, op: str, **args: object) -> None:
        with suppress(Unreachable, Refused):
            async with connect(self._control) as control:
                await control.ask(op, patience=PATIENCE, **args)
