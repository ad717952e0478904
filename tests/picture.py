"""Turns what a terminal showed (standard input, with its colours) into an SVG. Run by `scripts/picture`."""

from __future__ import annotations

import io
import re
import sys

from rich.console import Console
from rich.text import Text

FROM_ELSEWHERE = re.compile(r"\s*@font-face \{.*?\}|<!--.*?-->", re.DOTALL)
COLUMNS = 116


def picture(shown: str) -> str:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(shown.replace("\r", "").strip()))
    return FROM_ELSEWHERE.sub("", console.export_svg(title="supervise", unique_id="supervise")) + "\n"


if __name__ == "__main__":
    sys.stdout.write(picture(sys.stdin.read()))
