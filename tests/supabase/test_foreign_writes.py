"""What others write to a host's rows is seen, told and overcome; what people lock is theirs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.supabase.conftest import Connection
from tests.supabase.nouns import opened, report, row, stored, taken
from tests.supabase.stack import Api


def test_a_foreign_write_is_told_at_the_next_report_and_gone_with_the_next_row(api: Api, db: Connection) -> None:
    epoch = opened(api)
    report(api, epoch, row(seq=1, health=90), row("ema", 2, agent_name="EMA"))
    db.execute("update agent_status set status = 'stopped', health = 0 where agent_name = 'SMA'")
    (told,) = report(api, epoch)["rows"]
    assert (told["name"], told["applied"]) == ("sma", False)
    assert (told["row"]["status"], told["row"]["health"], told["row"]["seq"]) == ("stopped", 0, 1)
    assert report(api, epoch, row(seq=3, health=91))["rows"] == [taken()]
    assert report(api, epoch)["rows"] == []
    assert stored(api, name="sma")[0]["health"] == 91


def test_the_same_row_sent_again_does_not_hide_that_somebody_wrote_to_it(api: Api, db: Connection) -> None:
    epoch = opened(api)
    report(api, epoch, row(seq=1))
    db.execute("update agent_status set health = 3")
    (told,) = report(api, epoch, row(seq=1))["rows"]
    assert told["applied"]
    assert told["row"]["health"] == 3


def lock(db: Connection, until: str = "now() + interval '1 hour'", status: str = "warning") -> None:
    db.execute(
        f"update agent_status set lock_status = '{status}', lock_health = 40, lock_reason = 'maintenance',"
        f" lock_until = {until} where name = 'sma'"
    )


def test_a_lock_is_shown_at_once_and_told_at_every_report_until_it_ends(api: Api, db: Connection) -> None:
    epoch = opened(api)
    report(api, epoch, row(seq=1))
    lock(db)
    (found,) = stored(api)
    assert (found["status"], found["health"], found["observed_status"]) == ("warning", 40, "running")
    for _ in range(2):
        (told,) = report(api, epoch)["rows"]
        assert {key: told["lock"][key] for key in ("status", "health", "reason", "by")} == {
            "status": "warning",
            "health": 40,
            "reason": "maintenance",
            "by": "postgres",
        }
    report(api, epoch, row(seq=2, status="error", observed_status="error", health=10))
    (found,) = stored(api)
    assert (found["status"], found["health"], found["observed_status"]) == ("warning", 40, "error")
    db.execute("alter table agent_status disable trigger user")
    db.execute("update agent_status set lock_until = now() - interval '1 second'")
    db.execute("alter table agent_status enable trigger user")
    (told,) = report(api, epoch)["rows"]
    assert told["lock"] is None
    assert (told["row"]["status"], told["row"]["lock_by"]) == ("error", None)


def test_a_lock_that_is_taken_back_shows_the_truth(api: Api, db: Connection) -> None:
    epoch = opened(api)
    report(api, epoch, row(seq=1))
    lock(db)
    db.execute("update agent_status set lock_status = null")
    (found,) = stored(api)
    assert (found["status"], found["lock_reason"], found["lock_until"]) == ("running", None, None)
    assert report(api, epoch)["rows"][0]["lock"] is None


@pytest.mark.parametrize("ended_by", ["its writer", "the sweep"])
def test_a_row_by_hand_says_what_its_writer_says_once_a_lock_ends(api: Api, db: Connection, ended_by: str) -> None:
    db.execute("insert into agent_status (agent_name, status, health) values ('SMA', 'stopped', 30)")
    lock(db)
    db.execute("update agent_status set status = 'running'")
    assert (stored(api)[0]["status"], stored(api)[0]["health"]) == ("warning", 40)
    if ended_by == "the sweep":
        db.execute("update agent_status set health = 25")
    db.execute("alter table agent_status disable trigger user")
    db.execute("update agent_status set lock_until = now() - interval '1 second'")
    db.execute("alter table agent_status enable trigger user")
    if ended_by == "its writer":
        db.execute("update agent_status set status = 'error'")
    api.rpc("sweep_silent_hosts")
    (found,) = stored(api)
    assert (found["status"], found["health"]) == (("error", 30) if ended_by == "its writer" else ("running", 25))


def test_a_disowned_row_is_that_of_the_writer_by_hand_who_takes_it_up(api: Api, db: Connection) -> None:
    report(api, opened(api), row())
    db.execute("select supervise.disown('ares', 'sma', 'It was taken.')")
    lock(db)
    db.execute("update agent_status set lock_status = null")
    assert (stored(api)[0]["status"], stored(api)[0]["reason"]) == ("unknown", "Disowned")
    db.execute("update agent_status set status = 'running', health = 77")
    lock(db)
    db.execute("update agent_status set lock_status = null")
    (found,) = stored(api)
    assert (found["status"], found["health"], found["reason"], found["message"]) == ("running", 77, "ByHand", "")


def test_no_lock_lasts_longer_than_a_day(api: Api, db: Connection) -> None:
    report(api, opened(api), row(seq=1))
    with pytest.raises(Exception, match="a lock ends within 24 hours"):
        lock(db, until="now() + interval '25 hours'")


def test_a_host_writes_no_locks(api: Api) -> None:
    report(api, opened(api), row(seq=1, lock_status="stopped", lock_health=0, lock_until="2099-01-01T00:00:00+00:00"))
    (found,) = stored(api)
    assert (found["lock_status"], found["lock_until"], found["status"]) == (None, None, "running")


def test_a_host_whose_row_was_deleted_is_asked_to_begin_anew_and_nobody_else(api: Api, db: Connection) -> None:
    ares, zeus = opened(api, "ares"), opened(api, "zeus")
    report(api, ares, row())
    report(api, zeus, row(agent_name="EMA"), host="zeus")
    api.call("agent_status?host=eq.ares", method="DELETE")
    assert report(api, ares, row(seq=2))["unknown_session"]
    assert not report(api, zeus, host="zeus")["unknown_session"]
    assert opened(api, "ares") == ares + 1, "what was sent in the old one may still arrive"
    report(api, ares + 1, row(seq=2))
    assert len(stored(api)) == 2
    db.execute("truncate agent_status")
    assert report(api, ares + 1)["unknown_session"]
    assert report(api, zeus, host="zeus")["unknown_session"]


def test_a_host_that_deletes_a_row_of_its_own_goes_on(api: Api, db: Connection) -> None:
    epoch = opened(api)
    report(api, epoch, row())
    with db.transaction():
        db.execute("select supervise.seen('ares', %s)", (epoch,))
        db.execute("delete from agent_status")
    assert not report(api, epoch)["unknown_session"]


# --- Titles -----------------------------------------------------------------------------------------------------------


def test_the_second_host_with_an_agent_of_a_title_is_named_with_it(api: Api) -> None:
    ares, zeus = opened(api, "ares"), opened(api, "zeus")
    report(api, ares, row())
    report(api, zeus, row(), host="zeus")
    assert [(one["host"], one["agent_name"]) for one in stored(api)] == [("ares", "SMA"), ("zeus", "SMA @zeus")]
    answer = report(api, zeus, row(seq=2), host="zeus")
    assert answer["rows"] == [taken("SMA @zeus")]


def test_a_title_is_shown_without_its_host_again_once_no_other_host_has_it(api: Api, db: Connection) -> None:
    ares, zeus = opened(api, "ares"), opened(api, "zeus")
    report(api, ares, row())
    report(api, zeus, row(), host="zeus")
    api.rpc("retain_agents", host="ares", epoch=ares, names=[])
    report(api, zeus, row(seq=2), host="zeus")
    assert [(one["host"], one["agent_name"]) for one in stored(api)] == [("zeus", "SMA")]


def test_a_disowned_agent_goes_to_the_next_host_of_its_title_though_it_was_shown_with_its_host(
    api: Api, db: Connection
) -> None:
    for host in ("ares", "zeus"):
        report(api, opened(api, host), row(), host=host)
    db.execute("select supervise.disown('zeus', 'sma', '')")
    (nobody,) = stored(api, host="")
    report(api, 1, row("mail", agent_name="Mail @work"), host="zeus")
    db.execute("select supervise.disown('zeus', 'mail', '')")
    more = row("other", agent_name="SM"), row("mail", agent_name="Mail")
    report(api, opened(api, "nyx"), row("new", agent_name="SMA"), *more, host="nyx")
    found = {one["name"]: (one["id"], one["agent_name"]) for one in stored(api, host="nyx")}
    assert found["new"] == (nobody["id"], "SMA @nyx")
    assert (found["other"][1], found["mail"][1]) == ("SM", "Mail")
    assert [one["agent_name"] for one in stored(api, host="")] == ["Mail @work"]


def test_a_new_title_is_taken_over_though_another_agent_has_it(api: Api) -> None:
    epoch = opened(api)
    report(api, epoch, row("sma", 1), row("ema", 1, agent_name="EMA"))
    renamed = report(api, epoch, row("sma", 2, agent_name="Smooth"))
    assert renamed["rows"] == [taken("Smooth")]
    assert stored(api, name="sma")[0]["agent_name"] == "Smooth"
    report(api, epoch, row("sma", 3, agent_name="EMA"))
    assert stored(api, name="sma")[0]["agent_name"] == "EMA @ares"


def test_names_and_titles_of_every_kind_are_kept_as_they_are(api: Api) -> None:
    epoch = opened(api)
    titles = ['a, "b" (c) + é & %', "日本", "x" * 500, "' or 1=1 --"]
    report(api, epoch, *(row(f"a{number}", agent_name=title) for number, title in enumerate(titles)))
    assert [one["agent_name"] for one in stored(api)] == titles


@pytest.mark.parametrize("when", ["", "deferrable initially deferred"])
def test_a_table_that_refers_to_rows_keeps_them_and_holds_nothing_else_up(api: Api, db: Connection, when: str) -> None:
    db.execute(f"create table notes (title text references agent_status (agent_name) {when})")
    try:
        ares, zeus = opened(api, "ares"), opened(api, "zeus")
        report(api, ares, row(), row("ema", agent_name="EMA"))
        report(api, zeus, row(), host="zeus")
        db.execute("insert into notes values ('SMA'), ('SMA @zeus')")
        renamed = report(api, ares, row("sma", 2, agent_name="Smooth", health=5), row("ema", 2, agent_name="Ema"))
        assert [one["applied"] for one in renamed["rows"]] == [True, True]
        assert [(one["agent_name"], one["health"]) for one in stored(api, host="ares")] == [("Ema", 100), ("SMA", 5)]
        assert api.rpc("retain_agents", host="ares", epoch=ares, names=[]) == {"gone": 2}
        assert api.rpc("retain_agents", host="zeus", epoch=zeus, names=[]) == {"gone": 1}
        left = [(one["host"], one["agent_name"], one["status"], one["health"], one["reason"]) for one in stored(api)]
        assert left == [("", "SMA", "unknown", 0, "Disowned"), ("", "SMA @zeus", "unknown", 0, "Disowned")]
        assert report(api, zeus, row(seq=3), host="zeus")["rows"][0]["applied"]
    finally:
        db.execute("drop table notes")


def test_a_row_that_may_neither_go_nor_be_nobody_s_says_that_its_agent_is_no_more(api: Api, db: Connection) -> None:
    db.execute(
        """create table notes (host text, name text, foreign key (host, name) references agent_status (host, name));
           create function held() returns trigger language plpgsql as
             $$ begin if old.name = 'held' then raise 'no deletes please'; end if; return old; end $$;
           create trigger held before delete on agent_status for each row execute function held()"""
    )
    try:
        epoch = opened(api)
        report(api, epoch, *(row(name, agent_name=name) for name in ("free", "held", "noted")))
        db.execute("insert into notes values ('ares', 'noted')")
        assert api.rpc("retain_agents", host="ares", epoch=epoch, names=[]) == {"gone": 3}
        left = [(one["host"], one["name"], one["status"], one["health"], one["reason"]) for one in stored(api)]
        assert left == [("", "held", "unknown", 0, "Disowned"), ("ares", "noted", "unknown", 0, "Removed")]
        assert report(api, epoch)["rows"] == []
        assert report(api, epoch, row("noted", 2))["rows"][0]["applied"]
    finally:
        db.execute("drop table notes; drop trigger held on agent_status; drop function held")


# --- Bad rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"status": "fine"}, "23514"),
        ({"health": 101}, "23514"),
        ({"message": "x" * 8193}, "23514"),
        ({"pid": -1}, "23514"),
        ({"cpu": "NaN"}, "23514"),
        ({"last_heartbeat": "infinity"}, "23514"),
        ({"since": "yesterday or so"}, "22007"),
        ({"restarts": "many"}, "22P02"),
        ({"reason": None}, "23502"),
        ({"name": None}, "23502"),
        ({"seq": -1}, "23514"),
    ],
)
def test_a_row_that_cannot_be_is_refused_for_good_and_with_it_the_whole_request(
    api: Api, wrong: dict[str, Any], code: str
) -> None:
    epoch = opened(api)
    asked = {"host": "ares", "epoch": epoch, "rows": [row("ema", agent_name="EMA"), {**row(), **wrong}]}
    status, answer = api.call("rpc/report_status", asked)
    assert (status, answer["code"]) == (400, code)
    assert stored(api) == []


@pytest.mark.parametrize("rows", [None, {}, "text", [{}] * 5001])
def test_what_is_no_list_of_rows_is_refused(api: Api, rows: Any) -> None:
    epoch = opened(api)
    status, answer = api.call("rpc/report_status", {"host": "ares", "epoch": epoch, "rows": rows})
    assert (status, answer["code"]) == (400, "22023")
