"""Texts of a certain shape: each function returns the text if it fits, or says in one sentence what is wrong."""

from __future__ import annotations

import re
import signal
import unicodedata
from collections.abc import Callable
from difflib import get_close_matches
from enum import StrEnum
from urllib.parse import urlsplit

from supervise.config.leaf import shortened
from supervise.config.nodes import Scalar

BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
LINE_BREAKS = frozenset("\u2028\u2029")
AGENT_NAME = r"[a-z][a-z0-9_]{0,50}"


def did_you_mean(word: str, known: list[str]) -> str:
    """`; did you mean 'x'?` with the nearest known word, or nothing."""
    near = get_close_matches(word, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def unusable(text: str) -> str | None:
    """Why no program could ever be given this text; None if it could."""
    if "\0" in text:
        return "a NUL character is not allowed"
    if not text.isascii() and any(map(_no_character, text)):
        return "this is not valid Unicode text"
    return None


def _no_character(character: str) -> bool:
    """Surrogates, and the code points that Unicode keeps free for ever: systemd drops a line that has one."""
    code = ord(character)
    return 0xD800 <= code <= 0xDFFF or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def word(text: Scalar) -> str:
    """Any text, byte for byte."""
    return str(text)


def line(text: Scalar) -> str:
    """One visible line."""
    if not text.strip():
        raise ValueError("must not be empty")
    for character in text:
        if unicodedata.category(character) == "Cc" or character in LINE_BREAKS:
            raise ValueError(f"must be one line without control characters; it has U+{ord(character):04X}")
        if character in BIDI:
            raise ValueError(f"must not change the direction of text; it has U+{ord(character):04X}")
    return str(text)


def path(text: Scalar) -> str:
    line(text)
    if text[-1] == "\\" or text[-1].isspace():
        raise ValueError("a path must not end in a backslash or white space")
    return str(text)


def pattern(expression: str, sentence: str) -> Callable[[Scalar], str]:
    """Text of a fixed shape; `sentence` says which, after the offending text."""
    compiled = re.compile(expression)

    def parse(text: Scalar) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"'{shortened(text)}' {sentence}")
        return str(text)

    return parse


def url(text: Scalar) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError(f"'{shortened(text)}' is not a URL: write http://localhost:8000")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL must not carry a user or password: everybody on this machine can read it")
    return str(text)


def probe_url(text: Scalar) -> str:
    """A whole URL, or a path below the agent's `url`."""
    if not text.startswith("/"):
        return url(text)
    line(text)
    if any(character.isspace() for character in text):
        raise ValueError(f"'{shortened(text)}' has white space in it: write a path such as /health")
    return str(text)


def endpoint(text: Scalar) -> str:
    """`host:port`; an IPv6 address stands in brackets."""
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    named = re.fullmatch(r"[A-Za-z0-9_.-]+", host) is not None
    if not (bracketed or named) or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError(f"'{shortened(text)}' is not HOST:PORT: write localhost:8000 or [::1]:8000")
    return str(text)


def signal_name(text: Scalar) -> str:
    """`TERM`, `SIGTERM` or `15` → `SIGTERM`."""
    try:
        if text.isdecimal():
            return signal.Signals(int(text)).name
        return signal.Signals[text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"].name
    except (ValueError, KeyError):
        known = [name.name for name in signal.Signals]
        hint = did_you_mean(f"SIG{text.upper().removeprefix('SIG')}", known)
        raise ValueError(f"'{shortened(text)}' is not a signal{hint or ': write SIGTERM or SIGINT'}") from None


def calendar(text: Scalar) -> str:
    """Only the shape of a systemd calendar expression: what it means is for systemd to say."""
    fields = text.split()
    if len(fields) == 5 and all(re.fullmatch(r"[0-9*/,-]+", each) for each in fields):
        raise ValueError("this is a cron line; systemd writes *-*-* 06:00:00 or Mon..Fri 09:30 (systemd.time(7))")
    if not re.fullmatch(r"[A-Za-z0-9*][A-Za-z0-9 *:,./~+_-]*", text):
        raise ValueError(f"'{shortened(text)}' is not a calendar expression: write daily or *-*-* 06:00:00")
    return str(text)


def choice(enum: type[StrEnum]) -> Callable[[Scalar], StrEnum]:
    """One of a few words."""
    words = [member.value for member in enum]

    def parse(text: Scalar) -> StrEnum:
        if text not in words:
            hint = did_you_mean(text, words)
            raise ValueError(f"'{shortened(text)}' is not one of {', '.join(words)}{hint}")
        return enum(text)

    return parse


agent_name = pattern(AGENT_NAME, "is not an agent's name: small letters, digits and _, a letter first, at most 51")
