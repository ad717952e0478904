"""From a file to complete specs, fitted to a host: paths, people, places, numbers, order; and all that does not fit."""

from __future__ import annotations

import os
import pwd
from datetime import timedelta
from pathlib import Path

import pytest

from supervise.desired import Desired, desired, in_waves, placed_here
from supervise.errors import ConfigError
from supervise.fitting import Host, absolute
from supervise.model import AgentSpec, Dependency, Probe, ProbeKind, Schedule, Scope, Secret
from tests.config.loading import loaded
from tests.nouns import spec

ME = pwd.getpwuid(os.getuid()).pw_name
SYSTEM = Host(Scope.SYSTEM, "alpha", ("feed", "gpu"))
OWN = Host(Scope.USER, "alpha", (), ME)
SYSTEM_TOP = f"project: p\ndefaults: {{user: '{ME}', command: [/bin/sh, run.sh]}}\nagents:\n"
OWN_TOP = "project: p\ndefaults: {command: [/bin/sh, run.sh]}\nagents:\n"


def fitted(folder: Path, agents: str, host: Host = SYSTEM) -> Desired:
    """These lines of `agents:` on a host; in system scope they run as whoever runs the tests."""
    top = SYSTEM_TOP if host.scope is Scope.SYSTEM else OWN_TOP
    return desired(loaded(folder, top + agents), host)


def specs(folder: Path, agents: str, host: Host = SYSTEM) -> dict[str, AgentSpec]:
    return {one.name: one for one in fitted(folder, agents, host).specs}


def only(folder: Path, agents: str, host: Host = SYSTEM) -> AgentSpec:
    (found,) = fitted(folder, agents, host).specs
    return found


def mistakes(folder: Path, agents: str, host: Host = SYSTEM) -> list[str]:
    """What does not fit, as `agents.yaml:4:5: key: sentence`."""
    with pytest.raises(ConfigError) as error:
        fitted(folder, agents, host)
    return [str(problem).removeprefix(f"{folder}/") for problem in error.value.problems]


def warnings(folder: Path, agents: str, host: Host = SYSTEM) -> list[str]:
    return [str(problem).removeprefix(f"{folder}/") for problem in fitted(folder, agents, host).warnings]


# --- One agent --------------------------------------------------------------------------------------------------------


def test_an_agent_of_which_nothing_is_written_is_complete(tmp_path: Path) -> None:
    found = only(tmp_path, "  a: {}")
    assert found == AgentSpec(
        name="a",
        base="a",
        title="a",
        project="p",
        scope=Scope.SYSTEM,
        command=("/bin/sh", "run.sh"),
        working_directory=tmp_path,
        user=ME,
        needed_paths=(tmp_path,),
    )


def test_paths_start_at_the_file_and_those_to_write_at_the_working_directory(tmp_path: Path) -> None:
    project, beside = tmp_path / "project", tmp_path / "beside"
    project.mkdir()
    (beside / "data").mkdir(parents=True)
    for name in ("settings.env", "token", "sealed"):
        (project / name).write_text("")
        (project / name).chmod(0o600)
    found = only(
        project,
        "  a:\n"
        "    working_directory: ../beside\n"
        "    environment_file: settings.env\n"
        "    writable_paths: [data, /srv, ..]\n"
        "    secrets: {T: 'file:token', S: 'encrypted:sealed'}\n",
    )
    assert found.working_directory == beside
    assert found.environment_files == (project / "settings.env",)
    assert found.writable_paths == (beside / "data", Path("/srv"), tmp_path)
    assert found.secrets == (Secret("T", project / "token"), Secret("S", project / "sealed", encrypted=True))


def test_a_link_stays_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "releases").mkdir()
    (tmp_path / "current").symlink_to(tmp_path / "releases")
    assert only(tmp_path, "  a: {working_directory: x/../current}").working_directory == tmp_path / "current"


def test_a_path_that_is_to_be_written_must_be_there(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "  a: {writable_paths: [., data]}") == [
        f'agents.yaml:4:27: agents.a.writable_paths.1: "{tmp_path}/data" does not exist; make it first'
    ]


@pytest.mark.parametrize(
    ("text", "path"), [("x/../y", "/srv/y"), ("../x", "/x"), ("/x/./y", "/x/y"), (".", "/srv"), ("~/x", "/srv/~/x")]
)
def test_paths_are_joined_by_name_only(text: str, path: str) -> None:
    assert absolute(Path("/srv"), text) == Path(path)


