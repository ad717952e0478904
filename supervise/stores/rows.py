"""Rows of tables to nouns and back. Pure.

Nothing that an agent says may stop its row from being written: characters that no database takes are replaced, and what
is longer than its column is cut. What cannot be read back raises one of UNREADABLE, and concerns that row alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from supervise import serial
from supervise.model import (
    Event,
    EventKind,
    HealthPart,
    HostStatus,
    Intent,
    IntentKind,
    Lock,
    Past,
    Phase,
    Reason,
    Source,
    Status,
    StatusRow,
)
from supervise.stores import DeadLetter, ItemKind, Sample, Setting

Values = dict[str, Any]
Found = Mapping[str, Any]
Read = Callable[[Any], Any]

UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError)
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""PostgreSQL takes no NUL in a text; neither takes half a surrogate pair."""
MICROSECOND = timedelta(microseconds=1)
PARTS = tuple[HealthPart, ...]


def stamp(at: datetime) -> str:
    """A moment such that the order of the texts is that of the moments."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _is(kind: type) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, kind):
            raise ValueError(f"{value!r} is no {kind.__name__}")
        return value

    return read


_text, _number = _is(str), _is(int)

# Columns that are fields of the same name, and how each is read. NULL is None everywhere.
ROW: Mapping[str, Read] = {
    "name": _text,
    "project": _text,
    "unit": _text,
    "platform": _text,
    "phase": Phase,
    "status": Status,
    "reason": Reason,
    "message": _text,
    "since": moment,
    "observed_status": Status,
    "observed_reason": Reason,
    "health": _number,
    "pid": _number,
    "incarnation": _text,
    "boot": _text,
    "started_at": moment,
    "restarts": _number,
    "last_heartbeat": moment,
    "source": Source,
    "last_error": _text,
    "last_activity": _text,
    "next_try": moment,
    "outdated": bool,
    "cpu": float,
    "memory": _number,
    "tasks": _number,
    "revision": _text,
    "updated_at": moment,
}
EVENT: Mapping[str, Read] = {
    "id": _text,
    "name": _text,
    "at": moment,
    "kind": EventKind,
    "before": Status,
    "after": Status,
    "reason": _text,
    "message": _text,
    "by": _text,
}
INTENT: Mapping[str, Read] = {
    "kind": IntentKind,
    "name": _text,
    "by": _text,
    "at": moment,
    "boot": _text,
    "reason": _text,
}
HOST = ("platform", "version", "boot", "started_at", "agents", "message", "updated_at")
SETTING: Mapping[str, Read] = {"name": _text, "key": _text, "value": _text, "by": _text}
SAMPLE = (
    "phase",
    "status",
    "reason",
    "message",
    "since",
    "observed_status",
    "observed_reason",
    "health",
    "pid",
    "restarts",
    "last_heartbeat",
    "last_error",
    "cpu",
    "memory",
    "tasks",
    "revision",
)
"""What a point of the history keeps of its row; the rest is that of the agent's row now, or not known any more."""

LOCK = ("lock_status", "lock_health", "lock_reason", "lock_by", "lock_until")
ROW_COLUMNS = (*ROW, "agent_name", "health_parts", "outdated_by", *LOCK)
SAMPLE_COLUMNS = ("name", "at", *SAMPLE, "health_parts")
INTENT_COLUMNS = (*INTENT, "monotonic")

LONG, SHORT = 8192, 255
LENGTHS: Mapping[str, int] = {
    "agent_name": 500,
    "project": SHORT,
    "unit": SHORT,
    "platform": 32,
    "version": 64,
    "message": LONG,
    "incarnation": SHORT,
    "boot": 64,
    "last_error": LONG,
    "last_activity": LONG,
    "lock_reason": LONG,
    "lock_by": SHORT,
    "revision": SHORT,
    "reason": LONG,
    "by": SHORT,
}
"""How many characters of a text fit its column."""


def row_values(row: StatusRow) -> Values:
    lock = row.lock
    locked = (lock.status, lock.health, lock.reason, lock.by, lock.until) if lock else (None,) * len(LOCK)
    return {
        **_values(row, ROW),
        "agent_name": _stored("agent_name", row.title or row.name),
        "health_parts": _parts_text(row),
        "outdated_by": _words_text(row.outdated_by),
        **{column: _stored(column, value) for column, value in zip(LOCK, locked, strict=True)},
    }


