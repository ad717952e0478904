"""Which agents a command means: names, titles, base names of instances, globs, tags, or all. Pure."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Collection, Iterable, Sequence

from supervise.errors import NoSuchAgent, UsageError
from supervise.model import AgentSpec

NOBODY = "no agents are installed here; write an agents.yaml (`supervise init`) and run `supervise install`"


def select(
    specs: Sequence[AgentSpec], words: Sequence[str], *, everyone: bool = False, tags: Collection[str] = ()
) -> tuple[AgentSpec, ...]:
    """In the order of `specs`, each once. Raises NoSuchAgent with the nearest name for a word that fits none."""
    if not specs:
        raise NoSuchAgent(NOBODY)
    if not (words or everyone or tags):
        raise UsageError("say which agents: names, titles, globs, --tag TAG or --all")
    chosen = {spec.name for word in words for spec in _meant_by(word, specs)}
    chosen |= {spec.name for spec in specs if everyone or not set(tags).isdisjoint(spec.tags)}
    if not chosen:
        raise NoSuchAgent(f"no agent has the tag {' or '.join(sorted(tags))}")
    return tuple(spec for spec in specs if spec.name in chosen)


def _meant_by(word: str, specs: Iterable[AgentSpec]) -> tuple[AgentSpec, ...]:
    exact = tuple(spec for spec in specs if word in (spec.name, spec.title, spec.base, f"agent@{spec.name}.service"))
    found = exact or tuple(
        spec for spec in specs if fnmatch.fnmatchcase(spec.name, word) or fnmatch.fnmatchcase(spec.title, word)
    )
    if not found:
        raise NoSuchAgent(f'there is no agent "{word}"{_suggestion(word, specs)}')
    return found


def _suggestion(word: str, specs: Iterable[AgentSpec]) -> str:
    names = {name for spec in specs for name in (spec.name, spec.title)}
    near = difflib.get_close_matches(word, sorted(names), n=1)
    return f'; did you mean "{near[0]}"?' if near else "; `supervise status` lists those that are installed"
