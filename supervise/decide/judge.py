"""What is to be said of one agent: ordered rules, the first that fits wins (DESIGN, section 4).

Pure: no I/O, no clock, no logging. What cannot be seen (`None`) never makes an agent look worse than it is known to be.
A message stays the same while nothing changes: it names moments and limits, never an age.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import PurePath

from supervise.decide.probes import is_ready, is_unheard, named
from supervise.exits import described, ending
from supervise.model import (
    AgentSpec,
    Beat,
    BeatStatus,
    Cause,
    Ending,
    Hold,
    HostFacts,
    Instant,
    Intent,
    IntentKind,
    Observation,
    Past,
    Phase,
    Process,
    ProcessId,
    Reason,
    RestartPolicy,
    Status,
    UnitState,
)
from supervise.text import shown

# Members that each pass needs of each agent: asked of their class, one takes as long as a call of a function.
NEVER, WATCHDOG = RestartPolicy.NEVER, Cause.WATCHDOG
SAYS_ERROR, SAYS_WARNING = BeatStatus.ERROR, BeatStatus.WARNING
WELL = (Status.RUNNING, Reason.AS_WANTED)

DOWN = (Phase.ABSENT, Phase.INACTIVE, Phase.FAILED)
UP = (Phase.ACTIVE, Phase.RESTARTING)
DEATHS = {
    Cause.WATCHDOG: Reason.WATCHDOG_EXPIRED,
    Cause.OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    Cause.START_TIMEOUT: Reason.START_TIMEOUT,
    Cause.NO_READINESS: Reason.START_TIMEOUT,
    Cause.EXEC_FAILED: Reason.EXEC_FAILED,
}
REFUSALS = (Cause.CONDITION, Cause.ASSERTION, Cause.DEPENDENCY)
"""Why a start was refused: they come after an end, and say nothing of it."""
NOTHING = Past()
NO_HOST = HostFacts()
AS_WANTED = "It runs as wanted."
EVER = timedelta()
"""When the monotonic clock began."""
TOGETHER = timedelta(seconds=5)
"""Two units that ceased to be active within so long of each other were stopped in one go."""
NEVER_STARTED = timedelta(seconds=5)
"""How long an agent must be seen as not started: its manager may be about to."""
HOLD_GRACE = timedelta(seconds=5)
"""So long after a hold its agent may still be running: it is being stopped."""
LONGEST_REPORT = 500
"""Characters of an agent's own words that a message repeats."""


@dataclass(frozen=True, slots=True)
class Verdict:
    status: Status
    reason: Reason
    message: str


@dataclass(slots=True)
class Case:
    """One agent at one moment, with all that its verdict may depend on; nobody changes it.

    `settled`: it was installed before this boot, which therefore should have started it. Not frozen: each pass makes
    one of each agent, and a frozen one takes three times as long to make.
    """

    spec: AgentSpec
    seen: Observation
    now: Instant
    hold: Hold | None = None
    past: Past = NOTHING
    intent: Intent | None = None
    host: HostFacts = NO_HOST
    settled: bool = False
    unit: UnitState | None = field(init=False, default=None)
    """The unit, with what systemd has forgotten of one that is down."""
    beat: Beat | None = field(init=False, default=None)
    """What it last said in this life."""
    sign: timedelta | None = field(init=False, default=None)
    """Its last sign of life in this life, on the monotonic clock."""
    quiet: timedelta | None = field(init=False, default=None)
    """For how long it has given no sign of life, where one is expected."""

    def __post_init__(self) -> None:
        """What several rules ask for is made out once."""
        if self.seen.unit is not None:
            self.unit = unit = known(self.seen.unit, self.past, self.spec)
            self.beat = current_beat(self.seen.beat, unit)
            self.sign = last_sign(self.beat, unit)
            self.quiet = silence(self, unit) if heartbeat_expected(self, unit) else None


Rule = Callable[[Case, UnitState], Verdict | None]


