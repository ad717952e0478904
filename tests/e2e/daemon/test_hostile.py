"""Members of the agents' group send lies and garbage as fast as the machine lets them: it hurts nobody but them.

One of them is an agent, which floods from its own unit; the others are processes of a user in the group.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon.asking import Refused, ask, ask_as, events, rows
from tests.e2e.daemon.machine import at, install, reconciler, show, unit
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

PROGRAM = "/usr/local/bin/flood"
LASTS = 10
STRANGERS = 2
AIM = 100_000
"""Datagrams tried in a second."""
MOST_MEMORY = 100 * 1024 * 1024
WATCHDOG = timedelta(seconds=4)
ARMED = [f"armed_{number}" for number in range(6)]
QUIET = [f"quiet_{number}" for number in range(4)]
OTHERS = [*ARMED, *QUIET]
AGENTS = "project: hostile\nagents:\n" + "\n".join(
    [
        *(f"  {name}: {{command: [/usr/bin/python3, counter.py, {name}], watchdog: 4s}}" for name in ARMED),
        *(f"  {name}: {{command: [/usr/bin/python3, sleeper.py, {name}]}}" for name in QUIET),
        f"  rogue: {{command: [{PROGRAM}, '{LASTS}', {', '.join(OTHERS)}], auto_start: false}}",
    ]
)
COUNTER = """
import sys, time
from glob import glob
sys.path[:0] = ["/opt/supervise", *glob("/opt/supervise/.venv/lib/python3*/site-packages")]
from supervise.agent import Agent
agent = Agent(sys.argv[1])
turn = 0
while True:
    agent.beat(f"turn {(turn := turn + 1)}")
    time.sleep(0.2)
