"""What to write and what to do about every agent, from what is seen and what is remembered: one value (DESIGN, 4).

    fold what happened ─▶ judge (ordered rules) ─▶ score ─▶ remedy (one table, patience) ─▶ rows, events, actions

Pure: no I/O, no clock, no logging. Level, not edge: decided twice, nothing more comes of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from supervise.decide import network
from supervise.decide.events import (
    host_event,
    lifted_event,
    restart_event,
    status_event,
    told_of_host,
    unseen_death,
    untold_death,
)
from supervise.decide.health import FULL, USUAL, score
from supervise.decide.judge import (
    AS_WANTED,
    DOWN,
    EVER,
    HOLD_GRACE,
    NEVER_STARTED,
    Case,
    Verdict,
    copies,
    counted_from,
    expected_since,
    is_new,
    is_starting,
    judge,
    stop_intent,
    stopped_with,
)
from supervise.decide.outdated import outdated_by, with_loaded
from supervise.decide.past import fold, fresh
from supervise.decide.probes import last_call
from supervise.decide.remedy import REMEDIES, concluded, remedy
from supervise.decide.signs import is_worth_a_row
from supervise.decide.usage import Figures, moved
from supervise.model import (
    FORCE_STOP,
    FOREVER,
    Action,
    Decision,
    Event,
    Instant,
    IntentKind,
    Lock,
    Observation,
    Past,
    Phase,
    Reason,
    Source,
    Status,
    StatusRow,
    UnitState,
    Usage,
    World,
)

__all__ = ["AS_WANTED", "FULL", "Case", "Verdict", "concluded", "copies", "decide", "judge"]

# Members that each pass needs of each agent: asked of their class, one takes as long as a call of a function.
ACTIVE, INACTIVE = Phase.ACTIVE, Phase.INACTIVE
DEPENDENCY_STOPPED, LOCKED, QUARANTINED = Reason.DEPENDENCY_STOPPED, Reason.LOCKED, Reason.QUARANTINED
STOPPED = Reason.STOPPED_BY_OPERATOR
ERROR, BEAT, PING = Status.ERROR, Source.BEAT, Source.PING

UNSEEN = timedelta(seconds=5)
"""So long the last row stands while the platform cannot be asked."""
REASON = attrgetter("observed_reason")
SHOWN = attrgetter("status", "reason", "observed_reason")
FIGURES = ("updated_at", "last_heartbeat", "cpu", "memory", "tasks")
"""What changes in a row all the time, and is worth a new one only now and then."""
FACTS = tuple(one.name for one in fields(StatusRow) if one.name not in FIGURES)
KNOWN = attrgetter(*FACTS)
BESIDE_ITS_STATE = frozenset(
    {
        Reason.SILENT,
        Reason.PROBE_FAILING,
        Reason.DUPLICATE_PROCESS,
        Reason.AGENT_ERROR,
        Reason.AGENT_WARNING,
        Reason.AGENT_WAITING,
        Reason.LATE,
        Reason.IDLE,
        Reason.OVERRAN,
        Reason.DRIFT,
    }
)
"""What is true of one that runs, and was not so yet when its manager last changed its state."""
BY_LOOK = frozenset({Reason.HIDDEN_PROCESS, Reason.DUPLICATE_PROCESS, Reason.ORPHAN_PROCESS})
"""What only a look at processes tells."""
TRIED_AGAIN = (Reason.QUARANTINED, Reason.NOT_RUNNING)
"""Where people are told when."""
NOTHING_SEEN = Observation()
NO_FIGURES = Usage("")
MASS = 0.3
FEWEST = 3
"""More than this share of the agents, and at least so many: then the fault is the host's, and nobody is restarted."""


@dataclass(frozen=True, slots=True)
class _Decided:
    row: StatusRow
    event: tuple[Event, ...] = ()
    action: Action | None = None
    wake_at: timedelta | None = None


