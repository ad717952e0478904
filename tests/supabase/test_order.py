"""Newest wins, whatever the order in which it arrives: by epoch and seq, and by no clock."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.supabase.nouns import opened, report, row, stored
from tests.supabase.stack import Api


def test_a_row_that_is_reported_is_there_for_all_to_read(api: Api) -> None:
    epoch = opened(api)
    answer = report(api, epoch, row("sma", 1, health=77))
    assert answer == {
        "rows": [{"name": "sma", "applied": True, "row": None, "lock": None}],
        "superseded": False,
        "unknown_session": False,
        "commands": 0,
    }
    (found,) = stored(api)
    assert (found["host"], found["name"], found["health"]) == ("ares", "sma", 77)
    assert (found["epoch"], found["seq"]) == (epoch, 1)


@pytest.mark.parametrize("order", list(permutations([1, 2, 3])))
def test_the_newest_seq_stays_in_whatever_order_they_come(api: Api, order: tuple[int, ...]) -> None:
    epoch = opened(api)
    for seq in order:
        report(api, epoch, row("sma", seq, health=seq))
    (found,) = stored(api)
    assert (found["seq"], found["health"]) == (3, 3)


def test_what_comes_twice_is_applied_and_changes_nothing(api: Api) -> None:
    epoch = opened(api)
    first = report(api, epoch, row("sma", 1))
    before = stored(api)
    assert report(api, epoch, row("sma", 1)) == first
    assert stored(api) == before


def test_a_row_that_is_older_is_refused_by_name(api: Api) -> None:
    epoch = opened(api)
    report(api, epoch, row("sma", 5))
    answer = report(api, epoch, row("ema", 6, agent_name="EMA"), row("sma", 4))
    assert [(one["name"], one["applied"]) for one in answer["rows"]] == [("ema", True), ("sma", False)]
    assert stored(api, name="sma")[0]["seq"] == 5
