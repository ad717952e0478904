"""`supervise release`: take a hold back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from supervise.cli.options import agents_arguments, user_option

if TYPE_CHECKING:
    from supervise.manager import Manager, Result
    from supervise.model import AgentSpec


@click.command()
@agents_arguments
@user_option
@click.option("--start", is_flag=True, help="Start them too.")
def command(
    agents: tuple[str, ...], everyone: bool, tags: tuple[str, ...], project: str | None, as_user: bool, start: bool
) -> int:
    """Take a hold back. Starts nothing without --start."""
    from supervise.cli.acting import act
    from supervise.cli.output import print_result

    async def released(manager: Manager, chosen: tuple[AgentSpec, ...]) -> list[Result]:
        results = manager.release(chosen, tell=print_result)
        return results + (await manager.start(chosen, tell=print_result) if start else [])

    return act(agents, everyone=everyone, tags=tags, project=project, as_user=as_user, verb=released)
