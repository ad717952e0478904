"""Agents that run at certain times."""

from __future__ import annotations

import pytest

from tests.e2e.keys.catalogue import shows
from tests.e2e.keys.fleet import Fleet

pytestmark = pytest.mark.lab


@shows(
    "schedule",
    agents="""
  ticking: {schedule: "*:*:*", command: /usr/bin/python3 probe.py exit=0}
""",
)
def test_a_job_runs_when_its_calendar_says_so(fleet: Fleet) -> None:
    runs = fleet.heard("ticking", times=8)  # systemd's own limit, did it count, is 5 starts within 10 s
    assert runs[7]["at"] - runs[0]["at"] > 4  # it would be 7, were the first ones not late on a busy machine
    assert "OnCalendar=*-*-* *:*:* UTC" in fleet.show("ticking", "TimersCalendar", "timer")
    assert fleet.show("ticking", "Result") == "success"
    assert fleet.at_boot("agent@ticking.timer")


@shows(
    "catch_up",
    agents="""
  caught: {schedule: "*-01-01", catch_up: true, command: /usr/bin/python3 probe.py exit=0}
  let_go: {schedule: "*-01-01", command: /usr/bin/python3 probe.py exit=0}
""",
)
def test_a_missed_run_is_made_up_for_only_where_that_is_wanted(fleet: Fleet) -> None:
    fleet.heard("caught")
    assert fleet.show("let_go", "ActiveState", "timer") == "active"
    assert fleet.said("let_go") == []


@shows(
    "max_runtime",
    agents="""
  endless: {schedule: "*-01-01", catch_up: true, max_runtime: 1s}
""",
)
def test_a_run_that_takes_too_long_is_ended(fleet: Fleet) -> None:
    fleet.comes_to("endless", "Result", "timeout")
    assert 0.9 < fleet.lasted("endless") < 8
