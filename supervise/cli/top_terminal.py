"""The terminal while `top` has it: another screen, no cursor, keys at once. It is given back whatever happens."""

from __future__ import annotations

import os
import signal
import sys
import termios
import tty
from contextlib import suppress
from types import TracebackType

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[2J"
"""The alternate screen, no cursor, pasted text in brackets."""
LEAVE = "\x1b[?2004l\x1b[?25h\x1b[?1049l"
TOP, REST_OF_LINE, REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


class Terminal:
    """Standard input and output, both a terminal."""

    def __init__(self) -> None:
        self.input, self.output = sys.stdin.fileno(), sys.stdout.fileno()
        self._before = termios.tcgetattr(self.input)

    def __enter__(self) -> Terminal:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()

    def take(self) -> None:
        tty.setcbreak(self.input)
        self._write(ENTER)

    def give_back(self) -> None:
        with suppress(OSError, termios.error):  # a terminal that has gone needs nothing back
            self._write(LEAVE)
            termios.tcsetattr(self.input, termios.TCSADRAIN, self._before)

    def stop(self) -> None:
        """Ctrl-Z: the shell has the terminal until it wakes us."""
        self.give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.take()

    @property
    def size(self) -> os.terminal_size:
        return os.get_terminal_size(self.output)

    def show(self, frame: str) -> None:
        """Over what is there, line by line, so that nothing flickers."""
        lines = frame.split("\n")
        self._write(TOP + f"{REST_OF_LINE}\r\n".join(lines) + REST_OF_LINE + REST_OF_SCREEN)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def is_terminal() -> bool:
    """Whether there is one that can do all this."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
