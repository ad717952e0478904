"""What `status` shows: one screen of agents, or one agent with its death and last words."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict
from datetime import datetime
from shutil import get_terminal_size
from typing import Any

import click

from supervise.cli.options import Choice
from supervise.cli.output import age, duration, local, mark, percent, plain, print_json, size, utc_now
from supervise.cli.probe_view import probe_facts, probes_json
from supervise.cli.ps import why_left_alone
from supervise.cli.scopes import warn_of_damage
from supervise.control.client import connect
from supervise.decide import AS_WANTED
from supervise.errors import Damaged, ExitCode, NoSuchAgent, SuperviseError
from supervise.exits import described
from supervise.hints import for_scope
from supervise.manager import Manager, managing
from supervise.manifest import manifests, of_project
from supervise.model import AgentSpec, LogLine, LogQuery, Reason, Scope, Source, Status, StatusRow, UnitState
from supervise.overview import Overview, following, overview, row_of
from supervise.places import Places, places
from supervise.platforms.systemd.units import run_unit
from supervise.processes import processes
from supervise.selection import NOBODY, select
from supervise.text import columns, counted, masked, shown

ORDER = (Status.ERROR, Status.WARNING, Status.UNKNOWN, Status.STARTING, Status.STOPPING, Status.STOPPED, Status.RUNNING)
NOT_RUNNING = (Status.STOPPED, Status.UNKNOWN)
MANY = 8
"""More running agents than this are folded into one line."""
LONGEST_TITLE = 30
GAP = "  "
ROOM_FOR_WORDS = 20
"""Columns of a terminal that are left for what a row says, or else what an agent takes is left out."""
LAST_LINES = 8
LAST_OF_MANAGER = 3
LOOKS, PAUSE = 5, 0.05
"""How often, and after how many seconds, row and unit are asked again that tell of two moments."""
JOURNAL_CLOSED = "the journal is for root and members of systemd-journal"
NOT_ALLOWED = re.compile("insufficient permissions|not seeing messages", re.IGNORECASE)
"""journalctl's words for it, where it could read no journal at all or only the user's own."""
STALE = 5.0
"""Seconds of age from which a view is not to be trusted: the reconciler makes it new four times a second."""
SOURCES = {
    Source.BEAT: ("heartbeat", ", by its own beats"),
    Source.PING: ("heartbeat", ", by its pings"),
    Source.OBSERVED: ("active", "; it gives no sign of life itself"),
}
"""What `last_heartbeat` is called, and whence it is known."""

Part = tuple[Places, tuple[AgentSpec, ...]]
"""One scope's agents."""


async def gathered(scopes: Sequence[Scope], choice: Choice, *, as_json: bool) -> int:
    """Print the status once; gives the exit code. Raises Damaged, also after what is still known was shown."""
    try:
        parts = _chosen(_installed(scopes), choice)
    except Damaged:
        if choice.unsaid and not as_json:
            await _show_remembered(scopes)
        raise
    views = [await overview(there, specs) for there, specs in parts]
    rows = {name: row for view in views for name, row in view.rows.items()}
    if as_json:
        specs = {spec.name: spec for _, chosen in parts for spec in chosen}
        probes = {name: probed for view in views for name, probed in view.probes.items()}
        print_json(
            {
                "at": utc_now(),
                "reconciler": next((view.reconciler for view in views if view.reconciler), None),
                "notes": list(dict.fromkeys(note for view in views for note in view.notes)),
                "agents": [
                    {**row_json(row, specs[row.name]), "probes": probes_json(probes.get(row.name))}
                    for row in by_badness(rows.values())
                ],
            }
        )
    elif len(rows) == 1 and choice.agents:
        there, chosen_there = parts[0]
        shown_row = await _show_one(there, chosen_there[0], views[0])
        rows = {shown_row.name: shown_row}
    else:
        click.echo(screen(rows.values(), utc_now(), footers(views)))
    return _code(rows.values(), named=bool(choice.agents))


