"""What `init` proposes for folders and running programs, and that its file says exactly what was proposed."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from supervise.config import load
from supervise.model import Process, ProcessId
from supervise.proposals import Proposal, agents_yaml, from_folder, from_processes

GUARD = 'if __name__ == "__main__":\n    raise SystemExit("a proposal was run")\n'
NAME = re.compile(r"[a-z][a-z0-9_]{0,50}")


def lay(folder: Path, **files: str) -> Path:
    """The files, `__` in their names for a slash, `_py` for the ending."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def commands(folder: Path) -> dict[str, tuple[str, ...]]:
    return {one.name: one.command for one in from_folder(folder)}


# --- Folders ----------------------------------------------------------------------------------------------------------


def test_scripts_that_are_meant_to_be_run_are_proposed(tmp_path: Path) -> None:
    files = {
        "scanner.py": GUARD,
        "late.py": "import os\n\nif '__main__' == __name__:\n    pass\n",
        "run_api.py": "",
        "news_agent.py": "",
        "price_bot.py": "",
        "library.py": "x = 1",
        "talks.py": "text = '''\nif __name__ == \"__main__\":\n'''",
        "inner.py": "def f():\n    if __name__ == '__main__':\n        pass\n",
        "other.py": "if __name__ == '__mp_main__':\n    pass\n",
    }
    assert commands(lay(tmp_path, **files)) == {
        name: ("python", f"{name}.py") for name in ("scanner", "late", "run_api", "news_agent", "price_bot")
    }


def test_tests_tools_and_hidden_things_are_not_proposed(tmp_path: Path) -> None:
    names = [
        "setup.py", "conftest.py", "test_x.py", "x_test.py", "manage.py", ".hidden.py", "notes.txt",
        "tests/run_x.py", ".venv/run_x.py", ".git/run_x.py", "build/run_x.py", "venv/run_x.py", "a/b/run_x.py",
    ]  # fmt: skip
    lay(tmp_path, **{name: GUARD for name in names}, **{"own/pyvenv.cfg": "", "own/run_x.py": GUARD})
    (tmp_path / "linked").symlink_to(lay(tmp_path.parent / "elsewhere", **{"run_x.py": GUARD}))
    assert commands(tmp_path) == {}


def test_a_script_whose_name_says_nothing_is_named_after_its_folder(tmp_path: Path) -> None:
    folder = lay(tmp_path / "Market-Data Agent", **{"main.py": GUARD})
    (found,) = from_folder(folder)
    assert (found.name, found.title) == ("market_data_agent", "Market Data Agent")


def test_a_folder_below_with_a_project_of_its_own_runs_there(tmp_path: Path) -> None:
    lay(tmp_path, **{"news/main.py": GUARD, "news/requirements.txt": "", "scripts/feed.py": GUARD})
    assert {(one.name, one.working_directory, one.command) for one in from_folder(tmp_path)} == {
        ("news", tmp_path / "news", ("python", "main.py")),
        ("feed", tmp_path, ("python", "scripts/feed.py")),
    }


def test_scripts_below_run_in_their_own_folder_unless_the_project_is_one(tmp_path: Path) -> None:
    lay(tmp_path, **{"sma/sma.py": GUARD, "news/scraper/__init__.py": "", "news/scraper/__main__.py": GUARD})
    below = {
        ("sma", tmp_path / "sma", ("python", "sma.py")),
        ("scraper", tmp_path / "news", ("python", "-m", "scraper")),
    }
    assert {(one.name, one.working_directory, one.command) for one in from_folder(tmp_path)} == below
    lay(tmp_path, **{"pyproject.toml": ""})
    assert commands(tmp_path)["sma"] == ("python", "sma/sma.py")


def test_packages_are_run_as_modules(tmp_path: Path) -> None:
    lay(
        tmp_path,
        **{
            "scraper/__init__.py": "",
            "scraper/__main__.py": GUARD,
            "scraper/tool.py": GUARD,
            "bad-name/__init__.py": "",
        },
    )
    assert commands(tmp_path) == {
        "scraper": ("python", "-m", "scraper"),
        "tool": ("python", "-m", "scraper.tool"),
    }


