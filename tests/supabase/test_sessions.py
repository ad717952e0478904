"""Who writes as a host: one store at a time, the newest; and what is told to those that are not it."""

from __future__ import annotations

from tests.supabase.conftest import Connection
from tests.supabase.nouns import opened, report, row, stored
from tests.supabase.stack import Api

HUGE = 2**62


def test_each_session_gets_an_epoch_of_its_own_and_the_newest_wins(api: Api) -> None:
    first, second = opened(api), opened(api)
    assert second > first
    assert report(api, second, row(seq=1, health=2))["rows"][0]["applied"]
    late = report(api, first, row(seq=99, health=1))
    assert (late["superseded"], late["rows"]) == (True, [])
    assert stored(api)[0]["health"] == 2


def test_a_reboot_and_a_clock_a_year_back_go_on(api: Api) -> None:
    report(api, opened(api), row(seq=500, updated_at="2026-06-01T00:00:00+00:00", health=1))
    report(api, opened(api), row(seq=1, updated_at="2025-06-01T00:00:00+00:00", health=2))
    (found,) = stored(api)
    assert (found["seq"], found["health"], found["updated_at"][:4]) == (1, 2, "2025")


def test_a_seq_that_a_leaked_key_wrote_is_told_and_a_new_epoch_overcomes_it(api: Api) -> None:
    epoch = opened(api)
    report(api, epoch, row(seq=7, health=90))
    report(api, epoch, row(seq=HUGE, health=1))
    answer = report(api, epoch, host_row={"seq": 8, "updated_at": "2026-01-01T00:00:00+00:00"})
    assert [(one["name"], one["row"]["seq"]) for one in answer["rows"]] == [("sma", HUGE)]
    refused = report(api, epoch, row(seq=9, health=91))["rows"][0]
    assert (refused["applied"], refused["row"]["health"]) == (False, 1)
    epoch = opened(api)
    assert report(api, epoch, row(seq=10, health=92))["rows"][0]["applied"]
    assert stored(api)[0]["health"] == 92
    host_row = {"updated_at": "2026-01-01T00:00:00+00:00"}
    report(api, epoch, host_row={**host_row, "seq": HUGE})
    assert report(api, epoch, host_row={**host_row, "seq": 11})["unknown_session"]
    assert not report(api, opened(api), host_row={**host_row, "seq": 12})["unknown_session"]


def test_a_second_store_under_the_name_of_a_host_that_writes_is_told(api: Api) -> None:
    first = opened(api, instance="one")
    report(api, first, row())
    answer = api.rpc("open_session", host="ares", instance="two")
    assert answer["cloned_by"] == "one"
    assert report(api, first, row(seq=2))["superseded"]
    assert not report(api, answer["epoch"], row(seq=1))["superseded"]


def test_a_host_that_opens_again_is_no_clone_of_itself(api: Api) -> None:
    report(api, opened(api, instance="one"), row())
    assert "cloned_by" not in api.rpc("open_session", host="ares", instance="one")


def test_who_was_silent_for_a_minute_was_not_cloned_but_replaced(api: Api, db: Connection) -> None:
    opened(api, instance="one")
    db.execute("update supervise_sessions set seen_at = now() - interval '61 seconds'")
    assert "cloned_by" not in api.rpc("open_session", host="ares", instance="two")


def test_two_that_share_a_session_are_told_and_what_comes_again_or_late_is_not_taken_for_another(api: Api) -> None:
    epoch = opened(api)

    def shared(*marks: str) -> bool:
        return bool(report(api, epoch, marks=list(marks))["shared"])

    assert not shared("a")
    assert not shared("a")
    assert not shared("b", "a")
    assert not shared("b", "a"), "its answer was lost"
    assert shared("other", "a")
    assert not shared("c", "b"), "the other one was not written down"
    assert shared("a"), "late: nobody hears this answer"
    assert not shared("d", "c")
    epoch = opened(api)
    assert not shared("e")


def test_a_database_that_knows_no_such_session_asks_for_a_new_one(api: Api, db: Connection) -> None:
    answer = report(api, 5, row())
    assert (answer["unknown_session"], answer["superseded"], stored(api)) == (True, False, [])
    epoch = opened(api)
    assert report(api, epoch + 1, row())["unknown_session"]
    db.execute("delete from supervise_sessions")
    assert report(api, epoch, row())["unknown_session"]


def test_an_epoch_is_newer_than_any_row_of_the_host(api: Api, db: Connection) -> None:
    report(api, opened(api), row())
    db.execute("update agent_status set epoch = 41")
    db.execute("delete from supervise_sessions")
    assert opened(api) == 42
