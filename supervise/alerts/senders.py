"""Brings messages to their targets, each in its own time: a queue per target, tried again with growing pauses.

Nothing here may delay a pass of the daemon or raise into it. Nobody is alerted of alerts that fail: `states` and one
line in the log say so.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import random
from typing import TYPE_CHECKING

from supervise.alerts.messages import Message
from supervise.alerts.posting import Answer, new_client, post
from supervise.clock import now as clock_now
from supervise.model import AlertTarget

if TYPE_CHECKING:
    import httpx

LONGEST_QUEUE = 100
TIMEOUT = timedelta(seconds=5)
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (10, 40, 160, 300))
"""The longest pause after each failed try but the last. Each is drawn anew (full jitter), so that many hosts which
failed together do not come back together."""
LONGEST_WAIT = timedelta(minutes=5)
"""However long a target asks to be left alone."""
PATIENCE = timedelta(minutes=10)
"""After so long a message is given up: it is no news any more."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How it goes with one target. `dropped`: messages that did not arrive; `pending`: those that still may."""

    last_ok: datetime | None = None
    last_error: str = ""
    last_error_at: datetime | None = None
    failing: bool = False
    dropped: int = 0
    pending: int = 0


@dataclass(slots=True)
class _Line:
    """The messages to one target: the one that is being sent, and those that wait for it."""

    target: AlertTarget
    waiting: deque[Message] = field(default_factory=deque)
    current: Message | None = None
    delivery: Delivery = field(default_factory=Delivery)
    task: asyncio.Task[None] | None = None

    def unsent(self) -> tuple[Message, ...]:
        return (*((self.current,) if self.current else ()), *self.waiting)

    def add(self, message: Message) -> None:
        """The newest tell most: where too many wait, the oldest goes."""
        if len(self.waiting) == LONGEST_QUEUE:
            self.waiting.popleft()
            self.drop()
        self.waiting.append(message)

    def drop(self) -> None:
        self.delivery = replace(self.delivery, dropped=self.delivery.dropped + 1)

    def note(self, answer: Answer, at: datetime) -> None:
        """Remember how a try went; the log hears of it only when that is a change."""
        failed = bool(answer.error)
        if failed and not self.delivery.failing:
            log.warning("alerts do not reach %s: %s", self.target.id, answer.error)
        if not failed and self.delivery.failing:
            log.info("alerts reach %s again", self.target.id)
        changed = {"last_error": answer.error, "last_error_at": at} if failed else {"last_ok": at}
        self.delivery = replace(self.delivery, failing=failed, **changed)


class Sender:
    """Lives as long as the daemon, in its event loop. httpx is not imported before there is something to send."""

    def __init__(
        self,
        targets: Iterable[AlertTarget] = (),
        *,
        timeout: timedelta = TIMEOUT,
        pauses: Sequence[timedelta] = PAUSES,
        draw: Callable[[], float] = random,
    ) -> None:
        self._timeout = timeout
        self._pauses = pauses
        self._draw = draw
        self._lines: dict[str, _Line] = {}
        self._client: asyncio.Task[httpx.AsyncClient] | None = None
        self._closed = False
        self.retarget(targets)

    def retarget(self, targets: Iterable[AlertTarget]) -> None:
        """From now on these are the targets. What waits for one that is gone is forgotten."""
        wanted = {target.id: target for target in targets}
        for name in self._lines.keys() - wanted.keys():
            if task := self._lines.pop(name).task:
                task.cancel()
        for name, target in wanted.items():
            self._lines.setdefault(name, _Line(target)).target = target

    def send(self, messages: Iterable[Message]) -> None:
        """Queue them and return at once. A message to a target that is not there is forgotten."""
        for message in messages:
            if line := self._lines.get(message.target):
                line.add(message)
                if not self._closed and (line.task is None or line.task.done()):
                    line.task = asyncio.create_task(self._work(line), name=f"alerts to {line.target.id}")

    def states(self) -> Mapping[str, Delivery]:
        """How it goes with each target, by id."""
        return {name: replace(line.delivery, pending=len(line.unsent())) for name, line in self._lines.items()}

    def unsent(self) -> tuple[Message, ...]:
        """What has not arrived yet: kept in the note, it outlives even a daemon that is killed."""
        return tuple(message for line in self._lines.values() for message in line.unsent())

    async def close(self, timeout: timedelta) -> tuple[Message, ...]:
        """Give what waits this long to arrive, then stop; gives what did not, for the next daemon to send."""
        self._closed = True
        tasks = [line.task for line in self._lines.values() if line.task]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout.total_seconds())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client:
            with suppress(Exception):  # it is of no use any more, however it ends
                await (await self._client).aclose()
        return self.unsent()

    # --- One target ---

    async def _work(self, line: _Line) -> None:
        while line.waiting:
            line.current = line.waiting.popleft()
            if not await self._delivered(line, line.current):
                line.drop()
            line.current = None

    async def _delivered(self, line: _Line, message: Message) -> bool:
        clock = asyncio.get_running_loop().time
        began, tries = clock(), 0
        while True:
            answer = await self._tried(line, message)
            tries += 1
            line.note(answer, clock_now().wall)
            if not answer.error:
                return True
            spent = timedelta(seconds=clock() - began)
            pause = pause_after(answer, tries, spent=spent, pauses=self._pauses, draw=self._draw())
            if pause is None:
                return False
            await asyncio.sleep(pause.total_seconds())

    async def _tried(self, line: _Line, message: Message) -> Answer:
        if self._client is None:
            self._client = asyncio.create_task(asyncio.to_thread(new_client, self._timeout))
        try:
            client = await asyncio.shield(self._client)  # it is everybody's: one target that goes must not end it
        except Exception as error:
            self._client = None
            return Answer(f"cannot set up HTTP: {type(error).__name__}")
        return await post(client, line.target, message, at=clock_now().wall, timeout=self._timeout)


def pause_after(
    answer: Answer, tries: int, *, spent: timedelta, pauses: Sequence[timedelta], draw: float
) -> timedelta | None:
    """How long to wait before the next try of a message; None if there is none. `draw`: at random from 0 to 1."""
    if answer.permanent or tries > len(pauses):
        return None
    pause = max(pauses[tries - 1] * draw, min(answer.retry_after or timedelta(), LONGEST_WAIT))
    return pause if spent + pause <= PATIENCE else None
