"""`supervise hosts`: which hosts write to the shared database, and the end of what one may or has."""

from __future__ import annotations

from pathlib import Path

import click

from supervise.cli.options import json_option
from supervise.cli.shared_database import shared_database, url_option


@click.group(invoke_without_command=True)
@url_option
@json_option
@click.pass_context
def command(context: click.Context, url_file: Path | None, as_json: bool) -> None:
    """Show the hosts that write to Supabase.

    When each was last heard of, how many agents it has, and until when its key is good. Needs the database itself:
    SUPABASE_DB_URL, or --url-file.
    """
    if context.invoked_subcommand is None:
        _list(url_file, as_json)


@command.command("revoke")
@click.argument("host")
@url_option
def revoke(host: str, url_file: Path | None) -> None:
    """End all keys of a host at once."""
    from supervise.errors import SuperviseError
    from supervise.stores.shared import revoke as end
    from supervise.text import counted, shown

    with shared_database(url_file) as db:
        ended = end(db, host)
    if not ended:
        raise SuperviseError(f'host "{host}" has no key that is valid')
    click.echo(f"✓ {shown(host)}: {counted(ended, 'key')} revoked")


@command.command("forget")
@click.argument("host")
@url_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def forget(host: str, url_file: Path | None, yes: bool) -> None:
    """Delete all that is kept of a host: agents, events, history, keys.

    A host that runs on, and writes with the project's secret key, comes back with its next report.
    """
    from supervise.cli.output import agree
    from supervise.stores.shared import forget_host
    from supervise.text import shown

    if not yes:
        agree(f'Delete all that is kept of host "{shown(host)}" in the shared database?')
    with shared_database(url_file) as db:
        forget_host(db, host)
    click.echo(f"✓ {shown(host)}: forgotten")


def _list(url_file: Path | None, as_json: bool) -> None:
    from datetime import UTC, datetime

    from supervise.cli.output import age, local, print_json
    from supervise.stores.shared import hosts
    from supervise.text import shown

    with shared_database(url_file) as db:
        found = hosts(db)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("no host has written yet")
        return
    width = max(4, *(len(shown(one.host)) for one in found))
    click.secho(f"{'host':<{width}}  {'heard of':<14}  agents  {'version':<8}  own key until", dim=True)
    for one in found:
        heard = age(one.seen_at, datetime.now(UTC)) + (" !" if one.silent and one.seen_at else "")
        until = local(one.key_expires_at) if one.keys else "–"
        click.echo(f"{shown(one.host):<{width}}  {heard:<14}  {one.agents:>6}  {shown(one.version):<8}  {until}")
