"""Hold files: whoever wrote one, and however badly, it holds."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from supervise.holds import read_holds, remove_hold, write_hold
from supervise.model import Hold
from tests.nouns import NOON, places_in

HOLD = Hold("market_data", 'too many "orders"\n日本', "ada", NOON)


def test_a_hold_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    there = places_in(tmp_path)
    write_hold(there, HOLD)
    assert read_holds(there) == {"market_data": HOLD}


def test_the_file_is_the_one_that_units_assert_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    there = places_in(tmp_path)
    write_hold(there, HOLD)
    assert list(there.holds.iterdir()) == [there.hold("market_data")]


def test_a_second_hold_takes_the_place_of_the_first(tmp_path: Path) -> None:
    there = places_in(tmp_path)
    write_hold(there, HOLD)
    write_hold(there, Hold("market_data", "still", "bob", NOON))
    assert read_holds(there)["market_data"].by == "bob"


def test_each_agent_has_its_own(tmp_path: Path) -> None:
    there = places_in(tmp_path)
    for name in ("sma", "scanner.1"):
        write_hold(there, Hold(name, "x", "ada", NOON))
    assert list(read_holds(there)) == ["scanner.1", "sma"]


def test_a_hold_that_is_removed_is_gone_and_removing_it_again_says_so(tmp_path: Path) -> None:
    there = places_in(tmp_path)
    write_hold(there, HOLD)
    assert remove_hold(there, "market_data")
    assert not remove_hold(there, "market_data")
    assert read_holds(there) == {}


def test_where_nothing_was_ever_held_nothing_is(tmp_path: Path) -> None:
    assert read_holds(places_in(tmp_path)) == {}
    assert not remove_hold(places_in(tmp_path), "sma")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"reason": "x"}', b'{"reason":"x","by":"y","at":"soon"}'],
)
def test_a_file_that_cannot_be_understood_still_holds(tmp_path: Path, content: bytes) -> None:
    there = places_in(tmp_path)
    there.holds.mkdir(parents=True)
    there.hold("sma").write_bytes(content)
    os.utime(there.hold("sma"), (1_700_000_000, 1_700_000_000))
    at = datetime.fromtimestamp(1_700_000_000, UTC)
    assert read_holds(there) == {"sma": Hold("sma", "no reason is recorded", "somebody", at)}


def test_a_file_half_written_holds_nobody(tmp_path: Path) -> None:
    there = places_in(tmp_path)
    there.holds.mkdir(parents=True)
    (there.holds / ".sma").write_text("{")
    assert read_holds(there) == {}
