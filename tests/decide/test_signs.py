"""What beats are worth: at once what may change how the agent is, now and then its words and that it lives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from supervise.decide.signs import COARSE, SEEN, is_due, is_urgent, is_worth_a_row
from supervise.model import Beat, BeatStatus, Reason, Source, Status
from tests.nouns import NOON, NOW, after, row, seconds

MOMENT = timedelta(microseconds=1)
BEAT = Beat(NOW, 7, status=BeatStatus.RUNNING, health=100, activity="page 3")
ROW = row(last_heartbeat=NOON, source=Source.BEAT, last_activity="page 3")


@pytest.mark.parametrize(
    "said",
    [
        {"status": BeatStatus.ERROR},
        {"health": 99},
        {"error": "it burns"},
        {"waiting": "no route to exchange"},
        {"pid": 8},
        {"by_main": False},
    ],
)
def test_what_may_change_how_the_agent_is_is_urgent(said: dict[str, Any]) -> None:
    assert is_urgent(BEAT, replace(BEAT, at=after(seconds(1)), **said))


def test_the_first_beat_is_urgent() -> None:
    assert is_urgent(None, BEAT)


@pytest.mark.parametrize("said", [{}, {"activity": "page 4"}, {"progress": 0.5}, {"metadata": {"page": 4}}])
def test_words_and_that_it_lives_can_wait(said: dict[str, Any]) -> None:
    assert not is_urgent(BEAT, replace(BEAT, at=after(seconds(1)), **said))


def test_new_words_are_due_and_the_same_ones_or_none_are_not() -> None:
    assert is_due(ROW, replace(BEAT, activity="page 4"), None)
    assert not is_due(ROW, BEAT, None)
    assert not is_due(ROW, replace(BEAT, activity=None), None)


@pytest.mark.parametrize(("watchdog", "length"), [(None, COARSE), (seconds(6), seconds(2)), (seconds(60), COARSE)])
def test_a_newer_heartbeat_is_due_when_the_one_of_the_row_is_old(watchdog: timedelta | None, length: timedelta) -> None:
    assert not is_due(ROW, replace(BEAT, at=after(length - MOMENT)), watchdog)
    assert is_due(ROW, replace(BEAT, at=after(length)), watchdog)
    assert is_due(replace(ROW, last_heartbeat=None), BEAT, watchdog)


def test_where_something_is_wrong_each_beat_is_due() -> None:
    late = row(status=Status.WARNING, reason=Reason.LATE, last_heartbeat=NOON, last_activity="page 3")
    assert is_due(late, BEAT, None)
    assert is_due(None, BEAT, None)


def test_that_an_agent_was_seen_once_more_is_worth_a_row_more_rarely() -> None:
    assert not is_worth_a_row(NOON, NOON + SEEN - MOMENT, Source.OBSERVED, None)
    assert is_worth_a_row(NOON, NOON + SEEN, Source.OBSERVED, None)
    assert not is_worth_a_row(NOON, None, None, None)