def decide(world: World, *, now: Instant, only: Collection[str] | None = None) -> Decision:
    """The rows that change, and what follows from them. `only`: look at these agents (all, if None)."""
    if world.host.unseen_since is not None:
        return _unseen(world, now=now)
    wanted = world.desired if only is None else [name for name in only if name in world.desired]
    names = [name for name in wanted if name in world.observed or name in world.rows]  # else nobody has looked yet
    before, cut_before = _shared(world, world.rows), network.cuts(world, world.rows)
    decided = {name: _agent(name, world, now=now, shared=before, cut=cut_before) for name in names}
    disturbance: list[Event] = []
    if changed := _changed(world, decided):
        rows = {**world.rows, **changed}
        shared, cut = _shared(world, rows), network.cuts(world, rows)
        over, heard = cut_before - cut, Reason.SILENT in before - shared
        if over or heard:
            names = [name for name in world.desired if name in world.observed]  # all are to be left in peace now
        if (shared, cut) != (before, cut_before):
            decided = {
                name: _agent(name, world, now=now, shared=shared, cut=cut, over=over, heard=heard) for name in names
            }
            disturbance = [_told_once(reason, world, rows, now=now) for reason in SHARED if reason in shared - before]
            if heard:
                disturbance.append(told_of_host(HEARD, "It is over that many agents are silent at once.", now=now))
            disturbance += network.told(cut_before, cut, world, rows, now=now)
    decided |= _unmanaged(world, now=now, only=only)
    return Decision(
        rows=_changed(world, decided),
        actions=tuple(one.action for one in decided.values() if one.action),
        events=(*(event for one in decided.values() for event in one.event), *disturbance),
        forget=_forgotten(world, decided) if only is None else (),
        wakes={name: one.wake_at for name, one in decided.items() if one.wake_at is not None},
    )


def _changed(world: World, decided: Mapping[str, _Decided]) -> dict[str, StatusRow]:
    return {name: one.row for name, one in decided.items() if one.row is not world.rows.get(name)}


# --- One agent -------------------------------------------------------------------------------------------------------


def _agent(
    name: str,
    world: World,
    *,
    now: Instant,
    shared: Collection[Reason],
    cut: Collection[str] = (),
    over: Collection[str] = (),
    heard: bool = False,
) -> _Decided:
    spec, last = world.desired[name], world.rows.get(name)
    if last is None and spec.renamed_from and spec.renamed_from not in world.desired:
        last = world.rows.get(spec.renamed_from)
    seen = world.observed.get(name, NOTHING_SEEN)
    if seen.unit is None:
        past = last.past if last else fresh(now)
    else:
        mass = QUARANTINED in shared
        past = fold(last, spec, seen.unit, seen.beat, now=now, mass=mass, acting=seen.acting, seen=seen)
        past = network.patient(past, spec, over, now)
        if heard and last and last.observed_reason is Reason.SILENT:  # its next sign is on its way
            past = replace(past, not_before=max(now.monotonic + spec.heartbeat.late_after, past.not_before or EVER))
        past = with_loaded(past, seen.unit, world.on_disk.get(name), world.marks.get(name), now=now)
    case = Case(
        spec, seen, now, world.holds.get(name), past, world.intents.get(name), world.host, name in world.settled
    )
    unit = case.unit
    verdict = _as_last_seen(case, last) or judge(case)
    same = last is not None and last.observed_reason is verdict.reason and last.observed_status is verdict.status
    seen_since = past.seen_since if same and past.seen_since is not None else now.monotonic
    if seen_since != past.seen_since:
        case = replace(case, past=replace(past, seen_since=seen_since))
    if unit and verdict.reason is DEPENDENCY_STOPPED and not case.past.stopped_with:
        case = _stopped_with_another(case, unit, world)
        verdict = judge(case)
    if unit and verdict.reason is STOPPED and case.past.put_down != unit.incarnation and stop_intent(case, unit):
        case = replace(case, past=replace(case.past, put_down=unit.incarnation))
    curable = verdict.reason in REMEDIES and not _is_spared(verdict, case, shared, cut)
    todo = remedy(verdict, case, unit) if unit and curable else None
    row = _row(case, unit, verdict, todo.past if todo else case.past, last, world)
    events = () if row is last else _events(last, row, case, unit)
    wake = _wake(case, unit, row, todo.wake_at if todo else None)
    return _Decided(row, events, todo.action if todo else None, wake)


def _as_last_seen(case: Case, last: StatusRow | None) -> Verdict | None:
    """What a look at processes had found, while nobody has looked again: after a start of ours, for a moment."""
    if last is None or last.observed_reason not in BY_LOOK or case.host.blind or case.hold:
        return None
    looked = case.seen.inside if last.observed_reason is Reason.ORPHAN_PROCESS else case.seen.outside
    if looked is not None or case.unit is None or last.boot != case.now.boot or not _goes_on(last, case.unit):
        return None
    return Verdict(last.observed_status, last.observed_reason, last.message)


