"""When probes are asked, by a clock that is an argument: in time, not too often, not too many, and nobody forgotten."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervise.model import Probe, ProbeKind, ProbeRole, Question
from supervise.reconcile.agenda import HASTE, MOST, Agenda, Turn
from tests.nouns import NOW, minutes, seconds

MONO = NOW.monotonic
TEN = seconds(10)
PROBE = Probe(ProbeKind.TCP, ("127.0.0.1:1",), interval=TEN)
COMMAND = Probe(ProbeKind.COMMAND, ("/bin/check",), interval=TEN)


def question(name: str = "sma", role: ProbeRole = ProbeRole.LIVE, probe: Probe = PROBE) -> Question:
    return Question(name, role, probe)


def agenda(*questions: Question, life: str = "a", seed: str = "") -> Agenda:
    found = Agenda(seed=seed)
    for one in questions:
        found.follow(one.name, life, one, MONO)
    return found


def names(turns: list[Turn]) -> list[str]:
    return [turn.question.name for turn in turns]


# --- When -------------------------------------------------------------------------------------------------------------


def moments(found: Agenda, count: int, *, takes: timedelta = timedelta()) -> list[timedelta]:
    """When the one agent is asked so many times, each answer taking so long; counted from the beginning."""
    asked = []
    for _ in range(count):
        at = found.next_at()
        assert at is not None
        (turn,) = found.begin(at)
        asked.append(at - MONO)
        assert found.end(turn, at + takes)
    return asked


def test_whether_it_is_ready_is_asked_at_once_and_then_with_growing_pauses_up_to_the_interval() -> None:
    asked = moments(agenda(question(role=ProbeRole.READY)), 9)
    pauses = [(later - sooner).total_seconds() for sooner, later in pairwise(asked)]
    assert asked[0] == timedelta()
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 10, 10]


def test_whether_it_lives_is_asked_once_an_interval_more_or_less() -> None:
    asked = moments(agenda(question()), 50)
    pauses = [later - sooner for sooner, later in pairwise(asked)]
    assert 0.5 * TEN <= asked[0] <= 1.5 * TEN
    assert all(0.9 * TEN <= pause <= 1.1 * TEN for pause in pauses)
    assert len(set(pauses)) > 40
    assert 0.97 <= sum(pauses, timedelta()) / len(pauses) / TEN <= 1.03


def test_what_was_started_together_is_not_asked_together_and_always_at_the_same_moments() -> None:
    found = [agenda(question(f"a{number}")).next_at() for number in range(50)]
    assert len(set(found)) == 50
    assert found == [agenda(question(f"a{number}")).next_at() for number in range(50)]
    assert found != [agenda(question(f"a{number}"), seed="beta").next_at() for number in range(50)]


def test_an_answer_that_takes_longer_than_the_interval_is_waited_for() -> None:
    asked = moments(agenda(question()), 3, takes=minutes(1))
    assert [later - sooner for sooner, later in pairwise(asked)] == [minutes(1)] * 2


def test_the_interval_counts_from_question_to_question() -> None:
    asked = moments(agenda(question()), 2, takes=seconds(5))
    assert 0.9 * TEN <= asked[1] - asked[0] <= 1.1 * TEN


# --- Whom -------------------------------------------------------------------------------------------------------------


def test_of_one_agent_there_are_never_two_questions_under_way_also_not_of_two_lives() -> None:
    found = agenda(question(role=ProbeRole.READY))
    (turn,) = found.begin(MONO)
    assert found.begin(MONO + minutes(9)) == []
    assert found.next_at() is None
    found.follow("sma", "b", question(role=ProbeRole.READY), MONO)
    assert found.next_at() is None
    assert found.begin(MONO + minutes(9)) == []
    assert not found.end(turn, MONO), "its answer is of another life"
    (again,) = found.begin(MONO)
    assert again.life == "b"


@pytest.mark.parametrize(
    "change", [("sma", "a", None), ("sma", "a", question()), ("sma", "b", question(role=ProbeRole.READY))]
)
def test_an_answer_to_what_is_asked_no_more_counts_for_nothing(change: Any) -> None:
    found = agenda(question(role=ProbeRole.READY))
    (turn,) = found.begin(MONO)
    name, life, asked = change
    found.follow(name, life, asked, MONO)
    assert not found.end(turn, MONO)


def test_what_is_asked_already_goes_on_as_it_was() -> None:
    found = agenda(question())
    before = found.next_at()
    found.follow("sma", "a", question(), MONO + seconds(3))
    assert found.next_at() == before


def test_who_is_not_to_be_asked_any_more_is_not() -> None:
    found = agenda(question(), question("ema"))
    found.follow("sma", "", None, MONO)
    found.follow("feed", "", None, MONO)
    assert names(found.begin(MONO + minutes(1))) == ["ema"]


@pytest.mark.parametrize("kind", [PROBE, COMMAND])
def test_only_so_many_are_asked_at_once_and_who_waits_longest_comes_first(kind: Probe) -> None:
    most = MOST[kind.kind]
    found = agenda(*[question(f"a{number}", probe=kind) for number in range(most + 3)])
    late = MONO + minutes(1)
    waiting = sorted(found.turns.values(), key=lambda turn: turn.at)
    begun = found.begin(late)
    assert names(begun) == names(waiting[:most])
    assert (found.begin(late), found.next_at()) == ([], None)
    found.end(begun[0], late)
    assert found.next_at() == waiting[most].at
    assert names(found.begin(late)) == names(waiting[most : most + 1])


def test_commands_do_not_wait_for_the_network() -> None:
    full = [question(f"a{number}") for number in range(MOST[ProbeKind.TCP] + 1)]
    found = agenda(*full, question("z", probe=COMMAND))
    assert "z" in names(found.begin(MONO + minutes(1)))


# --- An error of the network ------------------------------------------------------------------------------------------


def all_asked(found: Agenda, at: timedelta) -> list[Turn]:
    begun = found.begin(at)
    for turn in begun:
        found.end(turn, at)
    return begun


def test_after_an_error_of_the_network_whoever_was_asked_before_is_asked_at_once() -> None:
    slow = replace(PROBE, interval=minutes(9))
    others = [question("b", probe=slow), question("c", probe=replace(slow, kind=ProbeKind.HTTP))]
    commands = [question("d", probe=replace(COMMAND, interval=minutes(9)))]
    found = agenda(question("a"), *others, *commands)
    all_asked(found, MONO + minutes(60))
    now = found.turns["a"].at
    (turn,) = (turn for turn in found.begin(now) if turn.question.name == "a")
    found.end(turn, now)
    found.hurry(turn, now)
    assert {name for name, other in found.turns.items() if other.at == now} == {"b", "c"}


def test_nobody_is_hurried_twice_for_one_error_and_all_together_not_too_often() -> None:
    found = agenda(question("a"), question("b", probe=replace(PROBE, interval=minutes(9))))
    first = {turn.question.name: turn for turn in all_asked(found, MONO + minutes(60))}
    now = MONO + minutes(60)
    found.hurry(first["a"], now)
    assert found.turns["b"].at > now, "it was asked in the same moment"
    early = replace(first["a"], asked_at=now + seconds(1))
    found.hurry(early, now + HASTE - timedelta(microseconds=1))
    assert found.turns["b"].at > now + minutes(1)
    found.hurry(early, now + HASTE)
    assert found.turns["b"].at == now + HASTE


# --- Whatever happens -------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_happens_nobody_is_asked_twice_at_once_too_early_or_never_again(seed: int) -> None:
    chance, found, now = random.Random(seed), Agenda(), MONO
    wanted: dict[str, tuple[str, Question]] = {}
    for _ in range(chance.randint(1, 60)):
        now += seconds(chance.choice((0, 0, 0.3, 4, 30)))
        for _ in range(chance.randint(0, 12)):
            name = f"a{chance.randrange(20)}"
            asked = question(name, chance.choice((*ProbeRole,)), chance.choice((PROBE, COMMAND)))
            life = chance.choice(("a", "b"))
            gone = chance.randrange(4) == 0
            found.follow(name, life, None if gone else asked, now)
            wanted = {**wanted, name: (life, asked)}
            if gone:
                del wanted[name]
        before = dict(found.under_way)
        due = {name for name, turn in found.turns.items() if turn.at <= now}
        begun = found.begin(now)
        assert set(names(begun)) <= due - before.keys()
        assert len(names(begun)) == len(set(names(begun)))
        kinds = [turn.kind for turn in found.under_way.values()]
        assert all(kinds.count(kind) <= most for kind, most in MOST.items())
        for turn in chance.sample([*found.under_way.values()], chance.randint(0, len(found.under_way))):
            stands = wanted.get(turn.name) == (turn.life, turn.question)
            assert found.end(turn, now) is stands
            if chance.randrange(5) == 0:
                found.hurry(turn, now)
    heard: set[str] = set()
    while heard != wanted.keys():
        for turn in [*found.under_way.values()]:
            if found.end(turn, now):
                heard.add(turn.name)
        at = found.next_at()
        assert at is not None, wanted.keys() - heard
        now = max(now, at)
        assert found.begin(now), "it said that somebody was due"
