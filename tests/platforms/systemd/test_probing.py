"""How a probe's command has ended, as systemd's properties tell it: a no of the agent, or nothing at all."""

from __future__ import annotations

from typing import Any

import pytest

from supervise.model import Outcome
from supervise.platforms.systemd.probing import ended

EXITED, KILLED = 1, 2


def end(result: str, code: int = EXITED, status: int = 1) -> Outcome:
    found: dict[str, Any] = {"Result": result, "ExecMainCode": code, "ExecMainStatus": status}
    return ended(found)


@pytest.mark.parametrize(
    ("how", "detail"),
    [
        (("exit-code", EXITED, 3), "exited with code 3"),
        (("exit-code", EXITED, 199), "exited with code 199"),
        (("signal", KILLED, 11), "was killed by SIGSEGV"),
        (("core-dump", KILLED, 6), "was killed by SIGABRT"),
        (("timeout", KILLED, 9), "it did not end in time"),
    ],
)
def test_whatever_a_command_ends_with_is_a_no(how: tuple[str, int, int], detail: str) -> None:
    assert end(*how) == Outcome(False, detail)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (("exit-code", EXITED, 203), "could not be started: cannot execute the program (203/EXEC)"),
        (("exit-code", EXITED, 226), "226/NAMESPACE"),
        (("resources", 0, 0), "for lack of resources"),
        (("oom-kill", KILLED, 9), "ran out of memory"),
        (("start-limit-hit", 0, 0), "too often"),
    ],
)
def test_a_command_that_could_not_do_its_work_says_nothing_of_the_agent(how: tuple[str, int, int], words: str) -> None:
    outcome = end(*how)
    assert outcome.unmade
    assert words in outcome.detail
