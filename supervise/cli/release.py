"""`supervise release`: take a hold back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from supervise.cli.options import Choice, agents_arguments

if TYPE_CHECKING:
    from supervise.manager import Manager, Result
    from supervise.model import AgentSpec


@click.command()
@agents_arguments
@click.option("--start", is_flag=True, help="Start them too.")
def command(choice: Choice, start: bool) -> int:
    """Take a hold back.

    Starts nothing without --start.
    """
    from supervise.cli.acting import act
    from supervise.cli.output import print_result

    async def released(manager: Manager, chosen: tuple[AgentSpec, ...]) -> list[Result]:
        results = manager.release(chosen, tell=print_result)
        return results + (await manager.start(chosen, tell=print_result) if start else [])

    return act(choice, released)
