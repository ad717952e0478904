"""What the commands that act on installed agents share: open the manager of the right scope, choose, act, answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from supervise.cli.options import Choice
from supervise.cli.wanted import acting_scope, warn_of_damage
from supervise.manager import Manager, Result, exit_code, managing
from supervise.model import AgentSpec
from supervise.places import places
from supervise.selection import select

Verb = Callable[[Manager, tuple[AgentSpec, ...]], Awaitable[list[Result]]]


def act(choice: Choice, verb: Verb) -> int:
    """Run a verb on the chosen agents; gives the exit code."""
    there = places(acting_scope(choice.as_user), os.environ, uid=os.getuid())
    warn_of_damage(there)

    async def acted() -> int:
        async with managing(there, project=choice.project) as manager:
            chosen = select(manager.specs, choice.agents, everyone=choice.everyone, tags=choice.tags)
            return exit_code(await verb(manager, chosen))

    return asyncio.run(acted())
