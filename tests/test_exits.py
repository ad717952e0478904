"""How a process ended, in words for people."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest

from supervise.exits import SYSTEMD_CODES, described, ending
from supervise.model import Cause, Exit, Phase
from tests.nouns import state


@pytest.mark.parametrize(
    ("exit", "words"),
    [
        (None, "has not run"),
        (Exit(code=0), "exited with code 0"),
        (Exit(code=3), "exited with code 3"),
        (Exit(code=199), "exited with code 199"),
        (Exit(code=203), "could not be started: cannot execute the program (203/EXEC)"),
        (Exit(code=243), "could not be started: cannot hand over its secrets (243/CREDENTIALS)"),
        (Exit(signal=9), "was killed by SIGKILL"),
        (Exit(signal=64), f"was killed by {signal.Signals(64).name}"),
        (Exit(signal=50), "was killed by signal 50"),
        (Exit(code=203, signal=15), "was killed by SIGTERM"),
    ],
)
def test_an_exit_is_described(exit: Exit | None, words: str) -> None:
    assert described(exit) == words


@pytest.mark.parametrize("code", SYSTEMD_CODES)
def test_each_code_of_systemds_own_is_named(code: int) -> None:
    name, why = SYSTEMD_CODES[code]
    assert described(Exit(code=code)).endswith(f"{why} ({code}/{name})")


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_words(cause: Cause) -> None:
    assert ending(state(Phase.FAILED, cause=cause, exit=Exit(code=1)))


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (Cause.OUT_OF_MEMORY, "ran out of memory"),
        (Cause.START_TIMEOUT, "did not come up within startup_timeout"),
        (Cause.NO_READINESS, "READY=1"),
        (Cause.ASSERTION, "held"),
        (Cause.CONDITION, "a condition of its unit"),
        (Cause.RESOURCES, "lack of resources"),
    ],
)
def test_a_cause_that_the_exit_does_not_tell_is_said(cause: Cause, words: str) -> None:
    assert words in ending(state(Phase.FAILED, cause=cause, exit=Exit(code=1)))


@pytest.mark.parametrize("cause", [None, Cause.CLEAN, Cause.EXIT_CODE, Cause.SIGNAL, Cause.CORE_DUMP])
def test_else_the_exit_says_it_all(cause: Cause | None) -> None:
    assert ending(state(Phase.FAILED, cause=cause, exit=Exit(signal=11))) == "was killed by SIGSEGV"


def test_a_watchdog_says_how_long_it_waited() -> None:
    hung = state(Phase.FAILED, cause=Cause.WATCHDOG, exit=Exit(signal=6), watchdog=timedelta(seconds=2.5))
    assert ending(hung) == "sent no ping for 2.5 s and was killed by its watchdog (was killed by SIGABRT)"


BEGUN, LIMIT = timedelta(hours=1), timedelta(seconds=10)


@pytest.mark.parametrize(
    ("ended", "ping", "asked"),
    [
        pytest.param(BEGUN + LIMIT * 0.89, None, True, id="started-too-short-before"),
        pytest.param(BEGUN + LIMIT * 0.9, None, False, id="started-long-before"),
        pytest.param(BEGUN + 3 * LIMIT, BEGUN + 2.5 * LIMIT, True, id="pinged-too-short-before"),
        pytest.param(BEGUN + 3 * LIMIT, BEGUN + 2 * LIMIT, False, id="pinged-long-before"),
        pytest.param(BEGUN + LIMIT * 0.5, BEGUN - LIMIT, True, id="pinged-in-a-former-life"),
        pytest.param(None, BEGUN, False, id="nobody-knows-when"),
    ],
)
def test_a_watchdog_that_cannot_have_run_out_was_asked(
    ended: timedelta | None, ping: timedelta | None, asked: bool
) -> None:
    bitten = state(
        Phase.FAILED,
        cause=Cause.WATCHDOG,
        exit=Exit(signal=6),
        watchdog=LIMIT,
        started_monotonic=BEGUN,
        ended_monotonic=ended,
        last_ping=ping,
    )
    words = "asked its watchdog to end it (was killed by SIGABRT)" if asked else "sent no ping for 10 s and was killed"
    assert ending(bitten).startswith(words)


def test_a_watchdog_of_unknown_length_still_reads_well() -> None:
    assert "was ended by its watchdog (killed by SIGABRT)" in ending(
        state(Phase.FAILED, cause=Cause.WATCHDOG, exit=Exit(signal=6))
    )


def test_a_stop_that_took_too_long_is_told_from_a_start_that_did() -> None:
    slow = state(Phase.FAILED, cause=Cause.START_TIMEOUT, by_request=True, exit=Exit(signal=9))
    assert ending(slow) == "did not stop within stop_timeout and was killed"


def test_what_came_before_the_start_is_named() -> None:
    refused = state(Phase.FAILED, cause=Cause.EXIT_CODE, before_start=True, exit=Exit(code=3))
    assert ending(refused) == "was not started, since its before_start exited with code 3"
    hung = state(Phase.FAILED, cause=Cause.START_TIMEOUT, before_start=True)
    assert "before_start took longer than startup_timeout" in ending(hung)
