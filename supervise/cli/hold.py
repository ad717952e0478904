"""`supervise hold`: forbid agents to run; boot, install, `--all` and dependencies obey until `release`."""

from __future__ import annotations

import click

from supervise.cli.options import agents_arguments, user_option


@click.command()
@agents_arguments
@user_option
@click.option("--reason", required=True, help="Why, for whoever finds it held.")
def command(
    agents: tuple[str, ...], everyone: bool, tags: tuple[str, ...], project: str | None, as_user: bool, reason: str
) -> int:
    """Forbid agents to run until they are released.

    Stops them now; nothing starts them again, neither a boot nor an install nor another agent that depends on them.
    """
    from supervise.cli.acting import act
    from supervise.cli.output import print_result

    return act(
        agents,
        everyone=everyone,
        tags=tags,
        project=project,
        as_user=as_user,
        verb=lambda manager, chosen: manager.hold(chosen, reason=reason, tell=print_result),
    )
