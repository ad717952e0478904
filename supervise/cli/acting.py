"""What the commands that act on installed agents share: open the manager of the right scope, choose, act, answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from supervise.cli.options import Choice
from supervise.cli.scopes import acting_scope, warn_of_damage
from supervise.errors import UsageError
from supervise.manager import Result, Verbs, exit_code, managing
from supervise.model import AgentSpec, Scope
from supervise.operator import operating
from supervise.places import SYSTEM, places
from supervise.selection import select

Verb = Callable[[Verbs, tuple[AgentSpec, ...]], Awaitable[list[Result]]]


def act(choice: Choice, verb: Verb, *, operators: bool = True) -> int:
    """Run a verb on the chosen agents; gives the exit code. `operators`: whether they may do it too."""

    async def acted(opened: AbstractAsyncContextManager[Verbs]) -> int:
        async with opened as verbs:
            chosen = select(verbs.specs, choice.agents, everyone=choice.everyone, tags=choice.tags)
            return exit_code(await verb(verbs, chosen))

    warn_of_damage(places(Scope.USER, os.environ, uid=os.getuid()) if choice.as_user else SYSTEM)
    return asyncio.run(acted(opening(choice.as_user, choice.project, operators=operators)))


def opening(as_user: bool, project: str | None = None, *, operators: bool = True) -> AbstractAsyncContextManager[Verbs]:
    """The verbs for whoever calls: root, a user for themselves, or an operator through the reconciler.

    Raises UsageError for anybody else, some of it only when it is entered.
    """
    try:
        there = places(acting_scope(as_user, operators=operators), os.environ, uid=os.getuid())
    except UsageError as error:
        if as_user:
            raise
        return operating(SYSTEM, otherwise=error, project=project)
    return managing(there, project=project)
