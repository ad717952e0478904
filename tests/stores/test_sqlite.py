"""The store on real files: all of a change or nothing, one owner, and one bad row costs the others nothing."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from supervise.errors import StoreError
from supervise.model import EventKind, IntentKind, Past, StatusRow
from supervise.stores import Change, EventQuery, ItemKind
from supervise.stores.rows import stamp
from supervise.stores.sqlite import NEXT_OF_KIND, Sqlite, look
from tests.nouns import NOON
from tests.stores.nouns import HOST, event, host_status, hosts, intent, opened, row, sample, setting


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Sqlite]:
    store = opened(tmp_path)
    yield store
    store.close()


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[Sqlite]:
    store = opened(tmp_path, replicate=True)
    yield store
    store.close()


def commit(store: Sqlite, *rows: StatusRow, **more: Any) -> None:
    store.commit(Change(rows={one.name: one for one in rows}, **more), now=NOON)


def by_hand(path: Path, *statements: str) -> list[Any]:
    """What somebody does to the file behind the store's back."""
    db = sqlite3.connect(path / "state.db" if path.is_dir() else path, isolation_level=None)
    db.execute("pragma ignore_check_constraints = on")
    found = [db.execute(statement).fetchall() for statement in statements]
    db.close()
    return found[-1]


def ids(events: Any) -> list[str]:
    return [one.id for one in events]


# --- Opening ----------------------------------------------------------------------------------------------------------


def test_only_its_owner_may_read_the_file_and_what_lies_beside_it(tmp_path: Path, store: Sqlite) -> None:
    commit(store, row())
    found = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert found == dict.fromkeys(("state.db", "state.db-wal", "state.db-shm", "state.db.lock"), 0o600)


def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "state.db").touch(mode=0o644)
    (tmp_path / "state.db").chmod(0o644)
    opened(tmp_path).close()
    assert stat.S_IMODE((tmp_path / "state.db").stat().st_mode) == 0o600


def test_what_was_written_is_there_after_a_restart(tmp_path: Path, store: Sqlite) -> None:
    past = Past(boot="b", deaths=(timedelta(seconds=3),), quarantined=True)
    chosen = (setting(), setting("-"), setting("-", "night", "preset of tag web"))
    commit(store, row(past=past), row("ema"), intents=(intent(),), notes={"greeting": "hello"}, settings=chosen)
    store.close()
    again = opened(tmp_path)
    memory = again.load()
    again.close()
    assert memory.rows == {"sma": row(past=past), "ema": row("ema")}
    assert memory.intents == {"sma": intent()}
    assert memory.notes == {"greeting": "hello"}
    assert memory.settings == {one.of: one for one in chosen}


def test_a_second_owner_is_refused_and_the_first_goes_on(tmp_path: Path, store: Sqlite) -> None:
    with pytest.raises(StoreError, match=rf"another reconciler owns it \(PID {os.getpid()}\)") as error:
        opened(tmp_path)
    assert not error.value.corrupt
    commit(store, row())
    assert list(store.load().rows) == ["sma"]


