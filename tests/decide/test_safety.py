"""Whatever happens on a host, for many passes: what must never be decided, and that deciding again adds nothing.

Agents live, die, are stopped, forgotten, held and locked at random, and what we ask for ends well, badly or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from supervise.decide import concluded
from supervise.decide.remedy import STARTS
from supervise.model import (
    Action,
    Beat,
    BeatStatus,
    Cause,
    Decision,
    Exit,
    HeartbeatLimits,
    Hold,
    HostFacts,
    Intent,
    IntentKind,
    Lock,
    Observation,
    Outcome,
    Past,
    Phase,
    ProcessId,
    Quarantine,
    Rate,
    Reason,
    Requirement,
    Restart,
    RestartPolicy,
    Schedule,
    Status,
    StatusRow,
    UnitState,
)
from tests.decide.host import Host
from tests.nouns import NOON, NOW, after, copy, minutes, seconds, spec, state

NAMES = ("sma", "ema", "feed", "nightly")
NEEDED = "agent@feed.service"
LIMITS = HeartbeatLimits(seconds(20), seconds(60), written=True)
LOOP = Restart(loop=Rate(2, minutes(15)))
SPECS = {
    "sma": st.sampled_from([spec("sma", restart=LOOP), spec("sma", heartbeat=LIMITS, max_idle=minutes(1))]),
    "ema": st.sampled_from(
        [
            spec("ema", restart=Restart(policy=RestartPolicy.NEVER), heartbeat=LIMITS),
            spec("ema", quarantine=None, heartbeat=LIMITS),
            spec("ema", auto_start=False),
        ]
    ),
    "feed": st.just(spec("feed", quarantine=Quarantine(seconds(5), 3.0, minutes(1), seconds(30)), heartbeat=LIMITS)),
    "nightly": st.just(spec("nightly", schedule=Schedule(("daily",), deadline=seconds(30)))),
}
TIMES = st.none() | st.integers(-120, 120).map(seconds)
"""Moments, counted from NOW."""


@st.composite
def units(draw: Any, name: str) -> UnitState:
    started, ended, ping = draw(TIMES), draw(TIMES), draw(TIMES)
    life = draw(st.sampled_from([None, "a", "b", "c", "d"]))
    return state(
        draw(st.sampled_from(Phase)),
        name,
        incarnation=life and f"boot-1/{life}",
        started_at=None if started is None else NOON + started,
        started_monotonic=None if started is None else NOW.monotonic + started,
        ended_at=None if ended is None else NOON + ended,
        ended_monotonic=None if ended is None else NOW.monotonic + ended,
        since=draw(st.none() | st.just(NOON)),
        cause=draw(st.none() | st.sampled_from(Cause)),
        exit=draw(st.none() | st.just(Exit(code=3))),
        before_start=draw(st.booleans()),
        by_request=draw(st.sampled_from([None, True, False])),
        gave_up=draw(st.sampled_from([None, True, False])),
        restarts=draw(st.integers(0, 4)),
        watchdog=draw(st.none() | st.just(seconds(30))),
        last_ping=None if ping is None else NOW.monotonic + ping,
        enabled=draw(st.booleans()),
        masked=draw(st.integers(0, 9).map(lambda number: number == 0)),
        next_run=None if ping is None else NOON + ping,
        timer_active=draw(st.none() | st.booleans()),
        pid=draw(st.none() | st.just(7)),
    )


BEATS = st.builds(
    lambda at, **beat: Beat(after(seconds(at)), 7, **beat),
    st.integers(-120, 120),
    status=st.none() | st.sampled_from(BeatStatus),
    health=st.none() | st.integers(-10, 110),
    activity=st.none() | st.just("page 3"),
)


def observations(name: str) -> st.SearchStrategy[Observation]:
    return st.builds(
        Observation,
        unit=units(name),
        inside=st.sampled_from([None, frozenset(), frozenset(), frozenset({ProcessId(1, 1)})]),
        outside=st.sampled_from([None, (), (), (copy(),)]),
        beat=st.none() | BEATS,
        requirements=st.sampled_from([{}, {NEEDED: Requirement(True)}, {NEEDED: Requirement(False, NOON)}]),
        acting=st.integers(0, 4).map(lambda number: number == 0),
    )


@st.composite
def worlds(draw: Any) -> dict[str, Any]:
    """What may be so besides what is seen."""
    some = st.sets(st.sampled_from(NAMES))
    wishes = st.builds(lambda kind, at: (kind, after(seconds(at))), st.sampled_from(IntentKind), st.integers(-120, 120))
    intents = draw(st.dictionaries(st.sampled_from(NAMES), wishes))
    past = st.none() | st.integers(-100, 0).map(lambda number: NOW.monotonic + seconds(number))
    return {
        "holds": {name: Hold(name, "too many orders", "ada", NOON) for name in draw(some)},
        "intents": {
            name: Intent(kind, name, "ada", at.wall, at.boot, at.monotonic) for name, (kind, at) in intents.items()
        },
        "settled": frozenset(draw(some)),
        "host": HostFacts(disturbed=draw(past), unseen_since=draw(st.none() | past), may_act=draw(st.booleans())),
    }


@st.composite
def stories(draw: Any) -> list[tuple[timedelta, dict[str, Any], list[Observation], Outcome | None, Lock | None]]:
    """Passes: how much later, what is so, what is seen, what becomes of what is then done, and what is locked."""
    outcomes = st.sampled_from([None, Outcome(True), Outcome(False, "no"), Outcome(False, "no", denied=True)])
    lock = Lock(Status.RUNNING, 50, "known", "ada", NOON + minutes(2))
    return [
        (
            seconds(draw(st.integers(0, 200))),
            draw(worlds()),
            [draw(observations(name)) for name in draw(st.sets(st.sampled_from((*NAMES, "stray"))))],
            draw(outcomes),
            draw(st.sampled_from([None, None, lock])),
        )
        for _ in range(draw(st.integers(1, 5)))
    ]


@st.composite
def passes(draw: Any) -> Iterator[tuple[Host, dict[str, StatusRow], Decision]]:
    """Each pass of one story: the host after it, the rows before it, and what was decided."""
    host = Host(*[draw(SPECS[name]) for name in NAMES])
    return _told(host, draw(stories()))


def _told(host: Host, story: Any) -> Iterator[tuple[Host, dict[str, StatusRow], Decision]]:
    for later, world, seen, outcome, lock in story:
        host.learns(**world)
        if lock:
            host.learns(rows={name: replace(row, lock=lock) for name, row in host.world.rows.items()})
        before = dict(host.world.rows)
        decision = host.sees(*seen, at=after(later, host.now))
        yield host, before, decision
        for action in decision.actions:
            _end(host, action, outcome)


def _end(host: Host, action: Action, outcome: Outcome | None) -> None:
    """What was done has ended, if it has."""
    if outcome is not None:
        rows = {**host.world.rows, action.name: concluded(host.row(action.name), action, outcome, now=host.now)}
        host.learns(rows=rows)


OFTEN = settings(max_examples=150, deadline=None)


@OFTEN
@given(passes())
def test_no_agent_is_started_that_is_held_unseen_or_being_dealt_with(story: Any) -> None:
    for host, _, decision in story:
        for action in decision.actions:
            seen = host.world.observed[action.name]
            assert seen.unit is not None
            assert not seen.acting
            assert host.world.host.may_act
            assert host.world.host.unseen_since is None
            assert action.name in host.world.desired
            assert not (action.name in host.world.holds and action.kind in STARTS)


@OFTEN
@given(passes())
def test_no_two_things_are_done_to_one_agent_at_once(story: Any) -> None:
    for _, _, decision in story:
        names = [action.name for action in decision.actions]
        assert len(names) == len(set(names))


@OFTEN
@given(passes())
def test_nothing_is_done_before_its_time_and_no_start_within_a_wait(story: Any) -> None:
    """The wait is void only where another life has begun that nobody of ours asked for, or the old one has settled."""
    for host, before, decision in story:
        for action in decision.actions:
            unit, last = host.world.observed[action.name].unit, before.get(action.name)
            same_life = last is not None and unit is not None and unit.incarnation in (None, last.incarnation)
            past = last.past if last is not None and same_life else Past()
            settled = host.row(action.name).past.attempts <= 1 < past.attempts
            assert settled or past.not_before is None or past.not_before <= host.now.monotonic
            if action.kind in STARTS and not settled:
                assert past.retry_at is None or past.retry_at <= host.now.monotonic


@OFTEN
@given(passes())
def test_what_is_never_restarted_is_started_only_as_at_boot(story: Any) -> None:
    for host, _, decision in story:
        for action in decision.actions:
            never = host.world.desired[action.name].restart.policy is RestartPolicy.NEVER
            assert not never or action.kind not in STARTS or action.reason == Reason.NOT_RUNNING


@OFTEN
@given(passes())
def test_whom_a_person_stopped_nobody_starts(story: Any) -> None:
    for host, _, decision in story:
        for action in decision.actions:
            unit, intent = host.world.observed[action.name].unit, host.world.intents.get(action.name)
            if intent and unit and intent.kind is IntentKind.STOP and unit.phase is Phase.INACTIVE:
                assert action.kind not in STARTS


@OFTEN
@given(passes())
def test_decided_again_nothing_more_comes_of_it(story: Any) -> None:
    for host, _, decision in story:
        under_way = {action.name for action in decision.actions}
        acting = [replace(host.world.observed[name], acting=True) for name in under_way]
        again = host.sees(*acting)
        assert replace(again, wakes={}) == Decision({})


@OFTEN
@given(passes())
def test_every_change_of_what_is_said_is_told_once(story: Any) -> None:
    for host, before, decision in story:
        told = [event.name for event in decision.events if event.name]
        assert len(told) == len(set(told))
        for name in host.world.desired:
            old, new = before.get(name), host.world.rows.get(name)
            if new and (old is None or (old.status, old.reason) != (new.status, new.reason)):
                assert name in told


@OFTEN
@given(passes())
def test_nobody_is_looked_at_in_the_past(story: Any) -> None:
    for host, _, decision in story:
        assert all(at >= host.now.monotonic for at in decision.wakes.values())


@OFTEN
@given(passes())
def test_unknown_is_said_of_exactly_those_that_were_not_seen(story: Any) -> None:
    for host, _, decision in story:
        if host.world.host.unseen_since is None:
            unknown = {name for name in NAMES if host.row(name).observed_status is Status.UNKNOWN}
            assert unknown == {name for name in NAMES if name not in host.world.observed}
            assert set(decision.forget).isdisjoint(NAMES)
