"""Whose process is it? Real processes for what can be started here, written ones for the rest."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from supervise.model import AgentSpec, Doubt, Findings, Process, ProcessId, Scope
from supervise.observe import match as module
from supervise.observe.match import SEVERAL, UNSEEN, find
from tests.observe.running import WAITS, Running, eventually, running, spec

PYTHON = sys.executable
OTHER_PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or PYTHON


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Running]:
    """A folder with an agent, and with much that resembles it."""
    folder = tmp_path / "market data"
    for name in ("run_api.py", "RUN_API.py", "other.py", "tool.py", "sub/run_api.py", "scraper/__main__.py"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(WAITS)
    (folder / "scraper/__init__.py").touch()
    (folder / "run_api.log").touch()
    (folder / "link.py").symlink_to("run_api.py")
    (folder / "folder_link").symlink_to(".")
    (folder / "elsewhere").mkdir()
    shutil.copy(folder / "run_api.py", folder / "elsewhere/run_api.py")
    for name, first in {
        "console": f"#!{PYTHON}",
        "by_env": "#!/usr/bin/env -S python3 -u",
        "plain.sh": "#!/bin/sh -e",
    }.items():
        (folder / name).write_text(f"{first}\n{'read line' if name == 'plain.sh' else WAITS}\n")
        (folder / name).chmod(0o755)
    shutil.copy(shutil.which("tail") or "", folder / "feeder")
    with running(folder) as programs:
        yield programs


def copies(programs: Running, agent: AgentSpec) -> tuple[Process, ...]:
    return outside(agent, programs.seen())


def outside(agent: AgentSpec, processes: Iterable[Process]) -> tuple[Process, ...]:
    return find([agent], processes).outside.get(agent.name, ())


def doubted(agent: AgentSpec, processes: Iterable[Process]) -> list[Process]:
    """What may be a copy of it, and nobody can tell."""
    found = find([agent], processes)
    assert not found.outside
    assert {doubt.why for doubt in found.doubts} <= {UNSEEN}
    return [doubt.process for doubt in found.doubts]


def api(programs: Running) -> AgentSpec:
    return spec("api", programs.folder, PYTHON, "run_api.py")


SAME = {
    "as it is written": [PYTHON, "run_api.py"],
    "unbuffered": [PYTHON, "-u", "run_api.py"],
    "options with values": [PYTHON, "-X", "dev", "-W", "ignore", "run_api.py"],
    "values attached": [PYTHON, "-Xdev", "-Wignore", "run_api.py"],
    "combined options": [PYTHON, "-uBW", "ignore", "./run_api.py"],
    "a long option": [PYTHON, "--check-hash-based-pycs", "never", "run_api.py"],
    "after the end of options": [PYTHON, "-s", "--", "run_api.py"],
    "an absolute path": [PYTHON, "{folder}/run_api.py"],
    "a winding path": [PYTHON, "sub/../folder_link/./run_api.py"],
    "a link to the script": [PYTHON, "link.py"],
    "another interpreter": [OTHER_PYTHON, "run_api.py"],
    "through env": ["env", "-u", "LANG", "A=1", PYTHON, "run_api.py"],
    "through env -S": ["env", "-S", "A=1 '{python}' -u", "run_api.py"],
    "through nohup": ["nohup", PYTHON, "run_api.py"],
    "in a session of its own": ["setsid", PYTHON, "run_api.py"],
    "in the background of a shell": ["sh", "-c", "'{python}' run_api.py & wait"],
    "below a shell": ["sh", "-c", "'{python}' run_api.py; true"],
    "in the place of a shell": ["sh", "-c", "exec '{python}' run_api.py"],
    "below a launcher": ["timeout", "60", PYTHON, "run_api.py"],
    "under another name": ["bash", "-c", "exec -a my-agent '{python}' run_api.py"],
    "under a name that looks like a shell's": ["bash", "-c", "exec -a -bash '{python}' run_api.py"],
}


@pytest.mark.parametrize("words", SAME.values(), ids=SAME)
def test_the_same_command_by_hand_is_a_copy_and_nothing_around_it_is(here: Running, words: list[str]) -> None:
    here.start(*(word.format(folder=here.folder, python=PYTHON) for word in words))

    def settled() -> list[Process]:
        """The copies, once `env` and its like have made way for the program."""
        found = list(copies(here, api(here)))
        return found if all(one.executable and one.executable.name.startswith("python") for one in found) else []

    found = eventually(settled)

    assert len(found) == 1


LOOK_ALIKES = {
    "a reader of the script": ["tail", "-f", "run_api.py"],
    "a reader of its log": ["tail", "-f", "run_api.log"],
    "a search for it": ["grep", "run_api.py"],
    "a search in it": ["grep", "-", "run_api.py", "-"],
    "an editor": ["bash", "-c", "exec -a vim tail -f run_api.py"],
    "a test run": [PYTHON, "-m", "pytest", "run_api.py"],
    "a debugger": [PYTHON, "-m", "pdb", "run_api.py"],
    "a profiler": [PYTHON, "-m", "cProfile", "run_api.py"],
    "another script": [PYTHON, "other.py"],
    "a script of another case": [PYTHON, "RUN_API.py"],
    "more arguments": [PYTHON, "run_api.py", "--fast"],
    "an empty argument": [PYTHON, "run_api.py", ""],
    "code": [PYTHON, "-c", WAITS, "run_api.py"],
    "a script from standard input": [PYTHON, "-", "run_api.py"],
    "an argument of another script": [PYTHON, "tool.py", "run_api.py"],
    "a namesake below": [PYTHON, "sub/run_api.py"],
    "the module of the same name": [PYTHON, "-m", "run_api"],
    "an option's value": [PYTHON, "-X", "run_api.py", "other.py"],
    "another program under the interpreter's name": ["bash", "-c", "exec -a python tail -f run_api.py"],
    "a shell that would run it later": ["sh", "-c", "read line; exec python run_api.py"],
    "a shell that reads it": ["sh", "-s", "run_api.py"],
    "an interpreter that waits": [PYTHON, "-i"],
}


@pytest.mark.parametrize("words", LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_what_only_mentions_the_script_is_no_copy(here: Running, words: list[str]) -> None:
    started = here.start(*words)

    eventually(lambda: [one.argv for one in here.seen() if one.executable and one.executable.name != "bash"])

    assert started.pid in {one.id.pid for one in here.seen()}
    assert copies(here, api(here)) == ()


def test_the_same_script_run_from_another_directory_is_no_copy(here: Running) -> None:
    started = here.start(PYTHON, str(here.folder / "run_api.py"), cwd=here.folder / "elsewhere")
    assert started.pid in {one.id.pid for one in here.seen()}
    assert copies(here, api(here)) == ()


def test_a_namesake_in_another_directory_is_no_copy(here: Running) -> None:
    started = here.start(PYTHON, "run_api.py", cwd=here.folder / "elsewhere")
    assert started.pid in {one.id.pid for one in here.seen()}
    assert copies(here, api(here)) == ()


def test_a_working_directory_may_be_a_link(here: Running) -> None:
    agent = spec("api", here.folder / "folder_link", PYTHON, "run_api.py")
    started = here.start(PYTHON, "run_api.py")
    assert [one.id.pid for one in copies(here, agent)] == [started.pid]


def test_a_copy_is_found_after_its_script_was_deleted(here: Running) -> None:
    (here.folder / "run_api.py").write_text(f"open('read', 'w').close()\n{WAITS}")
    started = here.start(PYTHON, "run_api.py")
    assert eventually((here.folder / "read").exists)
    (here.folder / "run_api.py").unlink()
    assert [one.id.pid for one in copies(here, api(here))] == [started.pid]


OTHER_AGENTS = {
    "a module": (["{python}", "-m", "scraper", "--all"], ["{python}", "-um", "scraper", "--all"]),
    "a module, attached": (["{python}", "-mscraper"], ["{python}", "-B", "-m", "scraper"]),
    "code": (["{python}", "-c", WAITS], ["{python}", "-u", "-c", WAITS]),
    "a console script": (["{folder}/console", "x"], ["./console", "x"]),
    "a console script, by its interpreter": (["{folder}/console"], ["{python}", "-u", "console"]),
    "a script that names env": (["{folder}/by_env"], ["{folder}/by_env"]),
    "a shell script": (["{folder}/plain.sh", "a"], ["sh", "plain.sh", "a"]),
    "a shell script, run itself": (["/bin/bash", "plain.sh"], ["./plain.sh"]),
    "a program": (["{folder}/feeder", "-f", "run_api.log"], ["./feeder", "-f", "run_api.log"]),
    "a program under another name": (
        ["{folder}/feeder", "-f", "run_api.log"],
        ["bash", "-c", "exec -a 'feeder: idle' ./feeder -f run_api.log"],
    ),
    "an agent behind env": (["/usr/bin/env", "A=1", "{python}", "run_api.py"], ["{python}", "run_api.py"]),
    "an agent behind nice": (
        ["/usr/bin/nice", "-n", "5", "{python}", "run_api.py"],
        ["nice", "{python}", "run_api.py"],
    ),
    "a program behind env": (["/usr/bin/env", "tail", "-f", "run_api.log"], ["tail", "-f", "run_api.log"]),
}


@pytest.mark.parametrize(("wanted", "by_hand"), OTHER_AGENTS.values(), ids=OTHER_AGENTS)
def test_other_kinds_of_agents_are_found_too(here: Running, wanted: list[str], by_hand: list[str]) -> None:
    filled = [[word.format(folder=here.folder, python=PYTHON) for word in words] for words in (wanted, by_hand)]
    here.start(*filled[1])

    found = eventually(lambda: copies(here, spec("agent", here.folder, *filled[0])))

    assert len(found) == 1


OTHER_LOOK_ALIKES = {
    "another module": (["{python}", "-m", "scraper"], ["{python}", "-m", "scraper.__main__"]),
    "a module's name as a script": (["{python}", "-m", "scraper"], ["{python}", "scraper"]),
    "a console script that is read": (["{folder}/console"], ["tail", "-f", "console"]),
    "a shell script that is read": (["{folder}/plain.sh"], ["tail", "-f", "plain.sh"]),
    "a shell script in words": (["{folder}/plain.sh"], ["sh", "-c", "read line; ./plain.sh"]),
    "the program with other arguments": (["{folder}/feeder", "-f", "run_api.log"], ["./feeder", "-f", "run_api.py"]),
    "another program with these arguments": (["{folder}/feeder", "-f", "run_api.log"], ["tail", "-f", "run_api.log"]),
}


@pytest.mark.parametrize(("wanted", "by_hand"), OTHER_LOOK_ALIKES.values(), ids=OTHER_LOOK_ALIKES)
def test_what_resembles_other_kinds_of_agents_is_no_copy(here: Running, wanted: list[str], by_hand: list[str]) -> None:
    filled = [[word.format(folder=here.folder, python=PYTHON) for word in words] for words in (wanted, by_hand)]
    started = here.start(*filled[1])

    assert started.pid in {one.id.pid for one in here.seen()}
    assert copies(here, spec("agent", here.folder, *filled[0])) == ()


# --- What cannot be started here --------------------------------------------------------------------------------------

SHELL = "/user.slice/user-1000.slice/session-3.scope"
SCRIPT = spec("api", Path("/srv/p"), "/srv/p/.venv/bin/python", "run_api.py")
COPY = Process(
    id=ProcessId(4711, 99),
    parent=1,
    uid=1000,
    argv=("python", "run_api.py"),
    executable=Path("/usr/bin/python3.11"),
    directory=Path("/srv/p"),
    cgroup=SHELL,
    started_at=datetime(2025, 1, 1, tzinfo=UTC),
)
FOREIGN = replace(COPY, uid=1001, executable=None, directory=None)


def test_a_copy_is_found_and_nothing_else() -> None:
    assert find([SCRIPT], []) == Findings()
    assert find([SCRIPT], [COPY]) == Findings(outside={"api": (COPY,)})


AGENT_UNITS = (
    "/supervise.slice/agent@api.service",
    "/supervise.slice/agent@scanner.1.service",
    "/supervise.slice/agent@api.service/worker",
    "/supervise.slice/agent-probe@api.service",
    "/supervise.slice/agent-ready@scanner.1.service",
    "/supervise.slice/agent-run-api.scope",
)
THEIRS = f"/user.slice/user-{os.getuid()}.slice/user@{os.getuid()}.service"


@pytest.mark.parametrize("cgroup", AGENT_UNITS)
def test_a_process_in_any_agent_unit_is_outside_for_nobody(cgroup: str) -> None:
    assert outside(SCRIPT, [replace(COPY, cgroup=cgroup)]) == ()
    assert outside(replace(SCRIPT, scope=Scope.USER), [replace(COPY, cgroup=THEIRS + cgroup)]) == ()


@pytest.mark.parametrize("cgroup", AGENT_UNITS)
def test_a_unit_of_another_manager_holds_no_agent_of_ours_whatever_its_name(cgroup: str) -> None:
    """Users name their own units as they like."""
    theirs, ours = replace(COPY, cgroup=THEIRS + cgroup), replace(COPY, cgroup=cgroup)
    assert find([SCRIPT], [theirs]) == Findings(outside={"api": (theirs,)})
    assert outside(replace(SCRIPT, scope=Scope.USER), [ours]) == (ours,)
    other = replace(COPY, cgroup=f"/user.slice/user-1.slice/user@1.service{cgroup}")
    assert outside(replace(SCRIPT, scope=Scope.USER), [other]) == (other,)


def test_without_agents_no_unit_is_one_of_ours() -> None:
    assert find([], [replace(COPY, cgroup=AGENT_UNITS[0])]) == Findings()


NO_AGENT_UNITS = (
    SHELL,
    "/",
    "",
    "/..",
    "/system.slice/agent@.service",
    "/system.slice/agent@API.service",
    "/system.slice/agent@api.service.d",
    "/system.slice/my-agent@api.service",
    "/system.slice/agent-run-.scope",
    "/system.slice/cron.service",
    "/system.slice/docker.service",
    "/system.slice/docker-cleanup.service",
    "/system.slice/lxc.service",
    "/user.slice/user-1000.slice/user@1000.service/app.slice/app-machine.service",
)


@pytest.mark.parametrize("cgroup", NO_AGENT_UNITS)
def test_a_copy_anywhere_else_is_outside(cgroup: str) -> None:
    assert outside(SCRIPT, [replace(COPY, cgroup=cgroup)]) == (replace(COPY, cgroup=cgroup),)


CONTAINERS = (
    "/docker/0123abcd",
    "/system.slice/docker-0123abcd.scope",
    "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-0123abcd.scope/container",
    "/machine.slice/libpod-0123abcd.scope",
    "/lxc/web/init.scope",
    "/lxc.payload.web/system.slice/x.service",
    "/kubepods/burstable/pod1234/0123abcd",
    "/kubepods.slice/kubepods-pod1.slice/cri-containerd-0123.scope",
    "/crio-0123.scope",
    "/machine.slice/machine-web.scope/system.slice/x.service",
    "/machine.slice/systemd-nspawn@web.service/payload/supervise.slice/agent@api.service",
)


@pytest.mark.parametrize("cgroup", CONTAINERS)
def test_a_process_in_a_container_is_nobodys(cgroup: str) -> None:
    assert find([SCRIPT], [replace(COPY, cgroup=cgroup)]) == Findings()


@pytest.mark.parametrize("process", [replace(COPY, executable=None), replace(COPY, directory=None)])
def test_what_cannot_be_inspected_is_a_doubt_and_never_guessed(process: Process) -> None:
    found = find([SCRIPT], [process])
    assert (found.outside, found.doubts) == ({}, (Doubt(process, ("api",), UNSEEN),))
    assert found.doubtful("api") == found.doubts
    assert found.doubtful("other") == ()


@pytest.mark.parametrize(
    "argv",
    [
        ("python3", "-u", "/srv/p/run_api.py"),
        ("/opt/python/bin/python3.12", "./run_api.py"),
        ("python", "../p/run_api.py"),
    ],
)
def test_a_doubt_may_be_written_in_other_ways(argv: tuple[str, ...]) -> None:
    assert len(doubted(SCRIPT, [replace(FOREIGN, argv=argv)])) == 1


@pytest.mark.parametrize(
    "argv",
    [
        ("python", "/srv/q/run_api.py"),
        ("python", "sub/run_api.py"),
        ("python", "run_api.py", "-v"),
        ("tail", "run_api.py"),
        ("vim", "/srv/p/run_api.py"),
        ("python: run_api.py",),
    ],
)
def test_another_users_process_that_cannot_be_the_agent_is_no_doubt(argv: tuple[str, ...]) -> None:
    assert doubted(SCRIPT, [replace(FOREIGN, argv=argv)]) == []


def test_another_users_program_is_known_by_its_name_or_path() -> None:
    agent = spec("feeder", Path("/srv/p"), "/srv/p/bin/feeder", "-x")
    argvs = [
        ("feeder", "-x"),
        ("bin/feeder", "-x"),
        ("/srv/p/bin/feeder", "-x"),
        ("/srv/q/bin/feeder", "-x"),
        ("reader", "-x"),
    ]
    found = doubted(agent, [replace(FOREIGN, argv=argv) for argv in argvs])
    assert [one.argv for one in found] == argvs[:3]


# --- Several agents with one command ----------------------------------------------------------------------------------

CREW = {f"scanner_{number}": {"PAIR": f"P{number}", "MODE": "live"} for number in range(30)}


@pytest.fixture
def crew(here: Running) -> list[AgentSpec]:
    """Thirty agents that are one script with different settings."""
    return [replace(api(here), name=name, environment=settings) for name, settings in CREW.items()]


def test_thirty_agents_of_one_script_are_told_apart_by_what_they_were_started_with(
    here: Running, crew: list[AgentSpec]
) -> None:
    pids = {name: here.start(PYTHON, "run_api.py", env=settings).pid for name, settings in CREW.items()}
    found = eventually(lambda: len(seen := find(crew, here.seen()).outside) == len(CREW) and seen)
    assert found
    assert {name: [one.id.pid for one in ones] for name, ones in found.items()} == {
        name: [pid] for name, pid in pids.items()
    }


@pytest.mark.parametrize("settings", [{}, {"PAIR": "P3"}, {"PAIR": "P99", "MODE": "live"}], ids=str)
def test_a_copy_that_fits_several_of_them_is_a_doubt_of_all(
    here: Running, crew: list[AgentSpec], settings: dict[str, str]
) -> None:
    started = here.start(PYTHON, "run_api.py", env=settings)
    found = eventually(lambda: (seen := find(crew, here.seen())).doubts and seen)
    assert found
    assert found.outside == {}
    assert found.doubts[0].process.id.pid == started.pid
    assert found.doubts[0].why == SEVERAL
    assert set(found.doubts[0].names) == set(CREW)


def test_the_agent_with_more_settings_wins_and_instances_are_told_by_their_number(here: Running) -> None:
    plain, fast = api(here), replace(api(here), name="fast", environment={"MODE": "fast"})
    second = replace(api(here), name="api.2", base="api", instance=2)
    environments: list[dict[str, str]] = [{}, {"MODE": "fast"}, {"SUPERVISE_INSTANCE": "2"}]
    pids = [here.start(PYTHON, "run_api.py", env=settings).pid for settings in environments]
    found = eventually(lambda: len(seen := find([plain, fast, second], here.seen()).outside) == 3 and seen)
    assert found
    assert [found[name][0].id.pid for name in ("api", "fast", "api.2")] == pids


def test_where_the_settings_cannot_be_read_nobody_can_tell(crew: list[AgentSpec], here: Running) -> None:
    here.start(PYTHON, "run_api.py", env=CREW["scanner_3"])
    found = eventually(lambda: (seen := find(crew, here.seen(), environ=lambda _: None)).doubts and seen)
    assert found
    assert found.outside == {}


def test_a_link_to_a_script_and_the_script_are_one_command_for_both_their_agents(here: Running) -> None:
    agents = [spec("by_link", here.folder, PYTHON, "link.py"), api(here)]
    pids = {here.start(PYTHON, script).pid for script in ("link.py", "run_api.py")}
    found = find(agents, here.seen())
    assert {doubt.process.id.pid for doubt in found.doubts} == pids
    assert {doubt.names for doubt in found.doubts} == {("by_link", "api")}


def test_inside_tells_the_processes_of_each_unit() -> None:
    def member(pid: int, cgroup: str) -> Process:
        return replace(COPY, id=ProcessId(pid, 1), cgroup=cgroup)

    everybody = [
        member(1, "/supervise.slice/agent@api.service"),
        member(2, "/supervise.slice/agent@api.service/worker"),
        member(3, "/supervise.slice/agent@scanner.2.service"),
        member(4, "/supervise.slice/agent-run-api.scope"),
        member(5, SHELL),
    ]

    found = find([SCRIPT], everybody)
    assert {name: [one.id.pid for one in ones] for name, ones in found.inside.items()} == {
        "api": [1, 2],
        "scanner.2": [3],
    }
    assert {name: [one.id.pid for one in ones] for name, ones in found.foreground.items()} == {"api": [4]}


def test_not_every_process_is_compared_with_every_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million comparisons would take seconds, in each look."""
    folders = [tmp_path / f"project{number}" for number in range(50)]
    agents = [spec(f"a{number}", folders[number % 50], PYTHON, f"run_{number}.py") for number in range(500)]
    processes = [
        replace(COPY, id=ProcessId(number, 1), argv=("python", f"run_{number}.py"), directory=folders[number % 50])
        for number in range(2000)
    ]
    compared: list[str] = []

    def comparing(one: module._Wanted, *others: Any) -> bool:
        compared.append(one.name)
        return fits(one, *others)

    fits = module._fits
    monkeypatch.setattr(module, "_fits", comparing)
    found = find(agents, processes).outside

    assert sum(len(ones) for ones in found.values()) == 500
    assert len(compared) == 500
