"""The fenced blocks of the README, so that each of them is run by a test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def text() -> str:
    return README.read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return [found["text"] for found in BLOCK.finditer(text()) if found["kind"] == kind]


def commands() -> Iterator[str]:
    """The lines behind a `$`, without the remark at their end."""
    for block in blocks("console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                yield line[2:].partition(" #")[0].rstrip()
