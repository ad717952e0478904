"""A terminal for tests: a program runs in a real pseudo-terminal, and what it draws is read by pyte."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import pyte

UP, DOWN, ESC, ENTER = "\x1b[A", "\x1b[B", "\x1b", "\r"


class Screen:
    """A program and its screen. `raw` is every byte that it has written."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], *, width: int = 120, height: int = 24) -> None:
        self.raw = b""
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self.master, slave = pty.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self.process = subprocess.Popen(
            argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(environ),
            start_new_session=True,
            preexec_fn=_control,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._slave)
        self._reader.join(5)
        os.close(self.master)

    @property
    def lines(self) -> list[str]:
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def settings(self) -> list[object]:
        """Those of the terminal, as stty(1) shows them."""
        return list(termios.tcgetattr(self._slave))

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        with self._lock:
            self._screen.resize(height, width)

    def hang_up(self) -> None:
        """The terminal is gone, as when its window is closed."""
        for descriptor in (self._slave, self.master):
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)

    def until(self, condition: Callable[[str], object], what: str, *, timeout: float = 15) -> str:
        """The screen once it fulfils a condition."""
        deadline = time.monotonic() + timeout
        while not condition(text := self.text):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {what}; the screen:\n{text}")
            time.sleep(0.01)
        return text

    def ends(self, timeout: float = 15) -> int:
        """Its exit code."""
        return self.process.wait(timeout)

    def _read(self) -> None:
        while True:
            try:
                content = os.read(self.master, 65536)
            except OSError:  # nobody has the other end open any more
                return
            if not content:
                return
            with self._lock:
                self.raw += content
                self._stream.feed(content)


def _control() -> None:
    """The terminal becomes that of the new session, so that its Ctrl-C is a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
