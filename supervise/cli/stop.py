"""`supervise stop`: stop agents, a job's timer too."""

from __future__ import annotations

import click

from supervise.cli.options import Choice, agents_arguments


@click.command()
@agents_arguments
def command(choice: Choice) -> int:
    """Stop agents.

    They start again at the next boot; `hold` keeps them down beyond it. Exit code 3 when none of them ran.
    """
    from supervise.cli.acting import act
    from supervise.cli.output import counter, print_result

    return act(
        choice,
        lambda manager, chosen: manager.stop(chosen, tell=print_result, count=counter("stopped")),
    )
