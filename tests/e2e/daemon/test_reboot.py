"""The machine reboots with many agents that are slow to start: systemd brings them up, once each, and nobody helps."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from tests.e2e.daemon.asking import answers, ask, events, rows
from tests.e2e.daemon.machine import FOLDER, RECONCILER, at, install, journal, pids, show, unit
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

MANY = 40
SLOW = f"{FOLDER}/slow"
SAID = f"{FOLDER}/said"
PROGRAM = f"""
import os, sys, time
from glob import glob
name = sys.argv[1]
while os.path.exists("{SLOW}") and time.process_time() < 1:
    pass
with open("{SAID}/" + name, "a") as said:
    print(os.getpid(), file=said)
sys.path[:0] = ["/opt/supervise", *glob("/opt/supervise/.venv/lib/python3*/site-packages")]
from supervise.agent import Agent
agent = Agent(name)
while True:
    agent.beat()
    time.sleep(1)
"""
CREW = [f"slow_{number}" for number in range(MANY)]
STOPPED = ("stopped_by_us", "stopped_by_systemctl")
DOWN = ("held", "by_hand")
COMMAND = "[/usr/bin/python3, slow.py, {name}]"
AGENTS = "project: reboot\ndefaults: {command: [/usr/bin/python3, slow.py]}\nagents:\n" + "\n".join(
    [
        *(f"  {name}: {{command: {COMMAND.format(name=name)}, notify: true}}" for name in CREW[::2]),
        *(f"  {name}: {{command: {COMMAND.format(name=name)}}}" for name in (*CREW[1::2], *STOPPED, "held")),
        f"  by_hand: {{command: {COMMAND.format(name='by_hand')}, auto_start: false}}",
    ]
)


@dataclass
class Boots:
    """The ids of the boot before and of this one, and when the reboot was asked for."""

    before: str
    now: str
    asked: datetime


@pytest.fixture(scope="module")
def boots(lab: Lab) -> Boots:
    lab.sh(f"install -d -m 1777 {SAID}")
    install(lab, AGENTS, slow=PROGRAM)
    lab.write(SLOW, "")
    eventually(lambda: all(pids(lab, (*CREW, *STOPPED, "held")).values()), "all to run")
    lab.supervise("stop", STOPPED[0])
    lab.run("systemctl", "stop", unit(STOPPED[1]))
    lab.supervise("hold", "held", "--reason", "it may not run")
    eventually(lambda: {rows(lab)[name]["reason"] for name in STOPPED} == {"StoppedByOperator"}, "the stops to be seen")
    lab.sh(f"rm {SAID}/*")
    before, asked = _boot(lab), datetime.now(UTC)
    lab.reboot(timeout=120)
    eventually(lambda: answers(lab), "the reconciler to answer", timeout=30)
    # Asking systemd in a tight loop would slow its boot down: their own words cost it nothing.
    eventually(lambda: len(os.listdir(lab.path(SAID))) >= MANY + len(STOPPED), "all to be up", timeout=150)
    eventually(lambda: _statuses(lab, CREW) == {"running"}, "the rows to say so", timeout=30)
    return Boots(before, _boot(lab), asked)


def _boot(lab: Lab) -> str:
    return lab.read("/proc/sys/kernel/random/boot_id").strip()


def _statuses(lab: Lab, names: list[str]) -> set[str]:
    told = rows(lab)
    return {told[name]["status"] for name in names}


def _starts(lab: Lab, names: Iterable[str]) -> dict[str, int]:
    """How often each was started in this boot, by its own word. No boot id tells: a sandbox shows another one."""
    files = {name: lab.path(f"{SAID}/{name}") for name in names}
    return {name: len(file.read_text().split()) if file.exists() else 0 for name, file in files.items()}


def test_it_was_a_reboot(boots: Boots) -> None:
    assert boots.before != boots.now


def test_each_agent_was_started_exactly_once(lab: Lab, boots: Boots) -> None:
    assert _starts(lab, (*CREW, *STOPPED)) == dict.fromkeys((*CREW, *STOPPED), 1)
    facts = show(lab, map(unit, (*CREW, *STOPPED)), "NRestarts", "Result", "ActiveState")
    seen = {(one["ActiveState"], one["Result"], one["NRestarts"]) for one in facts.values()}
    assert seen == {("active", "success", "0")}
    lines = journal(lab, "-t", "systemd")
    started = {name: sum(line.startswith(f"Started {unit(name)}") for line in lines) for name in CREW}
    assert started == dict.fromkeys(CREW, 1)


def test_none_ran_into_a_timeout(lab: Lab, boots: Boots) -> None:
    assert [line for line in journal(lab) if "timed out" in line.lower() or "Result: timeout" in line] == []


def test_a_stop_ends_with_the_boot_and_a_hold_does_not(lab: Lab, boots: Boots) -> None:
    eventually(lambda: _statuses(lab, [*STOPPED]) == {"running"}, "the rows of those that were stopped")
    assert _starts(lab, DOWN) == dict.fromkeys(DOWN, 0)
    assert set(pids(lab, DOWN).values()) == {0}
    told = rows(lab)
    assert (told["held"]["status"], told["held"]["reason"]) == ("stopped", "Held")
    assert "it may not run" in told["held"]["message"]
    assert (told["by_hand"]["status"], told["by_hand"]["reason"]) == ("stopped", "NotStarted")


def test_the_reconciler_started_nothing(lab: Lab, boots: Boots) -> None:
    told = [one for one in events(lab, since=boots.asked.isoformat()) if one["kind"] == "action"]
    assert told == []
    assert [line for line in journal(lab, "-u", RECONCILER) if " agent@" in line] == []


def test_the_history_tells_one_life_of_each_in_this_boot(lab: Lab, boots: Boots) -> None:
    """Of one that was up before anybody looked nothing is news: it ran, and it runs."""
    told = events(lab, since=boots.asked.isoformat())
    for name, row in rows(lab, *CREW).items():
        of_it = [one for one in told if one["name"] == name and one["kind"] in ("status", "death")]
        assert [one["after"] for one in of_it] in ([], ["starting", "running"], ["starting", "starting", "running"])
        assert (row["boot"], row["restarts"]) == (boots.now.replace("-", ""), 0)
        assert at(row, "started_at") > boots.asked


@pytest.mark.parametrize("verb", ["daemon-reload", "daemon-reexec"])
def test_systemd_reading_its_units_anew_is_no_news(lab: Lab, boots: Boots, verb: str) -> None:
    """It lets go of every unit meanwhile, and takes each up again."""
    before = {one["id"] for one in events(lab)}
    lab.run("systemctl", verb)
    ask(lab, "look")
    assert [one for one in events(lab) if one["id"] not in before] == []
    assert _statuses(lab, CREW) == {"running"}