def test_console_scripts_are_proposed_where_they_are_installed(tmp_path: Path) -> None:
    project = '[project.scripts]\nscraper = "s:main"\nmissing = "s:main"\n"../x" = "s:main"\n'
    lay(tmp_path, **{"pyproject.toml": project, ".venv/bin/scraper": "#!python", ".venv/x": ""})
    assert commands(tmp_path) == {"scraper": (".venv/bin/scraper",)}


def test_a_procfile_is_read_and_comes_first(tmp_path: Path) -> None:
    lines = [
        "# a comment",
        "web: python main.py --port 8000",
        'feed: python feed.py --source "main feed"',
        "job: PYTHONPATH=src python job.py",
        "shell: python x.py > log 2>&1",
        "broken: python 'x",
        "nonsense",
    ]
    lay(tmp_path, Procfile="\n".join(lines), **{"main.py": GUARD})
    found = commands(tmp_path)
    assert list(found)[:5] == ["web", "feed", "job", "shell", "broken"]
    assert found["feed"] == ("python", "feed.py", "--source", "main feed")
    assert found["job"] == ("env", "PYTHONPATH=src", "python", "job.py")
    assert found["shell"] == ("sh", "-c", "exec python x.py > log 2>&1")


def test_what_a_procfile_names_is_not_proposed_again(tmp_path: Path) -> None:
    lay(tmp_path, Procfile="web: python main.py", **{"main.py": GUARD})
    assert commands(tmp_path) == {"web": ("python", "main.py")}


def test_names_are_unique(tmp_path: Path) -> None:
    lay(tmp_path, **{f"{folder}/feed.py": GUARD for folder in ("a", "b", "c")})
    found = from_folder(tmp_path)
    assert [(one.name, one.title) for one in found] == [("feed", "Feed"), ("feed_2", "Feed 2"), ("feed_3", "Feed 3")]


@pytest.mark.parametrize(
    "source",
    [
        "(" * 200_000 + "__main__",
        "-" * 500_000 + "1 #__main__",
        "x" + ".a" * 200_000 + " # __main__",
        "if __name__ == '__main__\n",
        "__main__ \0",
        "'\\d' # __main__",
        "#" * (1 << 20) + "\n" + GUARD,
    ],
    ids=["parentheses", "signs", "attributes", "syntax", "nul", "escape", "large"],
)
def test_a_hostile_source_proposes_nothing_and_harms_nothing(tmp_path: Path, source: str) -> None:
    assert commands(lay(tmp_path, **{"x.py": source})) == {}


def test_pipes_folders_and_bad_names_are_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "main.py")
    (tmp_path / "run_x.py").mkdir()
    (tmp_path / "Procfile").mkdir()
    (tmp_path / "gone_agent.py").symlink_to("nowhere")
    (tmp_path / "pyproject.toml").write_bytes(b"[project]\nscripts = 3\n\xff")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff_bot.py"))).write_text(GUARD)
    assert commands(tmp_path) == {}
    assert commands(tmp_path / "nowhere") == {}


# --- Running programs -------------------------------------------------------------------------------------------------

RUNNING = Process(
    id=ProcessId(4711, 99),
    parent=1,
    uid=1000,
    argv=("python", "run_api.py", "--port", "8000"),
    executable=Path("/usr/bin/python3.11"),
    directory=Path("/srv/p"),
    cgroup="/user.slice/user-1000.slice/session-3.scope",
    started_at=datetime(2025, 1, 1, tzinfo=UTC),
)


