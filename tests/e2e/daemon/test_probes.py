"""Probes of real agents by the real reconciler: who turns bad is restarted, and nobody for somebody else's fault."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon.asking import events, rows
from tests.e2e.daemon.machine import FOLDER, RECONCILER, install, journal, pids, shown, unit
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
WEB, CHECK = ((HERE / name).read_text() for name in ("web.py", "check.py"))
MARKING = """\
import pathlib, signal
pathlib.Path("/tmp/mark").write_text("of the agent")
signal.pause()
"""
LISTENING = """\
import os, pathlib, signal, socket, sys
while pathlib.Path(os.environ["SUPERVISE_AGENT"] + ".deaf").exists():
    signal.pause()
listener = socket.create_server((sys.argv[2] if sys.argv[2:] else "127.0.0.1", int(sys.argv[1])))
signal.signal(signal.SIGUSR1, lambda *_: listener.close())
while True:
    signal.pause()
"""
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
  both:
    command: [/usr/bin/python3, web.py, "8002"]
    url: http://127.0.0.1:8002
    probes: {ready: {http: /ready, expect: well}, live: {http: /live}}
    auto_start: false
    startup_timeout: 5s
  listening:
    command: [/usr/bin/python3, listening.py, "8003"]
    probes: {ready: {tcp: "127.0.0.1:8003"}, live: {tcp: "localhost:8003"}}
  strict:
    command: [/usr/bin/python3, marking.py]
    hardening: strict
    environment: {GREETING: "hello, world"}
    secrets: {TOKEN: "file:/etc/probes.token"}
    writable_paths: [data]
    probes:
      ready: {command: [/usr/bin/python3, check.py, ready, "$HOME", "100 %", two words]}
      live: {command: [/usr/bin/python3, check.py, live]}
  plain:
    command: [/usr/bin/python3, sleeper.py, plain]
    hardening: standard
    probes: {live: {command: [/usr/bin/python3, check.py, live], interval: 300ms}}
  nobodys:
    command: [/usr/bin/python3, sleeper.py, nobodys]
    dynamic_user: true
    probes: {live: {command: [/usr/bin/python3, check.py, live]}}
"""
FLEET = """
project: fleet
defaults:
  hardening: none
  startup_timeout: 4s
  probes: {ready: {interval: 1s, timeout: 1s}, live: {interval: 1s, timeout: 1s, failures: 2}}
agents:
"""
CREW = [f"n{number}" for number in range(6)]
ADDRESS = "10.9.0.1"
"""One that only this machine has, and that a test takes away."""
OTHER = """
project: other
agents:
  checked:
    command: [/usr/bin/python3, ../sleeper.py, checked]
    probes: {live: {command: /srv/check, interval: 300ms, failures: 1}}
"""


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Lab:
    lab.write("/etc/probes.token", "abc", mode=0o600)
    lab.write(f"{FOLDER}/data/x", "")
    install(lab, AGENTS, web=WEB, check=CHECK, marking=MARKING, listening=LISTENING)
    return lab


def says(lab: Lab, name: str, text: str) -> None:
    """What the agent answers from now on."""
    lab.write(f"{FOLDER}/{name}.says", text)


def row(lab: Lab, name: str) -> dict[str, Any]:
    return rows(lab, name).get(name, {"reason": "none", "message": ""})


def becomes(lab: Lab, name: str, reason: str, *, timeout: float = 15) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def so() -> bool:
        found.update(row(lab, name))
        return bool(found["reason"] == reason)

    eventually(so, f"{name} to be {reason}", timeout=timeout)
    return found


# --- http -------------------------------------------------------------------------------------------------------------


def test_an_agent_whose_live_probe_turns_bad_is_restarted_and_well_again(machine: Lab) -> None:
    becomes(machine, "live", "AsWanted")
    before = pids(machine, ["live"])["live"]
    says(machine, "live", "503")
    failing = becomes(machine, "live", "ProbeFailing")
    assert failing["status"] == "error"
    assert failing["message"] == "Its live probe (http://127.0.0.1:8001/health) failed 2 times in a row: status 503."
    says(machine, "live", "200")
    eventually(lambda: pids(machine, ["live"])["live"] not in (0, before), "another process")
    becomes(machine, "live", "AsWanted")
    told = [(one["kind"], one["reason"]) for one in events(machine, "live")]
    assert ("action", "ProbeFailing") in told
    assert told.count(("status", "ProbeFailing")) == 1
    asked = machine.read(f"{FOLDER}/live.asked").splitlines()
    assert {line.split()[2] for line in asked} == {"/health"}
    assert all(line.split()[3].startswith("supervise/") for line in asked)


