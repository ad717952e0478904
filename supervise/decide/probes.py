"""What its probes say of an agent: whether it is ready, and what a probe is called before people. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from supervise.model import FOREVER, AgentSpec, Observation, Past, Phase, Probe, ProbeResult, UnitState
from supervise.text import masked, shown

ACTIVE = Phase.ACTIVE  # each pass needs it of each agent, and asked of its class it takes as long as a call
LONGEST_TARGET = 200


def with_answers(past: Past, spec: AgentSpec, unit: UnitState, seen: Observation, now: timedelta) -> Past:
    """The past with what the probes have answered: once ready is ready for life, and so is what nobody could tell."""
    if unit.phase is not ACTIVE:
        return replace(past, network_error=None) if past.network_error else past
    if spec.ready and not is_ready(past, unit):
        past = _with_readiness(past, spec, unit, seen.ready, now)
    error = _network_error(past, spec, unit, seen, now)
    return replace(past, network_error=error) if error != past.network_error else past


def is_ready(past: Past, unit: UnitState) -> bool:
    """Whether this life of it is known to be ready. One that has no name counts as ready."""
    return past.ready == unit.incarnation


def is_unheard(spec: AgentSpec, unit: UnitState, now: timedelta) -> bool:
    """Whether it is too old for a start of which nobody has heard anything: then it counts as ready."""
    call = last_call(spec, unit)
    return call is not None and now >= call


def last_call(spec: AgentSpec, unit: UnitState) -> timedelta | None:
    """The moment by which a ready probe that can be asked at all has been answered."""
    if spec.ready is None or spec.startup_timeout == FOREVER or unit.started_monotonic is None:
        return None
    return unit.started_monotonic + spec.startup_timeout + spec.ready.interval + spec.ready.timeout


def named(probe: Probe) -> str:
    """A probe by what it asks."""
    return shown(" ".join(masked(probe.target)), limit=LONGEST_TARGET)


def _with_readiness(past: Past, spec: AgentSpec, unit: UnitState, ready: ProbeResult | None, now: timedelta) -> Past:
    life = unit.incarnation
    if ready is None:
        unheard = past.unready != life and is_unheard(spec, unit, now)
        return replace(past, ready=life) if unheard else past
    if ready.ok:
        return replace(past, ready=life, unready=None)
    return replace(past, unready=life) if past.unready != life else past


def _network_error(past: Past, spec: AgentSpec, unit: UnitState, seen: Observation, now: timedelta) -> str | None:
    """Of the live probe, or of a ready probe whose time is over: before, not to be reached is how a start looks."""
    answer = seen.live
    if spec.ready and not is_ready(past, unit):
        overdue = unit.started_monotonic is not None and now - unit.started_monotonic >= spec.startup_timeout
        answer = seen.ready if overdue else None
    return answer.network_error if answer and not answer.ok else None
