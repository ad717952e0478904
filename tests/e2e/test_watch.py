"""`status --watch` says every change as it happens: one row per change, from signals and not from a clock."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.lab

FILE = "/srv/watched/agents.yaml"
PATIENCE = 15.0
AGENTS = """
project: watched
agents:
  seen: {command: [sleep, infinity], restart: {delay: 30s}}
"""


@pytest.fixture
def watcher(lab: Lab) -> Iterator[subprocess.Popen[str]]:
    lab.add_user("wanda")
    lab.write(FILE, AGENTS)
    lab.sh("chown -R wanda: /srv/watched")
    lab.supervise("install", "--start", "-f", FILE)
    process = lab.popen("supervise", "status", "--watch", "--json", "seen", stdout=subprocess.PIPE)
    yield process
    lab.run("pkill", "-f", "supervise status --watch")  # nsenter itself passes no signal on
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    lab.supervise("uninstall", "--yes", "-p", "watched")
    lab.run("userdel", "--remove", "--force", "wanda", check=False)
    lab.sh("rm -rf /srv/watched")


def reasons(process: subprocess.Popen[str], until: str) -> list[str]:
    """The reasons shown, up to and with `until`."""
    assert process.stdout is not None
    alarm = threading.Timer(PATIENCE, process.kill)  # ends a wait in vain: select(2) sees no line that was read ahead
    alarm.start()
    found: list[str] = []
    try:
        while until not in found:
            line = process.stdout.readline()
            assert line, f"{until} was not shown, only {found}"
            found.append(json.loads(line)["reason"])
    finally:
        alarm.cancel()
    return found


def test_each_change_is_shown(lab: Lab, watcher: subprocess.Popen[str]) -> None:
    assert reasons(watcher, "AsWanted") == ["AsWanted"]
    lab.sh("systemctl kill --signal=KILL agent@seen")
    reasons(watcher, "Crashed")
    lab.sh("systemctl restart agent@seen")
    reasons(watcher, "AsWanted")
    lab.sh("systemctl stop agent@seen")
    reasons(watcher, "StoppedByOperator")
