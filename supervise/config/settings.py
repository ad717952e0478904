"""The result: a `Config`, complete and valid, that still knows where everything was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from supervise.config.agent import AgentSettings
from supervise.config.nodes import Loc, Node, dotted
from supervise.config.top import Alert, ReconcilerSettings, SupabaseSettings, WebSettings
from supervise.errors import Mark, Problem


@dataclass(frozen=True, slots=True)
class Places:
    """Where the keys of a file stand. What an agent has from `defaults` is found there."""

    root: Node

    def real(self, loc: Loc) -> Loc:
        """`loc`, or its twin below `defaults` if only that is written; cut down to what exists."""
        reached = self.root.reach(loc)
        if reached != loc and loc[:1] == ("agents",) and len(reached) >= 2:
            default = self.root.reach(("defaults", *loc[2:])) if "defaults" in self.root.map() else ()
            if len(default) + 1 > len(reached):
                return default
        return reached

    def written(self, *loc: str | int) -> bool:
        """Whether the user wrote this key, for this agent or in `defaults`."""
        reached = self.real(loc)
        return reached == loc or (reached[:1] == ("defaults",) and len(reached) + 1 == len(loc))

    def given(self, *loc: str | int) -> bool:
        """Whether it has a value there, its own or from `defaults`: null removes one."""
        return self.written(*loc) and self.given_itself(*self.real(loc))

    def given_itself(self, *loc: str | int) -> bool:
        """Whether a value stands at this very place, not only in `defaults`."""
        node = self.root.at(loc)
        return node is not None and node.value is not None

    def mark(self, *loc: str | int) -> Mark:
        node = self.root.at(self.real(loc))
        return node.place if node is not None else self.root.mark

    def key_mark(self, *loc: str | int) -> Mark:
        """Where the key itself stands, for mistakes in its name."""
        node = self.root.at(self.real(loc))
        return (node.key or node.place) if node is not None else self.root.mark

    def problem(self, text: str, *loc: str | int, warning: bool = False, at_key: bool = False) -> Problem:
        mark = self.key_mark(*loc) if at_key else self.mark(*loc)
        return Problem(mark, dotted(loc), text, warning)


@dataclass(frozen=True, slots=True)
class Config:
    """One project as its owner describes it. Relative paths in it start at `folder`."""

    file: Path
    files: tuple[Path, ...]
    folder: Path
    project: str
    agents: Mapping[str, AgentSettings]
    supabase: SupabaseSettings
    reconciler: ReconcilerSettings
    web: WebSettings
    alerts: tuple[Alert, ...]
    from_environment: tuple[tuple[str, str], ...]
    places: Places = field(repr=False)
    warnings: tuple[Problem, ...] = ()

    def mark(self, *loc: str | int) -> Mark:
        """The place of a key or value, or of the nearest thing around it that is written."""
        return self.places.mark(*loc)

    def problem(self, text: str, *loc: str | int, warning: bool = False) -> Problem:
        """`text` about the key at `loc`."""
        return self.places.problem(text, *loc, warning=warning)
