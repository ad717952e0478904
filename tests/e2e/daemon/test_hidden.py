"""Processes of agents outside of their units: found, told and, where the user wants it, ended; look-alikes are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.daemon.asking import ask, events, rows
from tests.e2e.daemon.machine import FOLDER, OWNER, RECONCILER, install, pids, shown
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

SCANNER = "supervise-scan.service"
AGENTS = f"""
project: hidden
defaults: {{user: {OWNER}, hardening: none, restart: {{delay: 100ms}}}}
agents:
  reported: {{command: [/usr/bin/python3, sleeper.py, reported]}}
  ended: {{command: [/usr/bin/python3, sleeper.py, ended], hidden: stop}}
  lonely: {{command: [/usr/bin/python3, sleeper.py, lonely], auto_start: false}}
  leaver:
    command: [/usr/bin/python3, leaver.py]
    systemd: {{Service: {{KillMode: process}}}}
  leaver_ended:
    command: [/usr/bin/python3, leaver.py]
    environment: {{WHICH: ended}}
    hidden: stop
    systemd: {{Service: {{KillMode: process}}}}
  alike_1: {{command: [/usr/bin/python3, sleeper.py], environment: {{PAIR: BTC}}, auto_start: false}}
  alike_2: {{command: [/usr/bin/python3, sleeper.py], environment: {{PAIR: ETH}}, auto_start: false}}
  beating: {{command: [/usr/bin/python3, beater.py, beating], single: false, auto_start: false}}
