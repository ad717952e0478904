"""What goes into the timeline: one event for each change, with who was behind it. Pure.

An event's id is made of what it tells, so that the same fact, decided again, is the same event.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from supervise.decide.judge import copies
from supervise.exits import ending
from supervise.model import (
    Action,
    Cause,
    Doubt,
    Event,
    EventKind,
    Instant,
    Intent,
    IntentKind,
    Outcome,
    Phase,
    Reason,
    Status,
    StatusRow,
    UnitState,
)
from supervise.text import shown

US = "supervise"
ITSELF = "the agent"
MANAGER = "systemd"
SOMEBODY = "somebody"
OURS = (Reason.QUARANTINED, Reason.CRASH_LOOPING, Reason.NOT_OBSERVED, Reason.PROBE_FAILING)
OWN_WORDS = (Reason.AGENT_ERROR, Reason.AGENT_WARNING, Reason.AGENT_WAITING)
COPIED = (Reason.HIDDEN_PROCESS, Reason.DUPLICATE_PROCESS)
OF_A_START = (Reason.STARTING, Reason.START_TIMEOUT)
"""For its manager the start of an active unit is over: that it is not, its probe has told us."""
DONE = "done"


def status_event(last: StatusRow | None, row: StatusRow, *, at: datetime, intent: Intent | None) -> Event:
    before = last.status if last else None
    return Event(
        id=_id(row.name, row.boot, row.incarnation, at, row.status, row.reason, row.observed_reason),
        name=row.name,
        at=at,
        kind=EventKind.STATUS,
        before=before,
        after=row.status,
        reason=row.reason.value,
        message=row.message,
        by=_behind(last, row, intent),
    )


def unseen_death(last: StatusRow, row: StatusRow, unit: UnitState, *, at: datetime) -> Event:
    """Of a death that was over before anybody looked: its cause is gone with it."""
    message = f"It died and was started again by systemd (restart {unit.restarts})."
    return _death(last, row, unit, Reason.CRASHED, message, at)


def untold_death(last: StatusRow, row: StatusRow, unit: UnitState, *, at: datetime, copied: bool) -> Event:
    """Of a death of which the status tells nothing: it is what it was, or (`copied`) tells of a copy that runs on."""
    reason = Reason.EXITED if unit.cause is Cause.CLEAN else Reason.CRASHED
    return _death(last, row, unit, reason, f"It {ending(unit)}{'; a copy of it runs on' if copied else ''}.", at)


def _death(last: StatusRow, row: StatusRow, unit: UnitState, reason: Reason, message: str, at: datetime) -> Event:
    return Event(
        id=_id(row.name, row.boot, row.incarnation, at, "death", unit.restarts),
        name=row.name,
        at=at,
        kind=EventKind.DEATH,
        before=last.status,
        after=last.status,
        reason=reason.value,
        message=message,
        by=MANAGER,
    )


def restart_event(row: StatusRow, unit: UnitState, *, at: datetime) -> Event:
    """Of a restart by hand that was over before anybody looked, and of which nobody has told us."""
    return Event(
        id=_id(row.name, row.boot, row.incarnation, "restart"),
        name=row.name,
        at=at,
        kind=EventKind.ORDER,
        before=row.status,
        after=row.status,
        reason="restart",
        message=f"It has a new process, PID {unit.pid}, and its manager did not start that by itself.",
        by=SOMEBODY,
    )


def host_event(reason: Reason, text: str, *, now: Instant) -> Event:
    return told_of_host(reason.value, text, now=now)


def told_of_host(reason: str, text: str, *, now: Instant, by: str = US) -> Event:
    """Something that concerns the host and no single agent."""
    return Event(
        id=_id("", now.boot, now.monotonic, reason, text),
        name="",
        at=now.wall,
        kind=EventKind.HOST,
        before=None,
        after=None,
        reason=reason,
        message=text,
        by=by,
    )


def doubt_event(doubt: Doubt, *, now: Instant) -> Event:
    """A process of which nobody can tell whose it is: the host's finding, and no agent's."""
    some, more = doubt.names[:3], len(doubt.names) - 3
    names = ", ".join(some) + (f" and {more} more" if more > 0 else "")
    text = f"{copies((doubt.process,))} may be of {names}: {doubt.why}; it keeps us from starting them."
    return told_of_host("AmbiguousProcess", text, now=now)


def action_event(action: Action, outcome: Outcome, *, now: Instant, status: Status | None) -> Event:
    """What we did, and what became of it."""
    became = DONE if outcome.ok else outcome.detail
    pids = ", ".join(str(one.pid) for one in action.processes)
    what = f"{action.kind.value} {f'PID {pids}' if pids else action.unit}"
    return Event(
        id=_id(action.name, now.boot, now.monotonic, action.kind, action.reason),
        name=action.name,
        at=now.wall,
        kind=EventKind.ACTION,
        before=status,
        after=status,
        reason=action.reason,
        message=f"{what}: {became}",
        by=US,
    )


def was_done(event: Event) -> bool:
    """Whether an action came to pass."""
    return event.message.endswith(f": {DONE}")


def order_event(name: str, what: str, *, by: str, reason: str, now: Instant, status: Status | None) -> Event:
    """What a person asked for."""
    return Event(
        id=_id(name, now.boot, now.monotonic, what, by),
        name=name,
        at=now.wall,
        kind=EventKind.ORDER,
        before=status,
        after=status,
        reason=what,
        message=reason,
        by=by,
    )


def lifted_event(row: StatusRow, *, now: Instant) -> Event:
    """Of the end of a lock that `force-stop` has made, by a new life of its agent."""
    text = "It was started or installed since, so the lock that force-stop made has ended."
    return order_event(row.name, "unlock", by=US, reason=text, now=now, status=row.status)


def _behind(last: StatusRow | None, row: StatusRow, intent: Intent | None) -> str:
    """Who made it so, as far as anybody can tell."""
    if row.reason is Reason.LOCKED and row.lock:
        return row.lock.by
    if last and last.reason is Reason.LOCKED:
        return US  # its lock has ended
    over = last.observed_reason if last and (last.phase, last.incarnation) == (row.phase, row.incarnation) else None
    if over in COPIED and row.observed_reason not in COPIED:
        return SOMEBODY  # who has ended the copy
    if row.observed_reason is Reason.STOPPED_BY_OPERATOR:
        return intent.by if intent and _names(row.message, intent) else SOMEBODY
    if row.observed_reason in COPIED:
        return SOMEBODY
    if row.observed_reason in OURS or (row.observed_reason in OF_A_START and row.phase is Phase.ACTIVE):
        return US
    well_again = row.observed_reason is Reason.AS_WANTED and over in (*OWN_WORDS, Reason.PROBE_FAILING)
    return ITSELF if row.observed_reason in OWN_WORDS or well_again else MANAGER


def _names(message: str, intent: Intent) -> bool:
    """Whether the message says that this person stopped it, or wants it to stay down."""
    who = shown(intent.by)
    told = message.startswith(f"{who} ") or f"; since then {who} wants it to stay down" in message
    return told and intent.kind is IntentKind.STOP


def _id(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:20]