async def _show_remembered(scopes: Sequence[Scope]) -> None:
    """What reconcilers still know of agents whose manifests are damaged: they stay as they were."""
    for scope in scopes:
        with suppress(SuperviseError):  # then nobody knows, and the damage is told all the same
            async with connect(places(scope, os.environ, uid=os.getuid()).control) as control:
                answer = await control.ask("rows")
            if rows := [row_of(one) for one in answer["rows"]]:
                click.echo(screen(rows, utc_now(), [footer(answer["reconciler"], scope=scope)]))


async def watched(scopes: Sequence[Scope], choice: Choice, *, as_json: bool) -> None:
    """Show the status again at every change, until interrupted."""
    parts = _chosen(_installed(scopes), choice)
    specs = {spec.name: spec for _, chosen in parts for spec in chosen}
    views: dict[int, Overview] = {}
    printed: dict[str, str] = {}
    async for index, view in _views(parts):
        views[index] = view
        rows = {name: row for one in views.values() for name, row in one.rows.items()}
        if as_json:
            for row in by_badness(rows.values()):
                line = json_line(row, specs[row.name])
                if printed.get(row.name) != line:
                    click.echo(line)
                    printed[row.name] = line
        else:
            text = screen(rows.values(), utc_now(), footers(views.values()))
            if printed.get("") != text:
                click.echo(f"\033[H\033[2J{text}")
            printed[""] = text


def footers(views: Iterable[Overview]) -> list[str]:
    """One line on who was asked: how old the view is, and what troubles the reconciler."""
    return list(dict.fromkeys(footer(view.reconciler, view.notes, view.scope) for view in views))


def footer(info: Mapping[str, Any] | None, notes: Sequence[str] = (), scope: Scope = Scope.SYSTEM) -> str:
    """How far rows are to be trusted: what a reconciler says of itself, or what we note where none does."""
    if info is None:
        return click.style(shown(for_scope("; ".join(notes), scope)), dim=True)
    view_age = info["view_age"]
    told = ["reconciler: " + ("it has not looked yet" if view_age is None else f"view {view_age:.1f} s old")]
    if (info["platform_unseen"] or 0.0) >= 1.0:  # less is its own start
        told.append(f"systemd could not be asked for {info['platform_unseen']:.0f} s")
    if info["processes"]["unseen"]:
        told.append("processes cannot be seen, so hidden ones go unnoticed and nothing is started (`supervise doctor`)")
    if doubts := info["processes"]["doubts"]:
        told.append(f"{counted(len(doubts), 'process')} may be an agent's, nobody can tell whose (`supervise ps`)")
    if store := info["store"]:
        since = local(datetime.fromisoformat(store["since"]))
        lost = f", {counted(store['lost'], 'event')} lost" if store["lost"] else ""
        told.append(f"its store cannot be written since {since}: {store['why']}; rows are kept in memory{lost}")
    told += [f"alerts to {name} fail: {one['last_error']}" for name, one in info["alerts"].items() if one["failing"]]
    told += replica_words(info.get("supabase"))
    bad = len(told) > 1 or view_age is None or view_age > STALE
    return click.style(shown(for_scope("; ".join(told), scope)), dim=not bad, fg="yellow" if bad else None)


def replica_words(found: Mapping[str, Any] | None) -> list[str]:
    """What is to be said of the copies in Supabase; nothing while all is well."""
    if found is None:
        return []
    told = []
    if found["superseded"]:
        told.append("Supabase: another store writes the rows of this host, so this one does not (`supervise doctor`)")
    elif found["why"]:
        since = local(datetime.fromisoformat(found["since"]))
        told.append(f"Supabase: behind by {counted(found['behind'], 'row')} since {since}: {found['why']}")
    told += [f"Supabase: the table {name} does not take our rows: {why}" for name, why in found["tables"].items()]
    told += [f"Supabase: {what}: {why}" for what, why in found["beside"].items()]
    if found["dead"]:
        told.append(f"Supabase: {counted(found['dead'], 'row')} refused and set aside (`supervise doctor`)")
    return told + ([f"Supabase: {found['conflict']}"] if found["conflict"] else [])


