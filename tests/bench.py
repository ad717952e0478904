"""What a user waits for, measured on a real systemd: medians of several runs beside a control of the same run.

The control is a bare `python -c pass`, so a ratio holds on another or a busier machine. Run by `scripts/bench` in the
lab.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests import bench_kills

PROJECT = Path("/srv/bench")
AGENTS = 500
WARM = {**os.environ, "PYTHONPYCACHEPREFIX": "/tmp/bench-pycache", "PYTHONDONTWRITEBYTECODE": ""}


@dataclass(frozen=True)
class Row:
    """One measurement: wall time in milliseconds, and how often the control fits into it."""

    what: str
    median: float
    least: float
    most: float
    times_control: float


def timed(argv: Sequence[str], runs: int, before: Callable[[], object] = lambda: None) -> list[float]:
    """Wall times in ms, after one run that warms caches. A failing command fails the bench."""
    walls = []
    for run in range(runs + 1):
        before()
        began = time.perf_counter()
        done = subprocess.run(argv, cwd=PROJECT, env=WARM, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"bench: {' '.join(argv)} → {done.returncode}: {done.stderr}")
        if run:
            walls.append((time.perf_counter() - began) * 1000)
    return walls


def row(what: str, walls: Sequence[float], control: float) -> Row:
    median = statistics.median(walls)
    return Row(what, median, min(walls), max(walls), median / control)


def project(agents: int) -> None:
    """`agents` plain programs in one agents.yaml."""
    subprocess.run(["useradd", "--system", "bench"], check=True)
    PROJECT.mkdir(exist_ok=True)
    lines = ["version: 1", "project: bench", "defaults: {user: bench}", "agents:"]
    lines += [
        f"  a{number}: {{title: Agent {number}, command: [/usr/bin/sleep, '{10_000 + number}']}}"
        for number in range(agents)
    ]
    (PROJECT / "agents.yaml").write_text("\n".join(lines) + "\n")


def rows(runs: int, agents: int) -> list[Row]:
    project(agents)
    control = timed([sys.executable, "-c", "pass"], runs)
    base = statistics.median(control)
    found = [row("control: python -c pass", control, base)]

    def add(what: str, *argv: str, runs: int = runs, before: Callable[[], object] = lambda: None) -> None:
        found.append(row(what, timed(["supervise", *argv], runs, before), base))

    add("supervise --help", "--help")
    add(f"check, {agents} agents", "check", runs=3)
    add(f"plan, {agents} agents, all new", "plan")
    add(f"install, {agents} agents, all new", "install", runs=2, before=uninstall)
    add(f"plan, {agents} agents, nothing to change", "plan")
    add(f"install, {agents} agents, nothing to change", "install")
    add(f"status, {agents} agents, none running", "status")
    add("start one", "start", "a1", "--settle", "0s", runs=3, before=lambda: systemctl("stop", "agent@a1"))
    add("status of one that runs", "status", "a1")
    return found


def uninstall() -> None:
    subprocess.run(["supervise", "uninstall", "-y"], cwd=PROJECT, capture_output=True, check=False)


def systemctl(*argv: str) -> None:
    subprocess.run(["systemctl", *argv], check=True)


def table(found: Sequence[Row]) -> str:
    width = max(len(one.what) for one in found)
    lines = [f"{'':<{width}}  median ms      min      max  × control"]
    lines += [
        f"{one.what:<{width}}  {one.median:9.1f} {one.least:8.1f} {one.most:8.1f}  {one.times_control:9.1f}"
        for one in found
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--agents", type=int, default=AGENTS)
    parser.add_argument("--kills", type=int, default=bench_kills.KILLS, help="0: no kills")
    options = parser.parse_args()
    kills = bench_kills.run(options.kills) if options.kills else None
    found = rows(options.runs, options.agents)
    if options.json:
        print(json.dumps({"commands": [asdict(one) for one in found], "kills": kills}, indent=1))
        return
    print(table(found))
    if kills:
        print(f"\n{bench_kills.table(kills)}")


if __name__ == "__main__":
    main()