def proposed(*argv: str, **changes: object) -> list[tuple[str, ...]]:
    process = replace(RUNNING, argv=argv or RUNNING.argv, **changes)  # type: ignore[arg-type]
    return [one.command for one in from_processes([process], uid=1000)]


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (("python", "run_api.py"), ("/usr/bin/python3.11", "run_api.py")),
        (("/opt/py/bin/python3", "run_api.py", "-x"), ("/opt/py/bin/python3", "run_api.py", "-x")),
        ((".venv/bin/python3", "/srv/p/run_api.py"), ("python", "run_api.py")),
        (("/srv/p/.venv/bin/python", "-X", "dev", "a/b.py"), ("python", "-X", "dev", "a/b.py")),
        (("/srv/p/env/bin/python", "x.py"), ("env/bin/python", "x.py")),
        (("python", "../q/x.py"), ("/usr/bin/python3.11", "/srv/q/x.py")),
        (("python", "-um", "scraper", "a"), ("/usr/bin/python3.11", "-um", "scraper", "a")),
        (("python", "-m", "http.server"), ("/usr/bin/python3.11", "-m", "http.server")),
        (("python", "/usr/local/lib/feed/run.py"), ("/usr/bin/python3.11", "/usr/local/lib/feed/run.py")),
    ],
)
def test_python_programs_started_by_hand_are_proposed(argv: tuple[str, ...], command: tuple[str, ...]) -> None:
    assert proposed(*argv) == [command]


def test_a_console_script_is_proposed_as_itself(tmp_path: Path) -> None:
    lay(tmp_path, **{".venv/pyvenv.cfg": "", ".venv/bin/scraper": ""})
    script = f"{tmp_path}/.venv/bin/scraper"
    assert proposed(f"{tmp_path}/.venv/bin/python", script, "x", directory=tmp_path) == [(".venv/bin/scraper", "x")]


@pytest.mark.parametrize(
    "argv",
    [
        ("python",),
        ("python", "-i"),
        ("python", "-"),
        ("python", "-c", "from multiprocessing.spawn import spawn_main; spawn_main()"),
        ("python", "-m", "pip", "install", "x"),
        ("python", "-m", "pytest"),
        ("python", "-m", "pdb", "run_api.py"),
        ("python", "-m", "debugpy", "--listen", "1", "x.py"),
        ("python", "-m", "debugpy.adapter"),
        ("python", "-m", "ipykernel_launcher", "-f", "x"),
        ("python", "-m", "supervise", "init"),
        ("python", "/srv/p/.venv/bin/supervise", "init"),
        ("python", "/srv/p/.venv/bin/pytest", "-x"),
        ("python", "/srv/p/.venv/bin/jupyter-lab"),
        ("python", "/home/u/.local/bin/ipython"),
        ("python", "/home/u/.vscode/extensions/x/lsp_server.py"),
        ("python", "/srv/p/.venv/lib/python3.11/site-packages/pylsp/x.py"),
        ("python3", "/usr/bin/unattended-upgrade"),
        ("python3", "/usr/share/unattended-upgrades/unattended-upgrade-shutdown"),
        ("python3", "/bin/apt-listchanges"),
    ],
)
def test_shells_tools_and_system_programs_are_not_proposed(argv: tuple[str, ...]) -> None:
    assert proposed(*argv) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"uid": 1001},
        {"directory": None},
        {"argv": ()},
        {"argv": ("bash",), "executable": Path("/bin/bash")},
        {"argv": ("python", "\udcff.py")},
        {"argv": ("python", "x.py", "x" * 100_000)},
        {"cgroup": "/system.slice/web.service"},
        {"cgroup": "/system.slice/supervisor.service"},
        {"cgroup": "/supervise.slice/agent@x.service"},
        {"cgroup": "/user.slice/user-1000.slice/user@1000.service/app.slice/feed.service"},
        {"cgroup": "/docker/0123"},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_what_belongs_to_others_is_not_proposed(changes: dict[str, object]) -> None:
    assert from_processes([replace(RUNNING, **changes)], uid=1000) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "cgroup",
    [
        "/",
        "/system.slice/cron.service",
        "/system.slice/ssh.service",
        "/user.slice/user-1.slice/user@1.service/tmux-spawn-1.scope",
    ],
)
def test_crontabs_and_terminals_are_by_hand(cgroup: str) -> None:
    assert len(proposed(cgroup=cgroup)) == 1


