"""What is done about a verdict, and when: one table from reason to action, and the patience that every start passes.

Pure. At most one action per agent and pass, none while one is under way, none inside a backoff, none while held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from supervise.decide.judge import DOWN, Case, Verdict, is_new, should_have_started
from supervise.decide.past import waiting
from supervise.model import (
    Action,
    ActionKind,
    HiddenPolicy,
    Instant,
    Outcome,
    Past,
    Phase,
    ProcessId,
    Quarantine,
    Reason,
    RestartPolicy,
    StatusRow,
    UnitState,
)

REMEDIES = {
    Reason.HELD: ActionKind.STOP,
    Reason.DEPENDENCY_FAILED: ActionKind.START,
    Reason.DEPENDENCY_STOPPED: ActionKind.START,
    Reason.QUARANTINED: ActionKind.RESET_AND_START,
    Reason.CRASH_LOOPING: ActionKind.STOP,
    Reason.NOT_RUNNING: ActionKind.START,
    Reason.START_TIMEOUT: ActionKind.RESTART,
    Reason.SILENT: ActionKind.RESTART,
    Reason.PROBE_FAILING: ActionKind.RESTART,
    Reason.HIDDEN_PROCESS: ActionKind.END,
    Reason.ORPHAN_PROCESS: ActionKind.END,
    Reason.DUPLICATE_PROCESS: ActionKind.END,
}
STARTS = (ActionKind.START, ActionKind.RESET_AND_START, ActionKind.RESTART)
AFTER_SUCCESS = timedelta(seconds=2)
"""A stop that was made may take a moment to be seen: until then it is not made again."""
AFTER_FAILURE = timedelta(seconds=10)
"""After an action that came to nothing."""
AFTER_DENIAL = timedelta(minutes=5)
"""After one that we had no right to."""
RETRY = Quarantine()
"""The waits where `quarantine` is off and a start is due all the same (rule 15, a dependency, silence, a probe)."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """What is done (None: nothing now), what must be remembered of it, and when to look again."""

    action: Action | None
    past: Past
    wake_at: timedelta | None = None


Condition = Callable[[Case, UnitState, Past], timedelta | None]
"""The moment from which on the remedy is due; None for never."""


def remedy(verdict: Verdict, case: Case, unit: UnitState) -> Remedy:
    """The one thing to do for an agent now."""
    past = case.past
    kind = REMEDIES.get(verdict.reason)
    if kind is None or not case.host.may_act:
        return Remedy(None, past)
    due = DUE[verdict.reason](case, unit, past)
    if due is None:
        return Remedy(None, past)
    due = max(due, past.not_before or due)
    if case.seen.acting:
        return Remedy(None, past)
    if due > case.now.monotonic:
        return Remedy(None, past, due)
    action = Action(kind, case.spec.name, unit.unit, verdict.reason.value)
    if verdict.reason is Reason.HELD and unit.phase in DOWN:
        action = replace(action, kind=ActionKind.END)
    if action.kind is ActionKind.END:
        action = replace(action, processes=endable(case, unit))
    return Remedy(action, _begun(past, case, unit, verdict.reason))


def endable(case: Case, unit: UnitState) -> tuple[ProcessId, ...]:
    """What `hidden: stop` may end: copies of the agent's own user, and what was left in the unit that is down."""
    if case.spec.hidden is not HiddenPolicy.STOP:
        return ()
    owner = case.spec.user or case.host.user
    own = [one.id for one in case.seen.outside or () if owner is not None and one.user == owner]
    left = case.seen.inside or () if unit.phase in DOWN else ()
    return tuple(sorted({*own, *left}, key=lambda one: one.pid))


def still_due(action: Action, then: UnitState, now: UnitState) -> bool:
    """Whether a unit is where it was when this was decided: nobody has started, stopped or restarted it since."""
    if action.kind is ActionKind.STOP:
        return now.incarnation == then.incarnation or now.restarts > 0  # its manager restarts it again and again
    same_life = now.incarnation in (None, then.incarnation)  # None: systemd has forgotten the unit
    return same_life and (now.phase in DOWN) is (then.phase in DOWN)


def concluded(row: StatusRow, action: Action, outcome: Outcome, *, now: Instant) -> StatusRow:
    """The row after an action has ended: of one in vain it remembers why, and waits."""
    past = row.past
    if outcome.ok:
        seen_by = now.monotonic + AFTER_SUCCESS if action.kind in (ActionKind.STOP, ActionKind.END) else None
        past = replace(past, not_before=seen_by, blocked="")
    else:
        wait = AFTER_DENIAL if outcome.denied else AFTER_FAILURE
        past = replace(past, asked=False, not_before=now.monotonic + wait, blocked=outcome.detail.rstrip("."))
        if outcome.unmade and action.kind in STARTS:
            past = as_if_never_tried(past, wait, now)
    return replace(row, past=past)