def judge(case: Case) -> Verdict:
    """The first rule that fits, in the order of the table."""
    unit = case.unit
    if unit is None:
        return Verdict(Status.UNKNOWN, Reason.NOT_OBSERVED, "The service manager could not be asked.")
    for rule in BY_PHASE[unit.phase]:
        if verdict := rule(case, unit):
            return verdict
    text = (case.beat.activity if case.beat else unit.status_text) or AS_WANTED
    return Verdict(*WELL, _own(text))


def known(unit: UnitState, past: Past, spec: AgentSpec) -> UnitState:
    """A unit with what its manager has forgotten, or was never asked for."""
    unit = remembered(unit, past)
    if unit.cause is WATCHDOG and unit.watchdog is None and _lived_for(unit, spec.watchdog):
        return replace(unit, watchdog=spec.watchdog)  # it armed its own, and died before we could ask for it
    return unit


def remembered(unit: UnitState, past: Past) -> UnitState:
    """A unit that is down with the ending that we have seen, where its manager has kept nothing of that."""
    end = past.ending
    if end is None or unit.phase is not Phase.INACTIVE or not (unit.started_at is None or was_reset(unit, end)):
        return unit
    return replace(
        unit,
        by_request=end.by_request,
        gave_up=end.gave_up,
        started_at=end.started_at,
        started_monotonic=end.started_monotonic,
        ended_at=end.ended_at,
        cause=unit.cause if unit.cause in REFUSALS else end.cause,
        exit=end.exit,
    )


def was_reset(unit: UnitState, end: Ending) -> bool:
    """Whether this is the failure that we have seen, after `systemctl reset-failed`: from there it looks as after a
    stop, but a stop leaves a failed unit as it is."""
    same = (unit.started_at, unit.ended_at) == (end.started_at, end.ended_at)
    return unit.phase is Phase.INACTIVE and same and not end.by_request


# --- 3 to 7: held, outside of its unit, not there, on the move -------------------------------------------------------


def _held(case: Case, unit: UnitState) -> Verdict | None:
    if case.hold is None:
        return None
    who = f"held by {shown(case.hold.by)}: {shown(case.hold.reason)}"
    if case.seen.outside:
        text = f"It is {who}; yet a copy runs outside its unit: {copies(case.seen.outside)}."
        return Verdict(Status.ERROR, Reason.HELD, text)
    if case.seen.inside and unit.phase in DOWN:
        text = f"It is {who}; yet processes of it are left: {_pids(case.seen.inside)}."
        return Verdict(Status.ERROR, Reason.HELD, text)
    if unit.phase is Phase.STOPPING or (unit.phase not in (*DOWN, Phase.QUEUED) and is_new(case.hold, case.now)):
        return Verdict(Status.STOPPING, Reason.HELD, f"It is {who}; it is being stopped.")
    if unit.phase not in (*DOWN, Phase.QUEUED):  # what waits for its turn will be refused by its unit
        return Verdict(Status.ERROR, Reason.HELD, f"It is {who}; yet its unit is {unit.phase.value}.")
    return Verdict(Status.STOPPED, Reason.HELD, f"It is {who}.")


def _foreground(case: Case, unit: UnitState) -> Verdict | None:
    if not case.seen.foreground:
        return None
    pid = min(process.pid for process in case.seen.foreground)
    if unit.phase not in DOWN:
        text = f"It runs twice: as a unit, and in the foreground or adopted (PID {pid})."
        return Verdict(Status.WARNING, Reason.DUPLICATE_PROCESS, text)
    if case.seen.outside:
        beside = copies(case.seen.outside)
        text = f"It runs twice: in the foreground or adopted (PID {pid}), and outside of that: {beside}."
        return Verdict(Status.WARNING, Reason.DUPLICATE_PROCESS, text)
    text = f"It runs outside of its unit, in the foreground or adopted (PID {pid})."
    return Verdict(Status.RUNNING, Reason.AS_WANTED, text)


