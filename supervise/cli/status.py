"""`supervise status`: how agents are, bad first; one of them in detail. Works without any daemon, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import click

from supervise.cli.options import Choice, agents_arguments, json_option
from supervise.errors import ExitCode


@click.command()
@agents_arguments
@click.option("--system", "as_system", is_flag=True, help="Only the machine's agents.")
@json_option
@click.option("-w", "--watch", is_flag=True, help="Go on and show every change.")
def command(
    choice: Choice,
    as_system: bool,
    as_json: bool,
    watch: bool,
) -> int:
    """Show how agents are; one of them in detail.

    Bad ones first; many that run well are folded into one line. Exit code 1 when something is in error, 3 when a
    named agent does not run.
    """
    from supervise.cli.status_view import gathered

    scopes = _scopes(choice.as_user, as_system)

    if watch:
        from supervise.cli.status_view import watched

        asyncio.run(watched(scopes, choice, as_json=as_json))
        return ExitCode.OK
    return asyncio.run(gathered(scopes, choice, as_json=as_json))


def _scopes(as_user: bool, as_system: bool) -> Sequence[Any]:
    from supervise.model import Scope

    if as_user:
        return (Scope.USER,)
    return (Scope.SYSTEM,) if as_system else (Scope.SYSTEM, Scope.USER)
