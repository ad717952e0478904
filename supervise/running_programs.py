"""Agents that seem to run on this machine now, by hand: Python programs outside services, without tools and editors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from supervise.model import Process
from supervise.observe.cgroups import container, looks_like_agents
from supervise.observe.commands import Command, Kind, command
from supervise.proposed import Proposal, proposal, sayable, telling, unique

TOOLS = re.compile(
    r"""(?:_?ansible|aws|black|build|certbot|conda|coverage|dmypy|debugpy|docker-compose|ensurepip|flake8|gcloud|hatch|honcho
    |idlelib|ipykernel(?:_launcher)?|i?pdb|ipython[0-9.]*|isort|jedi[-_]language[-_]server|jupyter|mkdocs|mypy|nox
    |pdm|pip(?:x|env)?[0-9.]*|poetry|pre[-_]commit|pudb|py[.]?test|pydevd?|pydoc[0-9.]*|pylint|pylsp|pyright|ruff
    |sphinx|supervise|supervisord?|supervisorctl|timeit|tox|trace|twine|unittest|uv|venv|virtualenv|cprofile|profile
    |unattended-upgrade.*|apt.*)(?:[-_.].*)?""",
    re.VERBOSE | re.IGNORECASE,
)
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/snap")
TOOL_FOLDERS = frozenset(
    {"site-packages", "dist-packages", ".vscode", ".vscode-server", ".cursor", ".cursor-server", ".windsurf"}
)
BY_HAND = re.compile(
    r"(?:cron|crond|atd|ssh|sshd|user@\d+|getty@.*|serial-getty@.*|app-.*|gnome-terminal.*)(?:@.*)?\.service"
)
"""Services in whose control group people's and crontab's own programs run."""

Identity = tuple[Path, Command]


def from_processes(processes: Iterable[Process], *, uid: int | None) -> tuple[Proposal, ...]:
    """One proposal for each command and directory. `uid`: only this user's; None: everybody's."""
    mine = {one.id.pid: one for one in processes if uid in (None, one.uid)}
    found: dict[Identity, list[Process]] = {}
    for one in sorted(mine.values(), key=lambda one: one.id.started):
        identity = _identity(one)
        parent = mine.get(one.parent)
        if identity and not (parent and _identity(parent) == identity):  # else it is a worker of its parent
            found.setdefault(identity, []).append(one)
    proposals = (_proposal(runs, copies) for (_, runs), copies in found.items())
    return unique(one for one in proposals if sayable(one))


def _identity(process: Process) -> Identity | None:
    """What the process runs and where; None if that is no agent."""
    if not process.argv or process.directory is None or _is_managed(process.cgroup):
        return None
    runs = command(process.argv, program=str(process.executable or ""))
    if runs.interpreter != "python" or not runs.target or _is_tool(runs, process.directory):
        return None
    return process.directory, runs


def _is_managed(cgroup: str) -> bool:
    last = cgroup.rpartition("/")[2]
    return bool(looks_like_agents(cgroup) or container(cgroup)) or (
        last.endswith(".service") and not BY_HAND.fullmatch(last)
    )


def _is_tool(runs: Command, directory: Path) -> bool:
    if runs.kind is Kind.MODULE:
        return bool(TOOLS.fullmatch(runs.target))
    if runs.kind is not Kind.SCRIPT:
        return True
    script = Path(os.path.normpath(directory / runs.target))
    in_system = any(script.is_relative_to(folder) for folder in SYSTEM) and not script.is_relative_to("/usr/local")
    return in_system or bool(TOOLS.fullmatch(script.stem)) or not TOOL_FOLDERS.isdisjoint(script.parts)


def _proposal(runs: Command, copies: list[Process]) -> Proposal:
    first = copies[0]
    directory = first.directory or Path("/")
    times = "runs now, by hand" if len(copies) == 1 else f"runs {len(copies)} times now, by hand"
    stem = runs.target if runs.kind is Kind.MODULE else Path(runs.target).stem
    home = directory if runs.kind is Kind.MODULE else (directory / runs.target).parent
    pids = ", ".join(str(one.id.pid) for one in copies[:5])
    comment = f"{times} (pid {pids})" + ("; one agent runs it once" if len(copies) > 1 else "")
    return proposal(telling(stem, home), tuple(_words(runs, first, directory)), directory, comment)


def _words(runs: Command, process: Process, directory: Path) -> Iterator[str]:
    """The process's own words, with its interpreter and its script written as the file will need them."""
    before = process.argv[1 : len(process.argv) - len(runs.arguments)]
    if runs.kind is Kind.SCRIPT:
        script = _written(directory / runs.target, directory)
        if (directory / runs.target).parent.parent.joinpath("pyvenv.cfg").exists():
            yield script  # a console script of a virtual environment names its interpreter itself
        else:
            yield from (_interpreter(process, directory), *before[:-1], script)
    else:
        yield from (_interpreter(process, directory), *before)
    yield from runs.arguments


def _interpreter(process: Process, directory: Path) -> str:
    """As it was called, since links lead out of a virtual environment; `python` where that finds the same."""
    called = process.argv[0]
    if "/" not in called:
        has_own = (directory / ".venv/bin").is_dir()
        return "python" if has_own or not process.executable else str(process.executable)
    written = _written(directory / called, directory)
    return "python" if re.fullmatch(r"\.venv/bin/python[0-9.]*", written) else written


def _written(path: Path, directory: Path) -> str:
    normal = Path(os.path.normpath(path))
    return str(normal.relative_to(directory)) if normal.is_relative_to(directory) else str(normal)
