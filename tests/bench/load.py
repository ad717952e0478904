"""What the reconciler and the scan service take: the share of one core over a window, and memory at its end.

The window holds every rhythm of theirs: in a minute systemd is asked once about everything, and all is decided six
times.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from tests.bench.control import Control
from tests.bench.figures import Figure
from tests.bench.fleet import Fleet, Mode, order

RECONCILER, SCAN = "supervise-reconciler.service", "supervise-scan.service"
TICKS = os.sysconf("SC_CLK_TCK")
WINDOW = 60.0
SETTLE = 125.0
"""So long after a start an agent is young no more: until then it is asked more often how it is."""
BEGINNING = 5.0
"""Seconds for which a load goes on before it is measured."""
LOADS = {Mode.QUIET: "idle", Mode.TALKING: "1 beat/s each"}
HEARD = 10.0
"""So new the last heartbeat in the row is of every agent that is heard."""


def measure(fleet: Fleet, since: float) -> Iterator[Figure]:
    """Idle, and with a beat a second of each agent, with other words each time. All run `since` then."""
    time.sleep(max(since + SETTLE - time.monotonic(), 0))
    for mode, load in LOADS.items():
        if mode is not Mode.QUIET:
            order(fleet, mode)
            time.sleep(BEGINNING)
        yield from _window(len(fleet.names), load)
        if mode is not Mode.QUIET:
            yield Figure(f"agents heard, {load}", len(fleet.names), "%", (_heard(fleet),))
    order(fleet, Mode.PINGING)  # their watchdogs are armed by now


def main_pid(unit: str) -> int:
    asked = ["systemctl", "show", "--value", "-p", "MainPID", unit]
    return int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)


def _window(agents: int, load: str) -> Iterator[Figure]:
    pids = {"reconciler": main_pid(RECONCILER), "scan service": main_pid(SCAN), "systemd itself": 1}
    before, began = _taken(pids), time.monotonic()
    time.sleep(WINDOW)
    after, length = _taken(pids), time.monotonic() - began
    shares = {name: 100 * (after[name] - before[name]) / length for name in pids}
    shares["both services"] = shares["reconciler"] + shares["scan service"]
    for name, share in shares.items():
        yield Figure(f"CPU of {_the(name)}, {load}", agents, "% of a core", (share,))
    for name in ("reconciler", "scan service"):
        yield from _memory(name, pids[name], agents, load)


def _taken(pids: Mapping[str, int]) -> Mapping[str, float]:
    """Seconds of a core up to now: all threads, also those that ended (proc(5): utime and stime)."""
    stats = {name: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for name, pid in pids.items()}
    return {name: (int(fields[11]) + int(fields[12])) / TICKS for name, fields in stats.items()}


def _memory(name: str, pid: int, agents: int, load: str) -> Iterator[Figure]:
    rollup = dict(line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    for key in ("Rss", "Pss"):
        found = int(rollup[key].split()[0]) / 1024
        yield Figure(f"{key.upper()} of {_the(name)}, {load}", agents, "MB", (found,))


def _heard(fleet: Fleet) -> float:
    """The share of agents whose last heartbeat is new."""
    now = time.time()
    rows = Control(fleet.control).rows()
    beats = (datetime.fromisoformat(rows[name]["last_heartbeat"]).timestamp() for name in fleet.names)
    return 100 * sum(now - at <= HEARD for at in beats) / len(fleet.names)


def _the(name: str) -> str:
    return name if name.startswith(("both", "systemd")) else f"the {name}"
