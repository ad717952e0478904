"""The command line as a shell meets it: words in, two streams and an exit code out. Nothing here needs a systemd."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete

from supervise import __version__
from supervise.cli import COMMANDS, cli
from supervise.config import json_schema, load
from supervise.errors import ExitCode
from supervise.manifest import Manifest, to_json
from supervise.model import Scope
from tests.cli.shell import Answer, Supervise
from tests.nouns import spec

TEXTS = {name: text for topic in COMMANDS.values() for name, text in topic.items()}
HEAVY = {"pydantic", "yaml", "rich", "dbus_fast", "jinja2", "asyncio"}
GOOD = """\
version: 1
project: trading
agents:
  feed:
    title: Market Data
    command: [/bin/sleep, infinity]
    hardening: strict
  sma:
    command: [/bin/sleep, infinity]
    depends_on: [feed]
"""
BROKEN = """\
version: 1
project: trading
agents:
  feed:
    command: [/bin/sleep, infinity]
    restrat: {}
    watchdog: soon
  sma:
    comand: [/bin/sleep, infinity]
"""


def write(text: str, name: str = "agents.yaml") -> Path:
    file = Path.cwd() / name
    file.write_text(text)
    return file


CALLABLE = re.compile(r"^@click\.(command|group)\(", re.MULTILINE)


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


# --- Help -------------------------------------------------------------------------------------------------------------


def test_help_lists_every_command_by_topic(supervise: Supervise) -> None:
    answer = supervise("--help")
    assert answer.code == ExitCode.OK
    listed = answer.out.partition("On agents.yaml:")[2]
    assert re.findall(r"^  ([a-z-]+)  ", listed, re.MULTILINE) == list(TEXTS)
    assert all(f"{topic}:" in answer.out for topic in COMMANDS)


def test_every_module_that_is_a_command_is_listed() -> None:
    folder = Path(sys.modules["supervise.cli"].__path__[0])
    found = {file.stem.replace("_", "-") for file in folder.glob("*.py") if CALLABLE.search(file.read_text())}
    assert found - {"--init--"} == set(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_the_list_says_of_a_command_what_its_own_help_begins_with(name: str) -> None:
    text = command(name).help
    assert text is not None
    assert text.splitlines()[0] == TEXTS[name]


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_has_help_and_says_what_its_options_are_for(supervise: Supervise, name: str) -> None:
    assert supervise(name, "--help").code == ExitCode.OK
    options = [one for one in command(name).params if isinstance(one, click.Option)]
    assert [one.name for one in options if not one.help] == []


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['supervise', '--help']\nfrom supervise.cli import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "sys.stdout = sys.stderr\nprint(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "On agents.yaml:" in done.stdout
    loaded = set(done.stderr.split())
    assert "click" in loaded
    assert loaded & HEAVY == set()


def test_the_version_is_said(supervise: Supervise) -> None:
    assert supervise("--version") == Answer(ExitCode.OK, f"supervise {__version__}\n", "")


# --- Exit codes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right"), [("stauts", "status"), ("forcestop", "force-stop"), ("unistall", "uninstall")]
)
def test_an_unknown_command_is_answered_with_the_nearest(supervise: Supervise, wrong: str, right: str) -> None:
    answer = supervise(wrong)
    assert answer.code == ExitCode.USAGE
    assert f"there is no command \"{wrong}\"; did you mean '{right}'?" in answer.err


def test_where_no_command_is_near_none_is_suggested(supervise: Supervise) -> None:
    answer = supervise("xyzzy")
    assert answer.code == ExitCode.USAGE
    assert 'there is no command "xyzzy"' in answer.err
    assert "did you mean" not in answer.err


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["check", "--nonsense"], ExitCode.USAGE, "No such option"),
        (["check"], ExitCode.USAGE, "cannot find 'agents.yaml'"),
        (["check", "-f", "nowhere.yaml"], ExitCode.CONFIG_INVALID, "cannot read this file"),
        (["logs", "--user", "sma"], ExitCode.NO_SUCH_AGENT, "no agents are installed"),
        (["uninstall", "--user", "-p", "x"], ExitCode.FAILED, 'project "x" is not installed'),
        (["env"], ExitCode.USAGE, "Missing argument"),
    ],
)
def test_what_is_wrong_decides_the_exit_code(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch, words: list[str], code: ExitCode, text: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    answer = supervise(*words)
    assert answer.code == code
    assert text in answer.err
    assert answer.out == ""


@pytest.mark.parametrize("words", [["metrics"], ["events"], ["presets", "use", "aggressive"]])
def test_where_nothing_is_installed_nobody_is_sent_to_a_reconciler(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    answer = supervise(*words, "--user")
    assert (answer.code, answer.out) == (ExitCode.NO_SUCH_AGENT, "")
    assert answer.err.startswith("supervise: no agents are installed here; ")


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "release", "install", "apply", "uninstall"])
def test_who_is_not_root_is_told_how_to_become_it_or_do_without(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    answer = supervise(verb)
    assert answer.code == ExitCode.USAGE
    assert f"`sudo supervise {verb}`, or `supervise {verb} --user`" in answer.err


def test_root_has_no_agents_of_its_own(supervise: Supervise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    answer = supervise("start", "--user", "sma")
    assert (answer.code, answer.err.startswith("supervise: --user is for ordinary users")) == (ExitCode.USAGE, True)


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_says_all_that_is_wrong_at_once(supervise: Supervise) -> None:
    write(BROKEN)
    answer = supervise("check", "--user")
    assert answer.code == ExitCode.CONFIG_INVALID
    places = [line.partition(" ")[0] for line in answer.err.splitlines()]
    assert places == [f"agents.yaml:{place}:" for place in ("6:5", "7:15", "8:3", "9:5")] + ["supervise:"]
    assert "did you mean 'restart'?" in answer.err
    assert answer.err.splitlines()[-1] == "supervise: 4 problems; nothing was changed"
    assert answer.out == ""


def test_check_says_it_to_programs_too(supervise: Supervise) -> None:
    write(BROKEN)
    answer = supervise("check", "--user", "--json")
    assert answer.code == ExitCode.CONFIG_INVALID
    said = json.loads(answer.out)
    assert said["ok"] is False
    assert [one["mark"]["line"] for one in said["problems"]] == [6, 7, 8, 9]


def test_check_says_that_nothing_is_wrong_and_what_would_run(supervise: Supervise) -> None:
    write(GOOD)
    answer = supervise("check", "--user")
    assert answer.code == ExitCode.OK, answer.err
    assert answer.out.startswith("agents.yaml is good: project trading, 2 agents on this host")
    assert "feed (Market Data): /bin/sleep infinity" in answer.out


# --- schema -----------------------------------------------------------------------------------------------------------


def test_schema_is_printed_and_written_alike(supervise: Supervise, tmp_path: Path) -> None:
    printed = supervise("schema")
    assert json.loads(printed.out) == json_schema()
    assert supervise("schema", "-o", "s.json") == Answer(ExitCode.OK, "", "")
    assert (tmp_path / "s.json").read_text() == printed.out


# --- render -----------------------------------------------------------------------------------------------------------


def rendered(answer: Answer) -> dict[str, str]:
    """The files in what was printed, by path."""
    assert answer.code == ExitCode.OK, answer.err
    parts = ("\n" + answer.out).split("\n### ")[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2].rstrip("\n") for part in parts}


def test_render_gives_the_same_bytes_every_time(supervise: Supervise) -> None:
    write(GOOD)
    first = supervise("render", "--user")
    assert supervise("render", "--user") == first
    assert [path.rpartition("/units/")[2] for path in rendered(first)] == sorted(rendered(first))


def test_the_order_of_the_agents_in_the_file_changes_nothing(supervise: Supervise) -> None:
    feed, sma = GOOD.index("  feed:"), GOOD.index("  sma:")
    write(GOOD)
    first = supervise("render", "--user")
    write(GOOD[:feed] + GOOD[sma:] + GOOD[feed:sma])
    assert supervise("render", "--user") == first


def test_render_into_a_folder_writes_what_it_would_print(supervise: Supervise, tmp_path: Path) -> None:
    write(GOOD)
    printed = rendered(supervise("render", "--user"))
    answer = supervise("render", "--user", "-o", "out")
    assert (answer.code, answer.out) == (ExitCode.OK, "")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {f"/{path.relative_to(tmp_path / 'out')}": path.read_text().rstrip("\n") for path in files} == printed
    assert not (tmp_path / "home/.config").exists()


def test_render_of_some_agents_gives_only_theirs(supervise: Supervise) -> None:
    write(GOOD)
    assert [path.split("/")[-2] for path in rendered(supervise("render", "--user", "Market Data"))] == [
        "agent@feed.service.d"
    ]
    assert supervise("render", "--user", "fed").code == ExitCode.NO_SUCH_AGENT


def test_render_for_a_newer_systemd_uses_what_it_can(supervise: Supervise) -> None:
    write(GOOD)
    assert "RestartSteps=" not in supervise("render", "--user", "--systemd-version", "252").out
    assert "RestartSteps=" in supervise("render", "--user", "--systemd-version", "254").out


def test_explain_says_what_each_line_is_for_what_it_costs_and_what_is_left_out(supervise: Supervise) -> None:
    write(GOOD)
    lines = supervise("render", "--user", "--explain", "feed").out.splitlines()
    assert lines[0] == "feed (Market Data), hardening strict"
    assert "  [Service] ExecStart=/bin/sleep infinity" in lines
    after = [lines[number + 1].strip() for number, line in enumerate(lines) if line.startswith("  [")]
    assert all(after)
    assert any("; costs: " in line for line in after)
    assert any(line.startswith("  left out: ") for line in lines)
    assert not any(line.startswith("sma") for line in lines)


# --- init -------------------------------------------------------------------------------------------------------------


def test_init_writes_once_and_its_file_is_good(supervise: Supervise, tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text('if __name__ == "__main__":\n    print("hello")\n')
    answer = supervise("init", "--project", "trading")
    assert answer.code == ExitCode.OK
    assert "wrote agents.yaml with 1 agent" in answer.out
    found = load(tmp_path / "agents.yaml", environ={})
    assert (found.project, len(found.agents)) == ("trading", 1)
    assert [one.command for one in found.agents.values()] == [("python", "bot.py")]
    assert json.loads((tmp_path / "agents.schema.json").read_text()) == json_schema()


def test_init_never_replaces_a_file(supervise: Supervise, tmp_path: Path) -> None:
    write("mine\n")
    answer = supervise("init")
    assert answer.code == ExitCode.FAILED
    assert 'cannot write "agents.yaml": it is there already' in answer.err
    assert (tmp_path / "agents.yaml").read_text() == "mine\n"
    assert not (tmp_path / "agents.schema.json").exists()
    assert supervise("init", "-f", "other.yaml").code == ExitCode.OK


# --- Completion -------------------------------------------------------------------------------------------------------


@pytest.fixture
def installed(supervise: Supervise, tmp_path: Path) -> Path:
    """Two projects of the user's own, and a manifest that cannot be read."""
    folder = tmp_path / "home/.config/supervise/projects"
    folder.mkdir(parents=True)
    for project, names in (("zz_trading", ["zz_sma", "zz_feed"]), ("zz_web", ["zz_page"])):
        agents = tuple(spec(name, tags=("zz_night",)) for name in names)
        found = Manifest(project, tmp_path / "agents.yaml", Scope.USER, "systemd", __version__, agents, {})
        (folder / f"{project}.json").write_text(to_json(found))
    (folder / "zz_broken.json").write_text("{")
    return folder


