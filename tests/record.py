"""Records what a real systemd answers about units in every state, as test cases for `states.py`.

Run by `scripts/record` inside the lab (`cgroup-v2`: inside a virtual machine); prints one JSON object: case → {expect,
properties}. `expect` is what the case was made to be, so a recording can never agree with the parser by accident.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervise.model import Scope
from supervise.platforms.systemd.bus import UNIT, Bus
from supervise.platforms.systemd.platform import OF_A_DEAD_UNIT, PATTERNS
from supervise.platforms.systemd.watch import SERVICE

UNITS = Path("/run/systemd/system")
KEPT = (
    *("ControlGroup", "ExecMainCode", "ExecMainExitTimestamp", "ExecMainExitTimestampMonotonic", "ExecMainPID"),
    *("ExecMainStartTimestamp", "ExecMainStartTimestampMonotonic", "ExecMainStatus", "MainPID", "NRestarts", "Restart"),
    *("RestartUSec", "Result", "StatusText", "WatchdogTimestampMonotonic", "WatchdogUSec"),
)
LIVES = "exec sleep infinity"
ENDS_BADLY_ON_TERM = "trap 'exit 1' TERM; while :; do sleep 0.05; done"
IGNORES_TERM = "trap '' TERM; while :; do sleep 0.05; done"


@dataclass(frozen=True)
class Case:
    """A unit, what is done to it, when to look, and what must then be seen."""

    settings: str
    expect: dict[str, Any]
    script: str = LIVES
    do: Callable[[str], None] = lambda unit: None
    until: str = ""
    start: bool = True


def stop(unit: str) -> None:
    call("systemctl", "stop", unit)


def stop_later(unit: str) -> None:
    call("systemctl", "stop", "--no-block", unit)


def kill(unit: str) -> None:
    call("systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit)


def kill_and_stop_while_it_waits(unit: str) -> None:
    kill(unit)
    wait(lambda: "SubState=auto-restart" in properties(unit), "auto-restart")
    stop(unit)


def four_kills_then_stop(unit: str) -> None:
    """Spread so that the start limit is not met, although NRestarts looks as if it were."""
    for _ in range(4):
        kill(unit)
        wait(lambda: "SubState=running" in properties(unit), "running again")
        time.sleep(0.7)
    stop(unit)


CASES: dict[str, Case] = {
    "running": Case("Restart=always", {"phase": "active", "by_request": None, "gave_up": None, "cause": None}),
    "never-started": Case("Restart=always", {"phase": "inactive", "cause": None, "exit": None}, start=False),
    "stopped-cleanly": Case("Restart=always", {"phase": "inactive", "by_request": True, "gave_up": False}, do=stop),
    "stopped-and-exited-1": Case(
        "Restart=always\nRestartSec=300ms",
        {"phase": "failed", "by_request": True, "gave_up": False, "cause": "exit-code"},
        script=ENDS_BADLY_ON_TERM,
        do=stop,
    ),
    "stopped-after-four-kills": Case(
        "Restart=always\nRestartSec=100ms",
        {"phase": "failed", "by_request": True, "gave_up": False, "restarts": 4},
        script=ENDS_BADLY_ON_TERM,
        do=four_kills_then_stop,
    ),
    "given-up": Case(
        "Restart=always\nRestartSec=300ms",
        {"phase": "failed", "by_request": False, "gave_up": True, "cause": "exit-code"},
        script="sleep 0.05; exit 3",
        until="ActiveState=failed",
    ),
    "given-up-after-ends-that-were-announced": Case(
        "Restart=always\nRestartSec=300ms\nNotifyAccess=all",
        {"phase": "failed", "by_request": False, "gave_up": True, "cause": "clean"},
        script="systemd-notify STOPPING=1; sleep 0.1",
        until="ActiveState=failed",
    ),
    "given-up-after-watchdog": Case(
        "Type=exec\nRestart=always\nRestartSec=300ms\nWatchdogSec=200ms",
        {"phase": "failed", "by_request": False, "gave_up": True, "cause": "watchdog"},
        until="ActiveState=failed",
    ),
    "stopped-while-waiting-to-restart": Case(
        "Restart=always\nRestartSec=20s",
        {"phase": "inactive", "by_request": True, "gave_up": False},
        do=kill_and_stop_while_it_waits,
    ),
    "killed-and-restarting": Case(
        "Restart=always\nRestartSec=1h",
        {"phase": "restarting", "cause": "signal", "exit": {"code": None, "signal": 9}},
        do=kill,
        until="SubState=auto-restart",
    ),
    "exited-0-and-restarting": Case(
        "Restart=always\nRestartSec=1h",
        {"phase": "restarting", "cause": "clean", "exit": {"code": 0, "signal": None}},
        script="sleep 0.05",
        until="SubState=auto-restart",
    ),
    "exec-failed": Case(
        "Restart=always\nRestartSec=1h\nRootDirectory=/var/empty-root",
        {"phase": "restarting", "cause": "exec"},
        until="SubState=auto-restart",
    ),
    "failed-without-restart": Case(
        "Restart=no",
        {"phase": "failed", "by_request": False, "gave_up": False, "cause": "exit-code"},
        script="sleep 0.05; exit 3",
        until="ActiveState=failed",
    ),
    "ended-by-itself": Case(
        "Restart=no",
        {"phase": "inactive", "by_request": False, "cause": "clean"},
        script="sleep 0.05",
        until="SubState=dead",
    ),
    "starting": Case("Type=notify\nTimeoutStartSec=1h", {"phase": "starting"}, until="SubState=start"),
    "start-timeout": Case(
        "Type=notify\nTimeoutStartSec=200ms", {"phase": "failed", "cause": "timeout"}, until="ActiveState=failed"
    ),
    "ended-before-ready": Case(
        "Type=notify", {"phase": "failed", "cause": "protocol"}, script="sleep 0.05", until="ActiveState=failed"
    ),
    "stopping": Case(
        "TimeoutStopSec=1h", {"phase": "stopping"}, script=IGNORES_TERM, do=stop_later, until="ActiveState=deactivating"
    ),
    "queued": Case("Unit:After=agent@slow.service\nUnit:Wants=agent@slow.service", {"phase": "queued"}),
    "condition-unmet": Case("Unit:ConditionPathExists=/nowhere", {"phase": "inactive", "cause": "condition"}),
    "held": Case("Unit:AssertPathExists=!/etc/passwd", {"phase": "inactive", "cause": "assertion"}),
}
SMALL = "Restart=always\nRestartSec=1h\nMemoryMax=32M\nMemorySwapMax=0"
CASES_OF_CGROUP_V2 = {
    "out-of-memory-on-cgroup-v2": Case(
        SMALL,
        {"phase": "restarting", "cause": "oom-kill", "exit": {"code": None, "signal": 9}},
        script="exec tail /dev/zero",
        until="SubState=auto-restart",
    ),
    "child-out-of-memory-on-cgroup-v2": Case(
        SMALL,
        {"phase": "restarting", "cause": "oom-kill", "exit": {"code": None, "signal": 15}},
        script="tail /dev/zero & exec sleep infinity",
        until="SubState=auto-restart",
    ),
}
"""On cgroup v1, the lab's, systemd does not learn of a kill for memory."""


