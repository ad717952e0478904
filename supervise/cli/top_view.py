"""How `top` looks: a state and rows as lines of a terminal. Foreign text comes to rich in `Text`, never as markup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from supervise.cli.output import MARKS, duration, percent, size
from supervise.cli.status_view import ORDER, footer
from supervise.cli.top_state import Pane, Prompt, Sort, State, Verb, last_sign
from supervise.decide import AS_WANTED
from supervise.hints import for_scope
from supervise.model import LogLine, Scope, StatusRow
from supervise.text import columns, counted, shown

UNKNOWN = "–"
STALE = timedelta(seconds=5)
"""A reconciler tells how it is every other second."""
HEAD, FOOT = 2, 2
"""Lines above the rows (with their head) and below."""
LONGEST_NAME = 30
BAD, WARNING = 3, 4
NO_AGENTS = "No agents are installed here (`supervise install`)."
NO_FIT = "No agent fits the filter"
HINTS = "s start  t stop  r restart  h hold  u release  l logs  / filter  o sort  ? help  q quit"
HELP = """\
↑ ↓ PgUp PgDn Home End, or k j g G    choose an agent
s    start it                         t    stop it (asks)
r    restart it (asks)                h    hold it: nobody may start it (asks for the reason)
u    release it, if it is held        l    its logs, as they come; Enter too
/    filter: words that must stand in name, title, project, status, reason or message; Esc shows all again
o    sort by the next column          O    the other way round
?    this help                        q    back, or quit

CPU is the share of one core since the look before. BEAT is how long ago its last sign of life was.
"""


@dataclass(frozen=True, slots=True)
class Column:
    """`needs`: shown from so many columns of the terminal on."""

    head: str
    sort: Sort | None
    needs: int
    right: bool = True


COLUMNS = (
    Column("STATUS", Sort.STATUS, 0, right=False),
    Column("NAME", Sort.NAME, 0, right=False),
    Column("HEALTH", Sort.HEALTH, 60),
    Column("CPU", Sort.CPU, 70),
    Column("MEMORY", Sort.MEMORY, 80),
    Column("TASKS", None, 120),
    Column("UPTIME", Sort.UPTIME, 50),
    Column("RESTARTS", Sort.RESTARTS, 100),
    Column("BEAT", Sort.BEAT, 90),
    Column("REASON", None, 110, right=False),
    Column("MESSAGE", None, 0, right=False),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is looked at: every row, those visible, what the reconciler says of itself and when it last spoke."""

    rows: Sequence[StatusRow]
    visible: Sequence[StatusRow]
    info: Mapping[str, Any] | None
    at: datetime
    now: datetime
    notes: Sequence[str] = ()
    """What its absence means."""
    scope: Scope = Scope.SYSTEM
    logs: Sequence[LogLine] = ()
    complaint: str = ""
    """Why there are no logs."""
    working: Sequence[str] = ()
    """What is being done."""


def frame(state: State, scene: Scene, width: int, height: int, *, colours: Any = "auto") -> str:
    """A whole screen, exactly `height` lines of at most `width` columns."""
    console = Console(
        force_terminal=True,
        width=width,
        height=height,
        color_system=colours,
        highlight=False,
        markup=False,
        emoji=False,
    )
    room = max(height - HEAD - FOOT, 1)
    body = list(_lines(console, _body(state, scene, width, room)))[: room + 1]
    body += [""] * (room + 1 - len(body))
    lines = [*_lines(console, header(scene)), *body, *_lines(console, _foot(state, scene))]
    return "\n".join(lines[:height])


def _lines(console: Console, *parts: RenderableType) -> Iterator[str]:
    with console.capture() as captured:
        for part in parts:
            console.print(part, no_wrap=True, overflow="ellipsis", crop=True)
    yield from captured.get().removesuffix("\n").split("\n")


# --- Head and foot ----------------------------------------------------------------------------------------------------


def header(scene: Scene) -> Text:
    """`alpha   3 agents: 1 error, 2 running   reconciler: view 0.2 s old`"""
    counts = Counter(row.status for row in scene.rows)
    text = Text(f"{shown(scene.info['host'])}  " if scene.info else "", style="bold")
    text.append(counted(len(scene.rows), "agent"), style="bold")
    for status in ORDER:
        if counts[status]:
            text.append(f"  {counts[status]} {status.value}", style=MARKS[status][1])
    text.append("  ")
    if scene.now - scene.at > STALE:
        silence = f"no word from the reconciler for {duration(scene.now - scene.at)}: this is old"
        return text.append(silence, style="yellow")
    return text.append(click.unstyle(footer(scene.info, scene.notes, scene.scope)), style="dim")


def _foot(state: State, scene: Scene) -> Text:
    """Two lines: what was filtered and sorted, and a question, news, or which keys there are."""
    shows = f"{len(scene.visible)} of {len(scene.rows)}" if state.filter else "all"
    first = Text(f"showing {shows}, by {state.sort.value}{' reversed' if state.reverse else ''}", style="dim")
    if state.filter:
        first.append(f"   filter: {shown(state.filter)}", style="cyan")
    return first.append("\n").append_text(_last_line(state, scene))


def _last_line(state: State, scene: Scene) -> Text:
    if state.prompt:
        return _question(state.prompt)
    if scene.working:
        return Text(f"… {shown(', '.join(scene.working))}", style="cyan")
    if state.notice:
        return Text(shown(state.notice), style="bold" if state.notice.startswith("✓") else "bold yellow")
    return Text(HINTS, style="dim")


