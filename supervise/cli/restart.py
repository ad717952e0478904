"""`supervise restart`: in batches if wanted, each after the one before is ready, halting at the first failure."""

from __future__ import annotations

from dataclasses import replace

import click

from supervise.cli.options import Choice, agents_arguments


@click.command()
@agents_arguments
@click.option("--outdated", is_flag=True, help="Only those that run something older than the disk has.")
@click.option("--batch", metavar="N|%", help="So many at a time; else all at once.")
@click.option("--pause", default="0s", metavar="SPAN", help="Wait so long between batches.")
@click.option(
    "--settle", default="2s", show_default=True, metavar="SPAN", help="How long one must stay up to count as ready."
)
def command(
    choice: Choice,
    outdated: bool,
    batch: str | None,
    pause: str,
    settle: str,
) -> int:
    """Restart agents, in batches if wanted.

    With --all or --tag only those that run; an agent that is named is started too. A batch is restarted when the one
    before is ready, by its ready probe where it has one; the first failure halts the rest.

    With --outdated exactly those whose settings, code (git, or SUPERVISE_REVISION), secrets or environment files have
    changed since their start: of all agents, if none are named. Those that are held are left alone.
    """
    from supervise.cli.acting import act
    from supervise.cli.outdated import outdated as older
    from supervise.cli.output import counter, print_result
    from supervise.cli.spans import batch_size, length
    from supervise.manager import Result, Verbs
    from supervise.model import AgentSpec

    async def restart(verbs: Verbs, chosen: tuple[AgentSpec, ...]) -> list[Result]:
        if outdated and not (chosen := await older(choice, chosen)):
            return []
        return await verbs.restart(
            chosen,
            only_running=outdated or not choice.agents,
            tell=print_result,
            batch=batch_size(batch, len(chosen)),
            pause=length(pause),
            settle=length(settle),
            count=counter("restarted"),
        )

    return act(replace(choice, everyone=choice.everyone or (outdated and choice.unsaid)), restart)