def _hidden(case: Case, unit: UnitState) -> Verdict | None:
    if not case.seen.outside:
        return None
    text = f"It is not running as a unit, but outside of it: {copies(case.seen.outside)}."
    return Verdict(Status.WARNING, Reason.HIDDEN_PROCESS, text)


def _orphan(case: Case, unit: UnitState) -> Verdict | None:
    if not case.seen.inside:
        return None
    text = f"Its unit is down, but processes of it are left: {_pids(case.seen.inside)}."
    return Verdict(Status.WARNING, Reason.ORPHAN_PROCESS, text)


MOVES = {
    Phase.QUEUED: Verdict(Status.STARTING, Reason.QUEUED, "It waits for others to start first."),
    Phase.STARTING: Verdict(Status.STARTING, Reason.STARTING, "It is starting."),
    Phase.STOPPING: Verdict(Status.STOPPING, Reason.STOPPING, "It is stopping."),
}


def _not_there(case: Case, unit: UnitState) -> Verdict | None:
    if unit.phase is Phase.ABSENT:
        return Verdict(Status.STOPPED, Reason.NOT_INSTALLED, "Its unit is not on disk; run `supervise install`.")
    if unit.masked:
        text = f"Masked by hand; `systemctl unmask {unit.unit}` allows it again."
        return Verdict(Status.STOPPED, Reason.MASKED, text)
    return None


def _moving(case: Case, unit: UnitState) -> Verdict | None:
    return MOVES[unit.phase]


# --- 8: a job between its runs ---------------------------------------------------------------------------------------


def _job(case: Case, unit: UnitState) -> Verdict | None:
    if case.spec.schedule is None:
        return None
    if unit.timer_active is False or (unit.timer_active is None and unit.next_run is None):
        return Verdict(Status.STOPPED, Reason.TIMER_STOPPED, "Its timer is not running, so it does not run by itself.")
    if unit.phase is Phase.FAILED and not unit.by_request:
        return Verdict(Status.ERROR, Reason.LAST_RUN_FAILED, f"Its last run {ending(unit)}.")
    if unit.by_request:
        return Verdict(Status.STOPPED, Reason.RUN_STOPPED, "Somebody stopped its last run; it waits for the next one.")
    if case.past.missed and case.past.skipped:
        text = f"Its run of {_stamp(case.past.missed)} was skipped, since the one before was still running."
        return Verdict(Status.WARNING, Reason.RUN_SKIPPED, text)
    if case.past.missed:
        return Verdict(Status.WARNING, Reason.RUN_MISSED, f"Its run of {_stamp(case.past.missed)} did not take place.")
    return Verdict(Status.STOPPED, Reason.WAITING, "It waits for its next run.")


# --- 9 to 16: down, or dying again and again -------------------------------------------------------------------------


def _condition(case: Case, unit: UnitState) -> Verdict | None:
    if unit.cause is Cause.CONDITION:
        text = "A condition of its unit does not hold, so it did not start."
        return Verdict(Status.ERROR, Reason.CONDITION_UNMET, text)
    return None


def _dependency(case: Case, unit: UnitState) -> Verdict | None:
    if stop_intent(case, unit):
        return None
    missing = [name for name, required in sorted(case.seen.requirements.items()) if not required.active]
    if unit.cause is Cause.DEPENDENCY or (missing and should_have_started(case, unit)):
        what = ", ".join(missing) or "something that it requires"
        return Verdict(Status.ERROR, Reason.DEPENDENCY_FAILED, f"It did not start, since it requires {what}.")
    if unit.by_request and not case.past.quarantined and (with_it := stopped_with(case, unit)):
        then = f"`supervise start {case.spec.name}` starts it"
        if case.past.left_alone and case.spec.restart.policy is not NEVER:
            then = "it is started again with that"
        text = f"It was stopped together with {with_it}, which it requires; {then}."
        return Verdict(Status.ERROR, Reason.DEPENDENCY_STOPPED, text)
    return None


