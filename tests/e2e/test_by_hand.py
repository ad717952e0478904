"""A host on which agents run already, started by hand: they are found and named, and nothing is ever started twice.

How many copies live is counted in /proc by the words of their commands; `supervise` is not asked.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

HOME = "/home/hands/work"
WORKER = "#!/usr/bin/python3\nimport signal, sys\nprint('up', flush=True)\nsignal.pause()\n"
AGENTS = """
project: hands
defaults: {stop_timeout: 2s}
agents:
  script: {command: [python, worker.py, script]}
  absolute: {command: [/usr/bin/python3, worker.py, absolute]}
  itself: {command: [./worker.py, itself]}
  module: {command: python -m package module}
  program: {command: [sleep, "86400.5"]}
  fresh: {command: [python, worker.py, fresh]}
  other: {command: [python, worker.py, other]}
  stubborn: {command: [sh, -c, "trap '' TERM; echo armed > armed; while :; do sleep 1; done", stubborn]}
"""
BY_HAND = {
    "script": "python3 worker.py script",
    "absolute": f"python3 -u {HOME}/worker.py absolute",
    "itself": "./worker.py itself",
    "module": "python3 -m package module",
    "program": "/usr/bin/sleep 86400.5",
}
LAST_WORD = {name: "86400.5" if name == "program" else name for name in (*BY_HAND, "fresh", "other", "stubborn")}


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[Lab]:
    lab.run("useradd", "--create-home", "hands")
    lab.write(f"{HOME}/worker.py", WORKER, mode=0o755)
    lab.write(f"{HOME}/package/__init__.py", "")
    lab.write(f"{HOME}/package/__main__.py", WORKER)
    lab.write(f"{HOME}/agents.yaml", AGENTS)
    lab.run("chown", "-R", "hands:", "/home/hands")
    yield lab
    lab.supervise("force-stop", "-p", "hands", "--all", "--yes", check=False)
    lab.supervise("uninstall", "-p", "hands", "--yes", "--purge", check=False)
    lab.run("userdel", "--remove", "--force", "hands", check=False)


@pytest.fixture
def by_hand(host: Lab) -> dict[str, int]:
    """The five that run by hand, each once and outside every unit, and nothing else; the PIDs of them."""
    host.supervise("force-stop", "-p", "hands", "--all", "--yes", check=False)
    left = [str(pid) for name in LAST_WORD for pid in _living(host, name)]
    if left:
        host.run("kill", "-9", *left)
    eventually(lambda: not any(_living(host, name) for name in LAST_WORD), "a quiet host")
    for command in BY_HAND.values():
        _by_hand(host, command)
    return {name: _the_only(host, name) for name in BY_HAND}


def _by_hand(lab: Lab, command: str) -> None:
    lab.sh(f"cd {HOME}; nohup setsid {command} >/dev/null 2>&1 &", user="hands")


def _living(lab: Lab, name: str) -> list[int]:
    """The PIDs of an agent's copies, wherever they run."""
    found = []
    for folder in lab.path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_text().split("\0")[:-1] if folder.name.isdigit() else []
        except OSError:  # it ended while we looked
            continue
        if words and words[-1] == LAST_WORD[name] and words[0] not in ("nohup", "setsid") and "supervise" not in words:
            found.append(int(folder.name))
    return found


def _the_only(lab: Lab, name: str) -> int:
    eventually(lambda: len(_living(lab, name)) == 1, f"one {name}")
    return _living(lab, name)[0]


def _main_pid(lab: Lab, name: str) -> int:
    return int(lab.sh(f"systemctl show -P MainPID agent@{name}"))


def _row(lab: Lab, name: str) -> tuple[str, str]:
    row = json.loads(lab.supervise("status", name, "--json", check=False).stdout)["agents"][0]
    return row["status"], row["reason"]


# --- The tests ----------------------------------------------------------------------------------------------------


def test_plan_names_each_with_pid_and_user_before_anything_is_installed(host: Lab, by_hand: dict[str, int]) -> None:
    host.supervise("uninstall", "-p", "hands", "--yes", check=False)
    said = host.supervise("plan", "-f", f"{HOME}/agents.yaml").stdout
    for name, pid in by_hand.items():
        assert f"runs already, outside its unit: {name}: PID {pid} of hands since " in said
    assert said.count("runs already, outside its unit") == len(by_hand)
    told = json.loads(host.supervise("plan", "--json", "-f", f"{HOME}/agents.yaml").stdout)["outside"]
    assert {name: [(one["pid"], one["user"]) for one in found] for name, found in told.items()} == {
        name: [(pid, "hands")] for name, pid in by_hand.items()
    }


