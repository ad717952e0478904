"""From the words of `command:` to what is really executed: the absolute program, its interpreter, the folders it needs.

Looks at the disk, runs nothing. What stands between the manager and the agent (`uv run`, a shell) is resolved or named.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PYTHON_NAMES = re.compile(r"python(3(\.\d+)?)?")
LAUNCHERS = {
    "uv": "run",
    "poetry": "run",
    "pipenv": "run",
    "pdm": "run",
    "hatch": "run",
    "rye": "run",
    "conda": "run",
    "npm": "run",
}
SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish"})
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")


class CannotResolve(Exception):
    """The command cannot be made absolute; the text says why and what to write."""


@dataclass(frozen=True, slots=True)
class Program:
    """`argv[0]` is absolute. `executables`: every file that is executed on the way, the interpreter of a script too.

    `needs`: folders outside the system's own that must be readable. `remark`: what the user should know.
    """

    argv: tuple[str, ...]
    executables: tuple[Path, ...]
    needs: tuple[Path, ...]
    remark: str | None = None


def resolve(words: Sequence[str], *, directory: Path, python: Path | None) -> Program:
    """`python`: an interpreter or a virtual environment, absolute. Raises CannotResolve."""
    environment = _environment(directory, python)
    words = _without_launcher(words, environment)
    first = _absolute(words[0], directory, environment, python)
    executables = (first, *_interpreters(first))
    needs = {
        directory,
        Path(os.path.realpath(directory)),
        *(folder for program in executables for folder in _folders(program)),
    }
    outside = sorted(path for path in needs if not _in_system(path))
    remark = _shell_remark(words) or _script_remark(words, directory)
    return Program((str(first), *words[1:]), executables, _topmost(outside), remark)


def _environment(directory: Path, python: Path | None) -> Path | None:
    """The virtual environment whose `bin` comes before PATH."""
    if python and python.is_dir():
        return python
    if python:
        return python.parent.parent if (python.parent.parent / "pyvenv.cfg").exists() else None
    default = directory / ".venv"
    return default if (default / "bin").is_dir() else None


def _absolute(word: str, directory: Path, environment: Path | None, python: Path | None) -> Path:
    if "/" in word:
        return _existing(Path(os.path.normpath(directory / word)))
    if python and not python.is_dir() and PYTHON_NAMES.fullmatch(word):
        return _existing(python)
    if environment and (environment / "bin" / word).exists():
        return environment / "bin" / word
    if environment is None and PYTHON_NAMES.fullmatch(word):
        return Path(sys.executable)
    found = shutil.which(word)
    if found is None:
        looked = f"{environment}/bin and PATH" if environment else "PATH"
        raise CannotResolve(f'cannot find the program "{word}" in {looked}; write its whole path, or set `python:`')
    return Path(found)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise CannotResolve(f'there is no program "{path}"')
    if path.is_dir():
        raise CannotResolve(f'"{path}" is a folder, not a program')
    return path


# --- Launchers and shells ---------------------------------------------------------------------------------------------


def _without_launcher(words: Sequence[str], environment: Path | None) -> tuple[str, ...]:
    """`uv run x.py` → `python x.py`: these launchers stay in between, so the agent would not be the main process."""
    launcher = Path(words[0]).name
    if len(words) < 2 or LAUNCHERS.get(launcher) != words[1]:
        return tuple(words)
    rest = tuple(words[3:] if words[2:3] in (["--"], ("--",)) else words[2:])
    advice = f"`{launcher} run` stays between the manager and the agent; write the command without it, as [python, …]"
    if launcher == "npm" or not rest or (rest[0].startswith("-") and rest[0] != "-m"):
        raise CannotResolve(advice)
    if environment is None:
        raise CannotResolve(
            f"{advice}, and set `python:` to the virtual environment (none is in the working directory)"
        )
    return ("python", *rest) if rest[0] == "-m" or rest[0].endswith(".py") else rest


def _shell_remark(words: Sequence[str]) -> str | None:
    if Path(words[0]).name not in SHELLS or "-c" not in words:
        return None
    if words[-1].lstrip().startswith("exec "):
        return None
    return "a shell is the main process, so the agent's own pings are refused; begin the script with `exec`"


def _script_remark(words: Sequence[str], directory: Path) -> str | None:
    """A Python script that is not there; it may still be made by `before_start`, so it is no error."""
    script = words[1] if len(words) > 1 and PYTHON_NAMES.fullmatch(Path(words[0]).name) else ""
    if not script.endswith(".py") or (directory / script).exists():
        return None
    return f'there is no script "{directory / script}"'


# --- What is needed ---------------------------------------------------------------------------------------------------


def _interpreters(program: Path) -> tuple[Path, ...]:
    """The program of a script's `#!` line."""
    try:
        with program.open("rb") as file:
            first = file.readline(256)
    except OSError:
        return ()
    if not first.startswith(b"#!"):
        return ()
    words = os.fsdecode(first[2:]).split()
    if words and Path(words[0]).name == "env":
        found = shutil.which(words[-1])
        return (Path(found),) if found else ()
    return (Path(words[0]),) if words else ()


def _folders(program: Path) -> tuple[Path, ...]:
    """The folder of a program, or the whole environment or installation it is the Python of, links followed."""
    real = Path(os.path.realpath(program))
    return tuple(one.parent.parent if one.parent.name == "bin" else one.parent for one in (program, real))


def _in_system(path: Path) -> bool:
    """Shown to every agent: the system's folders, and `/` itself (of `/bin/sh`), which would swallow all others."""
    local = path.is_relative_to("/usr/local")
    return path == Path("/") or (not local and any(path.is_relative_to(folder) for folder in SYSTEM_FOLDERS))


def _topmost(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Without those that lie in another one of them. `paths` is sorted."""
    return tuple(path for path in paths if not any(path != other and path.is_relative_to(other) for other in paths))
