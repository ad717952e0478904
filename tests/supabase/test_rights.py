"""Who may do what, asked as they would ask: anon, strangers, viewers, operators, the hosts with keys of their own."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from supervise.stores.ledger import TABLES
from tests.supabase.conftest import Connection
from tests.supabase.nouns import event, opened, report, row, sample, stored, taken
from tests.supabase.stack import Api

RPC: dict[str, dict[str, Any]] = {
    "open_session": {"host": "ares", "instance": "one"},
    "report_status": {"host": "ares", "epoch": 1, "rows": []},
    "append_events": {"host": "ares", "rows": []},
    "append_samples": {"host": "ares", "rows": []},
    "claim_commands": {"host": "ares", "most": 1},
    "finish_command": {"host": "ares", "id": 1, "ok": True, "detail": ""},
    "request_command": {"host": "ares", "name": "sma", "kind": "stop"},
    "prune_history": {"events_before": "2026-01-01", "samples_before": "2026-01-01"},
    "sweep_silent_hosts": {},
    "retain_agents": {"host": "ares", "epoch": 1, "names": []},
    "rename_agent": {"host": "ares", "epoch": 1, "was": "sma", "name": "ema"},
    "retain_history": {"host": "ares", "events": 10**9, "samples": 10**9},
}
READABLE = ("agent_status", "agent_events", "agent_samples", "host_status", "agent_health_latest")


def key(api: Api, db: Connection, host: str = "ares", **changes: Any) -> str:
    """The token of a host key that is on record."""
    kid = uuid4().hex
    db.execute(
        "insert into supervise_host_keys (kid, host, expires_at) values (%s, %s, now() + interval '30 days')",
        (kid, host),
    )
    return api.token("supervise_host", **{"host": host, "kid": kid, **changes})


def member(api: Api, db: Connection, role: str, **claims: str) -> str:
    user = str(uuid4())
    db.execute("insert into supervise_members (user_id, role) values (%s, %s)", (user, role))
    return api.token("authenticated", **{"sub": user, "email": f"{role}@example.org", **claims})


def stranger(api: Api) -> str:
    return api.token("authenticated", sub=str(uuid4()), app_metadata={"supervise": "nothing"})


@pytest.fixture
def filled(api: Api) -> Api:
    """Something of two hosts in each table that somebody may read."""
    for host, title in (("ares", "SMA"), ("zeus", "EMA")):
        report(
            api, opened(api, host), row(agent_name=title), host=host, host_row={"updated_at": "2026-01-01", "seq": 1}
        )
        api.rpc("append_events", host=host, rows=[event(host)])
        api.rpc("append_samples", host=host, rows=[sample()])
    return api


def of_hosts(api: Api, table: str, token: str) -> list[str]:
    status, found = api.call(f"{table}?select=host&order=host", token=token)
    assert status == 200, found
    return [one["host"] for one in found]


# --- Nobody -----------------------------------------------------------------------------------------------------------


def test_anon_and_authenticated_may_call_no_function_of_ours(db: Connection) -> None:
    found = db.execute(
        """select p.oid::regprocedure::text as function, r.rolname as role
           from pg_proc p cross join pg_roles r
           where p.pronamespace in ('public'::regnamespace, 'supervise'::regnamespace)
             and r.rolname in ('anon', 'authenticated') and has_function_privilege(r.oid, p.oid, 'execute')"""
    ).fetchall()
    assert found == []
    count = db.execute("select count(*) from pg_proc where pronamespace = 'public'::regnamespace").fetchone()
    assert count == {"count": len(RPC)}


def test_every_function_looks_names_up_nowhere_else(db: Connection) -> None:
    found = db.execute(
        """select p.oid::regprocedure::text as function from pg_proc p
           where p.pronamespace in ('public'::regnamespace, 'supervise'::regnamespace)
             and not coalesce(p.proconfig @> array['search_path=""'], false)"""
    ).fetchall()
    assert found == []


def test_every_table_of_ours_has_its_rows_guarded_and_gives_anon_nothing(db: Connection) -> None:
    found = {
        one["relname"]: one
        for one in db.execute(
            """select c.relname, c.relrowsecurity, c.relkind,
                 exists (select from unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references']) p
                         where has_table_privilege('anon', c.oid, p)) as anon,
                 exists (select from unnest(array['insert', 'update', 'delete', 'truncate', 'references']) p
                         where has_table_privilege('authenticated', c.oid, p)) as authenticated
               from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v', 'p', 'm')"""
        )
    }
    assert set(TABLES) | {"agent_health_latest", "trading_agent_heartbeats"} == found.keys()
    assert [name for name, one in found.items() if one["anon"] or one["authenticated"]] == []
    assert [name for name, one in found.items() if not one["relrowsecurity"]] == [
        name for name, one in found.items() if one["relkind"] == "v"
    ]


