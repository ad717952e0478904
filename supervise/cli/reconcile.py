"""`supervise reconcile`: the daemon that keeps every row true; `supervise install` installs and starts it."""

from __future__ import annotations

import click

from supervise.cli.options import json_option, user_option
from supervise.errors import ExitCode


@click.command()
@user_option
@click.option("--once", is_flag=True, help="One full pass, then end; a reconciler that runs makes it.")
@json_option
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="How much it writes to its log.",
)
def command(as_user: bool, once: bool, as_json: bool, log_level: str) -> int:
    """Keep the status of all agents true, until stopped.

    It owns no agent: it may be killed at any moment. `supervise install` installs it as a service; started by hand it
    serves the sockets itself.
    """
    import asyncio
    import logging
    import os
    import socket

    from supervise.cli.wanted import scope_of
    from supervise.places import places
    from supervise.reconcile.daemon import Daemon
    from supervise.reconcile.once import once as one_pass

    logging.basicConfig(level=log_level.upper(), format="%(levelname)s %(message)s")
    there = places(scope_of(as_user), os.environ, uid=os.getuid())
    if once:
        from supervise.cli.output import print_json

        done = asyncio.run(one_pass(there, host=socket.gethostname()))
        if as_json:
            print_json(done)
        else:
            click.echo(f"✓ looked at {len(done['rows'])} agents, {done['by']}")
        return ExitCode.OK
    asyncio.run(Daemon(there, host=socket.gethostname()).run())
    return ExitCode.OK
