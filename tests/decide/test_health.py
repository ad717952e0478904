"""How well an agent is: every lost point has a name, and together they are all that is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervise.decide import FULL, Case, Verdict, judge
from supervise.decide.health import score
from supervise.decide.presets import BALANCED, BUILT_IN, PARTS
from supervise.model import (
    AgentSpec,
    Beat,
    BeatStatus,
    HealthPart,
    HeartbeatLimits,
    Observation,
    Past,
    Phase,
    Probe,
    ProbeKind,
    ProbeResult,
    Reason,
    Status,
    Usage,
)
from tests.nouns import NOW, after, alive, copy, minutes, seconds, spec, state

AGENT = spec(heartbeat=HeartbeatLimits(minutes(1), minutes(5), written=True))
ASKED = Probe(ProbeKind.TCP, ("localhost:80",))
PROBED = replace(AGENT, live=ASKED, ready=ASKED)
YES, NO = ProbeResult(True, "it is open", NOW), ProbeResult(False, "refused", NOW)
WELL = Verdict(Status.RUNNING, Reason.AS_WANTED, ".")
BAD = Verdict(Status.ERROR, Reason.AGENT_ERROR, ".")
TWICE = Verdict(Status.WARNING, Reason.DUPLICATE_PROCESS, ".")
POOR = Verdict(Status.WARNING, Reason.AGENT_WAITING, ".")
SINCE = after(-minutes(30))
MONO = NOW.monotonic


def scored(
    verdict: Verdict = WELL,
    *,
    silent: float = 0,
    restarts: int = 0,
    beat: Beat | None = None,
    weights: Any = BUILT_IN[BALANCED],
    agent: AgentSpec = AGENT,
    **seen: Any,
) -> tuple[int, tuple[HealthPart, ...]]:
    """An active agent that has been silent for so many seconds and was restarted so often a moment ago."""
    unit = alive(start=SINCE, last_ping=MONO - seconds(silent))
    past = Past(restarted=(MONO - seconds(1),) * restarts)
    return score(verdict, Case(agent, Observation(unit, beat=beat, **seen), NOW, past=past), unit, weights=weights)


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


def test_silence_costs_what_it_is_and_what_comes_of_it() -> None:
    silent = Verdict(Status.ERROR, Reason.SILENT, ".")
    parts = (HealthPart("trouble", 60, "Silent"), HealthPart("heartbeat", 30, "its last sign of life is old"))
    assert scored(silent, silent=900) == (10, parts)


def test_where_no_sign_is_expected_none_is_missed() -> None:
    unit = alive(start=SINCE)
    assert score(WELL, Case(spec(), Observation(unit), NOW), unit) == (100, ())


def test_limits_that_are_no_span_are_one_step() -> None:
    sudden = spec(heartbeat=HeartbeatLimits(minutes(1), minutes(1), written=True))
    for age, left in ((60, 100), (61, 70)):
        unit = alive(start=SINCE, last_ping=MONO - seconds(age))
        assert score(WELL, Case(sudden, Observation(unit), NOW), unit)[0] == left


@pytest.mark.parametrize(
    ("restarts", "lost", "why"),
    [
        (1, 10, "it was restarted once within an hour"),
        (2, 20, "it was restarted 2 times within an hour"),
        (3, 30, "it was restarted 3 times within an hour"),
        (9, 30, "it was restarted 9 times within an hour"),
    ],
)
def test_each_restart_of_the_last_hour_costs_up_to_a_limit(restarts: int, lost: int, why: str) -> None:
    assert scored(restarts=restarts) == (100 - lost, (HealthPart("restarts", lost, why),))


@pytest.mark.parametrize(
    ("failed", "lost", "why"),
    [
        (0, 0, ""),
        (1, 10, "its live probe fails (1 of 3 times)"),
        (3, 30, "its live probe fails (3 of 3 times)"),
        (9, 30, "its live probe fails (3 of 3 times)"),
    ],
)
def test_a_live_probe_costs_by_how_often_it_has_failed(failed: int, lost: int, why: str) -> None:
    parts = (HealthPart("probes", lost, why),) if lost else ()
    assert scored(agent=PROBED, live=NO, failed_probes=failed) == (100 - lost, parts)
    assert scored(agent=PROBED, live=YES, failed_probes=failed) == (100, ())


def test_what_is_not_ready_costs_half_and_what_does_not_live_more() -> None:
    assert scored(agent=PROBED, ready=NO) == (85, (HealthPart("probes", 15, "it is not ready by its probe"),))
    assert scored(agent=PROBED, ready=YES) == (100, ())
    assert scored(agent=PROBED, ready=NO, live=NO, failed_probes=3)[0] == 70
    assert scored(agent=PROBED, ready=NO, live=NO, failed_probes=1)[0] == 85


def test_answers_to_a_probe_that_is_no_more_cost_nothing() -> None:
    assert scored(live=NO, failed_probes=3) == (100, ())


def test_being_near_a_limit_costs_by_how_near() -> None:
    near = Usage("boot-1/a", memory=95, memory_limit=100)
    assert scored(usage=near) == (86, (HealthPart("pressure", 14, "its memory is at 94 % of its limit"),))
    assert scored(usage=Usage("boot-1/a", memory=5, memory_limit=100)) == (100, ())


@pytest.mark.parametrize(
    ("verdict", "own", "lost", "why"),
    [
        (TWICE, BeatStatus.ERROR, 60, "AgentError"),
        (TWICE, BeatStatus.WARNING, 24, "DuplicateProcess"),
        (TWICE, BeatStatus.RUNNING, 24, "DuplicateProcess"),
        (WELL, BeatStatus.WARNING, 24, "AgentWarning"),
        (BAD, BeatStatus.WARNING, 60, "AgentError"),
    ],
)
def test_an_error_that_a_lesser_reason_hides_counts_all_the_same(
    verdict: Verdict, own: BeatStatus, lost: int, why: str
) -> None:
    assert scored(verdict, beat=Beat(NOW, 7, status=own)) == (100 - lost, (HealthPart("trouble", lost, why),))


@pytest.mark.parametrize(("health", "left"), [(100, 100), (70, 70), (0, 0), (-50, 0), (400, 100)])
def test_an_agent_can_lower_its_health_and_never_raise_it(health: int, left: int) -> None:
    assert scored(beat=Beat(NOW, 7, health=health))[0] == left


@pytest.mark.parametrize(
    "beat", [Beat(NOW, 8, by_main=False, health=1), Beat(NOW, 7), Beat(after(-minutes(31)), 7, health=1)]
)
def test_only_the_main_process_of_this_life_is_asked_for_it(beat: Beat) -> None:
    assert scored(beat=beat) == (100, ())


def test_the_parts_share_what_is_left() -> None:
    health, parts = scored(BAD, silent=900, restarts=2, beat=Beat(after(-seconds(1200)), 7, health=0))
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
        ({"report": 50.0}, 40),
        ({"strange": 9.0}, 40),
    ],
)
def test_weights_replace_the_usual_ones_by_name(weights: dict[str, float], left: int) -> None:
    assert scored(BAD, weights=weights)[0] == left


def test_a_report_costs_by_its_weight() -> None:
    beat = Beat(NOW, 7, health=50)
    assert scored(beat=beat, weights=BUILT_IN["conservative"])[1] == (HealthPart("report", 25, "by its own report"),)


# --- Whatever happens -------------------------------------------------------------------------------------------------

weights = st.dictionaries(st.sampled_from(sorted(PARTS)), st.floats(0, 100))


@settings(max_examples=300)
@given(
    verdict=st.builds(Verdict, st.sampled_from(Status), st.sampled_from(Reason), st.just(".")),
    silent=st.floats(-10, 10_000),
    restarts=st.integers(0, 60),
    health=st.none() | st.integers(-1000, 1000),
    failed=st.integers(0, 9),
    memory=st.integers(0, 2000),
    weights=st.dictionaries(st.sampled_from(sorted(PARTS)), st.floats(-200, 200)),
)
def test_the_parts_are_exactly_what_is_lacking(
    verdict: Verdict,
    silent: float,
    restarts: int,
    health: int | None,
    failed: int,
    memory: int,
    weights: dict[str, float],
) -> None:
    left, parts = scored(
        verdict,
        silent=silent,
        restarts=restarts,
        beat=Beat(after(-seconds(1)), 7, health=health),
        weights=weights,
        agent=PROBED,
        live=NO,
        failed_probes=failed,
        usage=Usage("boot-1/a", memory=memory, memory_limit=1000),
    )
    assert sum(part.lost for part in parts) == FULL - left
    assert 0 <= left <= FULL
    assert all(part.lost > 0 and part.name and part.why for part in parts)
    assert len({part.name for part in parts}) == len(parts)
    assert {part.name for part in parts} <= {"down", *PARTS}


@dataclass(frozen=True)
class Troubles:
    """How bad an agent is in each way that there is, and nothing but that; each number is worse than the one before."""

    silent: int = 0
    restarts: int = 0
    failed: int = 0
    memory: int = 0
    lacks: int = 0
    says: int = 0
    copies: int = 0
    unready: int = 0

    def health(self, weights: Mapping[str, float]) -> int:
        unit = alive(start=SINCE, last_ping=MONO - seconds(self.silent))
        said = (BeatStatus.RUNNING, BeatStatus.WARNING, BeatStatus.ERROR)[self.says]
        seen = Observation(
            unit,
            outside=(copy(),) * self.copies,
            beat=Beat(after(-seconds(self.silent)), 7, status=said, health=FULL - self.lacks),
            live=NO if self.failed else YES,
            ready=NO if self.unready else YES,
            failed_probes=self.failed,
            usage=Usage("boot-1/a", memory=self.memory, memory_limit=1000),
        )
        past = Past(restarted=(MONO - seconds(1),) * self.restarts)
        case = Case(PROBED, seen, NOW, past=past)
        return score(judge(case), case, unit, weights=weights)[0]


MOST = Troubles(silent=600, restarts=5, failed=5, memory=1100, lacks=100, says=2, copies=1, unready=1)
how_bad = st.builds(Troubles, **{one.name: st.integers(0, getattr(MOST, one.name)) for one in fields(Troubles)})


@settings(max_examples=1000)
@given(how_bad, st.sampled_from(fields(Troubles)), weights)
def test_one_trouble_more_never_makes_it_look_better(one: Troubles, more: Any, weights: dict[str, float]) -> None:
    worse = replace(one, **{more.name: getattr(MOST, more.name)})
    assert worse.health(weights) <= one.health(weights)
    step = min(getattr(one, more.name) + 1, getattr(MOST, more.name))
    assert replace(one, **{more.name: step}).health(weights) <= one.health(weights)
