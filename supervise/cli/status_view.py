"""What `status` shows: one screen of agents, or one agent with its death and last words."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from supervise.cli.options import Choice
from supervise.cli.output import age, duration, local, mark, print_json, utc_now
from supervise.cli.wanted import warn_of_damage
from supervise.decide import AS_WANTED
from supervise.errors import ExitCode, NoSuchAgent, PlatformError
from supervise.exits import described
from supervise.manager import Manager, View, managing
from supervise.model import AgentSpec, LogLine, LogQuery, Scope, Status, StatusRow, UnitState
from supervise.places import Places, places
from supervise.selection import select
from supervise.text import columns, masked, shown

ORDER = (Status.ERROR, Status.WARNING, Status.UNKNOWN, Status.STARTING, Status.STOPPING, Status.STOPPED, Status.RUNNING)
NOT_RUNNING = (Status.STOPPED, Status.UNKNOWN)
MANY = 8
"""More running agents than this are folded into one line."""
LONGEST_TITLE = 30
LAST_LINES = 8
LAST_OF_MANAGER = 3
REFRESH = 2.0
"""Seconds after which `--watch` looks again even without a signal."""
WITHOUT_DAEMON = "no reconciler is running: this is what systemd and one process scan show at this moment"

Found = tuple[Manager, tuple[AgentSpec, ...], View]


async def gathered(scopes: Sequence[Scope], choice: Choice, *, as_json: bool) -> int:
    """Print the status once; gives the exit code."""
    async with AsyncExitStack() as stack:
        managers = [
            await stack.enter_async_context(managing(one, project=choice.project)) for one in _installed(scopes)
        ]
        found = [(manager, chosen, await manager.status(chosen)) for manager, chosen in _chosen(managers, choice)]
        rows = {name: row for _, _, view in found for name, row in view.rows.items()}
        if as_json:
            print_json(
                {
                    "at": utc_now(),
                    "reconciler": None,
                    "agents": [row_json(row, found) for row in by_badness(rows.values())],
                }
            )
        elif len(rows) == 1 and choice.agents:
            await _show_one(*found[0])
        else:
            click.echo(screen(rows.values(), utc_now()))
    return _code(rows.values(), named=bool(choice.agents))


async def watched(scopes: Sequence[Scope], choice: Choice, *, as_json: bool) -> None:
    """Show the status again at every change, until interrupted."""
    async with AsyncExitStack() as stack:
        managers = [
            await stack.enter_async_context(managing(one, project=choice.project)) for one in _installed(scopes)
        ]
        chosen = _chosen(managers, choice)
        shown_last = ""
        async for _ in _ticks(managers):
            views = [(manager, specs, await manager.status(specs)) for manager, specs in chosen]
            rows = [row for _, _, view in views for row in view.rows.values()]
            lines = "\n".join(_json_line(row, views) for row in by_badness(rows)) if as_json else ""
            text = lines or screen(rows, utc_now())
            if text != shown_last:
                click.echo(text if as_json else f"\033[H\033[2J{text}")
            shown_last = text


def screen(rows: Any, now: datetime) -> str:
    """Bad first, one line each; what runs well is folded when it is much; who was asked comes last."""
    ordered = by_badness(rows)
    running = [row for row in ordered if row.status is Status.RUNNING and not row.outdated]
    folded = running if len(running) > MANY else []
    shown_rows = [row for row in ordered if row not in folded]
    cells = [_cells(row, now) for row in shown_rows]
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    lines = [_line(row, one, widths) for row, one in zip(shown_rows, cells, strict=True)]
    if folded:
        names = ", ".join(row.name for row in folded)
        lines.append(f"{mark(Status.RUNNING)}: {len(folded)} agents ({shown(names, limit=200)})")
    return "\n".join([*lines, click.style(WITHOUT_DAEMON, dim=True)])


def by_badness(rows: Any) -> list[StatusRow]:
    return sorted(rows, key=lambda row: (ORDER.index(row.status), not row.outdated, row.name))


def _cells(row: StatusRow, now: datetime) -> tuple[str, ...]:
    """What stands in columns: status, name, title, reason, since when, PID."""
    since = row.started_at if row.status is Status.RUNNING else row.since
    title = shown(row.title, limit=LONGEST_TITLE) if row.title != row.name else ""
    return (row.status.value, row.name, title, row.reason.value, age(since, now), f"PID {row.pid}" if row.pid else "")


def _line(row: StatusRow, cells: Sequence[str], widths: Sequence[int]) -> str:
    status, *rest = (cell + " " * (width - columns(cell)) for cell, width in zip(cells, widths, strict=True))
    coloured = mark(row.status) + " " * (len(status) - len(row.status.value))
    told = [] if row.message == AS_WANTED else [row.message]
    told += ["It runs something older than what is installed."] if row.outdated else []
    return "  ".join((coloured, *rest, shown(" ".join(told)))).rstrip()


# --- One agent --------------------------------------------------------------------------------------------------------


async def _show_one(manager: Manager, specs: tuple[AgentSpec, ...], view: View) -> None:
    spec = specs[0]
    row, state = view.rows[spec.name], view.states[spec.name]
    click.echo(f"{mark(row.status)}  {click.style(shown(spec.title), bold=True)} ({spec.name})  {row.reason.value}")
    click.echo(f"  {shown(row.message)}")
    for label, text in _facts(spec, row, state, utc_now()):
        click.echo(f"  {label:<10} {shown(text)}")
    lines = await _last_words(manager, state)
    if lines:
        died = row.status not in (Status.RUNNING, Status.STARTING)
        click.secho(f"  {'last lines before its end' if died else 'last lines'}:", bold=True)
        for line in lines:
            click.echo(f"    {line.at.astimezone():%H:%M:%S} {shown(line.text)}")
    click.secho(f"  {WITHOUT_DAEMON}", dim=True)


def _facts(spec: AgentSpec, row: StatusRow, state: UnitState, now: datetime) -> list[tuple[str, str]]:
    facts = [
        ("project", spec.project),
        ("unit", row.unit),
        ("runs", " ".join(masked(spec.command))),
        ("in", str(spec.working_directory)),
    ]
    if spec.url:
        facts.append(("url", spec.url))
    if state.pid:
        facts.append(("PID", f"{state.pid}, started {local(state.started_at)} ({age(state.started_at, now)})"))
    elif state.ended_at:
        facts.append(("ended", f"{local(state.ended_at)} ({age(state.ended_at, now)}): it {described(state.exit)}"))
    if state.restarts:
        facts.append(("restarts", f"{state.restarts} by systemd since it was last started"))
    if state.next_run:
        facts.append(("next run", f"{local(state.next_run)} (in {duration(state.next_run - now)})"))
    facts.append(("at boot", "starts" if state.enabled else "does not start"))
    if row.outdated:
        facts.append(("outdated", f"runs something older than what is installed; `supervise restart {spec.name}`"))
    if state.status_text:
        facts.append(("says", state.status_text))
    return facts


async def _last_words(manager: Manager, state: UnitState) -> list[LogLine]:
    """The last lines of the agent itself since it was last started, then what its manager said last, if it is down."""
    own = await _lines(manager, LogQuery((state.unit,), LAST_LINES, since=_stamp(state), by_manager=False))
    if state.pid:
        return own
    about = await _lines(manager, LogQuery((state.unit,), LAST_LINES * 4))
    return own + [line for line in about if line.by_manager][-LAST_OF_MANAGER:]


async def _lines(manager: Manager, query: LogQuery) -> list[LogLine]:
    async with aclosing(manager.logs(query)) as found:  # type: ignore[type-var]
        return [line async for line in found]


def _stamp(state: UnitState) -> str | None:
    return f"@{state.started_at.timestamp() - 1:.6f}" if state.started_at and not state.before_start else None


# --- Choosing ---------------------------------------------------------------------------------------------------------


def _installed(scopes: Sequence[Scope]) -> list[Places]:
    """The scopes in which something is installed. Raises NoSuchAgent when there is none."""
    all_places = [places(scope, os.environ, uid=os.getuid()) for scope in scopes]
    for one in all_places:
        warn_of_damage(one)
    there = [one for one in all_places if one.manifests.is_dir() and any(one.manifests.glob("*.json"))]
    if not there:
        raise NoSuchAgent(
            "no agents are installed here; write an agents.yaml (`supervise init`) and run `supervise install`"
        )
    return there


def _chosen(managers: Sequence[Manager], choice: Choice) -> list[tuple[Manager, tuple[AgentSpec, ...]]]:
    everything = [spec for manager in managers for spec in manager.specs]
    anyone = choice.everyone or choice.unsaid
    names = {spec.name for spec in select(everything, choice.agents, everyone=anyone, tags=choice.tags)}
    parts = [(manager, tuple(spec for spec in manager.specs if spec.name in names)) for manager in managers]
    return [(manager, specs) for manager, specs in parts if specs]


async def _ticks(managers: Sequence[Manager]) -> AsyncIterator[None]:
    """Now, at each change of any unit, and every other second."""
    woken = asyncio.Event()

    async def listen(manager: Manager) -> None:
        async for _ in manager.platform.changes():
            woken.set()

    listeners = [asyncio.ensure_future(listen(manager)) for manager in managers]
    try:
        while True:
            yield
            with suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), REFRESH)
            woken.clear()
            if lost := next((one for one in listeners if one.done()), None):
                lost.result()
                raise PlatformError("cannot watch any longer: the connection to D-Bus was lost")
    finally:
        for one in listeners:
            one.cancel()


def row_json(row: StatusRow, found: Sequence[Found]) -> dict[str, Any]:
    """A row with what it was judged from."""
    state = next((view.states[row.name] for _, _, view in found if row.name in view.states), None)
    spec = next(spec for _, specs, _ in found for spec in specs if spec.name == row.name)
    return {**asdict(row), "url": spec.url, "tags": spec.tags, "observed": asdict(state) if state else None}


def _json_line(row: StatusRow, found: Sequence[Found]) -> str:
    import json

    from supervise.cli.output import plain

    return json.dumps(plain(row_json(row, found)), ensure_ascii=False)


def _code(rows: Any, *, named: bool) -> ExitCode:
    statuses = {row.status for row in rows}
    if Status.ERROR in statuses:
        return ExitCode.FAILED
    return ExitCode.NOT_RUNNING if named and not statuses.isdisjoint(NOT_RUNNING) else ExitCode.OK