def screen(rows: Any, now: datetime, last_lines: Sequence[str]) -> str:
    """Bad first, one line each; what runs well is folded when it is much; who was asked comes last."""
    ordered = by_badness(rows)
    running = [row for row in ordered if row.status is Status.RUNNING and not row.outdated]
    folded = running if len(running) > MANY else []
    shown_rows = [row for row in ordered if row not in folded]
    cells = [_cells(row, now) for row in shown_rows]
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    room = get_terminal_size().columns - sum(width + len(GAP) for width in widths)
    if room < ROOM_FOR_WORDS or not any(widths[-2:]):
        cells, widths = [one[:-2] for one in cells], widths[:-2]
    lines = [_line(row, one, widths) for row, one in zip(shown_rows, cells, strict=True)]
    if folded:
        names = ", ".join(row.name for row in folded)
        lines.append(f"{mark(Status.RUNNING)}: {len(folded)} agents ({shown(names, limit=200)})")
    return "\n".join([*lines, *last_lines])


def by_badness(rows: Any) -> list[StatusRow]:
    return sorted(rows, key=lambda row: (ORDER.index(row.status), not row.outdated, row.name))


def _cells(row: StatusRow, now: datetime) -> tuple[str, ...]:
    """What stands in columns: status, name, title, reason, since when, PID, and, if there is room, CPU and memory."""
    since = row.started_at if row.status is Status.RUNNING else row.since
    title = shown(row.title, limit=LONGEST_TITLE) if row.title != row.name else ""
    usage = "" if row.cpu is None else percent(row.cpu), "" if row.memory is None else size(row.memory)
    pid = f"PID {row.pid}" if row.pid else ""
    return (row.status.value, row.name, title, row.reason.value, age(since, now), pid, *usage)


def _line(row: StatusRow, cells: Sequence[str], widths: Sequence[int]) -> str:
    status, *rest = (cell + " " * (width - columns(cell)) for cell, width in zip(cells, widths, strict=True))
    coloured = mark(row.status) + " " * (len(status) - len(row.status.value))
    told = [] if row.message == AS_WANTED else [row.message]
    told += [f"Outdated: {_outdated(row)}."] if row.outdated else []
    return GAP.join((coloured, *rest, shown(" ".join(told)))).rstrip()


# --- One agent --------------------------------------------------------------------------------------------------------


async def _show_one(there: Places, spec: AgentSpec, view: Overview) -> StatusRow:
    """The row that is shown."""
    async with managing(there) as manager:
        view, state = await _of_one_moment(there, spec, view, manager)
        row = view.rows[spec.name]
        lines, silence = await _last_words(manager, row, state)
    copies = await _left_alone(there, spec, row)
    click.echo(f"{mark(row.status)}  {click.style(shown(spec.title), bold=True)} ({spec.name})  {row.reason.value}")
    click.echo(f"  {shown(row.message)}")
    now, known = utc_now(), view.reconciler is not None
    probes = probe_facts(spec, row, view.probes.get(spec.name), now, known=known)
    for label, text in (*_facts(spec, row, state, now, known=known), *copies, *probes):
        click.echo(f"  {label:<10} {shown(for_scope(text, there.scope))}")
    if lines:
        died = not _pid(row, state) and row.observed_status not in (Status.RUNNING, Status.STARTING)
        click.secho(f"  {'last lines before its end' if died else 'last lines'}:", bold=True)
        for line in lines:
            click.echo(f"    {line.at.astimezone():%H:%M:%S} {shown(line.text)}")
    if silence:
        click.secho(f"  {shown(silence)}", dim=True)
    click.echo(f"  {footer(view.reconciler, view.notes, there.scope)}")
    return row


async def _left_alone(there: Places, spec: AgentSpec, row: StatusRow) -> list[tuple[str, str]]:
    """Why copies still run though the agent says `hidden: stop`, as far as processes can be seen."""
    if row.observed_reason not in (Reason.HIDDEN_PROCESS, Reason.DUPLICATE_PROCESS):
        return []
    try:
        found = await processes(there, [spec.name])
    except SuperviseError:  # only who may see them all, or a reconciler, knows
        return []
    return [("not ended", f"PID {one['pid']}: {why}") for one in found if (why := why_left_alone(one, spec))]


