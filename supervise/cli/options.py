"""Options that several commands share, and completion of agent names. Imports nothing heavy."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from supervise.places import SYSTEM, Places, user_places

COMPLETION = 0.3
"""Seconds in which a completion must have its answer."""
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Choice:
    """The agents that a command line means, not looked up yet."""

    agents: tuple[str, ...]
    everyone: bool
    tags: tuple[str, ...]
    project: str | None
    as_user: bool

    @property
    def unsaid(self) -> bool:
        """Whether nobody was named: for reading that means all."""
        return not (self.agents or self.everyone or self.tags)


def file_options(command: Command) -> Command:
    """`-f` and `--env`: which agents.yaml."""
    command = click.option(
        "--env", "environment", metavar="NAME", envvar="SUPERVISE_ENV", help="Lay agents.NAME.yaml over it."
    )(command)
    return click.option(
        "-f",
        "--file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The agents.yaml; else the one here or in a parent folder.",
    )(command)


def user_option(command: Command) -> Command:
    return click.option(
        "--user", "as_user", is_flag=True, help="Your own systemd instead of the machine's; needs no root."
    )(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="For programs: JSON, times in UTC.")(command)


def project_option(command: Command) -> Command:
    return click.option(
        "-p", "--project", metavar="NAME", shell_complete=complete_project, help="Only agents of this project."
    )(command)


def tags_option(command: Command) -> Command:
    return click.option(
        "--tag",
        "tags",
        multiple=True,
        metavar="TAG",
        shell_complete=complete_tag,
        help="Agents with this tag; may be repeated.",
    )(command)


def agents_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which agents: names, titles, globs, `--all`, `--tag`, of which project and scope: one `choice`."""

    @wraps(command)
    def chosen(
        agents: tuple[str, ...],
        everyone: bool,
        tags: tuple[str, ...],
        project: str | None,
        as_user: bool,
        **others: Any,
    ) -> Any:
        return command(Choice(agents, everyone, tags, project, as_user), **others)

    decorated = tags_option(user_option(project_option(chosen)))
    decorated = click.option("-a", "--all", "everyone", is_flag=True, help="All agents.")(decorated)
    return click.argument("agents", nargs=-1, metavar="[AGENT]…", shell_complete=complete_agent)(decorated)


def complete_agent(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Agent names as the manifests have them, read as plain JSON: a completion must be quick."""
    return [name for name in dict.fromkeys(agent["name"] for agent in _agents()) if name.startswith(incomplete)]


def complete_tag(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    found = sorted({tag for agent in _agents() for tag in agent["tags"]})
    return [tag for tag in found if tag.startswith(incomplete)]


def complete_project(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [file.stem for file in _manifests() if file.stem.startswith(incomplete)]


def complete_preset(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from supervise.decide.presets import BUILT_IN

    found = [name for places in _scopes() for name in _presets(places.control)]
    return [name for name in dict.fromkeys((*BUILT_IN, *found)) if name.startswith(incomplete)]


def complete_choice(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """What may be used: a preset, or the word that takes a choice back."""
    from supervise.decide.presets import INHERITED

    inherited = [INHERITED] if INHERITED.startswith(incomplete) else []
    return [*complete_preset(context, parameter, incomplete), *inherited]


def complete_part(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from supervise.decide.presets import PARTS

    return [f"{part}=" for part in PARTS if part.startswith(incomplete)]


def _presets(control: Path) -> list[str]:
    """Those that the reconciler knows, asked as plainly as can be; none where it does not answer at once."""
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(COMPLETION)
            asking.connect(str(control))
            asking.sendall(b'{"id": 1, "op": "presets"}\n')
            with asking.makefile() as lines:
                return [one["name"] for one in json.loads(lines.readline())["result"]["presets"]]
    except (OSError, ValueError, KeyError, TypeError):  # a completion has nobody to tell
        return []


def _scopes() -> tuple[Places, ...]:
    return SYSTEM, user_places(os.environ, uid=os.getuid())


def _manifests() -> Iterator[Path]:
    for places in _scopes():
        if places.manifests.is_dir():
            yield from sorted(places.manifests.glob("*.json"))


def _agents() -> Iterator[dict[str, Any]]:
    for file in _manifests():
        try:
            yield from json.loads(file.read_text(encoding="utf-8"))["agents"]
        except (OSError, ValueError, KeyError, TypeError):  # a completion has nobody to tell
            continue
