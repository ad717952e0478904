"""What the service manager does when an agent dies, and what stands on what."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.e2e.keys.catalogue import shows
from tests.e2e.keys.fleet import Fleet

pytestmark = pytest.mark.lab


@shows(
    "restart.policy",
    agents="""
  always_0: {restart: {policy: always, delay: 200ms}, command: /usr/bin/python3 probe.py exit=0}
  on_failure_0: {restart: {policy: on-failure, delay: 200ms}, command: /usr/bin/python3 probe.py exit=0}
  on_failure_1: {restart: {policy: on-failure, delay: 200ms}, command: /usr/bin/python3 probe.py exit=1}
  never_1: {restart: {policy: never, delay: 200ms}, command: /usr/bin/python3 probe.py exit=1}
""",
)
def test_the_policy_says_after_which_end_it_starts_again(fleet: Fleet) -> None:
    fleet.heard("always_0", times=2)
    fleet.heard("on_failure_1", times=2)
    for name, end in (("on_failure_0", "inactive"), ("never_1", "failed")):
        fleet.heard(name, "left")
        fleet.comes_to(name, "ActiveState", end)
        assert len(fleet.said(name)) == 1


@shows(
    "restart.delay",
    agents="""
  quick: {restart: {policy: always, delay: 100ms}, command: /usr/bin/python3 probe.py exit=1}
  slow: {restart: {policy: always, delay: 3s}, command: /usr/bin/python3 probe.py exit=1}
""",
)
def test_the_delay_lies_between_death_and_start(fleet: Fleet) -> None:
    assert min(_pauses(fleet, "quick")) < 1.5
    assert min(_pauses(fleet, "slow")) >= 3


@shows(
    "restart.burst",
    "restart.window",
    agents="""
  hopeless:
    restart: {policy: always, delay: 100ms, burst: 3, window: 1min}
    quarantine: {first: 30min}
    command: /usr/bin/python3 probe.py exit=1
  tireless:
    restart: {policy: always, delay: 800ms, burst: 2, window: 1s}
    command: /usr/bin/python3 probe.py exit=1
""",
)
def test_so_many_starts_within_the_window_and_the_manager_gives_up(fleet: Fleet) -> None:
    fleet.comes_to("hopeless", "ActiveState", "failed")
    assert len(fleet.said("hopeless")) == 3
    assert any("Start request repeated too quickly" in line for line in fleet.journal("hopeless"))
    fleet.heard("tireless", times=4)


@shows(
    "depends_on",
    agents="""
  pillar: {}
  roof: {depends_on: [{pillar: required}]}
  guest: {depends_on: [pillar]}
""",
)
def test_what_requires_another_stops_with_it(fleet: Fleet) -> None:
    for name in ("pillar", "roof", "guest"):
        fleet.facts(name)
    assert fleet.facts("roof")["at"] > fleet.facts("pillar")["at"] - 0.5
    fleet.supervise("stop", "pillar")
    fleet.comes_to("roof", "ActiveState", "inactive")
    assert fleet.show("guest", "ActiveState") == "active"
    fleet.supervise("start", "roof")
    assert fleet.show("pillar", "ActiveState") == "active"


@shows(
    "before_start",
    agents="""
  prepared: {before_start: /usr/bin/python3 probe.py exit=0 preparing}
""",
)
def test_what_comes_before_runs_first_as_the_agents_user(fleet: Fleet) -> None:
    before, agent = fleet.heard("prepared", times=2)
    assert before["argv"][-1] == "preparing"
    assert agent["argv"][-1] == "probe.py"
    assert before["uid"] == agent["uid"] == fleet.uid
    assert fleet.heard("prepared", "left")[0]["at"] < agent["at"]


def _pauses(fleet: Fleet, name: str) -> list[float]:
    """Seconds between each end and the start that followed it."""
    starts = [one["at"] for one in fleet.heard(name, times=2)]
    ends = [one["at"] for one in fleet.said(name, "left")]
    return [start - end for end, (_, start) in zip(ends, pairwise(starts), strict=False)]
