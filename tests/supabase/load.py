"""Many hosts at once through the replica's own code: rows a second, how long a report takes, errors, HOT updates.

    python -m tests.supabase.load [--hosts 200] [--agents 50] [--seconds 60] [--json FILE]

Clients, gateway, PostgREST and PostgreSQL share this machine, so its figures are those of all of them together.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import Any, TypeVar

import click

from supervise.clock import now
from supervise.stores import Change
from supervise.stores.sqlite import Sqlite
from supervise.stores.supabase.client import Client
from supervise.stores.supabase.flusher import TICK, Flusher
from supervise.stores.supabase.keys import Access
from tests.stores.nouns import row
from tests.supabase.__main__ import migrated
from tests.supabase.stack import Api, Stack

T = TypeVar("T")
WORKERS = 8
"""Threads, each of which is some of the hosts by turns."""


class Timed(Client):
    """A client that notes how long each report took."""

    def __init__(self, access: Access, took: list[float]) -> None:
        super().__init__(access)
        self._took = took

    def call(self, function: str, **arguments: Any) -> Any:
        began = time.monotonic()
        answer = super().call(function, **arguments)
        if function == "report_status":
            self._took.append(time.monotonic() - began)
        return answer


@dataclass
class Host:
    """A store with its flusher; it belongs to the thread that made it."""

    folder: Path
    api: Api
    number: int
    agents: int
    took: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        name = f"host{self.number:03}"
        self.store = Sqlite.open(self.folder / f"{name}.db", host=name, replicate=True)
        access = Access(self.api.url, self.api.secret_key, self.api.secret_key)
        self.flusher = Flusher(self._ask, lambda: Timed(access, self.took), host=name)

    def _ask(self, question: Callable[[Sqlite], T]) -> T:
        return question(self.store)

    def turn(self, beat: int) -> None:
        """All agents have beaten; report."""
        at = now().wall
        rows = {
            f"a{one}": row(f"a{one}", title=f"a{one} {self.number}", pid=beat, last_heartbeat=at, updated_at=at)
            for one in range(self.agents)
        }
        self.store.commit(Change(rows=rows), now=at)
        self.flusher.tick()
        if self.flusher.state.why:
            self.errors.append(self.flusher.state.why)

    def close(self) -> None:
        self.flusher.close()
        self.store.close()


def some_hosts(folder: Path, api: Api, numbers: range, agents: int, seconds: float, begin: float) -> list[Host]:
    """One thread: each of its hosts once in a tick, at a moment of its own, as hosts began when they did."""
    moments = sorted(Random(number).random() for number in numbers)
    hosts = [Host(folder, api, number, agents) for number in numbers]
    for host in hosts:  # sessions and first rows, before the clock runs
        host.turn(0)
        host.took.clear()
    for beat in range(1, int(seconds / TICK) + 1):
        for moment, host in zip(moments, hosts, strict=True):
            time.sleep(max(0.0, begin + (beat - 1 + moment) * TICK - time.monotonic()))
            host.turn(beat)
    for host in hosts:
        host.close()
    return hosts


def measured(hosts: int, agents: int, seconds: float) -> dict[str, Any]:
    with (
        Stack(migrated, settings={}) as stack,
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(WORKERS) as pool,
    ):
        api = stack.api("load")
        begin = time.monotonic() + 5 + hosts * 0.1
        parts = [range(first, hosts, WORKERS) for first in range(WORKERS)]
        running = [pool.submit(some_hosts, Path(folder), api, one, agents, seconds, begin) for one in parts]
        done = [host for one in running for host in one.result()]
        spent = time.monotonic() - begin
        took = sorted(one for host in done for one in host.took)
        cuts = quantiles(took, n=100)
        with stack.database.connect("load") as db:
            db.execute("select pg_stat_force_next_flush()")
            sql = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'agent_status'"
            updates = db.execute(sql).fetchone() or {}
        return {
            "hosts": hosts,
            "agents": hosts * agents,
            "reports": len(took),
            "rows_a_second": round(len(took) * agents / spent),
            "p50_ms": round(cuts[49] * 1000, 1),
            "p99_ms": round(cuts[98] * 1000, 1),
            "errors": sum(len(host.errors) for host in done),
            "hot_share": round(updates["n_tup_hot_upd"] / max(1, updates["n_tup_upd"]), 4),
        }


@click.command()
@click.option("--hosts", default=200)
@click.option("--agents", default=50)
@click.option("--seconds", default=60.0)
@click.option("--json", "file", type=click.Path(path_type=Path))
def main(hosts: int, agents: int, seconds: float, file: Path | None) -> None:
    found = measured(hosts, agents, seconds)
    click.echo("\n".join(f"{name}: {value}" for name, value in found.items()))
    if file:
        file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
