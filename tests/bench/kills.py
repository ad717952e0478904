"""From `kill -9` to the row: how soon another process reads of it, beside what a bare waiting parent needs.

Three processes take part, and all of them read the one monotonic clock: the killer takes t0 right before kill(2), the
reader takes t1 when the row has come in over the control socket, the control takes its own when wait(2) returns. Kills
of agents and of the control's child alternate, so that both see the same machine.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection

from tests.bench.control import Reader
from tests.bench.figures import Figure
from tests.bench.fleet import Fleet

DOWN = "error"
PAUSE = (0.02, 0.06)
"""Seconds between two kills: at random, so that no rhythm of ours or of systemd's is hit always at the same phase."""


def measure(fleet: Fleet, kills: int) -> Iterator[Figure]:
    """Milliseconds from kill to row, and from kill to the control's own knowledge."""
    rows, control = [], []
    chance = random.Random(1)
    kill, kill_end = Pipe()
    wait, wait_end = Pipe()
    helpers = [Process(target=_killer, args=(kill_end,)), Process(target=_parent, args=(wait_end,))]
    for one in helpers:
        one.start()
    with closing(Reader(fleet.control)) as reader:
        for name in chance.choices(fleet.names, k=kills):
            rows.append(_killed(reader, kill, name))
            control.append(_waited_for(kill, wait))
            wait.send(len(rows) < kills)
            reader.rest(chance.uniform(*PAUSE))
    kill.send(0)
    for one in helpers:
        one.join(5)
    yield Figure("kill → row", len(fleet.names), "ms", tuple(rows))
    yield Figure("control: kill → a bare waiting parent", len(fleet.names), "ms", tuple(control))


def _killed(reader: Reader, kill: Connection, name: str) -> float:
    while reader.rows[name]["status"] != "running":
        reader.read(0.5)
    pid = reader.rows[name]["pid"]
    kill.send(pid)
    at, row = reader.wait(lambda row: row["name"] == name and row["pid"] != pid, f"the death of {name}")
    if row["status"] != DOWN:
        raise SystemExit(f"bench: {name} was said to be {row['status']}: {row['message']}")
    return float((at - kill.recv()) * 1000)


def _waited_for(kill: Connection, wait: Connection) -> float:
    kill.send(wait.recv())
    before = kill.recv()
    return float((wait.recv() - before) * 1000)


def _killer(orders: Connection) -> None:
    """Kills whom it is told to, and tells when."""
    while pid := orders.recv():
        before = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        orders.send(before)


def _parent(orders: Connection) -> None:
    """The control: starts a child, waits for its end, tells when that was."""
    while True:
        child = subprocess.Popen(["/usr/bin/sleep", "30000"])
        orders.send(child.pid)
        child.wait()
        orders.send(time.monotonic())
        if not orders.recv():
            return
