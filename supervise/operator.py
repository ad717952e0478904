"""The verbs of `manager.py` for somebody who is not root but a member of the operators' group: the reconciler acts.

It has less rights than root: it can start and stop, not kill, and it ends no process outside of a unit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from supervise.control.client import Control, Refused, Unreachable, connect
from supervise.errors import ExitCode, UsageError
from supervise.manager import SETTLE, Count, Progress, Result, nothing_counted
from supervise.manifest import manifests, of_project
from supervise.model import AgentSpec
from supervise.places import Places

PATIENCE = 600.0
"""Seconds for agents to come up or to end."""


class Operator:
    """The agents of this machine, through its reconciler. Made by `operating`."""

    def __init__(self, specs: Sequence[AgentSpec], control: Control) -> None:
        self.specs = tuple(specs)
        self._control = control

    async def start(
        self,
        specs: Sequence[AgentSpec],
        *,
        replace_copies: bool = False,
        settle: timedelta = SETTLE,
        tell: Progress,
        count: Count = nothing_counted,
    ) -> list[Result]:
        if replace_copies:
            raise UsageError("--replace ends processes outside of units, which takes root")
        return await self._act("start", specs, tell, settle=settle.total_seconds())

    async def stop(
        self, specs: Sequence[AgentSpec], *, tell: Progress, kill: bool = False, count: Count = nothing_counted
    ) -> list[Result]:
        if kill:
            raise UsageError("to kill takes root; an operator can `supervise stop`")
        return await self._act("stop", specs, tell)

    async def restart(
        self,
        specs: Sequence[AgentSpec],
        *,
        tell: Progress,
        batch: int | None = None,
        pause: timedelta = timedelta(),
        settle: timedelta = SETTLE,
        only_running: bool = False,
        count: Count = nothing_counted,
    ) -> list[Result]:
        return await self._act(
            "restart",
            specs,
            tell,
            batch=batch,
            pause=pause.total_seconds(),
            settle=settle.total_seconds(),
            only_running=only_running,
        )

    async def hold(
        self, specs: Sequence[AgentSpec], *, reason: str, by: str | None = None, tell: Progress
    ) -> list[Result]:
        return await self._act("hold", specs, tell, reason=reason)

    async def release(self, specs: Sequence[AgentSpec], *, tell: Progress) -> list[Result]:
        return await self._act("release", specs, tell)

    async def _act(self, verb: str, specs: Sequence[AgentSpec], tell: Progress, **args: Any) -> list[Result]:
        names = [spec.name for spec in specs]
        said = await self._control.ask("act", patience=PATIENCE, verb=verb, names=names, **args)
        results = [
            Result(one["name"], one["ok"], one["text"], ExitCode(one["code"]), one.get("acted", True)) for one in said
        ]
        for result in results:
            tell(result)
        return results


@asynccontextmanager
async def operating(places: Places, *, otherwise: UsageError, project: str | None = None) -> AsyncIterator[Operator]:
    """Raises `otherwise` where the reconciler cannot be asked, or does not act for this user."""
    asked = False
    try:
        async with connect(places.control) as control:
            if not (await control.ask("whoami"))["may_act"]:
                raise otherwise
            asked = True
            installed = of_project(manifests(places), project)
            yield Operator([spec for one in installed for spec in one.agents], control)
    except Unreachable as error:
        if asked:  # then it may have begun to act, and to say that nothing was done would be wrong
            raise
        raise otherwise from error
    except Refused as error:
        if error.code == "denied":
            raise otherwise from error
        raise
