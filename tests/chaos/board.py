"""The rows as a reader gets them: the control socket's `watch`, read by a thread of its own, with the time of arrival.

While nobody answers there are no rows, which is not the same as rows that are untrue.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

Row = dict[str, Any]
Version = tuple[float, Row | None]
"""A row and when it arrived; None: from then on nobody answered."""
AGAIN = 0.02
PATIENCE = 15.0


def as_it_is(row: Row) -> Row:
    return row


class Board:
    """What was read, each row with every version of it. `told` is what a lying reconciler would make of a row."""

    def __init__(self, told: Callable[[Row], Row] = as_it_is) -> None:
        self._told = told
        self._versions: defaultdict[str, list[Version]] = defaultdict(list)
        self.away: list[tuple[float, float | None]] = []
        """When nobody answered."""
        self.newest_event = 0.0
        self.info: dict[str, Any] = {}

    def take(self, item: dict[str, Any], *, at: float) -> None:
        """One item of the stream."""
        if "rows" in item:
            self._answered(at)
        for row in (*item.get("rows", ()), *([item["row"]] if "row" in item else ())):
            self._versions[row["name"]].append((at, self._told(row)))
        if "event" in item:
            self.newest_event = at
        self.info = item.get("reconciler", self.info)

    def lose(self, *, at: float) -> None:
        """Nobody answers any more."""
        if self.away and self.away[-1][1] is None:
            return
        self.away.append((at, None))
        for versions in list(self._versions.values()):
            versions.append((at, None))

    @property
    def last_away(self) -> float:
        """Until when nobody answered the last time."""
        return max((end or time.monotonic() for _, end in tuple(self.away)), default=0.0)

    def versions(self, name: str, begin: float, end: float | None = None) -> list[Version]:
        """Those that stood at any moment between."""
        found = self._versions[name]
        first = max(bisect_right(found, begin, key=_arrival) - 1, 0)
        last = len(found) if end is None else bisect_right(found, end, key=_arrival)
        return found[first:last]

    def newest(self, name: str) -> float:
        found = self._versions[name]
        return found[-1][0] if found else 0.0

    def _answered(self, at: float) -> None:
        if self.away and self.away[-1][1] is None:
            self.away[-1] = (self.away[-1][0], at)


class Reader(threading.Thread):
    """Fills a board until it is stopped; asks again whenever the reconciler has gone."""

    def __init__(self, board: Board, path: Path) -> None:
        super().__init__(daemon=True)
        self._board = board
        self._path = path
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                for item in self._items():
                    self._board.take(item, at=time.monotonic())
            except (OSError, ValueError):
                pass  # it has gone, in the midst of a line perhaps
            self._board.lose(at=time.monotonic())
            self._ended.wait(AGAIN)

    def stop(self) -> None:
        self._ended.set()

    def _items(self) -> Iterator[dict[str, Any]]:
        with connected(self._path, PATIENCE) as lines:
            ask(lines, "watch", events=True)
            for line in iter(lines.readline, ""):
                yield json.loads(line)["item"]


def question(path: Path, op: str, **args: Any) -> Any:
    """The result of one operation. Raises OSError where nobody answers, ValueError where the answer is none."""
    with connected(path, PATIENCE) as lines:
        ask(lines, op, **args)
        answer = json.loads(lines.readline())
    if not answer["ok"]:
        raise ValueError(answer["error"]["message"])
    return answer["result"]


@contextmanager
def connected(path: Path, patience: float) -> Iterator[IO[str]]:
    """A conversation, as lines."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(patience)
        control.connect(str(path))
        with control.makefile("rw", encoding="utf-8") as lines:
            yield lines


def ask(lines: IO[str], op: str, **args: Any) -> None:
    lines.write(json.dumps({"id": 1, "op": op, "args": args}) + "\n")
    lines.flush()


def standing(versions: Iterable[Version]) -> list[Row]:
    """The rows among versions."""
    return [row for _, row in versions if row is not None]


def _arrival(version: Version) -> float:
    return version[0]
