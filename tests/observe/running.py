"""Real processes for tests: started in a folder of their own, and gone when the test is over, whatever they became."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from supervise.model import AgentSpec, Process, Scope
from supervise.observe.scan import scan

T = TypeVar("T")
WAITS = "import signal\nsignal.pause()\n"


class Running:
    """Starts programs that work below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def start(
        self, *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        started = subprocess.Popen(
            words,
            cwd=cwd or self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "FOLDER": str(self.folder), **(env or {})},
        )
        self._started.append(started)
        return started

    def seen(self) -> tuple[Process, ...]:
        """What the scanner shows of the processes below the folder."""
        return tuple(one for one in scan().processes if one.directory and one.directory.is_relative_to(self.folder))

    def stop(self) -> None:
        while left := self.seen():
            for one in left:
                with suppress(ProcessLookupError):
                    os.kill(one.id.pid, signal.SIGKILL)
        for started in self._started:
            started.kill()
            started.wait()
            if started.stdin:
                started.stdin.close()


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    programs = Running(folder)
    try:
        yield programs
    finally:
        programs.stop()


def eventually(ask: Callable[[], T], *, within: float = 20) -> T:
    """The first answer that is true, or the last one."""
    deadline = time.monotonic() + within
    while not (answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return answer


def spec(name: str, folder: Path, *words: str) -> AgentSpec:
    return AgentSpec(name, name, name, "test", Scope.SYSTEM, words, folder)
