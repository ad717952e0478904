"""Everything is killed again and again while much happens: in the end all of it is there, once, and rows are equal."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from supervise.stores import EventQuery
from supervise.stores.rows import ROW_COLUMNS, moment
from supervise.stores.sqlite import Sqlite
from supervise.stores.supabase.flusher import TICK
from tests.supabase.conftest import Connection
from tests.supabase.nouns import LOCKS
from tests.supabase.stack import CHECKOUT, Api, Stack, eventually

OUTAGES, EVENTS, AGENTS = 30, 10_000, 200
SEED = 5


class Drilled:
    """The process, started again whenever it was killed."""

    def __init__(self, state: Path, api: Api) -> None:
        self.kills = 0
        self._gate = state.with_name("gate")
        given = (state, api.url, api.secret_key, EVENTS, AGENTS, self._gate)
        self._words = [sys.executable, "-m", "tests.supabase.drilled", *map(str, given)]
        self._process = self._started()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._words, cwd=CHECKOUT)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
            self.kills += 1
            self._process = self._started()

    def make_the_last(self) -> None:
        self._gate.touch()

    def done(self, within: float) -> None:
        assert self._process.wait(within) == 0


def outage(stack: Stack, api: Api, rnd: random.Random) -> None:
    part, how = rnd.choice(("gateway", "postgrest", "database")), rnd.choice((signal.SIGKILL, signal.SIGTERM))
    if part == "database":
        stack.database.stop(signal.SIGKILL if how is signal.SIGKILL else signal.SIGQUIT)
        time.sleep(rnd.uniform(0, 0.7))
        stack.database.start()
    else:
        getattr(api, f"stop_{part}")(how)
        time.sleep(rnd.uniform(0, 0.7))
        getattr(api, f"start_{part}")()


def durable(stack: Stack, api: Api) -> None:
    """As every Supabase is: what was said to be written outlives the server. The other tests do without, for speed."""
    with stack.database.connect() as db:
        db.execute("alter database shared set synchronous_commit = on")
    api.restart_postgrest()


@pytest.fixture
def drilled(stack: Stack, api: Api, tmp_path: Path) -> Iterator[Drilled]:
    durable(stack, api)
    one = Drilled(tmp_path / "state.db", api)
    yield one
    one.end()


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_doubles_whatever_is_killed(
    stack: Stack, api: Api, drilled: Drilled, tmp_path: Path
) -> None:
    rnd, state, began = random.Random(SEED), tmp_path / "state.db", time.monotonic()
    for _ in range(OUTAGES):
        time.sleep(rnd.uniform(0.1, 1.0))
        if rnd.random() < 0.7:
            drilled.kill()
        outage(stack, api, rnd)
    eventually(api.answers, "Supabase answers again")
    api.stop_gateway()
    drilled.make_the_last()
    eventually(lambda: len(here(state, "agent_events")) == EVENTS, "all is made", within=120)
    with stack.database.connect("shared") as db:
        assert unequal(state, db)
        api.start_gateway()
        back = time.monotonic()
        eventually(lambda: not unequal(state, db), "all rows are equal")
        again = time.monotonic() - back
        drilled.done(120)
        print(
            f"{OUTAGES + 1} outages and {drilled.kills} kills in {back - began:.0f} s; rows equal {again:.1f} s later"
        )
        report(state, db)
    assert again < TICK + 1, "an outage is noticed to be over within a tick"


def report(state: Path, db: Connection) -> None:
    store = Sqlite.open(state, host="drill", replicate=True)
    produced = {one.id for one in store.events(EventQuery(limit=10**9))}
    arrived = [one["id"] for one in db.execute("select id from agent_events where host = 'drill' and kind = 'status'")]
    print(
        f"produced {len(produced)}, arrived {len(arrived)}, duplicates {len(arrived) - len(set(arrived))},"
        f" set aside {store.dead()}"
    )
    assert (len(produced), sorted(arrived), store.depth(), store.dead()) == (EVENTS, sorted(produced), 0, 0)
    assert not unequal(state, db)
    store.close()


def here(state: Path, table: str) -> list[dict[str, Any]]:
    """What the file of the store holds, whoever has it open."""
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(one) for one in db.execute(f"select * from {table}")]


def unequal(state: Path, db: Connection) -> list[str]:
    """Columns of rows that are otherwise there than here."""
    ours = {one["name"]: one for one in here(state, "agent_status")}
    theirs = {one["name"]: one for one in db.execute("select * from agent_status where host = 'drill'")}
    return [
        *(ours.keys() ^ theirs.keys()),
        *(
            f"{name}: {column}"
            for name in ours.keys() & theirs.keys()
            for column in set(ROW_COLUMNS) - {*LOCKS}
            if comparable(ours[name][column], theirs[name][column]) != theirs[name][column]
        ),
    ]


def comparable(ours: Any, theirs: Any) -> Any:
    """SQLite knows neither times nor booleans."""
    if isinstance(theirs, datetime):
        return moment(ours)
    return bool(ours) if isinstance(theirs, bool) else ours