def call(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def properties(unit: str) -> str:
    return call("systemctl", "show", unit, "-p", "ActiveState,SubState")


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60  # an emulated machine is slow
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"record: waited in vain for {what}")
        time.sleep(0.01)


def write(name: str, case: Case) -> None:
    unit: list[str] = []
    service = ["Type=exec"]
    for line in case.settings.split("\n"):
        (unit if line.startswith("Unit:") else service).append(line.removeprefix("Unit:"))
    script = Path(f"/opt/record-{name}")
    script.write_text(f"#!/bin/sh\n{case.script}\n")
    script.chmod(0o755)
    folder = UNITS / f"agent@{name}.service.d"
    folder.mkdir(parents=True, exist_ok=True)
    limit = "StartLimitBurst=3" if name.startswith("given-up") else "StartLimitIntervalSec=2s"
    text = ["[Unit]", *unit, limit, "[Service]", f"ExecStart={script}", *service]
    (folder / "case.conf").write_text("\n".join(text) + "\n")


async def recorded(bus: Bus, name: str) -> dict[str, Any]:
    rows = (await bus.call("ListUnitsByPatterns", "asas", [], list(PATTERNS)))[0]
    row = next((row for row in rows if row[0] == f"agent@{name}.service"), None)
    if row is None:
        return {}
    service = await bus.all_properties(row[6], SERVICE)
    found = {key: service[key] for key in KEPT}
    for key in ("InvocationID", *OF_A_DEAD_UNIT):
        found[key] = await bus.property(row[6], UNIT, key)
    found["InvocationID"] = list(found["InvocationID"])
    return {"LoadState": row[2], "ActiveState": row[3], "SubState": row[4], "JobType": row[8], **found}


async def main(cases: dict[str, Case]) -> None:
    (UNITS / "agent@.service").write_text("[Unit]\nDescription=%i\n")
    slow = Case("Type=notify\nTimeoutStartSec=1h", {})
    for name, case in {"slow": slow, **cases}.items():
        write(name, case)
    order = "\n".join(f"After=agent@{name}.service" for name in cases)
    (UNITS / "keep-loaded.target").write_text(f"[Unit]\n{order}\n")  # systemd forgets a unit that nothing refers to
    call("systemctl", "daemon-reload")
    call("systemctl", "start", "--no-block", "keep-loaded.target")
    bus = await Bus.connect(Scope.SYSTEM)
    answers = {}
    for name, case in cases.items():
        unit = f"agent@{name}.service"
        if case.start:
            call("systemctl", "start", "--no-block", unit)
            if case.do is not Case.do or "active" in str(case.expect["phase"]):
                wait(lambda unit=unit: "ActiveState=activating" not in properties(unit), f"{unit} to start")  # type: ignore[misc]
        case.do(unit)
        if case.until:
            wait(lambda unit=unit, case=case: case.until in properties(unit), f"{unit}: {case.until}")  # type: ignore[misc]
        answers[name] = {"expect": case.expect, "properties": await recorded(bus, name)}
    bus.close()
    print(json.dumps(answers, indent=1, sort_keys=True))


if __name__ == "__main__":
    asyncio.run(main(CASES_OF_CGROUP_V2 if sys.argv[1:] == ["cgroup-v2"] else CASES))
