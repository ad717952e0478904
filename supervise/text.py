"""What foreign text must pass before it reaches a terminal, a page or a message: it may hold anything; and how things
are counted. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
UNSAFE = re.compile(f"[\x00-\x1f\x7f-\x9f{BIDI}\u2028\u2029\ud800-\udfff\ufeff]")
SECRET_WORDS = frozenset({"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "APIKEY"})
MASK = "•••"


def shown(text: str, *, limit: int | None = None) -> str:
    """The text on one line, with every control, bidi and separator character made visible and none left to act."""
    safe = text if text.isprintable() else UNSAFE.sub(lambda found: _picture(found[0]), text)
    return safe if limit is None or len(safe) <= limit else safe[: limit - 1] + "…"


def _picture(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)  # ␀ … ␟, the control pictures
    return "␡" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"


def secret_looking(name: str) -> bool:
    """Whether a name says that its value is a secret (`API_KEY`, `--auth-token`), not where one lies (`KEY_FILE`)."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", name.upper()) if part]
    return bool(parts) and parts[-1] not in ("FILE", "PATH") and not SECRET_WORDS.isdisjoint(parts)


def masked(words: Iterable[str]) -> tuple[str, ...]:
    """A command line with the values of secret-looking options and assignments hidden."""
    hidden: list[str] = []
    hide_next = False
    for word in words:
        name, equals, _ = word.partition("=")
        if hide_next:
            hidden.append(MASK)
        elif equals and secret_looking(name):
            hidden.append(f"{name}={MASK}")
        else:
            hidden.append(word)
        hide_next = not equals and word.startswith("-") and secret_looking(word)
    return tuple(hidden)


def counted(number: int, noun: str) -> str:
    """`1 agent`, `2 agents`, `3 processes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('s') else 's'}"


def columns(text: str) -> int:
    """Columns that the text takes in a terminal."""
    return sum(
        2 if unicodedata.east_asian_width(one) in "WF" else 0 if unicodedata.combining(one) else 1 for one in text
    )
