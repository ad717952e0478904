"""What the hardening levels do to a running process: each claim of `hardening_rules.py`, asked of the process."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from supervise.model import AgentSpec, Hardening, Notify, Scope
from supervise.platforms.systemd.directives import command, rest_of_line
from supervise.platforms.systemd.hardening import directives, left_out
from supervise.platforms.systemd.hardening_rules import RULES
from tests.lab import Lab

pytestmark = pytest.mark.lab

PROBE = Path(__file__).with_name("sandbox_probe.py")
UNITS = {Scope.SYSTEM: "/etc/systemd/system", Scope.USER: "/home/hana/.config/systemd/user"}
PLACES = ("/opt/project", "/srv/project", "/home/hana/project")
SCOPES = (Scope.SYSTEM, Scope.USER)
LEVELS = tuple(Hardening)
NASTY = (
    "with blank",
    'quo"te',
    "apo'strophe",
    "per%cent",
    "%h",
    "żółć 🦊",
    "co:lon",
    "co:lon and blank",
    "back\\slash",
    "\\x41",
    "semi;colon",
    "$HOME",
    "*glob?",
    "#hash",
    "[x]",
    "-dash",
)


@dataclass
class Machine:
    """A lab with the user `hana`: a manager of her own, a secret in her home, a virtual environment in each place."""

    lab: Lab
    version: int
    uid: int
    numbers: Iterator[int]

    def ctl(self, scope: Scope, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        manager = ("--user",) if scope is Scope.USER else ()
        return self.lab.run("systemctl", *manager, *argv, check=check, user="hana" if scope is Scope.USER else None)

    def own(self, *paths: str) -> None:
        """Folders that are there, and hers."""
        for path in paths:
            self.lab.run("install", "-d", "-o", "hana", "-g", "hana", "--", path)

    def unit(self, spec: AgentSpec, *lines: str, kind: str = "oneshot") -> str:
        """A unit of this agent: nothing but what it runs, and its hardening."""
        name = f"fenced{next(self.numbers)}.service"
        identity = "DynamicUser=yes" if spec.dynamic_user else "User=hana"
        text = [
            "[Service]",
            f"Type={kind}",
            "TimeoutStartSec=30",
            f"StandardOutput=file:/run/said/{name}",
            f"WorkingDirectory={rest_of_line(spec.working_directory)}",
            f"ExecStart={command(spec.command)}",
            *([identity] if spec.scope is Scope.SYSTEM else []),
            *(f"{one.name}={one.value}" for one in directives(spec, version=self.version)),
            *lines,
        ]
        file = self.lab.write(f"{UNITS[spec.scope]}/{name}", "\n".join(text) + "\n")
        os.chown(file, *((self.uid, self.uid) if spec.scope is Scope.USER else (0, 0)))
        return name

    def start(self, spec: AgentSpec, *lines: str, kind: str = "oneshot", check: bool = True) -> str:
        name = self.unit(spec, *lines, kind=kind)
        self.ctl(spec.scope, "daemon-reload")
        if self.ctl(spec.scope, "start", name, check=False).returncode and check:
            raise AssertionError(f"{spec.hardening} in {spec.scope} did not start:\n{self.journal(name)}")
        return name

    def show(self, spec: AgentSpec, name: str, what: str) -> str:
        return self.ctl(spec.scope, "show", "--value", "-p", what, name).stdout.strip()

    def said(self, name: str) -> str:
        return self.lab.read(f"/run/said/{name}")

    def journal(self, name: str) -> str:
        return self.lab.run("journalctl", "-b", "-n", "20", "-o", "cat", f"--grep={name}", check=False).stdout

    def facts(self, spec: AgentSpec, *paths: str, more: tuple[str, ...] = ()) -> Any:
        """What the probe finds out when it runs as this agent, from this agent's folder."""
        folder = self.lab.path(spec.working_directory)
        probe = folder / "sandbox_probe.py"
        probe.write_bytes(PROBE.read_bytes())
        name = self.start(replace(spec, command=(*spec.command, "sandbox_probe.py", *paths)), *more)
        found = next(line for line in self.said(name).splitlines() if line.startswith("FACTS "))
        return json.loads(found.removeprefix("FACTS "))


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Iterator[Machine]:
    version = int(lab.run("systemctl", "--version").stdout.split()[1])
    made = Machine(lab, version, lab.add_user("hana", linger=True), itertools.count(1))
    lab.sh("install -d -m 1777 /run/said /run/supervise/claim; install -d /usr/lib/modules/some")
    made.own("/home/hana/.ssh", "/home/hana/.config", "/home/hana/.config/systemd", UNITS[Scope.USER])
    lab.sh("echo secret > /home/hana/.ssh/id; touch /tmp/of-others; chown hana /home/hana/.ssh/id")
    for place in PLACES:
        made.own(place, f"{place}/data")
        lab.run("/usr/bin/python3", "-m", "venv", "--without-pip", f"{place}/.venv")
    yield made
    lab.sh("rm -f /etc/systemd/system/fenced*; loginctl disable-linger hana")


