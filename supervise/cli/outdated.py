"""Which agents run something older than the disk has, and may be restarted for it."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence

import click

from supervise.cli.options import Choice
from supervise.cli.output import print_warning
from supervise.cli.scopes import scope_of
from supervise.control.client import Unreachable
from supervise.holds import read_holds
from supervise.model import AgentSpec
from supervise.overview import overview
from supervise.places import places
from supervise.text import shown

NO_RECONCILER = "no reconciler answers, so only changed settings are seen, not code, secrets and environment files"


async def outdated(choice: Choice, specs: Sequence[AgentSpec]) -> tuple[AgentSpec, ...]:
    """Those of the agents. Says of whom it leaves alone why, and that there are none.

    Raises Unreachable where there may be some that only a reconciler would know.
    """
    there = places(scope_of(choice.as_user), os.environ, uid=os.getuid())
    view = await overview(there, specs)
    older = [spec for spec in specs if view.rows[spec.name].outdated]
    if view.reconciler is None:
        if not older:
            raise Unreachable(f"cannot tell what is outdated: {NO_RECONCILER}, and of these nothing has changed")
        print_warning(NO_RECONCILER)
    held = read_holds(there)
    for spec in older:
        if why := _left_alone(spec, held):
            click.echo(f"○ {shown(spec.name)}: outdated, but {why}")
    found = tuple(spec for spec in older if not _left_alone(spec, held))
    if not found:
        click.echo("nothing else is outdated" if older else "nothing is outdated")
    return found


def _left_alone(spec: AgentSpec, held: Container[str]) -> str:
    if spec.name in held:
        return "held"
    return "a job: its next run takes what is new" if spec.schedule else ""
