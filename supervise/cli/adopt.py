"""`supervise adopt`: take over a process that runs outside of its unit, without restarting it."""

from __future__ import annotations

import click

from supervise.cli.options import complete_agent, user_option


@click.command()
@click.argument("what", metavar="PID|AGENT", shell_complete=complete_agent)
@click.option(
    "--as", "name", metavar="AGENT", shell_complete=complete_agent, help="Whose it is, where it fits several."
)
@user_option
def command(what: str, name: str | None, as_user: bool) -> int:
    """Take over a process that runs outside of its unit.

    It is moved, alive and with its children, into a scope of the agent's own. It is shown as running, `supervise stop`
    stops it, and nothing starts a second one beside it. When it ends it is not restarted; `supervise start` then starts
    the agent as its unit.
    """
    import asyncio
    import os

    from supervise.adopting import adopt
    from supervise.cli.output import print_result, print_warning
    from supervise.cli.scopes import acting_scope, warn_of_damage
    from supervise.errors import ExitCode
    from supervise.manager import Result, managing
    from supervise.places import places
    from supervise.platforms.systemd.platform import Systemd

    there = places(acting_scope(as_user), os.environ, uid=os.getuid())
    warn_of_damage(there)

    async def adopted() -> Result:
        async with managing(there) as manager, Systemd(there) as platform:
            return await adopt(manager, platform, what, name=name, warn=print_warning)

    print_result(asyncio.run(adopted()))
    return ExitCode.OK
