"""Whatever an agent says, what is sent is bounded and valid."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.agent.state import State
from supervise.agent.wording import LONGEST_DATAGRAM, datagram, fraction, line, number, percent, reason, status_text

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(),
    st.text(st.characters(exclude_categories=[])),  # lone surrogates, too
    st.text('"\\', min_size=1).map(lambda text: text * 3000),
    st.text("ż€🙂", min_size=1).map(lambda text: text * 3000),
    st.builds(object),
)
METADATA = st.one_of(ANYTHING, st.dictionaries(ANYTHING.filter(lambda one: one.__hash__ is not None), ANYTHING))


class Broken:
    """A value whose every conversion fails."""

    def __str__(self) -> str:
        raise RuntimeError("broken")

    def __float__(self) -> float:
        raise RuntimeError("broken")


@given(activity=ANYTHING, what=ANYTHING, progress=ANYTHING, health=ANYTHING, metadata=METADATA)
def test_anything_that_an_agent_says_becomes_a_datagram_that_fits(
    activity: object, what: object, progress: object, health: object, metadata: object
) -> None:
    state = State("n" * 500)
    state.works(activity, progress=progress, health=health, metadata=metadata)
    state.is_in_trouble("error", error=reason(what), waiting=reason(what), health=health)
    sent = datagram(state.fields)
    assert len(sent) <= LONGEST_DATAGRAM
    told = json.loads(sent.decode(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert told["status"] == "error"
    assert 0 <= told.get("progress", 0) <= 1
    assert told.get("health", 0) in range(101)
    status = f"STATUS={status_text(state.fields)}".encode()
    assert len(status) <= 1024
    assert not any(byte < 0x20 or byte in (0x7F, ord("\\")) for byte in status)


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("page 3", "page 3"),
        ("two\nlines\r\n\tand  a tab ", "two lines and a tab"),
        ("\x1b[2Jred\x07", "�[2Jred�"),
        ("lone \ud800 surrogate", "lone � surrogate"),
        (None, "None"),
        (Broken(), "<Broken>"),
    ],
)
def test_a_text_becomes_one_printable_line(said: object, sent: str) -> None:
    assert line(said) == sent


@pytest.mark.parametrize("letter", ["a", "ż", "€", "🙂"])
@pytest.mark.parametrize("limit", range(20, 25))
def test_a_long_text_is_cut_between_characters(letter: str, limit: int) -> None:
    cut = line(letter * 100, limit)
    assert limit - 3 <= len(cut.encode()) <= limit
    assert cut == letter * (len(cut) - 1) + "…"


def test_an_exception_is_told_with_its_kind() -> None:
    assert reason(ValueError("no such page")) == "ValueError: no such page"
    assert reason(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert reason("login failed") == "login failed"


@pytest.mark.parametrize(
    ("given", "health"), [(90, 90), (89.6, 90), (-3, 0), (1e9, 100), ("75", 75), ("high", None), (float("nan"), None)]
)
def test_health_is_a_whole_number_of_a_hundred(given: object, health: int | None) -> None:
    assert percent(given) == health


def test_progress_is_a_part_of_one() -> None:
    assert [fraction(one) for one in (0.4, 1 / 3, 7, -1, float("inf"), "much")] == [0.4, 0.3333, 1.0, 0.0, 1.0, None]
    assert number(Broken()) is None


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"status": "running", "activity": "page 3"}, "page 3"),
        ({"status": "running"}, ""),
        ({"status": "warning", "activity": "page 3", "waiting": "no route"}, "waiting: no route"),
        ({"status": "warning", "error": "rate limit near"}, "warning: rate limit near"),
        ({"status": "error", "error": r"C:\new"}, "error: C:/new"),
        ({"status": "stopping", "activity": "page 3"}, "stopping"),
    ],
)
def test_the_status_text_says_the_worst(fields: dict[str, Any], text: str) -> None:
    assert status_text(fields) == text


def test_metadata_goes_along_if_it_fits() -> None:
    state = State("sma")
    state.works("page", metadata={"symbol": "BTC", "zł": 1.5, "path": object})
    state.is_well()
    assert json.loads(datagram(state.fields))["metadata"] == {"symbol": "BTC", "zł": 1.5, "path": "<class 'object'>"}


@pytest.mark.parametrize(
    ("metadata", "mark"),
    [
        ({"much": "x" * 9000}, "too large"),
        ({"nan": float("nan")}, "no JSON"),
        ({(1, 2): "pair"}, "no JSON"),
        (["a list"], "no mapping"),
    ],
)
def test_metadata_that_cannot_be_sent_leaves_a_mark(metadata: Any, mark: str) -> None:
    state = State("sma")
    state.works("page 3", metadata=metadata)
    state.is_well()
    told = json.loads(datagram(state.fields))
    assert mark in told["metadata"]["_dropped"]
    assert told["activity"] == "page 3"


def test_half_a_character_in_metadata_costs_no_more_than_itself() -> None:
    assert json.loads(datagram({"metadata": {"name": "a\ud800b"}}))["metadata"] == {"name": "a?b"}


def test_metadata_that_goes_round_in_a_circle_leaves_a_mark() -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    assert "no JSON" in json.loads(datagram({"metadata": circle}))["metadata"]["_dropped"]