@pytest.mark.parametrize("who", ["anon", "stranger", "viewer", "operator"])
@pytest.mark.parametrize("function", RPC)
def test_no_function_is_for_people(api: Api, db: Connection, who: str, function: str) -> None:
    token = {"anon": None, "stranger": stranger(api)}.get(who) if who in ("anon", "stranger") else member(api, db, who)
    status, answer = api.call(f"rpc/{function}", RPC[function], key=api.publishable_key, token=token)
    assert (status, answer["code"]) in ((401, "42501"), (403, "42501"))


@pytest.mark.parametrize("table", READABLE)
def test_anon_sees_nothing_and_a_stranger_who_is_logged_in_sees_no_row(filled: Api, table: str) -> None:
    status, answer = filled.call(table, key=filled.publishable_key)
    assert (status, answer["code"]) == (401, "42501")
    assert of_hosts(filled, table, stranger(filled)) == []


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("table", ["agent_status", "agent_events", "supervise_members", "supervise_host_keys"])
def test_neither_anon_nor_a_stranger_nor_a_viewer_writes(filled: Api, db: Connection, table: str, method: str) -> None:
    column = {"agent_status": "health", "agent_events": "message", "supervise_members": "role"}.get(table, "host")
    tokens = (None, stranger(filled), member(filled, db, "viewer"))
    before = db.execute(f"select * from {table}").fetchall()
    for token in tokens:
        path = table if method == "POST" else f"{table}?{column}=not.is.null"
        status, _ = filled.call(path, {column: "1"}, key=filled.publishable_key, token=token, method=method)
        assert status in (401, 403)
    assert db.execute(f"select * from {table}").fetchall() == before


# --- Members ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", READABLE)
def test_members_read_all_hosts(filled: Api, db: Connection, table: str) -> None:
    for token in (
        member(filled, db, "viewer"),
        member(filled, db, "operator"),
        filled.token("authenticated", sub=str(uuid4()), app_metadata={"supervise": "viewer"}),
    ):
        assert of_hosts(filled, table, token) == ["ares", "zeus"]


def test_what_a_user_says_of_themselves_makes_no_member(filled: Api) -> None:
    token = filled.token(
        "authenticated", sub=str(uuid4()), user_metadata={"supervise": "operator"}, supervise="operator"
    )
    assert of_hosts(filled, "agent_status", token) == []


def test_a_member_sees_their_own_membership_and_no_other(filled: Api, db: Connection) -> None:
    tokens = [member(filled, db, role) for role in ("viewer", "operator")]
    assert [len(filled.call("supervise_members", token=token)[1]) for token in tokens] == [1, 1]


