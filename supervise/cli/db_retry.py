"""`supervise db retry`: what Supabase has refused is sent once more, by the reconciler that runs."""

from __future__ import annotations

import click

from supervise.cli.options import user_option


@click.command("retry")
@user_option
def retry(as_user: bool) -> None:
    """Send once more what Supabase has refused.

    It was set aside, so that it holds nothing else up; `supervise doctor` says what that is and why.
    """
    from supervise.cli.reconciler import asked
    from supervise.text import counted

    count = int(asked(as_user, "replica-retry"))
    click.echo(f"✓ {counted(count, 'item')} will be sent again" if count else "nothing was refused")