def _stopped(case: Case, unit: UnitState) -> Verdict | None:
    if intent := stop_intent(case, unit):
        why = f": {shown(intent.reason)}" if intent.reason else ""
        long_down = unit.ended_at is not None and intent.at - unit.ended_at > TOGETHER
        how = "" if long_down else _and_how(unit)  # of another life than was stopped, such as an adopted one
        text = f"{shown(intent.by)} stopped it{why}{how}."
        if unit.ended_at and unit.ended_at < intent.at and unit.exit and not unit.by_request:
            text = f"It {ending(unit)}; since then {shown(intent.by)} wants it to stay down{why}."
        return Verdict(Status.STOPPED, Reason.STOPPED_BY_OPERATOR, text)
    if unit.by_request and not case.past.quarantined:
        return Verdict(Status.STOPPED, Reason.STOPPED_BY_OPERATOR, f"Somebody stopped it{_and_how(unit)}.")
    out_of_service = unit.gave_up or case.past.quarantined
    if not out_of_service and unit.incarnation is not None and case.past.put_down == unit.incarnation:
        return Verdict(Status.STOPPED, Reason.STOPPED_BY_OPERATOR, f"It was stopped{_and_how(unit)}.")
    return None


def _given_up(case: Case, unit: UnitState) -> Verdict | None:
    if case.spec.quarantine is None or not (unit.gave_up or case.past.quarantined):
        return None
    gave_up = "systemd gave up" if unit.gave_up and not case.past.quarantined else "it was taken out of service"
    text = f"It {ending(unit)}, and after too many deaths {gave_up}; {_next_try(case)}."
    return Verdict(Status.ERROR, Reason.QUARANTINED, text)


def _crash_looping(case: Case, unit: UnitState) -> Verdict | None:
    """Not while nothing can be written down: of a stop that is forgotten a person seems to be the author, and it is not
    tried again."""
    loop = case.spec.restart.loop
    if case.spec.quarantine is None or case.host.forgets or not is_looping(case.spec, case.past):
        return None
    if loop is None or (case.past.half_open and len(case.past.deaths) < loop.count):
        text = "It died again after it was tried once more; it is stopped, to be tried later."
    else:
        text = f"It died {len(case.past.deaths)} times within {_span(loop.interval)}; it is stopped, to be tried later."
    return Verdict(Status.ERROR, Reason.CRASH_LOOPING, text)


def _restarting(case: Case, unit: UnitState) -> Verdict | None:
    return _died(case, unit, "and is started again soon")


def _failed(case: Case, unit: UnitState) -> Verdict | None:
    return _died(case, unit, "and systemd has stopped trying" if unit.gave_up else "and is not started again")


def _inactive(case: Case, unit: UnitState) -> Verdict | None:
    if should_have_started(case, unit):
        blocked = f"; it is not started: {case.past.blocked}" if case.past.blocked else ""
        return Verdict(Status.STOPPED, Reason.NOT_RUNNING, f"It should have been started, and was not{blocked}.")
    if unit.started_at is None:
        return Verdict(Status.STOPPED, Reason.NOT_STARTED, "It has not been started.")
    return Verdict(Status.STOPPED, Reason.EXITED_CLEANLY, f"It ended by itself: it {ending(unit)}.")


# --- 17 to 23: it runs, but ------------------------------------------------------------------------------------------


def _not_ready(case: Case, unit: UnitState) -> Verdict | None:
    probe, limit, answer = case.spec.ready, case.spec.startup_timeout, case.seen.ready
    if probe is None or not is_starting(case, unit):
        return None
    says = f"says: {answer.detail}" if answer else "has not answered yet"
    what = f"its ready probe ({named(probe)}) {says}"
    if case.now.monotonic - counted_from(case, unit) < limit:
        return Verdict(Status.STARTING, Reason.STARTING, f"It is not ready yet: {what}.")
    text = f"It was not ready within {_span(limit)} (startup_timeout): {what}."
    return Verdict(Status.ERROR, Reason.START_TIMEOUT, text)


