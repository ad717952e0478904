"""What is wrong with each agent and what to say of it: ordered rules, first match wins (DESIGN, section 4).

Pure: no I/O, no clock, no logging. What cannot be seen (`None`) never makes an agent look worse than it is known to be.
This file judges what the platform and one process scan show; it gives rows and no actions, since acting needs memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from supervise.exits import described, ending
from supervise.model import (
    AgentSpec,
    Cause,
    Decision,
    Hold,
    Instant,
    Observation,
    Phase,
    Process,
    ProcessId,
    Reason,
    Status,
    StatusRow,
    UnitState,
    World,
)

DOWN = (Phase.ABSENT, Phase.INACTIVE, Phase.FAILED)
DEATHS = {
    Cause.WATCHDOG: Reason.WATCHDOG_EXPIRED,
    Cause.OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    Cause.START_TIMEOUT: Reason.START_TIMEOUT,
    Cause.NO_READINESS: Reason.START_TIMEOUT,
    Cause.EXEC_FAILED: Reason.EXEC_FAILED,
}
FULL_HEALTH = 100
AS_WANTED = "It runs as wanted."


@dataclass(frozen=True, slots=True)
class Verdict:
    status: Status
    reason: Reason
    message: str


def decide(world: World, *, now: Instant) -> Decision:
    """One row for each agent that should be here."""
    rows = {name: _row(spec, world, now=now) for name, spec in world.desired.items()}
    return Decision(rows=rows)


def _row(spec: AgentSpec, world: World, *, now: Instant) -> StatusRow:
    seen = world.observed.get(spec.name, Observation())
    verdict = judge(spec, seen, world.holds.get(spec.name))
    unit = seen.unit
    return StatusRow(
        name=spec.name,
        title=spec.title,
        project=spec.project,
        unit=unit.unit if unit else f"agent@{spec.name}.service",
        platform="systemd",
        phase=unit.phase if unit else None,
        status=verdict.status,
        reason=verdict.reason,
        message=verdict.message,
        since=(unit.since if unit and unit.since else now.wall),
        observed_status=verdict.status,
        observed_reason=verdict.reason,
        health=FULL_HEALTH if verdict.status is Status.RUNNING else 0,
        pid=unit.pid if unit else None,
        incarnation=unit.incarnation if unit else None,
        boot=now.boot,
        started_at=unit.started_at if unit else None,
        restarts=unit.restarts if unit else 0,
        updated_at=now.wall,
    )


def judge(spec: AgentSpec, seen: Observation, hold: Hold | None) -> Verdict:
    """The first rule that fits, in the order of the table."""
    unit = seen.unit
    if unit is None:
        return Verdict(Status.UNKNOWN, Reason.NOT_OBSERVED, "The service manager could not be asked.")
    if hold:
        return _held(unit, seen, hold)
    if seen.foreground:
        return _foreground(unit, seen.foreground)
    if unit.phase in (*DOWN, Phase.RESTARTING) and seen.outside:
        return Verdict(
            Status.WARNING,
            Reason.HIDDEN_PROCESS,
            f"It is not running as a unit, but outside of it: {copies(seen.outside)}.",
        )
    if unit.phase in DOWN and seen.inside:
        pids = ", ".join(str(process.pid) for process in sorted(seen.inside, key=lambda one: one.pid))
        return Verdict(
            Status.WARNING, Reason.ORPHAN_PROCESS, f"Its unit is down, but processes of it are left: PID {pids}."
        )
    if unit.phase is Phase.ABSENT:
        return Verdict(Status.STOPPED, Reason.NOT_INSTALLED, "Its unit is not on disk; run `supervise install`.")
    if unit.masked and unit.phase in DOWN:
        return Verdict(
            Status.STOPPED, Reason.MASKED, f"Masked by hand; `systemctl unmask {unit.unit}` allows it again."
        )
    return _moving(unit) or (_job(spec, unit) if spec.schedule else None) or _standing(spec, unit, seen)


def _held(unit: UnitState, seen: Observation, hold: Hold) -> Verdict:
    who = f"held by {hold.by}: {hold.reason}"
    if seen.outside:
        return Verdict(
            Status.ERROR, Reason.HELD, f"It is {who}; yet a copy runs outside its unit: {copies(seen.outside)}."
        )
    if unit.phase not in DOWN:
        return Verdict(Status.ERROR, Reason.HELD, f"It is {who}; yet its unit is {unit.phase.value}.")
    return Verdict(Status.STOPPED, Reason.HELD, f"It is {who}.")


def _foreground(unit: UnitState, processes: frozenset[ProcessId]) -> Verdict:
    pid = min(process.pid for process in processes)
    if unit.phase not in DOWN:
        text = f"It runs twice: as a unit, and in the foreground (`supervise run`, PID {pid})."
        return Verdict(Status.WARNING, Reason.DUPLICATE_PROCESS, text)
    return Verdict(Status.RUNNING, Reason.AS_WANTED, f"It runs in the foreground (`supervise run`, PID {pid}).")


def _moving(unit: UnitState) -> Verdict | None:
    match unit.phase:
        case Phase.QUEUED:
            return Verdict(Status.STARTING, Reason.QUEUED, "It waits for others to start first.")
        case Phase.STARTING:
            return Verdict(Status.STARTING, Reason.STARTING, "It is starting.")
        case Phase.STOPPING:
            return Verdict(Status.STOPPING, Reason.STOPPING, "It is stopping.")
    return None


def _job(spec: AgentSpec, unit: UnitState) -> Verdict | None:
    """Rule 8: a job between its runs."""
    if unit.phase not in (Phase.INACTIVE, Phase.FAILED):
        return None
    if unit.timer_active is False or (unit.timer_active is None and unit.next_run is None):
        return Verdict(Status.STOPPED, Reason.TIMER_STOPPED, "Its timer is not running, so it does not run by itself.")
    if unit.phase is Phase.FAILED and not unit.by_request:
        return Verdict(Status.ERROR, Reason.LAST_RUN_FAILED, f"Its last run {ending(unit)}.")
    if unit.by_request:
        return Verdict(Status.STOPPED, Reason.RUN_STOPPED, "Somebody stopped its last run; it waits for the next one.")
    return Verdict(Status.STOPPED, Reason.WAITING, "It waits for its next run.")


def _standing(spec: AgentSpec, unit: UnitState, seen: Observation) -> Verdict:
    if unit.cause is Cause.CONDITION:
        return Verdict(
            Status.ERROR, Reason.CONDITION_UNMET, "A condition of its unit does not hold, so it did not start."
        )
    if unit.phase in DOWN and unit.by_request:
        return Verdict(Status.STOPPED, Reason.STOPPED_BY_OPERATOR, f"Somebody stopped it{_and_how(unit)}.")
    if unit.phase is Phase.RESTARTING:
        return _died(unit, "and is started again soon")
    if unit.phase is Phase.FAILED:
        return _died(unit, "and systemd has stopped trying" if unit.gave_up else "and is not started again")
    if unit.phase is Phase.INACTIVE:
        return _never_ran_or_ended(unit)
    if seen.outside:
        return Verdict(
            Status.WARNING, Reason.DUPLICATE_PROCESS, f"It runs twice; outside its unit: {copies(seen.outside)}."
        )
    if unit.edited or unit.masked or unit.needs_reload:
        return Verdict(Status.WARNING, Reason.DRIFT, f"It runs, but its unit was {_drift(unit)}.")
    return Verdict(Status.RUNNING, Reason.AS_WANTED, unit.status_text or AS_WANTED)


def _and_how(unit: UnitState) -> str:
    """How its process answered a stop; a start refused since then says nothing of that."""
    if unit.exit is None:
        return ""
    return f"; it {described(unit.exit) if unit.cause is Cause.ASSERTION else ending(unit)}"


def _died(unit: UnitState, then: str) -> Verdict:
    if unit.cause is Cause.CLEAN and unit.phase is Phase.RESTARTING:
        return Verdict(Status.WARNING, Reason.EXITED, f"It {ending(unit)} {then}.")
    reason = DEATHS.get(unit.cause, Reason.CRASHED) if unit.cause else Reason.CRASHED
    return Verdict(Status.ERROR, reason, f"It {ending(unit)} {then}.")


def _never_ran_or_ended(unit: UnitState) -> Verdict:
    if unit.started_at is None:
        return Verdict(Status.STOPPED, Reason.NOT_STARTED, "It has not been started.")
    return Verdict(Status.STOPPED, Reason.EXITED_CLEANLY, f"It ended by itself: it {ending(unit)}.")


def _drift(unit: UnitState) -> str:
    if unit.masked:
        return "masked by hand"
    if unit.edited:
        return "edited or removed by hand (`supervise install` restores it)"
    return "changed since systemd read it (`systemctl daemon-reload`)"


def copies(processes: tuple[Process, ...]) -> str:
    """Each copy with what a person needs to find it."""
    return "; ".join(
        f"PID {one.id.pid} of {one.user or f'uid {one.uid}'} since {one.started_at:%Y-%m-%d %H:%M:%S} UTC"
        + (f" in {PurePath(one.directory)}" if one.directory else "")
        for one in processes
    )