def test_a_restart_that_does_not_help_waits_before_the_next(machine: Lab) -> None:
    says(machine, "live", "503")
    becomes(machine, "live", "ProbeFailing")
    eventually(lambda: row(machine, "live")["reason"] == "AsWanted", "its restart")
    again = becomes(machine, "live", "ProbeFailing")
    pid = pids(machine, ["live"])["live"]
    assert again["pid"] == pid
    says(machine, "live", "200")
    becomes(machine, "live", "AsWanted")
    assert pids(machine, ["live"])["live"] == pid, "it became well before the wait was over"


def test_an_agent_is_starting_until_it_is_ready_and_is_asked_whether_it_lives_only_then(machine: Lab) -> None:
    says(machine, "both", "503")
    machine.run("systemctl", "start", unit("both"))
    starting = becomes(machine, "both", "Starting")
    assert starting["status"] == "starting"
    eventually(lambda: "says: status 503" in row(machine, "both")["message"], "the answer to be told")
    says(machine, "both", "200 0 well")
    becomes(machine, "both", "AsWanted", timeout=3)
    eventually(lambda: "/live" in machine.read(f"{FOLDER}/both.asked"), "its live probe to be asked")
    paths = [line.split()[2] for line in machine.read(f"{FOLDER}/both.asked").splitlines()]
    assert paths == sorted(paths, reverse=True), "first whether it is ready, then whether it lives"
    told = [one["reason"] for one in events(machine, "both") if one["kind"] == "status"]
    assert told[-2:] == ["Starting", "AsWanted"]


def test_ready_is_ready_for_life_also_for_a_reconciler_that_was_killed(machine: Lab) -> None:
    begin = len(machine.read(f"{FOLDER}/both.asked").splitlines())
    machine.run("systemctl", "kill", "-s", "KILL", RECONCILER)
    eventually(lambda: row(machine, "both")["reason"] == "AsWanted", "the row")
    eventually(lambda: len(machine.read(f"{FOLDER}/both.asked").splitlines()) > begin + 1, "further questions")
    paths = [line.split()[2] for line in machine.read(f"{FOLDER}/both.asked").splitlines()[begin:]]
    assert set(paths) == {"/live"}


def test_what_never_gets_ready_is_restarted_after_its_time(machine: Lab) -> None:
    says(machine, "both", "200 0 not")
    machine.run("systemctl", "restart", unit("both"))
    before = pids(machine, ["both"])["both"]
    failed = becomes(machine, "both", "StartTimeout")
    assert failed["message"] == (
        "It was not ready within 5 s (startup_timeout): its ready probe (http://127.0.0.1:8002/ready) says: "
        'status 200, but its answer lacks "well".'
    )
    eventually(lambda: pids(machine, ["both"])["both"] not in (0, before), "its restart")
    says(machine, "both", "200 0 well")
    becomes(machine, "both", "AsWanted")


