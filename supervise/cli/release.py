"""`supervise release`: take a hold back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from supervise.cli.options import Choice, agents_arguments

if TYPE_CHECKING:
    from supervise.manager import Result, Verbs
    from supervise.model import AgentSpec

ADVICE = "; `supervise start "


@click.command()
@agents_arguments
@click.option("--start", is_flag=True, help="Start them too.")
def command(choice: Choice, start: bool) -> int:
    """Take a hold back.

    Starts nothing without --start.
    """
    from dataclasses import replace

    from supervise.cli.acting import act
    from supervise.cli.output import print_result
    from supervise.errors import ExitCode, NoSuchAgent

    def released_only(result: Result) -> None:
        """Without the advice to do what comes next."""
        print_result(replace(result, text=result.text.partition(ADVICE)[0]))

    async def released(manager: Verbs, chosen: tuple[AgentSpec, ...]) -> list[Result]:
        results = await manager.release(chosen, tell=released_only if start else print_result)
        return results + (await manager.start(chosen, tell=print_result) if start else [])

    try:
        return act(choice, released)
    except NoSuchAgent:
        if not _released_without_agent(choice):
            raise
        return ExitCode.OK


def _released_without_agent(choice: Choice) -> bool:
    """Take back holds on agents that are installed no more; whether every name had one."""
    import os

    from supervise.cli.scopes import acting_scope
    from supervise.holds import read_holds, remove_hold
    from supervise.places import places

    there = places(acting_scope(choice.as_user), os.environ, uid=os.getuid())
    if not choice.agents or not set(choice.agents) <= set(read_holds(there)):
        return False
    for name in choice.agents:
        remove_hold(there, name)
        click.echo(f"✓ {name}: released; it is not installed")
    return True
