"""Questions to agents from outside: a small checker for each kind, loaded when its first question comes.

A checker keeps nothing between two questions, follows no redirect and ends with the probe's `timeout`. When to ask, and
what an answer means for the agent, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import cache
from importlib import import_module
from typing import Protocol

from supervise.model import Instant, Outcome, ProbeKind, ProbeResult, ProbeRole, Question
from supervise.text import shown

CHECKERS = {
    ProbeKind.HTTP: "supervise.probes.http",
    ProbeKind.TCP: "supervise.probes.tcp",
    ProbeKind.COMMAND: "supervise.probes.command",
}
"""Modules with a `check`."""
LONGEST_DETAIL = 200
OVERTIME = timedelta(seconds=5)
"""So much longer than its `timeout` a command may take: its manager ends it, and has to tell."""


class Failed(Exception):
    """The answer is no, and why; `network_error` names an error that a whole host may share."""

    def __init__(self, detail: str, network_error: str | None = None) -> None:
        self.network_error = network_error
        super().__init__(detail)


class CannotAsk(Exception):
    """The question could not be put, for a reason of our own: nothing is known of the agent."""


Run = Callable[[str, ProbeRole], Awaitable[Outcome]]
"""Runs the command of an agent's probe to its end; `unmade` where it could not be run at all."""


class Checker(Protocol):
    async def __call__(self, question: Question, run: Run) -> str:
        """A good answer in a few words. Raises Failed, CannotAsk or TimeoutError."""


async def ask(question: Question, *, run: Run, clock: Callable[[], Instant]) -> ProbeResult:
    """The answer to one question, good or bad, within the probe's `timeout`. Raises CannotAsk."""
    probe = question.probe
    by_us = probe.kind is not ProbeKind.COMMAND
    check = _checker(probe.kind)
    try:
        async with asyncio.timeout((probe.timeout if by_us else probe.timeout + OVERTIME).total_seconds()):
            detail = await check(question, run)
    except TimeoutError as error:
        if not by_us:
            raise CannotAsk("its manager did not tell in time how it ended") from error
        return ProbeResult(False, f"no answer within {probe.timeout.total_seconds():g} s", clock(), "timeout")
    except Failed as error:
        return ProbeResult(False, shown(str(error), limit=LONGEST_DETAIL), clock(), error.network_error)
    return ProbeResult(True, shown(detail, limit=LONGEST_DETAIL), clock())


@cache
def _checker(kind: ProbeKind) -> Checker:
    try:
        check: Checker = import_module(CHECKERS[kind]).check
    except ImportError as error:
        raise CannotAsk(f"{error.name} is not installed") from error
    return check
