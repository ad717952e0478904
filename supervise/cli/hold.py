"""`supervise hold`: forbid agents to run; boot, install, `--all` and dependencies obey until `release`."""

from __future__ import annotations

import click

from supervise.cli.options import Choice, agents_arguments


@click.command()
@agents_arguments
@click.option("--reason", required=True, help="Why, for whoever finds it held.")
def command(choice: Choice, reason: str) -> int:
    """Forbid agents to run until they are released.

    Stops them now; nothing starts them again, neither a boot nor an install nor another agent that depends on them.
    """
    from supervise.cli.acting import act
    from supervise.cli.output import print_result
    from supervise.errors import UsageError

    if not reason.strip():
        raise UsageError("say why with --reason, for whoever finds it held")
    return act(
        choice,
        lambda manager, chosen: manager.hold(chosen, reason=reason, tell=print_result),
    )