def agent(
    hardening: Hardening,
    scope: Scope = Scope.SYSTEM,
    folder: str = "/srv/project",
    *writable: str,
    dynamic: bool = False,
) -> AgentSpec:
    """A Python program in its virtual environment."""
    environment = f"{folder}/.venv" if folder in PLACES else "/srv/project/.venv"
    return AgentSpec(
        name="fenced",
        base="fenced",
        title="Fenced",
        project="test",
        scope=scope,
        command=(f"{environment}/bin/python",),
        working_directory=Path(folder),
        hardening=hardening,
        needed_paths=(Path(environment),),
        writable_paths=tuple(Path(path) for path in writable),
        dynamic_user=dynamic,
    )


# --- Where programs live ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("level", LEVELS)
def test_a_program_runs_from_its_virtual_environment_and_writes_where_its_level_lets_it(
    machine: Machine, level: Hardening, scope: Scope, place: str
) -> None:
    facts = machine.facts(agent(level, scope, place, f"{place}/data"), ".", "data")
    assert facts["executable"] == f"{place}/.venv/bin/python"
    assert (facts["cwd"], facts["uid"]) == (place, machine.uid)
    assert facts["write"] == {".": "EROFS" if level is Hardening.STRICT else "ok", "data": "ok"}
    assert facts["work"] == "ok"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("place", ["/opt/project", "/srv/project"])
