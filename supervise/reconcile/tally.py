"""What the reconciler counts of itself, cheaply enough for each pass and each beat."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from copy import deepcopy
from datetime import timedelta

from supervise.model import ActionKind, Event, EventKind, Outcome

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds: a pass over one agent takes less than the first, one over ten thousand should not take the last."""

RESULTS = ("done", "denied", "unmade", "failed")


class Durations:
    """A histogram. `counts` has one more number than there are bounds, for what is longer than all of them."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = timedelta()

    def add(self, length: timedelta) -> None:
        self.counts[bisect_left(BOUNDS, length.total_seconds())] += 1
        self.total += length


class Tally:
    """Counts since the reconciler began."""

    def __init__(self) -> None:
        self.passes = {"all": Durations(), "some": Durations()}
        self.events = Counter(dict.fromkeys(EventKind, 0))
        self.actions = Counter({(kind, result): 0 for kind in ActionKind for result in RESULTS})
        self.beats = 0

    def passed(self, length: timedelta, *, everyone: bool) -> None:
        self.passes["all" if everyone else "some"].add(length)

    def happened(self, events: tuple[Event, ...]) -> None:
        for event in events:
            self.events[event.kind] += 1

    def acted(self, kind: ActionKind, outcome: Outcome) -> None:
        result = "done" if outcome.ok else "denied" if outcome.denied else "unmade" if outcome.unmade else "failed"
        self.actions[kind, result] += 1

    def copy(self) -> Tally:
        """As it is now, whatever happens meanwhile."""
        return deepcopy(self)
