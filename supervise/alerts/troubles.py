"""Which troubles are told to whom, and when: what the alerts remember, and their next step.

Pure: time is an argument, and nothing is sent here. No trouble may be told twice, and none that was told be forgotten.
What counts is the *shown* status, so a lock silences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple

from supervise.alerts.messages import RANK, Message, MessageKind, message, subject
from supervise.model import AgentSpec, AlertTarget, Instant, Status, StatusRow

GAP = timedelta(seconds=10)
"""After a message to a target the next waits at least so long: what comes due meanwhile goes together."""
LEAST_WELL = timedelta(seconds=10)
"""However short a hold-down: an agent must be well for so long before its trouble is over."""


class Look(Enum):
    """What a status says of a trouble. A start or a stop, or not seeing the agent, neither proves it nor ends it."""

    BAD = auto()
    WELL = auto()
    NEITHER = auto()


@dataclass(frozen=True, slots=True)
class Spell:
    """Since when an agent has been bad. `well_since`: since when it is not; bad again soon, it is the same spell."""

    since: timedelta
    well_since: timedelta | None = None

    def over(self, now: timedelta, settle: timedelta) -> bool:
        return self.well_since is not None and now - self.well_since >= settle


@dataclass(frozen=True, slots=True)
class Trouble:
    """One agent's trouble as one target knows it. `error`: the part of it that is worse than a warning.

    `told`: the worst status that the target was told, and when last. `began` is for people.
    """

    began: datetime
    spell: Spell
    error: Spell | None = None
    told: Status | None = None
    told_at: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Told:
    """What one target knows. `sent_at`: when it last got a message."""

    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    sent_at: timedelta | None = None


@dataclass(frozen=True, slots=True)
class AlertState:
    """What each target knows, by id. Every length in it is of the monotonic clock of `boot`."""

    boot: str = ""
    targets: Mapping[str, Told] = field(default_factory=dict)


class Advance(NamedTuple):
    """`wake_at`: when to ask again though no row has changed, on the monotonic clock."""

    state: AlertState
    messages: tuple[Message, ...]
    wake_at: timedelta | None


def advance(
    state: AlertState,
    rows: Mapping[str, StatusRow],
    targets: Mapping[str, Sequence[AlertTarget]],
    *,
    now: Instant,
    specs: Mapping[str, AgentSpec],
    host: str,
) -> Advance:
    """The next state, what is to be sent, and when to ask again. `targets` by project; each hears of its own agents.

    Agents that are not in `specs`, and targets that are not there any more, end silently.
    """
    known = state.targets if state.boot == now.boot else _after_boot(state.targets, now.monotonic)
    after: dict[str, Told] = {}
    messages: list[Message] = []
    wakes: list[timedelta] = []
    for target, wanted in _wanted(targets, specs):
        told = _seen(known.get(target.id, Told()), target, wanted, rows, now)
        if _may_send(told, now.monotonic):
            told, sent = _sent(told, target, wanted, rows, now=now, host=host)
            messages += sent
        after[target.id] = told
        wakes += _moments(told, target, rows)
    return Advance(AlertState(now.boot, after), tuple(messages), min(wakes, default=None))


def _wanted(
    targets: Mapping[str, Sequence[AlertTarget]], specs: Mapping[str, AgentSpec]
) -> Iterator[tuple[AlertTarget, Mapping[str, AgentSpec]]]:
    """Each target with the agents that it wants to hear of."""
    for project, own in targets.items():
        for target in own:
            yield (
                target,
                {name: spec for name, spec in specs.items() if spec.project == project and _wants(target, spec)},
            )


def _wants(target: AlertTarget, spec: AgentSpec) -> bool:
    named = not target.agents or spec.name in target.agents or spec.base in target.agents
    return named and (not target.tags or not set(target.tags).isdisjoint(spec.tags))


def _after_boot(known: Mapping[str, Told], now: timedelta) -> Mapping[str, Told]:
    """The clock has started anew, and so do all ages; what was told stays told."""
    return {
        name: Told(
            {
                agent: replace(one, spell=Spell(now), error=Spell(now) if one.error else None, told_at=now)
                for agent, one in told.troubles.items()
            }
        )
        for name, told in known.items()
    }


# --- What is seen -----------------------------------------------------------------------------------------------------


def _seen(
    told: Told, target: AlertTarget, wanted: Mapping[str, AgentSpec], rows: Mapping[str, StatusRow], now: Instant
) -> Told:
    """The troubles as they are now. Of an agent without a row nothing is known, so its trouble stays as it is."""
    troubles: dict[str, Trouble] = {}
    for name in wanted:
        before, row = told.troubles.get(name), rows.get(name)
        if trouble := _trouble(before, row, target, now) if row else before:
            troubles[name] = trouble
    return replace(told, troubles=troubles)


def _trouble(before: Trouble | None, row: StatusRow, target: AlertTarget, now: Instant) -> Trouble | None:
    look = _look(row.status, target.min_status)
    if before and _over(before, target, now.monotonic) and not (before.told and target.resolved):
        before = None  # over, and nobody waits to hear that
    if before is None and look is not Look.BAD:
        return None
    began = before.began if before else min(row.since, now.wall)
    error = before.error if before else None
    if error and error.over(now.monotonic, _settle(target)):
        error = None
    return Trouble(
        began=began,
        spell=_next(before.spell if before else Spell(now.monotonic), look, now.monotonic),
        error=_error(error, row.status, now.monotonic),
        told=before.told if before else None,
        told_at=before.told_at if before else now.monotonic,
    )


def _look(status: Status, least: Status) -> Look:
    """How the status looks to somebody who wants to hear of `least` and worse."""
    if RANK.get(status, 0) >= RANK[least]:
        return Look.BAD
    return Look.NEITHER if status in (Status.STARTING, Status.STOPPING, Status.UNKNOWN) else Look.WELL


def _error(before: Spell | None, status: Status, now: timedelta) -> Spell | None:
    look = _look(status, Status.ERROR)
    if before is None:
        return Spell(now) if look is Look.BAD else None
    return _next(before, look, now)


def _next(spell: Spell, look: Look, now: timedelta) -> Spell:
    if look is not Look.WELL:
        return Spell(spell.since)
    return Spell(spell.since, now if spell.well_since is None else spell.well_since)


def _settle(target: AlertTarget) -> timedelta:
    return max(target.hold_down, LEAST_WELL)


def _over(trouble: Trouble, target: AlertTarget, now: timedelta) -> bool:
    return trouble.spell.over(now, _settle(target))


# --- What is told -----------------------------------------------------------------------------------------------------


def _may_send(told: Told, now: timedelta) -> bool:
    return told.sent_at is None or now - told.sent_at >= GAP


def _sent(
    told: Told,
    target: AlertTarget,
    wanted: Mapping[str, AgentSpec],
    rows: Mapping[str, StatusRow],
    *,
    now: Instant,
    host: str,
) -> tuple[Told, Sequence[Message]]:
    """What goes out now, at most one message of each kind, and what the target knows then."""
    groups = {
        MessageKind.FIRING: [name for name, at in _due(told, target, rows) if at <= now.monotonic],
        MessageKind.RESOLVED: [name for name, at in _ends(told, target, rows) if at <= now.monotonic],
    }
    messages = [
        message(
            kind,
            target.id,
            (subject(rows[name], wanted[name], since=told.troubles[name].began) for name in names),
            now=now,
            host=host,
        )
        for kind, names in groups.items()
        if names
    ]
    if not messages:
        return told, ()
    troubles = {name: one for name, one in told.troubles.items() if name not in groups[MessageKind.RESOLVED]}
    troubles |= {name: _now_told(troubles[name], rows[name], now) for name in groups[MessageKind.FIRING]}
    return Told(troubles, now.monotonic), messages


def _now_told(trouble: Trouble, row: StatusRow, now: Instant) -> Trouble:
    worst = Status.ERROR if Status.ERROR in (trouble.told, row.status) else Status.WARNING
    return replace(trouble, told=worst, told_at=now.monotonic)


def _due(told: Told, target: AlertTarget, rows: Mapping[str, StatusRow]) -> Iterator[tuple[str, timedelta]]:
    """When each trouble is to be told if it stays as it is. Only while it is there: an agent that is just well again
    may be so for good."""
    for name, one in told.troubles.items():
        row = rows.get(name)
        if row and _look(row.status, target.min_status) is Look.BAD:
            moments = tuple(_moments_to_tell(one, row.status, target))
            if moments:
                yield name, min(moments)


def _moments_to_tell(trouble: Trouble, status: Status, target: AlertTarget) -> Iterator[timedelta]:
    if trouble.told is None:
        yield trouble.spell.since + target.hold_down
        return
    if trouble.told is not Status.ERROR and status is Status.ERROR and trouble.error:
        yield trouble.error.since + target.hold_down
    if target.repeat:
        yield trouble.told_at + target.repeat


def _ends(told: Told, target: AlertTarget, rows: Mapping[str, StatusRow]) -> Iterator[tuple[str, timedelta]]:
    """When each trouble that was told is over, and that is told too, if the agent stays well."""
    for name, one in told.troubles.items():
        if name in rows and one.told and target.resolved and one.spell.well_since is not None:
            yield name, one.spell.well_since + _settle(target)


def _moments(told: Told, target: AlertTarget, rows: Mapping[str, StatusRow]) -> Iterator[timedelta]:
    """When there may be something to send to the target without any row changing."""
    free = told.sent_at + GAP if told.sent_at is not None else timedelta()
    for _, moment in (*_due(told, target, rows), *_ends(told, target, rows)):
        yield max(moment, free)
