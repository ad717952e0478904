"""Probes: what each kind asks, how often, for how long, and how many noes count."""

from __future__ import annotations

import pytest

from tests.e2e.keys.catalogue import shows
from tests.e2e.keys.fleet import Fleet
from tests.e2e.keys.test_reconciled import comes_to_be, reasons

pytestmark = pytest.mark.lab


@shows(
    "probes.ready",
    "probes.live.http",
    "probes.live.expect",
    "probes.live.interval",
    "probes.live.failures",
    agents="""
  answering:
    command: [/usr/bin/python3, -m, http.server, "9931", --bind, 127.0.0.1, --directory, site]
    url: http://127.0.0.1:9931
    probes:
      ready: {http: /nowhere, expect: "404"}
      live: {http: /health, expect: well, interval: 400ms, failures: 2}
""",
)
def test_a_server_is_starting_until_it_answers_and_fails_when_it_answers_otherwise(fleet: Fleet) -> None:
    fleet.write("site/health", "all is well")
    comes_to_be(fleet, "answering", "AsWanted")
    told = reasons(fleet, "answering")
    assert told.index("Starting") < told.index("AsWanted")
    fleet.write("site/health", "something is wrong")
    row = comes_to_be(fleet, "answering", "ProbeFailing", within=5)
    assert row["message"].endswith(
        '(http://127.0.0.1:9931/health) failed 2 times in a row: status 200, but its answer lacks "well".'
    )


@shows(
    "probes.live.tcp",
    agents="""
  accepting:
    command: [/usr/bin/python3, -m, http.server, "9932", --bind, 127.0.0.1]
    probes: {ready: {tcp: "127.0.0.1:9932"}, live: {tcp: "127.0.0.1:9933", interval: 400ms}}
""",
)
def test_who_must_accept_connections_and_does_not_fails(fleet: Fleet) -> None:
    row = comes_to_be(fleet, "accepting", "ProbeFailing")
    assert row["message"] == "Its live probe (127.0.0.1:9933) failed 3 times in a row: connection refused."
    assert row["probes"]["ready"]["detail"] == "it accepts connections"


@shows(
    "probes.live.command",
    "probes.live.timeout",
    agents="""
  checked: {probes: {live: {command: /usr/bin/test -e checked.well, interval: 400ms, failures: 1}}}
  hanging: {probes: {live: {command: /bin/sleep 60, timeout: 300ms, interval: 400ms, failures: 1}}}
  unready: {startup_timeout: 4s, probes: {ready: {command: /bin/false}}}
""",
)
def test_a_command_answers_by_how_it_ends_and_within_its_time(fleet: Fleet) -> None:
    row = comes_to_be(fleet, "checked", "ProbeFailing")
    assert row["message"] == "Its live probe (/usr/bin/test -e checked.well) failed: exited with code 1."
    fleet.write("checked.well", "")
    comes_to_be(fleet, "checked", "AsWanted")
    assert comes_to_be(fleet, "hanging", "ProbeFailing")["message"].endswith("failed: it did not end in time.")
    row = comes_to_be(fleet, "unready", "StartTimeout")
    assert "its ready probe (/bin/false) says: exited with code 1" in row["message"]
