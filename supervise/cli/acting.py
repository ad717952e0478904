"""What the commands that act on installed agents share: open the manager of the right scope, choose, act, answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from supervise.cli.options import Choice
from supervise.cli.wanted import acting_scope, warn_of_damage
from supervise.errors import UsageError
from supervise.manager import Result, Verbs, exit_code, managing
from supervise.model import AgentSpec
from supervise.operator import operating
from supervise.places import SYSTEM, places
from supervise.selection import select

Verb = Callable[[Verbs, tuple[AgentSpec, ...]], Awaitable[list[Result]]]


def act(choice: Choice, verb: Verb) -> int:
    """Run a verb on the chosen agents; gives the exit code. Who is not root may still be an operator."""

    async def acted(verbs: Verbs) -> int:
        chosen = select(verbs.specs, choice.agents, everyone=choice.everyone, tags=choice.tags)
        return exit_code(await verb(verbs, chosen))

    async def as_root_or_user() -> int:
        async with managing(there, project=choice.project) as manager:
            return await acted(manager)

    async def as_operator(otherwise: UsageError) -> int:
        async with operating(SYSTEM, otherwise=otherwise, project=choice.project) as operator:
            return await acted(operator)

    try:
        there = places(acting_scope(choice.as_user, operators=True), os.environ, uid=os.getuid())
    except UsageError as error:
        if choice.as_user:
            raise
        return asyncio.run(as_operator(error))
    warn_of_damage(there)
    return asyncio.run(as_root_or_user())
