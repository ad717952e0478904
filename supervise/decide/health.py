"""How well an agent is, from 0 to 100: every lost point has a name and a reason. Pure.

The parts add up: what they lose together is exactly what the health lacks to 100.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from supervise.decide.judge import Case, Verdict, current_beat, heartbeat_expected, silence
from supervise.model import HealthPart, Phase, Reason, Status, UnitState

FULL = 100
WEIGHTS = {"heartbeat": 30.0, "restarts": 30.0, "trouble": 60.0, "report": 1.0}
"""What each part can cost: points in all, but for `report`, which scales what the agent says it lacks."""
PER_RESTART = 10.0
RECENT = timedelta(hours=1)
SHARES = {Status.ERROR: 1.0, Status.WARNING: 0.4}
"""The share of `trouble` that a status costs while the agent runs."""
UP = (Phase.ACTIVE,)


def score(
    verdict: Verdict, case: Case, unit: UnitState | None, *, weights: Mapping[str, float] | None = None
) -> tuple[int, tuple[HealthPart, ...]]:
    """The health, and by which parts it is below 100. What does not run has none."""
    if unit is None or verdict.status in (Status.STOPPED, Status.UNKNOWN) or unit.phase not in UP:
        return _none_left(verdict)
    weights = {**WEIGHTS, **(weights or {})}
    left = float(FULL)
    parts = []
    for part in _lost(verdict, case, unit, weights):
        lost = min(round(part.lost), left)
        if lost > 0:
            parts.append(replace(part, lost=lost))
            left -= lost
    return round(left), tuple(parts)


def _none_left(verdict: Verdict) -> tuple[int, tuple[HealthPart, ...]]:
    if (
        verdict.status is Status.RUNNING or verdict.reason is Reason.WAITING
    ):  # in the foreground; a job between its runs
        return FULL, ()
    return 0, (HealthPart("down", FULL, verdict.reason.value),)


def _lost(verdict: Verdict, case: Case, unit: UnitState, weights: Mapping[str, float]) -> Iterator[HealthPart]:
    if share := SHARES.get(verdict.status):
        yield HealthPart("trouble", weights["trouble"] * share, verdict.reason.value)
    if heartbeat_expected(case, unit) and verdict.reason is not Reason.SILENT:
        yield HealthPart("heartbeat", weights["heartbeat"] * _lateness(case, unit), "its last sign of life is old")
    recent = sum(case.now.monotonic - at < RECENT for at in case.past.deaths)
    if recent:
        lost = min(PER_RESTART * recent, weights["restarts"])
        yield HealthPart("restarts", lost, f"it died {recent} times within an hour" if recent > 1 else "it died once")
    beat = current_beat(case.seen.beat, unit)
    if beat and beat.by_main and beat.health is not None:
        yield HealthPart("report", weights["report"] * (FULL - beat.health), "by its own report")


def _lateness(case: Case, unit: UnitState) -> float:
    """0 up to `late_after`, 1 from `silent_after` on. In tenths, so that it does not change with every look."""
    limits = case.spec.heartbeat
    span = max((limits.silent_after - limits.late_after).total_seconds(), 1.0)
    late = (silence(case, unit) - limits.late_after).total_seconds()
    return min(max(round(late / span, 1), 0.0), 1.0)
