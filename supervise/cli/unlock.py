"""`supervise unlock`: show the truth again."""

from __future__ import annotations

import click

from supervise.cli.options import complete_agent, user_option


@click.command()
@click.argument("agent", shell_complete=complete_agent)
@user_option
def command(agent: str, as_user: bool) -> None:
    """Show the truth again.

    AGENT is a name, a title or a glob.
    """
    from supervise.cli.reconciler import ask_about

    names, locked = ask_about(agent, as_user, "unlock")
    for name in names:
        click.echo(f"✓ {name}: {'shown as it is' if name in locked else 'was not locked'}")
