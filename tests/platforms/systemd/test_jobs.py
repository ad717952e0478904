"""Results of jobs: told to who waits, before or after, and of everybody else's no more are kept than must be."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from dbus_fast import Message, MessageType

from supervise.errors import PlatformError
from supervise.model import Action, ActionKind, ProbeRole
from supervise.platforms.systemd.bus import MANAGER, MANAGER_PATH
from supervise.platforms.systemd.platform import MOST_JOBS, MOST_UNCLAIMED, Systemd, _Jobs
from tests.nouns import places_in
from tests.reconcile.rig import in_a_loop, until


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


class Connection:
    """It begins each job that it is asked for, and says nothing of any end."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.disconnected: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def call(self, member: str, *body: Any) -> list[str]:
        self.begun.append(member)
        return [path(1)]


STOP = Action(ActionKind.STOP, "sma", "agent@sma.service")


@pytest.mark.parametrize("work", [lambda it: it.perform(STOP), lambda it: it.probe("sma", ProbeRole.LIVE)])
@in_a_loop
async def test_nobody_waits_for_the_end_of_a_job_when_the_connection_is_lost(tmp_path: Path, work: Any) -> None:
    systemd, connection = Systemd(places_in(tmp_path)), Connection()
    systemd._bus = connection  # type: ignore[assignment]
    waiting = asyncio.ensure_future(work(systemd))
    await until(lambda: connection.begun)
    connection.disconnected.set_result(None)
    with pytest.raises(PlatformError, match="the connection to D-Bus was lost"):
        await waiting
    assert systemd._jobs._results == {}


@in_a_loop
async def test_only_so_many_jobs_are_under_way_at_once_and_the_next_begins_when_one_ends(tmp_path: Path) -> None:
    systemd, connection = Systemd(places_in(tmp_path)), Connection()
    systemd._bus = connection  # type: ignore[assignment]
    waiting = [asyncio.ensure_future(systemd.perform(STOP)) for _ in range(MOST_JOBS + 9)]
    await until(lambda: len(connection.begun) >= MOST_JOBS)
    await asyncio.sleep(0)
    assert len(connection.begun) == MOST_JOBS
    systemd._jobs.hear(removed(1))  # all have the same path here, so that all end
    await until(lambda: len(connection.begun) == MOST_JOBS + 9)
    async with asyncio.timeout(10):
        while not all(one.done() for one in waiting):  # whoever waits by now
            systemd._jobs.hear(removed(1))
            await asyncio.sleep(0)
    assert all(one.result().ok for one in waiting)
