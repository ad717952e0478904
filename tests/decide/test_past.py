"""What is made of starts, deaths, waits and missed runs, also where nobody watched: each is counted once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.decide.past import delay, fold
from supervise.model import (
    AgentSpec,
    Beat,
    Cause,
    Ending,
    Exit,
    Instant,
    Past,
    Phase,
    Quarantine,
    Restart,
    RestartPolicy,
    Schedule,
    UnitState,
)
from tests.nouns import NOON, NOW, after, alive, dead, minutes, row, seconds, spec, state

AGENT = spec()
JOB = spec(schedule=Schedule(("*-*-* 04:00:00 UTC",)))
FRESH = Past(boot=NOW.boot, seen_since=NOW.monotonic)
MOMENT = timedelta(microseconds=1)
SPREAD = 0.2
MASS_MAX = minutes(2)
ON_TIME = seconds(10)
MOST_DEATHS = 50
RETRIED = Quarantine()
WORN = Past(
    boot=NOW.boot,
    deaths=(NOW.monotonic,),
    restarted=(NOW.monotonic,),
    counted="boot-1/old",
    started=True,
    attempts=3,
    retry_at=NOW.monotonic + minutes(3),
    next_try=NOON,
    retry_life="boot-1/old",
    not_before=NOW.monotonic,
    quarantined=True,
    half_open=True,
    blocked="a copy ran",
    next_run=NOON + minutes(60),
    missed=NOON + minutes(1),
    skipped=True,
)


def folded(
    unit: UnitState,
    past: Past = FRESH,
    *,
    spec: AgentSpec = AGENT,
    life: str | None = "a",
    restarts: int = 0,
    now: Instant = NOW,
    beat: Beat | None = None,
    **how: Any,
) -> Past:
    """The past after a look at the unit, of which life `life` was known, with so many restarts."""
    last = row(incarnation=life and f"boot-1/{life}", restarts=restarts, past=past)
    return fold(last, spec, unit, beat, now=now, **how)


def followed(*looks: UnitState, spec: AgentSpec = AGENT, now: Instant = NOW) -> Past:
    """The past after looking at all of these, one after the other."""
    last = None
    for unit in looks:
        past = fold(last, spec, unit, None, now=now)
        last = row(incarnation=unit.incarnation or (last and last.incarnation), restarts=unit.restarts, past=past)
    assert last is not None
    return last.past


# --- Starts -----------------------------------------------------------------------------------------------------------


def test_a_start_by_a_person_makes_all_well_but_for_the_runs_of_a_job() -> None:
    assert folded(alive("b"), WORN, life="old") == Past(
        boot=NOW.boot, seen_since=NOW.monotonic, started=True, next_run=WORN.next_run, missed=WORN.missed, skipped=True
    )


def test_a_start_by_us_forgets_the_deaths_and_keeps_count_of_the_tries() -> None:
    asked = replace(WORN, asked=True)
    assert folded(alive("b"), asked, life="old") == replace(
        WORN, deaths=(), quarantined=False, blocked="", asked=False, started=True
    )


def test_a_start_by_the_manager_forgets_nothing() -> None:
    assert folded(alive("b", restarts=1), WORN, life="old") == WORN


def test_the_same_life_is_no_new_start() -> None:
    assert folded(alive("old"), WORN, life="old") == WORN


def test_a_life_that_is_known_was_started_in_this_boot() -> None:
    assert folded(alive("a")) == replace(FRESH, started=True)


@pytest.mark.parametrize("unit", [state(Phase.INACTIVE), alive(incarnation=None), alive(started_at=None)])
def test_without_a_life_nothing_was_started(unit: UnitState) -> None:
    assert folded(unit, WORN) == WORN


# --- Deaths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param((dead(),), id="seen-once"),
        pytest.param((dead(), dead()), id="seen-twice"),
        pytest.param((alive(), dead(), dead(phase=Phase.FAILED)), id="then-given-up"),
        pytest.param((alive(), dead(), alive("b", restarts=1)), id="then-restarted"),
        pytest.param((alive(), dead(), dead(restarts=1), alive("b", restarts=1)), id="counted-while-down"),
        pytest.param((alive(), dead(phase=Phase.FAILED)), id="failed-at-once"),
        pytest.param((alive(), alive("b", restarts=1)), id="seen-by-nobody"),
    ],
)
def test_one_death_is_counted_once(looks: tuple[UnitState, ...]) -> None:
    assert len(followed(*looks).deaths) == 1


def test_each_restart_counts_for_an_hour_however_short_the_loop() -> None:
    past = followed(alive(), dead(), alive("b", restarts=1), dead("b", restarts=1), alive("c", restarts=2))
    assert len(past.restarted) == 2
    later = folded(alive("c", restarts=2), past, life="c", restarts=2, now=after(minutes(60) - MOMENT))
    assert (later.deaths, later.restarted) == ((), past.restarted)
    assert folded(alive("c", restarts=2), past, life="c", restarts=2, now=after(minutes(60))).restarted == ()


def test_of_restarts_too_no_more_than_so_many_are_remembered() -> None:
    past = replace(FRESH, restarted=(NOW.monotonic,) * 60)
    assert len(folded(alive("a"), past).restarted) == MOST_DEATHS


def test_each_life_has_its_own_death() -> None:
    past = followed(alive(), dead(), alive("b", restarts=1), dead("b", restarts=1), dead("b", restarts=2))
    assert len(past.deaths) == 2
    assert past.counted == "boot-1/b"


def test_a_death_is_dated_by_the_operating_system_where_it_tells() -> None:
    assert folded(dead(at=after(-seconds(3)))).deaths == (NOW.monotonic - seconds(3),)
    assert folded(dead(ended_monotonic=None)).deaths == (NOW.monotonic,)


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(dead(phase=Phase.FAILED, by_request=True), id="asked-for"),
        pytest.param(dead(phase=Phase.INACTIVE), id="ended-by-itself"),
        pytest.param(alive(), id="alive"),
        pytest.param(state(Phase.FAILED), id="of-nobody-known"),
    ],
)
def test_other_ends_are_no_deaths(unit: UnitState) -> None:
    assert folded(unit).deaths == ()


def test_a_failed_run_of_a_job_is_no_death() -> None:
    assert folded(dead(phase=Phase.FAILED), spec=JOB).deaths == ()


def test_of_what_its_before_start_keeps_down_each_refusal_is_a_death() -> None:
    refused = [dead(before_start=True, restarts=number) for number in (1, 1, 2)]
    assert len(followed(*refused).deaths) == 2


def test_deaths_that_nobody_saw_are_counted_by_the_managers_own_counter() -> None:
    born = after(-seconds(5))
    assert folded(alive("d", start=born, restarts=3)).deaths == (born.monotonic,) * 3
    assert folded(alive("d", start=born, restarts=7), restarts=4).deaths == (born.monotonic,) * 3


def test_of_deaths_that_nobody_saw_the_one_that_was_seen_is_not_counted_again() -> None:
    assert len(followed(alive(), dead(), alive("d", restarts=3)).deaths) == 3


def test_what_happened_before_the_first_look_is_nobodys_business() -> None:
    assert fold(None, AGENT, alive("d", restarts=3), None, now=NOW).deaths == ()
    assert folded(alive("d", restarts=3), life=None).deaths == ()


def test_a_unit_that_does_not_tell_when_it_began_died_at_an_unknown_time() -> None:
    past = folded(alive("b", started_monotonic=None, restarts=1), now=replace(NOW, monotonic=minutes(1)))
    assert past.deaths == (timedelta(),)


def test_a_counter_that_was_set_back_is_no_death() -> None:
    assert folded(alive("b", restarts=1), restarts=5).deaths == ()


def test_deaths_older_than_the_window_of_the_loop_count_no_more() -> None:
    window = minutes(15)
    old, young = NOW.monotonic - window, NOW.monotonic - window + MOMENT
    assert folded(alive(), replace(FRESH, deaths=(old, young))).deaths == (young,)


@pytest.mark.parametrize("loop", [Restart().loop, None])
def test_a_bounded_number_of_deaths_is_remembered(loop: Any) -> None:
    deaths = tuple(NOW.monotonic - minutes(1) + seconds(number / 10) for number in range(MOST_DEATHS))
    past = folded(dead("b"), replace(FRESH, deaths=deaths), spec=spec(restart=Restart(loop=loop)), life="b")
    assert past.deaths == (*deaths[1:], NOW.monotonic)


def test_without_a_loop_no_death_is_too_old() -> None:
    old = replace(FRESH, deaths=(timedelta(),))
    assert folded(alive(), old, spec=spec(restart=Restart(loop=None))).deaths == (timedelta(),)


# --- Endings that systemd forgets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.INACTIVE, Phase.FAILED])
def test_how_it_came_to_rest_is_remembered_when_systemd_forgets_it(phase: Phase) -> None:
    ended = dead(phase=phase, by_request=True, gave_up=False)
    ending = Ending(True, False, NOON, NOW.monotonic, NOON, Cause.EXIT_CODE, Exit(code=3))
    assert followed(ended).ending == ending
    assert followed(ended, state(Phase.INACTIVE)).ending == ending


def test_how_it_failed_is_remembered_when_somebody_resets_that() -> None:
    failed = dead(phase=Phase.FAILED, by_request=False, gave_up=True)
    reset = dead(phase=Phase.INACTIVE, by_request=True, gave_up=False, cause=Cause.CLEAN)
    assert followed(failed, reset).ending == followed(failed).ending
    later = dead(phase=Phase.INACTIVE, by_request=True, gave_up=False, at=after(seconds(1)))
    assert followed(failed, later).ending != followed(failed).ending


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.STARTING, Phase.ACTIVE, Phase.RESTARTING, Phase.ABSENT])
def test_an_ending_is_over_with_the_next_start(phase: Phase) -> None:
    assert followed(dead(phase=Phase.INACTIVE), state(phase)).ending is None


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.ACTIVE])
def test_whom_it_was_stopped_with_is_remembered_until_it_is_up_again(phase: Phase) -> None:
    with_it = replace(FRESH, stopped_with="agent@feed.service")
    assert folded(state(Phase.INACTIVE), with_it) == with_it
    assert folded(dead(phase=Phase.INACTIVE, by_request=True), with_it).stopped_with == with_it.stopped_with
    assert folded(state(phase), with_it) == FRESH


# --- Waits ------------------------------------------------------------------------------------------------------------

GIVEN_UP = dead(phase=Phase.FAILED, gave_up=True)
QUARANTINES = st.builds(
    Quarantine,
    first=st.timedeltas(seconds(1), minutes(10)),
    factor=st.floats(1, 10),
    max=st.timedeltas(minutes(10), minutes(600)),
)


@given(QUARANTINES, st.integers(0, 10_000), st.text(max_size=20), st.booleans())
def test_a_wait_is_never_shorter_than_meant_nor_longer_by_more_than_its_spread(
    quarantine: Quarantine, attempts: int, seed: str, mass: bool
) -> None:
    longest = min(quarantine.max, MASS_MAX) if mass else quarantine.max
    meant = min(quarantine.first.total_seconds() * quarantine.factor ** min(attempts, 64), longest.total_seconds())
    wait = delay(quarantine, attempts, seed=seed, mass=mass)
    assert seconds(meant) - MOMENT <= wait <= seconds(meant * (1 + SPREAD)) + MOMENT
    assert wait == delay(quarantine, attempts, seed=seed, mass=mass)


def test_waits_grow_to_the_longest_and_no_further() -> None:
    waits = [delay(RETRIED, attempts, seed="sma") for attempts in range(12)]
    assert [round(wait / (1 + SPREAD / 2) / minutes(1)) for wait in waits[:5]] == pytest.approx(
        [1, 2, 4, 8, 16], rel=0.1
    )
    assert all(minutes(30) <= wait <= minutes(36) for wait in waits[5:])


def test_what_failed_together_is_not_tried_together() -> None:
    waits = {delay(RETRIED, 0, seed=f"agent_{number}") for number in range(50)}
    assert len(waits) == 50
    assert max(waits) - min(waits) > minutes(1) * SPREAD / 2


def test_where_many_are_given_up_nobody_waits_for_long() -> None:
    assert MASS_MAX <= delay(RETRIED, 9, seed="sma", mass=True) <= MASS_MAX * (1 + SPREAD)


def test_what_is_given_up_is_tried_again_after_the_first_wait() -> None:
    past = folded(GIVEN_UP)
    assert past.retry_at is not None
    assert minutes(1) <= past.retry_at - NOW.monotonic <= minutes(1) * (1 + SPREAD)
    assert past.next_try == (NOON + past.retry_at - NOW.monotonic).replace(microsecond=0)


def test_the_moment_of_the_next_try_stands() -> None:
    past = folded(GIVEN_UP)
    assert folded(GIVEN_UP, past, now=after(minutes(5))) == replace(past, deaths=past.deaths)


def test_the_next_life_that_is_given_up_waits_anew_and_for_longer() -> None:
    once = replace(folded(GIVEN_UP), attempts=1)
    twice = folded(dead("b", phase=Phase.FAILED, gave_up=True, restarts=1), once, now=after(minutes(5)))
    assert twice.retry_at is not None
    assert minutes(2) <= twice.retry_at - NOW.monotonic - minutes(5) <= minutes(2) * (1 + SPREAD)


def test_the_wait_goes_on_when_systemd_forgets_the_unit() -> None:
    parked = replace(folded(GIVEN_UP), quarantined=True)
    forgotten = folded(state(Phase.INACTIVE), parked, now=after(seconds(10)))
    assert (forgotten.retry_at, forgotten.next_try) == (parked.retry_at, parked.next_try)


def test_after_a_try_in_vain_also_a_forgotten_unit_is_tried_again() -> None:
    tried = replace(folded(GIVEN_UP), attempts=1, retry_at=None)
    assert folded(state(Phase.INACTIVE), tried).retry_at is not None


def test_what_we_took_out_of_service_waits_though_systemd_did_not_give_up() -> None:
    assert folded(dead(phase=Phase.INACTIVE, by_request=True), replace(FRESH, quarantined=True)).retry_at is not None


@pytest.mark.parametrize(
    ("unit", "past", "changes"),
    [
        pytest.param(dead(phase=Phase.FAILED, gave_up=False), FRESH, {}, id="not-given-up"),
        pytest.param(dead(phase=Phase.INACTIVE), FRESH, {}, id="ended"),
        pytest.param(alive(), replace(FRESH, quarantined=True), {}, id="up"),
        pytest.param(GIVEN_UP, FRESH, {"quarantine": None}, id="quarantine-off"),
        pytest.param(GIVEN_UP, FRESH, {"restart": Restart(policy=RestartPolicy.NEVER)}, id="never-restarted"),
    ],
)
def test_no_try_is_meant_for_others(unit: UnitState, past: Past, changes: dict[str, Any]) -> None:
    assert folded(unit, past, spec=spec(**changes)).retry_at is None


def test_while_we_are_at_it_no_further_try_is_meant() -> None:
    assert folded(GIVEN_UP, acting=True).retry_at is None


@pytest.mark.parametrize(("length", "shortened"), [(minutes(2.4), False), (minutes(2.4) + MOMENT, True)])
def test_a_long_wait_is_shortened_once_many_are_given_up(length: timedelta, shortened: bool) -> None:
    waiting = replace(folded(GIVEN_UP), attempts=9, retry_at=NOW.monotonic + length)
    past = folded(GIVEN_UP, waiting, mass=True)
    assert (past.retry_at != waiting.retry_at) is shortened
    assert past.retry_at is not None
    assert past.retry_at - NOW.monotonic <= MASS_MAX * (1 + SPREAD)
    assert folded(GIVEN_UP, waiting, mass=False) == waiting


@pytest.mark.parametrize(
    "quarantine", [Quarantine(settle=minutes(10)), Quarantine(settle=minutes(7)), None], ids=["10 min", "7 min", "off"]
)
def test_after_running_well_for_long_all_is_forgotten(quarantine: Quarantine | None) -> None:
    settle = quarantine.settle if quarantine else minutes(10)
    agent = spec(quarantine=quarantine)
    tried = Past(NOW.boot, started=True, attempts=4, half_open=True, retry_at=NOW.monotonic, next_try=NOON)
    tried = replace(tried, deaths=(NOW.monotonic + minutes(1),))
    assert folded(alive(), tried, spec=agent, now=after(settle - MOMENT)) == tried
    assert folded(alive(), tried, spec=agent, now=after(settle)) == Past(NOW.boot, started=True)


@pytest.mark.parametrize("unit", [dead(), alive(started_monotonic=None)])
def test_what_does_not_run_since_long_has_not_settled(unit: UnitState) -> None:
    tried = replace(FRESH, attempts=4, started=True, counted="boot-1/a")
    assert folded(unit, tried, now=after(minutes(60))) == tried


def test_a_life_that_we_mean_to_end_did_not_run_well_however_long() -> None:
    silent = replace(FRESH, attempts=4, started=True, retry_at=NOW.monotonic, retry_life="boot-1/a")
    assert folded(alive(), silent, now=after(minutes(60))) == silent
    assert folded(alive("b", restarts=1), silent, now=after(minutes(60))).attempts == 0


def test_what_was_never_tried_keeps_its_deaths_for_the_window_of_the_loop() -> None:
    died = replace(FRESH, started=True, deaths=(NOW.monotonic,))
    assert folded(alive(), died, now=after(minutes(14))).deaths == died.deaths


# --- Another boot -----------------------------------------------------------------------------------------------------


def test_another_boot_voids_all_of_it() -> None:
    old = row(incarnation="boot-0/a", boot="boot-0", restarts=2, past=replace(WORN, boot="boot-0"))
    assert fold(old, AGENT, state(Phase.INACTIVE), None, now=NOW) == FRESH
    assert fold(old, AGENT, alive(restarts=3), None, now=NOW) == replace(FRESH, started=True)


# --- Beats ------------------------------------------------------------------------------------------------------------


def test_that_it_has_beaten_is_remembered_for_this_life() -> None:
    past = folded(alive(), beat=Beat(NOW, 7))
    assert past.beaten == "boot-1/a"
    assert folded(alive(), past, beat=None).beaten == "boot-1/a"
    assert folded(alive(), past, beat=Beat(NOW, 7)) is past


@pytest.mark.parametrize("beat", [None, Beat(after(-MOMENT), 7)])
def test_a_beat_of_an_earlier_life_is_not_remembered(beat: Beat | None) -> None:
    assert folded(alive(), beat=beat).beaten is None


# --- Runs of a job ----------------------------------------------------------------------------------------------------

DUE = NOON
NEXT = NOON + minutes(60)
ANNOUNCED = replace(FRESH, next_run=DUE)
LATE = after(ON_TIME + MOMENT)


def run(past: Past, unit: UnitState, *, now: Instant = LATE) -> Past:
    return replace(folded(unit, past, spec=JOB, now=now, life="a"), ending=None, started=False)


def idle(**changes: Any) -> UnitState:
    return state(Phase.INACTIVE, **{"next_run": NEXT, "timer_active": True, **changes})


def test_the_announced_run_is_remembered() -> None:
    assert run(FRESH, idle(next_run=DUE), now=after(-minutes(5))).next_run == DUE
    assert run(ANNOUNCED, idle(), now=after(-minutes(5))).next_run == NEXT
    assert run(ANNOUNCED, idle(next_run=DUE), now=after(-minutes(5))) == ANNOUNCED
    assert run(ANNOUNCED, idle(next_run=None), now=after(-minutes(5))) == ANNOUNCED


def test_an_agent_has_no_runs() -> None:
    assert folded(idle(), FRESH, spec=AGENT).next_run is None


def test_a_run_that_passed_without_a_start_was_missed() -> None:
    assert run(ANNOUNCED, idle()) == replace(FRESH, missed=DUE, next_run=NEXT)
    before = dead(phase=Phase.INACTIVE, start=after(-minutes(60)), at=after(-minutes(50)), next_run=NEXT)
    assert run(ANNOUNCED, before) == replace(FRESH, missed=DUE, next_run=NEXT)


def test_a_run_is_not_missed_while_it_may_still_begin() -> None:
    assert run(ANNOUNCED, idle(), now=after(ON_TIME)) == ANNOUNCED
    assert run(ANNOUNCED, idle(next_run=DUE)) == ANNOUNCED


@pytest.mark.parametrize("early", [timedelta(), seconds(2), -seconds(9)])
def test_a_run_that_began_about_when_it_was_due_took_place(early: timedelta) -> None:
    missed = replace(ANNOUNCED, missed=DUE - minutes(60), skipped=True)
    ran = dead(phase=Phase.INACTIVE, start=after(-early), at=after(seconds(10)), next_run=NEXT)
    assert run(missed, ran) == replace(FRESH, next_run=NEXT)


def test_a_run_well_before_the_moment_was_another() -> None:
    early = dead(phase=Phase.INACTIVE, start=after(-seconds(2) - MOMENT), at=after(-seconds(1)), next_run=NEXT)
    assert run(ANNOUNCED, early).missed == DUE


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(alive(start=after(-minutes(9)), next_run=NEXT), id="still-running"),
        pytest.param(
            dead(phase=Phase.INACTIVE, start=after(-minutes(9)), at=after(seconds(5)), next_run=NEXT), id="ended-since"
        ),
        pytest.param(
            dead(phase=Phase.INACTIVE, start=after(-minutes(9)), at=NOW, next_run=NEXT), id="ended-at-that-moment"
        ),
    ],
)
def test_a_run_that_found_the_one_before_it_running_was_skipped(unit: UnitState) -> None:
    past = run(ANNOUNCED, unit)
    assert (past.missed, past.skipped, past.next_run) == (DUE, True, NEXT)


def test_of_a_run_whose_end_nobody_knows_nothing_was_skipped() -> None:
    unit = dead(phase=Phase.INACTIVE, start=after(-minutes(9)), next_run=NEXT, ended_at=None)
    assert run(ANNOUNCED, unit).skipped is False


def test_a_missed_run_is_forgotten_with_the_next_start() -> None:
    missed = replace(FRESH, missed=DUE, skipped=True, next_run=NEXT)
    assert run(missed, idle()) == missed
    at_once = alive(start=NOW, next_run=NEXT)
    assert run(missed, at_once) == missed
    assert run(missed, alive(start=after(MOMENT), next_run=NEXT)) == replace(FRESH, next_run=NEXT)
