"""What has happened to an agent since its last row: starts, deaths, retries, missed runs. Pure.

A pass may run twice, or an hour late: each death and each start is counted once, by the incarnation it belongs to, and
what nobody watched is made out from the manager's own counter and timestamps.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from datetime import datetime, timedelta

from supervise.decide.judge import current_beat, remembered, was_reset
from supervise.decide.probes import with_answers
from supervise.model import (
    FOREVER,
    AgentSpec,
    Beat,
    Ending,
    Instant,
    Observation,
    Past,
    Phase,
    Quarantine,
    RestartPolicy,
    StatusRow,
    UnitState,
)

DEAD = (Phase.RESTARTING, Phase.FAILED)
DOWN = (Phase.INACTIVE, Phase.FAILED)
MOST_DEATHS = 50
"""So many are remembered at most; a loop of more is one all the same."""
RECENT = timedelta(hours=1)
"""So long a restart counts against the health."""
SPREAD = 0.2
"""A wait is longer by up to this share of it, so that what failed together is not tried together."""
MASS_MAX = timedelta(minutes=2)
"""The longest wait where many agents are quarantined at once: then the fault is probably not theirs."""
NOTHING_SEEN = Observation()
ON_TIME = timedelta(seconds=10)
"""How late a run may start after its timer's moment."""


def fold(
    last: StatusRow | None,
    spec: AgentSpec,
    unit: UnitState,
    beat: Beat | None,
    *,
    now: Instant,
    mass: bool = False,
    acting: bool = False,
    seen: Observation = NOTHING_SEEN,
) -> Past:
    """The past of an agent up to now. `mass`: many agents of the host are quarantined; `acting`: we are at it; `seen`:
    what its probes have answered."""
    past = last.past if last and last.past.boot == now.boot else fresh(now)
    before = last.incarnation if last and last.boot == now.boot else None
    past = _starts(past, unit, before, last.restarts if last else 0, now)
    past = _deaths(past, spec, unit, now)
    past = _endings(past, unit)
    past = _settled(past, spec, unit, now)
    past = past if acting else _retries(past, spec, unit, now, mass=mass)
    past = _beats(past, beat, unit)
    past = with_answers(past, spec, unit, seen, now.monotonic)
    return _runs(past, spec, unit, now)


def fresh(now: Instant) -> Past:
    """The past of what nobody has seen before."""
    return Past(boot=now.boot, seen_since=now.monotonic)


def delay(quarantine: Quarantine, attempts: int, *, seed: str, mass: bool = False) -> timedelta:
    """How long to wait before the next try, after so many in vain. Nowhere below `first`, nor far above `max`."""
    longest = min(quarantine.max, MASS_MAX) if mass else quarantine.max
    exponent = min(attempts, 64)
    wait = quarantine.first.total_seconds() * quarantine.factor**exponent
    share = zlib.crc32(f"{seed}/{attempts}".encode()) / 2**32
    return timedelta(seconds=min(wait, longest.total_seconds()) * (1 + SPREAD * share))


def _starts(past: Past, unit: UnitState, before: str | None, restarts: int, now: Instant) -> Past:
    """A new life that the manager did not begin by itself is a person's doing, or ours."""
    if unit.started_at is None or unit.incarnation is None:
        return past
    if unit.incarnation == before:
        return replace(past, started=True) if not past.started else past
    if unit.restarts == 0 and past.asked:
        return replace(past, started=True, asked=False, quarantined=False, deaths=(), blocked="")
    if unit.restarts == 0:
        return Past(
            boot=now.boot,
            started=True,
            seen_since=now.monotonic,
            next_run=past.next_run,
            missed=past.missed,
            skipped=past.skipped,
        )
    unseen = _deaths_between(past, before, unit.restarts, restarts)
    at = unit.started_monotonic or timedelta()
    died = (at,) * unseen
    return replace(past, started=True, deaths=(*past.deaths, *died), restarted=(*past.restarted, *died))


def _deaths_between(past: Past, before: str | None, restarts: int, known: int) -> int:
    """Deaths that led to this life and that nobody saw: one for each restart, but for the one that was counted."""
    if before is None:
        return 0
    return max(restarts - known - (past.counted == before), 0)


