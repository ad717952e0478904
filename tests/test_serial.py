"""Our nouns as plain data and JSON, and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from supervise import serial
from supervise.model import FOREVER, Phase


@dataclass(frozen=True, slots=True)
class Noun:
    where: Path
    since: datetime
    length: timedelta = FOREVER
    phases: tuple[Phase, ...] = ()


ONE = Noun(Path("/srv/p"), datetime(2026, 1, 2, tzinfo=UTC), timedelta(minutes=90), (Phase.ACTIVE,))


def test_what_is_said_is_plain() -> None:
    said = {"where": "/srv/p", "since": "2026-01-02T00:00:00Z", "length": "PT5400S", "phases": ("active",)}
    assert serial.to_plain(ONE) == said


@pytest.mark.parametrize("noun", [ONE, Noun(Path(), ONE.since)], ids=["whole", "defaults"])
def test_what_is_said_is_read_back(noun: Noun) -> None:
    assert serial.of_plain(Noun, serial.to_plain(noun)) == noun
    assert serial.of_json(Noun, serial.to_json(noun)) == noun
    assert serial.of_json(Noun, serial.to_json(noun, indent=1)) == noun


def test_halves_of_surrogate_pairs_stay_in_plain_data_and_are_no_json() -> None:
    assert serial.to_plain({"words": "\ud800"}) == {"words": "\ud800"}
    with pytest.raises(UnicodeEncodeError):
        serial.to_json({"words": "\ud800"})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "truncated"),
        ('{"where": "/"}', "missing required field `since`"),
        ('{"where": "/", "since": "2026-01-02T00:00:00Z", "phases": ["flying"]}', r"\$.phases\[0\]"),
        ('{"where": "/", "since": 1}', r"\$.since"),
        ("[" * 100_000, "nested too deeply"),
    ],
    ids=["nothing", "incomplete", "unknown-word", "number", "deep"],
)
def test_what_cannot_be_read_is_a_value_error_that_says_where(text: str, why: str) -> None:
    kind: Any = Noun if text[:1] != "[" else Any
    with pytest.raises(ValueError, match=why):
        serial.of_json(kind, text)


def test_a_kind_that_nobody_can_read_is_a_mistake_of_ours_and_no_damaged_text() -> None:
    with pytest.raises(NotImplementedError):
        serial.of_plain(complex, "1+2j")
