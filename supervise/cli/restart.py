"""`supervise restart`: in batches if wanted, each after the one before is ready, halting at the first failure."""

from __future__ import annotations

import click

from supervise.cli.options import Choice, agents_arguments


@click.command()
@agents_arguments
@click.option("--batch", metavar="N|%", help="So many at a time; else all at once.")
@click.option("--pause", default="0s", metavar="SPAN", help="Wait so long between batches.")
@click.option(
    "--settle", default="2s", show_default=True, metavar="SPAN", help="How long one must stay up to count as ready."
)
def command(
    choice: Choice,
    batch: str | None,
    pause: str,
    settle: str,
) -> int:
    """Restart agents, in batches if wanted.

    With --all or --tag only those that run; an agent that is named is started too. A batch is restarted when the one
    before is ready; the first failure halts the rest.
    """
    from supervise.cli.acting import act
    from supervise.cli.output import counter, print_result
    from supervise.cli.spans import batch_size, length

    return act(
        choice,
        lambda manager, chosen: manager.restart(
            chosen,
            only_running=not choice.agents,
            tell=print_result,
            batch=batch_size(batch, len(chosen)),
            pause=length(pause),
            settle=length(settle),
            count=counter("restarted"),
        ),
    )