def test_the_kernel_frees_the_store_of_a_killed_owner_and_nothing_written_is_lost(tmp_path: Path) -> None:
    writes = (
        "import sys\nfrom pathlib import Path\nfrom supervise.stores import Change\n"
        "from tests.nouns import NOON\nfrom tests.stores.nouns import opened, row\n"
        "store = opened(Path(sys.argv[1]))\n"
        "for number in range(10**6):\n"
        "    one = row(f'a{number}')\n"
        "    store.commit(Change(rows={one.name: one, 'last': row('last', pid=number)}), now=NOON)\n"
        "    print(number, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", writes, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    told = [next(child.stdout) for _ in range(50)]
    child.send_signal(signal.SIGKILL)
    told += child.stdout.readlines()
    child.wait()
    child.stdout.close()
    last = int([line for line in told if line.endswith("\n")][-1])
    store = opened(tmp_path)
    rows = store.load().rows
    store.close()
    assert rows["last"].pid in (last, last + 1)
    assert len(rows) == (rows["last"].pid or 0) + 2


def test_a_file_that_is_no_database_is_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(StoreError, match=r"^cannot open the store .*not a database") as error:
        opened(tmp_path)
    assert error.value.corrupt


def test_damage_is_seen_at_opening_wherever_in_the_file_it_is(tmp_path: Path, store: Sqlite) -> None:
    commit(store, row(), samples=tuple(sample(minutes=number) for number in range(500)))
    store.close()
    last_page = (tmp_path / "state.db").stat().st_size - 4096
    with (tmp_path / "state.db").open("r+b") as file:
        file.seek(last_page)
        file.write(b"\xa5" * 4096)
    for _ in range(2):  # and the second is not told that somebody owns it
        with pytest.raises(StoreError, match=r"^cannot open the store .*: it is damaged: ") as error:
            opened(tmp_path)
        assert error.value.corrupt


def test_a_folder_in_the_place_of_the_file_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StoreError, match="Is a directory") as error:
        opened(tmp_path)
    assert not error.value.corrupt


def test_the_store_is_the_machines_whatever_it_is_called_now(tmp_path: Path, store: Sqlite) -> None:
    commit(store, row(), events=(event(),), samples=(sample(),), intents=(intent(),))
    store.close()
    renamed = Sqlite.open(tmp_path / "state.db", host="zeus")
    assert renamed.load().rows == {"sma": row()}
    assert renamed.load().intents == {"sma": intent()}
    assert ids(renamed.events(EventQuery())) == ["e1"]
    assert len(renamed.history("sma", NOON, NOON)) == 1
    commit(renamed, row(pid=5))
    assert renamed.load().rows == {"sma": row(pid=5)}
    renamed.close()


def test_a_close_takes_nothing_from_who_reads_by_hand(tmp_path: Path, store: Sqlite) -> None:
    commit(store, row())
    reader = sqlite3.connect(tmp_path / "state.db")
    assert reader.execute("select name from agent_status").fetchall() == [("sma",)]
    store.close()
    again = opened(tmp_path)
    assert list(again.load().rows) == ["sma"]
    again.close()
    assert reader.execute("select name from agent_status").fetchall() == [("sma",)]
    reader.close()


def test_the_log_of_a_file_that_was_replaced_is_not_played_back_into_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = opened(tmp_path / "other")
    commit(other, *(row(f"z{number}") for number in range(100)))
    other.close()
    store = opened(tmp_path)
    commit(store, row())
    (tmp_path / "other/state.db").replace(tmp_path / "state.db")
    assert not store.intact()
    store.close()
    next_one = opened(tmp_path, check=True)
    assert set(next_one.load().rows) == {f"z{number}" for number in range(100)}
    next_one.close()


def test_it_can_be_looked_at_where_it_cannot_be_written(tmp_path: Path, store: Sqlite) -> None:
    commit(store, row())
    with pytest.raises(StoreError, match="another reconciler owns it"):
        look(store.path, host=HOST)
    store.close()
    before = sorted(os.listdir(tmp_path))
    assert look(store.path, host=HOST).rows == {"sma": row()}
    assert sorted(os.listdir(tmp_path)) == before


# --- Committing -------------------------------------------------------------------------------------------------------


def test_a_change_is_written_whole_or_not_at_all(tmp_path: Path, store: Sqlite) -> None:
    commit(store, row(pid=1), notes={"a": "1"})
    by_hand(tmp_path, "create trigger no before insert on agent_samples begin select raise(rollback, 'no room'); end")
    before = store.seq
    change = Change({"sma": row(pid=2)}, (event(),), (sample(),), (intent(),), notes={"a": "2"})
    with pytest.raises(StoreError):
        store.commit(change, now=NOON)
    assert store.seq == before
    by_hand(tmp_path, "drop trigger no")
    memory = store.load()
    assert (memory.rows, memory.intents, memory.notes) == ({"sma": row(pid=1)}, {}, {"a": "1"})
    assert store.events(EventQuery()) == ()
    store.commit(change, now=NOON)
    assert store.load().rows["sma"].pid == 2


