"""`supervise apply`: install, start and restart, after one yes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from supervise.cli.options import file_options, user_option

if TYPE_CHECKING:
    from supervise.install.plan import Plan


@click.command()
@file_options
@user_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--allow-root", is_flag=True, help="Agree to what runs with privilege.")
@click.option("--moved", is_flag=True, help="This file replaces the one that the project was installed from.")
def command(file: Path | None, environment: str | None, as_user: bool, yes: bool, allow_root: bool, moved: bool) -> int:
    """Install, start and restart, after one question.

    Shows the plan, asks once, and does all of it. If the world has moved since the question, it asks again.
    """
    from supervise.cli.install_steps import carry_out
    from supervise.cli.installing import refuse_root, session_for, show_plan
    from supervise.cli.output import agree
    from supervise.cli.scopes import acting_scope
    from supervise.cli.wanted import wanted

    found = wanted(file, environment, acting_scope(as_user))
    refuse_root(found, allowed=allow_root)

    async def applied() -> int:
        async with session_for(found, moved=moved) as session:
            plan = await session.plan()
            show_plan(plan, found)
            if not ((plan.empty and not plan.start and not plan.restart) or yes):
                agree("Do this?")

            def agreed(final: Plan) -> bool:
                if not yes and replace(final, manifest=None) != replace(plan, manifest=None):
                    click.echo("meanwhile something has changed; the plan is now:")
                    show_plan(final, found)
                    agree("Do this?")
                return True

            return await carry_out(session, start=True, restart=True, agreed=agreed)

    return asyncio.run(applied())
