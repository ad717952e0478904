"""The replica against the real thing: a store's rows and history there, exactly once, and what people do there here."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest

from supervise.model import Lock, Status, TableMap
from supervise.stores import Change
from supervise.stores.sqlite import Sqlite
from supervise.stores.supabase.client import Client
from supervise.stores.supabase.faults import Fault, Kind
from supervise.stores.supabase.flusher import PRUNE, SWEEP, TICK, Command, Done, Flusher, Hooks
from supervise.stores.supabase.fronts import LONGEST
from supervise.stores.supabase.keys import Access
from tests.nouns import NOON
from tests.stores.nouns import event, host_status, row, sample
from tests.supabase.conftest import Connection
from tests.supabase.nouns import stored
from tests.supabase.stack import Api, eventually

T = TypeVar("T")
OPERATOR = "11111111-1111-1111-1111-111111111111"


class Host:
    """A store with its flusher, in this thread."""

    def __init__(
        self,
        folder: Path,
        api: Api,
        *,
        host: str = "ares",
        token: str | None = None,
        client: Callable[[Access], Client] = Client,
        **options: Any,
    ) -> None:
        folder.mkdir(exist_ok=True)
        key = api.publishable_key if token else api.secret_key
        self.access = Access(api.url, key, token or key)
        self.store = Sqlite.open(folder / "state.db", host=host, replicate=True)
        self.flusher = Flusher(self._ask, lambda: client(self.access), host=host, **options)

    def _ask(self, question: Callable[[Sqlite], T]) -> T:
        return question(self.store)

    def commit(self, *names: str, **more: Any) -> None:
        changes = {key: more.pop(key) for key in ("status", "pid", "health", "tasks", "title") if key in more}
        self.store.commit(Change(rows={name: row(name, **changes) for name in names}, **more), now=NOON)

    def tick(self) -> float:
        """Until there is nothing more to send at once."""
        for _ in range(50):
            if wait := self.flusher.tick():
                return wait
        raise AssertionError("it never comes to rest")

    def arrived(self) -> bool:
        """Whether nothing waits any more after one more tick."""
        return self.flusher.tick() == TICK and self.store.depth() == 0

    def close(self) -> None:
        self.flusher.close()
        self.store.close()


@pytest.fixture
def ares(api: Api, tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path / "ares", api)
    yield host
    host.close()


def test_rows_and_history_are_there_as_they_are_here(ares: Host, api: Api, db: Connection) -> None:
    ares.commit("sma", "ema", events=(event("1"), event("2")), samples=(sample(),), host=host_status("all well"))
    assert ares.tick() == TICK
    assert [(one["host"], one["name"], one["status"], one["epoch"]) for one in stored(api)] == [
        ("ares", "ema", "running", 1),
        ("ares", "sma", "running", 1),
    ]
    assert [one["id"] for one in db.execute("select id from agent_events order by id")] == ["1", "2"]
    assert db.execute("select count(*) as n from agent_samples").fetchone() == {"n": 1}
    assert db.execute("select host, message from host_status").fetchall() == [{"host": "ares", "message": "all well"}]
    assert (ares.store.depth(), ares.flusher.state.why) == (0, "")


class Unreliable(Client):
    """Loses requests, which arrive later all the same, and sends others again, in any order."""

    def __init__(self, access: Access, rnd: Random) -> None:
        super().__init__(access)
        self._rnd = rnd
        self._sent: list[tuple[str, dict[str, Any]]] = []

    def call(self, function: str, **arguments: Any) -> Any:
        if function in ("report_status", "append_events", "append_samples"):
            self._sent.append((function, arguments))
            if self._rnd.random() < 0.2:
                raise Fault(Kind.AWAY, "it went astray")
        answer = super().call(function, **arguments)
        self.repeat(3)
        return answer

    def repeat(self, most: int) -> None:
        for function, arguments in self._rnd.sample(self._sent, min(most, len(self._sent))):
            super().call(function, **arguments)


def test_whatever_goes_astray_or_comes_twice_or_late_the_newest_wins_for_each_host(
    api: Api, db: Connection, tmp_path: Path
) -> None:
    rnd, clients = Random(5), []

    def unreliable(access: Access) -> Client:
        clients.append(Unreliable(access, rnd))
        return clients[-1]

    names = ("ares", "hera")
    hosts = [Host(tmp_path / name, api, host=name, client=unreliable) for name in names]
    for number in range(40):
        for name, host in zip(names, hosts, strict=True):
            agents = rnd.sample(("sma", "ema", "rsi"), 2)
            host.commit(*agents, pid=number, events=(event(f"{name} {number}"),))
            host.flusher.tick()
    for host in hosts:
        eventually(host.arrived, "all has arrived")
    for client in clients:
        client.repeat(1000)
    for name, host in zip(names, hosts, strict=True):
        here = {one.name: one.pid for one in host.store.load().rows.values()}
        assert {one["name"]: one["pid"] for one in stored(api, host=name)} == here
        host.close()
    events = db.execute("select host, count(*) as n from agent_events group by host order by host").fetchall()
    assert events == [{"host": name, "n": 40} for name in names]


def test_nothing_is_foreign_that_we_wrote_ourselves(ares: Host, api: Api) -> None:
    ares.commit("sma", "ema")
    for pid in range(3):
        ares.commit("sma", pid=pid)
        assert ares.flusher.tick() == TICK
    assert ares.flusher.state.corrected == 0


def test_with_a_key_of_its_own_it_needs_no_other(api: Api, db: Connection, tmp_path: Path) -> None:
    sql = "insert into supervise_host_keys (kid, host, expires_at) values ('k1', 'ares', now() + interval '1 day')"
    db.execute(sql)
    host = Host(tmp_path / "ares", api, token=api.token("supervise_host", host="ares", kid="k1"))
    host.commit("sma", "old", events=(event(),), samples=(sample(),), host=host_status())
    assert host.tick() == TICK
    host.commit("sma", forget=("old",))
    assert host.tick() == TICK
    assert [one["name"] for one in stored(api)] == ["sma"]
    db.execute("update supervise_host_keys set revoked_at = now()")
    host.commit("sma", pid=9)
    host.tick()
    assert host.flusher.state.kind is Kind.REFUSED
    assert "may not do this" in host.flusher.state.why
    assert host.flusher.state.behind == 1
    db.execute("update supervise_host_keys set revoked_at = null")
    assert host.tick() == TICK
    assert stored(api)[0]["pid"] == 9
    host.close()


def test_what_an_older_writer_says_of_our_agent_is_put_right(ares: Host, api: Api, db: Connection) -> None:
    ares.commit("sma")
    ares.tick()
    db.execute("update agent_status set status = 'stopped', health = 0 where agent_name = 'SMA'")
    ares.tick()
    assert (stored(api)[0]["status"], stored(api)[0]["health"]) == ("running", 100)
    assert ares.flusher.state.corrected == 1
    ares.flusher.tick()
    assert ares.flusher.state.corrected == 1


def test_a_row_of_the_far_future_is_overtaken_at_the_next_tick(ares: Host, api: Api, db: Connection) -> None:
    ares.commit("sma")
    ares.tick()
    db.execute("update agent_status set status = 'error', seq = %s", (2**62,))
    ares.commit("sma", pid=3)
    ares.tick()
    (found,) = stored(api)
    assert (found["status"], found["pid"], found["epoch"]) == ("running", 3, 2)


def test_rows_that_the_database_has_called_silent_come_back(ares: Host, api: Api, db: Connection) -> None:
    ares.commit("sma", "ema")
    ares.tick()
    db.execute("update supervise_sessions set seen_at = now() - interval '2 minutes'")
    api.rpc("sweep_silent_hosts")
    assert {one["status"] for one in stored(api)} == {"unknown"}
    ares.tick()
    assert {one["status"] for one in stored(api)} == {"running"}


def test_a_host_that_says_nothing_is_swept_by_another(ares: Host, api: Api, db: Connection, tmp_path: Path) -> None:
    ares.commit("sma")
    ares.tick()
    other = Host(tmp_path / "hera", api, host="hera")
    db.execute("update supervise_sessions set seen_at = now() - interval '2 minutes'")
    other.tick()
    assert [(one["status"], one["reason"]) for one in stored(api, host="ares")] == [("unknown", "HostSilent")]
    other.close()


@pytest.mark.slow
def test_a_host_that_is_pulled_from_the_wall_is_known_to_be_silent_within_90_seconds(
    ares: Host, api: Api, db: Connection, tmp_path: Path
) -> None:
    hera = Host(tmp_path / "hera", api, host="hera")
    ares.commit("sma")
    assert ares.tick() == TICK
    pulled = time.monotonic()
    while db.execute("select status from agent_status where agent_name = 'SMA'").fetchone() == {"status": "running"}:
        assert time.monotonic() - pulled < 90
        time.sleep(hera.tick())
    print(f"silent for {time.monotonic() - pulled:.0f} s: unknown")
    assert stored(api, host="ares")[0]["reason"] == "HostSilent"
    hera.close()


def test_a_clock_that_is_set_back_a_year_holds_nothing_up(ares: Host, api: Api) -> None:
    ares.commit("sma", pid=1)
    ares.tick()
    back = row("sma", pid=2, updated_at=NOON - timedelta(days=365), since=NOON - timedelta(days=365))
    ares.store.commit(Change(rows={"sma": back}), now=NOON - timedelta(days=365))
    ares.tick()
    assert stored(api)[0]["pid"] == 2


def test_of_two_stores_with_one_name_one_writes_and_the_other_says_so(api: Api, tmp_path: Path) -> None:
    told: list[str] = []
    first = Host(tmp_path / "one", api)
    second = Host(tmp_path / "two", api, hooks=Hooks(cloned=told.append))
    first.commit("sma", pid=1)
    second.commit("sma", pid=2)
    first.tick()
    second.tick()
    first.commit("sma", pid=3)
    first.tick()
    assert (told, first.flusher.state.superseded) == ([first.store.instance], True)
    assert stored(api)[0]["pid"] == 2
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("running", "more"),
    [(False, ()), (True, ("ema",)), (True, ())],
    ids=["its disk", "its memory too", "and it counts as the other does"],
)
def test_of_a_machine_and_its_copy_one_writes_and_the_other_says_so(
    api: Api, tmp_path: Path, running: bool, more: tuple[str, ...]
) -> None:
    """The store is the same in both, and where the machine was copied as it ran, so is the session."""
    first = Host(tmp_path / "one", api)
    first.commit("sma", pid=1)
    first.tick()
    (tmp_path / "two").mkdir()
    with (
        closing(sqlite3.connect(tmp_path / "one/state.db")) as live,
        closing(sqlite3.connect(tmp_path / "two/state.db")) as db,
    ):
        live.backup(db)
    second = Host(tmp_path / "two", api)
    if running:
        for name in ("_epoch", "_instance", "_marks"):
            setattr(second.flusher, name, getattr(first.flusher, name))
    for pid in range(2, 8):
        first.commit("sma", pid=pid)
        first.tick()
        second.commit("sma", *more, pid=pid + 100)
        second.tick()
    (silent,) = [one for one in (first, second) if one.flusher.state.superseded]
    writes = second if silent is first else first
    assert stored(api, name="sma")[0]["pid"] == writes.store.load().rows["sma"].pid
    first.close()
    second.close()


def test_a_lock_of_a_member_is_honoured_and_its_end_too(ares: Host, api: Api, db: Connection) -> None:
    told: list[tuple[str, Lock | None]] = []
    ares.flusher._hooks = Hooks(locked=lambda name, lock, _: told.append((name, lock)))
    ares.commit("sma", "ema")
    ares.tick()
    db.execute("insert into supervise_members (user_id, role) values (%s, 'operator')", (OPERATOR,))
    member = api.token("authenticated", sub=OPERATOR, email="ada@example.org")
    lock = {"lock_status": "stopped", "lock_health": 0, "lock_reason": "night"}
    assert api.call("agent_status?name=eq.sma", lock, token=member, method="PATCH")[0] == 200
    ares.tick()
    ares.commit("sma", pid=4)
    ares.tick()
    assert stored(api, name="sma")[0]["status"] == "stopped"
    api.call("agent_status?name=eq.sma", {"lock_status": None}, token=member, method="PATCH")
    ares.tick()
    (name, found), (again, ended) = told
    assert (name, again, ended) == ("sma", "sma", None)
    assert found is not None
    assert (found.status, found.by, found.reason) == (Status.STOPPED, "ada@example.org", "night")
    assert found.until < datetime.now(UTC) + timedelta(hours=24)
    assert stored(api, name="sma")[0]["status"] == "running"


def test_a_command_goes_from_a_member_to_the_host_and_back(ares: Host, api: Api, db: Connection) -> None:
    told: list[Command] = []
    ares.flusher._hooks = Hooks(commanded=told.append)
    ares.commit("sma")
    ares.tick()
    db.execute("insert into supervise_members (user_id, role) values (%s, 'operator')", (OPERATOR,))
    member = api.token("authenticated", sub=OPERATOR, email="ada@example.org")
    asked = {"host": "ares", "name": "sma", "kind": "restart"}
    assert api.call("supervise_commands", asked, token=member)[0] == 201
    ares.tick()
    ((command,)) = told
    assert (command.name, command.kind, command.actor) == ("sma", "restart", "ada@example.org")
    ares.flusher.finished.append(Done(command.id, True, "it runs"))
    ares.tick()
    found = db.execute("select state, detail from supervise_commands").fetchone()
    assert found == {"state": "done", "detail": "it runs"}


def test_what_the_tables_refuse_is_set_aside_and_all_else_arrives(ares: Host, api: Api, db: Connection) -> None:
    ares.commit("bad", tasks=-1)
    ares.commit("sma", "ema", events=tuple(event(str(number)) for number in range(20)))
    assert ares.tick() == TICK
    assert [one["name"] for one in stored(api)] == ["ema", "sma"]
    (letter,) = ares.store.dead_letters()
    assert (letter.name, "23514" in letter.error) == ("bad", True)
    ares.commit("bad", tasks=1)
    ares.tick()
    assert [one["name"] for one in stored(api)] == ["bad", "ema", "sma"]


def test_history_that_is_kept_no_longer_here_goes_there(api: Api, db: Connection, tmp_path: Path) -> None:
    keep = timedelta(days=90), timedelta(days=30)
    ahead = [0.0]
    host = Host(tmp_path / "ares", api, keep=lambda: keep, clock=lambda: time.monotonic() + ahead[0])
    old, new = datetime.now(UTC) - timedelta(days=91), datetime.now(UTC)
    host.commit("sma", events=(event("old", at=old), event("new", at=new)))
    host.tick()
    db.execute("update agent_events set arrived_at = at")
    ahead[0] = PRUNE
    host.tick()
    assert [one["id"] for one in db.execute("select id from agent_events")] == ["new"]
    host.close()


def test_titles_that_change_places_find_theirs(ares: Host, api: Api) -> None:
    ares.store.commit(Change(rows={"a": row("a", title="One"), "b": row("b", title="Two")}), now=NOON)
    ares.tick()
    ares.store.commit(Change(rows={"a": row("a", title="Two"), "b": row("b", title="One")}), now=NOON)
    ares.tick()
    ares.store.resend()
    ares.tick()
    assert ares.store.depth() == 0
    assert ares.store.dead() == 0


def test_a_renamed_agent_keeps_its_row_and_history_there(ares: Host, api: Api, db: Connection, tmp_path: Path) -> None:
    history = {"events": (event("1", "old"), event("2", "old")), "samples": (sample("old"), sample("old", 5))}
    ares.commit("old", title="Scanner", **history)
    ares.tick()
    before = db.execute("update agent_status set lock_status = 'stopped' returning id").fetchone()
    db.execute(  # nor does it matter that one has arrived under both names
        """insert into agent_samples select twice.* from agent_samples s,
             jsonb_populate_record(s, '{"name": "newer"}') twice where s.at = %s""",
        (NOON,),
    )
    ares.commit("new", title="Scanner", renamed={"new": "old"}, events=(event("3", "new"),))
    ares.commit("newer", title="Scanner", renamed={"newer": "new"})
    ares.close()  # before anybody has told it
    again = Host(tmp_path / "ares", api)
    assert again.arrived()
    (found,) = stored(api)
    assert {"id": found["id"]} == before
    assert (found["name"], found["agent_name"], found["lock_status"]) == ("newer", "Scanner", "stopped")
    assert [one["name"] for one in db.execute("select name from agent_events")] == ["newer"] * 3
    kept = db.execute("select name, count(*) as n from agent_samples group by name order by name").fetchall()
    assert kept == [{"name": "new", "n": 1}, {"name": "newer", "n": 2}]
    assert (again.store.renames(), again.flusher.state.why) == ((), "")
    again.close()


def test_agents_that_are_no_more_go_of_their_host_alone(ares: Host, api: Api, tmp_path: Path) -> None:
    hera = Host(tmp_path / "hera", api, host="hera")
    ares.commit("sma", "old")
    hera.commit("old", title="Hera's")
    ares.tick()
    hera.tick()
    ares.commit("sma", forget=("old",))
    ares.tick()
    assert [(one["host"], one["name"]) for one in stored(api)] == [("ares", "sma"), ("hera", "old")]
    hera.close()


FRONT = TableMap(
    "front",
    "label",
    {"agent_name": "label", "status": "state", "health": "score", "last_heartbeat": "seen"},
    {"running": "healthy"},
)


@pytest.fixture
def front(api: Api, db: Connection) -> Iterator[Connection]:
    """A table of somebody else's."""
    db.execute("create table front (label text primary key, state text, score int, seen timestamptz)")
    db.execute("grant all on front to service_role; notify pgrst, 'reload schema'")
    put = {"label": "nobody"}  # it reads a table that it does not know yet, but writes none
    eventually(lambda: api.call("front?on_conflict=label&columns=label", put)[0] == 201, "PostgREST knows that table")
    db.execute("delete from front")
    yield db
    db.execute("drop table front")


