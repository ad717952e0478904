"""What an agent takes: what of it is worth a row, and when it is near a limit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from supervise.decide.usage import LEAST_MEMORY, moved, pressure
from supervise.model import Observation, Phase, ProcessId, Source, StatusRow, Usage
from tests.decide.host import Host
from tests.nouns import NOON, after, alive, dead, row, seconds, spec, state

MIB = 1024 * 1024
A_MOMENT = after(seconds(1))
"""So early that no newer heartbeat alone would be worth a row."""


def usage(cpu: float | None = 0.5, memory: int | None = 100 * MIB, tasks: int | None = 50, **more: Any) -> Usage:
    return Usage("boot-1/a", cpu, memory, tasks, **more)


def figures(row: StatusRow) -> tuple[float | None, int | None, int | None]:
    return row.cpu, row.memory, row.tasks


def taking(host: Host, seen: Usage | None, **changes: Any) -> StatusRow:
    host.sees(Observation(alive(**changes), frozenset(), (), usage=seen), at=A_MOMENT)
    return host.row()


# --- In the row -------------------------------------------------------------------------------------------------------


def test_a_row_has_what_was_seen_of_this_life() -> None:
    host = Host(spec())
    assert figures(taking(host, usage())) == (0.5, 100 * MIB, 50)
    assert figures(taking(host, None)) == (0.5, 100 * MIB, 50)
    assert figures(taking(host, usage(None, None, None))) == (None, None, None)
    taking(host, usage())
    assert figures(taking(host, None, life="b", restarts=1)) == (None, None, None)


@pytest.mark.parametrize("unit", [dead(), state(Phase.INACTIVE)])
def test_what_does_not_run_takes_nothing_that_is_known(unit: Any) -> None:
    host = Host(spec())
    taking(host, usage())
    host.sees(Observation(unit, frozenset(), (), usage=usage()))
    assert figures(host.row()) == (None, None, None)


def test_what_runs_outside_of_its_unit_takes_what_was_seen_of_that() -> None:
    host = Host(spec())
    ahead = frozenset({ProcessId(7, 1)})
    host.sees(Observation(state(Phase.INACTIVE), foreground=ahead, usage=usage()))
    assert (host.row().pid, figures(host.row())) == (7, (0.5, 100 * MIB, 50))
    host.sees(Observation(state(Phase.INACTIVE), foreground=ahead))
    assert figures(host.row()) == (None, None, None)


def test_what_runs_outside_of_its_unit_was_started_when_that_was() -> None:
    host = Host(spec())
    old, began = dead(phase=Phase.INACTIVE, by_request=True), NOON - timedelta(hours=1)
    host.sees(Observation(old, foreground=frozenset({ProcessId(7, 1)}), foreground_since=began))
    assert (host.row().pid, host.row().started_at) == (7, began)
    assert (host.row().last_heartbeat, host.row().source) == (NOON, Source.OBSERVED)
    host.sees(Observation(alive(), foreground=frozenset({ProcessId(7, 1)}), foreground_since=began))
    assert host.row().started_at == NOON
    host.sees(Observation(old, foreground=frozenset()))
    assert (host.row().pid, host.row().started_at) == (None, NOON)


def test_noise_is_not_worth_a_row() -> None:
    host = Host(spec())
    first = taking(host, usage())
    assert taking(host, usage(0.59, 119 * MIB, 59)) is first
    assert figures(taking(host, usage(0.61, 119 * MIB, 59))) == (0.61, 119 * MIB, 59)


def test_a_row_that_is_written_anyway_has_the_newest_figures() -> None:
    host = Host(spec())
    taking(host, usage())
    host.sees(Observation(alive(), frozenset(), (), usage=usage(0.51)), at=after(seconds(31)))
    assert host.row().cpu == 0.51


@pytest.mark.parametrize(
    ("before", "now", "worth"),
    [
        ({"cpu": 0.0}, {"cpu": 0.04}, False),
        ({"cpu": 0.0}, {"cpu": 0.05}, True),
        ({"cpu": 1.0}, {"cpu": 1.19}, False),
        ({"cpu": 1.0}, {"cpu": 1.21}, True),
        ({"cpu": 1.0}, {"cpu": 0.79}, True),
        ({"memory": MIB}, {"memory": LEAST_MEMORY}, False),
        ({"memory": MIB}, {"memory": LEAST_MEMORY + MIB}, True),
        ({"memory": 1000 * MIB}, {"memory": 1199 * MIB}, False),
        ({"memory": 1000 * MIB}, {"memory": 1200 * MIB}, True),
        ({"tasks": 1}, {"tasks": 4}, False),
        ({"tasks": 1}, {"tasks": 5}, True),
        ({"tasks": 100}, {"tasks": 119}, False),
        ({"tasks": 100}, {"tasks": 120}, True),
        ({"cpu": None}, {"cpu": 0.0}, True),
        ({"cpu": 0.0}, {"cpu": None}, True),
        ({"cpu": None}, {"cpu": None}, False),
    ],
)
def test_a_figure_is_worth_a_row_from_a_fifth_on(before: dict[str, Any], now: dict[str, Any], worth: bool) -> None:
    assert moved(row(**before), row(**now)) is worth


# --- Near a limit -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "step", "percent"),
    [
        (0.809, 0.0, 80),
        (0.811, 0.1, 82),
        (0.9, 0.5, 90),
        (1.0, 1.0, 100),
        (1.2, 1.0, 100),
    ],
)
def test_pressure_begins_near_a_limit_and_grows_in_tenths(share: float, step: float, percent: int) -> None:
    seen = usage(memory=round(share * 1000), memory_limit=1000)
    assert pressure(seen) == (step, f"its memory is at {percent} % of its limit")


@pytest.mark.parametrize("share", [0.1, 0.8])
def test_far_from_a_limit_there_is_no_pressure(share: float) -> None:
    assert pressure(usage(memory=round(share * 1000), memory_limit=1000)) == (0.0, "")


def test_the_limit_that_is_nearest_counts() -> None:
    near = {"memory": 850, "memory_limit": 1000, "tasks": 96, "tasks_limit": 100}
    assert pressure(usage(**near)) == (0.8, "its tasks are at 96 % of their limit")
    assert pressure(usage(**near, throttled=0.98)) == (0.9, "its CPU limit holds it back 98 % of the time")


@pytest.mark.parametrize(
    "seen",
    [
        usage(),
        usage(memory=None, memory_limit=1000),
        usage(tasks=None, tasks_limit=10),
        usage(memory_limit=0, tasks_limit=0),
        usage(throttled=0.0),
    ],
)
def test_without_a_limit_or_figures_there_is_no_pressure(seen: Usage) -> None:
    assert pressure(seen)[0] == 0.0
