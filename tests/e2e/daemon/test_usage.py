"""What an agent takes of the machine stands in its row as the kernel has it, and near a limit it is not well."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import _possible
from tests.e2e.daemon.asking import rows
from tests.e2e.daemon.machine import install, pids
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

MIB = 1024 * 1024
TICKS = os.sysconf("SC_CLK_TCK")
TWO_LOOKS = 40.0
"""Seconds in which the reconciler has looked twice."""
EATER = f"""\
import threading, time
taken = bytearray({200 * MIB})
for _ in range(5):
    threading.Thread(target=time.sleep, args=(10_000,)).start()
while True:
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        pass
    time.sleep(0.05)
"""
"""Half a core, 200 MiB, six threads."""
AGENTS = """\
version: 1
project: usage
agents:
  eater: {command: [/usr/bin/python3, eater.py], resources: {memory: 220M}}
  sleeper: {command: [/usr/bin/python3, sleeper.py]}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    _possible()
    with Lab() as booted:
        install(booted, AGENTS, eater=EATER)
        yield booted


def row_with_figures(lab: Lab, name: str) -> dict[str, Any]:
    eventually(lambda: rows(lab, name)[name]["cpu"] is not None, f"figures of {name}", timeout=TWO_LOOKS)
    return rows(lab, name)[name]


def spent(lab: Lab, pid: int) -> float:
    """Seconds of processor time, as the kernel has it of the process and not of its group."""
    fields = lab.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def status(lab: Lab, pid: int, key: str) -> int:
    line = next(line for line in lab.read(f"/proc/{pid}/status").splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1])


def test_an_agent_that_eats_is_shown_with_what_it_eats(lab: Lab) -> None:
    pid = pids(lab, ["eater"])["eater"]
    begun, before = time.monotonic(), spent(lab, pid)
    row = row_with_figures(lab, "eater")
    share = (spent(lab, pid) - before) / (time.monotonic() - begun)
    assert row["cpu"] == pytest.approx(share, abs=0.15)
    assert row["cpu"] > 0.02
    assert row["memory"] == pytest.approx(status(lab, pid, "RssAnon") * 1024, rel=0.05)
    assert row["tasks"] == status(lab, pid, "Threads") == 6
    (lost,) = [part for part in row["health_parts"] if part["name"] == "pressure"]
    assert (lost["lost"], lost["why"]) == (pytest.approx(13, abs=2), "its memory is at 92 % of its limit")
    told = lab.supervise("status", "eater", check=False).stdout
    assert "% of a core, 20" in told
    assert "MiB of memory, 6 tasks" in told


def test_one_that_sleeps_takes_next_to_nothing(lab: Lab) -> None:
    row = row_with_figures(lab, "sleeper")
    assert row["cpu"] < 0.02
    assert 1 * MIB < row["memory"] < 40 * MIB
    assert row["tasks"] == 1


def test_a_new_life_begins_without_figures_and_what_is_stopped_has_none(lab: Lab) -> None:
    row_with_figures(lab, "sleeper")
    lab.run("systemctl", "restart", "agent@sleeper")
    eventually(lambda: rows(lab)["sleeper"]["cpu"] is None, "the figures of another life to go")
    lab.run("systemctl", "stop", "agent@sleeper")
    eventually(lambda: rows(lab)["sleeper"]["phase"] == "inactive", "the agent to be stopped")
    assert {rows(lab)["sleeper"][key] for key in ("cpu", "memory", "tasks")} == {None}