"""
LEAVER = """\
import signal, subprocess
subprocess.Popen(["sleep", "987654"], start_new_session=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def host(lab: Lab) -> Lab:
    install(lab, AGENTS, leaver=LEAVER)
    lab.run("useradd", "stranger")
    lab.sh(f"chmod 755 {FOLDER}; usermod -aG supervise-agents {OWNER}; install -d -o {OWNER} {FOLDER}/elsewhere")
    lab.sh(f"cp {FOLDER}/sleeper.py {FOLDER}/elsewhere/")
    return lab


@pytest.fixture(autouse=True)
def tidy(host: Lab) -> Iterator[None]:
    yield
    host.sh("systemctl stop 'hand-*'; systemctl reset-failed 'hand-*'", check=False)
    eventually(lambda: all(row["reason"] != "HiddenProcess" for row in rows(host).values()), "the copies to be gone")


def by_hand(host: Lab, *words: str, user: str = OWNER, folder: str = FOLDER) -> int:
    """A copy that somebody has started, out of every unit of ours; its PID."""
    name = f"hand-{len(events(host))}-{'-'.join(words[1:]) or 'x'}".replace(".", "_")
    place = (f"--uid={user}", f"--unit={name}", f"--working-directory={folder}")
    host.run("systemd-run", "--quiet", *place, "/usr/bin/python3", *words)
    return int(shown(host, f"{name}.service", "MainPID"))


def row(host: Lab, name: str) -> dict[str, Any]:
    return rows(host, name)[name]


def comes_to(host: Lab, name: str, reason: str, *, within: float = 3) -> dict[str, Any]:
    eventually(
        lambda: row(host, name)["reason"] == reason, f"{name} to be {reason}, not {row(host, name)}", timeout=within
    )
    return row(host, name)


def alive(host: Lab, pid: int) -> bool:
    return host.run("kill", "-0", str(pid), check=False).returncode == 0


def test_a_copy_beside_the_unit_is_told_with_all_that_finds_it(host: Lab) -> None:
    pid = by_hand(host, "sleeper.py", "reported")
    told = comes_to(host, "reported", "DuplicateProcess")
    assert told["status"] == "warning"
    assert f"PID {pid}" in told["message"]
    assert OWNER in told["message"]
    assert FOLDER in told["message"]
    host.run("kill", "-9", str(pid))
    comes_to(host, "reported", "AsWanted", within=0.5)
    reasons = [one["reason"] for one in events(host, "reported")][-2:]
    assert reasons == ["DuplicateProcess", "AsWanted"]


def test_a_copy_while_the_unit_is_down_is_hidden_and_blocks_its_start(host: Lab) -> None:
    pid = by_hand(host, "sleeper.py", "lonely")
    told = comes_to(host, "lonely", "HiddenProcess")
    assert (told["status"], f"PID {pid}" in told["message"]) == ("warning", True)
    refused = host.supervise("start", "lonely", check=False)
    assert "a copy runs outside its unit" in refused.stdout + refused.stderr
    host.run("kill", str(pid))
    comes_to(host, "lonely", "NotStarted", within=1)
    host.supervise("start", "lonely")
    assert comes_to(host, "lonely", "AsWanted")["pid"] != pid
    host.supervise("stop", "lonely")


def test_a_copy_of_another_user_is_told_and_never_ended(host: Lab) -> None:
    pid = by_hand(host, "sleeper.py", "ended", user="stranger")
    told = comes_to(host, "ended", "DuplicateProcess")
    assert "stranger" in told["message"]
    mine = by_hand(host, "sleeper.py", "ended")
    eventually(lambda: not alive(host, mine), "the copy of the agent's own user to be ended", timeout=5)
    assert alive(host, pid)
    comes_to(host, "ended", "DuplicateProcess")
    ended = [one["message"] for one in events(host, "ended") if one["kind"] == "action"]
    assert ended == [f"end PID {mine}: done"]


def test_hidden_stop_ends_the_copy_and_leaves_the_agent_alone(host: Lab) -> None:
    before = pids(host, ["ended"])
    pid = by_hand(host, "sleeper.py", "ended")
    eventually(lambda: not alive(host, pid), "the copy to be ended", timeout=5)
    comes_to(host, "ended", "AsWanted")
    assert pids(host, ["ended"]) == before


def test_a_unit_of_a_user_s_own_manager_is_none_of_ours_whatever_its_name(host: Lab) -> None:
    """Or else anybody could hide a copy in one, or speak for an agent."""
    host.run("loginctl", "enable-linger", OWNER)
    uid = host.run("id", "-u", OWNER).stdout.strip()
    eventually(lambda: shown(host, f"user@{uid}.service", "ActiveState") == "active", "the user's manager")
    place = ("--quiet", "--unit=agent@reported.service", f"--working-directory={FOLDER}")
    host.run("systemd-run", "--user", *place, "/usr/bin/python3", "sleeper.py", "reported", user=OWNER)
    told = comes_to(host, "reported", "DuplicateProcess")
    host.run("systemctl", "--user", "stop", "agent@reported.service", user=OWNER)
    comes_to(host, "reported", "AsWanted", within=1)
    assert str(pids(host, ["reported"])["reported"]) not in told["message"]


def test_the_same_program_in_another_directory_is_no_agent(host: Lab) -> None:
    by_hand(host, "sleeper.py", "reported", folder=f"{FOLDER}/elsewhere")
    seen = by_hand(host, "sleeper.py", "lonely")
    assert f"PID {seen}" in comes_to(host, "lonely", "HiddenProcess")["message"]  # looked at later than the other
    assert row(host, "reported")["reason"] == "AsWanted"


@pytest.mark.parametrize(("name", "ended"), [("leaver", False), ("leaver_ended", True)])
def test_what_a_unit_leaves_behind_is_an_orphan(host: Lab, name: str, ended: bool) -> None:
    group = f"/sys/fs/cgroup/systemd{shown(host, f'agent@{name}.service', 'ControlGroup')}"
    host.run("systemctl", "stop", f"agent@{name}")
    if ended:
        eventually(lambda: "end PID" in str(events(host, name)), "what was left to be ended", timeout=5)
        comes_to(host, name, "StoppedByOperator")
    else:
        told = comes_to(host, name, "OrphanProcess")
        left = host.run("cat", f"{group}/cgroup.procs").stdout.split()
        assert f"PID {left[0]}" in told["message"]
        before = [one["id"] for one in events(host, name)]
        host.run("systemctl", "restart", RECONCILER)
        eventually(lambda: (ask(host, "info")["processes"]["view_age"] or 9) < 1, "a look at processes", timeout=5)
        assert [one["id"] for one in events(host, name)] == before  # who begins anew takes back nothing
        refused = host.supervise("start", name, check=False)
        assert f"left processes behind: PID {left[0]}" in refused.stdout + refused.stderr
        host.supervise("start", name, "--replace")
        assert not any(alive(host, int(one)) for one in left)
        host.run("systemctl", "stop", f"agent@{name}")
        comes_to(host, name, "OrphanProcess")
        left = host.run("cat", f"{group}/cgroup.procs").stdout.split()
        host.supervise("force-stop", name, "--yes")
        assert not any(alive(host, int(one)) for one in left)
        comes_to(host, name, "StoppedByOperator", within=2)
    assert "OrphanProcess" in [one["reason"] for one in events(host, name)]


def test_a_copy_that_fits_several_agents_is_the_hosts_finding_and_blocks_them_all(host: Lab) -> None:
    pid = by_hand(host, "sleeper.py")
    eventually(lambda: f"PID {pid}" in str(events(host)), "the finding", timeout=3)
    told = next(one for one in events(host) if f"PID {pid}" in one["message"])
    assert (told["name"], told["reason"]) == ("", "AmbiguousProcess")
    assert "alike_1" in told["message"]
    refused = host.supervise("start", "alike_2", check=False)
    assert f"PID {pid}" in refused.stdout + refused.stderr
    assert {row(host, name)["reason"] for name in ("alike_1", "alike_2")} == {"NotStarted"}


def test_a_copy_that_beats_is_seen_at_once(host: Lab) -> None:
    """It beats as a member of the agents' group: then nobody waits for the next look."""
    pid = by_hand(host, "beater.py", "beating")
    told = comes_to(host, "beating", "HiddenProcess", within=3)
    assert f"PID {pid}" in told["message"]


def test_a_killed_scan_service_comes_back_and_nothing_else_happens(host: Lab) -> None:
    before = pids(host, ["reported", "ended"])
    seen = len(events(host))
    pid = by_hand(host, "sleeper.py", "reported")
    comes_to(host, "reported", "DuplicateProcess")
    for _ in range(3):
        host.run("systemctl", "kill", "--signal=KILL", SCANNER)
        eventually(lambda: shown(host, SCANNER, "SubState") == "running", "it to be back", timeout=5)
    host.run("kill", str(pid))
    comes_to(host, "reported", "AsWanted", within=3)
    assert pids(host, ["reported", "ended"]) == before
    assert {one["reason"] for one in events(host)[seen:]} == {"DuplicateProcess", "AsWanted"}


def test_without_the_scan_service_that_is_said_and_nothing_is_started(host: Lab) -> None:
    host.run("systemctl", "mask", "--runtime", "--now", SCANNER, "supervise-scan.socket")
    eventually(lambda: "ProcessesUnseen" in str(events(host)), "it to be said", timeout=10)
    assert "processes" in host.supervise("status", check=False).stdout.splitlines()[-1]
    host.run("systemctl", "unmask", "--runtime", SCANNER, "supervise-scan.socket")
    host.run("systemctl", "start", "supervise-scan.socket")
    eventually(lambda: "ProcessesSeen" in str(events(host)), "it to be said", timeout=10)


# --- The scan service's rights ----------------------------------------------------------------------------------------

DANGEROUS = {
    "ptrace": "libc.ptrace(16, pid, 0, 0)",
    "process_vm_writev": "libc.process_vm_writev(pid, None, 0, None, 0, 0)",
    "process_vm_readv": "libc.process_vm_readv(pid, None, 0, None, 0, 0)",
    "kcmp": "libc.syscall(312, pid, pid, 0, 0, 0)",
    "pidfd_getfd": "libc.syscall(438, os.pidfd_open(pid), 0, 0)",
    "process_madvise": "libc.syscall(440, os.pidfd_open(pid), None, 0, 0, 0)",
    "socket": "libc.socket(2, 1, 0)",
    "mount": "libc.mount(b'none', b'/mnt', b'tmpfs', 0, None)",
    "setuid": "libc.setuid(0)",
    "unshare": "libc.unshare(0x10000000)",
}


@pytest.mark.parametrize("call", DANGEROUS)
def test_dangerous_calls_fail_for_the_scan_service(host: Lab, call: str) -> None:
    """Made by a program in its own sandbox: its unit with another command."""
    script = f"""
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
pid = {pids(host, ["reported"])["reported"]}
os.readlink(f"/proc/{{pid}}/cwd")  # what it is there for
done = {DANGEROUS[call]}
print("RESULT", done, errno.errorcode.get(ctypes.get_errno()))
"""
    host.write("/opt/probe.py", script)
    unit = host.read(f"/etc/systemd/system/{SCANNER}")
    start = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    body = unit.replace(start, "ExecStart=/usr/bin/python3 /opt/probe.py").replace("Type=notify", "Type=oneshot")
    body = body.replace("Restart=always", "Restart=no")
    host.write("/run/systemd/system/sandboxed.service", body)
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "start", "sandboxed.service")
    host.run("journalctl", "--sync")
    said = host.run("journalctl", "-u", "sandboxed.service", "-o", "cat").stdout
    result = [line for line in said.splitlines() if line.startswith("RESULT")][-1]
    assert result.split()[1:] in (["-1", "EPERM"], ["-1", "EAFNOSUPPORT"]), result


