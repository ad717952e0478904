"""`supervise reconcile`: the daemon that keeps every row true; `supervise install` installs and starts it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from supervise.cli.options import json_option, user_option
from supervise.errors import ExitCode, UsageError
from supervise.model import Scope

if TYPE_CHECKING:
    from supervise.places import Places

HANDOVER = timedelta(seconds=5)
"""As a service it waits so long for another reconciler to end: systemd would start it again and again."""


@click.command()
@user_option
@click.option("--once", is_flag=True, help="One full pass, then end; a reconciler that runs makes it.")
@click.option("--reload", is_flag=True, help="Have the reconciler that runs read everything anew, then end.")
@json_option
@click.option(
    "--metrics-listen", metavar="HOST:PORT", help="Serve metrics for Prometheus there, such as 127.0.0.1:9750."
)
@click.option("--metrics-public", is_flag=True, help="Also where others than this machine reach them.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="How much it writes to its log.",
)
def command(
    as_user: bool,
    once: bool,
    reload: bool,
    as_json: bool,
    metrics_listen: str | None,
    metrics_public: bool,
    log_level: str,
) -> int:
    """Keep the status of all agents true, until stopped.

    It owns no agent: it may be killed at any moment. `supervise install` installs it as a service; started by hand it
    serves the sockets itself. SIGHUP has it read everything anew.
    """
    import os

    from supervise.cli.scopes import scope_of
    from supervise.places import places
    from supervise.reconcile.journaling import set_up

    if once and reload:
        raise UsageError("--once and --reload do not go together")
    if metrics_listen:
        _refuse_public(metrics_listen, meant=metrics_public)
    set_up(log_level, os.environ)
    there = places(scope_of(as_user), os.environ, uid=os.getuid())
    if once:
        return _once(there, as_json=as_json)
    if reload:
        return _reload(there, as_json=as_json)
    return _run(there, metrics_listen)


def _refuse_public(endpoint: str, *, meant: bool) -> None:
    from supervise.endpoints import is_loopback, public

    try:
        ours_alone = is_loopback(endpoint)
    except ValueError as error:
        raise UsageError(f"--metrics-listen: {error}") from error
    if not ours_alone and not meant:
        raise UsageError(f"--metrics-listen: {public(endpoint)}; add --metrics-public if that is meant")


def _run(there: Places, metrics_listen: str | None) -> int:
    import asyncio
    import os
    import socket

    from supervise.reconcile.alone import alone
    from supervise.reconcile.daemon import Daemon
    from supervise.reconcile.once import refuse_where_nothing_is

    if there.scope is Scope.SYSTEM and os.geteuid() == 0:  # by hand: the service has a user, whose files they must be
        refuse_where_nothing_is(there)
    with alone(there, patience=HANDOVER if "NOTIFY_SOCKET" in os.environ else timedelta()):
        asyncio.run(Daemon(there, host=socket.gethostname(), metrics_listen=metrics_listen).run())
    return ExitCode.OK


def _once(there: Places, *, as_json: bool) -> int:
    import asyncio
    import socket

    from supervise.cli.output import print_json
    from supervise.reconcile.once import once
    from supervise.text import counted

    done = asyncio.run(once(there, host=socket.gethostname()))
    if as_json:
        print_json(done)
    else:
        click.echo(f"✓ looked at {counted(len(done['rows']), 'agent')}, {done['by']}")
    return ExitCode.OK


def _reload(there: Places, *, as_json: bool) -> int:
    import asyncio

    from supervise.cli.output import print_json
    from supervise.reconcile.once import reload
    from supervise.text import shown

    done = asyncio.run(reload(there))
    if as_json:
        print_json(done)
    else:
        click.echo(f"{'✗' if done['damaged'] else '✓'} read anew: {shown(done['found'])}", err=bool(done["damaged"]))
    return ExitCode.FAILED if done["damaged"] else ExitCode.OK