def _stopped_with_another(case: Case, unit: UnitState, world: World) -> Case:
    """The case that remembers with what it was stopped, and whether no person had stopped that."""
    other = stopped_with(case, unit)
    name = next((name for name, seen in world.observed.items() if seen.unit and seen.unit.unit == other), "")
    row, required = world.rows.get(name), world.observed[name].unit if name else None
    out_of_service = bool(row and row.past.quarantined) or bool(required and required.gave_up)
    tried_again = bool(row and row.past.half_open) and bool(required and required.phase is Phase.ACTIVE)
    return replace(case, past=replace(case.past, stopped_with=other, left_alone=out_of_service or tried_again))


def _is_spared(verdict: Verdict, case: Case, shared: Collection[Reason], cut: Collection[str]) -> bool:
    """Whether what is wrong is the host's fault, and not the agent's."""
    silent = verdict.reason is Reason.SILENT and Reason.SILENT in shared
    return silent or network.spares(verdict.reason, case.past, cut)


def _row(
    case: Case, unit: UnitState | None, verdict: Verdict, past: Past, last: StatusRow | None, world: World
) -> StatusRow:
    """Its row: the last one, where nothing is new that would be worth another."""
    heartbeat, source = _heartbeat(case, unit, last)
    figures = _figures(case, unit, last)
    facts = _facts(case, unit, verdict, past, last, world, source)
    if last and last.lock and not _is_lifted(last.lock, case, unit, installed=world.marks.get(last.name)):
        facts = tuple({**dict(zip(FACTS, facts, strict=True)), **_locked(last.lock, last, case.now)}.values())
    if last and facts == KNOWN(last) and not moved(last, figures):
        watchdog = unit.watchdog if unit else None
        if not is_worth_a_row(last.last_heartbeat, heartbeat, source, watchdog):
            return last
    return StatusRow(
        **dict(zip(FACTS, facts, strict=True)),
        updated_at=case.now.wall,
        last_heartbeat=heartbeat,
        cpu=figures.cpu,
        memory=figures.memory,
        tasks=figures.tasks,
    )


def _facts(
    case: Case,
    unit: UnitState | None,
    verdict: Verdict,
    past: Past,
    last: StatusRow | None,
    world: World,
    source: Source | None,
) -> tuple[Any, ...]:
    """What its row says of it, in the order of FACTS. No row yet, and no names: most are what they were, and to find
    that out of each agent in each pass must not take as long as all the rest."""
    spec, now, beat = case.spec, case.now, case.seen.beat
    known = case if past is case.past else replace(case, past=past)
    health, parts = score(verdict, known, unit, weights=world.weights.get(spec.name, USUAL))
    disk, mark = world.on_disk.get(spec.name), world.marks.get(spec.name)
    outdated = outdated_by(past, unit, disk, mark, last=last.outdated_by if last else ())
    return (
        spec.name,
        spec.title,
        spec.project,
        unit.unit if unit else (last.unit if last else f"agent@{spec.name}.service"),
        world.host.platform,
        unit.phase if unit else None,
        verdict.status,
        verdict.reason,
        verdict.message,
        _since(last, verdict, unit, now),
        verdict.status,  # as observed, and so below; a lock may change what is said above
        verdict.reason,
        health,
        parts,
        _pid(case, unit),
        unit.incarnation if unit and unit.incarnation else (last.incarnation if last else None),
        now.boot,
        _started_at(case, unit, last),
        unit.restarts if unit else (last.restarts if last else 0),
        source,
        _last_error(verdict, last),
        beat.activity if beat and beat.activity else (last.last_activity if last else None),
        past.next_try if verdict.reason in TRIED_AGAIN else None,
        None,  # the lock
        bool(outdated),
        outdated,
        _revision(past, unit, last),
        past,
    )


def _locked(lock: Lock, last: StatusRow, now: Instant) -> dict[str, Any]:
    """The lock replaces what is shown, and nothing that was observed."""
    if lock.until <= now.wall:
        return {}
    text = f"Locked to {lock.status.value} by {lock.by} until {lock.until:%Y-%m-%d %H:%M:%S} UTC: {lock.reason}"
    return {
        "status": lock.status,
        "reason": Reason.LOCKED,
        "message": text,
        "since": last.since if last.reason is Reason.LOCKED else now.wall,
        "health": lock.health,
        "lock": lock,
    }


