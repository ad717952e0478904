"""Foreign text is harmless once shown, and a command line can be shown without its secrets."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.text import MASK, columns, masked, secret_looking, shown

BIDI = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
MARKS = "\u061c\u200e\u200f"
ANYTHING = st.text(
    st.one_of(
        st.characters(),
        st.characters(categories=["Cc", "Cs", "Zl", "Zp"]),
        st.sampled_from(f"{MARKS}\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\u2028\u2029\x1b\x9b"),
    )
)


def acts(character: str) -> bool:
    """Whether it does something to a terminal or a page instead of being seen; by Unicode's own tables."""
    return (
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in BIDI
        or character in f"{MARKS}\ufeff"
    )


@given(ANYTHING)
def test_nothing_shown_acts(text: str) -> None:
    assert not [character for character in shown(text) if acts(character)]


def test_each_character_that_acts_is_replaced_and_no_other() -> None:
    for character in map(chr, range(0x10000)):
        assert (shown(character) != character) is acts(character), hex(ord(character))


@given(ANYTHING)
def test_what_is_shown_is_shown_as_it_is(text: str) -> None:
    assert shown(shown(text)) == shown(text)


@given(ANYTHING)
def test_only_what_acts_is_replaced_one_by_one(text: str) -> None:
    assert [a for a, b in zip(text, shown(text), strict=True) if a != b] == [one for one in text if acts(one)]


@given(ANYTHING, st.integers(1, 20))
def test_a_limit_is_kept_and_a_cut_is_marked(text: str, limit: int) -> None:
    cut = shown(text, limit=limit)
    assert len(cut) <= limit
    assert cut == shown(text) if len(text) <= limit else cut.endswith("…")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("a\nb\tc\0", "a␊b␉c␀"),
        ("del\x7f", "del␡"),
        ("user\u202egnp.exe", "user\ufffdgnp.exe"),
        ("résumé 日本 🙂", "résumé 日本 🙂"),
    ],
)
def test_a_control_character_becomes_its_picture(text: str, seen: str) -> None:
    assert shown(text) == seen


# --- Secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["API_KEY", "--auth-token", "db.password", "Secret", "STRIPE_APIKEY", "key"])
def test_a_name_that_says_secret_is_seen(name: str) -> None:
    assert secret_looking(name)


@pytest.mark.parametrize("name", ["KEY_FILE", "--token-path", "MONKEY", "KEYBOARD", "", "--", "tokens_total"])
def test_a_name_that_only_sounds_like_one_is_not(name: str) -> None:
    assert not secret_looking(name)


@pytest.mark.parametrize(
    ("words", "hidden"),
    [
        (["x", "--token", "abc", "run"], ("x", "--token", MASK, "run")),
        (["x", "--token=abc", "run"], ("x", f"--token={MASK}", "run")),
        (["API_KEY=a=b", "x"], (f"API_KEY={MASK}", "x")),
        (["x", "token", "abc"], ("x", "token", "abc")),
        (["x", "--token", "--api-key", "abc"], ("x", "--token", MASK, MASK)),
        (["x", "--token-file", "/etc/t"], ("x", "--token-file", "/etc/t")),
        (["x", "--token"], ("x", "--token")),
        ([], ()),
    ],
)
def test_values_of_secret_looking_options_are_hidden(words: list[str], hidden: tuple[str, ...]) -> None:
    assert masked(words) == hidden


@given(st.lists(st.text()), st.text(min_size=1), st.booleans())
def test_a_secret_value_is_never_left_and_all_else_is(before: list[str], value: str, joined: bool) -> None:
    words = [f"--api-key={value}"] if joined else ["--api-key", value]
    harmless = [word for word in before if not secret_looking(word.partition("=")[0])]
    left = masked([*harmless, *words])
    assert left[: len(harmless)] == tuple(harmless)
    assert left[-1] == (f"--api-key={MASK}" if joined else MASK)


@pytest.mark.parametrize(("text", "wide"), [("", 0), ("abc", 3), ("日本", 4), ("e\u0301", 1), ("🙂", 2)])
def test_the_width_is_that_of_a_terminal(text: str, wide: int) -> None:
    assert columns(text) == wide
