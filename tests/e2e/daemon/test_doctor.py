"""`supervise doctor` on a real machine: well where all is well; each thing that is broken is found, and the command
that it gives really repairs it. What is broken, and whether it is well again, is asked of systemd and the kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.daemon.asking import answers
from tests.e2e.daemon.machine import FOLDER, RECONCILER, install, show, shown, unit
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

AGENTS = """
project: sound
agents:
  a:
    command: [/usr/bin/python3, sleeper.py]
    secrets: {API_KEY: "file:key"}
  b: {command: [/usr/bin/python3, sleeper.py, b]}
  nightly: {command: [/usr/bin/python3, sleeper.py, nightly], schedule: daily}
alerts:
  - {webhook: "file:/srv/alerts/url", min_status: error}
"""
UNITS = "/etc/systemd/system"
MANIFESTS = "/etc/supervise/projects"
DROP_IN = f"{UNITS}/agent@a.service.d/50-supervise.conf"
RULE = "/etc/polkit-1/rules.d/50-supervise.rules"
SOCKETS = ("supervise-reconciler.socket", "supervise-agent.socket")
BAD = ("warning", "error")

Found = dict[str, Any]


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Lab:
    lab.sh("useradd outsider; useradd --create-home olga")
    lab.write("/srv/alerts/url", "http://127.0.0.1:9/\n", mode=0o640)
    lab.write(f"{FOLDER}/key", "s3cret\n", mode=0o600)
    install(lab, AGENTS)
    lab.run("chgrp", "supervise", "/srv/alerts/url")
    return lab


@pytest.fixture
def host(machine: Lab) -> Iterator[Lab]:
    """Where a test has failed, the reconciler answers again for the next one."""
    yield machine
    if not answers(machine):
        machine.run("systemctl", "restart", *SOCKETS, RECONCILER, check=False)


def doctor(lab: Lab, *words: str, user: str | None = None) -> tuple[int, dict[str, Any]]:
    become = ("runuser", "-u", user, "--") if user else ()
    done = lab.run(*become, "supervise", "doctor", "--json", *words, check=False)
    assert done.returncode in (0, 1), done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, said


def findings(lab: Lab, **options: Any) -> list[Found]:
    every: list[Found] = doctor(lab, **options)[1]["findings"]
    return every


def bad(lab: Lab) -> list[str]:
    return [f"{one['check']}: {one['text']}" for one in findings(lab) if one["severity"] in BAD]


def found(lab: Lab, check: str, severity: str, words: str) -> Found:
    """The one finding of this kind; the exit code fits what is said."""
    code, said = doctor(lab)
    every: list[Found] = said["findings"]
    assert code == any(one["severity"] == "error" for one in every)
    fitting = [one for one in every if one["check"] == check and one["severity"] == severity and words in one["text"]]
    assert len(fitting) == 1, [one for one in every if one["severity"] != "ok"]
    return fitting[0]


def repaired(lab: Lab, finding: Found) -> None:
    """Do what the finding says: then nothing is wrong."""
    assert finding["command"], finding
    lab.sh(finding["command"])
    eventually(lambda: answers(lab), "the reconciler to answer")
    left: list[str] = []

    def well() -> bool:
        left[:] = bad(lab)
        return not left

    try:
        eventually(well, "all to be well")
    except AssertionError as error:
        raise AssertionError(f"{error}; left: {left}") from None


# --- Nothing is wrong -------------------------------------------------------------------------------------------------


def test_a_sound_installation_has_no_warning_and_no_error(host: Lab) -> None:
    code, said = doctor(host)
    assert (code, said["installed"]) == (0, True)
    assert {one["check"]: one for one in said["findings"] if one["severity"] in BAD} == {}
    looked = {one["check"] for one in said["findings"]}
    assert looked >= {"bus", "daemon", "sockets", "polkit", "manifests", "units", "drift", "config", "store"}
    assert said["versions"]["reconciler"] == said["versions"]["installed"] == said["versions"]["supervise"]


def test_an_ordinary_user_is_told_what_only_root_can_see(host: Lab) -> None:
    every = findings(host, user="outsider")
    assert [one for one in every if one["severity"] in BAD] == []
    polkit = [one for one in every if one["check"] == "polkit"]
    assert [(one["severity"], "needs root" in one["text"]) for one in polkit] == [("note", True)]
    assert any(one["check"] == "daemon" and one["severity"] == "ok" for one in every)


def test_who_is_no_operator_is_told_how_to_become_one(host: Lab) -> None:
    (finding,) = [one for one in findings(host, user="olga") if "supervise-operators" in one["text"]]
    assert finding["severity"] == "note"
    host.sh(finding["command"].removeprefix("sudo "))
    assert not any("is not in group" in one["text"] for one in findings(host, user="olga"))


def test_a_user_without_agents_is_told_how_to_begin(host: Lab) -> None:
    done = host.run("runuser", "-u", "outsider", "--", "supervise", "doctor", "--user", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "supervise init" in done.stdout


def test_a_pending_change_is_a_note(host: Lab) -> None:
    host.run("sed", "-i", "s/sleeper.py, b/sleeper.py, bb/", f"{FOLDER}/agents.yaml")
    finding = found(host, "config", "note", "pending changes")
    assert "agent@b.service" in host.sh(finding["command"])
    host.run("sed", "-i", "s/sleeper.py, bb/sleeper.py, b/", f"{FOLDER}/agents.yaml")
    assert not any("pending" in one["text"] for one in findings(host))


# --- What is wrong with our files -------------------------------------------------------------------------------------


def test_a_unit_that_was_edited_is_found(host: Lab) -> None:
    host.sh(f"echo 'Nice=5' >> {DROP_IN}")
    assert found(host, "drift", "warning", "since systemd read it")["command"] == "systemctl daemon-reload"
    repaired(host, found(host, "units", "warning", "agent@a.service.d/50-supervise.conf"))
    assert "Nice=5" not in host.read(DROP_IN)


def test_a_unit_that_is_gone_is_found(host: Lab) -> None:
    host.run("rm", DROP_IN)
    repaired(host, found(host, "units", "error", "are gone: agent@a.service.d/50-supervise.conf"))
    assert host.path(DROP_IN).exists()


def test_a_unit_of_nobody_is_found(host: Lab) -> None:
    lost = DROP_IN.replace("@a", "@ghost")
    host.sh(
        f"mkdir -p {lost.rpartition('/')[0]}; sed s/agent=a/agent=ghost/ {DROP_IN} > {lost}; systemctl daemon-reload"
    )
    host.run("systemctl", "start", unit("ghost"))
    repaired(host, found(host, "units", "warning", "agent@ghost.service.d"))
    assert not host.path(lost).exists()
    assert shown(host, unit("ghost"), "ActiveState") == "inactive"


def test_an_install_that_was_killed_is_found(host: Lab) -> None:
    staged = f"{UNITS}/agent@a.service.d/.50-supervise.conf.supervise-new"
    host.write(staged, "half a file")
    repaired(host, found(host, "units", "warning", "was interrupted"))
    assert not host.path(staged).exists()


def test_a_damaged_manifest_is_found(host: Lab) -> None:
    host.run("truncate", "-s", "400", f"{MANIFESTS}/sound.json")
    repaired(host, found(host, "manifests", "error", "sound is damaged"))
    assert json.loads(host.read(f"{MANIFESTS}/sound.json"))["project"] == "sound"


@pytest.mark.parametrize("folder", [MANIFESTS, "/etc/supervise"])
def test_a_closed_folder_of_manifests_is_found(host: Lab, folder: str) -> None:
    host.run("chmod", "0700", folder)
    closed = [
        one for one in findings(host, user="outsider") if one["check"] in ("manifests", "config", "units", "drift")
    ]
    assert {one["check"] for one in closed if "needs root" in one["text"]} == {"manifests", "config", "units", "drift"}
    assert not any(one["severity"] == "ok" for one in closed)
    repaired(host, found(host, "manifests", "error", "cannot see what is installed"))
    assert host.path(folder).stat().st_mode & 0o777 == 0o755


# --- What somebody did beside us --------------------------------------------------------------------------------------


def test_a_masked_agent_is_found(host: Lab) -> None:
    host.run("systemctl", "mask", unit("b"))
    repaired(host, found(host, "drift", "warning", "Masked by hand"))
    assert shown(host, unit("b"), "LoadState") == "loaded"


def test_a_target_that_does_not_start_at_boot_is_found(host: Lab) -> None:
    host.run("systemctl", "disable", "supervise.target")
    repaired(host, found(host, "drift", "warning", "No agent starts at boot"))
    assert host.run("systemctl", "is-enabled", "supervise.target").stdout.strip() == "enabled"


def test_an_agent_that_was_disabled_is_noted(host: Lab) -> None:
    host.run("systemctl", "disable", unit("b"))
    repaired(host, found(host, "drift", "note", "does not start at boot: agent@b.service"))
    assert host.run("systemctl", "is-enabled", unit("b")).stdout.strip() == "enabled"


# --- What the reconciler may do ---------------------------------------------------------------------------------------


def may_restart(lab: Lab) -> bool:
    """Asked of systemd itself, as the reconciler's user."""
    call = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "RestartUnit")
    done = lab.run("runuser", "-u", "supervise", "--", "busctl", "call", *call, "ss", unit("b"), "replace", check=False)
    return done.returncode == 0