def test_seq_counts_the_rows_written_and_outlives_the_process(tmp_path: Path, store: Sqlite) -> None:
    commit(store, row(), row("ema"), events=(event(),), samples=(sample(),))
    assert store.seq == 2
    commit(store, row())
    commit(store)
    store.close()
    again = opened(tmp_path)
    commit(again, row("ema"))
    again.close()
    assert by_hand(tmp_path, "select name, seq from agent_status order by seq") == [("sma", 3), ("ema", 4)]


def test_a_host_has_one_row_which_says_how_it_is_now(tmp_path: Path, store: Sqlite) -> None:
    commit(store, host=host_status("the disk is full"))
    commit(store, host=host_status(agents=4, updated_at=None))
    (found,) = hosts(tmp_path)
    assert found == {
        "host": HOST,
        "platform": "systemd",
        "version": "1.0",
        "boot": "boot-1",
        "started_at": stamp(NOON),
        "agents": 4,
        "message": "",
        "epoch": 0,
        "seq": 2,
        "updated_at": stamp(NOON),
    }


def test_a_host_that_is_called_otherwise_now_has_still_one_row(tmp_path: Path, store: Sqlite) -> None:
    commit(store, host=host_status())
    store.close()
    renamed = Sqlite.open(tmp_path / "state.db", host="hermes")
    commit(renamed, host=host_status("new"))
    renamed.close()
    assert [(one["host"], one["message"]) for one in hosts(tmp_path)] == [("hermes", "new")]


def test_however_much_troubles_a_host_its_row_is_written(tmp_path: Path, store: Sqlite) -> None:
    commit(store, row(), host=host_status("\0" + "x" * 100_000, version="v" * 100))
    (found,) = hosts(tmp_path)
    assert (len(found["message"]), len(found["version"]), store.skipped) == (8192, 64, 0)


def test_a_row_that_no_column_takes_costs_the_others_nothing(store: Sqlite) -> None:
    commit(store, row(), row("x" * 81), row("old", health=101), row("big", memory=2**63), events=(event(),))
    assert list(store.load().rows) == ["sma"]
    assert ids(store.events(EventQuery())) == ["e1"]
    assert store.skipped == 3


def test_the_forgotten_are_gone_and_their_history_stays(store: Sqlite) -> None:
    commit(store, row(), row("ema"), events=(event(),), samples=(sample(),), intents=(intent(),))
    commit(store, forget=("sma",))
    assert list(store.load().rows) == ["ema"]
    assert store.load().intents == {}
    assert ids(store.events(EventQuery(name="sma"))) == ["e1"]
    (kept,) = store.history("sma", NOON, NOON)
    assert (kept.row.title, kept.row.project, kept.row.health) == ("sma", "", 100)


def test_who_is_forgotten_and_written_in_one_change_is_there(store: Sqlite) -> None:
    commit(store, row(), intents=(intent(),))
    commit(store, row(pid=7), forget=("sma",))
    assert store.load().rows == {"sma": row(pid=7)}
    assert store.load().intents == {}


def test_of_an_agent_the_newest_intent_counts(store: Sqlite) -> None:
    commit(store, intents=(intent(kind=IntentKind.STOP), intent(kind=IntentKind.START)))
    assert store.load().intents == {"sma": intent(kind=IntentKind.START)}


def test_a_note_can_be_changed_and_removed(store: Sqlite) -> None:
    commit(store, notes={"a": "1", "b": "2"})
    commit(store, notes={"a": None, "b": "3"})
    assert store.load().notes == {"b": "3"}


def test_a_setting_can_be_changed_and_taken_back(store: Sqlite) -> None:
    commit(store, settings=(setting(), setting("ema")))
    commit(store, settings=(setting(value="night"), setting("ema", None)))
    assert store.load().settings == {("sma", "preset"): setting(value="night")}