def completions(words: list[str], incomplete: str) -> list[str]:
    found = BashComplete(cli, {}, "supervise", "_SUPERVISE_COMPLETE").get_completions(words, incomplete)
    return [one.value for one in found]


@pytest.mark.parametrize("words", [["start"], ["stop", "zz_sma"], ["status"], ["logs", "-f"], ["run"], ["env"]])
@pytest.mark.usefixtures("installed")
def test_agents_are_completed_by_name_over_all_projects(words: list[str]) -> None:
    assert completions(words, "zz_") == ["zz_sma", "zz_feed", "zz_page"]
    assert completions(words, "zz_p") == ["zz_page"]


@pytest.mark.usefixtures("installed")
def test_projects_and_commands_are_completed_too() -> None:
    assert completions(["status", "-p"], "zz_t") == ["zz_trading"]
    assert completions(["ps", "--tag"], "zz_") == ["zz_night"]
    assert completions(["presets", "use", "sma", "--tag"], "zz_") == ["zz_night"]
    assert completions(["presets", "use"], "d") == ["default"]
    assert completions(["presets", "show"], "d") == []
    assert completions([], "re") == ["render", "restart", "release", "reconcile"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(supervise: Supervise, shell: str) -> None:
    answer = supervise("completion", shell)
    assert answer.code == ExitCode.OK
    assert f"_SUPERVISE_COMPLETE={shell}_complete" in answer.out


# --- The program itself -----------------------------------------------------------------------------------------------


def test_the_module_runs_as_a_program_and_gives_its_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "supervise", "stauts"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == ExitCode.USAGE
    assert "did you mean 'status'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", [["-m", "supervise"], [str(Path(sys.executable).with_name("supervise"))]])
def test_ctrl_c_while_modules_are_loaded_is_an_exit_code_and_no_traceback(tmp_path: Path, program: list[str]) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, *program, "status"], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "")
