"""`supervise env`: the environment that an agent gets from its unit, asked of systemd itself."""

from __future__ import annotations

import asyncio

import click

from supervise.cli.options import complete_agent, json_option, user_option


@click.command()
@click.argument("agent", shell_complete=complete_agent)
@user_option
@json_option
@click.option("--reveal", is_flag=True, help="Show values whose names look like secrets.")
def command(agent: str, as_user: bool, as_json: bool, reveal: bool) -> None:
    """Print the environment that an agent gets.

    Environment files included; values whose names look like secrets are hidden without --reveal.
    """
    import os

    from supervise.cli.output import print_json
    from supervise.cli.scopes import acting_scope, warn_of_damage
    from supervise.foreground import unit_environment
    from supervise.manager import managing
    from supervise.model import AgentSpec
    from supervise.places import places
    from supervise.selection import select
    from supervise.text import MASK, secret_looking, shown

    there = places(acting_scope(as_user), os.environ, uid=os.getuid())
    warn_of_damage(there)

    async def chosen() -> tuple[AgentSpec, ...]:
        async with managing(there) as manager:
            return select(manager.specs, (agent,))

    found = unit_environment(asyncio.run(chosen())[0])
    visible = {name: MASK if secret_looking(name) and not reveal else value for name, value in sorted(found.items())}
    if as_json:
        print_json(visible)
        return
    for name, value in visible.items():
        click.echo(f"{name}={shown(value)}")
