"""What a terminal sends, as keys: `a`, `up`, `pagedown`, `esc`, `paste:…`. It only remembers what is unfinished.

A pasted text is one key: it must not give orders.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

PASTE, PASTED = "\x1b[200~", "\x1b[201~"
SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~])")
"""A key that sends more than a character (ECMA-48, 5.4; SS3)."""
UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
NAMES = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x1b[5~": "pageup",
    "\x1b[6~": "pagedown",
    "\x1b[H": "home",
    "\x1bOH": "home",
    "\x1b[1~": "home",
    "\x1b[F": "end",
    "\x1bOF": "end",
    "\x1b[4~": "end",
    "\x1bOP": "f1",
    "\x1b[11~": "f1",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x15": "clear",
    "\x0c": "redraw",
}


class Keys:
    """Reads bytes, gives keys. `flush` when nothing more has come for a moment: then an ESC was the key itself."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._left = ""

    @property
    def waits(self) -> bool:
        """Whether more must come, or a moment pass."""
        return bool(self._left)

    def read(self, content: bytes) -> list[str]:
        self._left += self._decoder.decode(content)
        return list(self._keys())

    def flush(self) -> list[str]:
        left, self._left = self._left, ""
        return ["esc"] if left == "\x1b" else []

    def _keys(self) -> Iterator[str]:
        while self._left:
            if self._left.startswith(PASTE):
                text, end, rest = self._left[len(PASTE) :].partition(PASTED)
                if not end:
                    return
                self._left = rest
                yield f"paste:{text}"
            elif found := SEQUENCE.match(self._left):
                self._left = self._left[found.end() :]
                if found[0] in NAMES:
                    yield NAMES[found[0]]
            elif UNFINISHED.match(self._left):
                return
            else:
                one, self._left = self._left[0], self._left[1:]
                yield "esc" if one == "\x1b" else NAMES.get(one, one)
