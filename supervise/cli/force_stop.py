"""`supervise force-stop`: SIGKILL at once, to the unit and to every copy outside of it."""

from __future__ import annotations

import click

from supervise.cli.options import Choice, agents_arguments


@click.command("force-stop")
@agents_arguments
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(choice: Choice, yes: bool) -> int:
    """Kill agents at once, and every copy of them.

    SIGKILL: they cannot save anything. Copies outside their unit are ended too.
    """
    from supervise.cli.acting import act
    from supervise.cli.output import print_result

    if not yes:
        whom = "all agents" if choice.everyone else " ".join((*choice.agents, *choice.tags))
        click.confirm(f"Kill {whom} without letting them finish?", abort=True)
    return act(
        choice,
        lambda manager, chosen: manager.stop(chosen, tell=print_result, kill=True),
    )
