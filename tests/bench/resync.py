"""How long it takes to ask for everything anew: while the reconciler runs, and as a new process after `kill -9`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

from tests.bench.control import Control
from tests.bench.figures import Figure
from tests.bench.fleet import Fleet, wait_until_running
from tests.bench.load import RECONCILER, main_pid


def measure(fleet: Fleet, runs: int) -> Iterator[Figure]:
    agents, control = len(fleet.names), Control(fleet.control)
    asked = tuple(_timed(lambda: control.ask("look")) for _ in range(runs))
    yield Figure("everything asked for anew", agents, "ms", asked)
    back = tuple(_timed(lambda: _killed(fleet, control)) for _ in range(runs))
    note = "with systemd's RestartSec of 300 ms, and the start of Python"
    yield Figure("kill -9 of the reconciler → all rows true again", agents, "ms", back, note)


def _killed(fleet: Fleet, control: Control) -> None:
    before = main_pid(RECONCILER)
    os.kill(before, signal.SIGKILL)
    while not _knows(control, before):
        time.sleep(0.01)
    wait_until_running(fleet)


def _knows(control: Control, before: int) -> bool:
    """Whether a new one has taken a whole look."""
    try:
        told = control.ask("info")
    except (OSError, ValueError):
        return False
    return bool(told["pid"] != before and told["view_age"] is not None)


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return (time.monotonic() - began) * 1000
