"""Lengths of time as systemd writes them: `30s`, `1min 30s`, `1h30`, `infinity`; a bare number is seconds.

The rules are those of systemd's `parse_time` (src/basic/time-util.c, described in systemd.time(7)), so that a unit file
and we never disagree about a value.
"""

from __future__ import annotations

import re
from datetime import timedelta

from supervise.model import FOREVER

_SECOND = 1_000_000
_UNITS = {
    ("seconds", "second", "sec", "s"): _SECOND,
    ("minutes", "minute", "min"): 60 * _SECOND,
    ("months", "month", "M"): 2_629_800 * _SECOND,
    ("msec", "ms"): 1000,
    ("m",): 60 * _SECOND,
    ("hours", "hour", "hr", "h"): 3600 * _SECOND,
    ("days", "day", "d"): 86_400 * _SECOND,
    ("weeks", "week", "w"): 7 * 86_400 * _SECOND,
    ("years", "year", "y"): 31_557_600 * _SECOND,
    ("usec", "us", "\u03bcs", "\u00b5s"): 1,
}
_MICROSECONDS = {word: size for words, size in _UNITS.items() for word in words}
_PART = re.compile(
    rf"(?:\+?(?P<whole>[0-9]+))?(?:\.(?P<fraction>[0-9]+))?(?P<gap>[ \t\n\r]*)(?P<unit>{'|'.join(_MICROSECONDS)})?"
)
_WHITE = " \t\n\r"
_LIMIT = 2**64 - 1
_SHOWN = {"d": 86_400 * _SECOND, "h": 3600 * _SECOND, "min": 60 * _SECOND, "s": _SECOND, "ms": 1000, "us": 1}


def span(text: str) -> timedelta:
    """The length of time that systemd reads in `text`; ValueError with one sentence if it reads none."""
    rest = text.strip(_WHITE)
    if rest == "infinity":
        return FOREVER
    if not rest:
        raise ValueError("an empty text is not a time span: write 30s, 5min or 1h 30min")
    total = 0
    while rest:
        if rest.startswith("-"):
            raise ValueError(f"'{text}' is negative: a time span cannot be")
        microseconds, rest = _part(rest, text)
        total += microseconds
        if total >= _LIMIT:
            raise _too_long(text)
    return timedelta(microseconds=total)


def _part(rest: str, text: str) -> tuple[int, str]:
    """The first number with its unit, and what follows it."""
    match = _PART.match(rest)
    if match is None or not (match["whole"] or match["fraction"]):
        raise _not_a_span(text)
    after = rest[match.end() :]
    if after and not match["gap"] and not match["unit"]:
        raise _not_a_span(text)
    unit = _MICROSECONDS[match["unit"]] if match["unit"] else _SECOND
    whole = int(match["whole"] or 0)
    if whole >= 2**63 or whole >= _LIMIT // unit:
        raise _too_long(text)
    return whole * unit + _fraction(match["fraction"] or "", unit), after.lstrip(_WHITE)


def _fraction(digits: str, unit: int) -> int:
    """What the digits after the point are worth; each is cut to whole microseconds, as systemd does."""
    worth = 0
    for digit in digits:
        unit //= 10
        worth += int(digit) * unit
    return worth


def _not_a_span(text: str) -> ValueError:
    return ValueError(f"'{text}' is not a time span: write 30s, 5min or 1h 30min")


def _too_long(text: str) -> ValueError:
    return ValueError(f"'{text}' is longer than systemd can count: write infinity")


def span_text(length: timedelta) -> str:
    """`length` in systemd's notation, exact to the microsecond: `1min 30s`, `0`, `infinity`."""
    if length == FOREVER:
        return "infinity"
    left = length // timedelta(microseconds=1)
    if left < 0:
        raise ValueError(f"{length} is negative: a time span cannot be")
    words = []
    for unit, size in _SHOWN.items():
        count, left = divmod(left, size)
        if count:
            words.append(f"{count}{unit}")
    return " ".join(words) or "0"
