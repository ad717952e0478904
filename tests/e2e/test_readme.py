"""A stranger who types what the README shows, in its order, on a machine with a project: each line works."""

from __future__ import annotations

import pytest

from tests.lab import Lab, eventually
from tests.readme import blocks, commands

pytestmark = pytest.mark.lab

BEFORE_SUPERVISE_IS_THERE = "pip install"
FETCH = """
import time

turns = []


def fetch():
    turns.append(None)
    time.sleep(0.1 if len(turns) < 8 else 60)
    return ["first", "second"]


"""


def test_every_line_of_the_readme_works(own_lab: Lab) -> None:
    own_lab.add_user("trader")
    own_lab.sh(
        "cp -r /opt/supervise/examples /srv/trading && rm /srv/trading/agents.yaml && chown -R trader: /srv/trading"
    )
    for line in blocks("sh")[0].splitlines():
        command = line.partition(" #")[0].rstrip()
        if command and not command.startswith(BEFORE_SUPERVISE_IS_THERE):
            own_lab.sh(f"cd /srv/trading; {command}")
    own_lab.write("/srv/trading/agents.yaml", blocks("yaml")[0])
    lines = list(commands())
    assert len(lines) > 10
    for command in lines:
        own_lab.sh(f"cd /srv/trading; {command}")
    assert not own_lab.sh("find /etc/systemd/system -name 'agent@*'")


def test_the_loop_of_the_readme_arms_the_watchdog_and_beats(own_lab: Lab) -> None:
    own_lab.add_user("trader")
    own_lab.write("/srv/beat/beat.py", FETCH + blocks("python")[0])
    own_lab.write(
        "/srv/beat/agents.yaml",
        "version: 1\nproject: beat\nagents:\n  market_data:\n    command: [python, beat.py]\n    watchdog: 1s\n",
    )
    own_lab.sh("chown -R trader: /srv/beat && cd /srv/beat && supervise install --start")
    eventually(lambda: "Failed with result 'watchdog'" in own_lab.sh("supervise logs market_data"), "the watchdog")
    assert "2 bars" in own_lab.sh("supervise status market_data || true")
