"""`systemctl reload`, SIGHUP, and a second reconciler beside the first: with the real service under a real systemd."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.daemon.asking import ask, rows
from tests.e2e.daemon.machine import RECONCILER, at, install, journal, pids, reconciler, shown, stored
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

SOCKETS = ("supervise-reconciler.socket", "supervise-agent.socket")
MANIFEST = "/etc/supervise/projects/reload.json"
CREW = ("first", "second")
AGENTS = "project: reload\nagents:\n" + "\n".join(
    f"  {name}: {{command: [/usr/bin/python3, sleeper.py, {name}]}}" for name in CREW
)


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Lab:
    install(lab, AGENTS)
    eventually(lambda: {row["status"] for row in rows(lab).values()} == {"running"}, "all to run")
    return lab


@pytest.fixture
def host(machine: Lab) -> Any:
    """With the manifest as it was installed, and all agents as they were."""
    whole, before = machine.read(MANIFEST), pids(machine, CREW)
    yield machine
    machine.write(MANIFEST, whole)
    machine.run("systemctl", "reload", RECONCILER)
    assert pids(machine, CREW) == before


def told(lab: Lab) -> list[str]:
    return [line for line in journal(lab, "-u", RECONCILER) if "reloaded: " in line]


def retitle(lab: Lab, name: str, title: str) -> None:
    manifest = json.loads(lab.read(MANIFEST))
    for agent in manifest["agents"]:
        if agent["name"] == name:
            agent["title"] = title
    lab.write(MANIFEST, json.dumps(manifest))


def test_a_reload_has_taken_over_what_is_on_disk_when_systemctl_returns(host: Lab) -> None:
    pid, before = reconciler(host), len(told(host))
    retitle(host, "first", "The First")
    host.run("systemctl", "reload", RECONCILER)
    assert rows(host, "first")["first"]["title"] == "The First"
    assert [line.partition("reloaded: ")[2] for line in told(host)[before:]] == [
        "2 agents of 1 project; changed: first"
    ]
    assert (reconciler(host), shown(host, RECONCILER, "ActiveState")) == (pid, "active")


def test_a_damaged_manifest_fails_the_reload_and_leaves_the_agents_as_they_were(host: Lab) -> None:
    pid = reconciler(host)
    host.write(MANIFEST, '{"project": "reload", "agents": [')
    done = host.run("systemctl", "reload", RECONCILER, check=False)
    assert done.returncode != 0
    assert f'cannot read the manifest "{MANIFEST}"' in told(host)[-1]
    assert "project reload stays as it was" in told(host)[-1]
    assert {name: row["status"] for name, row in rows(host).items()} == dict.fromkeys(CREW, "running")
    assert ask(host, "info")["damaged"].keys() == {"reload"}
    status = host.supervise("status", check=False)
    assert (status.returncode, "no agents are installed" in status.stderr) == (1, False)
    assert all(f"running  {name}" in status.stdout for name in CREW)
    eventually(lambda: "cannot read the manifest" in of_host(host)["message"], "the host's row to say so", timeout=5)
    assert (reconciler(host), shown(host, RECONCILER, "ActiveState")) == (pid, "active")


def test_a_hangup_does_the_same_and_systemd_sees_the_reload_begin_and_end(host: Lab) -> None:
    pid, before = reconciler(host), len(told(host))
    retitle(host, "second", "The Second")
    host.run("kill", "-HUP", str(pid))
    eventually(lambda: told(host)[before:], "the reload")
    assert rows(host, "second")["second"]["title"] == "The Second"
    eventually(lambda: shown(host, RECONCILER, "ActiveState") == "active", "the reload to end")
    assert reconciler(host) == pid


def test_a_storm_of_hangups_stops_nothing(host: Lab) -> None:
    pid = reconciler(host)
    host.sh(f"for n in $(seq 200); do kill -HUP {pid}; done")
    assert ask(host, "info")["pid"] == pid
    eventually(lambda: shown(host, RECONCILER, "ActiveState") == "active", "the last reload to end")


def of_host(lab: Lab) -> dict[str, Any]:
    (found,) = stored(lab, "select * from host_status")
    return found


def test_the_host_has_a_row_of_its_own(host: Lab) -> None:
    eventually(lambda: of_host(host)["message"] == "", "a host without trouble", timeout=5)
    row, told = of_host(host), ask(host, "info")
    assert (row["host"], row["platform"], row["agents"]) == (host.name, "systemd", 2)
    assert (row["boot"], row["version"]) == (told["boot"], told["version"])
    assert (at(row, "started_at"), told["message"]) == (at(told, "since"), "")
    assert datetime.now(UTC) - at(row, "updated_at") < timedelta(seconds=62)


# --- One at a time ----------------------------------------------------------------------------------------------------


def test_a_second_reconciler_ends_with_a_sentence_that_names_the_first(host: Lab) -> None:
    pid = reconciler(host)
    done = host.supervise("reconcile", check=False, timeout=20)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"another reconciler does (PID {pid})" in done.stderr
    assert ask(host, "info")["pid"] == pid


def test_a_pass_by_hand_beside_one_that_does_not_listen_is_refused(host: Lab) -> None:
    """Its socket is gone, so nobody can ask it; it keeps the agents all the same."""
    pid = reconciler(host)
    control = host.path("/run/supervise/control.sock")
    control.rename(control.with_name("away.sock"))
    try:
        done = host.supervise("reconcile", "--once", check=False)
    finally:
        control.with_name("away.sock").rename(control)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"another reconciler does (PID {pid})" in done.stderr


def test_one_that_was_killed_leaves_no_lock(host: Lab) -> None:
    pid = reconciler(host)
    host.run("kill", "-9", str(pid))
    eventually(lambda: reconciler(host) not in (0, pid), "the next one")
    eventually(lambda: ask(host, "info", patience=10)["pid"] == reconciler(host), "it to answer")
    assert host.read("/var/lib/supervise/reconciler.lock").strip() == str(reconciler(host))


def test_the_service_comes_up_once_one_that_was_started_by_hand_has_ended(host: Lab) -> None:
    host.run("systemctl", "stop", *SOCKETS, RECONCILER)
    with host.popen("supervise", "reconcile") as by_hand:
        eventually(lambda: host.run("supervise", "status", check=False).stdout.count("reconciler: view"), "it to run")
        first = host.read("/var/lib/supervise/reconciler.lock").strip()
        host.run("systemctl", "start", "--no-block", RECONCILER)
        eventually(lambda: reconciler(host), "the service to wait")
        host.run("kill", first)
        by_hand.wait(20)
    eventually(lambda: shown(host, RECONCILER, "ActiveState") == "active", "the service to come up")
    assert host.read("/var/lib/supervise/reconciler.lock").strip() == str(reconciler(host))