def _silent(case: Case, unit: UnitState) -> Verdict | None:
    limit = case.spec.heartbeat.silent_after
    if case.quiet is None or case.quiet < limit:
        return None
    text = f"It gave no sign of life for {_span(limit)} (heartbeat.silent_after)."
    return Verdict(Status.ERROR, Reason.SILENT, text)


def _probe_failing(case: Case, unit: UnitState) -> Verdict | None:
    probe, answer = case.spec.live, case.seen.live
    if probe is None or answer is None or answer.ok or case.seen.failed_probes < probe.failures:
        return None
    times = f" {probe.failures} times in a row" if probe.failures > 1 else ""
    text = f"Its live probe ({named(probe)}) failed{times}: {answer.detail}."
    return Verdict(Status.ERROR, Reason.PROBE_FAILING, text)


def _duplicate(case: Case, unit: UnitState) -> Verdict | None:
    if not case.seen.outside:
        return None
    text = f"It runs twice; outside its unit: {copies(case.seen.outside)}."
    return Verdict(Status.WARNING, Reason.DUPLICATE_PROCESS, text)


def _own_report(case: Case, unit: UnitState) -> Verdict | None:
    beat = case.beat
    if beat is None or not beat.by_main:
        return None
    if beat.status is SAYS_ERROR:
        return Verdict(Status.ERROR, Reason.AGENT_ERROR, _own(beat.error or beat.activity or "It reports an error."))
    if beat.waiting and not beat.error:
        return Verdict(Status.WARNING, Reason.AGENT_WAITING, _own(beat.waiting))
    if beat.status is SAYS_WARNING:
        text = beat.error or beat.activity or "It reports a warning."
        return Verdict(Status.WARNING, Reason.AGENT_WARNING, _own(text))
    return None


def _late(case: Case, unit: UnitState) -> Verdict | None:
    limit = case.spec.heartbeat.late_after
    if case.quiet is None or case.quiet < limit:
        return None
    return Verdict(Status.WARNING, Reason.LATE, f"It gave no sign of life for {_span(limit)} (heartbeat.late_after).")


def _idle(case: Case, unit: UnitState) -> Verdict | None:
    limit = case.spec.max_idle
    if limit is None or idleness(case, unit) < limit:
        return None
    return Verdict(Status.WARNING, Reason.IDLE, f"It reported no new activity for {_span(limit)} (max_idle).")


def _overran(case: Case, unit: UnitState) -> Verdict | None:
    limit = case.spec.schedule.deadline if case.spec.schedule else None
    if limit is None or case.now.monotonic - _started(case, unit) < limit:
        return None
    return Verdict(Status.WARNING, Reason.OVERRAN, f"Its run takes longer than {_span(limit)} (schedule's deadline).")


def _drift(case: Case, unit: UnitState) -> Verdict | None:
    if not (unit.edited or unit.masked or unit.needs_reload):
        return None
    return Verdict(Status.WARNING, Reason.DRIFT, f"It runs, but its unit was {_how_it_drifted(unit)}.")


