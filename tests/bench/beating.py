"""What a beat costs the agent that gives it: in a real unit, to systemd and to the reconciler.

Most calls send nothing, since a beat goes out at most four times a second. Run by itself it is that agent.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

from supervise.agent import Agent
from supervise.agent.reconciler import AT_MOST_EVERY
from tests.bench.figures import Figure

CALLS, ROUNDS, SENT = 1000, 20, 40
UNIT = (
    "--wait",
    "--pipe",
    "--collect",
    "--quiet",
    "-p",
    "Type=notify",
    "-p",
    "NotifyAccess=main",
    "-p",
    "WatchdogSec=30",
)


def measure() -> Iterator[Figure]:
    """Microseconds of a call."""
    argv = ["systemd-run", *UNIT, "--working-directory=/opt/supervise", sys.executable, "-m", "tests.bench.beating"]
    found = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    yield Figure("a beat that is not due yet", 1, "µs", tuple(found["called"]), f"means of {CALLS} calls")
    yield Figure("a beat that is sent", 1, "µs", tuple(found["sent"]), "other words each time")


def _called(agent: Agent) -> float:
    began = time.perf_counter()
    for _ in range(CALLS):
        agent.beat("page 1")
    return (time.perf_counter() - began) / CALLS * 1e6


def _sent(agent: Agent, number: int) -> float:
    time.sleep(AT_MOST_EVERY + 0.01)
    began = time.perf_counter()
    agent.beat(f"page {number}", progress=number / SENT)
    return (time.perf_counter() - began) * 1e6


def main() -> None:
    agent = Agent("beating")
    called = [_called(agent) for _ in range(ROUNDS)]
    print(json.dumps({"called": called, "sent": [_sent(agent, number) for number in range(SENT)]}))


if __name__ == "__main__":
    main()
