"""The daily verbs: restart in batches, hold, stop, status, logs, and an install that has nothing to do.

Who runs since when is asked of systemd, what was written of the disk.
"""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

HOME = "/home/ops"
FILE = f"{HOME}/agents.yaml"
CREW = ("a1", "a2", "a3", "a4", "a5")
WORKER = """
import os, signal, sys
if os.path.exists(f"broken_{sys.argv[1]}"):
    sys.exit("the config is broken")
signal.pause()
"""
TALKER = """
import os, signal, sys
for number in range(100):
    print(f"{sys.argv[1]} line {number}", flush=True)
print("<3>it burns", "<4>it smells", "<7>nobody cares", "END", sep="\\n", flush=True)
signal.pause()
"""
TURNS = """
import os, signal, sys, time
mine, next_ = sys.argv[1:]
read = os.open(mine, os.O_RDWR)
write = os.open(next_, os.O_RDWR)
for number in range(10):
    os.read(read, 1)
    print(f"turn {number}", flush=True)
    time.sleep(0.05)  # the journal reads two pipes at once in no order
    os.write(write, b"x")
signal.pause()
"""
AGENTS = """
project: ops
defaults: {restart: {delay: 60s}}
agents:
  a1: {command: [python, worker.py, a1], title: First Agent, tags: [odd]}
  a2: {command: [python, worker.py, a2]}
  a3: {command: [python, worker.py, a3], tags: [odd]}
  a4: {command: [python, worker.py, a4]}
  a5: {command: [python, worker.py, a5], tags: [odd]}
  late: {command: [python, talker.py, late], auto_start: false}
  tick: {command: [python, turns.py, tick, tock], auto_start: false}
  tock: {command: [python, turns.py, tock, tick], auto_start: false}
  nightly: {command: [python, worker.py, nightly], schedule: daily}
"""


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Iterator[Lab]:
    lab.run("useradd", "--create-home", "ops")
    for name, text in (("worker.py", WORKER), ("talker.py", TALKER), ("turns.py", TURNS), ("agents.yaml", AGENTS)):
        lab.write(f"{HOME}/{name}", text)
    lab.sh(f"mkfifo {HOME}/tick {HOME}/tock; chown -R ops: {HOME}")
    lab.supervise("install", "-f", FILE)
    yield lab
    lab.supervise("uninstall", "-p", "ops", "--yes", "--purge", check=False)
    lab.run("userdel", "--remove", "--force", "ops", check=False)


@pytest.fixture
def host(machine: Lab) -> Lab:
    """The crew runs, nobody is held, nothing is broken."""
    machine.sh(f"rm -f {HOME}/broken_*")
    machine.supervise("release", "-p", "ops", "--all")
    machine.sh("systemctl stop agent@late agent@tick agent@tock; systemctl reset-failed")
    for name in CREW:  # a start would wait for the restart that systemd has planned
        machine.sh(f"systemctl is-active --quiet agent@{name} || systemctl restart agent@{name}")
    machine.sh("systemctl start supervise.target")
    return machine


def _shown(lab: Lab, what: str, *names: str) -> list[str]:
    units = [name if "." in name else f"agent@{name}.service" for name in names]
    return lab.run("systemctl", "show", "--value", "-p", what, *units).stdout.split("\n\n")


def _pids(lab: Lab) -> dict[str, int]:
    return dict(zip(CREW, map(int, _shown(lab, "MainPID", *CREW)), strict=True))


def _started(lab: Lab) -> dict[str, int]:
    """When each of the crew was started, in microseconds."""
    return dict(zip(CREW, map(int, _shown(lab, "ExecMainStartTimestampMonotonic", *CREW)), strict=True))


def _active(lab: Lab, name: str) -> str:
    return _shown(lab, "ActiveState", name)[0].strip()


