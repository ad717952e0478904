"""`supervise top`: all agents live on one screen, with keys to start, stop, hold and read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from supervise.cli.options import Choice, agents_arguments, json_option

if TYPE_CHECKING:
    from supervise.model import AgentSpec
    from supervise.places import Places

SORTS = ("status", "name", "health", "cpu", "memory", "uptime", "restarts", "beat")


@click.command()
@agents_arguments
@json_option
@click.option("--sort", type=click.Choice(SORTS), default="status", show_default=True, help="By what to sort.")
@click.option("--filter", "words", default="", metavar="WORDS", help="Only agents in whose row these words stand.")
@click.option("-n", "--iterations", type=click.IntRange(1), help="Print the table N times, then end; no keys.")
@click.option(
    "-d",
    "--delay",
    default="2s",
    show_default=True,
    metavar="SPAN",
    help="Between two tables, where there is no screen.",
)
def command(choice: Choice, as_json: bool, sort: str, words: str, iterations: int | None, delay: str) -> int:
    """Show all agents live, with keys to act on them.

    s start, t stop, r restart, h hold, u release, l logs, / filter, o sort, ? help, q quit. Without a terminal the
    table is printed again and again.
    """
    import asyncio

    from supervise.cli.acting import opening
    from supervise.cli.scopes import warn_of_damage
    from supervise.cli.spans import length
    from supervise.cli.top_live import Top, repeated
    from supervise.cli.top_state import Sort, State
    from supervise.cli.top_terminal import Terminal, is_terminal

    there, as_user = _scope(choice)
    warn_of_damage(there)
    chosen = _chosen(there, choice)
    specs = None if choice.unsaid and choice.project is None else chosen
    state = State(sort=Sort(sort), filter=words)
    if as_json or iterations or not is_terminal():
        pause = length(delay).total_seconds()
        table = repeated(
            there,
            specs,
            lambda: _chosen(there, choice),
            state,
            delay=pause,
            times=iterations,
            tell=click.echo,
            as_json=as_json,
        )
        asyncio.run(table)
        return 0

    async def live() -> int:
        with Terminal() as terminal:
            return await Top(there, specs, lambda: opening(as_user), terminal, state).run()

    return asyncio.run(live())


def _scope(choice: Choice) -> tuple[Places, bool]:
    """Where the agents are, and whether they are one's own: these where the machine has none."""
    import os

    from supervise.manifest import manifests
    from supervise.model import Scope
    from supervise.places import SYSTEM, places

    own = places(Scope.USER, os.environ, uid=os.getuid())
    as_user = choice.as_user or bool(os.geteuid() and not any(manifests(SYSTEM)) and any(manifests(own)))
    return (own, True) if as_user else (SYSTEM, False)


def _chosen(there: Places, choice: Choice) -> Sequence[AgentSpec]:
    """The agents that are meant, as they are installed now. Raises NoSuchAgent."""
    from supervise.manifest import manifests, of_project
    from supervise.selection import select

    specs = [spec for one in of_project(manifests(there), choice.project) for spec in one.agents]
    return select(specs, choice.agents, everyone=choice.everyone or choice.unsaid, tags=choice.tags)