def states(front: Connection) -> dict[str, str]:
    return {one["label"]: one["state"] for one in front.execute("select label, state from front order by label")}


def test_a_front_end_of_somebody_elses_reads_in_its_own_table_what_ours_says(
    api: Api, front: Connection, tmp_path: Path
) -> None:
    ahead = [0.0]
    ares = Host(tmp_path / "ares", api, tables=(FRONT,), clock=lambda: time.monotonic() + ahead[0])
    hera = Host(tmp_path / "hera", api, host="hera", tables=(FRONT,))
    ares.commit("sma", "old", title='Old, (the) "last"')
    ares.commit("sma")
    ares.tick()
    hera.commit("sma")
    hera.tick()
    assert states(front) == {'Old, (the) "last"': "healthy", "SMA": "healthy", "SMA @hera": "healthy"}
    ares.commit("sma", forget=("old",))
    front.execute("update supervise_sessions set seen_at = now() - interval '2 minutes' where host = 'hera'")
    ahead[0] = SWEEP
    ares.tick()
    assert states(front) == {'Old, (the) "last"': "unknown", "SMA": "healthy", "SMA @hera": "unknown"}
    hera.tick()
    hera.tick()
    assert states(front)["SMA @hera"] == "healthy"
    for host in (ares, hera):
        assert (host.flusher.state.tables, host.flusher.state.why) == ({}, "")
        host.close()


