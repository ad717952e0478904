"""`supervise events`: what happened, when, why, and who was behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from supervise.cli.options import complete_agent, json_option, user_option

if TYPE_CHECKING:
    from supervise.places import Places

WAIT, PAUSE = 30.0, 0.2
"""Seconds for the next reconciler to answer, and between two tries."""
LATE = timedelta(seconds=10)
"""An event has the time of the fact, and may be written after others that happened later."""
MOST_MISSED = 1000
"""What the reconciler gives to everybody."""
KEPT = 20_000
"""How many of those shown are remembered: twice what is listed at first at most."""


@click.command()
@click.argument("agent", required=False, shell_complete=complete_agent)
@user_option
@click.option("-n", "--lines", type=click.IntRange(1, 10_000), default=50, show_default=True, help="The last N events.")
@click.option("--since", metavar="SPAN|TIME", help="'2h', '1d', or a time such as 12:30 or 2026-01-31T12:00.")
@click.option("--until", metavar="SPAN|TIME", help="As --since.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new events as they come.")
@json_option
def command(
    agent: str | None, as_user: bool, lines: int, since: str | None, until: str | None, follow: bool, as_json: bool
) -> None:
    """Show what happened, when, and who was behind it.

    Of one agent, or of all and the host. Times are those of the operating system where it has seen the fact itself.
    """
    from supervise.cli.moments import moment
    from supervise.cli.reconciler import asking
    from supervise.cli.scopes import warn_of_damage
    from supervise.errors import UsageError
    from supervise.manifest import manifests
    from supervise.selection import select

    there = asking(as_user)
    name = None
    if agent is not None:
        warn_of_damage(there)
        specs = [spec for one in manifests(there) for spec in one.agents]
        names = {spec.name for spec in select(specs, (agent,))}
        if len(names) > 1:
            raise UsageError(f'"{agent}" means {len(names)} agents; events are shown of one, or of all and the host')
        name = names.pop()
    query = {
        "name": name,
        "limit": lines,
        "since": moment(since).isoformat() if since else None,
        "until": moment(until).isoformat() if until else None,
    }
    asyncio.run(_show(there, query, follow=follow, as_json=as_json))


async def _show(there: Places, query: dict[str, Any], *, follow: bool, as_json: bool) -> None:
    from supervise.control.client import connect

    if follow:
        await _follow(there, query, as_json=as_json)
        return
    async with connect(there.control) as control:
        found = await control.ask("events", **query)
    for event in found:
        click.echo(_line(event, as_json=as_json))
    if not found and not as_json:
        click.secho("nothing has happened yet", dim=True)


# --- Following --------------------------------------------------------------------------------------------------------


class Told:
    """What was shown while following: no event twice, and after a break none left out."""

    def __init__(self, query: dict[str, Any]) -> None:
        self._query = query
        self._ids: dict[str, None] = {}
        self._oldest = self._newest = datetime.now(UTC)

    def new(self, events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Those that were not shown yet; from now on they were."""
        for event in events:
            if event["id"] in self._ids:
                continue
            at = datetime.fromisoformat(event["at"])
            self._oldest = min(self._oldest, at)
            self._newest = max(self._newest, at) if self._ids else at
            self._ids[event["id"]] = None
            if len(self._ids) > KEPT:
                del self._ids[next(iter(self._ids))]
            yield event

    def missed(self) -> dict[str, Any]:
        """What to ask after a break. Nothing from before the first that was shown: `--lines` has left that out."""
        since = max(self._oldest, self._newest - LATE)
        return {**self._query, "since": since.isoformat(), "until": None, "limit": MOST_MISSED}


async def _follow(there: Places, query: dict[str, Any], *, as_json: bool) -> None:
    """Go on with the next reconciler when one ends. Raises Unreachable where none has answered for `WAIT`, and at once
    where none did at first."""
    from supervise.control.client import Unreachable

    clock = asyncio.get_running_loop().time
    told = Told(query)
    asked, until = query, clock()
    while True:
        try:
            async for events in _batches(there, asked):
                until = 0.0
                for event in told.new(events):
                    click.echo(_line(event, as_json=as_json))
            return
        except Unreachable:
            until = until or clock() + WAIT
            if clock() >= until:
                raise
        await asyncio.sleep(PAUSE)
        asked = told.missed()


async def _batches(there: Places, query: dict[str, Any]) -> AsyncIterator[list[dict[str, Any]]]:
    """The events that the query means, then each that comes, from one reconciler."""
    from supervise.control.client import connect

    names = None if query["name"] is None else [query["name"]]
    async with connect(there.control) as control, connect(there.control) as live:
        items = live.stream("watch", patience=WAIT, names=names, events=True)
        await anext(items)  # from here on nothing is missed; what is in the list too is left out later
        yield await control.ask("events", **query)
        async for item in items:
            if "event" in item:
                yield [item["event"]]


# --- How it is said ---------------------------------------------------------------------------------------------------


def _line(event: dict[str, Any], *, as_json: bool) -> str:
    """`Nov 28 03:19:55.903 sma  running → error  Crashed  It was killed by SIGKILL…  (systemd)`"""
    import json

    from supervise.cli.output import MARKS, hinted
    from supervise.model import Status
    from supervise.text import shown

    if as_json:
        return json.dumps(event, ensure_ascii=False)
    at = datetime.fromisoformat(event["at"]).astimezone()
    after = event["after"]
    change = f"{event['before'] or '–'} → {after}" if event["kind"] == "status" else event["kind"]
    coloured = click.style(f"{change:<20}", fg=MARKS[Status(after)][1] if after else "cyan")
    stamp = click.style(f"{at:%b %d %H:%M:%S}.{at.microsecond // 1000:03d}", dim=True)
    who = shown(event["name"] or "(host)")
    by = click.style(f"({shown(event['by'])})", dim=True)
    return f"{stamp} {who:<16} {coloured} {shown(event['reason']):<18} {shown(hinted(event['message']))} {by}"