def test_an_operator_locks_under_their_own_name_and_nothing_else(filled: Api, db: Connection) -> None:
    operator = member(filled, db, "operator")
    path = "agent_status?host=eq.ares&select=lock_by,status"
    status, found = filled.call(path, {"lock_status": "warning"}, token=operator, method="PATCH")
    assert (status, found) == (200, [{"lock_by": "operator@example.org", "status": "warning"}])
    for forged in ({"lock_by": "somebody"}, {"status": "running"}, {"health": 100}, {"host": "zeus"}):
        status, answer = filled.call(path, {"lock_status": "error", **forged}, token=operator, method="PATCH")
        assert (status, answer["code"]) == (403, "42501"), forged
    nameless = member(filled, db, "operator", email="")
    status, (found,) = filled.call(path, {"lock_status": "error"}, token=nameless, method="PATCH")
    assert (status, len(found["lock_by"])) == (200, len(str(uuid4()))), "their id"
    viewer = member(filled, db, "viewer")
    assert filled.call(path, {"lock_status": "error"}, token=viewer, method="PATCH") == (200, [])


# --- Commands ---------------------------------------------------------------------------------------------------------


def ask(api: Api, token: str, **changes: Any) -> tuple[int, Any]:
    return api.call("supervise_commands", {"host": "ares", "name": "sma", "kind": "restart", **changes}, token=token)


def test_what_an_operator_asks_reaches_the_host_once_with_their_name(filled: Api, db: Connection) -> None:
    status, (asked,) = ask(filled, member(filled, db, "operator"))
    assert (status, asked["actor"], asked["state"]) == (201, "operator@example.org", "queued")
    ares = key(filled, db)
    assert filled.rpc("report_status", host="ares", epoch=1, rows=[], token=ares)["commands"] == 1
    (claimed,) = filled.rpc("claim_commands", host="ares", most=5, token=ares)
    assert {one: claimed[one] for one in ("id", "name", "kind", "actor")} == {
        "id": asked["id"], "name": "sma", "kind": "restart", "actor": "operator@example.org",
    }  # fmt: skip
    assert claimed.keys() == {"id", "name", "kind", "actor", "requested_at"}
    assert filled.rpc("claim_commands", host="ares", most=5, token=ares) == []
    assert filled.rpc("finish_command", host="ares", id=asked["id"], ok=True, detail="up", token=ares) == {
        "finished": True
    }
    assert db.execute("select state, detail from supervise_commands").fetchone() == {"state": "done", "detail": "up"}


@pytest.mark.parametrize(
    "forged", [{"actor": "root"}, {"expires_at": "2099-01-01"}, {"state": "claimed"}, {"requested_at": "2020-01-01"}]
)
def test_who_asked_and_for_how_long_cannot_be_forged(filled: Api, db: Connection, forged: dict[str, str]) -> None:
    status, answer = ask(filled, member(filled, db, "operator"), **forged)
    assert (status, answer["code"]) == (403, "42501")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"kind": "kill"}, "23514"), ({"name": "nobody"}, "23503"), ({"host": "nowhere"}, "23503")],
)
def test_only_start_stop_and_restart_of_an_agent_that_is_there(
    filled: Api, db: Connection, wrong: dict[str, str], code: str
) -> None:
    _, answer = ask(filled, member(filled, db, "operator"), **wrong)
    assert answer["code"] == code


def test_neither_viewers_nor_strangers_nor_hosts_ask(filled: Api, db: Connection) -> None:
    for token in (member(filled, db, "viewer"), stranger(filled), key(filled, db)):
        for name in ("sma", "nobody"):  # nor do they learn which agents there are
            status, answer = ask(filled, token, name=name)
            assert (status, answer["code"]) == (403, "42501")


def test_a_command_is_for_five_minutes_and_no_longer(filled: Api, db: Connection) -> None:
    ask(filled, member(filled, db, "operator"))
    lasts = db.execute("select expires_at - requested_at = interval '5 minutes' as five from supervise_commands")
    assert lasts.fetchone() == {"five": True}
    db.execute("update supervise_commands set expires_at = now() - interval '1 second'")
    assert report(filled, 1)["commands"] == 0
    assert filled.rpc("claim_commands", host="ares", most=5) == []
    assert db.execute("select state from supervise_commands").fetchone() == {"state": "expired"}


