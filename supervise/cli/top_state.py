"""What `top` shows and what a key changes of it.

Pure: a key gives the next state, and perhaps a wish that somebody else carries out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import Any

from supervise.cli.status_view import ORDER
from supervise.model import SIGNS, StatusRow
from supervise.text import shown

PAGE = 10
"""Rows that a page key moves by where nobody says how tall the screen is."""
LONGEST_INPUT = 500


class Sort(StrEnum):
    """By what rows are ordered."""

    STATUS = "status"
    NAME = "name"
    HEALTH = "health"
    CPU = "cpu"
    MEMORY = "memory"
    UPTIME = "uptime"
    RESTARTS = "restarts"
    BEAT = "beat"


class Pane(Enum):
    """What fills the screen."""

    TABLE = auto()
    LOGS = auto()
    HELP = auto()


class Verb(StrEnum):
    """What a key can have done with an agent."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    HOLD = "hold"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Order:
    """Somebody wants this done."""

    verb: Verb
    name: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Quit:
    """Somebody has had enough."""


Wish = Order | Quit


@dataclass(frozen=True, slots=True)
class Prompt:
    """A line that is being typed: the filter (no order), a reason for `order`, or a yes to it."""

    text: str = ""
    order: Order | None = None

    @property
    def asks_for_reason(self) -> bool:
        return self.order is not None and self.order.verb is Verb.HOLD


@dataclass(frozen=True, slots=True)
class State:
    """`scrolled`: by how many lines the logs were moved up."""

    selected: str | None = None
    filter: str = ""
    sort: Sort = Sort.STATUS
    reverse: bool = False
    pane: Pane = Pane.TABLE
    prompt: Prompt | None = None
    notice: str = ""
    scrolled: int = 0
    page: int = PAGE


# --- Rows -------------------------------------------------------------------------------------------------------------


def visible(rows: Sequence[StatusRow], state: State) -> list[StatusRow]:
    """Those that fit the filter, in order. What is not known comes last, whichever way the rest is turned."""
    chosen = [row for row in rows if _fits(row, state.filter)]
    key = KEYS[state.sort]
    known = [row for row in chosen if key(row) is not None]
    unknown = [row for row in chosen if key(row) is None]
    backwards = (state.sort in FROM_ABOVE) != state.reverse
    by_name = sorted(known, key=lambda row: row.name)
    return sorted(by_name, key=key, reverse=backwards) + sorted(unknown, key=lambda row: row.name)


def _fits(row: StatusRow, words: str) -> bool:
    """Each word stands somewhere in what can be read of the row."""
    text = " ".join((row.name, row.title, row.project, row.status, row.reason, row.message)).casefold()
    return all(word in text for word in words.casefold().split())


def last_sign(row: StatusRow) -> datetime | None:
    """When it last gave a sign of life, if it runs and ever did."""
    return row.last_heartbeat if row.pid is not None and row.source in SIGNS else None


KEYS: dict[Sort, Callable[[StatusRow], Any]] = {
    Sort.STATUS: lambda row: ORDER.index(row.status),
    Sort.NAME: lambda row: row.name,
    Sort.HEALTH: lambda row: row.health,
    Sort.CPU: lambda row: row.cpu,
    Sort.MEMORY: lambda row: row.memory,
    Sort.UPTIME: lambda row: row.started_at if row.pid else None,
    Sort.RESTARTS: lambda row: row.restarts,
    Sort.BEAT: last_sign,
}
FROM_ABOVE = (Sort.CPU, Sort.MEMORY, Sort.RESTARTS)
"""Where most comes first."""


def settled(state: State, rows: Sequence[StatusRow], before: Sequence[str]) -> State:
    """The state with somebody selected, if anybody is there: the same agent, or who now stands where it stood."""
    names = [row.name for row in rows]
    if state.selected in names or not names:
        return state
    at = before.index(state.selected) if state.selected in before else 0
    return replace(state, selected=names[min(at, len(names) - 1)])


# --- Keys -------------------------------------------------------------------------------------------------------------


