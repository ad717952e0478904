"""Bytes of a terminal as keys, however they are cut up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.cli.top_keys import Keys

TYPED = "s\x1b[A\x1b[5~ż\r\x7f/\x1bOF\x1b[200~rm -rf q\x1b[201~\x15日q"
GIVEN = ["s", "up", "pageup", "ż", "enter", "backspace", "/", "end", "paste:rm -rf q", "clear", "日", "q"]


def test_keys_have_names_and_a_pasted_text_is_one() -> None:
    assert Keys().read(TYPED.encode()) == GIVEN


@given(st.lists(st.integers(1, 12)))
def test_it_does_not_matter_how_they_come(lengths: list[int]) -> None:
    keys, content, found = Keys(), TYPED.encode(), []
    for length in [*lengths, len(content)]:
        found += keys.read(content[:length])
        content = content[length:]
    assert found == GIVEN
    assert not keys.waits


def test_an_escape_is_a_key_if_nothing_follows_it() -> None:
    keys = Keys()
    assert keys.read(b"\x1b") == []
    assert keys.waits
    assert keys.flush() == ["esc"]
    assert keys.flush() == []
    assert keys.read(b"\x1bq") == ["esc", "q"]


@pytest.mark.parametrize("content", [b"\x1b[99;5u", b"\x1b[1;5C", b"\x1b[?62c", b"\x1b[<0;10;10M"])
def test_keys_that_mean_nothing_here_are_nothing(content: bytes) -> None:
    assert Keys().read(content + b"q") == ["q"]


@given(st.binary(max_size=200))
def test_no_bytes_whatever_do_any_harm(content: bytes) -> None:
    keys = Keys()
    for key in [*keys.read(content), *keys.flush()]:
        assert key