def test_what_was_set_of_an_agent_outlives_its_row(store: Sqlite) -> None:
    commit(store, row(), settings=(setting(),))
    commit(store, forget=("sma",))
    assert store.load().settings == {("sma", "preset"): setting()}


def test_a_setting_that_no_column_takes_costs_the_others_nothing(store: Sqlite) -> None:
    commit(store, settings=(setting("x" * 81), setting(key="k" * 129), setting()))
    assert list(store.load().settings) == [("sma", "preset")]
    assert store.skipped == 2


def test_an_event_is_written_once(store: Sqlite) -> None:
    commit(store, events=(event(),))
    commit(store, events=(event(message="again"),))
    assert store.events(EventQuery()) == (event(),)


# --- Names and titles -------------------------------------------------------------------------------------------------


def test_everything_follows_an_agent_to_its_new_name(store: Sqlite) -> None:
    past = Past(boot="b", attempts=3)
    commit(store, row(past=past), events=(event(),), samples=(sample(),), intents=(intent(),), settings=(setting(),))
    commit(store, renamed={"ema": "sma"})
    memory = store.load()
    assert memory.rows == {"ema": replace(row(past=past), name="ema")}
    assert memory.intents == {"ema": replace(intent(), name="ema")}
    assert memory.settings == {("ema", "preset"): setting("ema")}
    assert store.events(EventQuery(name="ema")) == (event(name="ema"),)
    assert [one.name for one in store.history("ema", NOON, NOON)] == ["ema"]
    assert store.events(EventQuery(name="sma")) == ()


def test_two_agents_can_swap_their_names(store: Sqlite) -> None:
    commit(store, row("a", pid=1), row("b", pid=2), events=(event("1", "a"), event("2", "b")))
    commit(store, renamed={"a": "b", "b": "a"})
    assert {name: one.pid for name, one in store.load().rows.items()} == {"a": 2, "b": 1}
    assert ids(store.events(EventQuery(name="a"))) == ["2"]


def test_a_new_name_that_was_somebody_elses_is_taken_over(store: Sqlite) -> None:
    commit(store, row("a", pid=1), row("b", pid=2), samples=(sample("a"), sample("b")))
    commit(store, renamed={"b": "a"})
    assert {name: one.pid for name, one in store.load().rows.items()} == {"b": 1}
    assert len(store.history("b", NOON, NOON)) == 1


def test_the_renaming_of_nobody_changes_nothing(store: Sqlite) -> None:
    commit(store, row("a"))
    commit(store, renamed={"a": "stranger", "": "a", "y" * 81: "a"})
    assert store.load().rows == {"a": row("a")}


def test_two_agents_can_swap_their_titles(store: Sqlite) -> None:
    commit(store, row("a", title="Fast"), row("b", title="Slow"))
    commit(store, row("a", title="Slow"), row("b", title="Fast"))
    assert {name: one.title for name, one in store.load().rows.items()} == {"a": "Slow", "b": "Fast"}
    assert store.skipped == 0


def test_a_title_goes_to_who_was_given_it_last(store: Sqlite) -> None:
    commit(store, row("a", title="Fast"))
    commit(store, row("b", title="Fast"))
    assert {name: one.title for name, one in store.load().rows.items()} == {"a": "Fast (a)", "b": "Fast"}


# --- Reading ----------------------------------------------------------------------------------------------------------