def _is_lifted(lock: Lock, case: Case, unit: UnitState | None, *, installed: timedelta | None) -> bool:
    """Whether `force-stop` has made it for what it could not end, and the agent was started or installed since."""
    if not lock.reason.startswith(FORCE_STOP) or unit is None:
        return False
    intent = stop_intent(case, unit)
    if intent and installed is not None and installed > intent.monotonic:
        return True
    return intent is None and unit.phase is ACTIVE


def _since(last: StatusRow | None, verdict: Verdict, unit: UnitState | None, now: Instant) -> datetime:
    if last and last.observed_status is verdict.status and last.observed_reason is verdict.reason:
        if last.reason is not LOCKED:
            return last.since
        if last.past.boot == now.boot and last.past.seen_since is not None:
            return now.wall - (now.monotonic - last.past.seen_since)  # `since` was that of the lock
    return now.wall if verdict.reason in BESIDE_ITS_STATE else fact_time(last, unit, now)


def fact_time(last: StatusRow | None, unit: UnitState | None, now: Instant) -> datetime:
    """The operating system's time of what has just changed, where it has one: of a death, of a start.

    Never before the last change: of what dies and leaves processes that are stopped after it, the end is told last.
    """
    if unit is None:
        return now.wall
    died = unit.phase in (Phase.RESTARTING, Phase.FAILED) and not unit.by_request
    moment = unit.ended_at if died and unit.ended_at else unit.since
    if unit.phase is Phase.QUEUED:
        return now.wall  # what systemd dates is its last end
    if moment is None or (last and _goes_on(last, unit)):
        return now.wall
    return min(max(moment, last.since) if last else moment, now.wall)


def _goes_on(last: StatusRow, unit: UnitState) -> bool:
    """Whether the unit is where it was when it was last seen; systemd dates anew also what it has only read anew."""
    return last.phase in (unit.phase, None) and unit.incarnation in (last.incarnation, None)


def _heartbeat(case: Case, unit: UnitState | None, last: StatusRow | None) -> tuple[datetime | None, Source | None]:
    """The newest sign of life. Of an agent that gives none: the last time it was seen active."""
    known = (last.last_heartbeat, last.source) if last else (None, None)
    if unit and unit.pid is None and case.seen.foreground:
        return case.now.wall, Source.OBSERVED
    if unit is None or unit.started_monotonic is None or unit.phase in DOWN:
        return known
    sign = case.sign
    if sign is None:
        return (case.now.wall, Source.OBSERVED) if unit.phase is Phase.ACTIVE else known
    at = case.now.wall - (case.now.monotonic - sign)
    if known[0] and at < known[0] <= case.now.wall:
        return known  # what is newer was of a life before this
    return at, PING if sign == unit.last_ping else BEAT


def _last_error(verdict: Verdict, last: StatusRow | None) -> str | None:
    """What last went wrong with the agent itself."""
    wrong = verdict.status is ERROR and verdict.reason is not Reason.HELD
    return verdict.message if wrong else (last.last_error if last else None)


def _revision(past: Past, unit: UnitState | None, last: StatusRow | None) -> str | None:
    """What it was started with, also of a life that is over."""
    if unit is None:
        return last.revision if last else None
    return past.loaded.revision if past.loaded else None


def _pid(case: Case, unit: UnitState | None) -> int | None:
    """Of its unit's main process, or of the one in the foreground."""
    if unit is None or unit.pid or not case.seen.foreground:
        return unit.pid if unit else None
    return min(process.pid for process in case.seen.foreground)


def _started_at(case: Case, unit: UnitState | None, last: StatusRow | None) -> datetime | None:
    """Of the same life as its PID."""
    if unit is None:
        return last.started_at if last else None
    return unit.started_at if unit.pid else (case.seen.foreground_since or unit.started_at)


def _figures(case: Case, unit: UnitState | None, last: StatusRow | None) -> Figures:
    """What it takes, as it was last seen in this life."""
    if unit is None:
        return last or NO_FIGURES
    if unit.pid is None:
        return case.seen.usage if case.seen.foreground and case.seen.usage else NO_FIGURES
    return case.seen.usage or (last if last and last.incarnation == unit.incarnation else NO_FIGURES)


