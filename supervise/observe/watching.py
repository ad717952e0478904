"""Whose processes run where, kept up to date: a census and what is made of it, matched again only where it changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from pathlib import Path

from supervise.model import AgentSpec, Findings, Process
from supervise.observe.census import Census
from supervise.observe.match import Matcher, Place, findings
from supervise.observe.scan import PROC

LINKS_HOLD = 60
"""So many looks are links believed to lead where they did."""


class Watching:
    """`look` gives the findings of now, about the agents that were last `seek`ed."""

    def __init__(self, proc: Path = PROC) -> None:
        self._census = Census(proc)
        self._specs: tuple[AgentSpec, ...] = ()
        self._matcher = Matcher(())
        self._matched_for = 0
        self._placed: dict[int, tuple[Process, Place]] = {}

    def seek(self, specs: Sequence[AgentSpec]) -> None:
        """Look for these agents from now on."""
        self._specs = tuple(specs)
        self._forget_places()

    def look(self, *, at: timedelta, anew: Collection[int] = ()) -> Findings:
        """`at`: now, on the monotonic clock. `anew`: PIDs that may have become others."""
        for pid in anew:
            self._census.read_again(pid)
        self._matched_for += 1
        if self._matched_for > LINKS_HOLD:
            self._forget_places()
        before, self._placed = self._placed, {}
        for process in self._census.look():
            known = before.get(process.id.pid)
            same = known is not None and known[0] is process
            self._placed[process.id.pid] = known if known and same else (process, self._matcher.place(process))
        return findings(self._placed.values(), complete=self._census.complete, at=at)

    def _forget_places(self) -> None:
        self._matcher = Matcher(self._specs)
        self._matched_for = 0
        self._placed = {}
