"""`supervise force-stop`: SIGKILL at once, to the unit and to every copy outside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from supervise.cli.options import Choice, agents_arguments

if TYPE_CHECKING:
    from supervise.manager import Result, Verbs
    from supervise.model import AgentSpec


@click.command("force-stop")
@agents_arguments
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(choice: Choice, yes: bool) -> int:
    """Kill agents at once, and every copy of them.

    SIGKILL: they cannot save anything. Copies outside their unit are ended too.
    """
    from supervise.cli.acting import act
    from supervise.cli.output import agree, print_result

    async def killed(manager: Verbs, chosen: tuple[AgentSpec, ...]) -> list[Result]:
        if not yes:
            agree(f"Kill {', '.join(spec.name for spec in chosen)} without letting them finish?")
        return await manager.stop(chosen, tell=print_result, kill=True)

    return act(choice, killed)
