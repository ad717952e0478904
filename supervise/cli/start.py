"""`supervise start`: start what does not run, and nothing twice."""

from __future__ import annotations

import click

from supervise.cli.options import Choice, agents_arguments


@click.command()
@agents_arguments
@click.option(
    "--replace",
    "replace_copies",
    is_flag=True,
    help="End copies outside their unit, and what a run has left behind, first.",
)
@click.option(
    "--settle", default="1s", show_default=True, metavar="SPAN", help="How long it must stay up to count as started."
)
def command(
    choice: Choice,
    replace_copies: bool,
    settle: str,
) -> int:
    """Start agents that do not run.

    Refuses while a copy of the agent runs outside its unit, and names it; --replace ends that copy first.
    A held agent does not start. One with a ready probe has started once that says yes.
    """
    from supervise.cli.acting import act
    from supervise.cli.output import counter, print_result
    from supervise.cli.spans import length

    return act(
        choice,
        lambda manager, chosen: manager.start(
            chosen, replace_copies=replace_copies, settle=length(settle), tell=print_result, count=counter("started")
        ),
    )