def test_one_damaged_row_does_not_hide_the_others(tmp_path: Path, store: Sqlite) -> None:
    commit(store, *(row(name) for name in "abcdef"), intents=(intent("a"), intent("b")))
    commit(store, events=(event("1"), event("2")))
    by_hand(
        tmp_path,
        "update agent_status set status = 'thrilled' where name = 'a'",
        "update agent_status set reason = 'FromTheFuture' where name = 'b'",
        "update agent_status set health_parts = '[{\"name\"' where name = 'c'",
        "update agent_status set since = 'yesterday' where name = 'd'",
        "update agent_memory set past = '[' where name = 'e'",
        "update agent_intents set kind = 'dance' where name = 'a'",
        "update agent_events set kind = 'party' where id = '1'",
        "update agent_status set message = cast(x'ff41' as text) where name = 'f'",
    )
    memory = store.load()
    assert {name: one.message for name, one in memory.rows.items()} == {"f": "\ufffdA"}
    assert list(memory.intents) == ["b"]
    assert ids(store.events(EventQuery())) == ["2"]
    assert store.skipped == 7


def test_the_newest_events_come_oldest_first_and_those_of_one_moment_as_they_were_written(store: Sqlite) -> None:
    written = tuple(event(str(number), minutes=number % 7) for number in range(20))
    commit(store, events=written)
    in_order = sorted(written, key=lambda one: one.at)
    assert store.events(EventQuery(limit=5)) == tuple(in_order[-5:])
    assert store.events(EventQuery(limit=100)) == tuple(in_order)
    assert store.events(EventQuery(limit=0)) == ()


def test_events_can_be_had_by_name_and_span(store: Sqlite) -> None:
    host = event("host", "", minutes=2, kind=EventKind.HOST, before=None, after=None)
    commit(store, events=(event("1", "a", 1), host, event("3", "b", 3), event("4", "a", 4)))
    minute = timedelta(minutes=1)
    assert ids(store.events(EventQuery(name="a"))) == ["1", "4"]
    assert store.events(EventQuery(name="")) == (host,)
    assert ids(store.events(EventQuery(since=NOON + 2 * minute, until=NOON + 3 * minute))) == ["host", "3"]
    assert ids(store.events(EventQuery(name="a", since=NOON + 2 * minute))) == ["4"]


def test_a_history_is_of_one_agent_within_a_span(store: Sqlite) -> None:
    commit(store, row(), samples=tuple(sample(minutes=number) for number in (3, 1, 2)))
    commit(store, samples=(sample("ema"), sample(minutes=1, of=row(health=7))))
    found = store.history("sma", NOON, NOON + timedelta(minutes=2))
    assert [(one.at - NOON, one.row.health) for one in found] == [
        (timedelta(minutes=1), 7),
        (timedelta(minutes=2), 100),
    ]


def test_what_is_old_is_deleted_and_counted(replicated: Sqlite) -> None:
    events = tuple(event(str(number), minutes=number) for number in range(4))
    samples = tuple(sample(name, number) for name in ("sma", "gone") for number in range(4))
    commit(replicated, row(), events=events, samples=samples)
    gone = replicated.prune(events_before=NOON + timedelta(minutes=3), samples_before=NOON + timedelta(minutes=1))
    assert gone == 3 + 2
    assert ids(replicated.events(EventQuery())) == ["3"]
    assert len(replicated.history("gone", NOON, NOON + timedelta(hours=1))) == 3
    kinds = [item.kind for item in replicated.pending(100)]
    assert kinds == [ItemKind.ROW, ItemKind.EVENT, *[ItemKind.SAMPLE] * 6]


# --- The outbox -------------------------------------------------------------------------------------------------------


def test_nothing_waits_for_a_replica_where_there_is_none(tmp_path: Path, store: Sqlite) -> None:
    commit(store, row(), events=(event(),), samples=(sample(),))
    assert store.pending(100) == ()


def test_a_row_waits_once_in_its_newest_state_and_events_wait_in_their_order(replicated: Sqlite) -> None:
    commit(replicated, row(pid=1), row("ema"), events=(event("1"),))
    commit(replicated, row(pid=2), events=(event("2"), event("2")), samples=(sample(),))
    found = replicated.pending(100)
    assert [(item.kind, getattr(item.content, "pid", None) or getattr(item.content, "id", "")) for item in found] == [
        (ItemKind.ROW, ""),
        (ItemKind.ROW, 2),
        (ItemKind.EVENT, "1"),
        (ItemKind.EVENT, "2"),
        (ItemKind.SAMPLE, ""),
    ]
    assert found[1].content == row(pid=2)
    assert len({item.id for item in found}) == 5
    assert [item.id for item in replicated.pending(2)] == [item.id for item in found[:2]]


