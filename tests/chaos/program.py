"""What most agents of the chaos run: `agent.py NAME plain|beats`. It does nothing but live, and obeys signals.

One that beats is told to fall silent by HANG: it lives on then, and its loop turns no more.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from glob import glob

TURN = 0.5
"""Seconds between two beats."""
EXIT_0, EXIT_3, HANG = signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN + 1
LEAVE_CHILD, LEAVE_STUBBORN_CHILD, GRANDCHILD = (signal.SIGRTMIN + number for number in (2, 3, 4))
OBEYED = {EXIT_0, EXIT_3, HANG, LEAVE_CHILD, LEAVE_STUBBORN_CHILD, GRANDCHILD}


def voice(name: str, mode: str) -> Callable[[], object]:
    """How it gives a sign of life."""
    if mode == "plain":
        return lambda: None
    sys.path[:0] = ["/opt/supervise", *glob("/opt/supervise/.venv/lib/python3*/site-packages")]
    from supervise.agent import Agent

    agent = Agent(name)
    return lambda: agent.beat("turning")


def child(*, stubborn: bool = False) -> None:
    """A child that stays when its parent ends. `stubborn`: only SIGKILL ends it."""
    if os.fork() == 0:
        if stubborn:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()


def grandchild() -> None:
    """A process that has left its session, and whose parent has ended."""
    if (pid := os.fork()) == 0:
        os.setsid()
        child()
        os._exit(0)
    os.waitpid(pid, 0)


def obey(number: int) -> None:
    if number == HANG:
        while True:
            signal.pause()
    elif number == GRANDCHILD:
        grandchild()
    elif number == EXIT_3:
        raise SystemExit(3)
    elif number == EXIT_0:
        raise SystemExit(0)
    else:
        child(stubborn=number == LEAVE_STUBBORN_CHILD)
        raise SystemExit(0)


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, OBEYED)
    beat = voice(*sys.argv[1:3])
    while True:
        beat()
        if told := signal.sigtimedwait(OBEYED, TURN):
            obey(told.si_signo)


if __name__ == "__main__":
    main()
