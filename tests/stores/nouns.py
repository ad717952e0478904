"""Rows, events and intents for tests of the store: small ones, and every one that the model allows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from supervise.model import Event, EventKind, HostStatus, Intent, IntentKind, Lock, Phase, Reason, Status, StatusRow
from supervise.stores import Sample, Setting
from supervise.stores.sqlite import Sqlite
from tests.nouns import NOON

HOST = "ares"
BIGGEST = 2**63 - 1


def row(name: str = "sma", **changes: Any) -> StatusRow:
    plain: dict[str, Any] = {
        "name": name,
        "title": name.upper(),
        "project": "trading",
        "unit": f"agent@{name}.service",
        "platform": "systemd",
        "phase": Phase.ACTIVE,
        "status": Status.RUNNING,
        "reason": Reason.AS_WANTED,
        "message": "It runs as wanted.",
        "since": NOON,
        "observed_status": Status.RUNNING,
        "observed_reason": Reason.AS_WANTED,
        "health": 100,
        "updated_at": NOON,
    }
    return StatusRow(**{**plain, **changes})


def event(id_: str = "e1", name: str = "sma", minutes: float = 0, **changes: Any) -> Event:
    plain: dict[str, Any] = {
        "id": id_,
        "name": name,
        "at": NOON + timedelta(minutes=minutes),
        "kind": EventKind.STATUS,
        "before": Status.RUNNING,
        "after": Status.ERROR,
        "reason": "Crashed",
        "message": "It ended with exit code 1.",
        "by": "supervise",
    }
    return Event(**{**plain, **changes})


def intent(name: str = "sma", kind: IntentKind = IntentKind.STOP) -> Intent:
    return Intent(kind, name, "root", NOON, "boot-1", timedelta(seconds=5), "for now")


def setting(name: str = "sma", value: str | None = "aggressive", key: str = "preset") -> Setting:
    return Setting(name, key, value, "ada", NOON)


def sample(name: str = "sma", minutes: float = 0, of: StatusRow | None = None) -> Sample:
    return Sample(name, NOON + timedelta(minutes=minutes), of or row(name))


def host_status(message: str = "", **changes: Any) -> HostStatus:
    plain: dict[str, Any] = {
        "platform": "systemd",
        "version": "1.0",
        "boot": "boot-1",
        "started_at": NOON,
        "agents": 3,
        "message": message,
        "updated_at": NOON,
    }
    return HostStatus(**{**plain, **changes})


def hosts(path: Path) -> list[dict[str, Any]]:
    """What a store's file says of hosts."""
    db = sqlite3.connect(path / "state.db")
    db.row_factory = sqlite3.Row
    found = [dict(one) for one in db.execute("select * from host_status order by host")]
    db.close()
    return found


def opened(folder: Path, **options: Any) -> Sqlite:
    return Sqlite.open(folder / "state.db", host=HOST, **options)


# --- Everything that the model allows ---------------------------------------------------------------------------------

zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=9))])
first, last = datetime(2, 1, 1), datetime(9998, 12, 31)  # noqa: DTZ001 the strategy gives them a zone
moments = st.datetimes(first, last, timezones=zones)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)
names = st.from_regex(r"[a-z][a-z0-9_]{0,50}(\.[0-9]{1,3})?", fullmatch=True)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(-BIGGEST - 1, BIGGEST),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    datetime: moments,
    timedelta: st.timedeltas(),
    NoneType: st.none(),
}


def every(kind: Any, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """All values of a type of the model, whatever fields it has by now; `fields` are those with limits of their own."""
    if kind in PLAIN:
        return PLAIN[kind]
    if isinstance(kind, UnionType):
        return st.one_of([every(one) for one in get_args(kind)])
    if get_origin(kind) is tuple:
        return st.lists(every(get_args(kind)[0]), max_size=4).map(tuple)
    if get_origin(kind) is Mapping:
        return st.dictionaries(*map(every, get_args(kind)), max_size=3)
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    hints = get_type_hints(kind)
    free = {one.name: every(hints[one.name]) for one in dataclass_fields(kind) if one.name not in fields}
    return st.builds(kind, **free, **fields)


percent = st.integers(0, 100)
short = texts.map(lambda text: text[:30])
rows: st.SearchStrategy[StatusRow] = every(
    StatusRow,
    name=names,
    title=texts.filter(bool),
    platform=short,
    boot=st.none() | short,
    health=percent,
    updated_at=moments,
    lock=st.none() | every(Lock, health=percent),
)
events: st.SearchStrategy[Event] = every(Event, id=texts.filter(bool), name=names | st.just(""))
intents: st.SearchStrategy[Intent] = every(
    Intent, name=names, boot=short, monotonic=st.timedeltas(-timedelta(days=9999), timedelta(days=99999))
)
