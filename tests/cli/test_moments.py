"""Moments as options write them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from supervise.cli.moments import moment
from supervise.errors import UsageError
from tests.nouns import NOON


@pytest.fixture(autouse=True)
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("2h", timedelta(hours=2)),
        ("1d 30min", timedelta(days=1, minutes=30)),
        ("90", timedelta(seconds=90)),
        ("0", timedelta()),
    ],
)
def test_a_span_is_so_long_ago(text: str, ago: timedelta) -> None:
    assert moment(text, NOON) == NOON - ago


def test_a_span_counts_from_now_where_nothing_else_is_said() -> None:
    before = datetime.now(UTC)
    assert before - timedelta(hours=1) <= moment("1h") <= datetime.now(UTC) - timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-01-31T12:00", datetime(2026, 1, 31, 17, tzinfo=UTC)),
        ("2026-07-31 12:00:30", datetime(2026, 7, 31, 16, 0, 30, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, 5, tzinfo=UTC)),
        ("2026-01-31T12:00+01:00", datetime(2026, 1, 31, 11, tzinfo=UTC)),
        ("2026-01-31T12:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ],
)
def test_a_time_is_of_this_machines_zone_unless_it_has_one_written(text: str, meant: datetime) -> None:
    found = moment(text)
    assert (found, found.tzinfo) == (meant, UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10:01:30", datetime(2026, 2, 28, 15, 1, 30, tzinfo=UTC)),
        ("10:01", datetime(2026, 2, 28, 15, 1, tzinfo=UTC)),
        ("23:00", datetime(2026, 3, 1, 4, tzinfo=UTC)),
    ],
)
def test_a_time_alone_is_of_this_day_here(text: str, meant: datetime) -> None:
    assert moment(text, datetime(2026, 3, 1, 4, 30, tzinfo=UTC)) == meant


@pytest.mark.parametrize(
    "text",
    [
        "25:00",
        "10:1",
        "",
        "yesterday",
        "-2h",
        "infinity",
        "9000y",
        "2026-13-01",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59-05:00",
    ],
)
def test_what_is_neither_is_refused_with_what_it_may_be(text: str) -> None:
    with pytest.raises(UsageError, match=r"is neither a span such as 2h nor a time such as 12:30 or 2026-01-31T12:00$"):
        moment(text)
