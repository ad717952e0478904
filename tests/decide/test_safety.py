"""Whatever happens on a host, for many passes: what must never be decided, and that deciding again adds nothing.

Agents live, die, are stopped, forgotten, held and locked at random, and what we ask for ends well, badly or not at all.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from supervise.decide import concluded
from supervise.decide.remedy import REMEDIES, STARTS
from supervise.model import (
    ActionKind,
    Beat,
    BeatStatus,
    Cause,
    Decision,
    EventKind,
    Exit,
    HeartbeatLimits,
    HiddenPolicy,
    Hold,
    HostFacts,
    Intent,
    IntentKind,
    Lock,
    Observation,
    Outcome,
    Past,
    Phase,
    Probe,
    ProbeKind,
    ProbeResult,
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
from tests.nouns import NOON, NOW, after, copy, dead, minutes, seconds, spec, state

NAMES = ("sma", "ema", "feed", "nightly")
NEEDED = "agent@feed.service"
LIMITS = HeartbeatLimits(seconds(20), seconds(60), written=True)
PROBE = Probe(ProbeKind.HTTP, ("http://localhost:8000/health",), failures=2)
LOOP = Restart(loop=Rate(2, minutes(15)))
SPECS = {
    "sma": (spec("sma", restart=LOOP), spec("sma", heartbeat=LIMITS, max_idle=minutes(1), hidden=HiddenPolicy.STOP)),
    "ema": (
        spec("ema", live=PROBE),
        spec("ema", restart=Restart(policy=RestartPolicy.NEVER), heartbeat=LIMITS),
        spec("ema", quarantine=None, heartbeat=LIMITS),
        spec("ema", auto_start=False),
    ),
    "feed": (
        spec("feed", ready=PROBE, live=PROBE, startup_timeout=seconds(20)),
        spec("feed", quarantine=Quarantine(seconds(5), 3.0, minutes(1), seconds(30)), heartbeat=LIMITS),
    ),
    "nightly": (spec("nightly", schedule=Schedule(("daily",), deadline=seconds(30))),),
}
LOCK = Lock(Status.RUNNING, 50, "known", "ada", NOON + minutes(2))
OUTCOMES = (None, Outcome(True), Outcome(False, "no"), Outcome(False, "no", denied=True))
Pass = tuple[Host, Mapping[str, StatusRow], Decision]
"""The host after a pass, the rows before it, and what was decided."""


class Chance(random.Random):
    """What happens. Drawn from a seed and not by hypothesis itself, which is too slow for so many things a pass."""

    def once_in(self, number: int) -> bool:
        return self.randrange(number) == 0

    def some(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if self.once_in(3)]

    def moment(self) -> timedelta:
        """Counted from NOW."""
        return seconds(self.randint(-120, 120))

    def unit(self, name: str) -> UnitState:
        if self.once_in(5):
            phase, gave_up = self.choice(((Phase.INACTIVE, False), (Phase.FAILED, True)))
            return dead(phase=phase, name=name, by_request=not gave_up, gave_up=gave_up)
        started, ended, ping = self.moment(), self.moment(), self.moment()
        ran, life = not self.once_in(3), self.choice(("a", "b", "c", "d"))
        return state(
            self.choice((*Phase, Phase.ACTIVE, Phase.RESTARTING)) if ran else Phase.INACTIVE,
            name,
            incarnation=f"boot-1/{life}" if ran and not self.once_in(9) else None,
            started_at=NOON + started if ran else None,
            started_monotonic=NOW.monotonic + started if ran else None,
            ended_at=self.choice((None, NOON, NOON + ended)),
            ended_monotonic=self.choice((None, NOW.monotonic + ended)),
            since=self.choice((None, NOON)),
            cause=self.choice((None, Cause.CLEAN, *Cause)),
            exit=self.choice((None, Exit(code=3))),
            before_start=self.once_in(4),
            by_request=self.choice((None, True, False)),
            gave_up=self.choice((None, True, False)),
            restarts=self.choice((0, 0, 1, 4)),
            watchdog=self.choice((None, seconds(30))),
            last_ping=self.choice((None, NOW.monotonic + ping)),
            enabled=not self.once_in(3),
            masked=self.once_in(10),
            next_run=self.choice((None, NOON + ping, NOON + 4 * abs(ping))),
            timer_active=self.choice((None, True, True, False)),
            pid=self.choice((None, 7)),
        )

    def observation(self, name: str) -> Observation:
        beat = Beat(
            after(self.moment()),
            7,
            status=self.choice((None, *BeatStatus)),
            health=self.choice((None, -10, 50, 110)),
            activity=self.choice((None, "page 3")),
            waiting=self.choice((None, "no route to exchange")),
        )
        return Observation(
            unit=self.unit(name),
            inside=self.choice((None, frozenset(), frozenset(), frozenset({ProcessId(1, 1)}))),
            outside=self.choice((None, (), (), (copy(),))),
            beat=self.choice((None, beat)),
            requirements=self.requirements(),
            acting=self.once_in(5),
            ready=self.answer(),
            live=self.answer(),
            failed_probes=self.choice((0, 1, 2, 3)),
        )

    def requirements(self) -> dict[str, Requirement]:
        return self.choice(({}, {NEEDED: Requirement(True)}, {NEEDED: Requirement(False, NOON)}))

    def answer(self) -> ProbeResult | None:
        good, error = not self.once_in(2), self.choice((None, "refused", "timeout"))
        result = ProbeResult(good, "status", after(self.moment()), None if good else error)
        return self.choice((None, result, result))

    def circumstances(self) -> dict[str, Any]:
        """What may be so besides what is seen."""
        long_ago = NOW.monotonic - seconds(self.randint(0, 100))
        at = after(self.moment())
        return {
            "holds": {name: Hold(name, "too many orders", "ada", NOON + self.moment()) for name in self.some(NAMES)},
            "intents": {
                name: Intent(self.choice(tuple(IntentKind)), name, "ada", at.wall, at.boot, at.monotonic)
                for name in self.some(NAMES)
            },
            "settled": frozenset(NAMES) - set(self.some(NAMES)),
            "host": HostFacts(
                disturbed=self.choice((None, long_ago)),
                listening_since=self.choice((None, long_ago)),
                unseen_since=long_ago if self.once_in(8) else None,
                may_act=not self.once_in(8),
                asks=not self.once_in(4),
            ),
        }


def story(seed: int) -> Iterator[Pass]:
    """Some passes on one host; between them time goes by, and what was done ends well, badly or not at all."""
    chance = Chance(seed)
    host = Host(*[chance.choice(SPECS[name]) for name in NAMES])
    for _ in range(chance.randint(1, 8)):
        host.learns(**chance.circumstances())
        if chance.once_in(4):
            host.learns(rows={name: replace(row, lock=LOCK) for name, row in host.world.rows.items()})
        before = dict(host.world.rows)
        known = [host.world.observed[name] for name in chance.some(sorted(host.world.observed))]
        seen = [replace(one, requirements=chance.requirements()) for one in known]
        seen += [chance.observation(name) for name in chance.some((*NAMES, "stray"))]
        decision = host.sees(*seen, at=after(seconds(chance.choice((0, 1, 30, 200))), host.now))
        yield host, before, decision
        for action in decision.actions:
            if outcome := chance.choice(OUTCOMES):
                ended = concluded(host.row(action.name), action, outcome, now=host.now)
                host.learns(rows={**host.world.rows, action.name: ended})


STORIES = st.integers(0, 2**32).map(story)
OFTEN = settings(max_examples=150, deadline=None)


def test_in_these_stories_every_remedy_is_applied_at_some_time() -> None:
    missing = set(REMEDIES.items())
    for seed in range(2000):
        missing -= {(Reason(one.reason), one.kind) for _, _, decision in story(seed) for one in decision.actions}
        if not missing:
            break
    assert missing == set()


@OFTEN
@given(STORIES)
def test_no_agent_is_started_that_is_held_unseen_or_being_dealt_with(passes: Iterator[Pass]) -> None:
    for host, _, decision in passes:
        for action in decision.actions:
            seen = host.world.observed[action.name]
            assert seen.unit is not None
            assert not seen.acting
            assert host.world.host.may_act
            assert host.world.host.unseen_since is None
            assert action.name in host.world.desired
            assert not (action.name in host.world.holds and action.kind in STARTS)


@OFTEN
@given(STORIES)
def test_no_two_things_are_done_to_one_agent_at_once(passes: Iterator[Pass]) -> None:
    for _, _, decision in passes:
        names = [action.name for action in decision.actions]
        assert len(names) == len(set(names))


@OFTEN
@given(STORIES)
def test_nothing_is_done_before_its_time_and_no_start_within_a_wait(passes: Iterator[Pass]) -> None:
    """The wait is void only where another life has begun that nobody of ours asked for, or the old one has settled."""
    for host, before, decision in passes:
        for action in decision.actions:
            unit, last = host.world.observed[action.name].unit, before.get(action.name)
            same_life = last is not None and unit is not None and unit.incarnation in (None, last.incarnation)
            past = last.past if last is not None and same_life else Past()
            settled = host.row(action.name).past.attempts <= 1 < past.attempts
            assert settled or past.not_before is None or past.not_before <= host.now.monotonic
            if action.kind in STARTS and not settled:
                assert past.retry_at is None or past.retry_at <= host.now.monotonic


@OFTEN
@given(STORIES)
def test_nobody_is_ended_but_who_was_seen_and_whose_agent_allows_it(passes: Iterator[Pass]) -> None:
    for host, _, decision in passes:
        for action in decision.actions:
            seen = host.world.observed[action.name]
            there = {one.id for one in seen.outside or () if one.user == "trader"} | (seen.inside or frozenset())
            assert set(action.processes) <= there
            assert bool(action.processes) is (action.kind is ActionKind.END)
            assert not action.processes or host.world.desired[action.name].hidden is HiddenPolicy.STOP


@OFTEN
@given(STORIES)
def test_what_is_never_restarted_is_started_only_as_at_boot(passes: Iterator[Pass]) -> None:
    for host, _, decision in passes:
        for action in decision.actions:
            never = host.world.desired[action.name].restart.policy is RestartPolicy.NEVER
            assert not never or action.kind not in STARTS or action.reason == Reason.NOT_RUNNING


@OFTEN
@given(STORIES)
def test_whom_a_person_stopped_nobody_starts(passes: Iterator[Pass]) -> None:
    for host, before, decision in passes:
        for action in decision.actions:
            unit, intent = host.world.observed[action.name].unit, host.world.intents.get(action.name)
            assert unit is not None
            ending = before[action.name].past.ending if action.name in before else None  # systemd may have forgotten it
            started = unit.started_monotonic or (ending.started_monotonic if ending else None)
            since = started is not None and intent and started > intent.monotonic
            if intent and intent.kind is IntentKind.STOP and unit.phase is Phase.INACTIVE and not since:
                assert action.kind not in STARTS


@OFTEN
@given(STORIES)
def test_decided_again_nothing_more_comes_of_it(passes: Iterator[Pass]) -> None:
    for host, _, decision in passes:
        under_way = {action.name for action in decision.actions}
        acting = [replace(host.world.observed[name], acting=True) for name in under_way]
        again = host.sees(*acting)
        assert replace(again, wakes={}) == Decision({})


@OFTEN
@given(STORIES)
def test_every_change_of_what_is_said_is_told_once(passes: Iterator[Pass]) -> None:
    for host, before, decision in passes:
        each = [(event.name, event.kind) for event in decision.events if event.name]
        assert len(each) == len(set(each))
        told = {name for name, kind in each if kind is EventKind.STATUS}
        for name in host.world.desired:
            old, new = before.get(name), host.world.rows.get(name)
            if new and (old is None or (old.status, old.reason) != (new.status, new.reason)):
                assert name in told


@OFTEN
@given(STORIES)
def test_nobody_is_looked_at_in_the_past(passes: Iterator[Pass]) -> None:
    for host, _, decision in passes:
        assert all(at >= host.now.monotonic for at in decision.wakes.values())


@OFTEN
@given(STORIES)
def test_unknown_is_said_of_exactly_those_that_were_not_seen(passes: Iterator[Pass]) -> None:
    for host, _, decision in passes:
        if host.world.host.unseen_since is None:
            rows = host.world.rows
            unknown = {name for name in NAMES if name in rows and rows[name].observed_status is Status.UNKNOWN}
            assert unknown == {name for name in NAMES if name in rows and name not in host.world.observed}
            assert rows.keys() >= host.world.observed.keys() & set(NAMES)
            assert set(decision.forget).isdisjoint(NAMES)
