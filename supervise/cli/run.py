"""`supervise run`: one agent in the foreground, as its unit would run it."""

from __future__ import annotations

import asyncio

import click

from supervise.cli.options import complete_agent, user_option


@click.command()
@click.argument("agent", shell_complete=complete_agent)
@user_option
def command(agent: str, as_user: bool) -> int:
    """Run one agent in the foreground, as its unit would.

    Its exact environment, user and directory, but not its sandbox or limits. Refuses while a copy of it runs or it is
    held. Its exit code is this command's.
    """
    import os

    from supervise.cli.output import progress
    from supervise.cli.scopes import acting_scope, warn_of_damage
    from supervise.errors import SuperviseError, UsageError
    from supervise.foreground import run
    from supervise.manager import managing
    from supervise.model import AgentSpec
    from supervise.places import places
    from supervise.selection import select

    there = places(acting_scope(as_user), os.environ, uid=os.getuid())
    warn_of_damage(there)

    async def chosen() -> AgentSpec:
        async with managing(there) as manager:
            specs = select(manager.specs, (agent,))
            if len(specs) > 1:
                raise UsageError(f"one agent at a time: {', '.join(spec.name for spec in specs)}")
            if why := await manager.why_not_beside(specs[0]):
                raise SuperviseError(f'cannot run "{specs[0].name}": {why}')
            return specs[0]

    spec = asyncio.run(chosen())
    who = spec.user or "you"
    progress(f"{spec.name} in the foreground as {who} in {spec.working_directory}; without its sandbox and limits")
    return run(spec, there)
