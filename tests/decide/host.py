"""A host followed pass by pass: what is decided is remembered, as the reconciler does it, and nothing is done."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from supervise.decide import decide
from supervise.model import AgentSpec, Decision, HostFacts, Instant, Observation, StatusRow, UnitState, World
from tests.nouns import NOW

Seen = UnitState | Observation


class Host:
    """`sees` is one pass. A unit that is seen stays as it is until something else is seen of it."""

    def __init__(self, *specs: AgentSpec, **world: Any) -> None:
        plain = {"observed": {}, "host": HostFacts(may_act=True)}
        self.world = World(**{**plain, "desired": {one.name: one for one in specs}, **world})
        self.now = NOW

    def sees(self, *seen: Seen, at: Instant | None = None, only: Collection[str] | None = None) -> Decision:
        self.now = at or self.now
        self.learns(observed={**self.world.observed, **_named(seen)})
        decision = decide(self.world, now=self.now, only=only)
        rows = {name: row for name, row in self.world.rows.items() if name not in decision.forget}
        self.learns(rows={**rows, **decision.rows})
        return decision

    def learns(self, **changes: Any) -> None:
        self.world = replace(self.world, **changes)

    def row(self, name: str = "sma") -> StatusRow:
        return self.world.rows[name]


def _named(seen: Collection[Seen]) -> dict[str, Observation]:
    whole = [one if isinstance(one, Observation) else Observation(one, frozenset(), ()) for one in seen]
    return {one.unit.name: one for one in whole if one.unit}