def pressed(state: State, key: str, rows: Sequence[StatusRow]) -> tuple[State, Wish | None]:
    """`rows` are those that are visible. Keys that mean nothing here change nothing."""
    if state.prompt:
        return _typed(state, state.prompt, key)
    state = replace(state, notice="")
    if key in ("q", "Q"):
        return (state, Quit()) if state.pane is Pane.TABLE else (replace(state, pane=Pane.TABLE, scrolled=0), None)
    if state.pane is not Pane.TABLE:
        return _read(state, key), None
    if key in MOVES:
        return _moved(state, MOVES[key](state.page), rows), None
    if key in VERBS:
        return _ordered(state, VERBS[key], rows)
    return _viewed(state, key, rows), None


MOVES: dict[str, Callable[[int], int]] = {
    "up": lambda page: -1,
    "k": lambda page: -1,
    "down": lambda page: 1,
    "j": lambda page: 1,
    "pageup": lambda page: -page,
    "pagedown": lambda page: page,
    "home": lambda page: -1_000_000,
    "g": lambda page: -1_000_000,
    "end": lambda page: 1_000_000,
    "G": lambda page: 1_000_000,
}
VERBS = {"s": Verb.START, "t": Verb.STOP, "r": Verb.RESTART, "h": Verb.HOLD, "u": Verb.RELEASE}
AT_ONCE = (Verb.START, Verb.RELEASE)
"""What needs no second thought: it takes nothing away."""


def _viewed(state: State, key: str, rows: Sequence[StatusRow]) -> State:
    sorts = list(Sort)
    match key:
        case "/":
            return replace(state, prompt=Prompt(state.filter))
        case "esc":
            return replace(state, filter="")
        case "o":
            return replace(state, sort=sorts[(sorts.index(state.sort) + 1) % len(sorts)], reverse=False)
        case "O":
            return replace(state, reverse=not state.reverse)
        case "?" | "f1":
            return replace(state, pane=Pane.HELP)
        case "l" | "enter" if rows:
            return replace(state, pane=Pane.LOGS, scrolled=0)
    return state


def _read(state: State, key: str) -> State:
    """Help or logs are on the screen."""
    if key in ("esc", "enter", "l", "?"):
        return replace(state, pane=Pane.TABLE, scrolled=0)
    if state.pane is Pane.LOGS and key in MOVES:
        return replace(state, scrolled=max(state.scrolled - MOVES[key](state.page), 0))
    return state


def _moved(state: State, by: int, rows: Sequence[StatusRow]) -> State:
    names = [row.name for row in rows]
    if not names:
        return state
    at = names.index(state.selected) if state.selected in names else 0
    return replace(state, selected=names[min(max(at + by, 0), len(names) - 1)])


def _ordered(state: State, verb: Verb, rows: Sequence[StatusRow]) -> tuple[State, Wish | None]:
    if state.selected is None or not rows:
        return state, None
    order = Order(verb, state.selected)
    return (state, order) if verb in AT_ONCE else (replace(state, prompt=Prompt(order=order)), None)


def _typed(state: State, prompt: Prompt, key: str) -> tuple[State, Wish | None]:
    done = replace(state, prompt=None, notice="")
    if key == "esc":
        return (done if prompt.order else replace(done, filter="")), None
    if prompt.order and not prompt.asks_for_reason:
        return done, prompt.order if key in ("y", "Y") else None
    if key == "enter":
        return _entered(done, prompt)
    text = _edited(prompt.text, key)
    typing = replace(state, prompt=replace(prompt, text=text))
    return (typing if prompt.order else replace(typing, filter=text)), None


def _entered(done: State, prompt: Prompt) -> tuple[State, Wish | None]:
    if prompt.order is None:
        return replace(done, filter=prompt.text), None
    if not prompt.text.strip():
        return replace(done, notice="not held: say why, for whoever finds it held"), None
    return done, replace(prompt.order, reason=prompt.text.strip())


def _edited(text: str, key: str) -> str:
    if key == "backspace":
        return text[:-1]
    if key == "clear":
        return ""
    typed = key.removeprefix("paste:") if key.startswith("paste:") else key if len(key) == 1 else ""
    return (text + shown(typed))[:LONGEST_INPUT]
