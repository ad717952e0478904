"""Our nouns as the functions of the schema take them, and their answers. Pure.

Every row of a call has the same keys: PostgREST takes them from the first one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from supervise.model import Event, HostStatus, Lock, Status, StatusRow
from supervise.stores import Sample
from supervise.stores.rows import LOCK, event_values, host_values, moment, row_values, sample_values

LONGEST_LOCK = timedelta(hours=24)
"""Whatever somebody has written into the table."""
LONGEST_NAME, LONGEST_REASON = 255, 500

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one row of this host, of those that were sent and of those that somebody else has touched."""

    name: str
    applied: bool
    foreign: bool = False
    """Somebody else has written to it since we did."""
    number: tuple[int, int] | None = None
    """Where it is foreign: its (epoch, seq)."""
    lock: Json | None = None
    """As it stands in the table: `lock_of` makes one of ours of it."""
    title: str | None = None
    """Under which the table shows it."""


@dataclass(frozen=True, slots=True)
class Report:
    """`unknown_session`: our epoch was never given out there. `shared`: a copy of this machine reports in it too."""

    answers: tuple[Answer, ...]
    superseded: bool = False
    unknown_session: bool = False
    commands: int = 0
    shared: bool = False


def row_json(row: StatusRow, seq: int) -> Json:
    """Locks stand in the table for whoever made them there; a host writes none."""
    return finite({**row_values(row), **dict.fromkeys(LOCK), "seq": seq})


def event_json(event: Event) -> Json:
    return event_values(event)


def sample_json(sample: Sample) -> Json:
    return finite(sample_values(sample))


def host_json(status: HostStatus, seq: int) -> Json:
    return {**host_values(status), "seq": seq}


def finite(values: Json) -> Json:
    """JSON knows no NaN and no infinity."""
    return {
        column: None if isinstance(value, float) and not math.isfinite(value) else value
        for column, value in values.items()
    }


def report_of(said: object) -> Report:
    """The answer to `report_status`. Raises ValueError where it is none."""
    if not isinstance(said, dict):
        raise ValueError("it is no object")
    try:
        answers = tuple(map(_answer, said["rows"]))
        unknown, shared = (bool(said.get(key, False)) for key in ("unknown_session", "shared"))
        return Report(answers, bool(said["superseded"]), unknown, int(said["commands"]), shared)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _answer(said: Json) -> Answer:
    row, lock = said["row"], said["lock"]
    number = (int(row["epoch"]), int(row["seq"])) if row else None
    title = str(said["title"]) if said.get("title") is not None else None
    return Answer(str(said["name"]), bool(said["applied"]), bool(row), number, lock, title)


def lock_of(said: Mapping[str, Any] | None, now: datetime) -> Lock | None:
    """A lock made in the table, for 24 hours at most. None where it is over, or nobody can tell what it says."""
    if not said or said.get("status") is None:
        return None
    try:
        until = min(moment(said["until"]), now + LONGEST_LOCK) if said.get("until") else now + LONGEST_LOCK
        health = said.get("health")
        return Lock(
            Status(said["status"]),
            min(max(int(health), 0), 100) if health is not None else 0,
            str(said.get("reason") or "locked in the table")[:LONGEST_REASON],
            str(said.get("by") or "somebody in the table")[:LONGEST_NAME],
            until,
        )
    except (TypeError, ValueError, OverflowError):
        return None
