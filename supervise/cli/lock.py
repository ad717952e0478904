"""`supervise lock`: fix what is shown of agents for a time; what is observed stays true beside it."""

from __future__ import annotations

import click

from supervise.cli.options import complete_agent, user_option

WORDS = ("running", "warning", "error", "stopped")


@click.command()
@click.argument("agent", shell_complete=complete_agent)
@click.argument("status", type=click.Choice(WORDS))
@click.argument("health", type=click.IntRange(0, 100))
@click.option(
    "--for", "lasts", default="2h", show_default=True, metavar="SPAN", help="At most 24h, unless you are root."
)
@click.option("--reason", required=True, help="Why, for whoever finds it locked.")
@user_option
def command(agent: str, status: str, health: int, lasts: str, reason: str, as_user: bool) -> None:
    """Fix what is shown of agents for a time.

    AGENT is a name, a title or a glob. Nothing else changes: agents run on as before, are restarted as before, and the
    status that is really observed is kept beside the shown one. It ends by itself.
    """
    from supervise.cli.output import hinted
    from supervise.cli.reconciler import ask_about
    from supervise.cli.spans import length

    seconds = length(lasts).total_seconds()
    names, _ = ask_about(agent, as_user, "lock", status=status, health=health, seconds=seconds, reason=reason)
    for name in names:
        click.echo(hinted(f"✓ {name}: shown as {status} {health} for {lasts}; `supervise unlock {name}` ends it"))
