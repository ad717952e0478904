"""Runs an example as the real process it is, in a copy of its folder, and waits for its lines with a deadline."""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

PLAIN = {
    "PATH": os.environ["PATH"],
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "SUPERVISE_SINGLE": "0",  # the tests of two workers may run one example at once
    "SUPERVISE_AGENT_SOCKET": "/nonexistent/agent.sock",  # … and are nothing for this machine's reconciler
}


def copied(name: str, to: Path) -> Path:
    """A copy of one example's folder, so that what it writes beside itself stays out of the checkout."""
    return Path(shutil.copytree(EXAMPLES / name, to / name, dirs_exist_ok=True))


class Running:
    """A process and the lines that it has written."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.seen: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def line(self, pattern: str, *, timeout: float = 10) -> re.Match[str]:
        """The next line that fits; what was written before it is kept in `seen`."""
        while True:
            try:
                text = self._lines.get(timeout=timeout)
            except queue.Empty:
                raise AssertionError(f"waited {timeout:g} s in vain for {pattern!r}; saw {self.seen}") from None
            if text is None:
                raise AssertionError(f"it ended without {pattern!r}; saw {self.seen}")
            self.seen.append(text)
            if found := re.search(pattern, text):
                return found

    def exit_code(self, *, timeout: float = 10) -> int:
        return self.process.wait(timeout)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(10)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for text in lines:
                self._lines.put(text.rstrip("\n"))
        self._lines.put(None)


@contextmanager
def running(folder: Path, *argv: str, **environment: str) -> Iterator[Running]:
    """`python argv…` in `folder`, with nothing but these settings in its environment. Killed at the end."""
    process = subprocess.Popen(
        [sys.executable, *argv],
        cwd=folder,
        env={**PLAIN, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    found = Running(process)
    try:
        yield found
    finally:
        found.end()
