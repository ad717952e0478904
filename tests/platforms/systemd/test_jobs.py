"""Results of jobs: told to who waits, before or after, and of everybody else's no more are kept than must be."""

from __future__ import annotations

import asyncio

from dbus_fast import Message, MessageType

from supervise.platforms.systemd.bus import MANAGER, MANAGER_PATH
from supervise.platforms.systemd.platform import MOST_UNCLAIMED, _Jobs
from tests.reconcile.rig import in_a_loop


def removed(number: int, result: str = "done", interface: str = MANAGER) -> Message:
    return Message(
        message_type=MessageType.SIGNAL,
        path=MANAGER_PATH,
        interface=interface,
        member="JobRemoved",
        signature="uoss",
        body=[number, path(number), "agent@sma.service", result],
    )


def path(number: int) -> str:
    return f"/org/freedesktop/systemd1/job/{number}"


@in_a_loop
async def test_a_result_reaches_who_waits_whether_it_comes_before_or_after() -> None:
    jobs = _Jobs()
    jobs.hear(removed(1, "failed"))
    assert await jobs.result(path(1)) == "failed"
    waiting = asyncio.ensure_future(jobs.result(path(2)))
    await asyncio.sleep(0)
    jobs.hear(removed(2, "canceled"))
    assert await waiting == "canceled"
    assert jobs._results == {}


@in_a_loop
async def test_who_waits_is_not_forgotten_for_all_that_others_do_and_those_are() -> None:
    jobs = _Jobs()
    waiting = asyncio.ensure_future(jobs.result(path(0)))
    await asyncio.sleep(0)
    for number in range(1, 3 * MOST_UNCLAIMED):
        jobs.hear(removed(number))
    assert len(jobs._results) <= MOST_UNCLAIMED + 1
    jobs.hear(removed(0))
    assert await waiting == "done"
    assert await jobs.result(path(3 * MOST_UNCLAIMED - 1)) == "done"


@in_a_loop
async def test_other_signals_are_no_results() -> None:
    jobs = _Jobs()
    jobs.hear(removed(1, interface="org.example.Other"))
    assert jobs._results == {}
