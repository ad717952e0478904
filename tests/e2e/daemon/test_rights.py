"""What the reconciler's user may do to a machine, and who may do what through the reconciler.

Asked of systemd itself as that user, on units that run: a refusal must come of the missing right and of nothing else,
and leave everything as it was.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from supervise.overview import OTHERS_UNSEEN, SILENT_DAEMON, WITHOUT_DAEMON
from tests.e2e.daemon.asking import Refused, ask_as, events, rows
from tests.e2e.daemon.machine import RECONCILER, at, install, pids, reconciler, shown, unit
from tests.lab import Completed, Lab, eventually

pytestmark = pytest.mark.lab

US = "supervise"
AGENTS = """
project: rights
defaults: {restart: {policy: never}}
agents:
  a: {command: [/usr/bin/python3, sleeper.py]}
  b: {command: [/usr/bin/python3, sleeper.py, "{instance}"], instances: 2}
  c: {command: [/usr/bin/python3, sleeper.py, c]}
  probed:
    auto_start: false
    command: [/usr/bin/python3, sleeper.py, probed]
    probes:
      ready: {command: [/usr/bin/sleep, "1000"], timeout: 1h}
      live: {command: [/usr/bin/sleep, "1000"], timeout: 1h}
  nightly: {command: [/usr/bin/python3, sleeper.py, nightly], schedule: daily}