# --- restart ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "sizes"), [("1", (1, 1, 1, 1, 1)), ("2", (2, 2, 1)), ("60%", (3, 2)), ("20%", (1,) * 5)]
)
def test_restart_goes_batch_by_batch_with_a_pause(host: Lab, batch: str, sizes: tuple[int, ...]) -> None:
    before = _pids(host)
    host.supervise("restart", "a*", "--batch", batch, "--settle", "150ms", "--pause", "100ms")
    assert not set(before.values()) & set(_pids(host).values())
    times = list(_started(host).values())
    batches, begin = [], 0
    for size in sizes:
        batches.append(times[begin : begin + size])
        begin += size
    gaps = [min(later) - max(earlier) for earlier, later in itertools.pairwise(batches)]
    assert [gap for gap in gaps if gap < 250_000] == []


def test_restart_without_a_batch_restarts_all_at_once(host: Lab) -> None:
    before = _pids(host)
    host.supervise("restart", "a*", "--settle", "500ms")
    assert not set(before.values()) & set(_pids(host).values())
    assert max(_started(host).values()) - min(_started(host).values()) < 500_000


def test_restart_halts_at_the_first_failure(host: Lab) -> None:
    before = _pids(host)
    host.write(f"{HOME}/broken_a3", "")
    done = host.supervise("restart", "a*", "--batch", "1", "--settle", "200ms", check=False)
    assert done.returncode == 5
    assert "✗ a3: restarted, but it did not stay up: it exited with code 1" in done.stderr
    for name in ("a4", "a5"):
        assert f"✗ {name}: not restarted: halted after a failure" in done.stderr
    now = _pids(host)
    assert {name for name in CREW if now[name] == before[name]} == {"a4", "a5"}
    assert now["a3"] == 0
    assert host.supervise("restart", "a3", "--settle", "200ms", check=False).returncode == 1


def test_start_does_not_wait_for_the_restart_that_systemd_has_planned(host: Lab) -> None:
    host.write(f"{HOME}/broken_a2", "")
    host.supervise("restart", "a2", "--settle", "200ms", check=False)
    assert _shown(host, "SubState", "a2")[0].strip() == "auto-restart"
    host.path(f"{HOME}/broken_a2").unlink()
    host.supervise("start", "a2", "--settle", "0s", timeout=20)
    assert _active(host, "a2") == "active"


# --- hold and stop ----------------------------------------------------------------------------------------------------


def test_a_hold_outlives_reload_start_install_and_boot_until_it_is_released(host: Lab) -> None:
    host.supervise("hold", "a1", "nightly", "--reason", "the tape is broken")
    assert (_active(host, "a1"), _active(host, "agent@nightly.timer")) == ("inactive", "inactive")
    host.run("systemctl", "daemon-reload")
    done = host.supervise("start", "--all", "-p", "ops", "--settle", "0s", check=False)
    assert done.returncode == 5
    assert "✗ a1: it is held by root: the tape is broken (`supervise release a1`)" in done.stderr
    host.supervise("install", "-f", FILE, "--start", check=False)
    assert _active(host, "a1") != "active"
    host.sh("systemctl stop supervise.target")
    assert {_active(host, name) for name in CREW} == {"inactive"}
    host.sh("systemctl start supervise.target")
    eventually(
        lambda: [_active(host, name) for name in CREW] == ["inactive", *["active"] * 4], "the boot of the others"
    )
    assert _active(host, "agent@nightly.timer") == "inactive"
    assert host.run("systemctl", "start", "agent@a1", check=False).returncode != 0
    assert host.supervise("restart", "a1", "--settle", "0s", check=False).returncode == 1
    assert _active(host, "a1") != "active"
    row = json.loads(host.supervise("status", "a1", "--json", check=False).stdout)["agents"][0]
    assert (row["status"], row["reason"]) == ("stopped", "Held")
    assert "root" in row["message"]
    assert "the tape is broken" in row["message"]
    host.supervise("release", "a1", "nightly")
    assert _active(host, "a1") != "active"
    host.supervise("start", "a1", "nightly", "--settle", "0s")
    assert (_active(host, "a1"), _active(host, "agent@nightly.timer")) == ("active", "active")
    assert "was not held" in host.supervise("release", "a1").stdout


