"""How well an agent is, from 0 to 100: every lost point has a name and a reason. Pure.

The parts add up: what they lose together is exactly what the health lacks to 100.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from supervise.decide.judge import Case, Verdict
from supervise.decide.presets import BALANCED, BUILT_IN, Weights
from supervise.decide.usage import pressure
from supervise.model import Beat, BeatStatus, HealthPart, HeartbeatLimits, Phase, Reason, Status, UnitState

FULL = 100
USUAL = BUILT_IN[BALANCED]
ENOUGH = 3
"""So many restarts within an hour cost all that restarts can."""
NOT_READY = 0.5
"""The share of `probes` that an agent costs which is not ready."""
SHARES: Mapping[str, float] = {Status.ERROR: 1.0, Status.WARNING: 0.4}
"""The share of `trouble` that a status costs while the agent runs."""
OWN = {BeatStatus.ERROR: Reason.AGENT_ERROR, BeatStatus.WARNING: Reason.AGENT_WARNING}
UP = (Phase.ACTIVE,)
NOT_RUNNING = (Status.STOPPED, Status.UNKNOWN)


def score(
    verdict: Verdict, case: Case, unit: UnitState | None, *, weights: Weights = USUAL
) -> tuple[int, tuple[HealthPart, ...]]:
    """The health, and by which parts it is below 100. What does not run has none."""
    if unit is None or verdict.status in NOT_RUNNING or unit.phase not in UP:
        return _none_left(verdict)
    left = float(FULL)
    parts = []
    for name, share, why in _lost(verdict, case):
        if share and (lost := min(round(weights.get(name, USUAL[name]) * share), left)) > 0:
            parts.append(HealthPart(name, lost, why))
            left -= lost
    return round(left), tuple(parts)


def _none_left(verdict: Verdict) -> tuple[int, tuple[HealthPart, ...]]:
    if (
        verdict.status is Status.RUNNING or verdict.reason is Reason.WAITING
    ):  # in the foreground; a job between its runs
        return FULL, ()
    return 0, (HealthPart("down", FULL, verdict.reason.value),)


def _lost(verdict: Verdict, case: Case) -> Iterator[tuple[str, float, str]]:
    """The parts that are not whole: their names, the share of each that is lost, and why."""
    beat = case.beat if case.beat and case.beat.by_main else None
    share, reason = _gravity(verdict, beat)
    if share:
        yield "trouble", share, reason.value
    if case.quiet is not None and case.quiet > case.spec.heartbeat.late_after:
        yield "heartbeat", _lateness(case.quiet, case.spec.heartbeat), "its last sign of life is old"
    if recent := len(case.past.restarted):
        times = f"{recent} times" if recent > 1 else "once"
        yield "restarts", min(recent / ENOUGH, 1.0), f"it was restarted {times} within an hour"
    if case.seen.live or case.seen.ready:
        yield "probes", *max(_doubts(case), default=(0.0, ""))
    if case.seen.usage:
        yield "pressure", *pressure(case.seen.usage)
    if beat and beat.health is not None:
        yield "report", (FULL - beat.health) / FULL, "by its own report"


def _gravity(verdict: Verdict, beat: Beat | None) -> tuple[float, Reason]:
    """How bad it is, and what is. Its own word counts also where a lesser reason comes first and hides it: one trouble
    more must never make it look better."""
    share, own = SHARES.get(verdict.status, 0.0), beat.status if beat else None
    if own in OWN and SHARES[own] > share:
        return SHARES[own], OWN[own]
    return share, verdict.reason


def _doubts(case: Case) -> Iterator[tuple[float, str]]:
    """What its probes say against it, each from 0 to 1."""
    probe, live, ready = case.spec.live, case.seen.live, case.seen.ready
    if probe and live and not live.ok:
        failed = min(case.seen.failed_probes, probe.failures)
        yield failed / probe.failures, f"its live probe fails ({failed} of {probe.failures} times)"
    if ready and not ready.ok:
        yield NOT_READY, "it is not ready by its probe"


def _lateness(quiet: timedelta, limits: HeartbeatLimits) -> float:
    """From 0 at `late_after` to 1 from `silent_after` on. In tenths, so that it does not change with every look."""
    span = max((limits.silent_after - limits.late_after).total_seconds(), 1.0)
    late = (quiet - limits.late_after).total_seconds()
    return min(max(round(late / span, 1), 0.0), 1.0)