def test_a_dynamic_user_runs_at_every_level(machine: Machine, level: Hardening, place: str) -> None:
    machine.lab.sh(f"install -d -m 1777 {place}/shared")
    facts = machine.facts(
        agent(level, Scope.SYSTEM, place, f"{place}/shared", dynamic=True), "shared", "/run/supervise/claim"
    )
    assert facts["uid"] != machine.uid
    assert facts["write"] == {"shared": "ok", "/run/supervise/claim": "ok"}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("folder", ["/tmp/project", "/var/tmp/project"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_a_program_below_tmp_still_runs(machine: Machine, level: Hardening, folder: str, dynamic: bool) -> None:
    machine.own(folder, f"{folder}/data")
    machine.lab.sh(f"chmod 1777 {folder} {folder}/data")
    facts = machine.facts(agent(level, Scope.SYSTEM, folder, f"{folder}/data", dynamic=dynamic), ".", "data")
    assert facts["write"] == {".": "EROFS" if level is Hardening.STRICT else "ok", "data": "ok"}


@pytest.mark.parametrize("folder", ["/etc/project", "/usr/local/project", "/usr/local/my project"])
def test_standard_lets_a_program_write_beside_itself_where_the_system_is_read_only(
    machine: Machine, folder: str
) -> None:
    machine.own(folder)
    facts = machine.facts(agent(Hardening.STANDARD, Scope.SYSTEM, folder), ".")
    assert facts["write"] == {".": "ok"}
    assert facts["read_only"]["/usr"]
    assert facts["read_only"]["/etc"]


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("base", ["/srv/nasty", "/home/hana/nasty"])
def test_odd_paths_arrive_as_they_are(machine: Machine, base: str, name: str) -> None:
    folder = f"{base}/{name}"
    machine.own(folder, f"{folder}/da ta:1")
    facts = machine.facts(agent(Hardening.STRICT, Scope.SYSTEM, folder, f"{folder}/da ta:1"), ".", "da ta:1")
    assert facts["cwd"] == folder
    assert facts["write"] == {".": "EROFS", "da ta:1": "ok"}


@pytest.mark.parametrize("folder", ["/srv/project", "/home/hana/project"])
def test_a_writable_path_that_is_not_there_ends_the_start_with_its_name(machine: Machine, folder: str) -> None:
    spec = agent(Hardening.STRICT, Scope.SYSTEM, folder, f"{folder}/nowhere")
    name = machine.start(replace(spec, command=(*spec.command, "-c", "")), check=False)
    assert machine.show(spec, name, "ExecMainStatus") == "226"
    assert f"{folder}/nowhere: No such file" in machine.journal(name)


def test_the_whole_project_may_be_writable_although_it_is_shown_too(machine: Machine) -> None:
    place = "/home/hana/project"
    facts = machine.facts(agent(Hardening.STRICT, Scope.SYSTEM, place, place), ".", "data")
    assert facts["write"] == {".": "ok", "data": "ok"}


# --- What the levels hold back ----------------------------------------------------------------------------------------

OTHERS = ("/home/hana", "/home/hana/.ssh/id", "/tmp/of-others", "/run/user")


def test_none_leaves_a_program_alone(machine: Machine) -> None:
    facts = machine.facts(agent(Hardening.NONE), *OTHERS)
    assert (facts["no_new_privileges"], facts["setuid_file"], facts["namespace"]) == ("0", "ok", "ok")
    assert not any(facts["read_only"][path] for path in ("/", "/usr", "/etc"))


@pytest.mark.parametrize("scope", SCOPES)
def test_standard_takes_from_a_program_what_it_hardly_ever_needs(machine: Machine, scope: Scope) -> None:
    bare = machine.facts(agent(Hardening.NONE, scope))
    facts = machine.facts(agent(Hardening.STANDARD, scope), *OTHERS)
    assert facts["no_new_privileges"] == "1"
    assert facts["seccomp"] > bare["seccomp"]
    assert (bare["setuid_file"], facts["setuid_file"]) == ("ok", "EPERM")
    assert (bare["personality"], facts["personality"]) == ("ok", "EPERM")
    assert (bare["sockets"]["vsock"], facts["sockets"]["vsock"]) == ("ok", "EAFNOSUPPORT")


@pytest.mark.parametrize("scope", SCOPES)
def test_standard_leaves_what_browsers_containers_and_neighbours_need(machine: Machine, scope: Scope) -> None:
    facts = machine.facts(agent(Hardening.STANDARD, scope), *OTHERS)
    assert (facts["namespace"], facts["nested_container"], facts["trace"]) == ("ok", "ok", "ok")
    assert {facts["sockets"][kind] for kind in ("unix", "inet", "netlink")} == {"ok"}
    assert all(facts["exists"].values())
    assert facts["terminal_seen"]
    assert facts["init_seen"]
    assert facts["write"]["/home/hana"] == "ok"
    assert facts["work"] == "ok"


def test_standard_makes_the_systems_own_files_read_only(machine: Machine) -> None:
    facts = machine.facts(agent(Hardening.STANDARD))
    assert facts["read_only"] == {
        "/": False,
        "/usr": True,
        "/etc": True,
        "/opt": False,
        "/run": False,
        "/sys/fs/cgroup/systemd": True,
    }
    assert facts["modules_seen"] != True  # noqa: E712 (an error's name is true, too)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("place", ["/srv/project", "/home/hana/project"])
def test_strict_shows_a_read_only_machine_without_homes(machine: Machine, scope: Scope, place: str) -> None:
    bare = machine.facts(agent(Hardening.NONE, scope, place))
    facts = machine.facts(agent(Hardening.STRICT, scope, place), *OTHERS, "/home", "/dev/shm", "/tmp")
    assert all(value is True for value in facts["read_only"].values()), facts["read_only"]
    assert not facts["exists"]["/home/hana/.ssh/id"]
    assert not facts["exists"]["/tmp/of-others"]
    assert facts["list"]["/root"] == facts["list"]["/tmp"] == []
    assert facts["list"]["/home"] == (["hana"] if place.startswith("/home") else [])
    assert facts["list"]["/run/user"] == ([] if scope is Scope.SYSTEM else [str(machine.uid)])
    assert {facts["write"][path] for path in ("/home", "/home/hana")} <= {"EROFS", "ENOENT"}
    assert facts["write"]["/tmp"] == facts["write"]["/dev/shm"] == "ok"
    assert (facts["capabilities"], facts["no_new_privileges"]) == (0, "1")
    assert (facts["namespace"], facts["nested_container"], facts["trace"]) == ("EPERM", "refused", "EPERM")
    assert facts["sockets"] == {"unix": "ok", "inet": "ok", "netlink": "EAFNOSUPPORT", "vsock": "EAFNOSUPPORT"}
    assert not facts["terminal_seen"]
    assert facts["uts"] != bare["uts"]
    assert facts["modules_seen"] != True  # noqa: E712 (an error's name is true, too)
    assert facts["init_seen"] is (scope is Scope.USER)
    assert facts["work"] == "ok"


def test_strict_in_the_system_scope_leaves_other_users_their_names(machine: Machine) -> None:
    assert machine.facts(agent(Hardening.STRICT))["etc_owner"] == 0
    assert machine.facts(agent(Hardening.STRICT, Scope.USER))["etc_owner"] == 65534


def test_a_home_that_is_the_working_directory_is_shown_and_named(machine: Machine) -> None:
    spec = agent(Hardening.STRICT, Scope.SYSTEM, "/home/hana")
    assert machine.facts(spec, "/home/hana/.ssh/id")["exists"] == {"/home/hana/.ssh/id": True}
    assert "ProtectHome" in dict(left_out(spec, version=machine.version))


def test_a_program_that_runs_in_tmp_itself_sees_all_of_it(machine: Machine) -> None:
    spec = agent(Hardening.STRICT, Scope.SYSTEM, "/tmp")
    assert machine.facts(spec, "/tmp/of-others")["exists"] == {"/tmp/of-others": True}
    assert "PrivateTmp" in dict(left_out(spec, version=machine.version))


# --- What is left out -------------------------------------------------------------------------------------------------


def test_what_strict_leaves_out_in_the_user_scope_would_not_start_or_change_nothing(machine: Machine) -> None:
    spec = agent(Hardening.STRICT, Scope.USER, "/home/hana/project")
    assert [name for name, _ in left_out(spec, version=machine.version)] == ["ProtectKernelLogs", "ProtectProc"]
    name = machine.start(replace(spec, command=(*spec.command, "-c", "")), "ProtectKernelLogs=yes", check=False)
    assert machine.show(spec, name, "ExecMainStatus") == "226"
    assert machine.facts(spec, more=("ProtectProc=invisible",))["init_seen"] is True


def test_what_standard_leaves_out_in_the_user_scope_is_without_effect_on_252(machine: Machine) -> None:
    if machine.version != 252:
        pytest.skip("later versions imply PrivateUsers=")
    spec = agent(Hardening.STANDARD, Scope.USER)
    missing = dict(left_out(spec, version=machine.version))
    assert sorted(missing) == ["ProtectControlGroups", "ProtectKernelModules", "ProtectSystem"]
    facts = machine.facts(spec, more=("ProtectSystem=full", "ProtectControlGroups=yes", "ProtectKernelModules=yes"))
    assert not any(facts["read_only"].values())
    assert facts["modules_seen"] is True


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.privileged], ids=lambda rule: rule.name)
def test_what_needs_private_users_does_nothing_or_fails_without_them(machine: Machine, rule: Any) -> None:
    if machine.version != 252:
        pytest.skip("later versions imply PrivateUsers=")
    spec = agent(Hardening.NONE, Scope.USER)
    bare = machine.facts(spec)
    name = machine.start(replace(spec, command=(*spec.command, "-c", "")), f"{rule.name}={rule.value}", check=False)
    if machine.show(spec, name, "Result") != "success":
        assert machine.show(spec, name, "ExecMainStatus") in ("218", "226")
        return
    facts = machine.facts(spec, more=(f"{rule.name}={rule.value}",))
    filters = {
        "no_new_privileges",
        "seccomp",
    }  # some install a filter for calls that an ordinary user may not make anyway
    assert {key: value for key, value in facts.items() if key not in filters} == {
        key: value for key, value in bare.items() if key not in filters
    }


