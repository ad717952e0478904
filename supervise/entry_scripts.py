"""Agents that a folder seems to hold, told from its files alone: nothing is run or imported."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path

from supervise.proposed import Proposal, proposal, sayable, telling, unique

MOST_BYTES = 1 << 20
MOST_FILES = 2000
SKIPPED_FOLDERS = frozenset(
    {"tests", "test", "build", "dist", "docs", "doc", "venv", "env", "node_modules", "__pycache__", "site-packages"}
)
NO_AGENTS = re.compile(r"(?:setup|conftest|noxfile|fabfile|tasks|manage|test_.*|.*_test|__init__)\.py")
AGENT_NAMES = re.compile(r"(?:run_.*|.*_agent|.*_bot|agent|bot|main|app)\.py")
PROJECT = (".venv", "pyproject.toml", "requirements.txt", "setup.py", "setup.cfg")
"""What lies at the top of a project, where its programs are run."""
CODE_FOLDERS = frozenset({"scripts", "src", "bin", "lib", "agents", "bots", "jobs", "tools", "examples"})
NEEDS_SHELL = re.compile(r"[$`|&;<>()*?]")
PROCESS_LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")


def from_folder(folder: Path) -> tuple[Proposal, ...]:
    """What is written down as a command comes first; a script that is named there is not proposed again."""
    folder = folder.absolute()
    found: dict[tuple[str, ...], Proposal] = {}
    for one in (*_procfile(folder), *_console_scripts(folder), *_python(folder)):
        if sayable(one):
            found.setdefault((str(one.working_directory), *one.command), one)
    return unique(found.values())


def _procfile(folder: Path) -> Iterator[Proposal]:
    for line in _text(folder / "Procfile").splitlines():
        written = PROCESS_LINE.fullmatch(line.strip())
        if written:
            words, remark = _words(written["command"])
            yield proposal(written["name"], words, folder, f"a line of the Procfile{remark}")


def _words(line: str) -> tuple[tuple[str, ...], str]:
    """The words of a Procfile's command, and what to say about them."""
    try:
        words = tuple(shlex.split(line))
    except ValueError:
        words = ()
    if not words or NEEDS_SHELL.search(line):
        return ("sh", "-c", f"exec {line}"), "; it needs a shell, better is a list of words"
    return (("env", *words), "; better set variables under `environment`") if "=" in words[0] else (words, "")


def _console_scripts(folder: Path) -> Iterator[Proposal]:
    try:
        scripts = tomllib.loads(_text(folder / "pyproject.toml")).get("project", {}).get("scripts", {})
    except (tomllib.TOMLDecodeError, AttributeError, RecursionError):
        return
    for name in sorted(scripts) if isinstance(scripts, dict) else ():
        if "/" not in name and (folder / ".venv/bin" / name).is_file():
            yield proposal(name, (f".venv/bin/{name}",), folder, "a script of pyproject.toml")


def _python(folder: Path) -> Iterator[Proposal]:
    yield from _scripts(folder, folder)
    for below in _entries(folder):
        if below.is_dir() and not _skipped(below):
            if (below / "__init__.py").is_file():
                yield from _modules(folder, below)
            else:
                yield from _scripts(_home(folder, below), below)
                yield from _packages(below)


def _packages(folder: Path) -> Iterator[Proposal]:
    for package in _entries(folder):
        if not _skipped(package) and (package / "__init__.py").is_file() and (package / "__main__.py").is_file():
            yield from _modules(folder, package)


def _scripts(home: Path, folder: Path) -> Iterator[Proposal]:
    for file, why in _entry_scripts(folder):
        named_after = telling(file.stem, folder)
        yield proposal(named_after, ("python", str(file.relative_to(home))), home, f"{file.name} {why}")


def _modules(folder: Path, package: Path) -> Iterator[Proposal]:
    """A package's scripts import each other by the package's name, so they are run as its modules."""
    if not package.name.isidentifier():
        return
    if (package / "__main__.py").is_file():
        yield proposal(
            package.name, ("python", "-m", package.name), folder, f"{package.name} is a package that can be run"
        )
    for file, why in _entry_scripts(package):
        if file.stem.isidentifier() and file.stem != "__main__":
            module = f"{package.name}.{file.stem}"
            yield proposal(telling(file.stem, package), ("python", "-m", module), folder, f"{module} {why}")


def _home(folder: Path, below: Path) -> Path:
    """Where a script of a lower folder should run: there, if that looks like an agent's own folder."""
    if any((below / sign).exists() for sign in PROJECT):
        return below
    shared = below.name in CODE_FOLDERS or any((folder / sign).exists() for sign in PROJECT)
    return folder if shared else below


def _entry_scripts(folder: Path) -> Iterator[tuple[Path, str]]:
    """The scripts that are meant to be run, each with what says so."""
    for file in _entries(folder):
        if file.suffix == ".py" and not file.name.startswith(".") and not NO_AGENTS.fullmatch(file.name):
            if _is_run(_text(file)):
                yield file, 'has `if __name__ == "__main__"`'
            elif AGENT_NAMES.fullmatch(file.name) and file.is_file():
                yield file, "is named like an agent"


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())[:MOST_FILES]
    except OSError:
        return []  # a folder that we may not read proposes nothing


def _skipped(folder: Path) -> bool:
    name = folder.name
    return name.startswith(".") or name in SKIPPED_FOLDERS or folder.is_symlink() or (folder / "pyvenv.cfg").exists()


def _is_run(source: str) -> bool:
    if "__main__" not in source:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strange escapes in somebody else's source
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(statement, ast.If) and _asks_for_main(statement.test) for statement in tree.body)


def _asks_for_main(test: ast.expr) -> bool:
    if not isinstance(test, ast.Compare):
        return False
    sides = (test.left, *test.comparators)
    return any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides) and any(
        isinstance(side, ast.Constant) and side.value == "__main__" for side in sides
    )


def _text(file: Path) -> str:
    """The file's text; empty for what is no file of readable size, so that no pipe or device is ever opened."""
    try:
        if not file.is_file() or file.stat().st_size > MOST_BYTES:
            return ""
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
