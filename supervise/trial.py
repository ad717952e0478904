"""Whether an agent came up and stayed well while somebody looked: what is worth a line, and the verdict. Pure.

It is judged by what is *observed*: a lock changes nothing. What was so before the trial began counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from supervise.model import SIGNS, Phase, Reason, Source, Status, StatusRow
from supervise.text import counted

BAD = (Status.ERROR, Status.STOPPED, Status.UNKNOWN)
HOPELESS = (Reason.QUARANTINED, Reason.CRASH_LOOPING, Reason.HELD, Reason.NOT_INSTALLED, Reason.MASKED)
"""From here it does not come back while anybody waits."""
MOST_TOLD = 5
"""Problems that the sentence names; all are in the list."""
ENDED = (Phase.INACTIVE, Phase.RESTARTING, Phase.FAILED)


class Kind(StrEnum):
    """What a line is about."""

    STATUS = "status"
    RESTART = "restart"
    HEARTBEAT = "heartbeat"
    ACTIVITY = "activity"
    HEALTH = "health"


@dataclass(frozen=True, slots=True)
class News:
    """Something that changed."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Life:
    """From one start to the end of what was started. `began`: None where nobody knows."""

    began: datetime | None
    ended: datetime


@dataclass(frozen=True, slots=True)
class Trial:
    """What was seen so far. `problems` speak against it, `remarks` do not. `ended`: the last life that is over."""

    name: str
    began: datetime
    row: StatusRow | None = None
    came_up: datetime | None = None
    restarts: int = 0
    heartbeats: int = 0
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    ended: Life | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`complete`: it was looked at for as long as it should be. Lengths are in seconds."""

    name: str
    ok: bool
    complete: bool
    text: str
    problems: tuple[str, ...]
    remarks: tuple[str, ...]
    came_up_after: float | None
    watched: float
    duration: float
    restarts: int
    heartbeats: int


# --- What is seen -----------------------------------------------------------------------------------------------------


def seen(trial: Trial, row: StatusRow, *, now: datetime) -> tuple[Trial, tuple[News, ...]]:
    """The trial with one more look at the agent, and what is new in it."""
    last = trial.row
    news = tuple(_news(last, row))
    restarted = last is not None and _lived_anew(last, row)
    beaten = any(one.kind is Kind.HEARTBEAT for one in news) or _newer_sign(last, row)
    trial = replace(
        trial,
        row=row,
        restarts=trial.restarts + restarted,
        heartbeats=trial.heartbeats + (beaten and _gives_signs(row)),
        ended=_ended(trial, row, restarted=restarted) or trial.ended,
    )
    if trial.came_up is None and row.observed_status is Status.RUNNING:
        trial = replace(trial, came_up=now)
    if row.since >= trial.began or restarted:
        trial = _judged(trial, last, row, restarted=restarted, now=now)
    return trial, news


def _judged(trial: Trial, last: StatusRow | None, row: StatusRow, *, restarted: bool, now: datetime) -> Trial:
    """What the look says for and against it."""
    changed = last is None or (last.observed_status, last.observed_reason) != (row.observed_status, row.observed_reason)
    at = f"after {(now - trial.began).total_seconds():.1f} s"
    if changed and row.observed_status in BAD:
        return replace(trial, problems=(*trial.problems, f"{at} it was {_how(row)}"))
    if restarted and last is not None and last.observed_status not in BAD:
        return replace(trial, problems=(*trial.problems, f"{at} it was started anew"))
    if changed and row.observed_status is Status.WARNING:
        return replace(trial, remarks=(*trial.remarks, f"{at} it was {_how(row)}"))
    return trial


def _ended(trial: Trial, row: StatusRow, *, restarted: bool) -> Life | None:
    """The life that ended since the last look."""
    last = trial.row
    if row.pid is None and row.phase in ENDED and row.since >= trial.began:
        return Life(row.started_at, row.since)
    if restarted and last and last.pid and row.started_at:
        return Life(last.started_at, row.started_at)
    return None


def _news(last: StatusRow | None, row: StatusRow) -> Iterator[News]:
    if last is None or _shown(last) != _shown(row):
        yield News(Kind.STATUS, f"{_how(row)}{f' (PID {row.pid})' if row.pid else ''}")
    if last is not None and row.restarts > last.restarts:
        times = counted(row.restarts, "time")
        yield News(Kind.RESTART, f"restarted by its manager, {times} since it was last started")
    if last is not None and _gives_signs(row) and not (_gives_signs(last) and last.incarnation == row.incarnation):
        yield News(Kind.HEARTBEAT, "its first sign of life" if row.source is Source.BEAT else "its first ping")
    if row.pid and row.last_activity and (last is None or row.last_activity != last.last_activity):
        yield News(Kind.ACTIVITY, row.last_activity)
    if last is not None and row.health != last.health:
        lost = ", ".join(f"-{part.lost:g} {part.name} ({part.why})" for part in row.health_parts)
        yield News(Kind.HEALTH, f"{row.health}{f': {lost}' if lost else ''}")


def _shown(row: StatusRow) -> tuple[object, ...]:
    return row.observed_status, row.observed_reason, row.message, row.pid


def _how(row: StatusRow) -> str:
    """`error, Crashed: It was killed by SIGKILL`"""
    told = f": {row.message.removesuffix('.')}" if row.message and not row.lock else ""
    return f"{row.observed_status}, {row.observed_reason}{told}"


def _lived_anew(last: StatusRow, row: StatusRow) -> bool:
    """Whether one of its lives ended and another one began."""
    if row.restarts > last.restarts:
        return True
    return bool(last.pid and row.pid and last.incarnation != row.incarnation)


def _gives_signs(row: StatusRow) -> bool:
    """Whether the life that it is in has given a sign: of one that is over the row still has the last."""
    if row.pid is None or row.source not in SIGNS or row.last_heartbeat is None:
        return False
    return row.started_at is None or row.last_heartbeat >= row.started_at


def _newer_sign(last: StatusRow | None, row: StatusRow) -> bool:
    return bool(last and last.last_heartbeat and row.last_heartbeat and row.last_heartbeat > last.last_heartbeat)


# --- The verdict ------------------------------------------------------------------------------------------------------


def failed(trial: Trial, why: str) -> Trial:
    """With something that speaks against it and that no row tells."""
    return replace(trial, problems=(*trial.problems, why))


def is_hopeless(trial: Trial) -> bool:
    """Whether to wait longer would show nothing more."""
    row = trial.row
    if row is None or row.since < trial.began:
        return False
    return row.observed_reason in HOPELESS or (row.observed_status is Status.STOPPED and trial.came_up is not None)


def verdict(trial: Trial, *, now: datetime, duration: timedelta) -> Verdict:
    watched = now - trial.began
    problems = (*trial.problems, *_at_the_end(trial))
    after = (trial.came_up - trial.began).total_seconds() if trial.came_up else None
    complete = watched >= duration or is_hopeless(trial)
    return Verdict(
        name=trial.name,
        ok=not problems,
        complete=complete,
        text=_text(trial, problems, watched, duration, after, complete=complete),
        problems=problems,
        remarks=trial.remarks,
        came_up_after=after,
        watched=watched.total_seconds(),
        duration=duration.total_seconds(),
        restarts=trial.restarts,
        heartbeats=trial.heartbeats,
    )


def _at_the_end(trial: Trial) -> Iterator[str]:
    row = trial.row
    if row is None:
        yield "nobody could say how it is"
    elif trial.came_up is None:
        yield f"it did not come up: it is {_how(row)}"
    elif row.observed_status is not Status.RUNNING and row.observed_status not in BAD:
        yield f"at the end it is {_how(row)}"


def _text(
    trial: Trial,
    problems: tuple[str, ...],
    watched: timedelta,
    duration: timedelta,
    after: float | None,
    *,
    complete: bool,
) -> str:
    span = f"{watched.total_seconds():.0f} s"
    if not complete:
        span = f"{span} of {duration.total_seconds():.0f} s"
    if problems:
        more = len(problems) - MOST_TOLD
        told = [*problems[:MOST_TOLD], *([f"and {more} more"] if more > 0 else [])]
        return f"not well in {span}: {'; '.join(told)}"
    signs = "it sends no sign of life"
    if trial.heartbeats:
        signs = f"{counted(trial.heartbeats, 'sign')} of life {'was' if trial.heartbeats == 1 else 'were'} seen"
    up = "it was up" if not after else f"it came up after {after:.1f} s"
    return f"well for {span}: {up} and stayed well; {signs}"
