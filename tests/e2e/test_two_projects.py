"""Projects share a host and nothing else: what one does touches no file and no process of another or of an operator."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.lab

UNITS, OURS = "/etc/systemd/system", "/etc/supervise"
SHARED = (
    f"{UNITS}/agent@.service",
    f"{UNITS}/supervise.slice",
    f"{UNITS}/supervise.target",
    f"{UNITS}/supervise-wave@.target",
    "/etc/sysusers.d/supervise.conf",
    "/etc/tmpfiles.d/supervise.conf",
)
TARGET_LINK = f"{UNITS}/multi-user.target.wants/supervise.target"

LEFT = """
project: left
agents:
  alpha: {title: Alpha Agent, command: [sleep, "1001"]}
  beta: {command: [sleep, "1002"], auto_start: false}
  nightly: {command: [sleep, "1003"], schedule: daily}
"""
RIGHT = """
project: right
agents:
  gamma: {title: Gamma Agent, command: [sleep, "2001"]}
  delta: {command: [sleep, "2002"]}
"""
UNIQUE = "names and titles are unique on a host"
PROJECTS = {"left": LEFT, "right": RIGHT}


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Iterator[Lab]:
    for name in PROJECTS:
        lab.run("useradd", "--create-home", name)
    yield lab
    for name in PROJECTS:
        lab.supervise("uninstall", "-p", name, "--yes", "--purge", check=False)
        lab.run("userdel", "--remove", "--force", name, check=False)


@pytest.fixture
def host(machine: Lab) -> Lab:
    """`left` and `right` installed and running, each from its own folder, whatever the test before has made of it."""
    for name, text in PROJECTS.items():
        _write(machine, f"/home/{name}/agents.yaml", text)
        machine.supervise("install", "-f", f"/home/{name}/agents.yaml", "--moved")
    machine.sh("systemctl start supervise.target")
    return machine


def _write(lab: Lab, file: str, text: str) -> None:
    owner = Path(file).parts[2]
    lab.write(file, text)
    lab.run("chown", "-R", f"{owner}:", f"/home/{owner}")


def _state(lab: Lab, *agents: str, project: str | None = None) -> dict[str, object]:
    """What another must not touch of a project: its files to the inode, its processes to the PID."""
    found: dict[str, object] = {}
    globs = [f"{UNITS[1:]}/**/*{agent}*{rest}" for agent in agents for rest in ("", "/*")]
    globs += (
        [f"{OURS[1:]}/projects/{project}.json", f"{UNITS[1:]}/supervise.target.d/{project}.conf"] if project else []
    )
    globs += [path[1:] for path in SHARED]
    root = lab.path("/")
    for path in sorted({path for pattern in globs for path in root.glob(pattern)}):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path.relative_to(root))] = (
            status.st_ino,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_mode,
            content,
        )
    for agent in agents:
        shown = lab.sh(
            f"systemctl show -P MainPID -P InvocationID -P UnitFileState -P ActiveState agent@{agent}.service"
        )
        found[agent] = shown
    return found


def _left(lab: Lab) -> dict[str, object]:
    return _state(lab, "alpha", "beta", "nightly", project="left")


# --- Side by side -----------------------------------------------------------------------------------------------------


def test_install_change_and_uninstall_of_one_touch_nothing_of_the_other(host: Lab) -> None:
    before = _left(host)
    assert len(before) > 12
    file = "/home/right/agents.yaml"
    _write(host, file, RIGHT.replace("2001", "2009").replace("delta", "epsilon"))
    host.supervise("install", "-f", file, "--start", "--restart")
    assert _left(host) == before
    host.supervise("restart", "-p", "right", "--all", "--settle", "0s")
    host.supervise("stop", "-p", "right", "--all")
    assert _left(host) == before
    host.supervise("uninstall", "-p", "right", "--yes", "--purge")
    assert _left(host) == before
    assert host.path(f"{OURS}/projects/right.json").exists() is False
    assert [path.name for path in host.path(UNITS).rglob("*") if "gamma" in path.name or "epsilon" in path.name] == []
    host.supervise("plan", "--check", "-f", "/home/left/agents.yaml")


def test_what_all_share_goes_with_the_last_project(host: Lab) -> None:
    host.supervise("uninstall", "-f", "/home/left/agents.yaml", "--yes")
    assert [path for path in SHARED if not host.path(path).exists()] == []
    assert host.path(TARGET_LINK).is_symlink()
    host.supervise("uninstall", "-f", "/home/right/agents.yaml", "--yes")
    assert [path for path in (*SHARED, TARGET_LINK) if host.path(path).exists() or host.path(path).is_symlink()] == []
    assert [path.name for path in host.path(UNITS).rglob("*") if path.name.startswith(("agent@", "supervise"))] == []
    assert host.sh("systemctl list-units --all --no-legend 'agent@*' 'supervise*.target'").strip() == ""


def test_a_broken_unit_of_another_project_is_in_nobody_else_s_way(host: Lab) -> None:
    broken = f"{UNITS}/agent@alpha.service.d/broken.conf"
    host.write(broken, "[Service]\nExecStart=\n")
    assert "Refusing" in host.run("systemd-analyze", "verify", "supervise.target", check=False).stderr
    file = "/home/right/agents.yaml"
    _write(host, file, RIGHT.replace("2001", "2019"))
    host.supervise("install", "-f", file, "--restart")
    assert "2019" in host.sh("systemctl show -P ExecStart agent@gamma.service")
    host.run("rm", broken)
    host.run("systemctl", "daemon-reload")


def test_an_uninstall_ends_what_a_start_would_keep_up(host: Lab) -> None:
    slow = 'trap "sleep 3; exit" TERM; while :; do sleep 0.1; done'
    file = "/home/right/agents.yaml"
    _write(host, file, RIGHT.replace('[sleep, "2001"]', f"[sh, -c, '{slow}']"))
    host.supervise("install", "-f", file, "--start", "--restart")
    host.sh("systemd-run --no-block --on-active=1 systemctl start --no-block agent@gamma.service")
    host.supervise("uninstall", "-p", "right", "--yes")
    assert host.sh("systemctl is-active agent@gamma.service || true").strip() == "inactive"
    assert not host.path(f"{UNITS}/agent@gamma.service.d").exists()


# --- Names ------------------------------------------------------------------------------------------------------------


def test_a_name_or_title_of_another_project_is_an_error_that_names_its_file(host: Lab) -> None:
    before = _left(host)
    taken = """