def test_stop_lasts_until_the_next_boot(host: Lab) -> None:
    host.supervise("stop", "a1", "nightly")
    assert (_active(host, "a1"), _active(host, "agent@nightly.timer")) == ("inactive", "inactive")
    host.run("systemctl", "daemon-reload")
    assert _active(host, "a1") == "inactive"
    host.sh("systemctl stop supervise.target; systemctl start supervise.target")
    eventually(lambda: _active(host, "a1") == "active", "a1 after a boot")
    assert _active(host, "agent@nightly.timer") == "active"


def test_agents_are_meant_by_name_title_glob_and_tag(host: Lab) -> None:
    host.supervise("stop", "First Agent", "agent@a2.service")
    assert [name for name, pid in _pids(host).items() if not pid] == ["a1", "a2"]
    host.supervise("start", "a[12]", "--settle", "0s")
    host.supervise("stop", "--tag", "odd")
    assert [name for name, pid in _pids(host).items() if not pid] == ["a1", "a3", "a5"]


# --- Exit codes and status --------------------------------------------------------------------------------------------


def test_the_exit_codes_say_what_became_of_it(host: Lab) -> None:
    def code(*words: str) -> int:
        return host.supervise(*words, check=False).returncode

    assert code("status", "a*") == 0
    assert code("stop", "a2") == 0
    assert code("stop", "a2") == 3
    assert code("status", "a2") == 3
    assert code("status", "a1", "a2") == 3
    assert code("status") == 0
    for verb in ("start", "stop", "restart", "status", "logs", "env", "run", "release"):
        assert (verb, code(verb, "a9")) == (verb, 4)
    assert code("start") == 2
    assert code("start", "--nonsense") == 2
    assert code("nonsense") == 2
    host.write(f"{HOME}/broken_a2", "")
    assert code("start", "a2", "--settle", "200ms") == 1
    assert code("start", "a1", "a2", "--settle", "200ms") == 5
    assert code("status") == 1
    assert code("status", "a1") == 0
    host.write(f"{HOME}/other.yaml", AGENTS.replace("daily", "weekly"))
    assert code("plan", "--check", "-f", FILE) == 0
    assert code("plan", "--check", "-f", f"{HOME}/other.yaml") == 1
    assert code("plan", "--check", "--moved", "-f", f"{HOME}/other.yaml") == 2
    host.write(f"{HOME}/other.yaml", AGENTS.replace("daily", "never ever"))
    for verb in ("check", "plan", "install", "render"):
        assert (verb, code(verb, "-f", f"{HOME}/other.yaml")) == (verb, 7)


def test_an_unknown_name_brings_the_nearest_one(host: Lab) -> None:
    assert 'did you mean "nightly"?' in host.supervise("start", "nihgtly", check=False).stderr


def test_status_as_json_lists_every_agent_with_what_was_seen(host: Lab) -> None:
    told = json.loads(host.supervise("status", "--json", "-p", "ops").stdout)
    rows = {row["name"]: row for row in told["agents"]}
    assert list(rows) == [row["name"] for row in told["agents"]]
    assert set(rows) == {*CREW, "late", "tick", "tock", "nightly"}
    pids = _pids(host)
    for name in CREW:
        assert (rows[name]["status"], rows[name]["pid"]) == ("running", pids[name])
        assert rows[name]["unit"] == f"agent@{name}.service"
    assert (rows["a1"]["title"], rows["a1"]["tags"], rows["a1"]["project"]) == ("First Agent", ["odd"], "ops")
    assert (rows["late"]["status"], rows["nightly"]["reason"]) == ("stopped", "Waiting")


def test_status_of_one_tells_its_end_and_its_last_words(host: Lab) -> None:
    host.write(f"{HOME}/broken_a4", "")
    host.supervise("restart", "a4", "--settle", "200ms", check=False)
    said = host.supervise("status", "a4", check=False).stdout
    assert "✗ error" in said
    assert "it exited with code 1" in said
    assert "the config is broken" in said.partition("last lines before its end")[2]