def test_what_is_acknowledged_does_not_come_again_and_what_changed_since_does(replicated: Sqlite) -> None:
    commit(replicated, row(pid=1), events=(event(),))
    sent = replicated.pending(100)
    commit(replicated, row(pid=2))
    replicated.acknowledge([item.id for item in sent])
    (left,) = replicated.pending(100)
    assert left.content == row(pid=2)
    replicated.acknowledge([left.id])
    assert replicated.pending(100) == ()


def test_what_waits_outlives_the_process_and_keeps_its_number(tmp_path: Path, replicated: Sqlite) -> None:
    commit(replicated, row(), events=(event(),))
    sent = replicated.pending(100)
    replicated.close()
    again = opened(tmp_path, replicate=True)
    assert again.pending(100) == sent
    commit(again, row("ema"))
    assert max(item.id for item in again.pending(100)) > max(item.id for item in sent)
    again.close()


def test_the_number_of_a_row_that_waits_is_its_seq(tmp_path: Path, replicated: Sqlite) -> None:
    commit(replicated, row(), events=(event(),))
    commit(replicated, row("ema"))
    numbers = {item.name: item.id for item in replicated.pending(2)}
    assert dict(by_hand(tmp_path, "select name, seq from agent_status")) == numbers


def test_what_waits_goes_with_the_forgotten_and_follows_the_renamed(replicated: Sqlite) -> None:
    commit(replicated, row("a"), row("b"), events=(event("1", "a"),), samples=(sample("a"),))
    commit(replicated, forget=("b",), renamed={"c": "a"})
    assert [(item.kind, item.name) for item in replicated.pending(100)] == [
        (ItemKind.ROW, "c"),
        (ItemKind.ROW, "a"),
        (ItemKind.ROW, "b"),
        (ItemKind.EVENT, "c"),
        (ItemKind.SAMPLE, "c"),
    ]


def test_what_cannot_be_read_any_more_does_not_hold_the_others_up(tmp_path: Path, replicated: Sqlite) -> None:
    commit(replicated, events=(event("1"), event("2")))
    by_hand(tmp_path, "update agent_events set kind = 'party' where id = '1'")
    assert [item.content for item in replicated.pending(100)] == [event("2")]
    assert len(replicated.pending(100)) == 1
    ((kind, id_, why),) = by_hand(tmp_path, "select kind, event, error from dead_letters")
    assert (kind, id_) == ("event", "1")
    assert "party" in why


def test_rows_are_found_among_a_million_events_without_a_look_at_them(tmp_path: Path, replicated: Sqlite) -> None:
    question = NEXT_OF_KIND.replace(":host", "'ares'").replace(":kind", "'row'").replace(":most", "500")
    ((*_, step),) = by_hand(tmp_path, f"explain query plan {question}")
    assert step == "SEARCH outbox USING INDEX outbox_in_order (host=? AND kind=?)"


def test_a_store_that_keeps_nothing_for_a_replica_any_more_lets_go_of_what_waited(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.replicate(True)
    commit(store, row(), events=(event(),))
    store.close()
    again = opened(tmp_path)
    commit(again, row("ema"))
    assert again.depth() == 3
    again.replicate(False)
    assert again.depth() == 0
    again.close()


def test_only_rows_that_are_there_are_sent_anew(replicated: Sqlite) -> None:
    commit(replicated, row(), row("ema"))
    replicated.acknowledge([one.id for one in replicated.pending(9)])
    assert replicated.resend(["sma", "nobody"]) == 1
    assert [one.name for one in replicated.pending(9)] == ["sma"]
