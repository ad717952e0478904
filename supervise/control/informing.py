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

    async def order(self, what: str, names: Sequence[str], *, kind: IntentKind | None = None, reason: str = "") -> None:
        """What a person does, before it is done; `kind`: what is to be remembered of it."""

    async def look(self) -> None:
        """Something on disk has changed."""


class ByControl:
    """Over the control socket, in somebody's name."""

    def __init__(self, control: Path, *, by: str) -> None:
        self._control = control
        self._by = by

    async def order(self, what: str, names: Sequence[str], *, kind: IntentKind | None = None, reason: str = "") -> None:
        wish = kind.value if kind else None
        await self._tell("order", what=what, kind=wish, names=list(names), by=self._by, reason=reason)

    async def look(self) -> None:
        await self._tell("look")

    async def _tell(self, op: str, **args: object) -> None:
        with suppress(Unreachable, Refused):
            async with connect(self._control) as control:
                await control.ask(op, patience=PATIENCE, **args)
