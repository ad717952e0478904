"""`supervise fix`: one full pass now, and what it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from supervise.cli.options import json_option, user_option


@click.command()
@user_option
@json_option
def command(as_user: bool, as_json: bool) -> int:
    """Look at everything anew, put right what is wrong, and say what.

    The rows are made from what the operating system, the processes and the agents show at this moment; what the
    reconciler may repair, it repairs; who is not well after that is named. It needs no reconciler that runs. Exit code
    5: not everything could be seen.
    """
    import asyncio
    import os
    import socket

    from supervise.cli.output import hinted, print_json
    from supervise.cli.scopes import scope_of
    from supervise.errors import ExitCode
    from supervise.places import places
    from supervise.reconcile.once import fix
    from supervise.text import counted, shown

    there = places(scope_of(as_user), os.environ, uid=os.getuid())
    done = asyncio.run(fix(there, host=socket.gethostname()))
    code = ExitCode.PARTLY if done["troubles"] else ExitCode.OK
    if as_json:
        print_json(done)
        return code
    for event in done["events"]:
        click.echo(f"! {shown(event['name'] or 'host')}: {shown(hinted(event['message']))}")
    for trouble in done["troubles"]:
        click.secho(f"! {shown(trouble)}", fg="yellow", err=True)
    changes = counted(len(done["events"]), "change") if done["events"] else ""
    true = "" if changes or done["troubles"] else "all was true already"
    told = "; ".join(filter(None, (changes or true, _remaining(done["remaining"]))))
    sign = "!" if done["troubles"] or done["remaining"] else "✓"
    looked = f"looked at {counted(done['agents'], 'agent')}, {done['by']}"
    click.echo(f"{sign} {looked}{f': {told}' if told else ''}")
    return code


def _remaining(rows: Sequence[Mapping[str, str]]) -> str:
    """`2 agents need you: sma: A copy runs outside its unit…; feed: …`"""
    from supervise.cli.output import hinted
    from supervise.text import counted, shown

    if not rows:
        return ""
    need = f"{counted(len(rows), 'agent')} {'needs' if len(rows) == 1 else 'need'} you"
    return f"{need}: " + "; ".join(f"{one['name']}: {shown(hinted(one['message'].rstrip('.')))}" for one in rows)