def test_more_rows_are_found_than_one_answer_has(api: Api, db: Connection, ares: Host) -> None:
    db.execute(
        "insert into agent_status (agent_name, status, health)"
        " select 'A' || n, 'running', 1 from generate_series(0, 1000) n"
    )
    with closing(Client(ares.access)) as client:
        found = client.find("agent_status", "agent_name,host", status="running")
    assert len({one["agent_name"] for one in found}) == len(found) == 1001


def test_a_front_ends_table_that_is_closed_to_us_or_locked_holds_nothing_up(
    api: Api, front: Connection, tmp_path: Path
) -> None:
    front.execute(
        "insert into supervise_host_keys (kid, host, expires_at) values ('k1', 'ares', now() + interval '1 day')"
    )
    ahead = [0.0]
    ares = Host(
        tmp_path / "ares",
        api,
        token=api.token("supervise_host", host="ares", kid="k1"),
        tables=(FRONT,),
        clock=lambda: time.monotonic() + ahead[0],
        client=lambda access: Client(access, read=0.3),
    )
    ares.commit("sma", events=(event("1"),))
    assert ares.arrived()
    assert "may not do this" in ares.flusher.state.tables["front"]
    front.execute("grant select, insert, update on front to supervise_host")
    ahead[0] += TICK
    with front.transaction():
        front.execute("lock table front in share mode")
        ares.commit("sma", events=(event("2"),))
        assert ares.arrived()
    assert ares.flusher.state.tables == {"front": "no answer in time"}
    ahead[0] += LONGEST
    assert ares.arrived()
    assert (states(front), ares.flusher.state.tables) == ({"SMA": "healthy"}, {})
    ares.close()


