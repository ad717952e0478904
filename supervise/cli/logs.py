"""`supervise logs`: what agents wrote, several merged in the order of time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from supervise.cli.options import Choice, agents_arguments, json_option

if TYPE_CHECKING:
    from supervise.model import AgentSpec
    from supervise.places import Places

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")
PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
BAD, WARNING = 3, 4


@click.command()
@agents_arguments
@json_option
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines as they come.")
@click.option(
    "-n", "--lines", type=click.IntRange(0), help="The last N lines; 100 unless --since is given, 10 with --follow."
)
@click.option("--since", metavar="TIME", help="As journalctl takes it: 'today', '10 min ago', '2026-01-31 12:00'.")
@click.option("--until", metavar="TIME", help="As --since.")
@click.option("--grep", metavar="PATTERN", help="Only lines that fit this regular expression.")
@click.option("--priority", type=click.Choice(PRIORITIES), help="This bad or worse.")
def command(
    choice: Choice,
    as_json: bool,
    follow: bool,
    lines: int | None,
    since: str | None,
    until: str | None,
    grep: str | None,
    priority: str | None,
) -> None:
    """Show what agents wrote.

    And what systemd wrote about them. Several agents are merged by time, each with its own colour; without AGENTs all
    of them.
    """
    from supervise.cli.output import print_json
    from supervise.logs import read_journal
    from supervise.model import LogLine, LogQuery
    from supervise.platforms.systemd.units import timer_name, unit_name

    there, chosen = _chosen(choice)
    units = tuple(
        unit
        for spec in chosen
        for unit in (unit_name(spec.name), timer_name(spec.name), f"agent-run-{spec.name}.scope")
    )
    default = None if since else 10 if follow else 100
    query = LogQuery(
        units=units,
        lines=lines if lines is not None else default,
        follow=follow,
        since=since,
        until=until,
        grep=grep,
        priority=PRIORITIES.index(priority) if priority else None,
    )
    names = {spec.name: COLOURS[index % len(COLOURS)] for index, spec in enumerate(chosen)}

    async def show(found: AsyncIterator[LogLine]) -> None:
        async with aclosing(found):  # type: ignore[type-var]
            async for line in found:
                if as_json:
                    print_json(line, lines=True)
                else:
                    click.echo(human(line, names))

    asyncio.run(show(read_journal(query, scope=there.scope)))


def _chosen(choice: Choice) -> tuple[Places, tuple[AgentSpec, ...]]:
    """The agents and where they are: the machine's, or else one's own."""
    import os

    from supervise.cli.scopes import warn_of_damage
    from supervise.errors import NoSuchAgent
    from supervise.manifest import manifests, of_project
    from supervise.model import Scope
    from supervise.places import places
    from supervise.selection import select

    own = places(Scope.USER, os.environ, uid=os.getuid())
    tried = [own] if choice.as_user else [places(Scope.SYSTEM, os.environ, uid=os.getuid()), own]
    missing: NoSuchAgent | None = None
    warn_of_damage(*tried)
    found = [(there, one) for there in tried for one in manifests(there)]
    meant = of_project([one for _, one in found], choice.project)
    for there in tried:
        specs = [spec for where, one in found if where is there and one in meant for spec in one.agents]
        try:
            return there, select(specs, choice.agents, everyone=choice.everyone or choice.unsaid, tags=choice.tags)
        except NoSuchAgent as error:
            missing = missing or error
    assert missing is not None
    raise missing


def human(line: object, names: dict[str, str]) -> str:
    """`13:04:05 market_data  text`, each of its lines under its agent's colour."""
    from supervise.model import LogLine
    from supervise.text import shown

    assert isinstance(line, LogLine)
    width = max((len(name) for name in names), default=0)
    head = click.style(f"{line.at.astimezone():%b %d %H:%M:%S} {line.name:<{width}}", fg=names.get(line.name))
    colour = "red" if line.priority <= BAD else "yellow" if line.priority == WARNING else None
    texts = line.text.split("\n") or [""]
    return "\n".join(f"{head}  {click.style(shown(text), fg=colour, dim=line.by_manager)}" for text in texts)
