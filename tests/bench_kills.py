"""From `kill -9` to the row: how soon another process reads of it, beside what a bare waiting parent needs.

Three processes take part, and all of them read the one monotonic clock: the killer takes t0 right before kill(2), the
reader takes t1 when the row has come in over the control socket, the control takes its own when wait(2) returns. Kills
of agents and of the control's child alternate, so that both see the same machine. Run by `scripts/bench` in the lab.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PROJECT = Path("/srv/kills")
CONTROL = "/run/supervise/control.sock"
DOWN = "error"
KILLS, AGENTS = 1000, 100
PAUSE = (0.02, 0.06)
"""Seconds between two kills: at random, so that no rhythm of ours or of systemd's is hit always at the same phase."""


def project(agents: int) -> None:
    """Plain programs that are started again at once, for ever: what is measured is seeing, not patience."""
    subprocess.run(["useradd", "--system", "kills"], check=False)
    PROJECT.mkdir(exist_ok=True)
    restart = "{delay: 100ms, burst: 10000, window: 1s, loop: off}"
    common = f"defaults: {{user: kills, hardening: none, quarantine: off, restart: {restart}}}"
    lines = ["version: 1", "project: kills", common, "agents:"]
    lines += [f"  k{number}: {{command: [/usr/bin/sleep, '{20_000 + number}']}}" for number in range(agents)]
    (PROJECT / "agents.yaml").write_text("\n".join(lines) + "\n")
    done = subprocess.run(["supervise", "install", "--start"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)


class Reader:
    """Everything that the control socket says of agents, with the moment when it came."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(CONTROL)
        self._socket.sendall(b'{"id": 1, "op": "watch", "args": {}}\n')
        self._rest = b""
        self.rows: dict[str, dict[str, Any]] = {}
        self.read(2)

    def read(self, timeout: float) -> list[tuple[float, dict[str, Any]]]:
        """The rows that come first within the time, with their moment."""
        return list(self._read(timeout))

    def _read(self, timeout: float) -> Iterator[tuple[float, dict[str, Any]]]:
        if not select.select([self._socket], [], [], timeout)[0]:
            return
        content = self._socket.recv(1 << 20)
        at = time.monotonic()
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            item = json.loads(line)["item"]
            for row in item.get("rows", [item["row"]] if "row" in item else []):
                self.rows[row["name"]] = row
                yield at, row


def killer(orders: Connection) -> None:
    """Kills whom it is told to, and tells when."""
    while pid := orders.recv():
        before = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        orders.send(before)


def parent(orders: Connection) -> None:
    """The control: starts a child, waits for its end, tells when that was."""
    while True:
        child = subprocess.Popen(["/usr/bin/sleep", "30000"])
        orders.send(child.pid)
        child.wait()
        orders.send(time.monotonic())
        if not orders.recv():
            return


def measure(kills: int, agents: int) -> dict[str, list[float]]:
    """Milliseconds from kill to row, and from kill to the control's own knowledge."""
    project(agents)
    reader = Reader()
    while not all(reader.rows.get(f"k{number}", {}).get("status") == "running" for number in range(agents)):
        reader.read(1)
    kill, kill_end = Pipe()
    wait, wait_end = Pipe()
    helpers = [Process(target=killer, args=(kill_end,)), Process(target=parent, args=(wait_end,))]
    for one in helpers:
        one.start()
    found: dict[str, list[float]] = {"row": [], "parent": []}
    chance = random.Random(1)
    for number in range(kills):
        name = f"k{number % agents}"
        while reader.rows[name]["status"] != "running":
            reader.read(0.5)
        found["row"].append(_row(reader, kill, name))
        found["parent"].append(_control(kill, wait))
        wait.send(number + 1 < kills)
        pause = time.monotonic() + chance.uniform(*PAUSE)
        while (left := pause - time.monotonic()) > 0:
            reader.read(left)
    kill.send(0)
    for one in helpers:
        one.join(5)
    return found


def _row(reader: Reader, kill: Connection, name: str) -> float:
    pid = reader.rows[name]["pid"]
    kill.send(pid)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for at, row in reader.read(1):
            if row["name"] == name and row["pid"] != pid:
                assert row["status"] == DOWN, f"{name} was said to be {row['status']}: {row['message']}"
                return float((at - kill.recv()) * 1000)
    raise SystemExit(f"bench: the death of {name} was never told")


def _control(kill: Connection, wait: Connection) -> float:
    kill.send(wait.recv())
    before = kill.recv()
    return float((wait.recv() - before) * 1000)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def figures(found: dict[str, list[float]]) -> list[dict[str, Any]]:
    """p50, p90, p99 and the worst of each, in ms."""
    names = {"row": "kill → row on the control socket", "parent": "control: kill → a bare waiting parent knows"}
    return [
        {
            "what": names[key],
            "kills": len(values),
            "p50": statistics.median(values),
            "p90": percentile(values, 0.9),
            "p99": percentile(values, 0.99),
            "most": max(values),
        }
        for key, values in found.items()
    ]


def table(found: dict[str, Any]) -> str:
    lines = [f"{'':<46} {'n':>6} {'p50':>8} {'p90':>8} {'p99':>8} {'most':>8}  ms"]
    for row in found["latency_ms"]:
        values = " ".join(f"{row[key]:8.2f}" for key in ("p50", "p90", "p99", "most"))
        lines.append(f"{row['what']:<46} {row['kills']:>6} {values}")
    after = found["reconciler"]
    lines.append(f"the reconciler after that: {after['rss_mb']:.0f} MB, {after['cpu_s']:.1f} s of CPU in all")
    return "\n".join(lines)


def daemon() -> dict[str, float]:
    """Memory (MB) and CPU time (s) of the reconciler by now."""
    asked = ["systemctl", "show", "--value", "-p", "MainPID", "supervise-reconciler"]
    pid = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    status = Path(f"/proc/{pid}/status").read_text()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
    return {"rss_mb": resident, "cpu_s": (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")}


def run(kills: int, agents: int = AGENTS) -> dict[str, Any]:
    """Everything: install, kill, measure, remove."""
    latency = figures(measure(kills, agents))
    after = daemon()
    subprocess.run(["supervise", "uninstall", "-y", "-p", "kills"], capture_output=True, check=True)
    return {"agents": agents, "latency_ms": latency, "reconciler": after}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--agents", type=int, default=AGENTS)
    options = parser.parse_args()
    found = run(options.kills, options.agents)
    print(json.dumps(found, indent=1) if options.json else table(found))


if __name__ == "__main__":
    main()
