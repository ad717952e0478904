"""When to ask which agent's probe: pure, but for what it remembers; the moment is always an argument.

Of one agent there is never more than one question under way, of one kind never more than so many. Who cannot be asked
when it is due waits in a crowd, who came first is asked first.
"""

from __future__ import annotations

import zlib
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from heapq import heappop, heappush

from supervise.model import ProbeKind, ProbeRole, Question

SPREAD = 0.2
"""Intervals differ by this share of themselves, so that agents that were started together are not asked together."""
FIRST_PAUSE = timedelta(milliseconds=250)
"""Whether an agent is ready is asked at once, then after pauses that grow from this one to its interval."""
MOST = {ProbeKind.HTTP: 64, ProbeKind.TCP: 64, ProbeKind.COMMAND: 4}
"""Questions of each kind that are under way at once."""
HASTE = timedelta(seconds=10)
"""How often at most everybody is asked early since somebody has met an error of the network."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What is asked in one life of an agent, when next, and how often it was."""

    life: str
    question: Question
    at: timedelta
    asked: int = 0
    asked_at: timedelta | None = None

    @property
    def name(self) -> str:
        return self.question.name

    @property
    def kind(self) -> ProbeKind:
        return self.question.probe.kind

    def same(self, other: Turn) -> bool:
        """Whether the same is asked in the same life."""
        return (self.life, self.question) == (other.life, other.question)


class Agenda:
    """Times are of the monotonic clock. `seed` decides which chances there are."""

    def __init__(self, seed: str = "") -> None:
        self.turns: dict[str, Turn] = {}
        self.under_way: dict[str, Turn] = {}
        self._seed = seed
        self._queue: list[tuple[timedelta, str]] = []
        """A heap. Of a turn that has changed meanwhile the older entries count for nothing."""
        self._crowds: dict[ProbeKind, deque[str]] = {kind: deque() for kind in ProbeKind}
        self._busy: Counter[ProbeKind] = Counter()
        self._hasted_at: timedelta | None = None

    def follow(self, name: str, life: str, question: Question | None, now: timedelta) -> None:
        """From now on this is asked of an agent (None: nothing). What it is asked already goes on."""
        known = self.turns.get(name)
        if question is None:
            self.turns.pop(name, None)
            return
        turn = Turn(life, question, now)
        if known is None or not known.same(turn):
            live = question.role is ProbeRole.LIVE
            first = question.probe.interval * (0.5 + self._share(turn)) if live else timedelta()
            self._put(replace(turn, at=now + first))

    def begin(self, now: timedelta) -> list[Turn]:
        """Whom to ask now. They are under way until they `end`."""
        while self._queue and self._queue[0][0] <= now:
            at, name = heappop(self._queue)
            if self._stands(at, name):
                self._crowds[self.turns[name].kind].append(name)
        return [turn for kind in ProbeKind for turn in self._admitted(kind, now)]

    def end(self, turn: Turn, now: timedelta) -> bool:
        """A question was answered; whether that is still asked of the agent."""
        self.under_way.pop(turn.name)
        self._busy[turn.kind] -= 1
        current = self.turns.get(turn.name)
        if current is None:
            return False
        if not current.same(turn):
            self._put(current)
            return False
        self._put(replace(current, at=max(now, (turn.asked_at or now) + self._pause(turn))))
        return True

    def hurry(self, turn: Turn, now: timedelta) -> None:
        """It has met an error of the network: whether others do is to be known before anything is done about it."""
        since = turn.asked_at or now
        if self._hasted_at is not None and now - self._hasted_at < HASTE:
            return
        self._hasted_at = now
        for other in tuple(self.turns.values()):
            stale = other.asked_at is None or other.asked_at < since
            if stale and other.kind is not ProbeKind.COMMAND:
                self._put(replace(other, at=min(other.at, now)))

    def next_at(self) -> timedelta | None:
        """When the next question can be put. The end of one that is under way may be sooner."""
        while self._queue and not self._stands(*self._queue[0]):
            heappop(self._queue)
        moments = [at for at, _ in self._queue[:1]]
        for kind, crowd in self._crowds.items():
            if self._busy[kind] < MOST[kind]:
                moments += [turn.at for name in crowd if (turn := self.turns.get(name))][:1]
        return min(moments, default=None)

    def _put(self, turn: Turn) -> None:
        self.turns[turn.name] = turn
        heappush(self._queue, (turn.at, turn.name))

    def _stands(self, at: timedelta, name: str) -> bool:
        """Whether an entry of the queue is of a turn as it is now, and not under way."""
        turn = self.turns.get(name)
        return turn is not None and turn.at == at and name not in self.under_way

    def _admitted(self, kind: ProbeKind, now: timedelta) -> Iterator[Turn]:
        crowd = self._crowds[kind]
        while crowd and self._busy[kind] < MOST[kind]:
            turn = self.turns.get(crowd.popleft())
            if turn and turn.kind is kind and turn.at <= now and turn.name not in self.under_way:
                begun = replace(turn, asked=turn.asked + 1, asked_at=now)
                self.turns[turn.name] = self.under_way[turn.name] = begun
                self._busy[kind] += 1
                yield begun

    def _pause(self, turn: Turn) -> timedelta:
        interval = turn.question.probe.interval
        if turn.question.role is ProbeRole.READY:
            return min(interval, FIRST_PAUSE * float(2 ** min(turn.asked - 1, 32)))
        return interval * (1.0 + SPREAD * (self._share(turn) - 0.5))

    def _share(self, turn: Turn) -> float:
        """From 0 to 1, by chance as far as anybody can tell."""
        return zlib.crc32(f"{self._seed}/{turn.name}/{turn.life}/{turn.asked}".encode()) / 2**32
