"""A stranger who types what the README shows, in its order, on a machine with a project: each line works."""

from __future__ import annotations

import pytest

from tests.lab import Lab, eventually
from tests.readme import blocks, commands

pytestmark = pytest.mark.lab

BEFORE_SUPERVISE_IS_THERE = "pip install"
BEATS = """
import time
for turn in range(8):
    ping()
    time.sleep(0.1)
print("silent now", flush=True)
time.sleep(60)
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


def test_the_ping_of_the_readme_arms_the_watchdog(own_lab: Lab) -> None:
    own_lab.add_user("trader")
    own_lab.write("/srv/beat/beat.py", blocks("python")[0] + BEATS)
    own_lab.write(
        "/srv/beat/agents.yaml",
        "version: 1\nproject: beat\nagents:\n  beat:\n    command: [/usr/bin/python3, beat.py]\n    watchdog: 1s\n",
    )
    own_lab.sh("chown -R trader: /srv/beat && cd /srv/beat && supervise install --start")
    eventually(lambda: "Failed with result 'watchdog'" in own_lab.sh("supervise logs beat"), "the watchdog")