# --- Signs of life, secrets, the score --------------------------------------------------------------------------------

LIVES = """
import os, pathlib, socket, time
runtime = os.environ.get("XDG_RUNTIME_DIR", "/run")
claim = pathlib.Path(runtime, "supervise/claim", str(os.getuid()))
claim.mkdir(parents=True, exist_ok=True)
(claim / "fenced").touch()
secret = pathlib.Path(os.environ["CREDENTIALS_DIRECTORY"], "key").read_text().strip()
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
    manager.sendto(f"READY=1\\nSTATUS=knows {secret}".encode(), os.environ["NOTIFY_SOCKET"])
time.sleep(60)
"""


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dynamic", [False, True])
def test_an_agent_can_say_that_it_lives_claim_its_name_and_read_its_secrets(
    machine: Machine, level: Hardening, scope: Scope, dynamic: bool
) -> None:
    if dynamic and scope is Scope.USER:
        return  # there are no dynamic users in the user scope
    spec = replace(agent(level, scope, dynamic=dynamic), notify=Notify.ALWAYS)
    spec = replace(spec, command=(*spec.command, "-c", LIVES))
    name = machine.start(spec, "NotifyAccess=main", "LoadCredential=key:/home/hana/.ssh/id", kind="notify")
    try:
        assert machine.show(spec, name, "StatusText") == "knows secret"
        claims = "/run/supervise/claim" if scope is Scope.SYSTEM else f"/run/user/{machine.uid}/supervise/claim"
        uid = machine.lab.run("stat", "-c", "%u", f"/proc/{machine.show(spec, name, 'MainPID')}").stdout.strip()
        assert machine.lab.path(f"{claims}/{uid}/fenced").exists()
    finally:
        machine.ctl(scope, "stop", name)


def test_the_claims_of_the_user_scope_outlive_the_agent_that_made_their_folder(machine: Machine) -> None:
    spec = agent(Hardening.STRICT, Scope.USER)
    machine.start(replace(spec, command=(*spec.command, "-c", "")))
    assert machine.lab.path(f"/run/user/{machine.uid}/supervise").is_dir()


@pytest.mark.parametrize("folder", ["/srv/project", "/home/hana/project", "/tmp/project"])
def test_strict_scores_two_at_most(machine: Machine, folder: str) -> None:
    machine.own(folder)
    spec = agent(Hardening.STRICT, Scope.SYSTEM, folder, f"{folder}/data")
    file = f"{UNITS[Scope.SYSTEM]}/{machine.unit(spec, 'NotifyAccess=main', kind='exec')}"
    machine.lab.run("systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", file)
    machine.lab.run("systemd-analyze", "verify", "--recursive-errors=yes", "--man=no", file)