"""
CREW = ("a", "b.1", "b.2", "c")
LOOKALIKES = (
    "agent@A-x.service",
    "agent@a.service.service",
    "agent@a.b.service",
    "agent@a.1.2.service",
    "agent@a-b.service",
    "agent@1a.service",
    "agent@_a.service",
    "agent@a\\x0a.service",
    "agent@a:b.service",
    "xagent@a.service",
    "agent@a.socket",
    "agent-probe@a.b.service",
    "agent-probe@a.timer",
    "agent-ready@a.1.2.service",
    "agent-ready@A.service",
    "agent-probes@a.service",
    "agent-live@a.service",
    "xagent-probe@a.service",
)
"""Units which can be started, of names that are nearly an agent's."""
OTHERS = (
    "bystander.service",
    "dbus.service",
    "polkit.service",
    "supervise.target",
    RECONCILER,
    "supervise-agent.socket",
)
NO_NAMES = ("agent@a.service.evil", "agent@a.service\nbystander.service", "agent@.service", "agent@a.service ")
VERBS = {"start": "StartUnit", "stop": "StopUnit", "restart": "RestartUnit", "reset-failed": "ResetFailedUnit"}
MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
UNIT = (MANAGER[0], "/org/freedesktop/systemd1/unit/agent_40a_2eservice", "org.freedesktop.systemd1.Unit")
EVIL = ("a(sv)", "1", "ExecStart", "a(sasb)", "1", "/bin/touch", "2", "/bin/touch", "/etc/owned", "false")
FORBIDDEN = {
    "BindMountUnit": ("sssbb", "agent@a.service", "/etc/shadow", "/tmp/shadow", "false", "true"),
    "MountImageUnit": ("sssbba(ss)", "agent@a.service", "/tmp/image", "/tmp/mounted", "false", "true", "0"),
    "SetUnitProperties": ("sba(sv)", "agent@a.service", "true", "1", "CPUWeight", "t", "50"),
    "KillUnit": ("ssi", "agent@a.service", "all", "9"),
    "FreezeUnit": ("s", "agent@a.service"),
    "ThawUnit": ("s", "agent@a.service"),
    "CleanUnit": ("sas", "agent@a.service", "1", "all"),
    "RefUnit": ("s", "agent@a.service"),
    "ReloadUnit": ("ss", "agent@a.service", "replace"),
    "TryRestartUnit": ("ss", "agent@a.service", "replace"),
    "ReloadOrRestartUnit": ("ss", "agent@a.service", "replace"),
    "EnqueueUnitJob": ("sss", "agent@a.service", "try-restart", "replace"),
    "ResetFailed": (),
    "ClearJobs": (),
    "StartTransientUnit": ("ssa(sv)a(sa(sv))", "agent@evil.service", "replace", *EVIL[1:], "0"),
    "EnableUnitFiles": ("asbb", "1", "/home/ops/evil.service", "false", "true"),
    "LinkUnitFiles": ("asbb", "1", "/home/ops/evil.service", "true", "true"),
    "DisableUnitFiles": ("asb", "1", "agent@a.service", "false"),
    "MaskUnitFiles": ("asbb", "1", "agent@a.service", "true", "true"),
    "UnmaskUnitFiles": ("asb", "1", "agent@a.service", "false"),
    "RevertUnitFiles": ("as", "1", "agent@a.service"),
    "AddDependencyUnitFiles": ("asssbb", "1", "bystander.service", "supervise.target", "Wants", "false", "true"),
    "SetDefaultTarget": ("sb", "rescue.target", "true"),
    "SetEnvironment": ("as", "1", "LD_PRELOAD=/home/ops/evil.so"),
    "Reload": (),
    "Reexecute": (),
    "SwitchRoot": ("ss", "/home/ops", "/bin/sh"),
    "Reboot": (),
    "PowerOff": (),
}
ON_THE_UNIT = {
    "Kill": ("si", "all", "9"),
    "SetProperties": ("ba(sv)", "true", "1", "CPUWeight", "t", "50"),
    "Freeze": (),
}
DENIED = re.compile("Access denied|nteractive authentication required|Permission denied|not permitted|not authorized")
RESTLESS = re.compile(r"(CPUUsage|Memory|TasksCurrent|IO|IP|Watchdog|StatusText|NextElapse|LastTrigger)\w*=")
"""What changes by itself."""
SOURCE = "[Unit]\nDescription=Not an agent\n[{section}]\n{body}\n"
BODIES = {
    "Service": "ExecStart=/bin/sleep infinity",
    "Socket": "ListenStream=/run/not-an-agent\nService=idle.service",
    "Timer": "OnActiveSec=1y\nUnit=bystander.service",
}


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Lab:
    for name in (*LOOKALIKES, "bystander.service", "idle.service"):
        section = name.rpartition(".")[2].title()
        lab.write(f"/etc/systemd/system/{name}", SOURCE.format(section=section, body=BODIES[section]))
    install(lab, AGENTS)
    lab.write("/home/ops/evil.service", SOURCE.format(section="Service", body=BODIES["Service"]))
    lab.sh("useradd -G supervise-operators olga; useradd outsider; usermod -aG supervise-agents ops")
    lab.run("systemctl", "start", "bystander.service", "polkit.service", *LOOKALIKES)
    return lab


@pytest.fixture
def host(machine: Lab) -> Lab:
    """All agents run."""
    machine.sh("rm -f /var/lib/supervise/hold/*; systemctl reset-failed 'agent@*'")
    machine.run("systemctl", "start", *map(unit, CREW), "agent@nightly.timer")
    return machine


def _call(lab: Lab, method: str, *words: str, of: tuple[str, str, str] = MANAGER) -> Completed:
    """A call of systemd by the reconciler's user."""
    return lab.run("runuser", "-u", US, "--", "busctl", "call", *of, method, *words, check=False)


def _verb(lab: Lab, verb: str, name: str) -> Completed:
    return _call(lab, VERBS[verb], *(("s", name) if verb == "reset-failed" else ("ss", name, "replace")))


def _state(lab: Lab) -> dict[str, object]:
    """All that a foreign hand could change: what systemd says of each unit and of itself, and its files."""
    units = ("agent@*", "agent-*@*", "xagent*@*", *OTHERS)
    files = lab.sh("find /etc /run/systemd /usr/lib/systemd /tmp -xdev -printf '%p %y %m %u %s %C@ %l\\n'")
    restless = re.compile(r"/run/systemd/(journal|units|sessions|users|notify|inaccessible|propagate|netif|timesync)")
    return {
        "properties": [
            line
            for line in lab.run("systemctl", "show", "--all", *units).stdout.splitlines()
            if not RESTLESS.match(line)
        ],
        "manager": lab.sh("systemctl show-environment; systemctl get-default; systemctl show -P UnitsLoadTimestamp"),
        "files": sorted(line for line in files.splitlines() if not restless.match(line)),
    }