def test_a_rule_that_is_gone_is_found(host: Lab) -> None:
    host.run("rm", RULE)
    eventually(lambda: not may_restart(host), "polkit to see that")
    assert found(host, "polkit", "error", "is gone")
    repaired(host, found(host, "polkit", "error", "does not let the reconciler restart"))
    assert may_restart(host)


def test_a_rule_that_allows_too_much_is_found(host: Lab) -> None:
    wide = (
        'polkit.addRule(function (action, subject) { if (subject.user === "supervise") return polkit.Result.YES; });\n'
    )
    host.write("/etc/polkit-1/rules.d/10-wide.rules", wide)
    host.run("systemctl", "restart", "polkit.service")
    finding = found(host, "polkit", "error", "the rights of root")
    host.run("rm", "/etc/polkit-1/rules.d/10-wide.rules")
    host.run("systemctl", "restart", "polkit.service")
    assert finding["command"]


# --- The reconciler ---------------------------------------------------------------------------------------------------


def test_a_reconciler_that_was_stopped_is_found_and_not_started_by_looking(host: Lab) -> None:
    host.run("systemctl", "stop", RECONCILER)
    finding = found(host, "daemon", "error", "does not run (inactive)")
    assert shown(host, RECONCILER, "ActiveState") == "inactive"
    repaired(host, finding)


