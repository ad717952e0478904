"""`supervise unlock`: show the truth again."""

from __future__ import annotations

import click

from supervise.cli.options import complete_agent, user_option


@click.command()
@click.argument("agent", shell_complete=complete_agent)
@user_option
def command(agent: str, as_user: bool) -> None:
    """Show the truth again.

    AGENT is a name, a title or a glob. Where the lock was made in Supabase, the table goes on showing it.
    """
    from supervise.cli.reconciler import ask_about

    names, answer = ask_about(agent, as_user, "unlock")
    for name in names:
        click.echo(f"✓ {name}: {'shown as it is' if name in answer['locked'] else 'was not locked'}")
    for name, until in answer["in_table"].items():
        click.echo(f"! {_in_table(name, until)}")


def _in_table(name: str, until: str) -> str:
    from datetime import datetime

    from supervise.cli.output import local

    end = "an operator ends it there: lock_status = null in its row of agent_status"
    return f"{name}: Supabase shows its lock until {local(datetime.fromisoformat(until))}; {end}"