def test_everybodys_programs_are_proposed_if_asked_for() -> None:
    another = replace(RUNNING, id=ProcessId(5, 5), uid=5, directory=Path("/srv/q"))
    assert len(from_processes([RUNNING, another], uid=None)) == 2
    assert len(from_processes([RUNNING, another], uid=1000)) == 1


def test_copies_are_one_proposal_that_says_so_and_workers_are_not_counted() -> None:
    copies = [replace(RUNNING, id=ProcessId(number, number)) for number in (10, 11, 12)]
    worker = replace(RUNNING, id=ProcessId(13, 13), parent=12)
    elsewhere = replace(RUNNING, id=ProcessId(14, 14), directory=Path("/srv/q"))
    found = from_processes([*copies, worker, elsewhere], uid=1000)
    assert [(one.name, one.working_directory) for one in found] == [
        ("run_api", Path("/srv/p")),
        ("run_api_2", Path("/srv/q")),
    ]
    assert "3 times" in found[0].comment
    assert "10, 11, 12" in found[0].comment
    assert "once" not in found[1].comment


# --- The file ---------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)
WORDS = """
true no null ~ yes Off 1 1e3 0o17 0x1F 1_000 .5 .inf 1:30 2024-01-01 = << - -- --- ... ? : , [ ] { } # & * ! | > % @ `
' " \\ -x --y $HOME ${HOME} $${X} $$${X} ${ %i ; é 😀 a:b a#b . .. / ./x ../x
"""
SPACED = ["", " ", " a", "a ", "a: b", "a #b", "a\nb", "a\tb", "- a", "\x1b[2J", "\u202e", "\u2028", "\x85", "\ufeff"]
TRICKY = st.sampled_from([*WORDS.split(), *SPACED])
NOT_SECRET = st.one_of(TEXT, TRICKY).filter(
    lambda text: not re.search(r"[=:@]|(?i:key|token|secret|passw|bearer)", text)
)


def written(*proposals: Proposal, folder: Path, project: str = "trading") -> str:
    return agents_yaml(project, proposals, folder=folder)


def one(*command: str, directory: Path = Path("/srv/p"), comment: str = "why") -> Proposal:
    return Proposal("agent", "Agent", command, directory, comment)


@given(
    st.lists(st.one_of(TRICKY.filter(lambda text: not re.search("[=:@]", text)), NOT_SECRET), min_size=1, max_size=5),
    TEXT,
)
def test_every_word_comes_back_as_it_was(words: list[str], comment: str) -> None:
    text = written(one("python", *words, comment=comment), folder=Path("/srv/p"))
    (agent,) = yaml.safe_load(text)["agents"].values()
    assert [word.replace("$${", "${") for word in agent["command"]] == ["python", *words]


@pytest.mark.parametrize(
    "word", ["1", "1e3", "0o17", "true", "~", "${HOME}", "$${X}", "a\nb", "é 😀", ".inf", "", "-", "a: b #c"]
)
def test_the_configuration_reads_what_was_written(tmp_path: Path, word: str) -> None:
    file = tmp_path / "agents.yaml"
    file.write_text(written(one("python", word, directory=tmp_path / "a b"), folder=tmp_path), encoding="utf-8")
    config = load(file, environ={})
    assert config.agents["agent"].command == ("python", word)
    assert config.agents["agent"].working_directory == "a b"
    assert config.project == "trading"


def test_the_file_begins_with_its_schema_and_teaches() -> None:
    text = written(one("python", "x.py"), one("python", "y.py"), folder=Path("/srv/p"))
    assert text.startswith("# yaml-language-server: $schema=./agents.schema.json\nversion: 1\nproject: trading\n")
    for word in ("watchdog:", "auto_start:", "secrets:", "supervise check"):
        assert word in text
    assert list(yaml.safe_load(text)["agents"]) == ["agent", "agent_2"]
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert [line for line in text.splitlines() if line != line.rstrip() or len(line) > 120] == []


