"""Tells the reconciler, if there is one, what a person wants and that something on disk has changed.

Nobody waits for it, and nothing fails for its absence: what it is not told it finds out within seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from supervise.control.client import Refused, Unreachable, connect
from supervise.model import IntentKind

PATIENCE = 2.0
"""Seconds to wait for a reconciler that hangs."""


class Inform(Protocol):
    """Whom to tell."""

    async def intend(self, kind: IntentKind, names: Sequence[str], *, reason: str = "") -> None:
        """What a person wants, before it is done."""

    async def look(self) -> None:
        """Something on disk has changed."""


class ByControl:
    """Over the control socket, in somebody's name."""

    def __init__(self, control: Path, *, by: str) -> None:
        self._control = control
        self._by = by

    async def intend(self, kind: IntentKind, names: Sequence[str], *, reason: str = "") -> None:
        await self._tell("intend", kind=kind.value, names=list(names), by=self._by, reason=reason)

    async def look(self) -> None:
        await self._tell("look")

    async def _tell(self, op: str, **args: object) -> None:
        with suppress(Unreachable, Refused):
            async with connect(self._control) as control:
                await control.ask(op, patience=PATIENCE, **args)
