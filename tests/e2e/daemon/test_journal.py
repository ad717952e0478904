"""What the journal is told of agents: found by their names, one line for each event."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.daemon.asking import ask, events, rows
from tests.e2e.daemon.machine import RECONCILER, install, pids, reconciler
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

AGENTS = """
project: journal
agents:
  a: {command: [/usr/bin/python3, sleeper.py, a], restart: {policy: never}}
  b: {command: [/usr/bin/python3, sleeper.py, b]}
"""


@pytest.fixture(scope="module")
def host(lab: Lab) -> Lab:
    install(lab, AGENTS)
    eventually(lambda: {row["status"] for row in rows(lab).values()} == {"running"}, "all to run")
    return lab


def entries(lab: Lab, *matches: str) -> list[dict[str, Any]]:
    lab.run("journalctl", "--sync")
    done = lab.run("journalctl", "-b", "-o", "json", *matches)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_death_is_found_by_the_agent_s_name_with_its_reason_and_priority(host: Lab) -> None:
    host.run("kill", "-9", str(pids(host, ["a"])["a"]))
    eventually(lambda: rows(host, "a")["a"]["reason"] == "Crashed", "its death to be seen")
    death = next(one for one in events(host, "a") if one["reason"] == "Crashed")
    (entry,) = entries(host, "SUPERVISE_AGENT=a", "SUPERVISE_REASON=Crashed")
    assert entry["SUPERVISE_EVENT_ID"] == death["id"]
    assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"]) == ("3", "supervise-reconciler")
    assert (entry["_SYSTEMD_UNIT"], entry["_PID"]) == (RECONCILER, str(reconciler(host)))
    assert entry["MESSAGE"].startswith("a: running → error, Crashed: It was killed by SIGKILL")


def test_every_event_is_one_line_and_no_line_is_of_another_agent(host: Lab) -> None:
    host.supervise("restart", "b")
    eventually(lambda: rows(host, "b")["b"]["status"] == "running", "it to run again")
    for name in ("a", "b"):
        told = [one["id"] for one in events(host, name)]
        eventually(
            lambda told=told, name=name: (
                [one["SUPERVISE_EVENT_ID"] for one in entries(host, f"SUPERVISE_AGENT={name}")] == told
            ),  # type: ignore[misc]
            f"the events of {name}",
        )


def test_an_order_says_who_gave_it(host: Lab) -> None:
    host.supervise("stop", "b")
    orders = entries(host, "SUPERVISE_AGENT=b", "SUPERVISE_EVENT=order")
    assert (orders[-1]["SUPERVISE_REASON"], orders[-1]["SUPERVISE_BY"]) == ("stop", "root")
    host.supervise("start", "b")


def test_a_journal_that_stands_still_holds_up_nothing(host: Lab) -> None:
    (journald,) = host.run("pgrep", "-x", "systemd-journal").stdout.split()
    host.run("kill", "-STOP", journald)
    try:
        host.run("kill", "-9", str(pids(host, ["b"])["b"]))
        eventually(lambda: rows(host, "b")["b"]["restarts"] > 0, "the death to be seen")
        for number in range(300):
            ask(host, "order", what="start", names=["b"], by=f"ada{number}")
        assert ask(host, "info")["view_age"] < 2
    finally:
        host.run("kill", "-CONT", journald)
    wanted = "SUPERVISE_BY=ada299"
    eventually(lambda: entries(host, "SUPERVISE_AGENT=b", wanted), "what waited to be logged")


def test_lines_about_no_agent_are_logged_too(host: Lab) -> None:
    host.run("systemctl", "reload", RECONCILER)
    assert any(one["MESSAGE"].startswith("reloaded: ") for one in entries(host, "-u", RECONCILER))