def as_if_never_tried(past: Past, wait: timedelta, now: Instant) -> Past:
    """A start that was not made says nothing of the agent: its backoff does not grow, and it is due again soon."""
    return replace(
        past,
        attempts=max(past.attempts - 1, 0),
        half_open=False,
        retry_at=now.monotonic + wait,
        next_try=(now.wall + wait).replace(microsecond=0),
    )


def _begun(past: Past, case: Case, unit: UnitState, reason: Reason) -> Past:
    """The past once the action is under way. The wait after a start grows with each one that did not last."""
    quarantine = case.spec.quarantine or RETRY
    if reason is Reason.CRASH_LOOPING:
        parked = replace(past, quarantined=True)
        return waiting(parked, quarantine, case.now, life=unit.incarnation, seed=case.spec.name)
    if reason in (Reason.HELD, Reason.HIDDEN_PROCESS, Reason.ORPHAN_PROCESS, Reason.DUPLICATE_PROCESS):
        return replace(past, not_before=case.now.monotonic + AFTER_FAILURE)
    begun = replace(past, asked=True, attempts=past.attempts + 1, retry_at=None)
    if REMEDIES[reason] is ActionKind.RESTART:
        begun = replace(begun, restarted=(*past.restarted, case.now.monotonic))
    if reason is Reason.QUARANTINED:
        return replace(begun, half_open=True)
    return waiting(begun, quarantine, case.now, life=unit.incarnation, seed=case.spec.name)


# --- When ------------------------------------------------------------------------------------------------------------


def _while_it_runs(case: Case, unit: UnitState, past: Past) -> timedelta | None:
    if case.hold and is_new(case.hold, case.now):
        return None
    if unit.phase in DOWN:
        return _if_endable(case, unit, past)
    return None if unit.phase in (Phase.QUEUED, Phase.STOPPING) else timedelta()


def _if_endable(case: Case, unit: UnitState, past: Past) -> timedelta | None:
    return timedelta() if endable(case, unit) else None


def _at_once(case: Case, unit: UnitState, past: Past) -> timedelta | None:
    return timedelta()


def _after_backoff(case: Case, unit: UnitState, past: Past) -> timedelta | None:
    return None if case.spec.restart.policy is RestartPolicy.NEVER else past.retry_at


def _once_required_is_there(case: Case, unit: UnitState, past: Past) -> timedelta | None:
    requirements = case.seen.requirements.values()
    if case.spec.restart.policy is RestartPolicy.NEVER or not requirements:
        return None
    if not all(one.active for one in requirements):
        return None
    return past.retry_at or timedelta()


def _once_it_is_back(case: Case, unit: UnitState, past: Past) -> timedelta | None:
    """What it was stopped with; but what a person has stopped, a person starts again."""
    return _once_required_is_there(case, unit, past) if past.left_alone else None


def _not_while_booting(case: Case, unit: UnitState, past: Past) -> timedelta | None:
    return (past.retry_at or timedelta()) if should_have_started(case, unit) else None


def _when_it_fails(case: Case, unit: UnitState, past: Past) -> timedelta | None:
    if case.spec.restart.policy is RestartPolicy.NEVER:
        return None
    return past.retry_at or timedelta()


def _when_it_says_so(case: Case, unit: UnitState, past: Past) -> timedelta | None:
    """Not for a start that its manager has given up, which has the same name; nor where its probe was not asked now."""
    up = unit.phase is Phase.ACTIVE and case.seen.ready is not None
    return _when_it_fails(case, unit, past) if up else None


DUE: dict[Reason, Condition] = {
    Reason.HELD: _while_it_runs,
    Reason.DEPENDENCY_FAILED: _once_required_is_there,
    Reason.DEPENDENCY_STOPPED: _once_it_is_back,
    Reason.QUARANTINED: _after_backoff,
    Reason.CRASH_LOOPING: _at_once,
    Reason.NOT_RUNNING: _not_while_booting,
    Reason.START_TIMEOUT: _when_it_says_so,
    Reason.SILENT: _when_it_fails,
    Reason.PROBE_FAILING: _when_it_fails,
    Reason.HIDDEN_PROCESS: _if_endable,
    Reason.ORPHAN_PROCESS: _if_endable,
    Reason.DUPLICATE_PROCESS: _if_endable,
}