def _question(prompt: Prompt) -> Text:
    if prompt.order is None:
        return Text(f"/{shown(prompt.text)}", style="cyan").append("▏")
    verb, name = prompt.order.verb, shown(prompt.order.name)
    if verb is Verb.HOLD:
        return Text(f"hold {name}, and why? {shown(prompt.text)}", style="bold yellow").append("▏")
    return Text(f"{verb} {name}? y/n", style="bold yellow")


# --- Body -------------------------------------------------------------------------------------------------------------


def _body(state: State, scene: Scene, width: int, room: int) -> RenderableType:
    match state.pane:
        case Pane.HELP:
            return Text(HELP)
        case Pane.LOGS:
            return _logs(state, scene, room)
    if not scene.rows:
        return Text(f"\n{for_scope(NO_AGENTS, scene.scope)}")
    if not scene.visible:
        return Text(f"\n{NO_FIT}; Esc shows all again.")
    return _table(state, scene, width, room)


def _table(state: State, scene: Scene, width: int, room: int) -> Table:
    chosen = [column for column in COLUMNS if column.needs <= width]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True, header_style="dim")
    for column in chosen:
        arrow = ("↑" if state.reverse else "↓") if column.sort is state.sort else ""
        rest = column.head == "MESSAGE"
        table.add_column(
            f"{column.head}{arrow}",
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if rest else None,
        )
    for row in window(scene.visible, state.selected, room):
        found = cells(row, scene.now)
        style = "reverse" if row.name == state.selected else ""
        table.add_row(*(found[column.head] for column in chosen), style=style)
    return table


def window(rows: Sequence[StatusRow], selected: str | None, room: int) -> Sequence[StatusRow]:
    """As many rows as there is room for, the selected one among them and in the middle where there are more."""
    at = next((index for index, row in enumerate(rows) if row.name == selected), 0)
    first = min(max(at - room // 2, 0), max(len(rows) - room, 0))
    return rows[first : first + room]


def cells(row: StatusRow, now: datetime) -> dict[str, Text]:
    """What stands in each column; a dash for what is not known."""
    sign, colour = MARKS[row.status]
    told = [(row.last_activity or "") if row.message == AS_WANTED else row.message]
    told += [f"[locked by {row.lock.by}]"] if row.lock else []
    told += ["[outdated]"] if row.outdated else []
    runs = row.pid is not None
    plain = {
        "HEALTH": str(row.health),
        "CPU": percent(row.cpu) if runs and row.cpu is not None else UNKNOWN,
        "MEMORY": size(row.memory) if runs and row.memory is not None else UNKNOWN,
        "TASKS": str(row.tasks) if runs and row.tasks is not None else UNKNOWN,
        "UPTIME": _since(row.started_at, now) if runs else UNKNOWN,
        "RESTARTS": str(row.restarts),
        "BEAT": _since(last_sign(row), now),
        "REASON": row.reason.value,
        "MESSAGE": " ".join(told).strip(),
    }
    return {
        "STATUS": Text(f"{sign} {row.status.value}", style=colour),
        "NAME": Text(shown(row.name, limit=LONGEST_NAME), style="bold"),
        **{head: Text(shown(text)) for head, text in plain.items()},
    }


def _since(then: datetime | None, now: datetime) -> str:
    return duration(max(now - then, timedelta())) if then else UNKNOWN


def _logs(state: State, scene: Scene, room: int) -> Text:
    """The newest at the bottom."""
    text = Text(f"logs of {shown(state.selected or '')}  (↑ ↓ to move, q to go back)\n", style="bold")
    if scene.complaint:
        return text.append(shown(scene.complaint), style="yellow")
    if not scene.logs:
        return text.append("nothing has been written yet", style="dim")
    end = len(scene.logs) - min(state.scrolled, max(len(scene.logs) - room, 0))
    for line in scene.logs[max(end - room, 0) : end]:
        style = "red" if line.priority <= BAD else "yellow" if line.priority == WARNING else ""
        text.append(f"{line.at.astimezone():%H:%M:%S} ", style="dim")
        text.append(f"{shown(line.text)}\n", style=f"{style} dim".strip() if line.by_manager else style)
    return text


# --- Without a terminal -----------------------------------------------------------------------------------------------


def plain(rows: Sequence[StatusRow], scene: Scene) -> str:
    """The table as plain text, for a pipe or a file."""
    heads = [column.head for column in COLUMNS]
    found = [heads, *([cells(row, scene.now)[head].plain for head in heads] for row in rows)]
    widths = [max(map(columns, column)) for column in zip(*found, strict=True)]
    nobody = f"{NO_FIT}." if scene.rows else for_scope(NO_AGENTS, scene.scope)
    lines = [_line(one, widths) for one in found] if rows else [nobody]
    return "\n".join([f"{scene.now.astimezone():%Y-%m-%d %H:%M:%S}  {header(scene).plain}", *lines])


def _line(texts: Sequence[str], widths: Sequence[int]) -> str:
    padded = []
    for text, width, column in zip(texts, widths, COLUMNS, strict=True):
        gap = " " * (width - columns(text))
        padded.append(gap + text if column.right else text + gap)
    return "  ".join(padded).rstrip()
