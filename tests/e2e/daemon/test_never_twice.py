"""What the reconciler starts by itself it never starts beside a copy, whosever that is; once it is gone, it does."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e.daemon.asking import events, rows
from tests.e2e.daemon.machine import OWNER, install, pids, processes
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

AGENTS = f"""
project: twice
defaults: {{user: {OWNER}, hardening: none}}
agents:
  awaited: {{command: [/usr/bin/python3, sleeper.py, awaited]}}
  broken:
    command: [/usr/bin/python3, fragile.py, broken]
    restart: {{delay: 100ms, burst: 2, window: 1min}}
    quarantine: {{first: 3s}}
"""
FRAGILE = "import os, sys\nos.path.exists('/run/cured') or sys.exit(4)\nimport signal\nsignal.pause()\n"
IN_THE_WAY = "a copy runs outside its unit"


@pytest.fixture(scope="module")
def host(lab: Lab) -> Lab:
    install(lab, f"project: twice\nagents:\n  first: {{user: {OWNER}, command: [sleep, infinity]}}\n", fragile=FRAGILE)
    lab.run("useradd", "stranger")
    lab.sh(f"chmod 755 /home/{OWNER}")
    return lab


def by_hand(host: Lab, program: str, word: str, *, user: str) -> None:
    """A copy that somebody has started, out of every unit, as from a terminal."""
    place = (f"--uid={user}", f"--unit=hand-{word}", f"--working-directory=/home/{OWNER}")
    host.run("systemd-run", "--quiet", *place, "/usr/bin/python3", f"{program}.py", word)
    eventually(lambda: len(processes(host, f"{program}.py {word}")) == 1, "the copy to run")


def row(host: Lab, name: str) -> dict[str, Any]:
    return rows(host, name)[name]


def test_nothing_is_started_beside_a_copy_and_all_is_once_it_has_ended(host: Lab) -> None:
    """One after the other: the second begins with what the first has installed."""
    _an_agent_that_should_run_waits_for_the_end_of_a_copy(host)
    _a_try_out_of_quarantine_is_blocked_by_a_process_of_a_stranger(host)


def _an_agent_that_should_run_waits_for_the_end_of_a_copy(host: Lab) -> None:
    by_hand(host, "sleeper", "awaited", user=OWNER)
    host.write(f"/home/{OWNER}/agents.yaml", AGENTS)
    done = host.supervise("install", "-f", f"/home/{OWNER}/agents.yaml", "--start", check=False)
    assert IN_THE_WAY in done.stderr
    eventually(lambda: row(host, "awaited")["reason"] == "HiddenProcess", "the copy to be told", timeout=5)
    assert len(processes(host, "sleeper.py awaited")) == 1
    host.run("systemctl", "stop", "hand-awaited")
    eventually(lambda: row(host, "awaited")["status"] == "running", "the agent to be started", timeout=20)
    assert len(processes(host, "sleeper.py awaited")) == 1
    told = [(one["kind"], one["reason"]) for one in events(host, "awaited")]
    assert ("action", "NotRunning") in told


def _a_try_out_of_quarantine_is_blocked_by_a_process_of_a_stranger(host: Lab) -> None:
    eventually(lambda: row(host, "broken")["reason"] == "Quarantined", "the quarantine", timeout=20)
    host.sh("touch /run/cured")
    by_hand(host, "fragile", "broken", user="stranger")
    eventually(lambda: row(host, "broken")["reason"] == "HiddenProcess", "the copy to be told", timeout=5)
    told = row(host, "broken")["message"]
    assert "of stranger" in told
    time.sleep(8)  # the moment of the next try passes
    assert row(host, "broken")["message"] == told
    assert pids(host, ["broken"])["broken"] == 0
    host.run("systemctl", "stop", "hand-broken")
    eventually(lambda: row(host, "broken")["status"] == "running", "the next try", timeout=40)
    assert len(processes(host, "fragile.py broken")) == 1
