"""Sizes as systemd writes them: `512M`, `1.5G`, `1G 512M`; every step is 1024 and a bare number is bytes.

The rules are those of systemd's `parse_size` with base 1024 (src/basic/parse-util.c).
"""

from __future__ import annotations

import re

_SUFFIXES = ("E", "P", "T", "G", "M", "K", "B", "")
_FACTORS = (1024**6, 1024**5, 1024**4, 1024**3, 1024**2, 1024, 1, 1)
_PART = re.compile(r"[ \t\n\r]*\+?(?P<whole>[0-9]+)(?:\.(?P<fraction>[0-9]*))?[ \t\n\r]*(?P<suffix>[EPTGMKB]?)")
_LIMIT = 2**64 - 1


def size(text: str) -> int:
    """The bytes that systemd reads in `text`; ValueError with one sentence if it reads none."""
    total, position, allowed = 0, 0, 0
    while position < len(text) or not position:
        match = _PART.match(text, position)
        rank = _SUFFIXES.index(match["suffix"]) if match else 0
        if match is None or rank < allowed:
            raise ValueError(f"'{text}' is not a size: write 512M or 1.5G (K, M, G, T; steps of 1024)")
        total += _bytes(match["whole"], match["fraction"] or "", _FACTORS[rank])
        if total > _LIMIT:
            raise ValueError(f"'{text}' is more than systemd can count: write infinity")
        position, allowed = match.end(), rank + 1
    return total


def _bytes(whole: str, fraction: str, factor: int) -> int:
    return int(whole) * factor + (int(fraction) * factor // 10 ** len(fraction) if fraction else 0)


def size_text(count: int) -> str:
    """`count` bytes with the largest suffix that keeps it whole: `512M`, `1536K`, `100`."""
    for suffix, factor in zip(_SUFFIXES[:-2], _FACTORS, strict=False):
        if count and count % factor == 0:
            return f"{count // factor}{suffix}"
    return str(count)
