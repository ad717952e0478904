"""`supervise force-stop`: SIGKILL at once, to the unit and to every copy outside of it."""

from __future__ import annotations

import click

from supervise.cli.options import agents_arguments, user_option


@click.command("force-stop")
@agents_arguments
@user_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(
    agents: tuple[str, ...], everyone: bool, tags: tuple[str, ...], project: str | None, as_user: bool, yes: bool
) -> int:
    """Kill agents at once, and every copy of them.

    SIGKILL: they cannot save anything. Copies outside their unit are ended too.
    """
    from supervise.cli.acting import act
    from supervise.cli.output import print_result

    if not yes:
        click.confirm(
            f"Kill {'all agents' if everyone else ' '.join((*agents, *tags))} without letting them finish?", abort=True
        )
    return act(
        agents,
        everyone=everyone,
        tags=tags,
        project=project,
        as_user=as_user,
        verb=lambda manager, chosen: manager.stop(chosen, tell=print_result, kill=True),
    )
