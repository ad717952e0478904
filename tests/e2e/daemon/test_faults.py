"""Every fault of `faults.yaml`, done for real to an agent of its own: what must be said of it, and by when.

The faults that take long begin first and are looked at last. Deadlines count from the end of what is done.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import _possible
from tests.e2e.daemon.asking import ask, rows
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
FOLDER = "/srv/faults"
FAULTS: list[dict[str, Any]] = sorted(
    yaml.safe_load((HERE / "faults.yaml").read_text()), key=lambda fault: bool(fault.get("slow"))
)
EXTRA_UNITS = {
    "fault_broken.service": "[Service]\nType=oneshot\nExecStart=/bin/false\n",
    "fault_needed.service": "[Service]\nExecStart=sleep 1000001\n",
}
GRACE = 0.2
"""Seconds that asking over the socket itself may take on a busy machine."""


def name_of(fault: dict[str, Any]) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", fault["fault"].lower())
    return str(fault.get("row") or f"f_{words}"[:50].strip("_"))


def agent_of(fault: dict[str, Any]) -> dict[str, Any]:
    plain = {"command": ["sleep", "infinity"], "restart": {"delay": "3s"}, "hardening": "none"}
    return {**plain, **fault.get("agent", {})}


def runs(fault: dict[str, Any]) -> bool:
    """Whether it is started before anything is done to it."""
    return not fault.get("unmanaged") and "at_first" not in fault


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    _possible()
    with Lab() as booted:
        booted.add_user("faulty")
        for unit, text in EXTRA_UNITS.items():
            booted.write(f"/etc/systemd/system/{unit}", text)
        agents = {name_of(fault): agent_of(fault) for fault in FAULTS if not fault.get("unmanaged")}
        booted.write(f"{FOLDER}/agents.yaml", yaml.safe_dump({"project": "faults", "agents": agents}))
        booted.write(f"{FOLDER}/misbehave.py", (HERE / "misbehave.py").read_text())
        booted.write(f"{FOLDER}/programs/vanishing", "#!/bin/sh\nexec sleep infinity\n", mode=0o755)
        booted.write(f"{FOLDER}/programs/check", "#!/bin/sh\nexit 0\n", mode=0o755)
        booted.write(f"{FOLDER}/site/health", "well\n")
        booted.sh(f"chown -R faulty: {FOLDER}; systemctl daemon-reload; systemctl start fault_needed")
        booted.supervise("install", "-f", f"{FOLDER}/agents.yaml")
        booted.run("systemctl", "start", "--no-block", *(f"agent@{name_of(one)}" for one in FAULTS if runs(one)))
        yield booted


def row_of(lab: Lab, name: str) -> dict[str, Any]:
    return rows(lab, name).get(name, {"status": "none", "reason": "none", "message": "there is no row"})


def await_row(lab: Lab, name: str, expected: dict[str, Any], begun: float) -> float:
    """The seconds after which the row was as expected."""
    reasons = expected["reason"] if isinstance(expected["reason"], list) else [expected["reason"]]
    seen: list[str] = []
    while True:
        row = row_of(lab, name)
        passed = time.monotonic() - begun
        told = f"{row['status']} {row['reason']}: {row['message']}"
        if not seen or seen[-1] != told:
            seen.append(told)
        if (
            row["status"] == expected["status"]
            and row["reason"] in reasons
            and expected.get("words", "") in row["message"]
        ):
            return passed
        assert passed <= expected["within"] + GRACE, f"after {passed:.2f} s it is still: " + " | ".join(seen)
        time.sleep(0.005)


def do(lab: Lab, name: str, script: str) -> None:
    unit = f"agent@{name}.service"
    pid = lab.run("systemctl", "show", "--value", "-p", "MainPID", unit).stdout.strip()
    lab.sh(f"NAME={name} UNIT={unit} PID={pid}\n{script}")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["fault"])
def test_a_fault_is_told_as_it_is_and_in_time(lab: Lab, fault: dict[str, Any]) -> None:
    name = name_of(fault)
    first = fault.get("at_first", "AsWanted")
    if not (fault.get("unmanaged") or fault.get("slow")):
        eventually(lambda: row_of(lab, name)["reason"] == first, f"{name} to be {first}", timeout=30)
    if "do" in fault:
        do(lab, name, fault["do"])
    await_row(lab, name, fault, time.monotonic())
    for later in fault.get("then", ()):
        if "do" in later:
            do(lab, name, later["do"])
        if "after" in later:
            look_at = time.monotonic() + later["after"]
            eventually(lambda at=look_at: time.monotonic() >= at, "the time to look", timeout=later["after"] + 1)  # type: ignore[misc]
        await_row(lab, name, later, time.monotonic())


@pytest.mark.parametrize("fault", [one for one in FAULTS if "never" in one], ids=lambda fault: fault["fault"])
def test_nothing_false_was_said_even_in_passing(lab: Lab, fault: dict[str, Any]) -> None:
    told = [event for event in ask(lab, "events", name=name_of(fault), limit=1000) if event["kind"] == "status"]
    told = told[[event["reason"] for event in told].index("AsWanted") :]  # before that it may have waited its turn
    assert [event for event in told if event["reason"] in fault["never"]] == []
    assert [event["before"] for event in told[1:]] == [event["after"] for event in told[:-1]]


def test_every_change_is_in_the_timeline_once(lab: Lab) -> None:
    """Whatever happened above: no event twice, none without a cause, in the order of time for each agent."""
    found = ask(lab, "events", limit=10_000)
    assert len({event["id"] for event in found}) == len(found)
    assert len(found) > len(FAULTS)
    assert all(event["message"] or event["kind"] == "order" for event in found)
