"""Probes of real agents by the real reconciler: who turns bad is restarted, and nobody for somebody else's fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon.asking import events, rows
from tests.e2e.daemon.machine import FOLDER, install, pids
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

WEB = (Path(__file__).parent / "web.py").read_text()
AGENTS = """
project: probes
defaults:
  hardening: none
  quarantine: {first: 5s, settle: 5s}
  probes:
    ready: {interval: 1s, timeout: 1s}
    live: {interval: 1s, timeout: 1s, failures: 2}
agents:
  live:
    command: [/usr/bin/python3, web.py, "8001"]
    url: http://127.0.0.1:8001
    probes: {live: {http: /health}}
"""


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Lab:
    install(lab, AGENTS, web=WEB)
    return lab


def says(lab: Lab, name: str, text: str) -> None:
    """What the agent answers from now on."""
    lab.write(f"{FOLDER}/{name}.says", text)


def row(lab: Lab, name: str) -> dict[str, Any]:
    return rows(lab, name).get(name, {"reason": "none", "message": ""})


def becomes(lab: Lab, name: str, reason: str, *, timeout: float = 15) -> dict[str, Any]:
    eventually(lambda: row(lab, name)["reason"] == reason, f"{name} to be {reason}", timeout=timeout)
    return row(lab, name)


def test_an_agent_whose_live_probe_turns_bad_is_restarted_and_well_again(machine: Lab) -> None:
    becomes(machine, "live", "AsWanted")
    before = pids(machine, ["live"])["live"]
    says(machine, "live", "503")
    failing = becomes(machine, "live", "ProbeFailing")
    assert failing["status"] == "error"
    assert failing["message"] == ("Its live probe (http://127.0.0.1:8001/health) failed 2 times in a row: status 503.")
    says(machine, "live", "200")
    eventually(lambda: pids(machine, ["live"])["live"] not in (0, before), "another process")
    becomes(machine, "live", "AsWanted")
    told = [(one["kind"], one["reason"]) for one in events(machine, "live")]
    assert ("action", "ProbeFailing") in told
    assert told.count(("status", "ProbeFailing")) == 1
    asked = machine.read(f"{FOLDER}/live.asked").splitlines()
    assert {line.split()[2] for line in asked} == {"/health"}
    assert all(line.split()[3].startswith("supervise/") for line in asked)