def test_the_scan_service_holds_two_capabilities_and_no_network(host: Lab) -> None:
    status = host.read(f"/proc/{shown(host, SCANNER, 'MainPID')}/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    kill, ptrace = 1 << 5, 1 << 19
    assert {int(facts[one], 16) for one in ("CapEff", "CapBnd", "CapAmb")} == {kill | ptrace}
    assert facts["Uid"].split()[0] == host.run("id", "-u", "supervise-scan").stdout.strip()
    links = host.run("nsenter", "-t", shown(host, SCANNER, "MainPID"), "-n", "ip", "-o", "link").stdout
    assert [line.split(": ")[1] for line in links.splitlines()] == ["lo"]


def test_nobody_but_the_reconciler_and_root_may_ask_the_scan_service(host: Lab) -> None:
    ask = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/supervise/scan.sock')"
    for user, allowed in (("supervise", True), (OWNER, False), ("stranger", False)):
        done = host.run("runuser", "-u", user, "--", "/usr/bin/python3", "-c", ask, check=False)
        assert (done.returncode == 0) is allowed, done.stderr


def test_the_scan_service_ends_nothing_that_no_manifest_lets_it_end(host: Lab) -> None:
    """Whatever the reconciler asks for."""
    copy = by_hand(host, "sleeper.py", "reported")
    others = {"cron": int(host.run("systemctl", "show", "-p", "MainPID", "--value", "dbus").stdout)}
    wanted = [("reported", copy), ("ended", copy), ("ended", others["cron"]), ("nobody", copy)]
    script = """
import json, socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect("/run/supervise/scan.sock")
lines = s.makefile("rw")
for number, (name, pid) in enumerate(json.loads(sys.argv[1])):
    started = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[19])
    what = {"id": number, "op": "end", "name": name, "pid": pid, "started": started, "grace": 0}
    lines.write(json.dumps(what) + "\\n")
    lines.flush()
    while "done" not in (said := json.loads(lines.readline())): pass
    print(json.dumps(said))
"""
    done = host.run("runuser", "-u", "supervise", "--", "/usr/bin/python3", "-c", script, json.dumps(wanted))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["ok"] for one in answers] == [False] * 4
    assert alive(host, copy)
    assert alive(host, others["cron"])
