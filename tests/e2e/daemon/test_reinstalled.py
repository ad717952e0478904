"""What of an agent is over once it was uninstalled and is installed again, though nobody was there to forget it."""

from __future__ import annotations

import pytest

from supervise.model import FORCE_STOP
from tests.e2e.daemon.asking import rows
from tests.e2e.daemon.machine import FOLDER, install
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

AGENTS = """
project: again
agents:
  runs: {command: [/usr/bin/python3, sleeper.py, runs]}
  waits: {command: [/usr/bin/python3, sleeper.py, waits], auto_start: false}
"""


def test_a_lock_that_force_stop_made_does_not_come_back(lab: Lab) -> None:
    install(lab, AGENTS)
    lab.supervise("start", "waits")
    lab.supervise("stop", "runs", "waits")
    lab.supervise("lock", "*", "stopped", "0", "--reason", f"{FORCE_STOP}cannot be killed")
    assert {one["reason"] for one in rows(lab).values()} == {"Locked"}
    lab.supervise("uninstall", "--project", "again", "--yes")
    lab.supervise("install", "-f", f"{FOLDER}/agents.yaml", "--start")
    eventually(lambda: rows(lab)["runs"]["reason"] == "AsWanted", "it to run again")
    assert {name: one["lock"] for name, one in rows(lab).items()} == {"runs": None, "waits": None}
