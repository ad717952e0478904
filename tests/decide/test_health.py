"""How well an agent is: every lost point has a name, and together they are all that is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervise.decide import FULL, Case, Verdict
from supervise.decide.health import score
from supervise.model import (
    Beat,
    HealthPart,
    HeartbeatLimits,
    Observation,
    Past,
    Phase,
    Reason,
    Status,
)
from tests.nouns import NOW, after, alive, minutes, seconds, spec, state

AGENT = spec(heartbeat=HeartbeatLimits(minutes(1), minutes(5), written=True))
WELL = Verdict(Status.RUNNING, Reason.AS_WANTED, ".")
BAD = Verdict(Status.ERROR, Reason.AGENT_ERROR, ".")
POOR = Verdict(Status.WARNING, Reason.AGENT_WAITING, ".")
SINCE = after(-minutes(30))
MONO = NOW.monotonic


def scored(
    verdict: Verdict = WELL, *, silent: float = 0, deaths: int = 0, beat: Beat | None = None, weights: Any = None
) -> tuple[int, tuple[HealthPart, ...]]:
    """An active agent that has been silent for so many seconds and died so often a moment ago."""
    unit = alive(start=SINCE, last_ping=MONO - seconds(silent))
    past = Past(deaths=(MONO - seconds(1),) * deaths)
    return score(verdict, Case(AGENT, Observation(unit, beat=beat), NOW, past=past), unit, weights=weights)


def test_all_well_is_all_there_is() -> None:
    assert scored() == (100, ())


# --- What does not run ------------------------------------------------------------------------------------------------


def test_a_job_that_waits_for_its_next_run_lacks_nothing() -> None:
    unit = state(Phase.INACTIVE)
    assert score(Verdict(Status.STOPPED, Reason.WAITING, "."), Case(AGENT, Observation(unit), NOW), unit) == (100, ())


@pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.ACTIVE}))
def test_what_is_not_active_has_no_health(phase: Phase) -> None:
    unit = state(phase)
    case = Case(AGENT, Observation(unit), NOW)
    assert score(BAD, case, unit) == (0, (HealthPart("down", FULL, "AgentError"),))


@pytest.mark.parametrize("status", [Status.STOPPED, Status.UNKNOWN])
def test_what_is_said_not_to_run_has_none_either(status: Status) -> None:
    unit = alive(start=SINCE)
    case = Case(AGENT, Observation(unit), NOW)
    assert score(Verdict(status, Reason.HELD, "."), case, unit) == (0, (HealthPart("down", FULL, "Held"),))


def test_what_was_not_seen_has_none() -> None:
    unknown = Verdict(Status.UNKNOWN, Reason.NOT_OBSERVED, ".")
    assert score(unknown, Case(AGENT, Observation(), NOW), None) == (0, (HealthPart("down", FULL, "NotObserved"),))


def test_what_runs_in_the_foreground_is_well() -> None:
    unit = state(Phase.INACTIVE)
    assert score(WELL, Case(AGENT, Observation(unit), NOW), unit) == (FULL, ())


# --- Each part --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verdict", "lost"), [(BAD, 60), (POOR, 24)])
def test_trouble_costs_by_its_gravity(verdict: Verdict, lost: int) -> None:
    assert scored(verdict) == (100 - lost, (HealthPart("trouble", lost, verdict.reason.value),))


@pytest.mark.parametrize(
    ("silent", "lost"), [(60, 0), (71, 0), (73, 3), (180, 15), (287, 27), (289, 30), (300, 30), (900, 30)]
)
def test_an_old_sign_of_life_costs_from_late_to_silent_in_tenths(silent: float, lost: int) -> None:
    parts = (HealthPart("heartbeat", lost, "its last sign of life is old"),) if lost else ()
    assert scored(silent=silent) == (100 - lost, parts)


def test_silence_is_not_counted_twice() -> None:
    silent = Verdict(Status.ERROR, Reason.SILENT, ".")
    assert scored(silent, silent=900) == (40, (HealthPart("trouble", 60, "Silent"),))


def test_where_no_sign_is_expected_none_is_missed() -> None:
    unit = alive(start=SINCE)
    assert score(WELL, Case(spec(), Observation(unit), NOW), unit) == (100, ())


def test_limits_that_are_no_span_are_one_step() -> None:
    sudden = spec(heartbeat=HeartbeatLimits(minutes(1), minutes(1), written=True))
    for age, left in ((60, 100), (61, 70)):
        unit = alive(start=SINCE, last_ping=MONO - seconds(age))
        assert score(WELL, Case(sudden, Observation(unit), NOW), unit)[0] == left


@pytest.mark.parametrize(
    ("deaths", "lost", "why"),
    [
        (1, 10, "it died once"),
        (2, 20, "it died 2 times within an hour"),
        (3, 30, "it died 3 times within an hour"),
        (9, 30, "it died 9 times within an hour"),
    ],
)
def test_each_death_of_the_last_hour_costs_up_to_a_limit(deaths: int, lost: int, why: str) -> None:
    assert scored(deaths=deaths) == (100 - lost, (HealthPart("restarts", lost, why),))


def test_a_death_of_an_hour_ago_is_forgiven() -> None:
    unit = alive(start=SINCE, last_ping=MONO)
    past = Past(deaths=(MONO - minutes(60), MONO - minutes(60) + seconds(1)))
    assert score(WELL, Case(AGENT, Observation(unit), NOW, past=past), unit)[0] == 90


@pytest.mark.parametrize(("health", "left"), [(100, 100), (70, 70), (0, 0), (-50, 0), (400, 100)])
def test_an_agent_can_lower_its_health_and_never_raise_it(health: int, left: int) -> None:
    assert scored(beat=Beat(NOW, 7, health=health))[0] == left


@pytest.mark.parametrize(
    "beat", [Beat(NOW, 8, by_main=False, health=1), Beat(NOW, 7), Beat(after(-minutes(31)), 7, health=1)]
)
def test_only_the_main_process_of_this_life_is_asked_for_it(beat: Beat) -> None:
    assert scored(beat=beat) == (100, ())


def test_the_parts_share_what_is_left() -> None:
    health, parts = scored(BAD, silent=900, deaths=2, beat=Beat(after(-seconds(1200)), 7, health=0))
    assert health == 0
    assert [(part.name, part.lost) for part in parts] == [("trouble", 60), ("heartbeat", 30), ("restarts", 10)]


@pytest.mark.parametrize(
    ("weights", "left"),
    [
        ({"trouble": 10.0}, 90),
        ({"trouble": 0.0}, 100),
        ({"trouble": -5.0}, 100),
        ({"trouble": 500.0}, 0),
        ({"trouble": 0.6}, 99),
        ({"restarts": 3.0}, 40),
        ({"strange": 9.0}, 40),
    ],
)
def test_weights_replace_the_usual_ones_by_name(weights: dict[str, float], left: int) -> None:
    assert scored(BAD, weights=weights)[0] == left


# --- Whatever happens -------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(
    verdict=st.builds(Verdict, st.sampled_from(Status), st.sampled_from(Reason), st.just(".")),
    silent=st.floats(-10, 10_000),
    deaths=st.integers(0, 60),
    health=st.none() | st.integers(-1000, 1000),
    weights=st.dictionaries(
        st.sampled_from(["heartbeat", "restarts", "trouble", "report"]), st.floats(-200, 200), max_size=4
    ),
)
def test_the_parts_are_exactly_what_is_lacking(
    verdict: Verdict, silent: float, deaths: int, health: int | None, weights: dict[str, Any]
) -> None:
    beat = Beat(after(-seconds(1)), 7, health=health)
    left, parts = scored(verdict, silent=silent, deaths=deaths, beat=beat, weights=weights)
    assert sum(part.lost for part in parts) == FULL - left
    assert 0 <= left <= FULL
    assert all(part.lost > 0 and part.name and part.why for part in parts)
    assert len({part.name for part in parts}) == len(parts)
