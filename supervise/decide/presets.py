"""Presets: how many points each part of the health may cost, under a name, and who is scored by which. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from supervise.errors import UsageError
from supervise.model import AgentSpec

Weights = Mapping[str, float]
"""The most points that each part can cost, by its name."""

PARTS = {
    "trouble": "an error costs all of it, a warning two fifths",
    "heartbeat": "a sign of life that is late: nothing up to late_after, all of it from silent_after on",
    "restarts": "a third for each restart of the last hour that nobody asked for",
    "probes": "a live probe that fails: all of it from `failures` on; half of it for one that is not ready",
    "pressure": "memory, tasks or CPU near a limit: nothing up to 80 %, all of it at 100 %",
    "report": "as much of it as the agent says of itself that it lacks",
}
LEAST, MOST = 0, 100
BALANCED = "balanced"
BUILT_IN: Mapping[str, Weights] = {
    BALANCED: {"trouble": 60, "heartbeat": 30, "restarts": 30, "probes": 30, "pressure": 20, "report": 100},
    "aggressive": {"trouble": 80, "heartbeat": 50, "restarts": 60, "probes": 50, "pressure": 40, "report": 100},
    "conservative": {"trouble": 40, "heartbeat": 15, "restarts": 15, "probes": 15, "pressure": 10, "report": 50},
}
INHERITED = "default"
"""The word that takes a choice back: an agent goes by its tags again, a tag by the host, the host by `balanced`."""
NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
MOST_PRESETS = 100


@dataclass(frozen=True, slots=True)
class Choices:
    """The presets that people have made, and which one they have chosen for the host, for tags and for agents."""

    own: Mapping[str, Weights] = field(default_factory=dict)
    host: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    agents: Mapping[str, str] = field(default_factory=dict)

    @property
    def presets(self) -> Mapping[str, Weights]:
        return {**BUILT_IN, **self.own}

    def weights(self, name: str) -> Weights:
        """Raises UsageError where there is no such preset."""
        if name in self.presets:
            return self.presets[name]
        raise unknown(name, self.presets)


def said(weights: Weights) -> str:
    """As they are given to `supervise presets save`."""
    return " ".join(f"{part}={weights[part]:g}" for part in PARTS)


def unknown(name: str, presets: Collection[str]) -> UsageError:
    return UsageError(f'there is no preset "{name}"; {_known(name, presets, "presets")}')


def used_by(spec: AgentSpec, choices: Choices) -> str:
    """The preset that counts for an agent: its own, that of the first of its tags that has one, or the host's."""
    tags = (choices.tags.get(tag) for tag in spec.tags)
    wishes = (choices.agents.get(spec.name), *tags, choices.host)
    return next((one for one in wishes if one and one in choices.presets), BALANCED)


def by_agent(specs: Iterable[AgentSpec], choices: Choices) -> dict[str, Weights]:
    """The weights of those who are scored by another preset than the usual one."""
    used = {spec.name: used_by(spec, choices) for spec in specs}
    return {name: choices.presets[preset] for name, preset in used.items() if preset != BALANCED}


def renamed(choices: Choices, names: Mapping[str, str]) -> Choices:
    """With what agents have chosen under their old names. `names`: new name → old one."""
    agents = dict(choices.agents)
    for new, old in names.items():
        if old in agents and new not in agents:
            agents[new] = agents.pop(old)
    return choices if agents == choices.agents else replace(choices, agents=agents)


def users(name: str, choices: Choices, agents: Collection[str]) -> tuple[str, ...]:
    """Who has chosen a preset, in words. `agents`: those that are installed; what others have chosen binds nobody."""
    host = ("the host",) if (choices.host or BALANCED) == name else ()
    tags = tuple(f"tag {tag}" for tag, preset in sorted(choices.tags.items()) if preset == name)
    return (*host, *tags, *(one for one in sorted(agents) if choices.agents.get(one) == name))


# --- Changes ----------------------------------------------------------------------------------------------------------


def saved(choices: Choices, name: str, weights: Weights) -> Choices:
    """With this preset of one's own, new or changed."""
    if name in (*BUILT_IN, INHERITED):
        raise UsageError(f'"{name}" is built in and stays as it is; save yours under another name')
    if not NAME.fullmatch(name):
        raise UsageError(f'"{name}" is no name of a preset: up to 40 of a-z, 0-9, _ and -, a letter first')
    if name not in choices.own and len(choices.own) >= MOST_PRESETS:
        raise UsageError(f"there are {MOST_PRESETS} presets already; delete one first")
    return replace(choices, own={**choices.own, name: weights})


def deleted(choices: Choices, name: str, agents: Collection[str]) -> Choices:
    """Without this one. What somebody goes by stays."""
    choices.weights(name)
    if name in BUILT_IN:
        raise UsageError(f'"{name}" is built in and stays')
    if by := users(name, choices, agents):
        raise UsageError(f'"{name}" is in use by {", ".join(by)}; choose another one there first')
    return replace(choices, own={one: weights for one, weights in choices.own.items() if one != name})


def chosen(choices: Choices, name: str, *, agents: Collection[str] = (), tags: Collection[str] = ()) -> Choices:
    """With this preset for these agents and tags; for the host, if there are none."""
    if name != INHERITED:
        choices.weights(name)
    if not (agents or tags):
        return replace(choices, host=None if name == INHERITED else name)
    return replace(choices, agents=_with(choices.agents, agents, name), tags=_with(choices.tags, tags, name))


def weighed(given: Mapping[str, object], base: Weights) -> Weights:
    """The weights of `base` with those that are given. Raises UsageError that names the part that is wrong."""
    for part, weight in given.items():
        if part not in PARTS:
            raise UsageError(f'there is no part "{part}"; {_known(part, PARTS, "parts")}')
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not LEAST <= weight <= MOST:
            raise UsageError(
                f'"{part}" weighs {LEAST} to {MOST} points, not {_shown(weight)}; {_known(part, PARTS, "parts")}'
            )
    return {part: given.get(part, base[part]) for part in PARTS}  # type: ignore[misc]  # looked at above


def _with(before: Mapping[str, str], keys: Collection[str], name: str) -> Mapping[str, str]:
    kept = {key: preset for key, preset in before.items() if key not in keys}
    return kept if name == INHERITED else {**kept, **dict.fromkeys(keys, name)}


def _shown(weight: object) -> str:
    return f"{weight:g}" if isinstance(weight, float) else str(weight)


def _known(word: str, words: Collection[str], what: str) -> str:
    near = [] if word in words else get_close_matches(word, words, n=1)
    hint = f'did you mean "{near[0]}"? ' if near else ""
    return f"{hint}the {what} are {', '.join(words)}"
