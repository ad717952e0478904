"""The process that is killed in the drill: writes rows and events of many agents into a store, and copies them.

    python -m tests.supabase.drilled STATE URL KEY EVENTS AGENTS GATE

It goes on where the one before it was killed, makes the last events once the file GATE is there, and ends once all was
made and has arrived.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from supervise.clock import now
from supervise.model import EventKind
from supervise.stores import Change, EventQuery
from supervise.stores.sqlite import Sqlite
from supervise.stores.supabase import flusher as timing
from supervise.stores.supabase.client import Client
from supervise.stores.supabase.flusher import Flusher
from supervise.stores.supabase.keys import Access
from tests.stores.nouns import event, row

T = TypeVar("T")
MOST, PAUSE = 25, 0.08
"""Events of one change, and seconds between two."""
LAST = 200


def main(state: Path, url: str, key: str, events: int, agents: int, gate: Path) -> None:
    timing.TICK = 0.05
    store = Sqlite.open(state, host="drill", replicate=True)

    def ask(question: Callable[[Sqlite], T]) -> T:
        return question(store)

    flusher = Flusher(ask, lambda: Client(Access(url, key, key), connect=0.5, read=2), host="drill")
    made = len(store.events(EventQuery(limit=10**9)))
    due = 0.0
    while made < events or store.depth():
        if number := min(MOST, (events if gate.exists() else events - LAST) - made):
            store.commit(change(made, number, agents), now=now().wall)
            made += number
        if time.monotonic() >= due:
            due = time.monotonic() + flusher.tick()
        time.sleep(PAUSE)
    flusher.close()
    store.close()


def change(made: int, number: int, agents: int) -> Change:
    names = [f"agent{random.randrange(agents)}" for _ in range(number)]
    return Change(
        rows={name: row(name, pid=made, health=random.randrange(100)) for name in names},
        events=tuple(
            event(f"drill-{made + index}", name, kind=EventKind.STATUS, at=now().wall)
            for index, name in enumerate(names)
        ),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), Path(sys.argv[6]))
