"""What can only be judged by looking at several agents together: dependencies, circles, names and titles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from supervise.config.agent import AgentSettings
from supervise.config.settings import Places
from supervise.config.texts import did_you_mean
from supervise.errors import Problem

Agents = Mapping[str, AgentSettings]


def relation_problems(places: Places, agents: Agents) -> Iterator[Problem]:
    for name, agent in agents.items():
        yield from _dependencies(places, agents, name, agent)
        yield from _former_name(places, agents, name, agent)
    yield from _circles(places, agents)
    yield from _titles(places, agents)


def _dependencies(places: Places, agents: Agents, name: str, agent: AgentSettings) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, dependency in enumerate(agent.depends_on):
        text = _dependency_text(agents, name, dependency.name)
        if not text and dependency.name in seen:
            text = f"'{dependency.name}' is named twice"
        seen.add(dependency.name)
        if text:
            yield places.problem(text, "agents", name, "depends_on", index)
        elif dependency.required and dependency.name in agents and not agents[dependency.name].enabled:
            text = f"'{dependency.name}' is required, but it is not enabled: this agent cannot start"
            yield places.problem(text, "agents", name, "depends_on", index, warning=True)


def _dependency_text(agents: Agents, name: str, wanted: str) -> str:
    if wanted == name:
        return "an agent cannot depend on itself"
    if wanted in agents:
        return f"'{wanted}' has a schedule: nothing can depend on a job" if agents[wanted].schedule else ""
    if "." in wanted:
        return ""
    hint = did_you_mean(wanted, list(agents)) or "; a unit is written with its ending, such as postgresql.service"
    return f"there is no agent '{wanted}'{hint}"


def _former_name(places: Places, agents: Agents, name: str, agent: AgentSettings) -> Iterator[Problem]:
    if agent.renamed_from in agents:
        text = f"there is still an agent '{agent.renamed_from}', so this one was not renamed from it"
        yield places.problem(text, "agents", name, "renamed_from")


def _circles(places: Places, agents: Agents) -> Iterator[Problem]:
    """Every circle once, found by walking each agent's dependencies depth first without recursion."""
    done: set[str] = set()
    for start in agents:
        path: list[str] = []
        walks = [iter([start])]
        while walks:
            name = next(walks[-1], None)
            if name is None:
                walks.pop()
                if path:
                    done.add(path.pop())
            elif name in path:
                circle = [*path[path.index(name) :], name]
                if len(circle) > 2:
                    yield _circle_problem(places, agents, circle)
            elif name in agents and name not in done:
                path.append(name)
                walks.append(iter([dependency.name for dependency in agents[name].depends_on]))


def _circle_problem(places: Places, agents: Agents, circle: list[str]) -> Problem:
    last, first = circle[-2], circle[-1]
    index = next(at for at, dependency in enumerate(agents[last].depends_on) if dependency.name == first)
    text = f"the dependencies go in a circle: {' → '.join(circle)}"
    return places.problem(text, "agents", last, "depends_on", index)


def _titles(places: Places, agents: Agents) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, agent in agents.items():
        if agent.title is None:
            continue
        if agent.title in agents and agent.title != name:
            text = f"'{agent.title}' is the name of another agent"
            yield places.problem(text, "agents", name, "title")
        elif agent.title in owners:
            text = f"the agent '{owners[agent.title]}' has the title '{agent.title}' already"
            yield places.problem(text, "agents", name, "title")
        owners.setdefault(agent.title, name)