@pytest.mark.parametrize("part", ["gateway", "postgrest"])
def test_what_happens_while_it_is_away_arrives_once_when_it_is_back(
    ares: Host, api: Api, db: Connection, part: str
) -> None:
    ares.commit("sma")
    ares.tick()
    getattr(api, f"stop_{part}")(signal.SIGKILL)
    for number in range(50):
        ares.commit("sma", pid=number, events=(event(f"{number:02}"),))
        ares.flusher.tick()
    state = ares.flusher.state
    assert (state.kind, state.behind, state.since is not None) == (Kind.AWAY, 51, True)
    getattr(api, f"start_{part}")()
    eventually(lambda: ares.flusher.tick() == TICK, "it is copied again")
    assert [one["id"] for one in db.execute("select id from agent_events order by id")] == [
        f"{number:02}" for number in range(50)
    ]
    assert (stored(api)[0]["pid"], ares.store.depth()) == (49, 0)


def test_a_wrong_key_is_refused_and_a_right_one_is_read_without_a_restart(ares: Host, api: Api) -> None:
    good = ares.access
    ares.access = Access(api.url, "sb_secret_wrong", "sb_secret_wrong")
    ares.commit("sma")
    ares.tick()
    assert ares.flusher.state.kind is Kind.REFUSED
    assert "the key is refused" in ares.flusher.state.why
    ares.access = good
    assert ares.tick() == TICK


def test_a_key_that_has_expired_is_refused_in_words(api: Api, tmp_path: Path) -> None:
    token = api.token("service_role", exp=int(time.time()) - 60)
    host = Host(tmp_path / "ares", api, token=token)
    host.tick()
    assert "the key is refused: JWT expired" in host.flusher.state.why
    host.close()


def test_tables_of_an_older_version_lose_nothing(ares: Host, api: Api, db: Connection) -> None:
    ares.commit("sma", events=(event(),))
    db.execute("alter function open_session rename to close_session; notify pgrst, 'reload schema'")
    try:
        known = "schema cache"  # before PostgREST knows it, it may still read the old name into that, for the next test
        eventually(lambda: ares.flusher.tick() > 0 and known in ares.flusher.state.why, "it is refused")
        assert ares.flusher.state.kind is Kind.REFUSED
        assert "supervise db status" in ares.flusher.state.why
        assert (ares.store.dead(), ares.store.depth()) == (0, 2)
    finally:
        db.execute("alter function close_session rename to open_session; notify pgrst, 'reload schema'")
    eventually(lambda: ares.flusher.tick() == TICK, "it is copied again")