def _difference(before: dict[str, object], after: dict[str, object]) -> list[str]:
    return [f"{key}: {set(before[key]) ^ set(after[key])}" for key in before if before[key] != after[key]]  # type: ignore[call-overload]


# --- The reconciler's user --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "b.1"])
def test_the_four_verbs_work_on_an_agent(host: Lab, name: str) -> None:
    def do(verb: str) -> None:
        done = _verb(host, verb, unit(name))
        assert done.returncode == 0, (verb, done.stderr)

    before = pids(host, CREW)
    do("restart")
    eventually(lambda: pids(host, CREW)[name] not in (0, before[name]), "another process")
    do("stop")
    eventually(lambda: shown(host, unit(name), "ActiveState") == "inactive", "its stop")
    do("start")
    eventually(lambda: pids(host, CREW)[name], "its start")
    host.run("kill", "-9", str(pids(host, CREW)[name]))
    eventually(lambda: shown(host, unit(name), "ActiveState") == "failed", "its failure")
    do("reset-failed")
    eventually(lambda: shown(host, unit(name), "ActiveState") == "inactive", "nothing to be left of its failure")
    others = [other for other in CREW if other != name]
    assert {other: pid for other, pid in pids(host, others).items() if pid != before[other]} == {}


def test_the_four_verbs_work_on_a_timer(host: Lab) -> None:
    timer = "agent@nightly.timer"
    since = shown(host, timer, "ActiveEnterTimestampMonotonic")
    assert _verb(host, "restart", timer).returncode == 0
    eventually(lambda: shown(host, timer, "ActiveEnterTimestampMonotonic") not in (since, "0"), "its restart")
    assert _verb(host, "stop", timer).returncode == 0
    eventually(lambda: shown(host, timer, "ActiveState") == "inactive", "its stop")
    assert _verb(host, "start", timer).returncode == 0
    eventually(lambda: shown(host, timer, "ActiveState") == "active", "its start")
    assert _verb(host, "reset-failed", timer).returncode == 0


@pytest.mark.parametrize("name", ["agent-probe@probed.service", "agent-ready@probed.service"])
def test_the_four_verbs_work_on_a_probe(host: Lab, name: str) -> None:
    def state() -> str:
        return shown(host, name, "ActiveState")

    assert _verb(host, "start", name).returncode == 0
    eventually(lambda: state() == "activating", "its start")
    before = shown(host, name, "MainPID")
    assert _verb(host, "restart", name).returncode == 0
    eventually(lambda: shown(host, name, "MainPID") not in ("0", before), "its restart")
    host.run("kill", "-9", shown(host, name, "MainPID"))
    eventually(lambda: state() == "failed", "its failure")
    assert _verb(host, "reset-failed", name).returncode == 0
    eventually(lambda: state() == "inactive", "nothing to be left of its failure")
    assert _verb(host, "start", name).returncode == 0
    assert _verb(host, "stop", name).returncode == 0
    eventually(lambda: state() == "failed", "its stop")  # as systemd sees it
    assert _verb(host, "reset-failed", name).returncode == 0


def test_nothing_else_is_allowed_on_an_agent_or_the_manager(host: Lab) -> None:
    before = _state(host)
    done = {method: _call(host, method, *words) for method, words in FORBIDDEN.items()}
    done |= {f"{method} of the unit": _call(host, method, *words, of=UNIT) for method, words in ON_THE_UNIT.items()}
    said = {method: one.stderr.strip() for method, one in done.items()}
    assert {method: text for method, text in said.items() if not DENIED.search(text)} == {}
    assert _difference(before, _state(host)) == []


