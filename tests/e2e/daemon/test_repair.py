"""What a person does about processes: `ps`, `adopt`, `force-stop` and `fix`, on real ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from supervise.manager import KILLED
from tests.e2e.daemon.asking import events, rows
from tests.e2e.daemon.machine import FOLDER, OWNER, RECONCILER, install, pids, shown, unit
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

AGENTS = f"""
project: repair
defaults: {{user: {OWNER}, hardening: none, stop_timeout: 1s}}
agents:
  steady: {{command: [/usr/bin/python3, sleeper.py, steady]}}
  forker: {{command: [/usr/bin/python3, forker.py]}}
  strayed: {{command: [/usr/bin/python3, forker.py, strayed], auto_start: false}}
  alike_1: {{command: [/usr/bin/python3, sleeper.py], environment: {{PAIR: BTC}}, auto_start: false}}
  alike_2: {{command: [/usr/bin/python3, sleeper.py], environment: {{PAIR: ETH}}, auto_start: false}}
  stuck: {{command: [/usr/bin/python3, sleeper.py, stuck]}}
  guarded: {{command: [/usr/bin/python3, sleeper.py, guarded], hidden: stop, auto_start: false}}
"""
FORKER = "import signal, subprocess\nsubprocess.Popen(['sleep', '987654'])\nsignal.pause()\n"
NUMBERS = count()
FREEZER = "/sys/fs/cgroup/freezer"


@pytest.fixture(scope="module")
def host(lab: Lab) -> Lab:
    install(lab, AGENTS, forker=FORKER)
    lab.sh(f"chmod 755 {FOLDER}; useradd stranger; useradd -G supervise-operators deputy")
    return lab


@pytest.fixture(autouse=True)
def tidy(host: Lab) -> Iterator[None]:
    yield
    host.sh("systemctl stop 'hand-*'; systemctl reset-failed 'hand-*'; supervise unlock '*'", check=False)


def by_hand(host: Lab, *words: str, env: str = "A=1", user: str = OWNER) -> int:
    name = f"hand-{next(NUMBERS)}"
    place = (f"--uid={user}", f"--unit={name}", f"--working-directory={FOLDER}", f"--setenv={env}")
    host.run("systemd-run", "--quiet", *place, "/usr/bin/python3", *words)
    return int(shown(host, f"{name}.service", "MainPID"))


def row(host: Lab, name: str) -> dict[str, Any]:
    return rows(host, name)[name]


def comes_to(host: Lab, name: str, reason: str, *, within: float = 5) -> dict[str, Any]:
    eventually(lambda: row(host, name)["reason"] == reason, f"{name} to be {reason}", timeout=within)
    return row(host, name)


def listed(host: Lab, *words: str, user: str = "root") -> dict[int, dict[str, Any]]:
    done = host.run("runuser", "-u", user, "--", "supervise", "ps", "--json", *words)
    return {one["pid"]: one for one in json.loads(done.stdout)}


# --- ps ---------------------------------------------------------------------------------------------------------------


def test_every_process_of_an_agent_is_listed_with_what_it_is(host: Lab) -> None:
    found = listed(host, "forker")
    main = pids(host, ["forker"])["forker"]
    assert {one["class"] for one in found.values()} == {"managed"}
    assert sorted(one["command"][0] for one in found.values()) == ["/usr/bin/python3", "sleep"]
    assert (found[main]["unit"], found[main]["user"], found[main]["directory"]) == (unit("forker"), OWNER, FOLDER)
    real = host.read(f"/proc/{main}/statm").split()[1]
    assert abs(found[main]["memory"] - int(real) * 4096) < 1 << 20


@pytest.mark.parametrize("user", ["root", "stranger"])
def test_hidden_duplicate_and_ambiguous_ones_are_told_apart(host: Lab, user: str) -> None:
    twice, hidden, either = (
        by_hand(host, "sleeper.py", "steady"), by_hand(host, "forker.py", "strayed"), by_hand(host, "sleeper.py")
    )  # fmt: skip
    comes_to(host, "strayed", "HiddenProcess")
    comes_to(host, "steady", "DuplicateProcess")
    eventually(lambda: either in listed(host, user=user), "the reconciler to have seen the last one too")
    found = listed(host, user=user)
    assert [found[pid]["class"] for pid in (twice, hidden, either)] == ["duplicate", "hidden", "ambiguous"]
    assert found[either]["agents"] == ["alike_1", "alike_2"]
    told = host.run("runuser", "-u", user, "--", "supervise", "ps").stdout
    assert f"`supervise adopt {hidden}` takes it over" in told


@pytest.mark.parametrize("user", ["root", "stranger"])
def test_why_hidden_stop_ends_no_copy_of_another_user_is_told(host: Lab, user: str) -> None:
    pid = by_hand(host, "sleeper.py", "guarded", user="stranger")
    comes_to(host, "guarded", "HiddenProcess")
    why = f"`hidden: stop` does not end what runs as another user (stranger, not {OWNER})"
    told = host.run("runuser", "-u", user, "--", "supervise", "status", "guarded", check=False).stdout
    assert f"PID {pid}: {why}" in told
    assert why in host.run("runuser", "-u", user, "--", "supervise", "ps", "guarded").stdout


def test_root_sees_by_their_settings_whose_they_are(host: Lab) -> None:
    pid = by_hand(host, "sleeper.py", env="PAIR=ETH")
    assert listed(host)[pid]["agents"] == ["alike_2"]


# --- adopt ------------------------------------------------------------------------------------------------------------


def test_an_adopted_process_lives_on_as_the_agent_and_is_stopped_as_such(host: Lab) -> None:
    pid = by_hand(host, "forker.py", "strayed")
    comes_to(host, "strayed", "HiddenProcess")
    host.supervise("adopt", "strayed")
    told = comes_to(host, "strayed", "AsWanted")
    assert (told["status"], f"PID {pid}" in told["message"]) == ("running", True)
    found = listed(host, "strayed")
    assert {one["class"] for one in found.values()} == {"foreground"}
    assert len(found) == 2  # its child came with it
    assert "agent-run-strayed.scope" in host.read(f"/proc/{pid}/cgroup")
    refused = host.supervise("start", "strayed", check=False)
    assert refused.returncode == 1
    again = host.supervise("adopt", str(pid), check=False)
    assert (again.returncode, "it runs as strayed already, adopted already" in again.stderr) == (1, True)
    host.supervise("stop", "strayed")
    eventually(lambda: listed(host, "strayed") == {}, "all of it to be gone")
    assert [one["by"] for one in events(host, "strayed") if one["reason"] == "adopt"] == ["root"]


def test_a_second_copy_beside_an_adopted_one_is_refused_and_the_first_is_told_as_it_is(host: Lab) -> None:
    first = by_hand(host, "forker.py", "strayed")
    comes_to(host, "strayed", "HiddenProcess")
    host.supervise("adopt", "strayed")
    comes_to(host, "strayed", "AsWanted")
    told = len([one for one in events(host, "strayed") if one["reason"] == "adopt"])
    eventually(lambda: (row(host, "strayed")["memory"] or 0) > 1 << 20, "its memory to be seen", timeout=30)
    began = row(host, "strayed")["started_at"]
    assert began == listed(host)[first]["started_at"].replace("+00:00", "Z")
    assert f"PID        {first}, started" in host.supervise("status", "strayed").stdout

    second = by_hand(host, "forker.py", "strayed")
    comes_to(host, "strayed", "DuplicateProcess")
    done = host.supervise("adopt", "strayed", check=False)
    assert (done.returncode, f"PID {first} runs as strayed already, in agent-run-strayed.scope" in done.stderr) == (
        1,
        True,
    )
    assert f"`kill {second}` ends it" in done.stderr
    assert len([one for one in events(host, "strayed") if one["reason"] == "adopt"]) == told
    host.supervise("force-stop", "--yes", "strayed")
    assert "SIGTERM" not in comes_to(host, "strayed", "StoppedByOperator")["message"]


def test_what_fits_several_is_adopted_as_whom_one_says(host: Lab) -> None:
    pid = by_hand(host, "sleeper.py")
    unsaid = host.supervise("adopt", str(pid), check=False)
    assert (unsaid.returncode, "--as" in unsaid.stderr) == (2, True)
    host.supervise("adopt", str(pid), "--as", "alike_2")
    comes_to(host, "alike_2", "AsWanted")
    host.supervise("stop", "alike_2")


def test_whose_process_is_adopted_is_told_where_it_is_anothers(host: Lab) -> None:
    by_hand(host, "forker.py", "strayed", user="stranger")
    comes_to(host, "strayed", "HiddenProcess")
    done = host.supervise("adopt", "strayed")
    assert f"runs as stranger, not as {OWNER} as the unit of strayed would" in done.stderr
    comes_to(host, "strayed", "AsWanted")
    host.supervise("stop", "strayed")


def test_what_is_no_hidden_process_is_not_adopted(host: Lab) -> None:
    twice = by_hand(host, "sleeper.py", "steady")
    for what, why in (
        (str(twice), "a second copy"),
        ("forker", "no process of it runs outside"),
        ("1", "runs no agent's command"),
        ("4194300", "runs no agent's command"),
    ):
        done = host.supervise("adopt", what, check=False)
        assert (done.returncode, why in done.stderr) == (1, True), done.stderr
    host.run("runuser", "-u", "deputy", "--", "supervise", "adopt", str(twice), check=False)
    assert "system.slice" in host.read(f"/proc/{twice}/cgroup")


# --- force-stop -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_killed_is_shown_as_stopped_and_what_is_true_stays_beside_it(host: Lab) -> None:
    pid = pids(host, ["stuck"])["stuck"]
    host.sh(f"mount -o remount,rw,bind {FREEZER}; mkdir -p {FREEZER}/ice")
    host.sh(f"echo {pid} > {FREEZER}/ice/cgroup.procs; echo FROZEN > {FREEZER}/ice/freezer.state")
    try:
        done = host.supervise("force-stop", "--yes", "stuck", check=False)
        assert done.returncode == 1
        assert f"PID {pid} lives on" in done.stderr
        assert "shown as stopped for 24 h" in done.stderr
        told = row(host, "stuck")
        assert (told["status"], told["reason"], told["health"]) == ("stopped", "Locked", 0)
        eventually(lambda: row(host, "stuck")["observed_reason"] == "OrphanProcess", "the truth beside it", timeout=5)
    finally:
        host.sh(f"echo THAWED > {FREEZER}/ice/freezer.state")
    eventually(lambda: row(host, "stuck")["observed_reason"] == "StoppedByOperator", "what was stuck to end")
    host.supervise("start", "stuck")
    assert comes_to(host, "stuck", "AsWanted")["lock"] is None
    assert [one["by"] for one in events(host, "stuck") if one["reason"] == "unlock"] == ["supervise"]


def test_what_can_be_killed_is_stopped_with_every_copy_and_not_locked(host: Lab) -> None:
    copy = by_hand(host, "sleeper.py", "steady")
    comes_to(host, "steady", "DuplicateProcess")
    host.supervise("force-stop", "--yes", "steady")
    assert comes_to(host, "steady", "StoppedByOperator")["lock"] is None
    assert host.run("kill", "-0", str(copy), check=False).returncode == 1
    assert [one["message"] for one in events(host, "steady") if one["reason"] == "stop"][-1] == KILLED
    host.supervise("start", "steady")


def test_what_is_killed_and_started_again_at_once_did_not_crash(host: Lab) -> None:
    for _ in range(6):
        host.sh("supervise force-stop --yes steady; supervise start --settle 0s steady")
    comes_to(host, "steady", "AsWanted")
    assert "Crashed" not in {one["reason"] for one in events(host, "steady")}
    assert row(host, "steady")["last_error"] is None


# --- fix --------------------------------------------------------------------------------------------------------------


def test_a_fix_of_what_is_true_changes_nothing_and_says_so(host: Lab) -> None:
    comes_to(host, "steady", "AsWanted")
    assert "all was true already" in host.supervise("fix").stdout


def test_a_fix_says_what_it_changed_also_where_no_reconciler_runs(host: Lab) -> None:
    main = pids(host, ["forker"])["forker"]
    host.run("systemctl", "stop", "supervise-reconciler.socket", "supervise-agent.socket", RECONCILER)
    host.run("systemctl", "stop", unit("forker"))
    pid = by_hand(host, "forker.py", "strayed")
    done = json.loads(host.supervise("fix", "--json").stdout)
    changed = {one["name"]: one["reason"] for one in done["events"]}
    assert changed == {"forker": "StoppedByOperator", "strayed": "HiddenProcess"}
    host.run("systemctl", "start", "supervise-reconciler.socket", "supervise-agent.socket", RECONCILER)
    host.run("kill", str(pid))
    host.supervise("start", "forker")
    assert pids(host, ["forker"])["forker"] not in (0, main)


def test_a_fix_is_for_who_may_act_and_is_told_in_their_name(host: Lab) -> None:
    refused = host.run("runuser", "-u", "stranger", "--", "supervise", "fix", check=False)
    assert (refused.returncode, "may read here but not fix" in refused.stderr) == (1, True)
    host.run("runuser", "-u", "deputy", "--", "supervise", "fix")
    assert [one["by"] for one in events(host) if one["reason"] == "Fix"][-1] == "deputy"