def test_a_command_that_its_host_never_took_or_finished_ends_and_goes_with_the_history(
    filled: Api, db: Connection
) -> None:
    for kind in ("start", "stop", "restart"):
        ask(filled, member(filled, db, "operator"), kind=kind)
    db.execute(
        "update supervise_commands set expires_at = now(), claimed_at = now() - interval '59 minutes',"
        " state = case kind when 'start' then 'queued' else 'claimed' end"
    )
    db.execute("update supervise_commands set claimed_at = now() - interval '61 minutes' where kind = 'stop'")
    filled.rpc("sweep_silent_hosts")
    found = db.execute("select kind, state, detail from supervise_commands order by id").fetchall()
    assert [tuple(one.values()) for one in found] == [
        ("start", "expired", "its host did not take it in time"),
        ("stop", "expired", "its host took it and said nothing more"),
        ("restart", "claimed", ""),
    ]
    db.execute("update supervise_commands set requested_at = now() - interval '25 hours' where kind = 'start'")
    filled.rpc("retain_history", host="ares", events=0, samples=0)
    assert db.execute("select kind from supervise_commands order by id").fetchall() == [
        {"kind": "stop"},
        {"kind": "restart"},
    ]
    filled.rpc("prune_history", events_before="2999-01-01T00:00:00Z", samples_before="2026-01-01T00:00:00Z")
    assert db.execute("select kind from supervise_commands").fetchall() == [{"kind": "restart"}]


def test_nobody_floods_a_host_with_commands(filled: Api, db: Connection) -> None:
    operator = member(filled, db, "operator")
    many = [{"host": "ares", "name": "sma", "kind": "start"}] * 101
    status, answer = filled.call("supervise_commands", many, token=operator)
    assert (status, answer["code"]) == (400, "23514")


def test_the_secret_key_asks_by_the_function(filled: Api) -> None:
    assert filled.rpc("request_command", host="ares", name="sma", kind="stop").keys() == {"id"}
    assert filled.rpc("claim_commands", host="ares", most=1)[0]["actor"] == "service_role"


# --- Hosts ------------------------------------------------------------------------------------------------------------


def test_a_host_key_is_enough_to_write_as_that_host(api: Api, db: Connection) -> None:
    ares = key(api, db)
    epoch = opened(api, token=ares)
    host_row = {"updated_at": "2026-01-01T00:00:00Z", "seq": 1}
    for seq in (1, 2):
        answer = report(api, epoch, row(seq=seq), host_row=host_row, token=ares)
        assert answer["rows"] == [taken()]
    assert api.rpc("append_events", host="ares", rows=[event()], token=ares) == {"taken": 1}
    assert api.rpc("append_samples", host="ares", rows=[sample()], token=ares) == {"taken": 1}
    assert api.rpc("sweep_silent_hosts", token=ares) == {"hosts": []}


@pytest.mark.parametrize("function", [name for name, given in RPC.items() if "host" in given])
def test_a_host_is_no_other_host(filled: Api, db: Connection, function: str) -> None:
    ares = key(filled, db)
    status, answer = filled.call(f"rpc/{function}", {**RPC[function], "host": "zeus"}, token=ares)
    assert (status, answer["code"]) == (403, "42501")


def test_a_host_takes_no_agent_of_another_by_its_title(filled: Api, db: Connection) -> None:
    report(filled, 1, row("ema", 2, agent_name="EMA"), token=key(filled, db))
    assert [(one["host"], one["agent_name"]) for one in stored(filled)] == [
        ("ares", "EMA @ares"),
        ("ares", "SMA"),
        ("zeus", "EMA"),
    ]


@pytest.mark.parametrize("table", ["agent_status", "agent_events", "agent_samples", "host_status"])
def test_a_host_reads_its_own_rows_only(filled: Api, db: Connection, table: str) -> None:
    assert of_hosts(filled, table, key(filled, db)) == ["ares"]


