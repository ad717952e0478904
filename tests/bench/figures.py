"""What was measured, beside what it was to be. Pure.

A figure is a sample of one quantity at one size of fleet; an aim is a limit to a statistic of it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

MAIN = 500
"""Agents for which the aims hold."""
STATISTICS = ("p50", "p90", "p99", "most")


@dataclass(frozen=True, slots=True)
class Figure:
    """`values` in `unit`, one or many; `note` says what one must know to read them."""

    what: str
    agents: int
    unit: str
    values: tuple[float, ...]
    note: str = ""

    @property
    def statistics(self) -> Mapping[str, float]:
        """The median and what lies above; of a single value only that."""
        found = {"p50": statistics.median(self.values)}
        if len(self.values) > 1:
            found |= {"p90": percentile(self.values, 0.9), "p99": percentile(self.values, 0.99)}
            found["most"] = max(self.values)
        return found


@dataclass(frozen=True, slots=True)
class Aim:
    """At most `limit`, in the unit of the figure."""

    what: str
    statistic: str
    limit: float
    agents: int = MAIN

    def is_of(self, figure: Figure) -> bool:
        return (self.what, self.agents) == (figure.what, figure.agents)

    def is_reached(self, figure: Figure) -> bool:
        return figure.statistics[self.statistic] <= self.limit


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def table(figures: Sequence[Figure], aims: Sequence[Aim]) -> str:
    """One line a figure, with its aims and whether they were reached."""
    width = max((len(figure.what) for figure in figures), default=0)
    head = f"{'':<{width}} agents      n " + " ".join(f"{one:>9}" for one in STATISTICS)
    return "\n".join((head, *(_line(figure, aims, width) for figure in figures)))


def as_json(figures: Iterable[Figure], aims: Sequence[Aim]) -> list[dict[str, Any]]:
    """Each figure with its statistics and its aims."""
    return [
        {
            **asdict(figure),
            "statistics": figure.statistics,
            "aims": [
                {"statistic": aim.statistic, "limit": aim.limit, "reached": aim.is_reached(figure)}
                for aim in aims
                if aim.is_of(figure)
            ],
        }
        for figure in figures
    ]


def _line(figure: Figure, aims: Sequence[Aim], width: int) -> str:
    found = figure.statistics
    numbers = " ".join(_number(found[one]) if one in found else " " * 9 for one in STATISTICS)
    judged = "".join(f"  {_judged(aim, figure)}" for aim in aims if aim.is_of(figure))
    note = f"  ({figure.note})" if figure.note else ""
    return f"{figure.what:<{width}} {figure.agents:>6} {len(figure.values):>6} {numbers} {figure.unit}{judged}{note}"


def _judged(aim: Aim, figure: Figure) -> str:
    name = f"{aim.statistic} " if len(figure.values) > 1 else ""
    return f"{name}≤ {aim.limit:g} {'reached' if aim.is_reached(figure) else 'MISSED'}"


def _number(value: float) -> str:
    return f"{value:9.3g}" if abs(value) < 10 else f"{value:9.1f}"