def test_what_comes_before_is_resolved_like_the_command(tmp_path: Path) -> None:
    (tmp_path / "prepare").write_text("#!/bin/sh\n")
    (tmp_path / "prepare").chmod(0o755)
    assert only(tmp_path, "  a: {before_start: ./prepare now}").before_start == (f"{tmp_path}/prepare", "now")
    assert mistakes(tmp_path, "  a: {before_start: ./nowhere}") == [
        f'agents.yaml:4:21: agents.a.before_start: there is no program "{tmp_path}/nowhere"'
    ]


def test_the_paths_of_probes_are_joined_to_the_url(tmp_path: Path) -> None:
    found = only(
        tmp_path,
        "  a:\n"
        "    url: http://localhost:8000/base/\n"
        "    probes: {live: {http: /health, timeout: 1s}, ready: {tcp: 'localhost:8000'}}\n",
    )
    assert found.live
    assert found.ready
    assert (found.live.kind, found.live.target) == (ProbeKind.HTTP, ("http://localhost:8000/base/health",))
    assert found.live.timeout == timedelta(seconds=1)
    assert (found.ready.kind, found.ready.target) == (ProbeKind.TCP, ("localhost:8000",))


def test_the_command_of_a_probe_is_resolved_like_the_agents_own(tmp_path: Path) -> None:
    (tmp_path / "check").write_text("#!/bin/sh\n")
    (tmp_path / "check").chmod(0o755)
    found = only(tmp_path, "  a: {probes: {live: {command: ./check now, failures: 5}}}").live
    assert found == Probe(ProbeKind.COMMAND, (f"{tmp_path}/check", "now"), failures=5, needed_paths=(tmp_path,))
    assert mistakes(tmp_path, "  a: {probes: {ready: {command: ./nowhere}}}") == [
        f'agents.yaml:4:33: agents.a.probes.ready.command: there is no program "{tmp_path}/nowhere"'
    ]


def test_a_probe_that_its_user_cannot_execute_is_refused_and_so_is_one_that_others_may_change(tmp_path: Path) -> None:
    (tmp_path / "check").write_text("#!/bin/sh\n")
    key = "agents.yaml:4:32: agents.a.probes.live.command"
    agents = "  a: {probes: {live: {command: ./check}}}"
    assert mistakes(tmp_path, agents) == [
        f'{key}: cannot execute "{tmp_path}/check": {ME} may not execute "{tmp_path}/check"'
    ]
    (tmp_path / "check").chmod(0o777)
    (found,) = mistakes(tmp_path, agents)
    assert found.startswith(f'{key}: "{tmp_path}/check" could be replaced by others than {ME} and root')


def test_a_shell_that_stays_in_between_is_warned_about(tmp_path: Path) -> None:
    (found,) = warnings(tmp_path, "  a: {command: [/bin/sh, -c, 'x; y']}")
    assert found.startswith("agents.yaml:4:16: agents.a.command: a shell is the main process")


# --- Where it belongs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "here"),
    [
        (None, True),
        (["alpha"], True),
        (["beta", "al*"], True),
        (["beta"], False),
        (["Alpha"], False),
        (["alph"], False),
        (["tag:feed"], True),
        (["tag:fee*"], False),
        (["tag:none"], False),
        (["feed"], False),
        (["[ab]lpha"], True),
    ],
)
def test_hosts_are_names_globs_and_tags(hosts: list[str] | None, here: bool) -> None:
    assert placed_here(hosts, SYSTEM) is here


def test_what_is_disabled_or_belongs_elsewhere_is_not_even_looked_at(tmp_path: Path) -> None:
    agents = (
        "  here: {}\n"
        "  off: {enabled: false, working_directory: nowhere}\n"
        "  elsewhere: {hosts: [beta], command: [./nowhere], user: no_such_user}\n"
    )
    assert list(specs(tmp_path, agents)) == ["here"]


def test_nothing_waits_for_what_is_not_here_and_nothing_requires_it(tmp_path: Path) -> None:
    gone = "  gone: {hosts: [beta]}\n"
    text = '"gone" is not installed on this host (`enabled`, `hosts`)'
    assert only(tmp_path, gone + "  a: {depends_on: [gone]}").depends_on == ()
    assert warnings(tmp_path, gone + "  a: {depends_on: [gone]}") == [
        f"agents.yaml:5:19: agents.a.depends_on: {text}, so nothing waits for it"
    ]
    assert mistakes(tmp_path, gone + "  a: {depends_on: [{gone: required}]}") == [
        f"agents.yaml:5:19: agents.a.depends_on: {text}"
    ]


