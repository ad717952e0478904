"""`status --watch` says every change as it happens: one row per change, from signals and not from a clock."""

from __future__ import annotations

import json
import selectors
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.lab

FILE = "/srv/watched/agents.yaml"
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
    selector = selectors.DefaultSelector()
    selector.register(process.stdout, selectors.EVENT_READ)
    found: list[str] = []
    deadline = time.monotonic() + 15
    while until not in found:
        assert selector.select(max(deadline - time.monotonic(), 0)), f"{until} was not shown, only {found}"
        found.append(json.loads(process.stdout.readline())["reason"])
    return found


def test_each_change_is_shown(lab: Lab, watcher: subprocess.Popen[str]) -> None:
    assert reasons(watcher, "AsWanted") == ["AsWanted"]
    lab.sh("systemctl kill --signal=KILL agent@seen")
    reasons(watcher, "Crashed")
    lab.sh("systemctl restart agent@seen")
    reasons(watcher, "AsWanted")
    lab.sh("systemctl stop agent@seen")
    reasons(watcher, "StoppedByOperator")