def _events(last: StatusRow | None, row: StatusRow, case: Case, unit: UnitState | None) -> tuple[Event, ...]:
    """What changed, after what was over before anybody looked."""
    at = fact_time(last, unit, case.now)
    if last is None:
        return (status_event(None, row, at=at, intent=case.intent),)
    before = _deaths_beside(last, row, unit, case, at) if unit else ()
    if unit and not before and _restarted_unseen(last, row, unit, case):
        before = (restart_event(row, unit, at=at),)
    if last.lock and not row.lock and last.lock.until > case.now.wall:
        before = (*before, lifted_event(row, now=case.now))
    if SHOWN(last) != SHOWN(row):
        told_at = case.now.wall if row.observed_reason in BESIDE_ITS_STATE else at
        return (*before, status_event(last, row, at=told_at, intent=case.intent))
    return before


def _deaths_beside(last: StatusRow, row: StatusRow, unit: UnitState, case: Case, at: datetime) -> tuple[Event, ...]:
    """A death of which the change of status tells nothing: it was over before anybody looked, a copy is told of, or it
    was dead before, and nobody has seen the life in between."""
    if _died_unseen(last, row, unit, case):
        return (unseen_death(last, row, unit, at=_before(unit.left_active, last, at)),)
    counted = last.boot == row.boot and row.past.counted not in (None, last.past.counted)
    copied = row.observed_reason is Reason.HIDDEN_PROCESS
    if counted and (copied or SHOWN(last) == SHOWN(row)):
        return (untold_death(last, row, unit, at=_before(unit.ended_at, last, at), copied=copied),)
    return ()


def _before(moment: datetime | None, last: StatusRow, at: datetime) -> datetime:
    """When what comes between two changes of status was, so that the timeline is in order."""
    return at if moment is None else min(max(moment, last.since), at)


def _died_unseen(last: StatusRow, row: StatusRow, unit: UnitState, case: Case) -> bool:
    """Whether its manager has begun a new life of it, and nobody has seen the one before end."""
    if not _lives_anew(last, row, case):
        return False
    told = last.past.counted == last.incarnation  # of the death that led to the first of these restarts
    return unit.restarts > last.restarts + told


def _restarted_unseen(last: StatusRow, row: StatusRow, unit: UnitState, case: Case) -> bool:
    """Whether it runs in a new life that neither its manager nor we have begun, nor anybody who has told us."""
    runs = unit.phase is Phase.ACTIVE or (unit.phase is Phase.STARTING and last.phase is Phase.ACTIVE)
    if not runs or not _lives_anew(last, row, case) or last.past.asked:
        return False
    intent = case.intent if case.intent and case.intent.kind is IntentKind.START else None
    told = intent is not None and last.started_at is not None and intent.at >= last.started_at
    return unit.restarts <= last.restarts and not told


def _lives_anew(last: StatusRow, row: StatusRow, case: Case) -> bool:
    if case.spec.schedule or last.boot != row.boot:
        return False
    return last.incarnation not in (None, row.incarnation)


def _wake(case: Case, unit: UnitState | None, row: StatusRow, due: timedelta | None) -> timedelta | None:
    """When time alone may change what is said of the agent."""
    now, limits = case.now.monotonic, _limits(case, unit, row.past) if unit else []
    moments = [moment for moment in limits if moment > now]
    if due is not None:
        moments.append(max(due, now))
    if row.lock:
        moments.append(now + max(row.lock.until - case.now.wall, timedelta()))
    if case.hold and unit and unit.phase not in DOWN and is_new(case.hold, case.now):
        moments.append(now + (case.hold.at + HOLD_GRACE - case.now.wall))
    return min(moments) if moments else None


def _limits(case: Case, unit: UnitState, past: Past) -> list[timedelta]:
    """When the patience with it ends, or ended."""
    if unit.phase is INACTIVE:
        expected = None if past.started else expected_since(case)
        return [] if expected is None else [expected + NEVER_STARTED]
    if unit.phase is not ACTIVE:
        return []
    now, moments = case.now.monotonic, []
    if case.quiet is not None:
        limits = case.spec.heartbeat
        next_limit = limits.late_after if case.quiet < limits.late_after else limits.silent_after
        moments.append(now - case.quiet + next_limit)
    if is_starting(case, unit) and case.spec.startup_timeout != FOREVER:
        moments.append(counted_from(case, unit) + case.spec.startup_timeout)
        moments.append((last_call(case.spec, unit) if case.seen.ready is None else None) or now)
    if case.spec.max_idle is not None:
        moments.append(now + case.spec.max_idle / 4)
    if case.spec.schedule and case.spec.schedule.deadline and unit.started_monotonic is not None:
        moments.append(unit.started_monotonic + case.spec.schedule.deadline)
    if past.attempts and unit.started_monotonic is not None and case.spec.quarantine:
        moments.append(unit.started_monotonic + case.spec.quarantine.settle)
    return moments


