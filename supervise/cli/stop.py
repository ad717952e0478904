"""`supervise stop`: stop agents, a job's timer too."""

from __future__ import annotations

import click

from supervise.cli.options import agents_arguments, user_option


@click.command()
@agents_arguments
@user_option
def command(agents: tuple[str, ...], everyone: bool, tags: tuple[str, ...], project: str | None, as_user: bool) -> int:
    """Stop agents.

    They start again at the next boot; `hold` keeps them down beyond it. Exit code 3 when none of them ran.
    """
    from supervise.cli.acting import act
    from supervise.cli.output import counter, print_result

    return act(
        agents,
        everyone=everyone,
        tags=tags,
        project=project,
        as_user=as_user,
        verb=lambda manager, chosen: manager.stop(chosen, tell=print_result, count=counter("stopped")),
    )
