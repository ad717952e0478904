"""What the commands share that only the reconciler can carry out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from supervise.cli.scopes import scope_of, warn_of_damage
from supervise.control.client import connect
from supervise.errors import NoSuchAgent
from supervise.manager import asker
from supervise.manifest import is_empty, manifests
from supervise.places import Places, places
from supervise.selection import NOBODY, select


def ask_about(word: str, as_user: bool, op: str, **args: Any) -> tuple[list[str], Any]:
    """Ask for one operation on the agents that a word means; gives their names and the answer.

    Raises Unreachable, Refused.
    """
    names = names_of((word,), as_user)
    return names, asked(as_user, op, names=names, **args)


def names_of(words: Sequence[str], as_user: bool) -> list[str]:
    """The agents that are meant. Raises NoSuchAgent."""
    there = places(scope_of(as_user), os.environ, uid=os.getuid())
    warn_of_damage(there)
    return [spec.name for spec in select([spec for one in manifests(there) for spec in one.agents], words)]


def asked(as_user: bool, op: str, **args: Any) -> Any:
    """The reconciler's answer. Raises Unreachable, Refused, NoSuchAgent."""
    return asyncio.run(_ask(asking(as_user), op, by=asker(), **args))


def asking(as_user: bool) -> Places:
    """Where to ask. Raises NoSuchAgent where nothing is installed, so that nobody could answer."""
    there = places(scope_of(as_user), os.environ, uid=os.getuid())
    if not there.control.exists() and is_empty(there):
        raise NoSuchAgent(NOBODY)
    return there


async def _ask(there: Places, op: str, **args: Any) -> Any:
    async with connect(there.control) as control:
        return await control.ask(op, **args)