async def _of_one_moment(
    there: Places, spec: AgentSpec, view: Overview, manager: Manager
) -> tuple[Overview, UnitState]:
    """The view and the unit. They are asked one after the other, and right after a kill would contradict each other."""
    state = (await manager.status([spec])).states[spec.name]
    for _ in range(LOOKS):
        if view.reconciler is None or view.rows[spec.name].phase is state.phase:
            break
        await asyncio.sleep(PAUSE)
        view = await overview(there, [spec])
        state = (await manager.status([spec])).states[spec.name]
    return view, state


def _facts(spec: AgentSpec, row: StatusRow, state: UnitState, now: datetime, *, known: bool) -> list[tuple[str, str]]:
    """Facts by label. `known`: by a reconciler, which knows more than one look shows."""
    facts = [
        ("project", spec.project),
        ("unit", row.unit),
        ("runs", shlex.join(masked(spec.command))),
        ("in", str(spec.working_directory)),
    ]
    if spec.url:
        facts.append(("url", spec.url))
    if pid := _pid(row, state):
        started = state.started_at if state.pid else row.started_at
        facts.append(("PID", f"{pid}, started {local(started)} ({age(started, now)})"))
    elif state.ended_at:
        facts.append(("ended", f"{local(state.ended_at)} ({age(state.ended_at, now)}): it {described(state.exit)}"))
    if state.restarts and pid == state.pid:
        facts.append(("restarts", f"{state.restarts} by systemd since it was last started"))
    if known:
        facts += _remembered(row, now)
    if state.next_run:
        facts.append(("next run", f"{local(state.next_run)} (in {duration(state.next_run - now)})"))
    facts.append(("at boot", "starts" if state.enabled else "does not start"))
    if row.outdated:
        facts.append(("outdated", f"{_outdated(row)} changed since its start; `supervise restart {spec.name}`"))
    if row.revision:
        facts.append(("revision", row.revision))
    if state.status_text:
        facts.append(("says", state.status_text))
    return facts


def _pid(row: StatusRow, state: UnitState) -> int | None:
    """Of its unit's main process, or of what runs while its unit is down: in the foreground, or adopted."""
    return state.pid or (row.pid if row.phase is state.phase else None)


def _remembered(row: StatusRow, now: datetime) -> list[tuple[str, str]]:
    facts = [("so since", f"{local(row.since)} ({age(row.since, now)})")]
    if row.last_heartbeat:
        label, how = SOURCES[row.source] if row.source else ("heartbeat", "")
        facts.append((label, f"{local(row.last_heartbeat)} ({age(row.last_heartbeat, now)}{how})"))
    if takes := _takes(row):
        facts.append(("takes", takes))
    lost = ", ".join(f"-{part.lost:g} {part.name} ({part.why})" for part in row.health_parts)
    facts.append(("health", f"{row.health}{f': {lost}' if lost else ''}"))
    if row.last_activity:
        facts.append(("activity", row.last_activity))
    if row.last_error:
        facts.append(("last error", row.last_error))
    if row.next_try:
        facts.append(("next try", local(row.next_try)))
    if row.lock:
        truth = f"{row.observed_status.value}, {row.observed_reason.value}"
        facts.append(("lock", f"in truth it is {truth}; `supervise unlock {row.name}` shows it again"))
    return facts


def _takes(row: StatusRow) -> str:
    """`12 % of a core, 118 MiB, 4 tasks`, as far as it is known."""
    told = [f"{percent(row.cpu)} of a core"] if row.cpu is not None else []
    told += [f"{size(row.memory)} of memory"] if row.memory is not None else []
    told += [counted(row.tasks, "task")] if row.tasks is not None else []
    return ", ".join(told)


def _outdated(row: StatusRow) -> str:
    """What is older than on the disk: `code and secret API_KEY`."""
    *others, last = row.outdated_by or ("what is installed",)
    return f"{', '.join(others)} and {last}" if others else last


async def _last_words(manager: Manager, row: StatusRow, state: UnitState) -> tuple[list[LogLine], str]:
    """The last lines of the agent itself since it was last started, then what its manager said last, if it is down.

    Without the right to read them there are none, and the reason.
    """
    pid = _pid(row, state)
    unit = state.unit if pid == state.pid else run_unit(row.name)
    since = _stamp(state) if pid == state.pid else _at(row.started_at)
    try:
        own = await _lines(manager, LogQuery((unit,), LAST_LINES, since=since, by_manager=False))
        about = [] if pid else await _lines(manager, LogQuery((state.unit,), LAST_LINES * 4))
    except SuperviseError as error:  # the rest of what is known is worth showing all the same
        return [], JOURNAL_CLOSED if NOT_ALLOWED.search(str(error)) else str(error)
    return own + [line for line in about if line.by_manager][-LAST_OF_MANAGER:], ""


