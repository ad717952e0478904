"""Events and samples arrive once, however often they are sent; hosts that fall silent are not known any more."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.supabase.conftest import Connection
from tests.supabase.nouns import event, opened, report, row, sample, stored
from tests.supabase.stack import Api

HOST_ROW = {
    "platform": "systemd",
    "version": "1.0",
    "boot": "b",
    "started_at": None,
    "agents": 2,
    "message": "fine",
    "seq": 4,
    "updated_at": "2026-01-01T00:00:00+00:00",
}


def test_an_event_that_is_sent_twice_is_there_once(api: Api) -> None:
    assert api.rpc("append_events", host="ares", rows=[event("1"), event("2")]) == {"taken": 2}
    assert api.rpc("append_events", host="ares", rows=[event("2"), event("3")]) == {"taken": 1}
    _, found = api.call("agent_events?select=id,host,before,after&order=id")
    assert found == [{"id": one, "host": "ares", "before": "running", "after": "error"} for one in "123"]


def test_a_sample_that_is_sent_twice_is_there_once(api: Api) -> None:
    assert api.rpc("append_samples", host="ares", rows=[sample(), sample(minutes=5)]) == {"taken": 2}
    assert api.rpc("append_samples", host="ares", rows=[sample(minutes=5), sample(minutes=10)]) == {"taken": 1}
    _, found = api.call("agent_samples?select=name,host")
    assert found == [{"name": "sma", "host": "ares"}] * 3


def test_a_report_says_how_the_host_is(api: Api) -> None:
    epoch = opened(api)
    report(api, epoch, host_row=HOST_ROW)
    report(api, epoch, host_row={**HOST_ROW, "seq": 5, "agents": 3})
    report(api, epoch, host_row={**HOST_ROW, "seq": 3, "message": "old"})
    _, found = api.call("host_status")
    assert [(one["host"], one["agents"], one["message"], one["seq"], one["epoch"]) for one in found] == [
        ("ares", 3, "fine", 5, epoch)
    ]


def silent(db: Connection, host: str, seconds: int = 61) -> None:
    db.execute(
        "update supervise_sessions set seen_at = now() - make_interval(secs => %s) where host = %s", (seconds, host)
    )


def test_rows_of_a_host_that_fell_silent_are_not_known_any_more(api: Api, db: Connection) -> None:
    report(api, opened(api, "ares"), row(seq=1))
    report(api, opened(api, "zeus"), row("ema", 1, agent_name="EMA"), host="zeus")
    silent(db, "ares")
    silent(db, "zeus", 55)
    assert api.rpc("sweep_silent_hosts") == {"hosts": ["ares"]}
    assert api.rpc("sweep_silent_hosts") == {"hosts": []}
    ares, zeus = stored(api)
    assert (ares["status"], ares["reason"], ares["health"]) == ("unknown", "HostSilent", 0)
    assert (ares["observed_status"], ares["observed_reason"]) == ("running", "AsWanted")
    assert "last heard of at" in ares["message"]
    assert zeus["status"] == "running"
    _, events = api.call("agent_events?select=host,name,kind,reason,by")
    assert events == [{"host": "ares", "name": "", "kind": "host", "reason": "HostSilent", "by": "supervise"}]


def test_a_host_that_comes_back_is_shown_its_rows_and_wins_by_its_next_report(api: Api, db: Connection) -> None:
    epoch = opened(api)
    report(api, epoch, row(seq=1), row("ema", 2, agent_name="EMA"))
    silent(db, "ares")
    api.rpc("sweep_silent_hosts")
    told = report(api, epoch)["rows"]
    assert [(one["name"], one["row"]["reason"]) for one in told] == [("ema", "HostSilent"), ("sma", "HostSilent")]
    report(api, epoch, row(seq=3), row("ema", 4, agent_name="EMA"))
    assert {one["status"] for one in stored(api)} == {"running"}
    silent(db, "ares")
    assert api.rpc("sweep_silent_hosts") == {"hosts": ["ares"]}


def test_the_view_says_itself_that_a_host_is_silent_though_nobody_is_there_to_sweep(api: Api, db: Connection) -> None:
    epoch = opened(api)
    report(api, epoch, row(seq=1), row("ema", 2, agent_name="EMA"), host_row=HOST_ROW)
    db.execute(
        "update agent_status set lock_status = 'warning', lock_until = now() + interval '1 hour' where name = 'ema'"
    )
    member = api.token("authenticated", sub=str(uuid4()), app_metadata={"supervise": "viewer"})

    def read(seconds: int) -> list[tuple[str, int, str]]:
        db.execute("update host_status set seen_at = now() - make_interval(secs => %s)", (seconds,))
        _, found = api.call("agent_health_latest?order=agent_name", token=member)
        return [(one["status"], one["health"], one["reason"]) for one in found]

    assert read(59) == [("warning", 100, "AsWanted"), ("running", 100, "AsWanted")]
    assert read(61) == [("warning", 100, "AsWanted"), ("unknown", 0, "HostSilent")]
    assert "last heard of at" in api.call("agent_health_latest?agent_name=eq.SMA")[1][0]["message"]
    assert stored(api, name="sma")[0]["status"] == "running"
    report(api, epoch)
    (sma,) = api.call("agent_health_latest?agent_name=eq.SMA")[1]
    assert (sma["status"], sma["reason"]) == ("running", "AsWanted")


def test_no_row_of_a_dead_host_says_more_than_is_known_whatever_becomes_of_locks(api: Api, db: Connection) -> None:
    names = ("ema", "rsi", "sma")
    rows = (row(name, seq, agent_name=name) for seq, name in enumerate(names, 1))
    report(api, opened(api), *rows, host_row=HOST_ROW)
    db.execute("update agent_status set lock_status = 'running', lock_until = now() + interval '1 hour'")
    silent(db, "ares")
    db.execute("update host_status set seen_at = now() - interval '61 seconds'")

    def statuses(table: str) -> list[tuple[str, int]]:
        _, found = api.call(f"{table}?select=status,health&order=agent_name")
        return [(one["status"], one["health"]) for one in found]

    assert api.rpc("sweep_silent_hosts") == {"hosts": ["ares"]}
    assert statuses("agent_status") == statuses("agent_health_latest") == [("running", 100)] * 3
    db.execute("update agent_status set lock_status = null where name = 'ema'")
    assert statuses("agent_status")[0] == ("unknown", 0)
    db.execute("alter table agent_status disable trigger user")
    db.execute("update agent_status set lock_until = now() - interval '1 second' where name = 'rsi'")
    db.execute("alter table agent_status enable trigger user")
    assert statuses("agent_health_latest") == [("unknown", 0), ("unknown", 0), ("running", 100)]
    db.execute("update agent_status set status = 'running', health = 3 where name = 'ema'")
    assert api.rpc("sweep_silent_hosts") == {"hosts": []}
    assert statuses("agent_status") == [("unknown", 0), ("unknown", 0), ("running", 100)]


def test_realtime_gets_changes_and_not_every_beat(db: Connection) -> None:
    found = db.execute("select tablename from pg_publication_tables where pubname = 'supabase_realtime'").fetchall()
    assert found == [{"tablename": "agent_events"}]


def test_history_goes_in_batches_and_no_more_of_it_than_is_old(api: Api, db: Connection) -> None:
    old = [event(str(number), at="2020-01-01T00:00:00+00:00") for number in range(5)]
    api.rpc("append_events", host="ares", rows=[*old, event("new")])
    api.rpc("append_samples", host="ares", rows=[sample(at="2020-01-01T00:00:00+00:00"), sample(minutes=1)])
    cut = {"events_before": "2026-01-01T00:00:00+00:00", "samples_before": "2026-01-01T00:00:00+00:00"}
    assert api.rpc("prune_history", **cut, most=3) == {"events": 0, "samples": 0}, "just arrived"
    for table in ("agent_events", "agent_samples"):
        db.execute(f"update {table} set arrived_at = at")
    assert api.rpc("prune_history", **cut, most=3) == {"events": 3, "samples": 1}
    assert api.rpc("prune_history", **cut, most=3) == {"events": 2, "samples": 0}
    assert api.call("agent_events?select=id")[1] == [{"id": "new"}]
    assert len(api.call("agent_samples?select=name")[1]) == 1


def test_a_host_lets_its_own_old_history_go_but_no_day_of_it(api: Api, db: Connection) -> None:
    for host in ("ares", "zeus"):
        api.rpc("append_events", host=host, rows=[event(f"{host} {one}") for one in ("old", "day", "new")])
        api.rpc("append_samples", host=host, rows=[sample(minutes=one) for one in range(3)])
    for ages in ("31 days", "old"), ("25 hours", "day"), ("23 hours", "new"):
        db.execute("update agent_events set at = now() - %s::interval where id like '%% ' || %s", ages)
    db.execute("update agent_samples set at = now() - make_interval(hours => 23 + extract(minute from at)::int * 2)")
    assert api.rpc("retain_history", host="ares", events=0, samples=0) == {"events": 0, "samples": 0}, "just arrived"
    for table in ("agent_events", "agent_samples"):
        db.execute(f"update {table} set arrived_at = at")

    def kept(**asked: Any) -> Any:
        return api.rpc("retain_history", host="ares", **asked)

    assert kept(events=30 * 86400, samples=30 * 86400, most=5) == {"events": 1, "samples": 0}
    assert kept(events=0, samples=0, most=1) == {"events": 1, "samples": 1}
    assert kept(events=0, samples=0) == {"events": 0, "samples": 1}
    left = db.execute("select host, count(*) as events from agent_events group by host order by host").fetchall()
    assert left == [{"host": "ares", "events": 1}, {"host": "zeus", "events": 3}]
    assert db.execute("select host from agent_samples where host = 'ares'").fetchall() == [{"host": "ares"}]
