"""Newest wins, whatever the order in which it arrives: by epoch and seq, and by no clock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import permutations
from random import Random

import pytest

from tests.supabase.conftest import Connection
from tests.supabase.nouns import opened, report, row, stored, taken
from tests.supabase.stack import Api, eventually


def test_a_row_that_is_reported_is_there_for_all_to_read(api: Api) -> None:
    epoch = opened(api)
    answer = report(api, epoch, row("sma", 1, health=77))
    assert answer == {
        "rows": [taken()],
        "superseded": False,
        "unknown_session": False,
        "shared": False,
        "commands": 0,
    }
    (found,) = stored(api)
    assert (found["host"], found["name"], found["health"]) == ("ares", "sma", 77)
    assert (found["epoch"], found["seq"]) == (epoch, 1)


@pytest.mark.parametrize("order", list(permutations([1, 2, 3])))
def test_the_newest_seq_stays_in_whatever_order_they_come(api: Api, order: tuple[int, ...]) -> None:
    epoch = opened(api)
    for seq in order:
        report(api, epoch, row("sma", seq, health=seq))
    (found,) = stored(api)
    assert (found["seq"], found["health"]) == (3, 3)


def test_what_comes_twice_is_applied_and_changes_nothing(api: Api) -> None:
    epoch = opened(api)
    first = report(api, epoch, row("sma", 1))
    before = stored(api)
    assert report(api, epoch, row("sma", 1)) == first
    assert stored(api) == before


def test_a_row_that_is_older_is_refused_by_name(api: Api) -> None:
    epoch = opened(api)
    report(api, epoch, row("sma", 5))
    answer = report(api, epoch, row("ema", 6, agent_name="EMA"), row("sma", 4))
    assert [(one["name"], one["applied"]) for one in answer["rows"]] == [("ema", True), ("sma", False)]
    assert stored(api, name="sma")[0]["seq"] == 5


def at_once(*calls: Callable[[], object]) -> None:
    """All of them in threads of their own; the first that fails is raised."""
    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()


def test_the_newest_stays_though_four_deliver_all_of_it_shuffled_and_twice(api: Api) -> None:
    epoch = opened(api)
    seqs = [*range(1, 41)] * 2
    Random(7).shuffle(seqs)
    parts = [seqs[number::4] for number in range(4)]

    def deliver(part: list[int]) -> None:
        for seq in part:
            rows = (row(name, seq, agent_name=name, health=seq) for name in ("a", "b", "c"))
            assert not report(api, epoch, *rows)["superseded"]

    at_once(*(partial(deliver, part) for part in parts))
    assert [(one["name"], one["seq"], one["health"]) for one in stored(api)] == [(name, 40, 40) for name in "abc"]


def test_two_stores_of_one_host_end_with_the_rows_of_the_newer_session(api: Api) -> None:
    older, newer = opened(api, instance="one"), opened(api, instance="two")

    def deliver(epoch: int, health: int) -> None:
        for seq in range(1, 21):
            report(api, epoch, row(seq=seq, health=health))

    at_once(partial(deliver, older, 1), partial(deliver, newer, 2))
    (found,) = stored(api)
    assert (found["epoch"], found["seq"], found["health"]) == (newer, 20, 2)


def test_hosts_that_begin_at_once_with_the_same_titles_all_get_their_rows(api: Api) -> None:
    hosts = [f"host{number}" for number in range(6)]
    epochs = {host: opened(api, host) for host in hosts}
    titles = [f"Agent {number}" for number in range(20)]

    def begin(host: str) -> None:
        rows = [row(f"a{number}", 1, agent_name=title) for number, title in enumerate(titles)]
        Random(host).shuffle(rows)
        answer = report(api, epochs[host], *rows, host=host)
        assert all(one["applied"] and one["row"] is None for one in answer["rows"])

    at_once(*(partial(begin, host) for host in hosts))
    found = stored(api)
    assert len(found) == len({one["agent_name"] for one in found}) == len(hosts) * len(titles)
    assert {one["agent_name"] for one in found} >= set(titles)


def test_a_row_that_is_written_again_and_again_touches_no_index(api: Api, db: Connection) -> None:
    epoch = opened(api)
    share = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'agent_status'"
    db.execute("select pg_stat_reset()")
    for seq in range(1, 101):
        rows = (row(f"a{number}", seq, agent_name=f"A{number}", health=seq % 100) for number in range(50))
        report(api, epoch, *rows, host_row={"seq": seq, "updated_at": "2026-01-01T00:00:00+00:00"})
    api.restart_postgrest()  # what its connections have done is counted when they end, else only seconds later
    eventually(lambda: (db.execute(share).fetchone() or {})["n_tup_upd"] >= 4950, "the database has counted")
    found = db.execute(share).fetchone()
    assert found is not None
    assert found["n_tup_hot_upd"] / found["n_tup_upd"] >= 0.95, found