ALWAYS, ACTIVE = tuple(Phase), (Phase.ACTIVE,)
MOVING = (Phase.QUEUED, Phase.STARTING, Phase.STOPPING)
RULES: tuple[tuple[Rule, Collection[Phase]], ...] = (
    (_held, ALWAYS),
    (_foreground, ALWAYS),
    (_hidden, (*DOWN, Phase.RESTARTING)),
    (_orphan, DOWN),
    (_not_there, DOWN),
    (_moving, MOVING),
    (_job, (Phase.INACTIVE, Phase.FAILED)),
    (_condition, DOWN),
    (_dependency, (Phase.INACTIVE,)),
    (_stopped, DOWN),
    (_given_up, DOWN),
    (_crash_looping, UP),
    (_restarting, (Phase.RESTARTING,)),
    (_failed, (Phase.FAILED,)),
    (_inactive, (Phase.INACTIVE,)),
    (_not_ready, ACTIVE),
    (_silent, ACTIVE),
    (_probe_failing, ACTIVE),
    (_duplicate, ACTIVE),
    (_own_report, ACTIVE),
    (_late, ACTIVE),
    (_idle, ACTIVE),
    (_overran, ACTIVE),
    (_drift, ACTIVE),
)
"""Each with the phases in which it may fit: the others need not be asked."""
BY_PHASE = {phase: tuple(rule for rule, phases in RULES if phase in phases) for phase in Phase}


# --- Facts that rules share ------------------------------------------------------------------------------------------


def stop_intent(case: Case, unit: UnitState) -> Intent | None:
    """A person's wish that it be down, unless it was started since."""
    intent = case.intent
    if intent is None or intent.kind is not IntentKind.STOP or intent.boot != case.now.boot:
        return None
    if unit.started_monotonic is not None and unit.started_monotonic > intent.monotonic:
        return None
    return intent


def should_have_started(case: Case, unit: UnitState) -> bool:
    """Rule 15: it starts by itself, a boot or a person wanted it up, and nobody has seen it start in this boot."""
    spec = case.spec
    if spec.schedule or not (spec.auto_start and unit.enabled) or case.past.started or unit.started_at:
        return False
    since = expected_since(case)
    return since is not None and case.now.monotonic - since >= NEVER_STARTED


def expected_since(case: Case) -> timedelta | None:
    """Since when it should be starting: since a person asked, or we saw that its boot had not done it."""
    intent = case.intent
    if intent is not None and intent.kind is IntentKind.START and intent.boot == case.now.boot:
        return intent.monotonic
    return (case.host.listening_since or timedelta()) if case.settled else None


def is_new(hold: Hold, now: Instant) -> bool:
    """Whether whoever holds it is probably just stopping it."""
    return timedelta(seconds=-1) <= now.wall - hold.at < HOLD_GRACE


def is_looping(spec: AgentSpec, past: Past) -> bool:
    """Whether it has died too often since a person or the quarantine last started it; after the latter once will do."""
    if spec.restart.policy is NEVER:
        return False
    if past.half_open:
        return bool(past.deaths)
    return spec.restart.loop is not None and len(past.deaths) >= spec.restart.loop.count


def current_beat(beat: Beat | None, unit: UnitState) -> Beat | None:
    """The beat, if it is of this life of the unit."""
    if beat is None or unit.started_monotonic is None or beat.at.monotonic < unit.started_monotonic:
        return None
    return beat


def is_starting(case: Case, unit: UnitState) -> bool:
    """Whether its ready probe is still to say yes. Where nobody asks, or nobody could tell, it counts as ready."""
    if case.spec.ready is None or is_ready(case.past, unit):
        return False
    if case.seen.ready is not None:
        return True
    known = case.past.unready == unit.incarnation or not is_unheard(case.spec, unit, case.now.monotonic)
    return case.host.asks and known


def heartbeat_expected(case: Case, unit: UnitState) -> bool:
    """Its watchdog is armed, or it has beaten in this life, or the user asked for it. Never of a job between runs."""
    if unit.watchdog is not None or case.spec.heartbeat.written:
        return True
    return case.past.beaten is not None and case.past.beaten == unit.incarnation


def last_sign(beat: Beat | None, unit: UnitState) -> timedelta | None:
    """The newer of its last ping and its last beat in this life, on the monotonic clock."""
    if beat is None or unit.last_ping is None:
        return beat.at.monotonic if beat else unit.last_ping
    return max(unit.last_ping, beat.at.monotonic)


