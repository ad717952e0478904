"""Which keys there are (asked of the product's own models), and which test shows which: `@shows("restart.delay")`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar, get_args

from pydantic.fields import FieldInfo

from supervise.config.agent import AgentSettings
from supervise.config.leaf import Section, WrittenAs
from supervise.config.top import File
from supervise.model import Scope

BOTH = (Scope.SYSTEM, Scope.USER)
MACHINE = (Scope.SYSTEM,)
OWN = (Scope.USER,)

LATER = {
    "supabase": "the replica",
    "reconciler.intervals": "the reconciler",
    "reconciler.remote_control": "the replica",
    "web": "the dashboard",
}
"""Keys without effect yet, each with the part that brings it. A name stands for all below it."""

Test = TypeVar("Test", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Shown:
    """What one test shows: the keys, in which scopes, with which agents (entries of `agents:`)."""

    keys: tuple[str, ...]
    agents: str
    scopes: Sequence[Scope]


def shows(*keys: str, agents: str = "", scopes: Sequence[Scope] = BOTH) -> Callable[[Test], Test]:
    """The decorated test shows the effect of these keys. It runs once in each scope."""

    def mark(test: Test) -> Test:
        test.shown = Shown(keys, agents.strip("\n"), scopes)  # type: ignore[attr-defined]
        return test

    return mark


def all_shown() -> tuple[Shown, ...]:
    """What all tests of this package declare, in a fixed order."""
    return tuple(shown for module in _modules() for test in vars(module).values() if (shown := shown_by(test)))


def shown_by(test: object) -> Shown | None:
    found = getattr(test, "shown", None)
    return found if isinstance(found, Shown) else None


def keys() -> frozenset[str]:
    """Every key that a user may write, dotted: those of the top level and those of an agent."""
    of_agents = frozenset(_keys(AgentSettings))
    top = frozenset(_keys(File, whole=("defaults", "agents")) - {"agents"})
    assert of_agents.isdisjoint(top), "a key of the top level has the name of an agent's"
    return of_agents | top


def covers(name: str, key: str) -> bool:
    """Whether a declared name means this key, itself or from above."""
    return key == name or key.startswith(f"{name}.")


def _keys(section: type[Section], *, whole: Sequence[str] = ()) -> set[str]:
    found: set[str] = set()
    for name, field in section.model_fields.items():
        inner = None if name in whole else _inner(field)
        found |= {f"{name}.{key}" for key in _keys(inner)} if inner else {name}
    return found


def _inner(field: FieldInfo) -> type[Section] | None:
    """The map behind a field: its type, one of its alternatives, or the form that it is written as."""
    forms = [one.form for one in field.metadata if isinstance(one, WrittenAs)]
    return next((one for one in (*forms, *_types(field.annotation)) if issubclass(one, Section)), None)


def _types(annotation: object) -> Iterator[type]:
    if isinstance(annotation, type):
        yield annotation
    for part in get_args(annotation):
        yield from _types(part)


def _modules() -> Iterator[ModuleType]:
    package = importlib.import_module(__package__ or "")
    for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda one: one.name):
        if found.name.startswith("test_"):
            yield importlib.import_module(f"{package.__name__}.{found.name}")