def test_a_host_that_writes_to_tables_by_itself_reaches_its_own_rows_and_no_epoch_to_come(
    filled: Api, db: Connection
) -> None:
    ares = key(filled, db)

    def patch(path: str, **values: Any) -> tuple[int, Any]:
        return filled.call(f"agent_status?{path}&select=host", values, token=ares, method="PATCH")

    assert patch("name=eq.sma", health=1) == (200, [{"host": "ares"}])
    assert {one["host"]: one["health"] for one in stored(filled)} == {"ares": 1, "zeus": 100}
    for forged in ({"host": "zeus"}, {"epoch": 2**62}, {"lock_status": "running"}, {"overwritten_at": None}):
        status, answer = patch("name=eq.sma", **forged)
        assert (status, answer["code"]) == (403, "42501"), forged
    to_come = {"host": "ares", "updated_at": "2026-01-01", "epoch": 2**62}
    assert filled.call("host_status", to_come, token=ares)[0] == 403
    for table, late in (("agent_events", event("late")), ("agent_samples", sample(minutes=9))):
        path = f"{table}?select=host"
        assert filled.call(path, {**late, "host": "ares", "arrived_at": "2999-01-01"}, token=ares)[0] == 403
        assert filled.call(path, {**late, "host": "ares"}, token=ares)[0] == 201
    db.execute("insert into agent_status (agent_name, status, health) values ('By Hand', 'running', 5)")
    assert patch("host=eq.", host="ares", epoch=1) == (200, [])
    report(filled, 1, row("hand", 3, agent_name="By Hand"), token=ares)
    assert [one["host"] for one in stored(filled, name="hand")] == ["ares"]
    for path in ("agent_status", "agent_events", "supervise_commands"):
        status, _ = filled.call(f"{path}?host=not.is.null", token=ares, method="DELETE")
        assert status == 403
    for path in ("supervise_host_keys", "supervise_sessions", "supervise_members"):
        assert filled.call(path, token=ares)[0] == 403


def test_a_host_changes_neither_actor_nor_expiry_of_a_command(filled: Api, db: Connection) -> None:
    ask(filled, member(filled, db, "operator"))
    ares = key(filled, db)
    for forged in ({"actor": "root"}, {"expires_at": "2099-01-01"}, {"kind": "start"}, {"name": "ema"}):
        status, answer = filled.call("supervise_commands?id=not.is.null", forged, token=ares, method="PATCH")
        assert (status, answer["code"]) == (403, "42501"), forged


def refused(api: Api, token: str) -> None:
    for function in ("open_session", "append_events", "claim_commands", "sweep_silent_hosts"):
        status, answer = api.call(f"rpc/{function}", RPC[function], token=token)
        assert (status, answer["code"]) == (403, "42501"), function
    assert of_hosts(api, "agent_status", token) == []
    assert api.call("agent_status?host=eq.ares", {"health": 3}, token=token, method="PATCH")[1] == []


def test_a_key_that_was_revoked_is_refused_at_once_everywhere(filled: Api, db: Connection) -> None:
    ares = key(filled, db)
    filled.rpc("open_session", host="ares", instance="one", token=ares)
    db.execute("update supervise_host_keys set revoked_at = now()")
    refused(filled, ares)


def test_a_key_that_has_expired_on_record_is_refused_whatever_its_token_says(filled: Api, db: Connection) -> None:
    ares = key(filled, db)
    db.execute("update supervise_host_keys set created_at = now() - interval '31 days', expires_at = now()")
    refused(filled, ares)


def test_a_token_of_no_key_or_of_another_host_s_is_refused(filled: Api, db: Connection) -> None:
    key(filled, db, "zeus")
    kid = (db.execute("select kid from supervise_host_keys").fetchone() or {})["kid"]
    refused(filled, filled.token("supervise_host", host="ares", kid="invented"))
    refused(filled, filled.token("supervise_host", host="ares", kid=kid))
    refused(filled, filled.token("supervise_host", host="ares"))


def test_no_key_lasts_longer_than_ninety_days(db: Connection) -> None:
    with pytest.raises(Exception, match="supervise_host_keys_expiry"):
        db.execute(
            "insert into supervise_host_keys (kid, host, expires_at) values ('a', 'b', now() + interval '91 days')"
        )
