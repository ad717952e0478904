"""What the commands that act on installed agents share: open the manager of the right scope, choose, act, answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Sequence

from supervise.cli.wanted import acting_scope
from supervise.manager import Manager, Result, exit_code, managing
from supervise.model import AgentSpec
from supervise.places import places
from supervise.selection import select

Verb = Callable[[Manager, tuple[AgentSpec, ...]], Awaitable[list[Result]]]


def act(
    agents: Sequence[str], *, everyone: bool, tags: Collection[str], project: str | None, as_user: bool, verb: Verb
) -> int:
    """Run a verb on the chosen agents; gives the exit code."""
    there = places(acting_scope(as_user), os.environ, uid=os.getuid())

    async def acted() -> int:
        async with managing(there, project=project) as manager:
            chosen = select(manager.specs, agents, everyone=everyone, tags=tags)
            return exit_code(await verb(manager, chosen))

    return asyncio.run(acted())
