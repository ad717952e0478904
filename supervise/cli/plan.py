"""`supervise plan`: what an install would change, as a diff; changes nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from supervise.cli.options import file_options, json_option, user_option
from supervise.errors import ExitCode

PENDING = ExitCode.USAGE
"""`--check` answers 2 when something is pending, as `diff`-like tools do (README, "Exit codes")."""


@click.command()
@file_options
@user_option
@json_option
@click.option("--check", is_flag=True, help="Exit code 2 if anything is pending; for scripts and CI.")
@click.option("--moved", is_flag=True, help="This file replaces the one that the project was installed from.")
def command(file: Path | None, environment: str | None, as_user: bool, as_json: bool, check: bool, moved: bool) -> int:
    """Show what an install would change on this host.

    Files with their differences, who would restart and why, edits by hand, what already runs outside its unit,
    and what would run with privilege.
    """
    from supervise.cli.installing import plan_json, session_for, show_plan
    from supervise.cli.output import print_json
    from supervise.cli.scopes import scope_of
    from supervise.cli.wanted import wanted

    found = wanted(file, environment, scope_of(as_user))

    async def planned() -> int:
        async with session_for(found, moved=moved) as session:
            plan = await session.plan()
        if as_json:
            print_json(plan_json(plan, found))
        else:
            show_plan(plan, found)
        return PENDING if check and plan.pending else ExitCode.OK

    return asyncio.run(planned())
