"""What the bench says of its figures: the statistics, the aims beside them, and the same as JSON."""

from __future__ import annotations

from tests.bench import deciding
from tests.bench.aims import AIMS
from tests.bench.figures import Aim, Figure, as_json, table

KILLS = Figure("kill → row", 500, "ms", tuple(map(float, range(1, 101))))
MEMORY = Figure("RSS", 500, "MB", (59.5,), "of one process")
REACHED, MISSED = Aim("kill → row", "p50", 60), Aim("kill → row", "p99", 60)


def test_a_sample_has_its_median_and_what_lies_above() -> None:
    assert KILLS.statistics == {"p50": 50.5, "p90": 91, "p99": 100, "most": 100}
    assert MEMORY.statistics == {"p50": 59.5}


def test_the_table_shows_each_aim_beside_its_figure() -> None:
    _, kills, memory = table((KILLS, MEMORY), (REACHED, MISSED, Aim("RSS", "p50", 59.5))).splitlines()
    assert kills.endswith("ms  p50 ≤ 60 reached  p99 ≤ 60 MISSED")
    assert memory.endswith("MB  ≤ 59.5 reached  (of one process)")


def test_an_aim_holds_for_its_size_of_fleet_only() -> None:
    assert "≤" not in table((KILLS,), (Aim("kill → row", "p50", 60, agents=1000),))


def test_nothing_measured_is_an_empty_table() -> None:
    assert len(table((), AIMS).splitlines()) == 1


def test_json_has_the_same_aims() -> None:
    (said,) = as_json((KILLS,), (REACHED, MISSED))
    assert [(aim["statistic"], aim["reached"]) for aim in said["aims"]] == [("p50", True), ("p99", False)]
    assert said["values"] == KILLS.values


def test_deciding_is_measured_where_nothing_and_where_everything_is_new() -> None:
    figures = list(deciding.measure(2, agents=60))
    assert [figure.what for figure in figures] == ["decide(), nothing is new", "decide(), all are new"]
    assert all(value > 0 for figure in figures for value in figure.values)
