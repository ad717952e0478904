"""`supervise trial` of real agents: good ones pass, bad ones fail and say why, and all are left as they were."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import pytest

from tests.e2e.daemon.asking import rows
from tests.e2e.daemon.machine import install, pids, shown, unit
from tests.lab import Completed, Lab, eventually

pytestmark = pytest.mark.lab

CRASHES = "import sys, time\ntime.sleep(1)\nprint('no route to exchange', file=sys.stderr)\nsys.exit(3)\n"
AGENTS = """
project: trial
defaults: {auto_start: false}
agents:
  good: {command: [/usr/bin/python3, beater.py, good], watchdog: 5s}
  plain: {command: [/usr/bin/python3, sleeper.py, plain]}
  runs: {command: [/usr/bin/python3, sleeper.py, runs], auto_start: true}
  crashes: {command: [/usr/bin/python3, crashes.py], restart: {delay: 200ms, burst: 3, window: 1min}}
  held: {command: [/usr/bin/python3, sleeper.py, held]}
  nightly: {command: [/bin/true], schedule: daily}
"""


@pytest.fixture(scope="module")
def host(lab: Lab) -> Lab:
    install(lab, AGENTS, crashes=CRASHES)
    lab.add_user("olga")
    lab.run("usermod", "-aG", "supervise-operators", "olga")
    lab.supervise("hold", "held", "--reason", "no good")
    eventually(lambda: rows(lab, "runs")["runs"]["status"] == "running", "it to run")
    return lab


def trial(lab: Lab, *words: str, check: bool = False) -> Completed:
    return lab.supervise("trial", *words, check=check)


def last(done: Completed) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def is_active(lab: Lab, name: str) -> bool:
    return shown(lab, unit(name), "ActiveState") == "active"


def test_an_agent_that_was_down_is_started_found_well_and_stopped_again(host: Lab) -> None:
    done = trial(host, "good", "--duration", "4", "--json")
    verdict = last(done)
    assert (done.returncode, verdict["ok"], verdict["complete"], verdict["stopped"]) == (0, True, True, True)
    assert verdict["heartbeats"] > 0
    assert 0 < verdict["came_up_after"] < 3
    kinds = [json.loads(line)["kind"] for line in done.stdout.splitlines()]
    assert {"start", "status", "heartbeat", "activity", "stop", "verdict"} <= set(kinds)
    assert not is_active(host, "good")


def test_it_can_be_kept(host: Lab) -> None:
    done = trial(host, "plain", "--duration", "1", "--keep")
    assert done.returncode == 0, done.stdout
    assert is_active(host, "plain")
    host.supervise("stop", "plain")


def test_an_agent_that_runs_is_only_watched(host: Lab) -> None:
    before = pids(host, ["runs"])
    assert trial(host, "runs", "--duration", "1s").returncode == 0
    assert pids(host, ["runs"]) == before


def test_an_agent_that_crashes_fails_with_its_reason_and_its_log(host: Lab) -> None:
    done = trial(host, "crashes", "--duration", "20s")
    verdict = done.stdout.splitlines()[-1]
    assert done.returncode == 1
    assert verdict.startswith("✗ crashes: not well in ")
    assert "it was error, Crashed: It exited with code 3" in verdict
    assert "Main process exited" in done.stdout or "Failed with result" in done.stdout
    words = done.stdout.partition("last lines before its end:")[2]
    assert "no route to exchange" in words
    eventually(lambda: not is_active(host, "crashes"), "it to be down again")
    assert rows(host, "crashes")["crashes"]["status"] == "stopped"


def test_of_a_quarantined_agent_it_is_told_that_it_stays_down_from_now_on(host: Lab) -> None:
    host.supervise("start", "crashes", check=False)
    eventually(lambda: rows(host, "crashes")["crashes"]["reason"] == "Quarantined", "it to be given up", timeout=20)
    told = trial(host, "crashes", "--duration", "2").stdout
    assert "stopped, and stays so: it was Quarantined, but is not tried again any more" in told
    assert rows(host, "crashes")["crashes"]["reason"] == "StoppedByOperator"


def test_an_agent_that_is_killed_meanwhile_fails(host: Lab) -> None:
    before = pids(host, ["runs"])["runs"]
    with host.popen("supervise", "trial", "runs", "--duration", "6", stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert "running, AsWanted" in running.stdout.readline()
        host.run("kill", "-9", str(before))
        text = running.stdout.read()
        assert running.wait() == 1
    assert "✗ runs: not well" in text
    assert "SIGKILL" in text.splitlines()[-1]
    assert is_active(host, "runs")


def test_an_interrupt_gives_the_verdict_so_far_and_stops_what_was_started(host: Lab) -> None:
    with host.popen("supervise", "trial", "plain", "--duration", "1h", stdout=subprocess.PIPE) as running:
        eventually(lambda: is_active(host, "plain"), "it to run")
        eventually(lambda: rows(host, "plain")["plain"]["status"] == "running", "that to be seen")
        host.run("pkill", "-INT", "-f", "supervise trial plain")
        assert running.stdout is not None
        text = running.stdout.read()
        assert running.wait() == 130
    assert "✓ plain: well for" in text.splitlines()[-1]
    assert " of 3600 s" in text.splitlines()[-1]
    assert not is_active(host, "plain")


def test_an_operator_may_try_agents_too(host: Lab) -> None:
    done = host.run(
        "runuser", "-u", "olga", "--", "supervise", "trial", "plain", "--duration", "2", "--json", check=False
    )
    assert (done.returncode, last(done)["stopped"]) == (0, True), done.stdout + done.stderr
    assert not is_active(host, "plain")


@pytest.mark.parametrize(("name", "why"), [("held", "it is held by root: no good"), ("nightly", "is a job")])
def test_who_is_held_and_who_is_a_job_is_refused(host: Lab, name: str, why: str) -> None:
    done = trial(host, name)
    assert done.returncode in (1, 2)
    assert why in done.stderr


def test_an_adopted_process_is_only_watched_and_a_copy_is_left_alone(host: Lab) -> None:
    copy = host.popen(
        "runuser", "-u", "ops", "--", "sh", "-c", "cd /home/ops && exec /usr/bin/python3 sleeper.py plain"
    )
    try:
        eventually(lambda: host.run("pgrep", "-f", "sleeper.py plain", check=False).stdout, "the copy")
        before = host.run("pgrep", "-f", "^/usr/bin/python3 sleeper.py plain").stdout
        assert trial(host, "plain", "--duration", "20").returncode == 1
        host.supervise("adopt", "plain")
        eventually(lambda: rows(host, "plain")["plain"]["status"] == "running", "it to be the agent")
        done = trial(host, "plain", "--duration", "2s")
        assert (done.returncode, "so it is started" in done.stdout) == (0, False), done.stdout
        assert host.run("pgrep", "-f", "^/usr/bin/python3 sleeper.py plain").stdout == before
    finally:
        host.run("pkill", "-f", "sleeper.py plain")
        copy.wait()


def test_a_copy_by_hand_is_in_the_way_of_a_trial(host: Lab) -> None:
    copy = host.popen(
        "runuser", "-u", "ops", "--", "sh", "-c", "cd /home/ops && exec /usr/bin/python3 sleeper.py plain"
    )
    try:
        eventually(lambda: host.run("pgrep", "-f", "sleeper.py plain", check=False).stdout, "the copy")
        done = trial(host, "plain", "--duration", "20")
        assert done.returncode == 1
        assert "it could not be started: a copy runs outside its unit" in done.stdout.splitlines()[-1]
    finally:
        host.run("pkill", "-f", "sleeper.py plain")
        copy.send_signal(signal.SIGKILL)
        copy.wait()
