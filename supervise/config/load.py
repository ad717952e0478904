"""The way from files to a `Config`, step by step; every step adds what it found wrong, and all is told at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from supervise.config import legacy
from supervise.config.agent import AgentSettings
from supervise.config.checks import agent_problems
from supervise.config.document import read
from supervise.config.find import files
from supervise.config.leaf import kind
from supervise.config.nodes import Loc, Node, Scalar, plain, valueless
from supervise.config.overlays import inherited, merge
from supervise.config.problems import Found, validated
from supervise.config.relations import relation_problems
from supervise.config.settings import Config, Places
from supervise.config.texts import agent_name
from supervise.config.top import File
from supervise.config.variables import Variables
from supervise.errors import ConfigError, Mark, Problem

_NO_AGENTS = "there are no agents; write agents: {NAME: {command: [PROGRAM, ARGUMENT]}}"
_NO_VALUE = "no value is given; write one ('' for an empty text), or remove the key"


def load(file: Path, *, environment: str | None = None, environ: Mapping[str, str]) -> Config:
    """The project of `file`, with its overlay for `environment` (or `SUPERVISE_ENV` of `environ`).

    Raises ConfigError with every problem, in the order of the files. Reads these files and nothing else.
    """
    file = Path(os.path.abspath(file))  # noqa: PTH100 -- without following links
    paths = files(file, environment or environ.get("SUPERVISE_ENV") or None)
    root, problems = _tree(paths)
    root, found = legacy.without_strangers(root, paths[0])
    problems += found
    root, found = legacy.translated(root)
    problems += found
    variables = Variables.of(root, environ)
    root = variables.everywhere(root)
    problems += variables.problems

    places = Places(root)
    top, found = _top(places)
    agents, more = _agents(places)
    judged = [*found, *more, *_judged(places, top, agents)]
    problems += [problem for problem in judged if problem.mark not in variables.unknown]

    problems = _in_order(problems, paths)
    if errors := [problem for problem in problems if not problem.warning]:
        raise ConfigError(errors)
    folder = legacy.folder(paths[0])
    return Config(
        file=paths[0],
        files=paths,
        folder=folder,
        project=top.project or slug(folder.name),
        agents=agents,
        supabase=top.supabase,
        reconciler=top.reconciler,
        web=top.web,
        alerts=top.alerts,
        from_environment=tuple(variables.from_environment),
        places=places,
        warnings=tuple(problems),
    )


def _tree(paths: tuple[Path, ...]) -> tuple[Node, list[Problem]]:
    """What the files say together. Raises ConfigError if one of them cannot be read: guessing would mislead."""
    problems: list[Problem] = []
    layers: list[Node] = []
    for path in paths:
        node, found = read(path)
        problems += found
        if isinstance(node.value, dict):
            layers.append(node)
        elif node.value is not None:
            problems.append(Problem(node.mark, "", f"a map with the key 'agents' is wanted, not {kind(plain(node))}"))
            layers.append(node)
        elif found:
            raise ConfigError(problems)
    if not all(isinstance(layer.value, dict) for layer in layers):
        raise ConfigError(problems)
    root = Node({}, Mark(paths[0], 1, 1))
    for layer in layers:
        root = merge(root, layer)
    return root, problems


def _top(places: Places) -> tuple[File, list[Problem]]:
    """Everything but the agents."""
    data = cast(dict[str, Any], plain(places.root))
    agents = data.pop("agents", {})
    top, found = validated(File, data)
    problems = [_problem(places, each, ()) for each in found]
    problems += [places.problem(_NO_VALUE, *loc, at_key=True) for loc in valueless(places.root) if not _of_agent(loc)]
    if not isinstance(agents, Mapping):
        problems.append(places.problem(f"a map of agents by name is wanted, not {kind(agents)}", "agents"))
    elif not places.root.at(("agents",)) or not places.root.map()["agents"].map():
        problems.append(places.problem(_NO_AGENTS, "agents", at_key=True))
    return top, problems


def _of_agent(loc: Loc) -> bool:
    return loc[0] == "agents"


def _agents(places: Places) -> tuple[dict[str, AgentSettings], list[Problem]]:
    agents: dict[str, AgentSettings] = {}
    problems: list[Problem] = []
    top = places.root.map()
    defaults = top.get("defaults", Node({}, places.root.mark))
    for name, node in (top["agents"].map() if "agents" in top else {}).items():
        loc = ("agents", name)
        try:
            agent_name(Scalar(name))
        except ValueError as error:
            problems.append(places.problem(str(error), *loc, at_key=True))
        if not isinstance(node.value, dict):
            problems.append(places.problem(f"a map is wanted, such as {{command: …}}, not {kind(plain(node))}", *loc))
            continue
        merged = inherited(defaults, node)
        agents[name], found = validated(AgentSettings, cast(dict[str, Any], plain(merged)))
        problems += [_problem(places, each, loc) for each in found]
        problems += [places.problem(_NO_VALUE, *each, at_key=True) for each in valueless(merged, loc)]
    return agents, problems


def _judged(places: Places, top: File, agents: Mapping[str, AgentSettings]) -> Iterable[Problem]:
    yield from agent_problems(places, ("defaults",), top.defaults)
    for name, agent in agents.items():
        yield from agent_problems(places, ("agents", name), agent)
    yield from relation_problems(places, agents)


def _problem(places: Places, found: Found, above: Loc) -> Problem:
    loc = (*above, *found.loc)
    while loc and isinstance(loc[-1], int) and not places.written(*loc):
        loc = loc[:-1]
    return places.problem(found.text, *loc, at_key=found.at_key)


def _in_order(problems: Iterable[Problem], paths: tuple[Path, ...]) -> list[Problem]:
    """In the order of the files, and once each: what is wrong in `defaults` is wrong in every agent."""
    once: dict[tuple[Mark, str], Problem] = {}
    for problem in problems:
        once.setdefault((problem.mark, problem.text), problem)
    return sorted(once.values(), key=lambda each: (paths.index(each.mark.file), each.mark.line, each.mark.column))


def slug(name: str) -> str:
    """A project's name made of a folder's."""
    words = re.sub(r"[^a-z0-9_]+", "-", name.lower()).lstrip("0123456789_-").rstrip("-")
    return words[:51] or "agents"