"""
"""What it says changes all the time, so that each beat that comes through can be seen."""
LIFE = ("MainPID", "InvocationID", "NRestarts", "ActiveState")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Flood:
    """What was seen before, while and after it raged."""

    before: Any
    after: Any
    begin: datetime
    end: datetime
    """After the last hostile datagram."""
    statuses: set[tuple[str, str, str]] = field(default_factory=set)
    oldest: timedelta = timedelta()
    slowest: float = 0.0
    looks: int = 0
    screens: list[str] = field(default_factory=list)
    processor: float = 0.0
    """Of one core, by the reconciler."""
    memory: int = 0
    tried: float = 0.0
    """A second, by all senders."""
    taken: float = 0.0
    turns: dict[str, int] = field(default_factory=dict)


@pytest.fixture(scope="module")
def host(lab: Lab) -> Lab:
    lab.write(f"{PROGRAM}.c", Path(__file__).with_name("flood.c").read_text())
    lab.run("cc", "-O2", "-o", PROGRAM, f"{PROGRAM}.c")
    install(lab, AGENTS, counter=COUNTER)
    lab.run("useradd", "-G", "supervise-agents", "mallory")
    eventually(lambda: all(rows(lab)[name]["status"] == "running" for name in OTHERS), "the others to run")
    eventually(lambda: {rows(lab)[name]["source"] for name in ARMED} <= {"beat", "ping"}, "those that beat to be heard")
    facts = show(lab, map(unit, ARMED), "WatchdogUSec")
    assert {facts[unit(name)]["WatchdogUSec"] for name in ARMED} == {"4s"}
    return lab


@pytest.fixture(scope="module")
def flood(host: Lab) -> Flood:
    pid = reconciler(host)
    found = Flood(_lives(host), None, begin=datetime.now(UTC), end=datetime.now(UTC))
    used, begin = _used(host, pid), time.monotonic()
    host.run("systemctl", "start", "--no-block", unit("rogue"))
    words = ("runuser", "-u", "mallory", "--", PROGRAM, str(LASTS), *OTHERS, "rogue", "no_agent")
    senders = [host.popen(*words, stdout=subprocess.PIPE) for _ in range(STRANGERS)]
    screens = [host.popen("supervise", "status", *which, stdout=subprocess.PIPE) for which in ((), ("rogue",))]
    while any(one.poll() is None for one in senders):
        asked = time.monotonic()
        seen = rows(host)
        found.slowest = max(found.slowest, time.monotonic() - asked)
        now = datetime.now(UTC)
        found.statuses |= {(name, seen[name]["status"], seen[name]["reason"]) for name in OTHERS}
        found.oldest = max(found.oldest, *(now - at(seen[name], "last_heartbeat") for name in ARMED))
        found.memory = max(found.memory, _memory(host, pid))
        found.looks += 1
    found.processor = (_used(host, pid) - used) / (time.monotonic() - begin)
    found.screens = [one.communicate()[0] for one in screens]
    told = [json.loads(one.communicate()[0]) for one in senders]
    eventually(lambda: _said_by_rogue(host), "the rogue agent to end its flood")
    found.end, found.turns = datetime.now(UTC), _turns(host)
    told.append(_said_by_rogue(host))
    found.tried, found.taken = (sum(one[what] for one in told) / LASTS for what in ("tried", "taken"))
    found.after = _lives(host)
    return found


def _lives(lab: Lab) -> dict[str, tuple[str, ...]]:
    facts = show(lab, map(unit, OTHERS), *LIFE)
    return {name: tuple(facts[unit(name)][what] for what in LIFE) for name in OTHERS}


def _said_by_rogue(lab: Lab) -> Any:
    lab.run("journalctl", "--sync")
    lines = lab.run("journalctl", "-o", "cat", "-t", "agent@rogue", "-t", "rogue", check=False).stdout.splitlines()
    return next((json.loads(line) for line in lines if line.startswith("{")), None)


def _used(lab: Lab, pid: int) -> float:
    """Seconds of a processor."""
    fields = lab.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _memory(lab: Lab, pid: int) -> int:
    line = next(line for line in lab.read(f"/proc/{pid}/status").splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def test_it_was_a_flood(flood: Flood) -> None:
    print({what: value for what, value in vars(flood).items() if isinstance(value, float | int | timedelta)})
    assert flood.tried >= AIM
    assert flood.taken > 1000


def test_no_other_agent_changed_its_status_or_was_restarted(host: Lab, flood: Flood) -> None:
    assert flood.statuses == {(name, "running", "AsWanted") for name in OTHERS}
    assert flood.looks > 20
    assert flood.after == flood.before
    told = [one for one in events(host, since=flood.begin.isoformat()) if one["name"] in OTHERS]
    assert told == []


def test_no_armed_agent_seemed_silent(flood: Flood) -> None:
    assert flood.oldest <= WATCHDOG


def test_it_costs_less_than_a_core_and_little_memory(host: Lab, flood: Flood) -> None:
    assert flood.processor <= 1.0
    assert flood.memory <= MOST_MEMORY


def test_whoever_asks_is_answered_meanwhile(flood: Flood) -> None:
    assert flood.slowest <= 1.0


def test_what_is_shown_of_it_is_inert(host: Lab, flood: Flood) -> None:
    screens = [*flood.screens, host.supervise("status", "rogue", check=False).stdout]
    assert any("rogue" in screen for screen in screens)
    live = {
        (character, unicodedata.category(character))
        for character in "".join(screens)
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character != "\n"
    }
    assert live == set()


def test_it_is_told_once_and_says_who(host: Lab, flood: Flood) -> None:
    told = [one for one in events(host, "", since=flood.begin.isoformat()) if one["reason"] == "AgentSocketFlooded"]
    assert len(told) == 1, told
    refused = ask(host, "info")["refused_beats"]
    assert {"too many", "no agent", "malformed", "false name", "too long"} <= refused.keys(), refused


def test_soon_after_it_all_beats_come_through_again(host: Lab, flood: Flood) -> None:
    """Within 5 s of the last hostile datagram; the rows of those that do not beat are soon fresh."""
    left = 5 - (datetime.now(UTC) - flood.end).total_seconds()
    eventually(lambda: _heard_since(host, flood.turns), "a beat of every armed agent", timeout=max(left, 1))
    assert (datetime.now(UTC) - flood.end).total_seconds() <= 5

    def fresh() -> bool:
        return min(at(row, "last_heartbeat") for row in rows(host, *OTHERS).values()) > flood.end

    eventually(fresh, "fresh rows", timeout=45)  # of who does not beat it is written down each half minute


def _heard_since(lab: Lab, turns: dict[str, int]) -> bool:
    return all(turn > turns[name] for name, turn in _turns(lab).items())


def _turns(lab: Lab) -> dict[str, int]:
    """Which turn each agent that beats was last heard to be at."""
    return {name: int((row["last_activity"] or "0").split()[-1]) for name, row in rows(lab, *ARMED).items()}


QUESTIONS = """
import select, socket, sys, time
line = b'{"id": 1, "op": "%s", "args": {}}\\n' % sys.argv[1].encode()
asking = []
for _ in range(60):
    one = socket.socket(socket.AF_UNIX)
    one.connect("/run/supervise/control.sock")
    one.setblocking(False)
    asking.append(one)
end, answers = time.monotonic() + 3, 0
while time.monotonic() < end:
    readable, writable, _ = select.select(asking, asking, [], 0.1)
    for one in writable:
        try:
            one.send(line * 100)
        except BlockingIOError:
            pass
    for one in readable:
        answers += one.recv(1 << 20).count(b"\\n")
print(answers)
"""


@pytest.mark.parametrize("op", ["rows", "look", "nonsense"])
def test_a_storm_of_questions_holds_nobody_up(host: Lab, op: str) -> None:
    """A user asks over as many connections as there may be; they get their share, and others their answer."""
    pid, user = reconciler(host), f"asks_{op}"
    host.run("useradd", user)
    asker = host.popen("runuser", "-u", user, "--", "/usr/bin/python3", "-c", QUESTIONS, op, stdout=subprocess.PIPE)
    used, begin, slowest = _used(host, pid), time.monotonic(), 0.0
    while asker.poll() is None:
        asked = time.monotonic()
        rows(host)
        slowest = max(slowest, time.monotonic() - asked)
    spent = (_used(host, pid) - used) / (time.monotonic() - begin)
    answers = int(asker.communicate()[0])
    print({"op": op, "answers": answers, "slowest": slowest, "processor": spent})
    assert 100 < answers < 400 + 200 * 6
    assert slowest <= 1.0
    assert ask(host, "info")["view_age"] <= 11
    assert reconciler(host) == pid
    eventually(lambda: _is_heard(host, user), "those connections to be given up", timeout=3)


def _is_heard(lab: Lab, user: str) -> bool:
    try:
        return bool(ask_as(lab, user, "info"))
    except Refused:  # busy
        return False
