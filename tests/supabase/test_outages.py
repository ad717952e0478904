"""Everything is killed again and again while much happens: in the end all of it is there, once, and rows are equal."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from supervise.stores import EventQuery
from supervise.stores.rows import ROW_COLUMNS, moment, row_values
from supervise.stores.sqlite import Sqlite
from tests.supabase.conftest import Connection
from tests.supabase.nouns import LOCKS
from tests.supabase.stack import CHECKOUT, Api, Stack, eventually

OUTAGES, EVENTS, AGENTS = 30, 10_000, 200
SEED = 5


class Drilled:
    """The process, started again whenever it was killed."""

    def __init__(self, state: Path, api: Api) -> None:
        self.kills = 0
        self._words = [sys.executable, "-m", "tests.supabase.drilled", str(state), api.url, api.secret_key]
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self._words, str(EVENTS), str(AGENTS)], cwd=CHECKOUT)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
            self.kills += 1
            self._process = self._started()

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
    api.stop_postgrest()
    api.start_postgrest()
    eventually(api.answers, "PostgREST answers")


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_doubles_whatever_is_killed(stack: Stack, api: Api, tmp_path: Path) -> None:
    rnd = random.Random(SEED)
    durable(stack, api)
    began = time.monotonic()
    drilled = Drilled(tmp_path / "state.db", api)
    for _ in range(OUTAGES):
        time.sleep(rnd.uniform(0.1, 1.0))
        if rnd.random() < 0.7:
            drilled.kill()
        outage(stack, api, rnd)
    drilled.done(120)
    spent = time.monotonic() - began
    with stack.database.connect("shared") as db:
        report(tmp_path / "state.db", db, drilled.kills, spent)


def report(state: Path, db: Connection, kills: int, spent: float) -> None:
    store = Sqlite.open(state, host="drill", replicate=True)
    produced = {one.id for one in store.events(EventQuery(limit=10**9))}
    arrived = [one["id"] for one in db.execute("select id from agent_events where host = 'drill' and kind = 'status'")]
    print(
        f"{OUTAGES} outages and {kills} kills in {spent:.0f} s: produced {len(produced)}, arrived {len(arrived)},"
        f" duplicates {len(arrived) - len(set(arrived))}, set aside {store.dead()}"
    )
    assert (len(produced), sorted(arrived), store.depth(), store.dead()) == (EVENTS, sorted(produced), 0, 0)
    here = {name: row_values(one) for name, one in store.load().rows.items()}
    there = {one["name"]: one for one in db.execute("select * from agent_status where host = 'drill'")}
    assert here.keys() == there.keys()
    for name, ours in here.items():
        for column in set(ROW_COLUMNS) - {*LOCKS}:
            theirs = there[name][column]
            assert (moment(ours[column]) if hasattr(theirs, "tzinfo") else ours[column]) == theirs, (name, column)
    store.close()
