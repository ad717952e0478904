"""What a user waits for, command by command, beside a control of the same run.

The control is a bare `python -c pass`, so a ratio holds on another or a busier machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.bench.figures import Figure

PROJECT = Path("/srv/commands")
WARM = {**os.environ, "PYTHONPYCACHEPREFIX": "/tmp/bench-pycache", "PYTHONDONTWRITEBYTECODE": ""}


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


def project(agents: int) -> None:
    """`agents` plain programs in one agents.yaml."""
    subprocess.run(["useradd", "--system", "commands"], check=True)
    PROJECT.mkdir(exist_ok=True)
    lines = ["version: 1", "project: commands", "defaults: {user: commands}", "agents:"]
    lines += [
        f"  c{number}: {{title: Agent {number}, command: [/usr/bin/sleep, '{10_000 + number}']}}"
        for number in range(agents)
    ]
    (PROJECT / "agents.yaml").write_text("\n".join(lines) + "\n")


def measure(runs: int, agents: int) -> Iterator[Figure]:
    """Milliseconds of each command."""
    project(agents)
    yield Figure("control: python -c pass", 0, "ms", tuple(timed([sys.executable, "-c", "pass"], runs)))

    def of(what: str, *argv: str, runs: int = runs, before: Callable[[], object] = lambda: None) -> Figure:
        return Figure(what, agents, "ms", tuple(timed(["supervise", *argv], runs, before)))

    yield of("supervise --help", "--help")
    yield of("check", "check", runs=3)
    yield of("plan, all new", "plan")
    yield of("install, all new", "install", runs=2, before=uninstall)
    yield of("plan, nothing to change", "plan")
    yield of("install, nothing to change", "install")
    yield of("status, none running", "status")
    yield of("start one", "start", "c1", "--settle", "0s", runs=3, before=lambda: systemctl("stop", "agent@c1"))
    yield of("status of one that runs", "status", "c1")
    uninstall()


def uninstall() -> None:
    subprocess.run(["supervise", "uninstall", "-y"], cwd=PROJECT, capture_output=True, check=False)


def systemctl(*argv: str) -> None:
    subprocess.run(["systemctl", *argv], check=True)
