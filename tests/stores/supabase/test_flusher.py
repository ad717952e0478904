"""What the flusher does with a real store: everything arrives once, in its newest state, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import pytest

from supervise.clock import now
from supervise.errors import StoreError
from supervise.model import Lock, Status, TableMap
from supervise.stores import Change, EventQuery, ItemKind
from supervise.stores.sqlite import Sqlite
from supervise.stores.supabase.faults import Fault, Kind
from supervise.stores.supabase.flusher import (
    BATCH,
    EVERYTHING,
    NOTE,
    PRUNE,
    PRUNED,
    RETRY,
    SILENT,
    SWEEP,
    TICK,
    Command,
    Done,
    Flusher,
    Hooks,
)
from supervise.stores.supabase.fronts import ADDRESS, ANEW, CALLS, SECONDS, parts
from supervise.stores.supabase.pace import UNTIL_REPAIRED
from tests.nouns import NOON
from tests.stores.nouns import HOST, event, host_status, opened, row, sample
from tests.stores.supabase.there import There

T = TypeVar("T")
DOWN = Fault(Kind.AWAY, "connection refused")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Sqlite]:
    store = opened(tmp_path, replicate=True)
    yield store
    store.close()


@pytest.fixture
def there() -> There:
    return There()


def flusher(store: Sqlite, there: There, **options: Any) -> Flusher:
    def ask(question: Callable[[Sqlite], T]) -> T:
        return question(store)

    return Flusher(ask, lambda: there, host=HOST, draw=lambda: 1.0, **options)


def commit(store: Sqlite, *names: str, **more: Any) -> None:
    changes = {key: more.pop(key) for key in ("status", "pid", "health", "title") if key in more}
    store.commit(Change(rows={name: row(name, **changes) for name in names}, **more), now=NOON)


# --- Everything arrives -----------------------------------------------------------------------------------------------


def test_rows_events_samples_and_the_host_arrive_and_leave_the_outbox(store: Sqlite, there: There) -> None:
    commit(store, "sma", "ema", events=(event("1"), event("2")), samples=(sample(),), host=host_status())
    one = flusher(store, there)
    assert one.tick() == TICK
    assert there.rows.keys() == {"sma", "ema"}
    assert there.events.keys() == {"1", "2"}
    assert len(there.samples) == 1
    assert there.hosts[HOST]["version"] == "1.0"
    assert store.depth() == 0
    assert (one.state.why, one.state.behind) == ("", 0)
    assert one.state.sent == {"row": 2, "event": 2, "sample": 1}


def test_a_tick_is_one_call_for_all_rows_where_nothing_else_is_new(store: Sqlite, there: There) -> None:
    one = flusher(store, there)
    commit(store, "sma", "ema")
    one.tick()
    one.tick()
    there.log.clear()
    commit(store, "sma", "ema", pid=7)
    one.tick()
    assert there.log == ["report_status"]
    assert {found["pid"] for found in there.rows.values()} == {7}


def test_every_row_of_a_call_has_the_same_keys_and_no_lock(store: Sqlite, there: There) -> None:
    lock = Lock(Status.STOPPED, 0, "for now", "ada", NOON)
    store.commit(Change(rows={"sma": row(lock=lock), "ema": row("ema", pid=3, cpu=float("inf"))}), now=NOON)
    flusher(store, there).tick()
    assert len({frozenset(found) for found in there.rows.values()}) == 1
    assert {found["lock_status"] for found in there.rows.values()} == {None}
    assert there.rows["ema"]["cpu"] is None


def test_more_than_a_batch_goes_at_once_and_in_its_order(store: Sqlite, there: There) -> None:
    commit(store, events=tuple(event(f"{number:04}", minutes=number) for number in range(BATCH + 3)))
    one = flusher(store, there)
    assert one.tick() == 0.0
    assert list(there.events) == [f"{number:04}" for number in range(BATCH)]
    assert one.tick() == TICK
    assert len(there.events) == BATCH + 3


def test_an_answer_that_is_lost_costs_and_doubles_nothing(store: Sqlite, there: There) -> None:
    one = flusher(store, there)
    one.tick()
    commit(store, "sma", events=(event("1"),))
    there.lost = True
    one.tick()
    assert store.depth() == 2
    there.lost = False
    one.tick()
    assert store.depth() == 0
    assert list(there.events) == ["1"]


def test_one_who_is_killed_between_sending_and_remembering_sends_again(store: Sqlite, there: There) -> None:
    commit(store, "sma", events=(event("1"), event("2")))

    class Killed(BaseException):
        pass

    def ask(question: Callable[[Sqlite], T]) -> T:
        if there.arrived:
            raise Killed
        return question(store)

    with pytest.raises(Killed):
        Flusher(ask, lambda: there, host=HOST).tick()
    assert store.depth(ItemKind.EVENT) == 2
    flusher(store, there).tick()
    assert (there.arrived, list(there.events), store.depth()) == (4, ["1", "2"], 0)


def test_rows_from_before_it_was_configured_arrive_too(tmp_path: Path, there: There) -> None:
    store = opened(tmp_path)
    commit(store, "sma")
    assert store.depth() == 0
    flusher(store, there).tick()
    assert there.rows.keys() == {"sma"}
    store.close()


def test_who_is_forgotten_leaves_no_row_there_and_who_is_renamed_keeps_it(store: Sqlite, there: There) -> None:
    one = flusher(store, there)
    commit(store, "sma", "ema", "old")
    one.tick()
    commit(store, forget=("ema",), renamed={"new": "old"})
    one.tick()
    assert there.rows.keys() == {"sma", "new"}
    commit(store, "new", pid=9)
    one.tick()
    assert (set(there.rows), there.rows["new"]["pid"]) == ({"sma", "new"}, 9)
    assert (store.depth(), there.log.count("rename_agent")) == (0, 1)


@pytest.mark.parametrize(("broken", "again"), [({"rename_agent"}, False), (set(), True)])
def test_a_new_name_is_told_again_in_a_new_session_but_not_where_it_is_refused(
    store: Sqlite, there: There, broken: set[str], again: bool
) -> None:
    one = flusher(store, there)
    commit(store, "old")
    one.tick()
    there.broken, there.epoch = broken, 0
    commit(store, "new", renamed={"new": "old"})
    for _ in range(4):
        one.tick()
    assert (there.log.count("rename_agent") > 1, store.renames()) == (again, ())
    assert (set(there.rows), store.depth()) == ({"new"}, 0)


def test_who_was_forgotten_while_nothing_was_copied_goes_with_the_next_session(tmp_path: Path, there: There) -> None:
    there.rows["ghost"] = {"name": "ghost", "epoch": 0, "seq": 1}
    store = opened(tmp_path)
    commit(store, "sma")
    one = flusher(store, there)
    one.tick()
    one.tick()
    assert there.rows.keys() == {"sma"}
    store.close()


def test_what_fails_beside_the_rows_holds_nothing_up_and_is_told_once(
    store: Sqlite, there: There, caplog: pytest.LogCaptureFixture
) -> None:
    there.broken = {"sweep_silent_hosts", "finish_command", "retain_agents"}
    there.rows["ghost"] = {"name": "ghost", "epoch": 0, "seq": 1}
    clock = [0.0]
    one = flusher(store, there, clock=lambda: clock[0])
    one.finished.append(Done(4, True, ""))
    for _ in range(3):
        clock[0] += SWEEP
        commit(store, "sma", events=(event(),))
        assert one.tick() == TICK
    assert (store.depth(), one.state.why, one.finished) == (0, "", [])
    commit(store, "sma", forget=("sma",), events=(event("last"),))
    assert one.tick() == TICK
    assert (store.depth(), "last" in there.events) == (0, True)
    assert len(caplog.records) == 3
    assert sorted(one.state.beside.values()) == ["there is no retain_agents", "there is no sweep_silent_hosts"]
    there.broken = set()
    one.tick()
    assert "ghost" in there.rows  # a minute is not over
    clock[0] += RETRY
    one.tick()
    assert (list(there.rows), dict(one.state.beside)) == (["sma"], {})
    there.log.clear()
    clock[0] += RETRY
    one.tick()
    assert "retain_agents" not in there.log


def test_history_that_is_kept_no_longer_goes_a_batch_at_a_time(store: Sqlite, there: There) -> None:
    there.old, clock = 2 * PRUNED + 1, [0.0]
    keep = timedelta(days=90), timedelta(days=30)
    one = flusher(store, there, keep=lambda: keep, clock=lambda: clock[0])
    for _ in range(5):
        assert one.tick() == TICK
    assert (there.old, there.log.count("retain_history")) == (0, 3)
    assert there.kept == (90 * 86400, 30 * 86400)
    clock[0] += PRUNE
    there.broken = {"retain_history"}
    assert one.tick() == TICK
    assert (there.log.count("retain_history"), one.state.why) == (4, "")
    one.tick()
    assert there.log.count("retain_history") == 4


def test_all_rows_are_sent_anew_now_and_then(store: Sqlite, there: There) -> None:
    clock = [0.0]
    commit(store, "sma")
    one = flusher(store, there, clock=lambda: clock[0])
    one.tick()
    one.tick()
    del there.rows["sma"]  # somebody has deleted it there, and nothing tells of that
    clock[0] += EVERYTHING
    one.tick()
    assert there.rows.keys() == {"sma"}


# --- While the other side is away -------------------------------------------------------------------------------------


def test_while_it_is_down_one_small_call_asks_and_it_says_how_far_behind_it_is(store: Sqlite, there: There) -> None:
    one = flusher(store, there)
    one.tick()
    there.failing = DOWN
    commit(store, "sma", events=(event("1"),))
    waits = [one.tick() for _ in range(12)]
    assert waits[0] < waits[4] < waits[-1] == TICK
    there.log.clear()
    one.tick()
    assert there.log == ["report_status"]
    assert (one.state.why, one.state.behind, one.state.kind) == ("connection refused", 2, Kind.AWAY)
    assert one.state.since is not None
    there.failing = None
    assert one.tick() == TICK
    assert (one.state.why, one.state.behind) == ("", 0)


def test_a_trouble_is_logged_once_and_so_is_its_end(
    store: Sqlite, there: There, caplog: pytest.LogCaptureFixture
) -> None:
    one = flusher(store, there)
    there.failing = DOWN
    with caplog.at_level("INFO"):
        for _ in range(5):
            one.tick()
        there.failing = Fault(Kind.REFUSED, "the key is refused: expired")
        one.tick()
        one.tick()
        there.failing = None
        one.tick()
    assert [record.message for record in caplog.records] == [
        "cannot copy to Supabase: connection refused",
        "cannot copy to Supabase: the key is refused: expired",
        "Supabase takes copies again",
    ]


def test_a_wish_to_be_left_alone_is_granted(store: Sqlite, there: There) -> None:
    there.failing = Fault(Kind.AWAY, "it asks us to slow down (429)", retry_after=timedelta(seconds=77))
    assert flusher(store, there).tick() == 77.0


def test_where_an_answer_is_too_slow_less_is_sent_until_it_is_not(store: Sqlite, there: There) -> None:
    commit(store, events=tuple(event(f"{number:04}", minutes=number) for number in range(100)))
    one = flusher(store, there)
    one.tick()
    commit(store, events=tuple(event(f"1{number:04}", minutes=number) for number in range(300)))
    there.failing = Fault(Kind.SLOW, "no answer in time")
    for _ in range(3):
        one.tick()
    there.failing = None
    before = there.arrived
    one.tick()
    assert there.arrived - before == BATCH // 8
    for _ in range(9):
        one.tick()
    assert store.depth() == 0


def test_after_a_refusal_it_looks_for_the_key_again(store: Sqlite, there: There) -> None:
    there.failing = Fault(Kind.REFUSED, "the key is refused")
    one = flusher(store, there)
    one.tick()
    assert there.closed == 1
    assert [one.tick() for _ in range(12)][-1] == UNTIL_REPAIRED


def test_a_store_that_cannot_be_asked_is_no_trouble_of_the_other_side(there: There) -> None:
    def ask(question: object) -> Any:
        raise StoreError("cannot ask the store")

    one = Flusher(ask, lambda: there, host=HOST)
    assert one.tick() == 1.0
    assert one.state.why == ""


# --- What is unfit ----------------------------------------------------------------------------------------------------


def test_one_item_that_is_unfit_is_set_aside_and_all_others_arrive(store: Sqlite, there: There) -> None:
    commit(store, "sma", "ema", "bad", events=tuple(event(str(number)) for number in range(9)), host=host_status())
    there.unfit = lambda item: item.get("name") == "bad" or item.get("id") == "4"
    one = flusher(store, there)
    assert one.tick() == TICK
    assert there.rows.keys() == {"sma", "ema"}
    assert there.events.keys() == set("01235678")
    assert {(one.kind, one.name) for one in store.dead_letters()} == {(ItemKind.ROW, "bad"), (ItemKind.EVENT, "sma")}
    assert "22003" in store.dead_letters()[0].error
    assert (one.state.dead, one.state.behind, one.state.why) == (2, 0, "")
    assert HOST in there.hosts
    there.unfit = lambda item: "version" in item  # what is said of the host
    commit(store, "sma", pid=9, events=(event("last"),))
    assert one.tick() == TICK
    assert (one.state.why, one.state.behind, there.rows["sma"]["pid"], "last" in there.events) == ("", 0, 9, True)
    assert list(one.state.beside.values()) == ["a value is out of range"]
    there.unfit = lambda item: False
    one.tick()
    assert one.state.beside == {}


def test_dead_letters_are_sent_once_more_when_somebody_wants_that(store: Sqlite, there: There) -> None:
    commit(store, "bad", events=(event("4", "bad"),))
    there.unfit = lambda item: item["name"] == "bad"
    one = flusher(store, there)
    one.tick()
    assert store.retry() == 2
    there.unfit = lambda item: False
    one.tick()
    assert (list(there.rows), list(there.events), one.state.dead) == (["bad"], ["4"], 0)


def test_of_a_row_there_is_one_dead_letter_however_often_it_is_refused(store: Sqlite, there: There) -> None:
    there.unfit = lambda item: item["name"] == "bad"
    one = flusher(store, there)
    for pid in range(4):
        commit(store, "bad", pid=pid)
        one.tick()
    assert len(store.dead_letters()) == 1


def test_a_schema_that_is_not_ours_sets_nothing_aside(store: Sqlite, there: There) -> None:
    commit(store, "sma", events=(event(),))
    there.failing = Fault(Kind.REFUSED, "its tables are not those of this version", code="PGRST202")
    one = flusher(store, there)
    one.tick()
    assert (store.dead(), one.state.behind) == (0, 2)


# --- Others who write there -------------------------------------------------------------------------------------------


def test_what_somebody_else_writes_to_our_rows_is_put_right(store: Sqlite, there: There) -> None:
    commit(store, "sma", "ema")
    one = flusher(store, there)
    one.tick()
    there.overwrite("sma", status="stopped", health=0)
    while one.tick() == 0.0:
        pass
    assert there.rows["sma"]["status"] == "running"
    assert (one.state.corrected, there.touched) == (1, set())


def test_a_row_that_claims_to_be_of_the_far_future_is_overtaken(store: Sqlite, there: There) -> None:
    commit(store, "sma")
    one = flusher(store, there)
    one.tick()
    there.overwrite("sma", status="stopped", seq=2**62)
    while one.tick() == 0.0:
        pass
    assert (there.rows["sma"]["status"], there.epoch) == ("running", 2)
    assert store.depth() == 0


def test_whoever_writes_there_again_and_again_is_not_run_after(store: Sqlite, there: There) -> None:
    clock = [0.0]
    commit(store, "sma")
    one = flusher(store, there, clock=lambda: clock[0])
    one.tick()
    waits = []
    for _ in range(6):
        there.overwrite("sma", health=1)
        waits.append(one.tick())
        clock[0] += 0.1
    assert waits == [0.0, *[TICK] * 5]
    one.tick()
    assert there.rows["sma"]["health"] == 100


def test_what_nobody_knows_here_is_not_put_right_for_ever(store: Sqlite, there: There) -> None:
    one = flusher(store, there)
    one.tick()
    one.tick()
    there.rows["ghost"] = {"name": "ghost", "epoch": 0, "seq": 1}
    there.touched.add("ghost")
    assert one.tick() == TICK


def test_a_database_that_was_put_back_gets_all_rows_anew(store: Sqlite, there: There) -> None:
    commit(store, "sma", "ema")
    one = flusher(store, there)
    one.tick()
    there.rows.clear()
    there.epoch = 0
    while one.tick() == 0.0:
        pass
    assert there.rows.keys() == {"sma", "ema"}


def test_a_store_that_was_lost_begins_a_session_of_its_own(tmp_path: Path, there: There) -> None:
    first = opened(tmp_path, replicate=True)
    for pid in range(5):
        commit(first, "sma", pid=pid)
    stores = [first]

    def ask(question: Callable[[Sqlite], T]) -> T:
        return question(stores[0])

    one = Flusher(ask, lambda: there, host=HOST)
    one.tick()
    first.close()
    stores[0] = opened(tmp_path / "anew", replicate=True)
    commit(stores[0], "sma", pid=99)
    one.tick()
    assert there.rows["sma"]["pid"] == 99
    stores[0].close()


def test_a_copy_that_shares_the_session_is_noticed_and_a_lost_answer_is_none(store: Sqlite, there: There) -> None:
    cloned: list[str] = []
    one = flusher(store, there, hooks=Hooks(cloned=cloned.append))
    one.tick()
    for there.lost in (True, True, False):
        one.tick()
    assert (there.epoch, cloned) == (1, [])
    there.mark = "of the copy"
    assert one.tick() == 0
    assert one.tick() == TICK
    assert (there.epoch, cloned) == (2, [store.instance])


def test_of_two_with_one_name_the_newer_writes_and_the_other_says_so(tmp_path: Path, there: There) -> None:
    clock = [0.0]
    cloned: list[str] = []
    old, new = (opened(tmp_path / name, replicate=True) for name in ("old", "new"))
    commit(old, "sma", pid=1)
    commit(new, "sma", pid=2)
    first = flusher(old, there, clock=lambda: clock[0])
    second = flusher(new, there, hooks=Hooks(cloned=cloned.append), clock=lambda: clock[0])
    first.tick()
    second.tick()
    assert cloned == [old.instance]
    commit(old, "sma", pid=3)
    first.tick()
    assert (first.state.superseded, there.rows["sma"]["pid"]) == (True, 2)
    there.hosts[HOST] = {"seq": 5}
    for _ in range(3):
        clock[0] += SILENT * 0.6
        there.hosts[HOST]["seq"] += 1
        there.hosts[HOST] = dict(there.hosts[HOST])
        first.tick()
    assert (first.state.superseded, there.rows["sma"]["pid"]) == (True, 2)
    clock[0] += SILENT
    first.tick()
    assert (first.state.superseded, there.rows["sma"]["pid"]) == (False, 3)
    old.close()
    new.close()


# --- People -----------------------------------------------------------------------------------------------------------


def test_a_lock_in_the_table_is_told_once_and_so_is_its_end(store: Sqlite, there: There) -> None:
    told: list[tuple[str, Lock | None]] = []
    commit(store, "sma", "ema")
    one = flusher(store, there, hooks=Hooks(locked=lambda name, lock, _: told.append((name, lock))))
    one.tick()
    until = now().wall + timedelta(hours=99)
    lock = {"status": "stopped", "health": 5, "reason": "night", "by": "ada", "until": until.isoformat()}
    there.locks["ema"] = lock
    for _ in range(3):
        one.tick()
    there.locks.clear()
    one.tick()
    (name, found), (again, ended) = told
    assert (name, again, ended) == ("ema", "ema", None)
    assert found is not None
    assert (found.status, found.health, found.reason, found.by) == (Status.STOPPED, 5, "night", "ada")
    assert found.until <= now().wall + timedelta(hours=24)


def test_a_lock_that_was_known_before_is_not_told_again(store: Sqlite, there: There) -> None:
    told: list[str] = []
    commit(store, "sma")
    there.locks["sma"] = {"status": "stopped", "health": 0, "reason": "", "by": "ada", "until": None}
    one = flusher(store, there, locks=dict(there.locks), hooks=Hooks(locked=lambda name, lock, _: told.append(name)))
    one.tick()
    assert told == []


def test_commands_are_claimed_handed_over_and_finished(store: Sqlite, there: There) -> None:
    told: list[Command] = []
    there.commands.append({"id": 4, "name": "sma", "kind": "restart", "actor": "ada", "requested_at": ""})
    one = flusher(store, there, hooks=Hooks(commanded=told.append))
    one.tick()
    assert told == [Command(4, "sma", "restart", "ada")]
    one.finished.append(Done(4, True, "it runs"))
    one.tick()
    assert (there.finished, one.finished) == ([(4, True, "it runs")], [])


FRONT = TableMap(
    "front.agents", "label", {"agent_name": "label", "status": "state", "health": "score"}, {"running": "healthy"}
)


def test_a_table_of_somebody_elses_gets_their_columns_and_words_under_the_title_that_is_shown(
    store: Sqlite, there: There
) -> None:
    there.taken = {"EMA"}
    commit(store, "sma", "ema")
    flusher(store, there, tables=(FRONT,)).tick()
    assert there.mirrored == {
        "SMA": {"label": "SMA", "state": "healthy", "score": 100},
        f"EMA @{HOST}": {"label": f"EMA @{HOST}", "state": "healthy", "score": 100},
    }


def test_a_table_of_somebody_elses_hears_of_those_who_were_removed_or_titled_anew_and_of_silent_hosts(
    store: Sqlite, there: There
) -> None:
    clock = [0.0]
    commit(store, "sma", "ema", "old")
    flusher(store, there, tables=(FRONT,)).tick()
    one = flusher(store, there, tables=(FRONT,), clock=lambda: clock[0])  # which has written nothing there itself
    commit(store, forget=("old",))
    commit(store, "ema", title="Fast")
    one.tick()
    one.tick()
    there.rows["theirs"] = {"name": "theirs", "host": "zeus", "agent_name": "Theirs", "reason": "HostSilent"}
    there.mirrored["Theirs"] = {"label": "Theirs", "state": "healthy", "score": 100}
    clock[0] += SWEEP
    one.tick()
    states = {label: found["state"] for label, found in there.mirrored.items()}
    assert states == {"SMA": "healthy", "Fast": "healthy", "EMA": "unknown", "OLD": "unknown", "Theirs": "unknown"}
    there.mirrored["Theirs"]["state"] = "healthy"  # it is back, and its next word was quicker than our next look
    clock[0] += SWEEP
    one.tick()
    assert there.mirrored["Theirs"]["state"] == "healthy"


def test_a_table_of_somebody_elses_that_is_slow_holds_nothing_up_and_is_told(store: Sqlite, there: There) -> None:
    clock = [0.0]
    one = flusher(store, there, tables=(FRONT,), clock=lambda: clock[0])
    there.closed_table = Fault(Kind.SLOW, "no answer in time")
    commit(store, "sma", events=(event(),))
    assert one.tick() == TICK
    assert (store.depth(), one.state.why, one.state.tables) == (0, "", {"front.agents": "no answer in time"})
    there.closed_table = None
    one.tick()
    assert there.mirrored == {}  # it is left alone for a while
    clock[0] += TICK
    one.tick()
    assert (set(there.mirrored), dict(one.state.tables)) == ({"SMA"}, {})


def test_a_row_that_a_table_of_somebody_elses_refuses_keeps_no_other_from_it(store: Sqlite, there: There) -> None:
    one = flusher(store, there, tables=(FRONT,))
    there.unfit = lambda item: item.get("label") == "EMA"
    commit(store, "sma", "ema", "rsi")
    one.tick()
    commit(store, "sma", pid=9)
    one.tick()
    assert (set(there.mirrored), store.dead()) == ({"SMA", "RSI"}, 0)
    assert one.state.tables == {"front.agents": "it violates a check constraint"}
    there.unfit = lambda item: False
    commit(store, "ema")
    one.tick()
    assert (len(there.mirrored), dict(one.state.tables)) == (3, {})


def test_a_table_of_somebody_elses_that_refuses_every_row_takes_few_calls_of_a_tick(
    store: Sqlite, there: There
) -> None:
    clock = [0.0]
    one = flusher(store, there, tables=(FRONT,), clock=lambda: clock[0])
    commit(store, "old")
    one.tick()
    there.log.clear()
    there.unfit = lambda item: "label" in item
    commit(store, *(f"a{number}" for number in range(100)), forget=("old",))
    one.tick()
    one.tick()
    assert there.log.count("front.agents") <= CALLS
    assert there.mirrored["OLD"]["state"] == "unknown"
    assert (one.state.why, one.state.tables) == ("", {"front.agents": "it violates a check constraint"})
    there.unfit = lambda item: False
    clock[0] += ANEW
    one.tick()
    assert (len(there.mirrored), dict(one.state.tables)) == (101, {})


def test_a_table_of_somebody_elses_that_is_far_away_gets_the_rest_with_the_next_ticks(
    store: Sqlite, there: There
) -> None:
    clock = [0.0]

    def unfit(row: Mapping[str, Any]) -> bool:
        clock[0] += 0.01 * ("label" in row)
        return row.get("label") in ("A7", "A80")

    there.unfit = unfit
    one = flusher(store, there, tables=(FRONT,), clock=lambda: clock[0])
    commit(store, *(f"a{number}" for number in range(100)))
    one.tick()
    assert clock[0] < 2 * SECONDS
    for _ in range(5):
        one.tick()
    assert len(there.mirrored) == 98


def test_whatever_became_of_our_rows_in_a_table_of_somebody_elses_is_put_right_within_a_minute(
    store: Sqlite, there: There
) -> None:
    clock = [0.0]
    one = flusher(store, there, tables=(FRONT,), clock=lambda: clock[0])
    commit(store, "sma")
    one.tick()
    there.mirrored["SMA"]["state"] = "unknown"  # another host took us for silent, and was slow to say so
    clock[0] += ANEW
    one.tick()
    assert there.mirrored["SMA"]["state"] == "healthy"


def test_a_row_that_a_table_of_somebody_elses_refuses_keeps_nobodys_end_from_it(store: Sqlite, there: There) -> None:
    one = flusher(store, there, tables=(FRONT,))
    there.rows["theirs"] = {"name": "theirs", "host": "", "agent_name": "Theirs", "reason": "Disowned"}
    there.mirrored["Theirs"] = {"label": "Theirs", "state": "healthy", "score": 100}
    commit(store, "sma", "ema")
    one.tick()
    there.unfit = lambda item: item.get("label") == "SMA"
    commit(store, "sma", pid=7, forget=("ema",))
    one.tick()
    states = {label: found["state"] for label, found in there.mirrored.items()}
    assert states == {"SMA": "healthy", "EMA": "unknown", "Theirs": "unknown"}
    assert one.state.tables


def test_a_table_of_somebody_elses_hears_of_whoever_went_while_it_was_closed_also_from_the_next_of_us(
    store: Sqlite, there: There
) -> None:
    one = flusher(store, there, tables=(FRONT,))
    commit(store, "sma", "ema")
    one.tick()
    there.closed_table = Fault(Kind.REFUSED, "the key may not do this", code="42501")
    commit(store, forget=("ema",))
    one.tick()
    there.closed_table = None
    assert there.rows.keys() == {"sma"}
    flusher(store, there, tables=(FRONT,)).tick()
    assert there.mirrored["EMA"]["state"] == "unknown"


def test_a_table_of_somebody_elses_that_has_no_word_for_unknown_is_told_once_and_gets_all_else(
    store: Sqlite, there: There, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [0.0]
    one = flusher(store, there, tables=(FRONT,), clock=lambda: clock[0])
    there.unfit = lambda item: item.get("state") == "unknown"
    theirs = {"name": "theirs", "host": "zeus", "agent_name": "Theirs", "reason": "HostSilent"}
    for number in range(40):
        there.rows["theirs"] = theirs
        commit(store, "sma", health=number)
        one.tick()
        clock[0] += TICK - 1
    assert (there.mirrored["SMA"]["score"], len(caplog.records)) == (39, 1)
    assert one.state.tables
    theirs["reason"] = "AsWanted"
    clock[0] += SWEEP
    one.tick()
    assert one.state.tables == {}


def test_a_damaged_note_of_what_is_to_be_told_keeps_nothing_up(store: Sqlite, there: There) -> None:
    for text in ("", "{", "3", '[{"a": 1}]'):
        store.commit(Change(notes={NOTE.format(FRONT.table): text}), now=NOON)
        assert flusher(store, there, tables=(FRONT,)).tick() == TICK


def test_rows_are_named_by_what_an_address_holds() -> None:
    titles = ["\U0001f680" * 100 + str(number) for number in range(20)]
    named = list(parts(titles))
    assert sorted(title for part in named for title in part) == sorted(titles)
    assert max(len(quote("".join(part))) for part in named) <= ADDRESS
    assert len(list(parts(map(str, range(100))))) == 1


def test_a_table_of_somebody_elses_that_is_not_there_is_called_missing(store: Sqlite, there: There) -> None:
    one = flusher(store, there, tables=(FRONT,))
    there.closed_table = Fault(Kind.REFUSED, "it answers 404", code="404")
    commit(store, "sma")
    one.tick()
    assert "no such table" in one.state.tables["front.agents"]


# --- Caps -------------------------------------------------------------------------------------------------------------


def test_what_waits_too_long_or_is_too_much_is_dropped_counted_and_kept_here(store: Sqlite, there: There) -> None:
    commit(store, "sma", events=tuple(event(str(number), minutes=number) for number in range(10)))
    assert store.shorten(before=NOON + timedelta(minutes=2), largest=10**9) == 2
    assert store.shorten(before=NOON, largest=1300) == 6
    one = flusher(store, there)
    one.tick()
    assert (list(there.events), one.state.dropped, list(there.rows)) == (["8", "9"], 8, ["sma"])
    assert len(store.events(EventQuery(limit=100))) == 10
