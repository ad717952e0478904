"""Tables that people made by hand, as guides in the field do, migrate in place; their own statements go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from psycopg.errors import CheckViolation

from supervise.errors import StoreError
from supervise.stores import postgres
from tests.supabase.__main__ import migrated
from tests.supabase.conftest import Connection
from tests.supabase.nouns import event, opened, report, row, stored
from tests.supabase.stack import Api, Stack

FIRST = """
CREATE TABLE agent_status (
  id SERIAL PRIMARY KEY,
  agent_name TEXT UNIQUE NOT NULL,
  status TEXT NOT NULL, -- 'running', 'warning', 'error', 'stopped'
  health INTEGER NOT NULL, -- 0-100
  last_heartbeat TIMESTAMP WITH TIME ZONE,
  last_error TEXT,
  last_activity TEXT,
  updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

-- Insert initial records for each agent
INSERT INTO agent_status (agent_name, status, health, last_heartbeat) VALUES
  ('Content Collector', 'stopped', 0, NULL),
  ('Blog Generator', 'stopped', 0, NULL),
  ('Tweet Scheduler', 'stopped', 0, NULL),
  ('Engagement Analyzer', 'stopped', 0, NULL),
  ('Account Manager', 'stopped', 0, NULL);
"""
SECOND = """
CREATE TABLE agent_status (
  id SERIAL PRIMARY KEY,
  agent_name TEXT NOT NULL UNIQUE,
  status TEXT NOT NULL DEFAULT 'stopped',
  health INTEGER NOT NULL DEFAULT 0,
  last_heartbeat TIMESTAMPTZ,
  last_error TEXT,
  last_activity TEXT,
  updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
INSERT INTO agent_status (agent_name) VALUES ('Tweet Scraping Agent'), ('Content Collector');
"""
HEARTBEATS = """
CREATE TABLE trading_agent_heartbeats (
    id BIGSERIAL PRIMARY KEY,
    agent_name VARCHAR(255) NOT NULL,
    timestamp TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    last_error TEXT DEFAULT NULL,
    status VARCHAR(50) NOT NULL DEFAULT 'healthy',
    metadata JSONB DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
CREATE VIEW agent_health_latest AS SELECT DISTINCT ON (agent_name) * FROM trading_agent_heartbeats
  ORDER BY agent_name, timestamp DESC;
INSERT INTO trading_agent_heartbeats (agent_name, status) VALUES ('SMA_Agent', 'healthy');
"""
THEIRS = "select=id,agent_name,status,health,last_heartbeat,last_error,last_activity,updated_at&order=id"
Made = Callable[[str], tuple[str, Connection]]


@pytest.fixture
def made(stack: Stack) -> Iterator[Made]:
    """A project in which somebody has run this SQL, not migrated yet: its name and a connection."""
    open_: list[Connection] = []

    def make(sql: str) -> tuple[str, Connection]:
        name = f"t{uuid4().hex[:12]}"
        stack.database.create(name)
        db = stack.database.connect(name)
        open_.append(db)
        db.execute(sql.encode())
        return name, db

    yield make
    for db in open_:
        db.close()


@pytest.fixture
def served(stack: Stack, made: Made) -> Callable[[str], tuple[Api, Connection]]:
    """The same, migrated, behind PostgREST and a gateway."""

    def serve(sql: str) -> tuple[Api, Connection]:
        name, db = made(sql)
        migrated(stack.database.url(name))
        return stack.serve(name), db

    return serve


def notices(stack: Stack, name: str) -> list[str]:
    said: list[str] = []
    with postgres.connected(stack.database.url(name)) as db:
        postgres.migrate(db, tell=lambda step: None, notice=said.append)
    return said


@pytest.mark.parametrize("sql", [FIRST, SECOND])
def test_rows_stay_and_their_own_statements_read_and_write_as_before(
    served: Callable[[str], tuple[Api, Connection]], sql: str
) -> None:
    api, _ = served(sql)
    status, before = api.call(f"agent_status?{THEIRS}")
    assert (status, len(before)) == (200, 5 if sql is FIRST else 2)
    assert before[0].keys() == {
        "id", "agent_name", "status", "health", "last_heartbeat", "last_error", "last_activity", "updated_at",
    }  # fmt: skip
    assert {(one["status"], one["health"], one["last_heartbeat"]) for one in before} == {("stopped", 0, None)}

    beat = {
        "status": "running",
        "health": 95,
        "last_heartbeat": "2026-03-01T12:00:00+00:00",
        "last_activity": "fetching",
    }
    status, (written,) = api.call("agent_status?agent_name=eq.Content%20Collector", beat, method="PATCH")
    assert (status, written["last_activity"]) == (200, "fetching")
    upserted = {"agent_name": "Content Collector", "status": "warning", "health": 75, "last_error": "rate limit"}
    status, (written,) = upsert(api, upserted)
    assert (status, written["status"], written["last_activity"]) == (200, "warning", "fetching")
    status, (new,) = upsert(api, {**upserted, "agent_name": "Brand New"})
    assert (status, new["host"], new["name"]) == (201, "", "brand_new")
    status, (inserted,) = api.call("agent_status", {"agent_name": "brand-new", "status": "idle", "health": 10})
    assert (status, inserted["status"]) == (201, "idle")
    assert inserted["name"].startswith("brand_new_")
    assert api.call("agent_status?agent_name=eq.Brand%20New", method="DELETE")[0] in (200, 204)


def upsert(api: Api, values: dict[str, Any]) -> tuple[int, Any]:
    return api.call("agent_status?on_conflict=agent_name", values, prefer="resolution=merge-duplicates")


def test_a_host_takes_over_the_row_of_the_agent_that_it_runs(served: Callable[[str], tuple[Api, Connection]]) -> None:
    api, _ = served(FIRST)
    (by_hand,) = stored(api, agent_name="Content Collector".replace(" ", "%20"))
    epoch = opened(api)
    report(api, epoch, row("content_collector", 1, agent_name="Content Collector", health=88))
    (taken,) = stored(api, agent_name="Content%20Collector")
    assert (taken["id"], taken["host"], taken["name"]) == (by_hand["id"], "ares", "content_collector")
    assert (taken["status"], taken["health"]) == ("running", 88)
    assert len(stored(api)) == 5
    upsert(api, {"agent_name": "Content Collector", "status": "stopped", "health": 0})
    (told,) = report(api, epoch)["rows"]
    assert told["row"]["status"] == "stopped"


def test_their_rows_are_not_swept(served: Callable[[str], tuple[Api, Connection]]) -> None:
    api, _ = served(FIRST)
    assert api.rpc("sweep_silent_hosts") == {"hosts": []}
    assert {(one["status"], one["observed_status"]) for one in stored(api)} == {("stopped", "stopped")}


def test_a_table_by_hand_has_every_column_of_a_new_one(made: Made, stack: Stack) -> None:
    columns = """select column_name, data_type from information_schema.columns
                 where table_schema = 'public' and table_name = 'agent_status' order by column_name"""
    found = []
    for sql in ("", FIRST, SECOND):
        name, db = made(sql)
        migrated(stack.database.url(name))
        found.append(db.execute(columns).fetchall())
    assert found[0] == found[1] == found[2]


def test_numbers_of_rows_do_not_run_out(served: Callable[[str], tuple[Api, Connection]]) -> None:
    api, db = served(FIRST)
    epoch = opened(api)
    for seq in range(1, 6):
        report(api, epoch, row(seq=seq))
    count = db.execute("select last_value from agent_status_id_seq").fetchone()
    assert count == {"last_value": 6}
    kind = db.execute("select data_type::text from pg_sequences where sequencename = 'agent_status_id_seq'")
    assert kind.fetchone() == {"data_type": "bigint"}


# --- What people build around such a table ----------------------------------------------------------------------------


def test_a_table_that_was_open_to_all_is_closed_and_that_is_said(made: Made, stack: Stack) -> None:
    needs_more = (
        "alter table agent_status add team text not null default ''; alter table agent_status alter team drop default;"
    )
    name, _ = made(FIRST + needs_more + HEARTBEATS)
    said = notices(stack, name)
    for what in (
        "agent_status was open to everybody: writers that use the anon key need the secret key",
        "trading_agent_heartbeats was open to everybody",
        "agent_health_latest is there already and stays as it is",
        'column "team" of agent_status must be given',
    ):
        assert any(what in one for one in said), what
    assert not any('column "id"' in one for one in said)
    api = stack.serve(name)
    assert api.call("agent_status", key=api.publishable_key)[0] == 401
    assert api.call("agent_status", token=api.token("authenticated", sub=str(uuid4())))[1] == []


def test_policies_that_let_everybody_in_go_and_are_named(made: Made, stack: Stack) -> None:
    name, db = made(
        FIRST + "alter table agent_status enable row level security;"
        'create policy "Enable read access for all users" on agent_status for select using (true);'
    )
    assert any('"Enable read access for all users"' in one for one in notices(stack, name))
    may = db.execute("select has_table_privilege('anon', 'agent_status', 'select, insert, truncate') as anything")
    assert may.fetchone() == {"anything": False}
    api = stack.serve(name)
    assert api.call("agent_status", token=api.token("authenticated", sub=str(uuid4())))[1] == []


def test_words_checks_views_triggers_and_references_of_theirs_are_no_obstacle(made: Made, stack: Stack) -> None:
    name, db = made(
        """
        create type agent_state as enum ('running', 'warning', 'error', 'stopped');
        create table agent_status (
          id serial primary key, agent_name text not null, status agent_state not null default 'stopped',
          health smallint not null default 0 check (health <= 100), last_heartbeat timestamptz not null default now(),
          last_error varchar(100) not null default '', last_activity varchar(60),
          team text default 'x' check (team <> ''),
          updated_at timestamptz default now(), constraint agent_status_status_check check (status <> 'error'));
        alter publication supabase_realtime add table agent_status;
        create view active as select last_activity from agent_status;
        insert into agent_status (agent_name) values ('A B'), ('a-b'), ('!!!');
        create table agent_notes (agent int references agent_status (id), note text);
        insert into agent_notes values (1, 'mine');
        create function touch() returns trigger language plpgsql as
          $$ begin new.updated_at := now(); return new; end $$;
        create trigger touch before update on agent_status for each row execute function touch();
        """
    )
    said = notices(stack, name)
    for what in (
        'check "agent_status_status_check" of agent_status was dropped',
        'check "agent_status_health_check" of agent_status was dropped',
        'column "last_activity" of agent_status may be too short',
        "agent_status was taken out of Realtime",
    ):
        assert any(what in one for one in said), what
    with pytest.raises(CheckViolation, match="team"):
        db.execute("update agent_status set team = ''")
    assert db.execute("select tablename from pg_publication_tables").fetchall() == [{"tablename": "agent_events"}]
    names = db.execute("select name from agent_status order by id").fetchall()
    assert names[2] == {"name": "agent"}
    assert {one["name"].partition("_b")[0] for one in names[:2]} == {"a"}
    assert names[0] != names[1]
    api = stack.serve(name)
    report(api, opened(api), row("x", agent_name="A B", status="error", last_error="e" * 300, last_heartbeat=None))
    (found,) = stored(api, agent_name="A%20B")
    assert (found["status"], len(found["last_error"]), found["last_heartbeat"]) == ("error", 300, None)
    assert db.execute("select note from agent_notes join agent_status on agent = id").fetchone() == {"note": "mine"}


def test_a_view_of_theirs_goes_on_and_opens_nothing(made: Made, stack: Stack) -> None:
    name, _ = made(
        FIRST + "create view dashboard as select id, agent_name, status from agent_status;"
        "create materialized view of_late as select * from dashboard; create view board as select * from of_late;"
    )
    said = notices(stack, name)
    assert all(any(f"view {view} shows" in one for one in said) for view in ("dashboard", "of_late", "board"))
    api = stack.serve(name)
    stranger = api.token("authenticated", sub=str(uuid4()))
    assert len(api.call("dashboard")[1]) == len(api.call("board")[1]) == 5
    assert [api.call(view, key=api.publishable_key)[0] for view in ("dashboard", "of_late", "board")] == [401] * 3
    assert api.call("dashboard", token=stranger)[1] == []
    assert [api.call(view, token=stranger)[0] for view in ("of_late", "board")] == [403] * 2


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("create table agent_status (agent text, up boolean)", "of another kind"),
        ("create view agent_status as select 1 as one", "of another kind"),
        (FIRST + "alter table agent_status add host text", "columns of our names"),
        ("create table agent_settings (a text)", "already exists"),
        (
            FIRST.replace("UNIQUE ", "") + "insert into agent_status (agent_name, status, health)"
            " values ('Blog Generator', 'stopped', 0);",
            "several rows of one agent_name",
        ),
    ],
)
def test_what_cannot_be_taken_over_is_left_as_it_was_and_said(made: Made, stack: Stack, sql: str, why: str) -> None:
    name, db = made(sql)
    tables = (
        "select table_name, column_name from information_schema.columns where table_schema = 'public' order by 1, 2"
    )
    before = db.execute(tables).fetchall()
    with pytest.raises(StoreError, match=why):
        migrated(stack.database.url(name))
    left = [one for one in db.execute(tables).fetchall() if one["table_name"] != "supervise_migrations"]
    assert left == before


# --- The log of beats -------------------------------------------------------------------------------------------------


def beats_key(api: Api, db: Connection) -> str:
    db.execute("insert into supervise_host_keys (kid, host, expires_at) values ('k', 'ares', now() + interval '1 day')")
    return api.token("supervise_host", host="ares", kid="k")


@pytest.mark.parametrize("sql", ["", HEARTBEATS], ids=["new", "by hand"])
def test_beats_are_read_and_written_under_their_old_name(
    served: Callable[[str], tuple[Api, Connection]], sql: str
) -> None:
    api, db = served(sql)
    beat = {"agent_name": "SMA_Agent", "status": "warning", "last_error": "late", "metadata": {"signals": 5}}
    status, (written,) = api.call("trading_agent_heartbeats", beat)
    assert (status, written["metadata"], written["id"] > 0) == (201, {"signals": 5}, True)
    newest = "trading_agent_heartbeats?agent_name=eq.SMA_Agent&order=timestamp.desc&limit=1"
    assert api.call(newest)[1][0]["status"] == "warning"
    assert api.call("agent_health_latest")[0] == 200

    ares = beats_key(api, db)
    report(api, opened(api, token=ares), row("sma", agent_name="SMA_Agent"), token=ares)
    assert api.call("trading_agent_heartbeats", beat, token=ares)[0] == 201
    for refused in (
        api.call("trading_agent_heartbeats", {**beat, "agent_name": "EMA_Agent"}, token=ares),
        api.call("trading_agent_heartbeats?id=gt.0", {"status": "healthy"}, token=ares, method="PATCH"),
        api.call("trading_agent_heartbeats", beat, token=api.token("authenticated", sub=str(uuid4()))),
        api.call("trading_agent_heartbeats", key=api.publishable_key),
        api.call("agent_health_latest", key=api.publishable_key),
    ):
        assert refused[0] in (401, 403), refused
    assert api.call("trading_agent_heartbeats", token=api.token("authenticated", sub=str(uuid4())))[1] == []


def test_whoever_reads_beats_sees_how_our_agents_are(served: Callable[[str], tuple[Api, Connection]]) -> None:
    api, _ = served("")
    report(api, opened(api), row("sma", last_heartbeat="2026-03-01T12:00:00+00:00", status="error"))
    api.rpc("append_events", host="ares", rows=[event()])
    (found,) = api.call("trading_agent_heartbeats?agent_name=eq.SMA&select=status,timestamp,metadata")[1]
    assert (found["status"], found["timestamp"][:10], found["metadata"]["host"]) == ("error", "2026-03-01", "ares")