# --- Whoever starts it waits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["root", "olga"])
def test_a_start_ends_when_the_agent_is_ready_also_for_an_operator(machine: Lab, user: str) -> None:
    if user == "olga":
        machine.run("useradd", "-G", "supervise-operators", user)
    machine.supervise("stop", "both", check=False)
    says(machine, "both", "503")
    command = ["runuser", "-u", user, "--", "supervise", "start", "both"]
    starting = machine.popen(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    eventually(lambda: "says: status 503" in row(machine, "both")["message"], "its first answer")
    rest = time.monotonic() + 1.5
    eventually(lambda: time.monotonic() > rest, "more than it must stay up for")
    assert starting.poll() is None
    says(machine, "both", "200 0 well")
    said = starting.communicate(timeout=10)[0]
    assert (starting.returncode, "✓ both: started" in said) == (0, True), said
    assert row(machine, "both")["reason"] == "AsWanted"


def test_a_start_of_what_never_gets_ready_fails_and_says_why(machine: Lab) -> None:
    machine.supervise("stop", "both")
    says(machine, "both", "503")
    done = machine.supervise("start", "both", check=False)
    assert done.returncode == 1
    assert re.search(r"both: started \(PID \d+\), but it is not ready: It was not ready within 5 s", done.stderr)
    says(machine, "both", "200 0 well")
    becomes(machine, "both", "AsWanted")


def test_one_agent_is_shown_with_the_last_answers_of_its_probes(machine: Lab) -> None:
    becomes(machine, "both", "AsWanted")
    eventually(lambda: "/live: status 200" in machine.supervise("status", "both").stdout, "its live probe's answer")
    text = machine.supervise("status", "both").stdout
    assert re.search(r"ready +http://127\.0\.0\.1:8002/ready: status 200 \((\d+ s ago|just now)\)", text)
    assert re.search(r"live +http://127\.0\.0\.1:8002/live: status 200 \((\d+ s ago|just now)\)", text)
    (one,) = json.loads(machine.supervise("status", "both", "--json").stdout)["agents"]
    assert (one["probes"]["ready"]["ok"], one["probes"]["failed"]) == (True, 0)


# --- tcp --------------------------------------------------------------------------------------------------------------


def test_who_accepts_no_connections_any_more_is_restarted(machine: Lab) -> None:
    becomes(machine, "listening", "AsWanted")
    pid = pids(machine, ["listening"])["listening"]
    machine.run("kill", "-USR1", str(pid))
    failing = becomes(machine, "listening", "ProbeFailing")
    assert failing["message"] == "Its live probe (localhost:8003) failed 2 times in a row: connection refused."
    eventually(lambda: pids(machine, ["listening"])["listening"] not in (0, pid), "its restart")
    becomes(machine, "listening", "AsWanted")


# --- command ----------------------------------------------------------------------------------------------------------


def found_by(lab: Lab, name: str, role: str) -> dict[str, Any]:
    """What a probe has found where it last ran."""
    lines: list[str] = []

    def said() -> bool:
        lines[:] = [line for line in journal(lab, "-t", f"{name}-{role}") if line.startswith("{")]
        return bool(lines)

    eventually(said, f"the {role} probe of {name} to say something")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def uid(lab: Lab, pid: int) -> int:
    return int(lab.run("stat", "-c", "%u", f"/proc/{pid}").stdout)


def test_a_command_has_the_agents_user_folder_environment_secrets_and_sandbox(machine: Lab) -> None:
    becomes(machine, "strict", "AsWanted")
    found = found_by(machine, "strict", "ready")
    assert found["uid"] == uid(machine, pids(machine, ["strict"])["strict"])
    assert found["directory"] == FOLDER
    assert found["environment"]["GREETING"] == "hello, world"
    assert found["environment"]["SUPERVISE_AGENT"] == "strict"
    assert "NOTIFY_SOCKET" not in found["environment"], "it speaks for nobody"
    assert found["secret"] == "abc"
    assert found["mark_of_the_agent"] == "of the agent", "it sees the agent's own /tmp"
    assert found["arguments"] == ["ready", "$HOME", "100 %", "two words"]
    assert found["writes"] == ["data"]
    assert (found["no_new_privileges"], int(found["capabilities"], 16)) == ("1", 0)
    assert "/supervise.slice/agent-ready@strict.service" in found["cgroup"]
    assert found_by(machine, "strict", "live")["arguments"] == ["live"]


def test_a_command_of_an_agent_without_a_user_runs_as_the_one_that_was_made_for_it(machine: Lab) -> None:
    becomes(machine, "nobodys", "AsWanted")
    found = found_by(machine, "nobodys", "live")
    assert found["uid"] == uid(machine, pids(machine, ["nobodys"])["nobodys"])
    assert found["writes"] == [], "the folder is somebody else's"


def test_a_command_that_fails_says_how_and_leaves_no_failed_unit(machine: Lab) -> None:
    becomes(machine, "plain", "AsWanted")
    pid = pids(machine, ["plain"])["plain"]
    machine.write(f"{FOLDER}/plain.exits", "3")
    failing = becomes(machine, "plain", "ProbeFailing")
    assert failing["message"] == (
        "Its live probe (/usr/bin/python3 check.py live) failed 2 times in a row: exited with code 3."
    )
    machine.write(f"{FOLDER}/plain.exits", "0")
    eventually(lambda: pids(machine, ["plain"])["plain"] not in (0, pid), "its restart")
    becomes(machine, "plain", "AsWanted")
    failed = machine.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").stdout
    assert "agent-" not in failed


def test_a_command_that_hangs_is_ended_with_all_that_it_has_left_behind(machine: Lab) -> None:
    becomes(machine, "plain", "AsWanted")
    machine.write(f"{FOLDER}/plain.hangs", "")
    failing = becomes(machine, "plain", "ProbeFailing")
    assert failing["message"].endswith("failed 2 times in a row: it did not end in time.")
    machine.run("rm", f"{FOLDER}/plain.hangs")
    becomes(machine, "plain", "AsWanted")
    left = machine.run("pgrep", "-f", "SIG_IGN", check=False).stdout
    assert left == ""


def test_a_command_that_cannot_be_executed_is_no_no(machine: Lab) -> None:
    """It says nothing of the agent: nobody is restarted, and `doctor` tells."""
    machine.write("/srv/check", "#!/bin/sh\nexit 0\n", mode=0o755)
    machine.write(f"{FOLDER}/other/agents.yaml", OTHER)
    machine.run("chown", "-R", "ops:", f"{FOLDER}/other")
    machine.supervise("install", "-f", f"{FOLDER}/other/agents.yaml", "--start")
    becomes(machine, "checked", "AsWanted")
    pid = pids(machine, ["checked"])["checked"]
    machine.run("chmod", "-x", "/srv/check")
    begin = len(journal(machine, "-u", "agent-probe@checked.service"))
    eventually(
        lambda: sum("203" in line for line in journal(machine, "-u", "agent-probe@checked.service")[begin:]) > 3,
        "some tries",
    )
    assert (row(machine, "checked")["reason"], pids(machine, ["checked"])["checked"]) == ("AsWanted", pid)
    told = machine.supervise("doctor", check=False).stdout
    assert "checked: a probe cannot be asked: could not be started: cannot execute the program (203/EXEC)" in told
    assert "chmod a+x /srv/check" in told


def test_an_uninstall_in_the_middle_of_a_probe_leaves_nothing_of_it(machine: Lab) -> None:
    probe = "agent-probe@checked.service"
    machine.write("/srv/check", "#!/bin/sh\nexec sleep 1000\n", mode=0o755)
    eventually(lambda: shown(machine, probe, "ActiveState") == "activating", "a question")
    machine.supervise("uninstall", "--yes", "-p", "other")
    assert not machine.path(f"/etc/systemd/system/{probe}").exists()
    known = ("systemctl", "list-units", "--all", "--plain", "--no-legend", "agent*@checked*")
    eventually(lambda: machine.run(*known).stdout == "", "systemd to have forgotten them")


def test_a_probe_is_nobodys_hidden_process(machine: Lab) -> None:
    """Also where it runs the very command of the agent."""
    rows_of_all = machine.supervise("status", "--json", check=False).stdout
    assert "HiddenProcess" not in rows_of_all
    assert "DuplicateProcess" not in rows_of_all


# --- Many -------------------------------------------------------------------------------------------------------------


def test_never_two_probes_of_one_agent_at_once_however_slow_and_busy_all_is(machine: Lab) -> None:
    """Its probe takes longer than its interval, it is restarted again and again, and the machine is busy."""
    says(machine, "live", "200 0.9")
    machine.write(f"{FOLDER}/plain.takes", "0.8")
    becomes(machine, "plain", "AsWanted")
    asked = len(machine.read(f"{FOLDER}/plain.times").splitlines())
    burning = [machine.popen("timeout", "60", "sh", "-c", "while :; do :; done; # burning") for _ in range(3)]
    for _ in range(4):
        machine.run("systemctl", "restart", unit("plain"), unit("live"))
        more = asked + 2
        eventually(lambda more=more: len(machine.read(f"{FOLDER}/plain.times").splitlines()) >= more, "two questions")  # type: ignore[misc]
        asked = len(machine.read(f"{FOLDER}/plain.times").splitlines())
    machine.run("pkill", "-f", "burning")
    for one in burning:
        one.wait()
    assert set(machine.read(f"{FOLDER}/live.together").split()) == {"1"}
    assert not machine.path(f"{FOLDER}/plain.twice").exists()
    machine.run("rm", f"{FOLDER}/plain.takes")
    says(machine, "live", "200")


@pytest.fixture
def fleet(machine: Lab) -> Iterator[Lab]:
    """Agents that are asked at an address which can go."""
    machine.run("ip", "address", "replace", f"{ADDRESS}/32", "dev", "lo")
    lines = [
        f"  {name}: {{command: [/usr/bin/python3, ../listening.py, '90{number:02}', {ADDRESS}], "
        f"probes: {{ready: {{tcp: '{ADDRESS}:90{number:02}'}}, live: {{tcp: '{ADDRESS}:90{number:02}'}}}}}}"
        for number, name in enumerate(CREW)
    ]
    machine.write(f"{FOLDER}/fleet/agents.yaml", FLEET + "\n".join(lines))
    machine.run("chown", "-R", "ops:", f"{FOLDER}/fleet")
    machine.supervise("install", "-f", f"{FOLDER}/fleet/agents.yaml", "--start")
    yield machine
    machine.supervise("uninstall", "--yes", "-p", "fleet")
    machine.run("ip", "address", "delete", f"{ADDRESS}/32", "dev", "lo")


def test_a_restart_in_batches_halts_at_the_first_that_does_not_become_ready(fleet: Lab) -> None:
    for name in CREW:
        becomes(fleet, name, "AsWanted")
    before = pids(fleet, CREW)
    fleet.write(f"{FOLDER}/fleet/n1.deaf", "")
    done = fleet.supervise("restart", "n0", "n1", "n2", "--batch", "1", check=False)
    fleet.run("rm", f"{FOLDER}/fleet/n1.deaf")
    assert done.returncode == 5
    assert "✓ n0: restarted" in done.stdout
    assert re.search("✗ n1: restarted.*, but it is not ready: It was not ready within 4 s", done.stderr)
    assert "✗ n2: not restarted: halted after a failure" in done.stderr
    after = pids(fleet, CREW)
    assert {name for name in CREW if after[name] == before[name]} == {*CREW[2:]}
    fleet.supervise("restart", "n1")
    assert row(fleet, "n1")["reason"] == "AsWanted"


def test_a_network_that_fails_for_half_of_them_restarts_nobody_and_is_one_event(fleet: Lab) -> None:
    for name in CREW:
        becomes(fleet, name, "AsWanted")
    before = pids(fleet, CREW)
    fleet.run("ip", "address", "delete", f"{ADDRESS}/32", "dev", "lo")
    for name in CREW:
        failing = becomes(fleet, name, "ProbeFailing")
        assert failing["message"].endswith("failed 2 times in a row: network unreachable.")
    rest = time.monotonic() + 5
    eventually(lambda: time.monotonic() > rest, "further questions")
    assert pids(fleet, CREW) == before
    fleet.run("ip", "address", "replace", f"{ADDRESS}/32", "dev", "lo")
    for name in CREW:
        becomes(fleet, name, "AsWanted")
    assert pids(fleet, CREW) == before
    told = [(one["reason"], one["message"]) for one in events(fleet) if one["kind"] == "host"]
    cut, over = (one for one in told if one[0].startswith("Probe"))
    assert re.fullmatch(
        r"[56] of [6-9] probes fail at once: the network is unreachable; nobody is restarted for it\.", cut[1]
    )
    assert over == (
        "ProbesAnswer",
        "It is over that half of the probes fail at once: the network is unreachable no more.",
    )
    done = [one["reason"] for name in CREW for one in events(fleet, name) if one["kind"] == "action"]
    assert "ProbeFailing" not in done
