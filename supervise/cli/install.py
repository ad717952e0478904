"""`supervise install`: bring the host in line with the file; safe to repeat, safe to kill."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from supervise.cli.options import file_options, user_option


@click.command()
@file_options
@user_option
@click.option("--start", is_flag=True, help="Start what starts at boot and does not run.")
@click.option("--restart", is_flag=True, help="Restart what runs something older.")
@click.option("--allow-root", is_flag=True, help="Agree to what runs with privilege.")
@click.option("--moved", is_flag=True, help="This file replaces the one that the project was installed from.")
def command(
    file: Path | None, environment: str | None, as_user: bool, start: bool, restart: bool, allow_root: bool, moved: bool
) -> int:
    """Bring this host's units in line with agents.yaml.

    Writes only what differs, reloads systemd once and only then; without --start and --restart no agent is touched
    but those that are removed. A second run changes nothing.
    """
    from supervise.cli.install_steps import carry_out
    from supervise.cli.installing import refuse_root, session_for
    from supervise.cli.scopes import acting_scope
    from supervise.cli.wanted import print_warnings, wanted

    found = wanted(file, environment, acting_scope(as_user))
    refuse_root(found, allowed=allow_root)
    print_warnings(found.desired.warnings)

    async def installed() -> int:
        async with session_for(found, moved=moved) as session:
            return await carry_out(session, start=start, restart=restart)

    return asyncio.run(installed())
