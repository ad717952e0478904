"""What a trial makes of the rows that it sees."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from supervise.model import HealthPart, Lock, Phase, Reason, Source, Status, StatusRow
from supervise.trial import Kind, Life, Trial, Verdict, failed, is_hopeless, seen, verdict
from tests.nouns import NOON, row, seconds

MINUTE = seconds(60)


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def down(**changes: Any) -> StatusRow:
    plain: dict[str, Any] = {
        "status": Status.STOPPED,
        "reason": Reason.NOT_STARTED,
        "phase": Phase.INACTIVE,
        "since": at(-60),
    }
    return row(**{**plain, "message": "It was not started.", **changes})


def up(second: float = 1, life: str = "a", **changes: Any) -> StatusRow:
    return row(**{"pid": ord(life), "incarnation": life, "since": at(second), **changes})


def dead(second: float, **changes: Any) -> StatusRow:
    plain: dict[str, Any] = {
        "status": Status.ERROR,
        "reason": Reason.CRASHED,
        "phase": Phase.RESTARTING,
        "message": "It exited: 3.",
    }
    return row(**{**plain, "since": at(second), **changes})


def tried(*looks: tuple[float, StatusRow], until: float = 60) -> Verdict:
    trial = Trial("sma", NOON)
    for second, found in looks:
        trial, _ = seen(trial, found, now=at(second))
    return verdict(trial, now=at(until), duration=MINUTE)


# --- Well -------------------------------------------------------------------------------------------------------------


def test_who_comes_up_and_stays_up_is_well() -> None:
    found = tried((0, down()), (0.5, up(0.5, status=Status.STARTING, reason=Reason.STARTING)), (1.2, up()))
    assert (found.ok, found.complete, found.problems) == (True, True, ())
    assert found.text == "well for 60 s: it came up after 1.2 s and stayed well; it sends no sign of life"
    assert (found.came_up_after, found.watched, found.restarts) == (1.2, 60, 0)


def test_signs_of_life_are_counted() -> None:
    looks = [(second, up(source=Source.BEAT, last_heartbeat=at(second))) for second in (1, 2, 2, 3, 4)]
    assert tried(*looks).heartbeats == 3
    assert tried(*looks).text.endswith("3 signs of life were seen")
    assert tried(*looks[:2]).text.endswith("1 sign of life was seen")


def test_a_warning_that_is_over_is_a_remark() -> None:
    waits = up(5, status=Status.WARNING, reason=Reason.AGENT_WAITING, message="It waits for the exchange.")
    found = tried((1, up()), (5, waits), (9, up(9)))
    assert found.ok
    assert found.remarks == ("after 5.0 s it was warning, AgentWaiting: It waits for the exchange",)


def test_what_was_bad_before_the_trial_counts_for_nothing() -> None:
    assert tried((0, dead(-5)), (1, up())).ok


def test_a_lock_hides_nothing() -> None:
    lock = Lock(Status.RUNNING, 100, "all is well", "ada", NOON)
    shown: dict[str, Any] = {"status": Status.RUNNING, "lock": lock, "message": "all is well"}
    bad = row(**shown, observed_status=Status.ERROR, observed_reason=Reason.CRASHED, since=at(5))
    assert tried((1, up()), (5, bad)).problems == ("after 5.0 s it was error, Crashed",)


# --- Not well ---------------------------------------------------------------------------------------------------------


def test_who_dies_and_is_back_is_not_well() -> None:
    found = tried((1, up()), (5, dead(5)), (7, up(7, "b", restarts=1)))
    assert (found.ok, found.restarts) == (False, 1)
    assert found.problems == ("after 5.0 s it was error, Crashed: It exited: 3",)
    assert found.text == "not well in 60 s: after 5.0 s it was error, Crashed: It exited: 3"


def test_a_death_that_nobody_saw_is_known_by_the_life_after_it() -> None:
    for after in (up(1, "a", restarts=1), up(1, "b")):
        found = tried((1, up()), (5, after))
        assert found.problems == ("after 5.0 s it was started anew",)
        assert found.restarts == 1


def test_who_exits_cleanly_and_is_started_anew_is_not_well() -> None:
    gone = row(status=Status.WARNING, reason=Reason.EXITED, phase=Phase.RESTARTING, since=at(5), message="It exited.")
    assert not tried((1, up()), (5, gone), (7, up(7, "b", restarts=1))).ok


def test_who_never_comes_up_is_told_how_it_is() -> None:
    starting = up(1, status=Status.STARTING, reason=Reason.STARTING, message="It starts.")
    assert tried((0, down()), (1, starting)).problems == ("it did not come up: it is starting, Starting: It starts",)
    assert tried((0, dead(-600))).problems == ("it did not come up: it is error, Crashed: It exited: 3",)


def test_a_warning_at_the_end_is_a_problem() -> None:
    late = up(5, status=Status.WARNING, reason=Reason.LATE, message="It says nothing.")
    assert tried((1, up()), (5, late)).problems == ("at the end it is warning, Late: It says nothing",)


def test_what_nobody_can_see_is_not_well() -> None:
    assert tried().problems == ("nobody could say how it is",)
    unknown = up(5, status=Status.UNKNOWN, reason=Reason.NOT_OBSERVED, message="Nobody knows.")
    assert not tried((1, up()), (5, unknown)).ok


def test_a_start_that_was_refused_is_a_problem() -> None:
    trial = failed(Trial("sma", NOON, down()), "it could not be started: a copy runs")
    assert verdict(trial, now=at(1), duration=MINUTE).problems[0] == "it could not be started: a copy runs"


def test_of_many_problems_the_first_are_told_and_all_are_listed() -> None:
    looks = [(second, one) for second in range(1, 21, 2) for one in (up(second), dead(second + 1))]
    found = tried(*looks)
    assert len(found.problems) == 10
    assert found.text.count("Crashed") == 5
    assert found.text.endswith("; and 5 more")


# --- Its end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "hopeless"),
    [
        (up(5), False),
        (dead(5), False),
        (dead(5, reason=Reason.QUARANTINED), True),
        (dead(-5, reason=Reason.QUARANTINED), False),
        (down(since=at(5), reason=Reason.STOPPED_BY_OPERATOR), True),
        (down(since=at(5), reason=Reason.HELD), True),
    ],
)
def test_nobody_waits_where_nothing_more_can_come(found: StatusRow, hopeless: bool) -> None:
    trial = Trial("sma", NOON, up(), came_up=at(1))
    trial, _ = seen(trial, found, now=at(6))
    assert is_hopeless(trial) is hopeless
    assert verdict(trial, now=at(6), duration=MINUTE).complete is hopeless


def test_who_was_down_at_first_is_not_given_up_before_it_was_started() -> None:
    trial, _ = seen(Trial("sma", NOON), down(since=at(0.1)), now=at(0.2))
    assert not is_hopeless(trial)


def test_a_verdict_before_the_time_is_over_says_so() -> None:
    found = tried((1, up()), until=12)
    assert (found.ok, found.complete) == (True, False)
    assert found.text.startswith("well for 12 s of 60 s: ")


# --- News -------------------------------------------------------------------------------------------------------------


def news(*looks: StatusRow) -> list[tuple[Kind, str]]:
    trial, told = Trial("sma", NOON), []
    for number, found in enumerate(looks):
        trial, new = seen(trial, found, now=at(number))
        told += [(one.kind, one.text) for one in new]
    return told


def test_each_change_is_told_once() -> None:
    parts = (HealthPart("silence", 40, "no sign for 2 min"),)
    assert news(
        down(),
        up(),
        up(),
        up(source=Source.BEAT, last_heartbeat=at(2)),
        up(source=Source.BEAT, last_heartbeat=at(3), last_activity="12 bars"),
        up(source=Source.BEAT, last_heartbeat=at(3), last_activity="12 bars", health=60, health_parts=parts),
        up(
            source=Source.BEAT, last_heartbeat=at(3), last_activity="12 bars", health=60, health_parts=parts, restarts=1
        ),
    ) == [
        (Kind.STATUS, "stopped, NotStarted: It was not started"),
        (Kind.STATUS, "running, AsWanted: It runs as wanted (PID 97)"),
        (Kind.HEARTBEAT, "its first sign of life"),
        (Kind.ACTIVITY, "12 bars"),
        (Kind.HEALTH, "60: -40 silence (no sign for 2 min)"),
        (Kind.RESTART, "restarted by its manager, 1 time since it was last started"),
    ]


@pytest.mark.parametrize("source", [Source.BEAT, Source.PING])
def test_a_sign_of_a_life_that_is_over_is_no_news(source: Source) -> None:
    old: dict[str, Any] = {"source": source, "last_heartbeat": at(-30), "last_activity": "12 bars"}
    stopped = down(**old, started_at=at(-60))
    starting = up(1, **old, started_at=at(1), status=Status.STARTING, reason=Reason.STARTING)
    assert {kind for kind, _ in news(stopped, starting)} == {Kind.STATUS}
    beats = up(1, source=source, last_heartbeat=at(2), started_at=at(1))
    assert [kind for kind, _ in news(stopped, starting, beats)].count(Kind.HEARTBEAT) == 1
    again = up(4, "b", source=source, last_heartbeat=at(5), started_at=at(4))
    assert [kind for kind, _ in news(stopped, starting, beats, again)].count(Kind.HEARTBEAT) == 2


def test_of_who_beats_before_it_is_looked_at_the_sign_is_no_news() -> None:
    assert [kind for kind, _ in news(up(source=Source.BEAT, last_heartbeat=at(0)))] == [Kind.STATUS]


# --- The life that ended ----------------------------------------------------------------------------------------------


def ended(*looks: StatusRow) -> Life | None:
    trial = Trial("sma", NOON)
    for number, found in enumerate(looks):
        trial, _ = seen(trial, found, now=at(number))
    return trial.ended


def test_the_last_life_that_ended_is_remembered_with_its_span() -> None:
    assert ended(down(), up(1, started_at=at(1))) is None
    assert ended(up(1, started_at=at(1)), dead(5, started_at=at(1))) == Life(at(1), at(5))
    again = (dead(5, started_at=at(1)), up(7, "b", started_at=at(7)))
    assert ended(*again) == Life(at(1), at(5))
    assert ended(*again, dead(9, started_at=at(7))) == Life(at(7), at(9))


def test_an_end_that_nobody_saw_was_before_the_next_start() -> None:
    assert ended(up(1, started_at=at(1)), up(6, "b", started_at=at(6), restarts=1)) == Life(at(1), at(6))