def test_install_starts_none_of_them_twice_and_starts_the_others(host: Lab, by_hand: dict[str, int]) -> None:
    done = host.supervise("install", "-f", f"{HOME}/agents.yaml", "--start", check=False)
    assert done.returncode == 5
    for name, pid in by_hand.items():
        assert f"✗ {name}: a copy runs outside its unit: PID {pid}" in done.stderr
        assert _living(host, name) == [pid]
        assert _main_pid(host, name) == 0
    for name in ("fresh", "other"):
        assert f"✓ {name}: started" in done.stdout
        assert _living(host, name) == [_main_pid(host, name)]
    hidden = ("warning", "HiddenProcess")
    eventually(lambda: all(_row(host, name) == hidden for name in by_hand), "the rows to tell of the copies")
    rows = {row["name"]: row for row in json.loads(host.supervise("status", "--json", check=False).stdout)["agents"]}
    assert [name for name, pid in by_hand.items() if str(pid) not in rows[name]["message"]] == []


def test_start_refuses_beside_a_copy_and_replace_leaves_exactly_one(host: Lab, by_hand: dict[str, int]) -> None:
    _install(host)
    for name, pid in by_hand.items():
        done = host.supervise("start", name, check=False)
        assert done.returncode == 1
        assert f"PID {pid}" in done.stderr
        assert f"`supervise start {name} --replace`" in done.stderr
        assert _living(host, name) == [pid]
    host.supervise("start", *by_hand, "--replace")
    for name, pid in by_hand.items():
        assert _living(host, name) == [_main_pid(host, name)] != [pid]


def test_a_copy_beside_the_running_unit_is_a_duplicate_and_stays_one(host: Lab) -> None:
    _install(host)
    host.supervise("start", "other")
    unit = _main_pid(host, "other")
    _by_hand(host, "python3 worker.py other")
    eventually(lambda: len(_living(host, "other")) == 2, "the second copy")
    (copy,) = set(_living(host, "other")) - {unit}
    eventually(lambda: _row(host, "other") == ("warning", "DuplicateProcess"), "the row to tell of the copy")
    for verb in ("start", "restart"):
        done = host.supervise(verb, "other", check=False)
        assert done.returncode == 1
        assert f"PID {copy}" in done.stderr
    assert set(_living(host, "other")) == {unit, copy}
    assert _main_pid(host, "other") == unit
    host.supervise("force-stop", "other", "--yes")
    assert _living(host, "other") == []


def test_run_refuses_beside_a_living_copy_and_nothing_starts_beside_run(host: Lab, by_hand: dict[str, int]) -> None:
    _install(host)
    done = host.supervise("run", "script", check=False)
    assert (done.returncode, f"PID {by_hand['script']}" in done.stderr) == (1, True)
    host.supervise("start", "fresh")
    done = host.supervise("run", "fresh", check=False)
    assert (done.returncode, f"PID {_main_pid(host, 'fresh')}" in done.stderr) == (1, True)
    host.supervise("stop", "fresh")
    with host.popen("supervise", "run", "fresh", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        pid = _the_only(host, "fresh")
        for words in (["start", "fresh"], ["run", "fresh"], ["start", "fresh", "--replace"], ["restart", "fresh"]):
            done = host.supervise(*words, check=False)
            assert (words, done.returncode) == (words, 1)
            assert f"PID {pid}" in done.stderr, words
            assert _living(host, "fresh") == [pid], words
        status = host.path(f"/proc/{pid}/cgroup").read_text()
        assert "agent-run-fresh.scope" in status
        host.run("kill", "-TERM", str(pid))
        assert running.wait(10) == 128 + signal.SIGTERM
    host.supervise("start", "fresh")
    assert _living(host, "fresh") == [_main_pid(host, "fresh")]


def test_force_stop_kills_the_unit_and_every_copy_at_once(host: Lab, by_hand: dict[str, int]) -> None:
    _install(host)
    host.path(f"{HOME}/armed").unlink(missing_ok=True)
    host.supervise("start", "stubborn", "--settle", "0s")
    eventually(host.path(f"{HOME}/armed").exists, "the trap of the stubborn one")
    done = host.supervise("force-stop", "stubborn", *by_hand, "--yes", timeout=10)
    assert done.returncode == 0, done
    assert [name for name in ("stubborn", *by_hand) if _living(host, name)] == []
    assert host.sh("systemctl show -P ActiveState agent@stubborn").strip() in ("inactive", "failed")


def _install(lab: Lab) -> None:
    lab.supervise("install", "-f", f"{HOME}/agents.yaml")
