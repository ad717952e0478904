"""`supervise force-stop`: SIGKILL at once, to the unit and to every copy outside of it; where that fails, a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from supervise.cli.options import Choice, agents_arguments

if TYPE_CHECKING:
    from supervise.manager import Result, Verbs
    from supervise.model import AgentSpec

LOCKED_FOR = 24 * 3600


@click.command("force-stop")
@agents_arguments
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(choice: Choice, yes: bool) -> int:
    """Kill agents at once, and every copy of them.

    SIGKILL: they cannot save anything. Copies outside their unit are ended too. An agent that cannot be reached (a
    process that even this does not end, or one of which nobody can tell whose it is) is shown as stopped for 24 h, or
    until it is started again; what is observed stays true beside it.
    """
    from supervise.cli.acting import act
    from supervise.cli.output import agree, print_result

    async def killed(manager: Verbs, chosen: tuple[AgentSpec, ...]) -> list[Result]:
        if not yes:
            agree(f"Kill {', '.join(spec.name for spec in chosen)} without letting them finish?")
        results = await manager.stop(chosen, tell=lambda result: None, kill=True)
        results = [result if result.ok else await _locked(result, choice.as_user) for result in results]
        for result in results:
            print_result(result)
        return results

    return act(choice, killed, operators=False)


async def _locked(result: Result, as_user: bool) -> Result:
    """The result with what was done instead: it is shown as stopped, if there is a reconciler to show it so."""
    import os
    from dataclasses import replace

    from supervise.cli.scopes import scope_of
    from supervise.control.client import Refused, Unreachable, connect
    from supervise.manager import LONGEST_REASON, asker
    from supervise.model import FORCE_STOP
    from supervise.places import places

    there = places(scope_of(as_user), os.environ, uid=os.getuid())
    reason = f"{FORCE_STOP}{result.text}"[:LONGEST_REASON]
    lock: dict[str, Any] = {"status": "stopped", "health": 0, "seconds": LOCKED_FOR, "reason": reason}
    try:
        async with connect(there.control) as control:
            await control.ask("lock", names=[result.name], by=asker(), **lock)
    except (Unreachable, Refused) as error:
        return replace(result, text=f"{result.text}; and it cannot be shown as stopped: {error}")
    until = f"for 24 h or until it is started (`supervise unlock {result.name}`)"
    return replace(result, text=f"{result.text}; shown as stopped {until}, what is observed stays beside it")