def test_no_verb_is_allowed_on_a_unit_that_is_no_agent(host: Lab) -> None:
    before = _state(host)
    done = {(verb, name): _verb(host, verb, name).stderr for verb in VERBS for name in (*LOOKALIKES, *OTHERS)}
    assert {what: text for what, text in done.items() if not DENIED.search(text)} == {}
    nonsense = {(verb, name): _verb(host, verb, name).returncode for verb in VERBS for name in NO_NAMES}
    assert [what for what, code in nonsense.items() if code == 0] == []
    assert _difference(before, _state(host)) == []


def test_root_may_do_all_that(host: Lab) -> None:
    """Else the refusals above would say nothing of rights."""
    for name in LOOKALIKES:
        host.run("busctl", "call", *MANAGER, "RestartUnit", "ss", name, "replace")
        eventually(lambda name=name: shown(host, name, "ActiveState") == "active", f"{name} to run")  # type: ignore[misc]
    for method in ("SetUnitProperties", "RefUnit", "ResetFailed", "Reload"):
        assert host.run("busctl", "call", *MANAGER, method, *FORBIDDEN[method], check=False).returncode == 0, method


def test_the_reconciler_has_no_capability_and_can_write_only_its_own(host: Lab) -> None:
    pid = reconciler(host)
    status = dict(line.split(":\t", 1) for line in host.read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
    assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    uid = host.run("id", "-u", US).stdout.strip()
    assert (status["Uid"].split(), status["NoNewPrivs"], status["Seccomp"]) == ([uid] * 4, "1", "2")
    folders = "/boot /etc /home /opt /root /srv /usr/lib/systemd /usr/local /var"
    writable = f"find {folders} -xdev -path /var/tmp -prune -o -writable ! -type l -print 2>/dev/null; true"
    by_user = host.run("runuser", "-u", US, "--", "sh", "-c", writable).stdout.split()
    assert by_user
    assert [path for path in by_user if not path.startswith("/var/lib/supervise")] == []
    become = ("nsenter", "-t", str(pid), "-m", "setpriv", "--reuid", US, "--regid", US, "--clear-groups")
    for path in ("/etc/x", "/etc/systemd/system/x.service", "/home/ops/x", "/run/supervise/x", "/usr/x", "/root/x"):
        assert host.run(*become, "touch", path, check=False).returncode != 0, path
    host.run(*become, "touch", "/var/lib/supervise/x")
    host.run("rm", "/var/lib/supervise/x")


# --- Those who ask ----------------------------------------------------------------------------------------------------


def test_anybody_may_read(host: Lab) -> None:
    assert {row["name"] for row in ask_as(host, "outsider", "rows")["rows"]} >= {*CREW, "nightly"}
    assert ask_as(host, "outsider", "info")["pid"] == reconciler(host)
    assert ask_as(host, "outsider", "events", limit=5)
    assert {row["name"] for row in ask_as(host, "outsider", "watch", first_item=True)["rows"]} >= {*CREW}


@pytest.mark.parametrize("user", ["outsider", "ops"])
@pytest.mark.parametrize(
    ("op", "args"),
    [
        *(("act", {"verb": verb, "names": ["c"]}) for verb in ("start", "stop", "restart", "hold", "release")),
        ("lock", {"names": ["c"], "status": "running", "health": 100, "reason": "all is well"}),
        ("unlock", {"names": ["c"]}),
        ("order", {"what": "stop", "names": ["c"], "kind": "stop"}),
    ],
)
def test_who_is_no_operator_may_not_act(host: Lab, user: str, op: str, args: dict[str, Any]) -> None:
    """Nor may the owner of the agents."""
    before, history = pids(host, CREW), events(host, "c")
    with pytest.raises(Refused) as refused:
        ask_as(host, user, op, **{"by": "root", "reason": "because", **args})
    assert refused.value.code == "denied"
    assert (pids(host, CREW), events(host, "c")) == (before, history)
    assert rows(host, "c")["c"]["lock"] is None
    assert not host.path("/var/lib/supervise/hold/c").exists()


def test_an_operator_may_act_and_is_named(host: Lab) -> None:
    begin = at(ask_as(host, "olga", "info"))

    def act(verb: str) -> None:
        (result,) = ask_as(host, "olga", "act", verb=verb, names=["c"], by="somebody else", reason=f"to {verb}")
        assert result["ok"], result

    act("stop")
    eventually(lambda: rows(host, "c")["c"]["reason"] == "StoppedByOperator", "the row to say so")
    assert "olga" in rows(host, "c")["c"]["message"]
    assert pids(host, CREW)["c"] == 0
    act("start")
    eventually(lambda: rows(host, "c")["c"]["status"] == "running", "the row to say that it runs")
    act("hold")
    eventually(lambda: rows(host, "c")["c"]["reason"] == "Held", "the row to say that it is held")
    assert pids(host, CREW)["c"] == 0
    assert json.loads(host.read("/var/lib/supervise/hold/c"))["by"] == "olga"
    act("release")
    eventually(lambda: rows(host, "c")["c"]["reason"] != "Held", "the row to say that it is not held any more")
    told = events(host, "c", since=(begin - timedelta(milliseconds=1)).isoformat())
    orders = [(one["reason"], one["message"]) for one in told if one["kind"] == "order" and one["by"] == "olga"]
    assert orders == [("stop", "to stop"), ("start", "to start"), ("hold", "to hold"), ("release", "to release")]
    assert "somebody else" not in {one["by"] for one in told}


def test_a_lock_of_an_operator_changes_what_is_shown_and_says_whose_it_is(host: Lab) -> None:
    ask_as(host, "olga", "lock", names=["a"], status="warning", health=50, seconds=60, reason="look at it")
    locked = rows(host, "a")["a"]
    assert (locked["status"], locked["health"], locked["observed_status"]) == ("warning", 50, "running")
    assert locked["lock"]["by"] == "olga"
    with pytest.raises(Refused, match="24 h"):
        ask_as(host, "olga", "lock", names=["a"], status="running", seconds=25 * 3600, reason="for ever")
    assert ask_as(host, "olga", "unlock", names=["a"])["locked"] == ["a"]
    assert rows(host, "a")["a"]["status"] == "running"
    assert [(one["reason"], one["by"]) for one in events(host, "a") if one["kind"] == "order"][-2:] == [
        ("lock", "olga"),
        ("unlock", "olga"),
    ]


def test_who_may_not_look_into_others_processes_is_told_what_a_status_of_their_own_is_worth(host: Lab) -> None:
    def noted(user: str) -> list[str]:
        said = host.run("runuser", "-u", user, "--", "supervise", "status", "--json", check=False).stdout
        notes: list[str] = json.loads(said)["notes"]
        return notes

    assert noted("outsider") == []
    host.run("systemctl", "kill", "--signal", "STOP", RECONCILER)
    assert noted("outsider") == [SILENT_DAEMON, OTHERS_UNSEEN]
    host.run("systemctl", "kill", "--signal", "CONT", RECONCILER)
    host.run("systemctl", "stop", "supervise-reconciler.socket", "supervise-agent.socket", RECONCILER)
    assert noted("outsider") == [WITHOUT_DAEMON, OTHERS_UNSEEN]
    assert noted("root") == [WITHOUT_DAEMON]
    host.run("systemctl", "start", "supervise-reconciler.socket", "supervise-agent.socket", RECONCILER)


SEND = """
import errno, socket, sys
try:
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'{"v": 1}', "/run/supervise/agent.sock")
    print("sent")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


def test_only_members_of_the_agents_group_reach_their_socket(host: Lab) -> None:
    def sent_by(user: str) -> str:
        return host.run("runuser", "-u", user, "--", "/usr/bin/python3", "-c", SEND).stdout.strip()

    assert {user: sent_by(user) for user in ("outsider", "olga", "ops")} == {
        "outsider": "EACCES",
        "olga": "EACCES",
        "ops": "sent",
    }