def test_sockets_that_were_stopped_are_found(host: Lab) -> None:
    host.run("systemctl", "stop", *SOCKETS, RECONCILER)
    assert found(host, "daemon", "error", "does not run")
    repaired(host, found(host, "sockets", "error", "control.sock"))
    assert {facts["ActiveState"] for facts in show(host, SOCKETS, "ActiveState").values()} == {"active"}


def test_a_socket_that_was_removed_is_found(host: Lab) -> None:
    host.run("rm", "/run/supervise/agent.sock")
    repaired(host, found(host, "sockets", "error", "agent.sock"))


def test_a_socket_of_another_mode_is_found(host: Lab) -> None:
    host.run("chmod", "0600", "/run/supervise/control.sock")
    repaired(host, found(host, "sockets", "error", "mode 0600 and not 0666"))


def test_a_reconciler_that_hangs_is_found(host: Lab) -> None:
    host.run("systemctl", "kill", "-s", "STOP", RECONCILER)
    finding = found(host, "daemon", "error", "does not answer")
    repaired(host, finding)


def test_an_interpreter_that_cannot_be_reached_is_found_before_it_is_needed(host: Lab) -> None:
    mode = host.path("/opt").stat().st_mode & 0o777
    host.run("chmod", "0700", "/opt")
    try:
        finding = found(host, "daemon", "error", "cannot start again")
        host.run("systemctl", "kill", "-s", "KILL", RECONCILER)
        eventually(lambda: shown(host, RECONCILER, "ActiveState") != "active", "its failure")
        assert found(host, "daemon", "error", "does not come up")
        host.sh(finding["command"])
        eventually(lambda: answers(host), "the reconciler to answer")
    finally:
        host.run("chmod", f"{mode:o}", "/opt")
        host.run("systemctl", "restart", RECONCILER)


def test_a_reconciler_that_does_not_start_at_boot_is_found(host: Lab) -> None:
    host.run("systemctl", "disable", RECONCILER)
    repaired(host, found(host, "daemon", "warning", "Not started at boot"))


# --- Files that are needed --------------------------------------------------------------------------------------------


def test_a_secret_that_others_can_read_is_found(host: Lab) -> None:
    host.run("chmod", "0644", f"{FOLDER}/key")
    repaired(host, found(host, "programs", "warning", "can be read by others"))
    assert host.path(f"{FOLDER}/key").stat().st_mode & 0o777 == 0o600


def test_a_secret_of_alerts_that_the_reconciler_cannot_read_is_found(host: Lab) -> None:
    host.run("chmod", "0600", "/srv/alerts/url")
    repaired(host, found(host, "alerts", "warning", "are not sent"))
    host.run("runuser", "-u", "supervise", "--", "cat", "/srv/alerts/url")


def test_a_program_that_its_user_cannot_reach_is_found(host: Lab) -> None:
    host.run("chmod", "0700", "/home")
    repaired(host, found(host, "programs", "error", "a, b, nightly: its folder cannot be entered"))
    host.run("chmod", "0755", "/home")


def test_a_store_of_another_owner_is_found(host: Lab) -> None:
    host.run("chown", "root:", "/var/lib/supervise/state.db")
    repaired(host, found(host, "store", "error", "belongs to uid 0"))


def test_a_damaged_store_that_was_put_aside_is_noted(host: Lab) -> None:
    host.write("/var/lib/supervise/state.db.corrupt-20260101T000000", "x")
    repaired(host, found(host, "store", "note", "put aside"))
    assert not host.path("/var/lib/supervise/state.db.corrupt-20260101T000000").exists()


def test_an_account_that_is_gone_is_found(host: Lab) -> None:
    host.run("groupdel", "supervise-operators")
    repaired(host, found(host, "accounts", "error", "group supervise-operators"))
    assert "supervise-operators" in host.run("getent", "group", "supervise-operators").stdout
