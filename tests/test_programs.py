"""From the words of `command:` to what is executed, over real files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from supervise.programs import CannotResolve, Program, resolve


def executable(path: Path, text: str = "\x7fELF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def environment(path: Path, *programs: str) -> Path:
    for name in ("python", *programs):
        executable(path / "bin" / name)
    (path / "pyvenv.cfg").write_text("")
    return path


def resolved(folder: Path, *words: str, python: Path | None = None) -> Program:
    return resolve(words, directory=folder, python=python)


def refusal(folder: Path, *words: str, python: Path | None = None) -> str:
    with pytest.raises(CannotResolve) as error:
        resolved(folder, *words, python=python)
    return str(error.value)


# --- The first word ---------------------------------------------------------------------------------------------------


def test_a_path_is_taken_from_the_working_directory(tmp_path: Path) -> None:
    executable(tmp_path / "bin/run")
    folder = tmp_path / "deeper"
    folder.mkdir()
    assert resolved(folder, "../bin/run", "-x").argv == (f"{tmp_path}/bin/run", "-x")
    assert resolved(folder, f"{tmp_path}/bin/run").argv == (f"{tmp_path}/bin/run",)


@pytest.mark.parametrize("word", ["python", "python3", "python3.11"])
def test_python_without_an_environment_is_the_one_that_runs_supervise(tmp_path: Path, word: str) -> None:
    assert resolved(tmp_path, word, "x.py").argv == (sys.executable, "x.py")


def test_an_environment_beside_is_used(tmp_path: Path) -> None:
    environment(tmp_path / ".venv", "scraper")
    assert resolved(tmp_path, "python").argv == (f"{tmp_path}/.venv/bin/python",)
    assert resolved(tmp_path, "scraper").argv == (f"{tmp_path}/.venv/bin/scraper",)


def test_the_environment_that_is_named_wins_over_the_one_beside(tmp_path: Path) -> None:
    environment(tmp_path / ".venv", "scraper")
    other = environment(tmp_path / "other", "scraper")
    assert resolved(tmp_path, "scraper", python=other).argv == (f"{other}/bin/scraper",)
    assert resolved(tmp_path, "scraper", python=other / "bin/python").argv == (f"{other}/bin/scraper",)


def test_an_interpreter_that_is_named_stands_for_python(tmp_path: Path) -> None:
    interpreter = executable(tmp_path / "pypy/pypy3")
    assert resolved(tmp_path, "python3", "x.py", python=interpreter).argv == (str(interpreter), "x.py")
    assert resolved(tmp_path, "sh", python=interpreter).argv[0].endswith("/sh")


def test_everything_else_comes_from_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(tmp_path / ".venv")
    executable(tmp_path / "tools/report")
    monkeypatch.setenv("PATH", f"{tmp_path}/tools")
    assert resolved(tmp_path, "report").argv == (f"{tmp_path}/tools/report",)


def test_what_is_not_found_is_said_with_where_it_was_looked_for(tmp_path: Path) -> None:
    assert refusal(tmp_path, "no_such_program").startswith('cannot find the program "no_such_program" in PATH;')
    environment(tmp_path / ".venv")
    assert f"in {tmp_path}/.venv/bin and PATH;" in refusal(tmp_path, "no_such_program")
    assert refusal(tmp_path, "./nowhere") == f'there is no program "{tmp_path}/nowhere"'
    assert refusal(tmp_path, "./.venv") == f'"{tmp_path}/.venv" is a folder, not a program'
    assert refusal(tmp_path, "python", python=tmp_path / "gone") == f'there is no program "{tmp_path}/gone"'


# --- Launchers and shells ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("launcher", ["uv", "poetry", "pipenv", "pdm", "hatch", "rye", "/usr/local/bin/uv"])
@pytest.mark.parametrize(
    ("words", "argv"),
    [
        (("run", "x.py", "-v"), ("python", "x.py", "-v")),
        (("run", "--", "x.py"), ("python", "x.py")),
        (("run", "-m", "scraper"), ("python", "-m", "scraper")),
        (("run", "python", "x.py"), ("python", "x.py")),
        (("run", "scraper", "--fast"), ("scraper", "--fast")),
    ],
)
def test_a_launcher_is_replaced_by_what_it_would_run(
    tmp_path: Path, launcher: str, words: tuple[str, ...], argv: tuple[str, ...]
) -> None:
    environment(tmp_path / ".venv", "scraper")
    assert resolved(tmp_path, launcher, *words).argv == (f"{tmp_path}/.venv/bin/{argv[0]}", *argv[1:])


@pytest.mark.parametrize(
    "words",
    [
        ("uv", "run"),
        ("uv", "run", "--with", "httpx", "x.py"),
        ("conda", "run", "-n", "trading", "python", "x.py"),
        ("npm", "run", "start"),
    ],
)
def test_a_launcher_with_wishes_of_its_own_is_refused_by_name(tmp_path: Path, words: tuple[str, ...]) -> None:
    environment(tmp_path / ".venv")
    assert refusal(tmp_path, *words).startswith(f"`{words[0]} run` stays between the manager and the agent;")


def test_a_launcher_without_an_environment_is_refused(tmp_path: Path) -> None:
    assert "set `python:` to the virtual environment" in refusal(tmp_path, "uv", "run", "x.py")


def test_other_commands_of_a_launcher_are_left_alone(tmp_path: Path) -> None:
    executable(tmp_path / "uv")
    assert resolved(tmp_path, "./uv", "pip", "list").argv == (f"{tmp_path}/uv", "pip", "list")


@pytest.mark.parametrize(
    ("words", "remarked"),
    [
        (("/bin/sh", "-c", "python x.py"), True),
        (("/bin/sh", "-c", "exec python x.py"), False),
        (("/bin/sh", "run.sh"), False),
        (("sh", "-e", "-c", "a; b"), True),
    ],
)
def test_a_shell_that_stays_the_main_process_is_remarked_on(
    tmp_path: Path, words: tuple[str, ...], remarked: bool
) -> None:
    assert bool(resolved(tmp_path, *words).remark) is remarked


# --- What is executed, and what it needs ------------------------------------------------------------------------------


def test_the_interpreter_of_a_script_is_executed_too(tmp_path: Path) -> None:
    interpreter = executable(tmp_path / "python/bin/python3")
    script = executable(tmp_path / "run", f"#!{interpreter} -u\n")
    assert resolved(tmp_path, "./run").executables == (script, interpreter)


def test_the_interpreter_that_env_finds_is_executed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = executable(tmp_path / "tools/tcl")
    script = executable(tmp_path / "run", "#!/usr/bin/env tcl\n")
    monkeypatch.setenv("PATH", f"{tmp_path}/tools")
    assert resolved(tmp_path, "./run").executables == (script, interpreter)
    lost = executable(tmp_path / "lost", "#!/usr/bin/env nowhere_to_be_found\n")
    assert resolved(tmp_path, "./lost").executables == (lost,)


@pytest.mark.parametrize("text", ["", "\x7fELF", "#!", "#!   \n", "echo\n"])
def test_what_names_no_interpreter_is_executed_alone(tmp_path: Path, text: str) -> None:
    path = executable(tmp_path / "run", text)
    assert resolved(tmp_path, "./run").executables == (path,)


def test_a_program_of_the_system_needs_nothing_but_the_folder_it_runs_in(tmp_path: Path) -> None:
    assert resolved(tmp_path, "/bin/sh").needs == (tmp_path,)
    assert resolved(Path("/usr"), "/bin/sh").needs == ()


def test_an_environment_and_the_python_behind_it_are_needed_whole(tmp_path: Path) -> None:
    base = executable(tmp_path / "base/bin/python3.13").parents[1]
    own = tmp_path / "own"
    (own / "bin").mkdir(parents=True)
    (own / "bin/python").symlink_to(base / "bin/python3.13")
    folder = tmp_path / "project"
    folder.mkdir()
    assert resolved(folder, "python", "x.py", python=own).needs == (base, own, folder)


def test_what_lies_in_a_needed_folder_is_not_named_again(tmp_path: Path) -> None:
    environment(tmp_path / ".venv")
    assert resolved(tmp_path, "python", "x.py").needs == (tmp_path,)


def test_a_script_of_the_systems_shell_needs_its_own_folder(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    executable(tmp_path / "tools/run", "#!/bin/sh\n")
    assert resolved(folder, "../tools/run").needs == (folder, tmp_path / "tools")


def test_usr_local_is_not_the_systems_own() -> None:
    assert resolved(Path("/usr/local"), "/bin/sh").needs == (Path("/usr/local"),)
