"""`supervise trial`: one agent watched for a while, with a verdict: did it come up, and did it stay well?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from supervise.cli.options import complete_agent, json_option, user_option

if TYPE_CHECKING:
    from supervise.model import AgentSpec
    from supervise.places import Places


@click.command()
@click.argument("agent", shell_complete=complete_agent)
@click.option("--duration", default="60s", show_default=True, metavar="SPAN", help="For how long; a number is seconds.")
@click.option("--keep", is_flag=True, help="Leave it running, also if it was down before.")
@user_option
@json_option
def command(agent: str, duration: str, keep: bool, as_user: bool, as_json: bool) -> int:
    """Start an agent, or watch one that runs, and say whether it is well.

    Each change is told as it comes: status, restarts, signs of life, lines of trouble in its log. Exit code 0: it came
    up and stayed well for all of the time; 1: it did not, and what went wrong. An agent that was down is stopped again,
    also a quarantined one: it is told that this is not tried again any more. Ctrl-C gives the verdict so far.
    """
    import asyncio
    import os

    from supervise.cli.acting import opening
    from supervise.cli.scopes import scope_of, warn_of_damage
    from supervise.cli.spans import length
    from supervise.cli.trial_run import Trying
    from supervise.errors import UsageError
    from supervise.places import places

    there = places(scope_of(as_user), os.environ, uid=os.getuid())
    warn_of_damage(there)
    spec = _chosen(there, agent)
    span = length(f"{duration}s" if duration.isdecimal() else duration)
    if not span:
        raise UsageError("in no time nobody sees whether it is well: give it some, such as --duration 10s")

    async def tried() -> int:
        trying = Trying(there, spec, span, click.echo, as_json=as_json)
        return await trying.run(lambda: opening(as_user), keep=keep)

    return asyncio.run(tried())


def _chosen(there: Places, word: str) -> AgentSpec:
    """The one agent that is meant. Raises UsageError, SuperviseError where a trial of it makes no sense."""
    from supervise.errors import SuperviseError, UsageError
    from supervise.holds import read_holds
    from supervise.manifest import manifests
    from supervise.selection import select

    specs = select([spec for one in manifests(there) for spec in one.agents], (word,))
    if len(specs) > 1:
        raise UsageError(f"one agent at a time: {', '.join(spec.name for spec in specs)}")
    spec = specs[0]
    if spec.schedule:
        raise UsageError(
            f'"{spec.name}" is a job, which is not there to stay: `systemctl start agent@{spec.name}` runs it once, '
            f"`supervise events {spec.name} -f` tells how that went"
        )
    if hold := read_holds(there).get(spec.name):
        raise SuperviseError(
            f'cannot try "{spec.name}": it is held by {hold.by}: {hold.reason} (`supervise release {spec.name}`)'
        )
    return spec