def test_directories_are_relative_to_the_file_where_they_lie_below_it(tmp_path: Path) -> None:
    below, other = tmp_path / "news", Path("/srv/elsewhere")
    text = written(*(one("python", "x.py", directory=where) for where in (tmp_path, below, other)), folder=tmp_path)
    agents = yaml.safe_load(text)["agents"].values()
    assert [agent.get("working_directory") for agent in agents] == [None, "news", "/srv/elsewhere"]


def test_without_proposals_the_file_holds_an_example_that_becomes_valid(tmp_path: Path) -> None:
    text = written(folder=tmp_path, project="Été 2")
    assert yaml.safe_load(text)["agents"] == {}
    assert yaml.safe_load(text)["project"] == "ete_2"
    done = text.replace("agents: {}\n", "").replace("# agents:", "agents:").replace("\n#  ", "\n  ")
    file = tmp_path / "agents.yaml"
    file.write_text(done)
    assert load(file, environ={}).agents["my_agent"].command == ("python", "my_agent.py")


SECRETS = [
    (["--token", "hunter2"], ["TOKEN"]),
    (["--token", "-hunter2"], ["TOKEN"]),
    (["--api-key=hunter2"], ["API_KEY"]),
    (["--apiKey", "hunter2"], ["API_KEY"]),
    (["API_KEY=hunter2"], ["API_KEY"]),
    (["MY_PASSWORD=hunter2=="], ["MY_PASSWORD"]),
    (["--db", "postgres://u:hunter2@localhost/x"], ["DB"]),
    (["--db=postgres://u:hunter2@localhost/x"], ["SECRET"]),
    (["redis://:hunter2@localhost"], ["SECRET"]),
    (["sk-hunter2"], ["SECRET"]),
    (["--header", "Authorization: Bearer hunter2"], ["HEADER"]),
    (['--json={"password":"hunter2"}'], ["PASSWORD"]),
    (["exec API_KEY=hunter2 python x.py --verbose --token 'hunter2 b' --fast"], ["API_KEY", "TOKEN"]),
    (["exec x --db postgres://u:hunter2@h/x"], ["SECRET"]),
    (["--token"], ["TOKEN"]),
]


@pytest.mark.parametrize(("words", "names"), SECRETS, ids=lambda value: str(value)[:40])
def test_a_secret_is_never_copied_and_its_place_is_named(tmp_path: Path, words: list[str], names: list[str]) -> None:
    text = written(one("python", "x.py", *words, "--last", directory=tmp_path), folder=tmp_path)
    assert "hunter2" not in text
    for name in names:
        assert re.search(rf"^ +# .*secrets: {{{name}: file:PATH}}", text, re.MULTILINE)
    (tmp_path / "agents.yaml").write_text(text)
    command = load(tmp_path / "agents.yaml", environ={}).agents["agent"].command
    assert command[:2] == ("python", "x.py")
    assert command[-1] == "--last"


def test_what_only_resembles_a_secret_is_copied(tmp_path: Path) -> None:
    words = (
        "x.py",
        "--token-file",
        "/etc/t",
        "--keyboard",
        "de",
        "monkey=1",
        "http://localhost:8000/a@b",
        "--tokens=5",
    )
    text = written(one("python", *words), folder=tmp_path)
    assert json.dumps(yaml.safe_load(text)["agents"]["agent"]["command"]) == json.dumps(["python", *words])


@given(st.lists(TEXT, max_size=6))
def test_any_file_names_become_valid_unique_names(stems: list[str]) -> None:
    processes = [
        replace(RUNNING, id=ProcessId(number, number), argv=("python", f"{stem}.py"), directory=Path(f"/srv/{number}"))
        for number, stem in enumerate(stems)
        if "/" not in stem
    ]
    names = [found.name for found in from_processes(processes, uid=None)]
    assert len(set(names)) == len(names)
    assert all(NAME.fullmatch(name) for name in names)