async def _lines(manager: Manager, query: LogQuery) -> list[LogLine]:
    async with aclosing(manager.logs(query)) as found:  # type: ignore[type-var]
        return [line async for line in found]


def _stamp(state: UnitState) -> str | None:
    return None if state.before_start else _at(state.started_at)


def _at(moment: datetime | None) -> str | None:
    """A second before it, as journalctl takes it."""
    return f"@{moment.timestamp() - 1:.6f}" if moment else None


# --- Choosing ---------------------------------------------------------------------------------------------------------


def _installed(scopes: Sequence[Scope]) -> list[Places]:
    """The scopes in which something is installed. Raises NoSuchAgent when there is none."""
    all_places = [places(scope, os.environ, uid=os.getuid()) for scope in scopes]
    warn_of_damage(*all_places)
    there = [one for one in all_places if one.manifests.is_dir() and any(one.manifests.glob("*.json"))]
    if not there:
        raise NoSuchAgent(NOBODY)
    return there


def _chosen(scopes: Sequence[Places], choice: Choice) -> list[Part]:
    """The agents that are meant, by scope; a scope without any is left out."""
    found = [(there, one) for there in scopes for one in manifests(there)]
    meant = of_project([one for _, one in found], choice.project)
    installed = [
        (there, [spec for where, one in found if where is there and one in meant for spec in one.agents])
        for there in scopes
    ]
    everything = [spec for _, specs in installed for spec in specs]
    anyone = choice.everyone or choice.unsaid
    names = {spec.name for spec in select(everything, choice.agents, everyone=anyone, tags=choice.tags)}
    parts = [(there, tuple(spec for spec in specs if spec.name in names)) for there, specs in installed]
    return [(there, specs) for there, specs in parts if specs]


async def _views(parts: Sequence[Part]) -> AsyncIterator[tuple[int, Overview]]:
    """The view of each part now and at each change."""
    queue: asyncio.Queue[tuple[int, Overview]] = asyncio.Queue()

    async def follow(index: int, part: Part) -> None:
        async for view in following(*part):
            await queue.put((index, view))

    followers = [asyncio.ensure_future(follow(index, part)) for index, part in enumerate(parts)]
    try:
        while True:
            waiting = asyncio.ensure_future(queue.get())
            done, _ = await asyncio.wait((waiting, *followers), return_when=asyncio.FIRST_COMPLETED)
            for follower in followers:
                if follower in done:
                    follower.result()
            yield waiting.result()
    finally:
        for follower in followers:
            follower.cancel()


def row_json(row: StatusRow, spec: AgentSpec) -> dict[str, Any]:
    """A row for programs. What only the reconciler itself remembers is left out."""
    said = {key: value for key, value in asdict(row).items() if key != "past"}
    return {**said, "url": spec.url, "tags": spec.tags}


def json_rows(now: datetime, view: Overview, rows: Iterable[StatusRow], specs: Mapping[str, AgentSpec]) -> str:
    """All of them on one line."""
    import json

    said = [row_json(row, specs[row.name]) for row in rows]
    return json.dumps(
        plain({"at": now, "reconciler": view.reconciler, "notes": view.notes, "agents": said}), ensure_ascii=False
    )


def json_line(row: StatusRow, spec: AgentSpec) -> str:
    import json

    return json.dumps(plain(row_json(row, spec)), ensure_ascii=False)


def _code(rows: Any, *, named: bool) -> ExitCode:
    rows = list(rows)
    statuses = {row.status for row in rows}
    if Status.ERROR in statuses:
        return ExitCode.FAILED
    down = any(row.status in NOT_RUNNING and row.reason is not Reason.WAITING for row in rows)
    return ExitCode.NOT_RUNNING if named and down else ExitCode.OK