# --- logs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("late",), ("late", "-n", "0"), ("--all", "-n", "0"), ()], ids=" ".join)
def test_a_follower_loses_no_line_of_an_agent_that_starts_later(host: Lab, words: tuple[str, ...]) -> None:
    with host.popen("supervise", "logs", "-f", "--json", *words, stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        eventually(lambda: host.sh("pgrep -f '[j]ournalctl.*--follow' || true"), "the follower to follow")
        mark = int(host.sh("date +%s%N")) // 1000
        host.supervise("start", "late", "--settle", "0s")
        seen = []
        for raw in follower.stdout:
            line = json.loads(raw)
            if line["name"] == "late" and not line["by_manager"] and _microseconds(line["at"]) >= mark:
                seen.append(line["text"])
                if line["text"] == "END":
                    break
        host.sh("pkill -f '[s]upervise logs'")
    assert seen == [*(f"late line {number}" for number in range(100)), "it burns", "it smells", "nobody cares", "END"]


def _microseconds(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1_000_000)


def test_logs_are_chosen_by_number_pattern_priority_and_time(host: Lab) -> None:
    host.supervise("start", "late", "--settle", "0s")
    eventually(lambda: "END" in host.supervise("logs", "late", "-n", "3").stdout, "the end of its words")

    def texts(*words: str) -> list[str]:
        lines = host.supervise("logs", "late", "--json", *words).stdout.splitlines()
        return [line["text"] for line in map(json.loads, lines) if not line["by_manager"]]

    assert texts("-n", "2") == ["nobody cares", "END"]
    assert set(texts("--priority", "err")) == {"it burns"}
    assert set(texts("--priority", "warning")) == {"it burns", "it smells"}
    assert set(texts("--grep", "line 4[0-9]$")) == {f"late line {number}" for number in range(40, 50)}
    assert texts("--since", "1 hour ago")[-1] == "END"
    assert texts("--since", "2 hours ago", "--until", "1 hour ago") == []
    assert texts("--since", "1 hour ago", "-n", "1") == ["END"]
    assert texts("--grep", "line 4", "-n", "2") == ["late line 48", "late line 49"]
    bad = host.supervise("logs", "late", "--since", "yesteryear", check=False)
    assert bad.returncode == 1
    assert "Failed to parse timestamp: yesteryear" in bad.stderr


def test_several_agents_are_merged_in_the_order_of_time(host: Lab) -> None:
    """They take turns: each waits for the other's."""
    host.supervise("start", "tick", "tock", "--settle", "0s")
    host.sh(f"printf x 1<> {HOME}/tick")
    eventually(lambda: "turn 9" in host.supervise("logs", "tock", "-n", "1").stdout, "the last turn")
    lines = [json.loads(line) for line in host.supervise("logs", "tick", "tock", "--json").stdout.splitlines()]
    turns = [(line["name"], line["text"]) for line in lines if line["text"].startswith("turn ")]
    assert turns == [(name, f"turn {number}") for number in range(10) for name in ("tick", "tock")]
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)


# --- Nothing to do ----------------------------------------------------------------------------------------------------


def test_an_install_that_has_nothing_to_do_writes_no_byte_and_reloads_nothing(host: Lab) -> None:
    host.supervise("install", "-f", FILE)
    before, pids = _disk(host), _pids(host)
    assert len(before) > 30
    for words in (
        ("install",),
        ("install", "--start", "--restart"),
        ("apply", "--yes"),
        ("plan", "--check"),
        ("check",),
    ):
        done = host.supervise(*words, "-f", FILE)
        assert "wrote" not in done.stdout + done.stderr
        assert words[0] in ("plan", "check") or "nothing to change" in done.stdout
        assert (_disk(host), _pids(host)) == (before, pids), words


def _disk(lab: Lab) -> dict[str, object]:
    """Every file and folder that an install could touch, to the inode and the time; and when systemd read its units."""
    found: dict[str, object] = {"reload": lab.sh("systemctl show -P UnitsLoadTimestampMonotonic")}
    for root in (
        "/etc/systemd",
        "/etc/supervise",
        "/run/supervise",
        "/var/lib/supervise",
        "/etc/sysusers.d",
        "/etc/tmpfiles.d",
    ):
        for path in (lab.path(root), *lab.path(root).rglob("*")):
            if path.name.startswith("state.db"):
                continue  # the daemon's own, in which it writes all the time
            status = path.lstat()
            name = f"{root}/{Path(path).relative_to(lab.path(root))}"
            found[name] = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return found
