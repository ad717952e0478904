"""What runs, where, as whom and with which settings."""

from __future__ import annotations

import pytest

from supervise.model import Scope
from tests.e2e.keys.catalogue import MACHINE, OWN, shows
from tests.e2e.keys.fleet import Fleet

pytestmark = pytest.mark.lab


@shows(
    "title",
    agents="""
  titled: {title: '100 % "of" {host}'}
""",
)
def test_a_title_is_what_people_see(fleet: Fleet) -> None:
    title = f'100 % "of" {fleet.lab.name}'
    assert fleet.show("titled", "Description") == title
    assert title in fleet.supervise("status", "titled").stdout
    assert list(fleet.rows(title)) == ["titled"]


@shows(
    "command",
    agents="""
  listed: {command: [/usr/bin/python3, probe.py, "two words", "", "*", "$HOME"]}
  spelt: {command: /usr/bin/python3 probe.py --source "main feed" it''s}
""",
)
def test_a_command_arrives_word_by_word(fleet: Fleet) -> None:
    assert fleet.facts("listed")["argv"][1:] == ["probe.py", "two words", "", "*", "$HOME"]
    assert fleet.facts("spelt")["argv"][1:] == ["probe.py", "--source", "main feed", "its"]


@shows(
    "python",
    agents="""
  of_environment: {python: environment, command: python probe.py}
  of_file: {python: python3, command: python probe.py}
  of_default: {working_directory: with_default, command: python ../probe.py}
""",
)
def test_the_interpreter_is_the_one_that_is_named_or_the_one_beside(fleet: Fleet) -> None:
    assert fleet.facts("of_environment")["prefix"] == f"{fleet.folder}/environment"
    assert fleet.facts("of_default")["prefix"] == f"{fleet.folder}/with_default/.venv"
    assert fleet.facts("of_file")["argv"][0] == f"{fleet.folder}/python3"


@shows(
    "working_directory",
    agents="""
  deep: {working_directory: deeper, command: /usr/bin/python3 ../probe.py}
""",
)
def test_it_runs_in_its_working_directory(fleet: Fleet) -> None:
    assert fleet.facts("deep")["cwd"] == f"{fleet.folder}/deeper"


# --- Settings ---------------------------------------------------------------------------------------------------------


@shows(
    "environment",
    "environment_file",
    "allow_plain",
    "defaults",
    "vars",
    agents="""
  settled:
    environment: {PLAIN: "a 'b' $c %d", FROM_VARS: "${GREETING}", OVER: own, API_KEY: public}
    environment_file: [settings/one.env, settings/two.env]
    allow_plain: [API_KEY]
""",
)
def test_settings_come_from_the_agent_the_defaults_the_vars_and_files(fleet: Fleet) -> None:
    environment = fleet.facts("settled")["environment"]
    wanted = {
        "PLAIN": "a 'b' $c %d",
        "FROM_VARS": "hello from vars",
        "FROM_DEFAULTS": "yes",
        "FROM_FILE": "one",
        "OF_BOTH": "two",
        "API_KEY": "public",
    }
    assert {name: environment.get(name) for name in wanted} == wanted


@shows(
    "secrets",
    agents="""
  trusted: {secrets: {TOKEN: "file:secrets/token"}}
""",
)
def test_a_secret_is_a_file_that_only_the_agent_can_read(fleet: Fleet) -> None:
    facts = fleet.facts("trusted")
    mode, content, path = facts["credentials"]["TOKEN"]
    assert (mode, content) == ("0o400", "open sesame")
    assert "open sesame" not in str(facts["environment"])
    assert fleet.lab.run("setpriv", "--reuid=65534", "--clear-groups", "cat", path, check=False).returncode != 0


@shows(
    "secrets",
    scopes=MACHINE,
    agents="""
  sealed: {secrets: {SEALED: "encrypted:secrets/sealed"}}
""",
)
def test_an_encrypted_secret_is_opened_for_the_agent_alone(fleet: Fleet) -> None:
    mode, content, _ = fleet.facts("sealed")["credentials"]["SEALED"]
    assert (mode, content) == ("0o400", "sealed sesame")
    assert "sealed sesame" not in fleet.lab.read(f"{fleet.folder}/secrets/sealed")


# --- Who --------------------------------------------------------------------------------------------------------------


@shows(
    "user",
    "group",
    scopes=MACHINE,
    agents="""
  of_owner: {}
  of_other: {user: other}
  of_root: {user: root}
  of_crew: {group: crew}
""",
)
def test_it_runs_as_the_owner_of_its_folder_or_as_who_is_named(fleet: Fleet) -> None:
    ids = {name: int(fleet.lab.run("id", "-u", name).stdout) for name in ("keeper", "other", "root")}
    assert fleet.facts("of_owner")["uid"] == ids["keeper"]
    assert fleet.facts("of_other")["uid"] == ids["other"]
    assert fleet.facts("of_root")["uid"] == ids["root"]
    crew = int(fleet.lab.run("getent", "group", "crew").stdout.split(":")[2])
    assert (fleet.facts("of_crew")["uid"], fleet.facts("of_crew")["gid"]) == (ids["keeper"], crew)


@shows("user", scopes=MACHINE)
def test_root_must_be_agreed_to(fleet: Fleet) -> None:
    done = fleet.supervise("install", "-f", f"{fleet.folder}/agents.yaml", check=False)
    assert done.returncode == 2
    assert "of_root" in done.stderr


@shows(
    "dynamic_user",
    scopes=MACHINE,
    agents="""
  nobodys: {dynamic_user: true, writable_paths: [/run/said]}
""",
)
def test_a_dynamic_user_exists_only_while_the_agent_runs(fleet: Fleet) -> None:
    uid = fleet.facts("nobodys")["uid"]
    assert 61184 <= uid <= 65519
    assert fleet.lab.run("getent", "passwd", str(uid), check=False).returncode == 0
    fleet.supervise("stop", "nobodys")
    assert fleet.lab.run("getent", "passwd", str(uid), check=False).returncode != 0


@shows("user", "group", "dynamic_user", scopes=OWN)
@pytest.mark.parametrize("line", ["user: root", "group: users", "dynamic_user: true"])
def test_with_user_an_agent_is_nobody_but_oneself(fleet: Fleet, line: str) -> None:
    fleet.write("refused/agents.yaml", fleet.file(f"  refused:\n    working_directory: ..\n    {line}", "refused"))
    done = fleet.supervise("install", "-f", f"{fleet.folder}/refused/agents.yaml", check=False)
    assert done.returncode == 7
    assert f"agents.refused.{line.partition(':')[0]}: " in done.stderr
    assert not fleet.installed("refused")


@shows(
    "user",
    scopes=OWN,
    agents="""
  of_self: {user: ada}
""",
)
def test_with_user_an_agent_is_oneself(fleet: Fleet) -> None:
    assert fleet.facts("of_self")["uid"] == fleet.uid
    assert fleet.scope is Scope.USER