def row_of(found: Found) -> StatusRow:
    """`found` has the columns of `agent_status`, and `past` of `agent_memory`."""
    return StatusRow(
        **_fields(found, ROW),
        title=_text(found["agent_name"]),
        health_parts=_parts(found["health_parts"]),
        outdated_by=_words(found["outdated_by"]),
        lock=_lock(found),
        past=Past() if found["past"] is None else serial.of_json(Past, found["past"]),
    )


def past_text(row: StatusRow) -> str:
    return _json(row.past)


def event_values(event: Event) -> Values:
    return _values(event, EVENT)


def event_of(found: Found) -> Event:
    return Event(**_fields(found, EVENT))


def intent_values(intent: Intent) -> Values:
    return {**_values(intent, INTENT), "monotonic": intent.monotonic // MICROSECOND}


def intent_of(found: Found) -> Intent:
    return Intent(**_fields(found, INTENT), monotonic=timedelta(microseconds=_number(found["monotonic"])))


def host_values(status: HostStatus) -> Values:
    return _values(status, HOST)


def host_of(found: Found) -> HostStatus:
    return HostStatus(
        **_fields(found, {"platform": _text, "version": _text, "boot": _text, "started_at": moment}),
        **_fields(found, {"agents": _number, "message": _text, "updated_at": moment}),
    )


def letter_of(found: Found) -> DeadLetter:
    return DeadLetter(found["id"], ItemKind(found["kind"]), found["name"], moment(found["at"]), _text(found["error"]))


def setting_values(setting: Setting) -> Values:
    return {**_values(setting, SETTING), "updated_at": stamp(setting.at)}


def setting_of(found: Found) -> Setting:
    return Setting(**_fields(found, SETTING), at=moment(found["updated_at"]))


def sample_values(sample: Sample) -> Values:
    return {
        "name": _stored("name", sample.name),
        "at": stamp(sample.at),
        **_values(sample.row, SAMPLE),
        "health_parts": _parts_text(sample.row),
    }


def sample_of(found: Found) -> Sample:
    """`found` has the columns of `agent_samples`, and who the agent is now, where it still is."""
    who: Values = {column: found[column] or "" for column in ("project", "unit", "platform")}
    row = StatusRow(
        name=_text(found["name"]),
        title=found["agent_name"] or found["name"],
        **who,
        **_fields(found, {column: ROW[column] for column in SAMPLE}),
        health_parts=_parts(found["health_parts"]),
    )
    return Sample(row.name, moment(found["at"]), row)


def _values(noun: object, columns: Mapping[str, Read] | tuple[str, ...]) -> Values:
    return {column: _stored(column, getattr(noun, column)) for column in columns}


def _stored(column: str, value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return stamp(value)
    return UNSTORABLE.sub("\ufffd", value)[: LENGTHS.get(column)] if isinstance(value, str) else value


def _fields(found: Found, columns: Mapping[str, Read]) -> Values:
    return {column: None if (value := found[column]) is None else read(value) for column, read in columns.items()}


def _lock(found: Found) -> Lock | None:
    status, health, reason, by, until = (found[column] for column in LOCK)
    return None if status is None else Lock(Status(status), _number(health), _text(reason), _text(by), moment(until))


# --- JSON -------------------------------------------------------------------------------------------------------------


def _parts_text(row: StatusRow) -> str:
    return _json(row.health_parts) if row.health_parts else "[]"


def _words_text(words: tuple[str, ...]) -> str:
    return UNSTORABLE.sub("\ufffd", json.dumps(words, ensure_ascii=False)) if words else "[]"


def _words(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(map(_text, json.loads(text)))


def _parts(text: str) -> tuple[HealthPart, ...]:
    found: tuple[HealthPart, ...] = () if text == "[]" else serial.of_json(PARTS, text)
    return found


def _json(value: object) -> str:
    plain = serial.to_plain(value)  # `to_json` refuses halves of surrogate pairs
    return UNSTORABLE.sub("\ufffd", json.dumps(plain, ensure_ascii=False, separators=(",", ":")))
