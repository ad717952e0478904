"""Which agents a command means."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from supervise.errors import NoSuchAgent, UsageError
from supervise.selection import select
from tests.nouns import spec

SPECS = (
    spec("market_data", title="Market Data Agent", tags=("feed",)),
    spec("scanner.1", title="Scanner #1", tags=("feed", "slow")),
    spec("scanner.2", title="Scanner #2", tags=("slow",)),
    spec("sma", title="scan*"),
)


def names(words: Sequence[str] = (), *, everyone: bool = False, tags: Sequence[str] = ()) -> list[str]:
    return [one.name for one in select(SPECS, words, everyone=everyone, tags=tags)]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("sma", ["sma"]),
        ("Market Data Agent", ["market_data"]),
        ("agent@market_data.service", ["market_data"]),
        ("scanner", ["scanner.1", "scanner.2"]),
        ("scanner.2", ["scanner.2"]),
        ("s*", ["scanner.1", "scanner.2", "sma"]),
        ("Scanner #?", ["scanner.1", "scanner.2"]),
        ("[!s]*", ["market_data", "scanner.1", "scanner.2"]),
    ],
)
def test_a_word_means_a_name_a_title_a_base_a_unit_or_a_glob(word: str, meant: list[str]) -> None:
    assert names([word]) == meant


def test_what_is_written_exactly_is_no_glob() -> None:
    assert names(["scan*"]) == ["sma"]


def test_the_order_is_that_of_the_agents_and_each_comes_once() -> None:
    assert names(["sma", "scanner", "s*", "sma"]) == ["scanner.1", "scanner.2", "sma"]


def test_all_means_all() -> None:
    assert names(everyone=True) == [one.name for one in SPECS]


def test_tags_and_words_add_up() -> None:
    assert names(["sma"], tags=["feed"]) == ["market_data", "scanner.1", "sma"]


def test_a_word_that_fits_none_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(NoSuchAgent, match=r'there is no agent "market_dta"; did you mean "market_data"\?'):
        names(["sma", "market_dta"])


def test_where_nothing_is_near_the_error_says_where_to_look() -> None:
    with pytest.raises(NoSuchAgent, match="`supervise status` lists"):
        names(["zzz"])


def test_capital_letters_count_in_globs() -> None:
    with pytest.raises(NoSuchAgent, match="there is no agent"):
        names(["MARKET*"])


def test_a_tag_that_nobody_has_is_an_error() -> None:
    with pytest.raises(NoSuchAgent, match="no agent has the tag fast or odd"):
        names(tags=["odd", "fast"])


def test_saying_nothing_is_a_mistake_and_not_everybody() -> None:
    with pytest.raises(UsageError, match="say which agents"):
        names()


@pytest.mark.parametrize("everyone", [True, False])
def test_with_nothing_installed_the_error_says_how_to_begin(everyone: bool) -> None:
    with pytest.raises(NoSuchAgent, match="`supervise init`"):
        select((), [], everyone=everyone)