# --- How many ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "titles"),
    [
        ("", {"crowd": "crowd"}),
        ("title: 'The Crowd of {host}'", {"crowd": "The Crowd of alpha"}),
        ("instances: 1", {"crowd.1": "crowd #1"}),
        ("instances: 2", {"crowd.1": "crowd #1", "crowd.2": "crowd #2"}),
        ("instances: 2, title: '{instance} of the Crowd'", {"crowd.1": "1 of the Crowd", "crowd.2": "2 of the Crowd"}),
    ],
)
def test_instances_are_numbered_as_soon_as_they_are_written(tmp_path: Path, keys: str, titles: dict[str, str]) -> None:
    found = specs(tmp_path, f"  crowd: {{{keys}}}")
    assert {name: one.title for name, one in found.items()} == titles
    assert {one.base for one in found.values()} == {"crowd"}


def test_two_titles_may_not_become_the_same(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "  a: {title: 'One of {host}'}\n  b: {title: One of alpha}\n") == [
        'agents.yaml:5:14: agents.b.title: the title "One of alpha" is that of "a" too'
    ]


def test_who_depends_on_many_waits_for_each_of_them(tmp_path: Path) -> None:
    agents = "  crowd: {instances: 2}\n  a: {depends_on: [{crowd: required}, postgresql.service]}\n"
    assert specs(tmp_path, agents)["a"].depends_on == (
        Dependency("agent@crowd.1.service", required=True),
        Dependency("agent@crowd.2.service", required=True),
        Dependency("postgresql.service"),
    )


def test_specs_come_by_name_and_number(tmp_path: Path) -> None:
    assert list(specs(tmp_path, "  b: {}\n  a: {instances: 11}\n"))[8:] == ["a.9", "a.10", "a.11", "b"]


# --- Waves ------------------------------------------------------------------------------------------------------------


def needing(name: str, *others: str, **changes: object) -> AgentSpec:
    return spec(name, depends_on=tuple(Dependency(f"agent@{one}.service") for one in others), **changes)


def test_a_few_agents_start_in_one_wave() -> None:
    assert {(one.wave, one.waves) for one in in_waves([spec(f"a{number}") for number in range(50)])} == {(0, 1)}


def test_many_start_in_waves_with_what_others_need_first() -> None:
    leaves = [needing(f"a{number:03}", "middle") for number in range(98)]
    waves = in_waves([*leaves, needing("middle", "zzz"), spec("zzz"), spec("zzy")])
    found = {one.name: one.wave for one in waves}
    assert {one.waves for one in waves} == {3}
    assert [found[name] for name in ("zzz", "zzy", "middle", "a000", "a097")] == [0, 0, 0, 0, 2]
    assert max(list(found.values()).count(wave) for wave in range(3)) == 50


def test_jobs_and_what_does_not_boot_are_in_no_wave() -> None:
    many = [spec(f"a{number}") for number in range(51)]
    by_hand = spec("by_hand", auto_start=False)
    job = spec("job", schedule=Schedule(("daily UTC",)))
    found = {one.name: (one.wave, one.waves) for one in in_waves([*many, by_hand, job])}
    assert found["by_hand"] == found["job"] == (0, 1)


def test_a_dependency_outside_of_the_project_is_no_agent_of_it() -> None:
    (found,) = in_waves([needing("a", "of_another_project")])
    assert (found.wave, found.waves) == (0, 1)


# --- As whom ----------------------------------------------------------------------------------------------------------


def test_users_and_groups_that_do_not_exist_are_named(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "  a: {user: no_such_user}\n  b: {group: no_such_group}\n") == [
        'agents.yaml:4:13: agents.a.user: there is no user "no_such_user" on this host',
        'agents.yaml:5:14: agents.b.group: there is no group "no_such_group" on this host',
    ]


def test_root_must_be_written(tmp_path: Path) -> None:
    config = loaded(tmp_path, "agents:\n  a: {command: [/bin/sh], working_directory: /}\n")
    with pytest.raises(ConfigError, match=r'agents\.a\.user: "/" belongs to root, and an agent runs as root only if'):
        desired(config, SYSTEM)
    config = loaded(tmp_path, "agents:\n  a: {command: [/bin/sh], working_directory: /, user: root}\n")
    assert desired(config, SYSTEM).specs[0].user == "root"