def _deaths(past: Past, spec: AgentSpec, unit: UnitState, now: Instant) -> Past:
    life = f"{unit.incarnation}/{unit.restarts}" if unit.before_start else unit.incarnation
    if unit.phase in DEAD and not unit.by_request and life and past.counted != life and not spec.schedule:
        died = unit.ended_monotonic or now.monotonic
        past = replace(past, deaths=(*past.deaths, died), restarted=(*past.restarted, died), counted=life)
    if not (past.deaths or past.restarted):
        return past
    loop = spec.restart.loop
    kept = tuple(at for at in past.deaths if loop is None or at > now.monotonic - loop.interval)[-MOST_DEATHS:]
    recent = tuple(at for at in past.restarted if now.monotonic - at < RECENT)[-MOST_DEATHS:]
    return past if (kept, recent) == (past.deaths, past.restarted) else replace(past, deaths=kept, restarted=recent)


def _endings(past: Past, unit: UnitState) -> Past:
    if unit.phase not in DOWN:
        if past.ending or past.stopped_with:
            past = replace(past, ending=None, stopped_with=None, left_alone=False)
        return past
    if unit.started_at is None or (past.ending and was_reset(unit, past.ending)):
        return past
    ending = Ending(
        unit.by_request, unit.gave_up, unit.started_at, unit.started_monotonic, unit.ended_at, unit.cause, unit.exit
    )
    return replace(past, ending=ending) if ending != past.ending else past


def _settled(past: Past, spec: AgentSpec, unit: UnitState, now: Instant) -> Past:
    """After running well for long, all is forgotten. A life that we ended, or mean to end, did not run well."""
    if not past.attempts or unit.phase is not Phase.ACTIVE or unit.started_monotonic is None:
        return past
    if unit.incarnation == past.retry_life:
        return past
    if now.monotonic - unit.started_monotonic < (spec.quarantine or Quarantine()).settle:
        return past
    return replace(past, attempts=0, half_open=False, deaths=(), retry_at=None, next_try=None)


def _retries(past: Past, spec: AgentSpec, unit: UnitState, now: Instant, *, mass: bool) -> Past:
    """When what is given up is tried again. The moment stands until the try is made."""
    if not (unit.phase in DOWN and (remembered(unit, past).gave_up or past.quarantined)):
        return past
    if spec.quarantine is None or spec.restart.policy is RestartPolicy.NEVER:
        return past
    longest = MASS_MAX * (1 + SPREAD) if mass else FOREVER
    same_life = unit.incarnation in (None, past.retry_life)  # None: systemd has forgotten the unit
    if past.retry_at is not None and same_life and past.retry_at - now.monotonic <= longest:
        return past
    return waiting(past, spec.quarantine, now, life=unit.incarnation, seed=spec.name, mass=mass)


def waiting(
    past: Past, quarantine: Quarantine, now: Instant, *, life: str | None, seed: str, mass: bool = False
) -> Past:
    """The past with the moment of the next try, counted from the end of this life."""
    wait = delay(quarantine, past.attempts, seed=f"{seed}/{past.boot}", mass=mass)
    return replace(past, retry_at=now.monotonic + wait, next_try=_whole(now.wall + wait), retry_life=life)


def _beats(past: Past, beat: Beat | None, unit: UnitState) -> Past:
    if current_beat(beat, unit) is None or past.beaten == unit.incarnation:
        return past
    return replace(past, beaten=unit.incarnation)


def _runs(past: Past, spec: AgentSpec, unit: UnitState, now: Instant) -> Past:
    """A job's announced run that passed without a start."""
    if spec.schedule is None:
        return past
    due = past.next_run
    if due and now.wall - due > ON_TIME and unit.next_run != due:
        if not _ran(unit, due):
            ended = unit.ended_at if unit.phase in DOWN else now.wall
            busy = bool(unit.started_at and unit.started_at < due and ended and ended >= due)
            return replace(past, missed=due, skipped=busy, next_run=unit.next_run)
        return replace(past, missed=None, skipped=False, next_run=unit.next_run)
    if past.missed and unit.started_at and unit.started_at > past.missed:
        past = replace(past, missed=None, skipped=False)
    if unit.next_run and (due is None or due > now.wall):
        return replace(past, next_run=unit.next_run) if unit.next_run != due else past
    return past


def _ran(unit: UnitState, due: datetime) -> bool:
    return unit.started_at is not None and unit.started_at >= due - timedelta(seconds=2)


def _whole(moment: datetime) -> datetime:
    """To the second, so that a message which names it stays the same."""
    return moment.replace(microsecond=0)
