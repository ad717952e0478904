"""Calendar expressions are UTC unless they say otherwise, and systemd judges them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from supervise.calendars import calendars, with_zone


@pytest.mark.parametrize(
    "expression",
    ["daily", "*-*-* 06:00", "Mon..Fri 18:00", "Mon", "Fri", "Mon,Wed", "Sat *-*-1..7 18:00", "*:0/5", "weekly", "SUN"],
)
def test_without_a_zone_it_is_utc(expression: str) -> None:
    assert with_zone(expression) == f"{expression} UTC"


@pytest.mark.parametrize(
    "expression",
    ["daily UTC", "18:00 Europe/Warsaw", "Mon 09:30 America/Argentina/Buenos_Aires", "06:00 CET", "06:00 Etc/GMT+3"],
)
def test_a_zone_that_is_written_stays(expression: str) -> None:
    assert with_zone(expression) == expression


def test_the_next_runs_are_those_in_utc() -> None:
    (found,) = calendars(["*-*-* 06:00"])
    assert found.expression == "*-*-* 06:00 UTC"
    runs = [datetime.strptime(run, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC) for run in found.next_runs]
    assert {(run.hour, run.minute) for run in runs} == {(6, 0)}
    assert [later - earlier for earlier, later in pairwise(runs)] == [timedelta(days=1)] * 2


def test_as_many_runs_as_asked_for_are_named_of_every_expression() -> None:
    found = calendars(["*:0/5", "daily"], runs=5)
    assert [len(one.next_runs) for one in found] == [5, 5]


def test_a_zone_moves_the_hour() -> None:
    winter, summer = calendars(["2040-01-10 18:00 Europe/Warsaw", "2040-07-10 18:00 Europe/Warsaw"])
    assert (winter.next_runs[0][-12:], summer.next_runs[0][-12:]) == ("17:00:00 UTC", "16:00:00 UTC")


@pytest.mark.parametrize("expression", ["whenever", "25:00", "*-13-01", "18:00 Europe/Nowhere", "-x"])
def test_what_systemd_does_not_take_is_refused_in_its_words(expression: str) -> None:
    with pytest.raises(ValueError, match=r"systemd does not understand the calendar expression: .*[Ff]ailed to parse"):
        calendars(["daily", expression])
