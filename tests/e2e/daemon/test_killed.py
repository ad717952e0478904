"""The reconciler is killed again and again: no agent notices, and it knows afterwards what happened meanwhile."""

from __future__ import annotations

import json
import socket
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.daemon.asking import CONTROL, answers, ask, events, rows
from tests.e2e.daemon.machine import (
    RECONCILER,
    at,
    install,
    moment,
    pids,
    processes,
    reconciler,
    show,
    shown,
    unit,
)
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

KILLS, WITHIN = 20, 10.0
BACK, TRUE = 2.0, 3.0
"""Seconds after the last kill until it answers, and until its rows are true."""
TOLERANCE = timedelta(milliseconds=50)
STEADY = (*(f"beats_{number}" for number in range(5)), *(f"rests_{number}" for number in range(5)))
MORTAL = ("quick", "slow", "gone")
BEATING = [name for name in STEADY if name.startswith("beats")]
SOCKETS = ("supervise-reconciler.socket", "supervise-agent.socket")
AGENTS = "project: killed\nagents:\n" + "\n".join(
    [
        *(f"  {name}: {{command: [/usr/bin/python3, beater.py, {name}], watchdog: 5s}}" for name in BEATING),
        *(f"  {name}: {{command: [/usr/bin/python3, sleeper.py, {name}]}}" for name in STEADY if name not in BEATING),
        "  quick: {command: [/usr/bin/python3, sleeper.py, quick], restart: {delay: 100ms, burst: 1000}}",
        "  slow: {command: [/usr/bin/python3, sleeper.py, slow], restart: {delay: 10min}}",
        "  gone: {command: [/usr/bin/python3, sleeper.py, gone], restart: {policy: never}}",
    ]
)


@pytest.fixture(scope="module")
def host(lab: Lab) -> Lab:
    install(lab, AGENTS)
    eventually(lambda: {row["status"] for row in rows(lab).values()} == {"running"}, "all to run")
    eventually(lambda: all(_armed(lab).values()), "those that beat to arm their watchdogs")
    return lab


@pytest.fixture(scope="module")
def stormed(host: Lab) -> dict[str, Any]:
    """What was before and after the storm, in which some agents were killed too."""
    found: dict[str, Any] = {"begin": datetime.now(UTC), "before": _lives(host), "sockets": _sockets(host)}
    begin, last, times = time.monotonic(), 0, []
    for number in range(KILLS):
        eventually(lambda last=last: reconciler(host) not in (0, last), "a reconciler to kill")  # type: ignore[misc]
        last = reconciler(host)
        mortal = {7: "quick", 11: "slow", 15: "gone"}.get(number)
        victim = [str(pids(host, [mortal])[mortal])] if mortal else []
        host.run("kill", "-9", str(last), *victim)
        times.append(time.monotonic() - begin)
        if mortal:
            assert not answers(host)
    found["took"] = times[-1]
    end = time.monotonic()
    eventually(lambda: answers(host), "it to answer", timeout=BACK + 10)
    found["back"] = time.monotonic() - end
    eventually(lambda: _untrue(host) == [], "its rows to be true", timeout=TRUE + 10)
    found["true"] = time.monotonic() - end
    return found


def _armed(lab: Lab) -> dict[str, bool]:
    facts = show(lab, map(unit, BEATING), "WatchdogUSec")
    return {name: facts[unit(name)]["WatchdogUSec"] != "0" for name in BEATING}


def _lives(lab: Lab) -> dict[str, tuple[str, ...]]:
    """Who runs, since when, after how many restarts; and how many processes there are of it."""
    facts = show(lab, map(unit, STEADY), "MainPID", "InvocationID", "NRestarts", "ActiveState")
    return {
        name: (*(value for key, value in sorted(facts[unit(name)].items())), str(len(processes(lab, name))))
        for name in STEADY
    }


def _sockets(lab: Lab) -> dict[str, tuple[object, ...]]:
    paths = [lab.path(path) for path in (CONTROL, "/run/supervise/agent.sock")]
    active = {name: (shown(lab, name, "ActiveEnterTimestampMonotonic"),) for name in SOCKETS}
    return {**active, **{path.name: (path.stat().st_ino, path.stat().st_mode, path.stat().st_gid) for path in paths}}


