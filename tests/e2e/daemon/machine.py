"""A machine with the reconciler and agents on it, and whom to ask about them: systemd and the kernel, not us."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.e2e.daemon.asking import answers
from tests.lab import Lab, eventually

OWNER = "ops"
FOLDER = f"/home/{OWNER}"
RECONCILER = "supervise-reconciler.service"
SLEEPER = "import signal\nsignal.pause()\n"
"""An unmodified program."""
BEATER = """\
import sys, time
from glob import glob
sys.path[:0] = ["/opt/supervise", *glob("/opt/supervise/.venv/lib/python3*/site-packages")]
from supervise.agent import Agent
agent = Agent(sys.argv[1])
while True:
    agent.beat("turning")
    time.sleep(0.2)
"""
"""Beats through the library, which arms its watchdog."""
STORE = "/var/lib/supervise/state.db"
READ = """
import json, sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
db.row_factory = sqlite3.Row
print(json.dumps([dict(found) for found in db.execute(sys.argv[2])]))
"""
Facts = Mapping[str, Mapping[str, str]]


def install(lab: Lab, agents: str, **files: str) -> None:
    """A project with these agents, started; `files` are programs beside its file, without their endings."""
    lab.run("useradd", "--create-home", OWNER)
    for name, text in {"sleeper": SLEEPER, "beater": BEATER, **files}.items():
        lab.write(f"{FOLDER}/{name}.py", text)
    lab.write(f"{FOLDER}/agents.yaml", agents)
    lab.run("chown", "-R", f"{OWNER}:", FOLDER)
    lab.supervise("install", "-f", f"{FOLDER}/agents.yaml", "--start")
    eventually(lambda: answers(lab), "the reconciler to answer")


def show(lab: Lab, units: Iterable[str], *properties: str) -> Facts:
    """What systemd says of units, asked once for all; times as seconds since the epoch (`moment`)."""
    chosen = [word for one in properties for word in ("-p", one)]
    done = lab.run("systemctl", "show", "--timestamp=us+utc", "-p", "Id", *chosen, *units)
    found = {}
    for block in done.stdout.strip().split("\n\n"):
        facts = dict(line.split("=", 1) for line in block.splitlines())
        found[facts["Id"]] = facts
    return found


def unit(name: str) -> str:
    return f"agent@{name}.service"


def shown(lab: Lab, one: str, what: str) -> str:
    return show(lab, [one], what)[one][what]


def pids(lab: Lab, names: Iterable[str]) -> dict[str, int]:
    """The main processes of agents, 0 where there is none."""
    names = list(names)
    facts = show(lab, map(unit, names), "MainPID")
    return {name: int(facts[unit(name)]["MainPID"]) for name in names}


def reconciler(lab: Lab) -> int:
    """The daemon's PID inside the lab."""
    return int(shown(lab, RECONCILER, "MainPID"))


def stored(lab: Lab, question: str) -> list[dict[str, Any]]:
    """What the file of the store itself says, to another program; nothing where it cannot be read."""
    done = lab.run("runuser", "-u", "supervise", "--", "/usr/bin/python3", "-c", READ, STORE, question, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout) if done.returncode == 0 else []
    return found


def moment(text: str) -> datetime:
    """A time as `show` gives it."""
    return datetime.strptime(text, "%a %Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=UTC)


def at(row_or_event: Mapping[str, str], key: str = "at") -> datetime:
    return datetime.fromisoformat(row_or_event[key])


def journal(lab: Lab, *match: str) -> list[str]:
    """What was logged since the boot, without times."""
    lab.run("journalctl", "--sync")
    return lab.run("journalctl", "-b", "-o", "cat", *match).stdout.splitlines()


def processes(lab: Lab, program: str) -> list[str]:
    """The command lines of all processes that run a program of the project."""
    done = lab.run("pgrep", "-a", "-f", f"{FOLDER}/{program}|[ ]{program}", check=False)
    return done.stdout.splitlines()
