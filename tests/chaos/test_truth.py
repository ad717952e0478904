"""Lies that the oracle must see, and truths that it must not take for lies."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.chaos.crew import KINDS, Kind
from tests.chaos.facts import Facts, Process, Unit
from tests.chaos.limits import DRIFT, HEARTBEAT, HIDDEN, ROW, SILENCE, WATCHDOG
from tests.chaos.truth import Known, complaints

NOW, WALL = 1000.0, 1.8e9
KIND = {one.name: one for one in KINDS}
PLAIN = Kind("plain")
RUNS = Unit("active", "running", pid=70, started=900.0)
REST = Unit("inactive", "dead", started=900.0, exited=990.0)
FAILED = Unit("failed", "failed", result="exit-code", code=1, status=3, started=900.0, exited=990.0)
WAITS = replace(FAILED, active="activating", sub="auto-restart")
COPY = Process(99, 950.0, "S", 1000, ("x",), "/home/ops/chaos", "copy-x.service")


def facts(unit: Unit = RUNS, **more: Any) -> Facts:
    return Facts(NOW - 0.01, NOW, unit, **more)


def row(status: str = "running", reason: str = "AsWanted", **more: Any) -> dict[str, Any]:
    said = datetime.fromtimestamp(WALL - 1, UTC).isoformat()
    plain = {"status": status, "reason": reason, "pid": 70, "phase": "active", "restarts": 0, "message": ""}
    return {**plain, "last_heartbeat": said, **more}


def down(status: str, reason: str, phase: str = "inactive") -> dict[str, Any]:
    return row(status, reason, pid=None, phase=phase)


def limits(said: dict[str, Any], true: Facts, **known: Any) -> list[str]:
    """By which limits it is untrue; empty if it is true."""
    found = complaints(said, true, Known(**{"kind": PLAIN, **known}), wall=WALL)
    return [one.limit for one in found]


# --- Lies -------------------------------------------------------------------------------------------------------------

LIES: dict[str, tuple[dict[str, Any], Facts, dict[str, Any], str]] = {
    "a stopped agent is shown running": (row(), facts(REST), {"stopped": True}, ROW),
    "the PID of a dead process": (row(pid=69), facts(), {}, ROW),
    "no PID of one that runs": (row(pid=None), facts(), {}, ROW),
    "it has not been restarted": (row(restarts=0), facts(replace(RUNS, restarts=2)), {}, ROW),
    "another phase": (row(phase="inactive"), facts(), {}, ROW),
    "a held agent is shown running": (row(), facts(held=990.0), {}, ROW),
    "a held agent that rests is shown as stopped by somebody": (
        down("stopped", "StoppedByOperator"),
        facts(REST, held=990.0),
        {"stopped": True},
        ROW,
    ),
    "a quarantined agent is shown running": (row(), facts(FAILED), {}, ROW),
    "a quarantined agent is shown stopped": (down("stopped", "StoppedByOperator", "failed"), facts(FAILED), {}, ROW),
    "what runs is shown quarantined": (row("error", "Quarantined"), facts(), {}, ROW),
    "a hidden copy is not told": (down("stopped", "StoppedByOperator"), facts(REST, outside=(COPY,)), {}, HIDDEN),
    "a duplicate is not told": (row(), facts(outside=(COPY,)), {}, HIDDEN),
    "one of two copies is not named": (
        row("warning", "DuplicateProcess", message="outside its unit: PID 99 of ops"),
        facts(outside=(COPY, replace(COPY, pid=98))),
        {},
        HIDDEN,
    ),
    "what runs in another directory is called a duplicate": (
        row("warning", "DuplicateProcess", message="It runs twice: PID 99 of ops."),
        facts(),
        {},
        HIDDEN,
    ),
    "what runs in another directory is called hidden": (
        down("warning", "HiddenProcess"),
        facts(REST),
        {"stopped": True},
        HIDDEN,
    ),
    "left-overs are not told": (down("stopped", "StoppedByOperator"), facts(REST, inside=(COPY,)), {}, HIDDEN),
    "a crash is called an exit": (down("warning", "Exited", "restarting"), facts(WAITS), {}, ROW),
    "a hang is called a crash": (
        down("error", "Crashed", "restarting"),
        facts(replace(WAITS, result="watchdog", code=3, status=6)),
        {},
        ROW,
    ),
    "a death is called somebody's stop": (
        down("stopped", "StoppedByOperator"),
        facts(REST),
        {"stopped": False, "kind": KIND["once"]},
        ROW,
    ),
    "somebody's stop is called a clean exit": (
        down("stopped", "ExitedCleanly"),
        facts(REST),
        {"stopped": True, "kind": KIND["once"]},
        ROW,
    ),
    "what nobody has stopped is down, whatever is said": (down("stopped", "StoppedByOperator"), facts(REST), {}, ROW),
    "an edited unit is not told": (row(), facts(edited=900.0), {}, DRIFT),
    "a unit that needs a reload is not told": (row(), facts(replace(RUNS, stale=True)), {}, DRIFT),
    "what hangs for longer than its watchdog is running": (
        row(),
        facts(replace(RUNS, pinged=NOW - 2.1)),
        {"kind": KIND["beats"], "silent": (NOW - 2.1, NOW - 2.0)},
        WATCHDOG,
    ),
    "what is silent is running": (row(), facts(), {"kind": KIND["silent"], "silent": (983.0, 988.5)}, SILENCE),
    "what beats is silent": (row("error", "Silent"), facts(), {"kind": KIND["silent"]}, SILENCE),
    "what beats gave its last sign long ago": (
        row(last_heartbeat=datetime.fromtimestamp(WALL - 60, UTC).isoformat()),
        facts(),
        {"kind": KIND["beats"]},
        HEARTBEAT,
    ),
    "its last sign is of the future": (
        row(last_heartbeat=datetime.fromtimestamp(WALL + 60, UTC).isoformat()),
        facts(),
        {"kind": KIND["beats"]},
        HEARTBEAT,
    ),
    "it loops though it has not died": (row("error", "CrashLooping"), facts(), {}, ROW),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_seen(lie: str) -> None:
    said, true, known, limit = LIES[lie]
    found = limits(said, true, **known)
    assert found
    assert found[0] == limit or limit in found


# --- Truths -----------------------------------------------------------------------------------------------------------

TRUTHS: dict[str, tuple[dict[str, Any], Facts, dict[str, Any]]] = {
    "it runs": (row(), facts(), {}),
    "it runs and beats": (row(), facts(), {"kind": KIND["beats"]}),
    "it pings, and systemd has not read that yet": (
        row(),
        facts(replace(RUNS, pinged=NOW - 2.1)),
        {"kind": KIND["beats"]},
    ),
    "somebody stopped it": (down("stopped", "StoppedByOperator"), facts(REST), {"stopped": True}),
    "somebody stopped it, and it exited 1": (
        down("stopped", "StoppedByOperator", "failed"),
        facts(FAILED),
        {"stopped": True},
    ),
    "it is held": (down("stopped", "Held"), facts(REST, held=990.0), {"stopped": True}),
    "it is held and is being stopped": (row("stopping", "Held"), facts(held=999.9), {}),
    "it is held and runs all the same": (row("error", "Held"), facts(held=900.0), {}),
    "it crashed": (down("error", "Crashed", "restarting"), facts(WAITS), {}),
    "it exited": (down("warning", "Exited", "restarting"), facts(replace(WAITS, result="success")), {}),
    "it was given up": (down("error", "Quarantined", "failed"), facts(FAILED), {}),
    "it crashed and nobody starts it": (down("error", "Crashed", "failed"), facts(FAILED), {"kind": KIND["never"]}),
    "it ended well and stays down": (down("stopped", "ExitedCleanly"), facts(REST), {"kind": KIND["once"]}),
    "it died too often": (row("error", "CrashLooping"), facts(), {"may_loop": True}),
    "a copy hides": (
        down("warning", "HiddenProcess") | {"message": "outside of it: PID 99 of ops since then."},
        facts(REST, outside=(COPY,)),
        {"stopped": True},
    ),
    "copies run beside it": (
        row("warning", "DuplicateProcess", message="It runs twice: PID 98 of ops; PID 99 of ops."),
        facts(outside=(COPY, replace(COPY, pid=98))),
        {},
    ),
    "its left-overs are told": (down("warning", "OrphanProcess"), facts(REST, inside=(COPY,)), {"stopped": True}),
    "what is held has left processes": (down("error", "Held"), facts(REST, inside=(COPY,), held=900.0), {}),
    "its unit was edited": (row("warning", "Drift"), facts(edited=900.0), {}),
    "it is silent": (row("error", "Silent"), facts(), {"kind": KIND["silent"], "silent": (983.0, 988.5)}),
    "it is late": (row("warning", "Late"), facts(), {"kind": KIND["silent"], "silent": (991.0, 992.5)}),
    "it is not late yet": (row(), facts(), {"kind": KIND["silent"], "silent": (994.0, 994.5)}),
    "it starts": (row("starting", "Starting", phase="starting"), facts(replace(RUNS, active="activating")), {}),
    "it stops": (row("stopping", "Stopping", phase="stopping"), facts(replace(RUNS, active="deactivating")), {}),
    "it waits for others": (down("starting", "Queued", "queued"), facts(replace(REST, job=True)), {}),
}


@pytest.mark.parametrize("truth", TRUTHS)
def test_a_truth_is_no_lie(truth: str) -> None:
    said, true, known = TRUTHS[truth]
    assert limits(said, true, **known) == []