def test_the_owner_of_the_folder_is_who_it_runs_as(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    if os.getuid() == 0:
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    config = loaded(tmp_path, "agents:\n  a: {command: [/bin/sh], working_directory: own}\n")
    assert desired(config, SYSTEM).specs[0].user == ("nobody" if os.getuid() == 0 else ME)


def test_a_user_who_may_not_enter_is_told_where(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "closed/run").write_text("#!/bin/sh\n")
    (tmp_path / "closed/run").chmod(0o755)
    (found,) = mistakes(tmp_path, "  a: {user: nobody, command: [closed/run]}")
    assert found.startswith(
        f'agents.yaml:4:30: agents.a.command: cannot execute "{tmp_path}/closed/run": nobody may not enter folder "/'
    )


def test_a_program_that_others_may_change_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("#!/bin/sh\n")
    (tmp_path / "run").chmod(0o757)
    (found,) = mistakes(tmp_path, "  a: {command: [./run]}")
    assert found.endswith(f'could be replaced by others than {ME} and root: "{tmp_path}/run" may be written by anybody')


def test_with_user_an_agent_is_nobody_but_oneself(tmp_path: Path) -> None:
    found = only(tmp_path, f"  a: {{user: '{ME}'}}", OWN)
    assert (found.user, found.group, found.scope) == (None, None, Scope.USER)
    told = mistakes(tmp_path, "  a: {user: daemon}\n  b: {group: daemon}\n  c: {dynamic_user: true}\n", OWN)
    assert [one.split(": ")[0:2] for one in told] == [
        ["agents.yaml:4:13", "agents.a.user"],
        ["agents.yaml:5:14", "agents.b.group"],
        ["agents.yaml:6:21", "agents.c.dynamic_user"],
    ]


def test_what_a_users_own_manager_cannot_do_is_said(tmp_path: Path) -> None:
    (tmp_path / "sealed").write_text("")
    assert mistakes(tmp_path, "  a: {secrets: {S: 'encrypted:sealed'}}", OWN) == [
        "agents.yaml:4:20: agents.a.secrets.S: encrypted secrets work in system scope only; use `file:`"
    ]
    assert warnings(tmp_path, "  a: {logs: {rate_limit: 20/1h}}", OWN) == [
        "agents.yaml:4:26: agents.a.logs.rate_limit: has no effect with --user: journald's own limit stays"
    ]
    assert warnings(tmp_path, "  a: {logs: {rate_limit: 20/1h}}") == []


# --- Files ------------------------------------------------------------------------------------------------------------


def test_a_secret_that_others_can_read_is_warned_about(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("")
    for mode, said in ((0o600, 0), (0o640, 1), (0o604, 1)):
        (tmp_path / "token").chmod(mode)
        assert len(warnings(tmp_path, "  a: {secrets: {T: 'file:token'}}")) == said


# --- Jobs -------------------------------------------------------------------------------------------------------------


def test_a_schedule_is_in_utc_and_its_next_runs_are_known(tmp_path: Path) -> None:
    found = fitted(tmp_path, "  a: {schedule: ['*-*-* 06:00', '18:00 Europe/Warsaw'], deadline: 1h, catch_up: true}")
    schedule = found.specs[0].schedule
    assert schedule == Schedule(("*-*-* 06:00 UTC", "18:00 Europe/Warsaw"), timedelta(hours=1), catch_up=True)
    assert len(found.previews["a"]) == 3
    assert all(run.endswith(" UTC") for run in found.previews["a"])


def test_the_next_runs_of_several_calendars_are_in_order(tmp_path: Path) -> None:
    found = fitted(tmp_path, "  a: {schedule: ['2040-06-01 06:00', '2040-05-02 06:00', '2040-05-03 06:00']}")
    assert [run.split()[1] for run in found.previews["a"]] == ["2040-05-02", "2040-05-03", "2040-06-01"]


def test_a_calendar_that_systemd_does_not_take_is_refused(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, "  a: {schedule: whenever}")
    assert found.startswith("agents.yaml:4:17: agents.a.schedule: systemd does not understand")


# --- All at once ------------------------------------------------------------------------------------------------------


def test_everything_that_does_not_fit_is_said_at_once_with_its_place(tmp_path: Path) -> None:
    agents = (
        "  a:\n"
        "    working_directory: nowhere\n"
        "    environment_file: [one.env, two.env]\n"
        "    secrets: {T: 'file:token'}\n"
        "  b:\n"
        "    command: [no_such_program]\n"
        "    python: nowhere/bin/python\n"
        "  c:\n"
        "    command: [no_such_program]\n"
        "    user: no_such_user\n"
        "    schedule: whenever\n"
    )
    assert [one.split(": ")[0:2] for one in mistakes(tmp_path, agents)] == [
        ["agents.yaml:5:24", "agents.a.working_directory"],
        ["agents.yaml:6:24", "agents.a.environment_file.0"],
        ["agents.yaml:6:33", "agents.a.environment_file.1"],
        ["agents.yaml:7:18", "agents.a.secrets.T"],
        ["agents.yaml:10:13", "agents.b.python"],
        ["agents.yaml:13:11", "agents.c.user"],
        ["agents.yaml:12:14", "agents.c.command"],
        ["agents.yaml:14:15", "agents.c.schedule"],
    ]
