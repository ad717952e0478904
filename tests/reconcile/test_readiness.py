"""Who starts agents is told of each whether it became ready: of the very life that was started, and in time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from supervise.model import Phase, Probe, ProbeKind, ProbeResult, ProbeRole, Reason, Status
from supervise.reconcile.readiness import GONE, NOT_TOLD, readiness, verdict
from tests.nouns import NOW, alive, dead, minutes, row, seconds, spec
from tests.reconcile.rig import Rig, in_a_loop

PROBE = Probe(ProbeKind.TCP, ("localhost:1",))
READY = spec(ready=PROBE, startup_timeout=minutes(1))
LIFE = "boot-1/b"
YES, NO = ProbeResult(True, "it accepts connections", NOW), ProbeResult(False, "connection refused", NOW, "refused")


def of(life: str = LIFE, **changes: Any) -> Any:
    return row(incarnation=life, message="a sentence", **changes)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (of(), ""),
        (of(status=Status.WARNING, reason=Reason.DRIFT), ""),
        (of(status=Status.STARTING, reason=Reason.STARTING), None),
        (of(status=Status.ERROR, reason=Reason.START_TIMEOUT), "a sentence"),
        (of(status=Status.ERROR, reason=Reason.HELD), "a sentence"),
        (of(status=Status.ERROR, reason=Reason.CRASH_LOOPING), "a sentence"),
        (of(phase=Phase.RESTARTING, reason=Reason.CRASHED), "a sentence"),
        (of(phase=None), "a sentence"),
        (of("boot-1/a"), None),
    ],
)
def test_what_a_row_says_of_a_start(found: Any, said: str | None) -> None:
    assert verdict(found, LIFE, seen=False) == said


def test_another_life_than_the_one_that_was_seen_means_that_it_died() -> None:
    assert verdict(of("boot-1/c"), LIFE, seen=True) == GONE


def rig(folder: Path) -> Rig:
    """An agent that was restarted just now, which the reconciler has not seen yet."""
    found = Rig(folder, READY)
    found.reconciler.ask_probes()
    found.see(alive("a"))
    found.reconciler.take_answer("sma", "boot-1/a", ProbeRole.READY, YES)
    found.reconciler.run_pass()
    return found


async def waiting(found: Rig, patience: timedelta = timedelta(seconds=10)) -> asyncio.Future[dict[str, str]]:
    future = asyncio.ensure_future(readiness(found.reconciler, {"sma": LIFE}, patience=patience))
    await asyncio.sleep(0)
    return future


@in_a_loop
async def test_that_the_life_before_was_ready_says_nothing_of_this_one(tmp_path: Path) -> None:
    found = rig(tmp_path)
    future = await waiting(found)
    found.see(alive("b"))
    await asyncio.sleep(0.01)
    assert not future.done()
    found.reconciler.take_answer("sma", LIFE, ProbeRole.READY, YES)
    found.reconciler.run_pass()
    assert await future == {"sma": ""}


@in_a_loop
async def test_who_is_ready_already_is_not_waited_for(tmp_path: Path) -> None:
    found = rig(tmp_path)
    assert await readiness(found.reconciler, {"sma": "boot-1/a"}, patience=minutes(1)) == {"sma": ""}
    assert len(found.reconciler.listeners) == 1


@in_a_loop
async def test_who_dies_meanwhile_is_told_with_its_death_though_it_is_started_again(tmp_path: Path) -> None:
    found = rig(tmp_path)
    future = await waiting(found)
    found.see(alive("b"))
    found.see(dead("b"))
    assert await future == {"sma": "It exited with code 3 and is started again soon."}


@in_a_loop
async def test_who_is_in_a_life_after_the_one_that_was_seen_did_not_stay_up(tmp_path: Path) -> None:
    found = rig(tmp_path)
    future = await waiting(found)
    found.see(alive("b"))
    await asyncio.sleep(0.01)
    found.see(alive("c", restarts=1))
    assert await future == {"sma": GONE}


@in_a_loop
async def test_who_does_not_get_ready_in_time_is_told_with_the_last_answer(tmp_path: Path) -> None:
    found = rig(tmp_path)
    future = await waiting(found)
    found.see(alive("b"))
    found.reconciler.take_answer("sma", LIFE, ProbeRole.READY, NO)
    found.clock.go_on(minutes(1))
    found.reconciler.run_pass()
    (said,) = (await future).values()
    assert said.startswith("It was not ready within 1 min (startup_timeout)")


@in_a_loop
async def test_patience_ends_also_where_nothing_is_told(tmp_path: Path) -> None:
    found = rig(tmp_path)
    assert await readiness(found.reconciler, {"sma": LIFE, "ema": "x"}, patience=seconds(0.02)) == {
        "sma": NOT_TOLD,
        "ema": NOT_TOLD,
    }