project: right
agents:
  alpha: {command: [sleep, "1"], title: Another}
  zeta: {command: [sleep, "1"], title: Alpha Agent}
  eta: {command: [sleep, "1"], title: beta}
"""
    _write(host, "/home/right/agents.yaml", taken)
    for verb in ("check", "plan", "install"):
        done = host.supervise(verb, "-f", "/home/right/agents.yaml", check=False)
        assert done.returncode == 7
        where = 'of project "left" (/home/left/agents.yaml)'
        told = [re.sub(r".*agents.yaml:(\d+):\d+: ", r"\1: ", line) for line in done.stderr.splitlines()]
        assert sorted(told[:3]) == [
            f'4: agents.alpha: the name "alpha" is taken by agent "alpha" {where}; {UNIQUE}',
            f'5: agents.zeta.title: the title "Alpha Agent" is taken by agent "alpha" {where}; {UNIQUE}',
            f'6: agents.eta.title: the title "beta" is taken by agent "beta" {where}; {UNIQUE}',
        ]
    assert _left(host) == before
    assert host.sh("systemctl show --value -p ActiveState agent@gamma agent@delta").split() == ["active", "active"]


def test_a_project_s_name_belongs_to_its_first_folder_until_it_is_moved(host: Lab) -> None:
    before = _left(host)
    file = "/home/right/copy/agents.yaml"
    host.sh("mkdir /home/right/copy")
    _write(host, file, LEFT.replace("alpha", "omega").replace("Alpha", "Omega"))
    for verb in ("plan", "install"):
        done = host.supervise(verb, "-f", file, check=False)
        assert done.returncode == 1
        assert "it is installed from /home/left/agents.yaml" in done.stderr
        assert "--moved" in done.stderr
    assert _left(host) == before
    host.supervise("install", "-f", file, "--moved")
    assert json.loads(host.read(f"{OURS}/projects/left.json"))["source"] == file
    assert not host.path(f"{UNITS}/agent@alpha.service.d").exists()
    assert host.supervise("install", "-f", "/home/left/agents.yaml", check=False).returncode == 1
    host.sh("rm -r /home/right/copy")
    host.supervise("install", "-f", "/home/left/agents.yaml")  # nobody else claims it any more


# --- Strangers and edits by hand --------------------------------------------------------------------------------------


def test_a_file_of_somebody_else_at_our_place_is_refused_and_untouched(host: Lab) -> None:
    before = _left(host)
    _write(
        host, "/home/right/third.yaml", "project: third\nagents:\n  zeta: {command: [sleep, '1'], schedule: daily}\n"
    )
    for place in ("agent@zeta.service.d/50-supervise.conf", "agent@zeta.timer", "supervise.target.d/third.conf"):
        path = host.write(f"{UNITS}/{place}", "[Unit]\nDescription=mine\n")
        was = path.stat()
        for verb in ("plan", "install"):
            done = host.supervise(verb, "-f", "/home/right/third.yaml", check=False)
            assert done.returncode == 1
            assert f'cannot write "{UNITS}/{place}": a file is there that is not ours' in done.stderr
        now = path.stat()
        assert (now.st_ino, now.st_mtime_ns) == (was.st_ino, was.st_mtime_ns)
        path.unlink()
    assert not host.path(f"{OURS}/projects/third.json").exists()
    assert _left(host) == before


def test_an_edit_by_hand_is_shown_as_drift_and_install_takes_it_back(host: Lab) -> None:
    drop_in = f"{UNITS}/agent@alpha.service.d/50-supervise.conf"
    original = host.read(drop_in)
    host.write(drop_in, original.replace("Description=Alpha Agent", "Description=Edited"))
    host.run("systemctl", "daemon-reload")
    said = host.supervise("plan", "-f", "/home/left/agents.yaml").stdout
    assert f"~ {drop_in}  (edited by hand; that edit will be lost)" in said
    assert "-Description=Edited" in said
    assert "+Description=Alpha Agent" in said
    planned = json.loads(host.supervise("plan", "--json", "-f", "/home/left/agents.yaml").stdout)
    assert [(one["path"], one["edited_by_hand"]) for one in planned["files"]] == [(drop_in, True)]
    assert "Drift" in host.supervise("status", "alpha", check=False).stdout
    right = _state(host, "gamma", "delta", project="right")
    pid = host.sh("systemctl show -P MainPID agent@alpha")
    host.supervise("install", "-f", "/home/left/agents.yaml")
    assert host.read(drop_in) == original
    assert host.sh("systemctl show -P Description agent@alpha").strip() == "Alpha Agent"
    assert host.sh("systemctl show -P MainPID agent@alpha") == pid
    assert _state(host, "gamma", "delta", project="right") == right


def test_a_drop_in_made_by_hand_is_named_and_left(host: Lab) -> None:
    override = f"{UNITS}/agent@alpha.service.d/override.conf"
    host.write(override, "[Service]\nNice=5\n")
    was = host.path(override).stat()
    assert f'also in force, made by hand: "{override}"' in host.supervise("plan", "-f", "/home/left/agents.yaml").stdout
    _write(host, "/home/left/agents.yaml", LEFT.replace("1001", "1009"))
    host.supervise("install", "-f", "/home/left/agents.yaml")
    host.supervise("uninstall", "-p", "left", "--yes")
    now = host.path(override).stat()
    assert (now.st_ino, now.st_mtime_ns) == (was.st_ino, was.st_mtime_ns)
    assert [path.name for path in host.path(override).parent.iterdir()] == ["override.conf"]
    host.path(override).unlink()


def test_what_an_operator_disabled_enabled_or_masked_stays(host: Lab) -> None:
    host.sh("systemctl disable agent@alpha; systemctl enable agent@beta")
    host.sh("systemctl stop agent@gamma; systemctl mask agent@gamma")
    _write(host, "/home/left/agents.yaml", LEFT.replace("1001", "1009"))
    said = host.supervise("plan", "-f", "/home/left/agents.yaml").stdout
    assert "alpha: disabled by hand (`systemctl disable agent@alpha.service`); left so" in said
    assert "beta: enabled by hand (`systemctl enable agent@beta.service`); left so" in said
    host.supervise("install", "-f", "/home/left/agents.yaml", "--restart")
    assert host.sh("systemctl is-enabled agent@alpha agent@beta || true").split() == ["disabled", "enabled"]
    assert "gamma: masked by hand" in host.supervise("plan", "-f", "/home/right/agents.yaml").stdout
    _write(host, "/home/right/agents.yaml", RIGHT.replace("2001", "2009"))
    host.supervise("install", "-f", "/home/right/agents.yaml", "--start", check=False)
    assert host.sh("systemctl is-enabled agent@gamma || true").strip() == "masked"
    assert host.sh("systemctl show -P ActiveState agent@gamma").strip() == "inactive"
    # written in the file it is decided again
    _write(host, "/home/left/agents.yaml", LEFT.replace('"1001"]', '"1009"], auto_start: false'))
    host.supervise("install", "-f", "/home/left/agents.yaml")
    _write(host, "/home/left/agents.yaml", LEFT.replace("1001", "1009"))
    host.supervise("install", "-f", "/home/left/agents.yaml")
    assert host.sh("systemctl is-enabled agent@alpha").strip() == "enabled"
    host.run("systemctl", "unmask", "agent@gamma")