# --- The host --------------------------------------------------------------------------------------------------------


def _unseen(world: World, *, now: Instant) -> Decision:
    """Rule 1: the last rows stand for a while, then nobody knows."""
    since = world.host.unseen_since
    assert since is not None
    if now.monotonic - since < UNSEEN:
        return Decision({}, wakes={name: since + UNSEEN for name in world.desired})
    blind = replace(world, observed={}, host=replace(world.host, unseen_since=None))
    decided = {name: _agent(name, blind, now=now, shared=()) for name in world.desired}
    return Decision(
        rows={name: one.row for name, one in decided.items() if one.row is not world.rows.get(name)},
        events=tuple(event for one in decided.values() for event in one.event),
    )


def _shared(world: World, rows: Mapping[str, StatusRow]) -> frozenset[Reason]:
    """What has come over so many agents at once that it has one cause, which no restart cures."""
    roughly = Counter(map(REASON, rows.values()))  # counts what is wanted no more too, but in no time
    found = [one for one in SHARED if roughly[one] and sum(roughly[also] for also in ALIKE[one]) >= FEWEST]
    counts = {one: _count(world, rows, one) for one in found}
    return frozenset(one for one, count in counts.items() if count >= FEWEST and count > MASS * len(world.desired))


def _count(world: World, rows: Mapping[str, StatusRow], reason: Reason) -> int:
    return sum(name in rows and rows[name].observed_reason in ALIKE[reason] for name in world.desired)


def _told_once(reason: Reason, world: World, rows: Mapping[str, StatusRow], *, now: Instant) -> Event:
    text = SHARED[reason].format(count=_count(world, rows, reason), all=len(world.desired))
    return host_event(reason, text, now=now)


ALIKE = {Reason.SILENT: (Reason.SILENT, Reason.LATE), Reason.QUARANTINED: (Reason.QUARANTINED,)}
"""Who counts as well: agents do not beat at the same moment, so when the first is silent the others are only late."""
HEARD = "AgentsHeard"
SHARED = {
    Reason.SILENT: "{count} of {all} agents are silent at once; none is restarted for it.",
    Reason.QUARANTINED: "{count} of {all} agents are quarantined at once; they are tried again within 2 min.",
}


def _unmanaged(world: World, *, now: Instant, only: Collection[str] | None) -> dict[str, _Decided]:
    """Rule 2: a unit of ours that is in no manifest is named as long as it runs."""
    found = {}
    for name in world.observed if only is None else only:
        if name in world.desired:
            continue
        seen = world.observed.get(name, NOTHING_SEEN)
        if seen.unit is None:
            continue
        if seen.unit.phase in (Phase.ABSENT, Phase.INACTIVE) and not seen.inside:
            continue
        last = world.rows.get(name)
        known = last if last and last.observed_reason is Reason.UNMANAGED else None
        row = StatusRow(
            name=name,
            title=f"{name} (unmanaged)",
            project="-",
            unit=seen.unit.unit,
            platform=world.host.platform,
            phase=seen.unit.phase,
            status=Status.WARNING,
            reason=Reason.UNMANAGED,
            message="Its unit is loaded, but no project has it; `systemctl stop` ends it.",
            since=known.since if known else now.wall,
            observed_status=Status.WARNING,
            observed_reason=Reason.UNMANAGED,
            pid=seen.unit.pid,
            incarnation=seen.unit.incarnation,
            boot=now.boot,
            started_at=seen.unit.started_at,
            updated_at=now.wall,
            past=Past(boot=now.boot),
        )
        if known and replace(row, updated_at=known.updated_at) == known:
            row = known
        found[name] = _Decided(row, () if known else (status_event(last, row, at=now.wall, intent=None),))
    return found


def _forgotten(world: World, decided: Mapping[str, _Decided]) -> tuple[str, ...]:
    """Rows of what is wanted no more, but for one whose history a new name will take over once it is seen."""
    unseen = world.desired.keys() - world.rows.keys() - decided.keys()
    awaited = {world.desired[name].renamed_from for name in unseen}
    return tuple(
        name for name in world.rows if name not in decided and name not in world.desired and name not in awaited
    )
