"""Faults at random on a real systemd, and an oracle that knows nothing of our code: every row is true in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.__main__ import main
from tests.chaos.crew import crew
from tests.chaos.plan import Step
from tests.chaos.run import Run
from tests.e2e.conftest import _possible
from tests.lab import Lab

pytestmark = pytest.mark.lab

FAULTS, MINUTES = 150, 2.8
LIES = {
    "a stopped agent is shown running": ("plain_0", "systemctl_stop"),
    "a held agent is shown running": ("shell_2", "hold"),
    "the PID of a dead process": ("notify_3", "sigkill"),
    "a quarantined agent is shown running": ("fragile_4", "sigkill"),
    "a copy is not told of": ("plain_5", "copy"),
    "a hang is not told of": ("beats_1", "hang"),
}
"""Rows that stay as they were, whatever happens."""
SLANDER = {"beats_14": "warning", "notify_16": "stopped"}
"""Agents to which nothing happens, and what is said of them as soon as one is told of with a new heartbeat."""
HONEST = "plain_18"


@pytest.mark.timeout(420)  # the faults themselves, the start of the agents, and until all is quiet again
def test_in_a_storm_of_faults_every_row_stays_true(capsys: pytest.CaptureFixture[str]) -> None:
    _possible()
    code = main(["--seed", "4", "--faults", str(FAULTS), "--agents", "15", "--minutes", str(MINUTES)])
    told = capsys.readouterr().out
    print(told)
    assert code == 0, told[told.index("$ scripts/chaos") :]


class Liar:
    """What a reconciler that lies would make of its rows."""

    def __init__(self) -> None:
        self._frozen = {name for name, _ in LIES.values()}
        self._first: dict[str, dict[str, Any]] = {}

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        name = row["name"]
        if (row["status"], row["reason"]) != ("running", "AsWanted") and name not in self._first:
            return row
        first = self._first.setdefault(name, row)
        if name in self._frozen:
            return {**first, "last_heartbeat": row["last_heartbeat"]}
        if name in SLANDER and row is not first:
            return {**row, "status": SLANDER[name], "reason": "DuplicateProcess", "message": "PID 1 of root."}
        return row


def steps() -> Iterator[Step]:
    for number, (name, fault) in enumerate(LIES.values()):
        yield Step(number, 0.5, fault, name, 9.0)
    for number in range(6):  # more often than its manager puts up with
        yield Step(20 + number, 1.0 + number / 2, "sigkill", "fragile_4", 0.0)
    yield Step(30, 1.0, "copy_elsewhere", "plain_13", 6.0)
    yield Step(31, 1.5, "systemctl_stop", HONEST, 3.0)
    yield Step(32, 12.0, "daemon_reload", "", 0.0)


def test_an_oracle_that_is_lied_to_finds_every_lie() -> None:
    """On the same machine: what it is told of some agents is false, and what it looks at is not."""
    _possible()
    with Lab("lies") as lab:
        result = Run(lab, crew(20), told=Liar(), quiet=5).go(tuple(steps()))
    found = {one.name for one in result.oracle.findings if one.kind == "lie"}
    print(*result.oracle.findings, *result.acts, sep="\n")
    assert {what for what, (name, _) in LIES.items() if name not in found} == set()
    assert set(SLANDER) <= found
    assert HONEST not in found
