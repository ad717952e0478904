"""Readiness, watchdog, and how long a start and a stop may take."""

from __future__ import annotations

import pytest

from tests.e2e.keys.catalogue import shows
from tests.e2e.keys.fleet import Fleet
from tests.lab import eventually

pytestmark = pytest.mark.lab


@shows(
    "notify",
    "depends_on",
    agents="""
  opening: {notify: true, command: /usr/bin/python3 probe.py after=0.7 ready}
  following: {depends_on: [opening]}
""",
)
def test_who_must_say_that_it_is_ready_is_waited_for(fleet: Fleet) -> None:
    started = fleet.facts("following")["at"]
    ready = fleet.heard("opening", "notified")[0]["at"]
    assert started > ready - 0.05  # it is said just after it was sent
    assert fleet.show("opening", "Type") == "notify"


@shows(
    "notify",
    agents="""
  arming: {watchdog: 1s, command: /usr/bin/python3 probe.py arm}
  unarmed: {watchdog: 1s}
""",
)
def test_an_agent_arms_its_own_watchdog_and_one_that_does_not_is_left_alone(fleet: Fleet) -> None:
    assert fleet.facts("arming")["environment"]["SUPERVISE_WATCHDOG_USEC"] == "1000000"
    fleet.comes_to("arming", "Result", "watchdog")
    fleet.lives_through("unarmed", 2.5)


@shows(
    "notify",
    agents="""
  mute: {notify: false, watchdog: 1s, command: /usr/bin/python3 probe.py status=spoken ready}
""",
)
def test_who_is_never_to_say_anything_is_not_heard(fleet: Fleet) -> None:
    environment = fleet.facts("mute")["environment"]
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "SUPERVISE_WATCHDOG_USEC"} & set(environment)
    fleet.heard("mute", "notified", times=2)
    eventually(lambda: any("reception is disabled" in line for line in fleet.journal("mute")), "the refusal")
    assert fleet.show("mute", "StatusText") == ""
    assert fleet.show("mute", "ActiveState") == "active"


@shows(
    "notify_access",
    agents="""
  spoken_for: {notify_access: all, command: /usr/bin/python3 probe.py child-says=hello}
  by_itself: {command: /usr/bin/python3 probe.py child-says=hello}
""",
)
def test_a_child_may_speak_only_where_all_may(fleet: Fleet) -> None:
    fleet.comes_to("spoken_for", "StatusText", "hello")
    refusal = "reception only permitted for main PID"
    eventually(lambda: any(refusal in line for line in fleet.journal("by_itself")), "the refusal")
    assert fleet.show("by_itself", "StatusText") == ""


@shows(
    "watchdog",
    agents="""
  watched: {notify: true, watchdog: 1s, command: /usr/bin/python3 probe.py ready}
  unwatched: {notify: true, watchdog: off, command: /usr/bin/python3 probe.py ready}
""",
)
def test_who_falls_silent_is_killed_unless_the_watchdog_is_off(fleet: Fleet) -> None:
    fleet.comes_to("watched", "Result", "watchdog")
    assert fleet.facts("watched")["environment"]["WATCHDOG_USEC"] == "1000000"
    assert "WATCHDOG_USEC" not in fleet.lives_through("unwatched", 2.5)["environment"]


@shows(
    "startup_timeout",
    agents="""
  never_ready: {notify: true, startup_timeout: 3s}
""",
)
def test_who_is_not_ready_in_time_has_failed(fleet: Fleet) -> None:
    fleet.comes_to("never_ready", "Result", "timeout")
    assert 2.5 < fleet.lasted("never_ready") < 15  # its start is stamped a little after the clock of the timeout


@shows(
    "stop_timeout",
    agents="""
  stubborn: {stop_timeout: 1s, command: /usr/bin/python3 probe.py stubborn}
""",
)
def test_who_will_not_end_is_killed_after_the_stop_timeout(fleet: Fleet) -> None:
    fleet.facts("stubborn")
    fleet.supervise("stop", "stubborn", check=False)
    asked = fleet.heard("stubborn", "signal")[0]
    assert asked["name"] == "SIGTERM"
    assert fleet.show("stubborn", "ExecMainStatus") == "9"
    assert 0.9 < fleet.moment("stubborn", "ExecMainExitTimestampMonotonic") - asked["at"] < 8


@shows(
    "stop_signal",
    agents="""
  interruptible: {stop_signal: SIGINT}
""",
)
def test_the_stop_signal_is_the_one_that_is_sent(fleet: Fleet) -> None:
    fleet.facts("interruptible")
    fleet.supervise("stop", "interruptible")
    assert [one["name"] for one in fleet.said("interruptible", "signal")] == ["SIGINT"]