def _lived_for(unit: UnitState, length: timedelta | None) -> bool:
    if length is None or unit.started_monotonic is None or unit.ended_monotonic is None:
        return False
    return unit.ended_monotonic - unit.started_monotonic >= length


def counted_from(case: Case, unit: UnitState) -> timedelta:
    """The moment since when its silence says something: it was up, we were listening, and the machine was awake."""
    host = case.host
    return max(_started(case, unit), host.listening_since or EVER, host.disturbed or EVER)


def silence(case: Case, unit: UnitState) -> timedelta:
    since = counted_from(case, unit)
    return case.now.monotonic - max(since, case.sign or since)


def idleness(case: Case, unit: UnitState) -> timedelta:
    since = counted_from(case, unit)
    return case.now.monotonic - max(since, (case.beat.changed if case.beat else None) or since)


def _started(case: Case, unit: UnitState) -> timedelta:
    return unit.started_monotonic if unit.started_monotonic is not None else case.now.monotonic


def stopped_with(case: Case, unit: UnitState) -> str | None:
    """What it requires and what was stopped at the same time, or is being stopped right after it."""
    if case.past.stopped_with:
        return case.past.stopped_with
    ended = unit.ended_at
    just_now = ended is not None and case.now.wall - ended <= TOGETHER
    for name, required in sorted(case.seen.requirements.items()):
        if ended and required.left_active and abs(required.left_active - ended) <= TOGETHER:
            return name
        if just_now and not required.active:
            return name
    return None


# --- Words -----------------------------------------------------------------------------------------------------------


def copies(processes: tuple[Process, ...]) -> str:
    """Each copy with what a person needs to find it."""
    return "; ".join(
        f"PID {one.id.pid} of {one.user or f'uid {one.uid}'} since {one.started_at:%Y-%m-%d %H:%M:%S} UTC"
        + (f" in {PurePath(one.directory)}" if one.directory else "")
        for one in processes
    )


def _pids(processes: Iterable[ProcessId]) -> str:
    return f"PID {', '.join(str(pid) for pid in sorted(process.pid for process in processes))}"


def _own(text: str) -> str:
    """An agent's own words, harmless."""
    return shown(text, limit=LONGEST_REPORT)


def _and_how(unit: UnitState) -> str:
    """How its process answered a stop; a start refused since then says nothing of that."""
    if unit.exit is None:
        return ""
    return f"; it {described(unit.exit) if unit.cause is Cause.ASSERTION else ending(unit)}"


def _died(case: Case, unit: UnitState, then: str) -> Verdict:
    if unit.cause is Cause.CLEAN and unit.phase is Phase.RESTARTING:
        return Verdict(Status.WARNING, Reason.EXITED, f"It {ending(unit)} {then}.")
    reason = DEATHS.get(unit.cause, Reason.CRASHED) if unit.cause else Reason.CRASHED
    what = f" [{shown(case.spec.command[0])}]" if reason is Reason.EXEC_FAILED else ""
    return Verdict(Status.ERROR, reason, f"It {ending(unit)}{what} {then}.")


def _next_try(case: Case) -> str:
    blocked = f"; the last try came to nothing: {case.past.blocked}" if case.past.blocked else ""
    if case.spec.restart.policy is NEVER:
        return "restart.policy: never, so it is not tried again"
    if case.past.next_try is None:
        return f"it is tried again soon{blocked}"
    return f"it is tried again at {_stamp(case.past.next_try)}{blocked}"


def _how_it_drifted(unit: UnitState) -> str:
    if unit.masked:
        return "masked by hand"
    if unit.edited:
        return "edited or removed by hand (`supervise install` restores it)"
    return "changed since systemd read it (`systemctl daemon-reload`)"


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _span(length: timedelta) -> str:
    seconds = length.total_seconds()
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and not seconds % size:
            return f"{seconds // size:g} {unit}"
    return f"{seconds:g} s"