def _untrue(lab: Lab) -> list[str]:
    """Agents whose row does not say what systemd says."""
    names = (*STEADY, *MORTAL)
    told = rows(lab)
    facts = show(lab, map(unit, names), "MainPID", "ActiveState", "SubState", "NRestarts")
    wrong = []
    for name in names:
        row, fact = told[name], facts[unit(name)]
        phase = "restarting" if fact["SubState"] == "auto-restart" else fact["ActiveState"]
        if (row["phase"], row["pid"] or 0, row["restarts"]) != (phase, int(fact["MainPID"]), int(fact["NRestarts"])):
            wrong.append(f"{name}: {row} but {fact}")
    return wrong


def _told_of(lab: Lab, name: str, since: datetime) -> list[dict[str, Any]]:
    return [one for one in events(lab, name, since=since.isoformat()) if one["kind"] in ("death", "status")]


def _death(lab: Lab, name: str) -> datetime:
    """When systemd logged the end of the main process."""
    lab.run("journalctl", "--sync")
    done = lab.run("journalctl", "-o", "json", "-u", unit(name), "--grep", "Main process exited")
    (line,) = done.stdout.splitlines()
    return datetime.fromtimestamp(int(json.loads(line)["__REALTIME_TIMESTAMP"]) / 1e6, UTC)


# --- After the storm --------------------------------------------------------------------------------------------------


def test_it_is_back_soon_and_knows_all(stormed: dict[str, Any]) -> None:
    print({key: stormed[key] for key in ("took", "back", "true")})
    assert stormed["took"] <= WITHIN
    assert stormed["back"] <= BACK
    assert stormed["true"] <= TRUE


def test_no_agent_was_stopped_or_doubled(host: Lab, stormed: dict[str, Any]) -> None:
    assert _lives(host) == stormed["before"]
    assert {lives[-1] for lives in stormed["before"].values()} == {"1"}


def test_the_sockets_are_the_same(host: Lab, stormed: dict[str, Any]) -> None:
    assert _sockets(host) == stormed["sockets"]


def test_what_waited_is_answered_once_it_is_back(host: Lab, stormed: dict[str, Any]) -> None:
    """A question asked while nobody is there is kept by the socket."""
    host.run("kill", "-9", str(reconciler(host)))
    begin = time.monotonic()
    told = ask(host, "info", patience=BACK + 3)
    assert told["pid"] == reconciler(host)
    assert time.monotonic() - begin <= BACK


def test_a_death_that_systemd_mended_meanwhile_is_an_event_with_its_time(host: Lab, stormed: dict[str, Any]) -> None:
    told = _told_of(host, "quick", stormed["begin"])
    deaths = [one for one in told if one["kind"] == "death"]
    assert len(deaths) == 1, told
    assert abs(at(deaths[0]) - _death(host, "quick")) <= TOLERANCE
    assert rows(host, "quick")["quick"]["status"] == "running"


@pytest.mark.parametrize(("name", "reason"), [("slow", "Crashed"), ("gone", "Crashed")])
def test_a_death_that_lasts_is_a_change_of_status_with_its_time(
    host: Lab, stormed: dict[str, Any], name: str, reason: str
) -> None:
    told = [one for one in _told_of(host, name, stormed["begin"]) if one["after"] == "error"]
    assert [one["reason"] for one in told] == [reason]
    exited = moment(shown(host, unit(name), "ExecMainExitTimestamp"))
    assert abs(at(told[0]) - exited) <= TOLERANCE
    assert abs(at(told[0]) - _death(host, name)) <= TOLERANCE


def test_a_death_is_told_once_however_often_it_is_killed(host: Lab, stormed: dict[str, Any]) -> None:
    found = [(one["name"], one["at"], one["reason"]) for one in events(host) if one["kind"] in ("death", "status")]
    assert len(found) == len(set(found))


def test_nobody_fell_silent_for_it(host: Lab, stormed: dict[str, Any]) -> None:
    """Those that beat are heard again, and nothing but the three deaths is told of the storm."""
    sent = datetime.now(UTC)
    eventually(lambda: all(at(rows(host)[name], "last_heartbeat") > sent for name in BEATING), "new beats", timeout=8)
    told = [one for one in events(host, since=stormed["begin"].isoformat()) if one["kind"] in ("death", "status")]
    assert [one for one in told if one["name"] not in MORTAL] == []


def test_a_storm_of_connections_while_it_is_away_switches_nothing_off(host: Lab, stormed: dict[str, Any]) -> None:
    host.run("kill", "-9", str(reconciler(host)))
    for _ in range(100):
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(str(host.path(CONTROL)))
    eventually(lambda: answers(host), "it to answer", timeout=BACK)
    eventually(lambda: shown(host, RECONCILER, "ActiveState") == "active", "it to be ready", timeout=BACK)
    assert {shown(host, name, "ActiveState") for name in SOCKETS} == {"active"}
