"""The control: what somebody would know who lists all processes once a minute, and when.

It sees that a process is another one now, which is more than most such scripts look at. A minute is shortened, and the
time until the next look scaled; what the look itself takes is not.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping

from tests.bench.figures import Figure
from tests.bench.fleet import Fleet

MINUTE = 60.0
EVERY = 0.5
"""Seconds, in place of a minute."""


def measure(fleet: Fleet, looks: int) -> Iterator[Figure]:
    """One kill before each look, at random."""
    chance = random.Random(4)
    agents, found, took = len(fleet.names), [], []
    known = _listing(fleet)
    for _ in range(looks):
        next_look = time.monotonic() + EVERY
        time.sleep(chance.uniform(0, EVERY))
        name = chance.choice(list(known))
        killed = time.monotonic()
        os.kill(known[name], signal.SIGKILL)
        time.sleep(max(next_look - time.monotonic(), 0))
        began, seen = time.monotonic(), _listing(fleet)
        took.append(time.monotonic() - began)
        if seen.get(name) == known[name]:
            raise SystemExit(f"bench: {name} was killed and is still listed")
        found.append((began - killed) * MINUTE / EVERY + took[-1])
        known = seen
    note = f"looks each {EVERY:g} s, scaled to a minute"
    yield Figure("control: kill → the next look of a poller, 60 s", agents, "s", tuple(found), note)
    yield Figure("control: one look of a poller", agents, "ms", tuple(1000 * one for one in took))


def _listing(fleet: Fleet) -> Mapping[str, int]:
    """The PIDs of all agents that run."""
    said = subprocess.run(["ps", "-e", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    words = (line.split() for line in said.splitlines())
    program = str(fleet.folder / "agent")
    return {one[2]: int(one[0]) for one in words if len(one) == 3 and one[1] == program}
