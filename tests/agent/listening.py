"""The receiving ends of an agent's signs of life, real datagram sockets, and agents as the real processes they are."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
PREAMBLE = "import os, signal, sys, time\nfrom supervise.agent import Agent, SecretMissing, secret\n"


class Listener:
    """A bound datagram socket, as the service manager and the reconciler hold one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.open()

    def open(self) -> None:
        self.path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))

    def close(self) -> None:
        self.socket.close()

    def raw(self, timeout: float = 10) -> bytes:
        """The next datagram; TimeoutError if none comes."""
        self.socket.settimeout(timeout)
        return self.socket.recv(1 << 17)

    def heard(self, timeout: float = 10) -> str:
        return self.raw(timeout).decode()

    def beat(self, timeout: float = 10) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.raw(timeout))
        return found

    def hears(self, message: str) -> None:
        """Wait for one message and skip all before it."""
        while self.heard() != message:
            pass

    def waiting(self) -> list[bytes]:
        """All that has come and nobody has read: what was sent before this call is in it."""
        self.socket.setblocking(False)
        found = []
        try:
            while True:
                found.append(self.socket.recv(1 << 17))
        except BlockingIOError:
            return found

    def messages(self) -> list[str]:
        return [one.decode() for one in self.waiting()]

    def beats(self) -> list[dict[str, Any]]:
        return [json.loads(one) for one in self.waiting()]

    def fill(self) -> None:
        """Leave no room in the queue. What fills it is empty, and read by nobody."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            try:
                while True:
                    other.sendto(b"", str(self.path))
            except BlockingIOError:
                return


@contextmanager
def listening(path: Path) -> Iterator[Listener]:
    found = Listener(path)
    try:
        yield found
    finally:
        found.close()


def environment(**settings: str) -> Mapping[str, str]:
    """Nothing of this machine's agents or claims: only what a test sets."""
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**plain, "SUPERVISE_SINGLE": "0", "SUPERVISE_AGENT_SOCKET": "/nonexistent/agent.sock", **settings}


@contextmanager
def started(code: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """A program that uses the library; every warning in it is an error. Killed at the end, with all that it started."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PREAMBLE + dedent(code)],
        env=environment(**settings),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def ended(code: str, **settings: str) -> tuple[int, str, str]:
    """How such a program ended: its exit code, and what it wrote to its output and its errors."""
    with started(code, **settings) as process:
        out, err = process.communicate(timeout=20)
    return process.returncode, out, err


def ran(code: str, **settings: str) -> str:
    """What such a program wrote. It ended well, and had nothing to complain of."""
    done, out, err = ended(code, **settings)
    assert (done, err) == (0, ""), f"{done}\n{out}\n{err}"
    return out
