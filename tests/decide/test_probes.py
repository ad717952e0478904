"""What probes make of an agent: ready once and for its life, failing only after so many noes, and never the unasked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from supervise.decide.network import FEWEST
from supervise.decide.probes import named
from supervise.model import (
    FOREVER,
    ActionKind,
    AgentSpec,
    Cause,
    Decision,
    Event,
    EventKind,
    HostFacts,
    Observation,
    Phase,
    Probe,
    ProbeKind,
    ProbeResult,
    Reason,
    Restart,
    RestartPolicy,
    Status,
    UnitState,
)
from tests.decide.host import Host
from tests.nouns import NOW, after, alive, copy, dead, minutes, seconds, spec, state

MONO = NOW.monotonic
MOMENT = timedelta(microseconds=1)
HTTP = Probe(ProbeKind.HTTP, ("http://localhost:8000/health",))
COMMAND = Probe(ProbeKind.COMMAND, ("/bin/check", "--token", "abc"))
READY = spec(ready=HTTP, startup_timeout=seconds(90))
LIVE = spec(live=HTTP)
ASKED = HostFacts(may_act=True, asks=True)
YES = ProbeResult(True, "status 200", NOW)
NO = ProbeResult(False, "status 503", NOW)
REFUSED = ProbeResult(False, "connection refused", NOW, "refused")
TIMEOUT = ProbeResult(False, "no answer within 5 s", NOW, "timeout")
LIMIT = seconds(90)
LAST_CALL = LIMIT + HTTP.interval + HTTP.timeout


def asked(agent: AgentSpec, **world: Any) -> Host:
    return Host(agent, host=ASKED, **world)


def said(host: Host, name: str = "sma") -> tuple[Status, Reason]:
    return host.row(name).status, host.row(name).reason


def seen(unit: UnitState | None = None, **answers: Any) -> Observation:
    return Observation(unit or alive(), frozenset(), (), **answers)


def kinds(decision: Decision) -> list[tuple[str, ActionKind]]:
    return [(action.name, action.kind) for action in decision.actions]


def told_of_host(decision: Decision) -> list[Event]:
    return [event for event in decision.events if event.kind is EventKind.HOST]


# --- Rule 17: is it ready ---------------------------------------------------------------------------------------------


def test_until_its_ready_probe_says_yes_it_is_starting() -> None:
    host = asked(READY)
    host.sees(seen())
    assert said(host) == (Status.STARTING, Reason.STARTING)
    assert host.row().message == (
        "It is not ready yet: its ready probe (http://localhost:8000/health) has not answered yet."
    )
    host.sees(seen(ready=NO))
    assert host.row().message == (
        "It is not ready yet: its ready probe (http://localhost:8000/health) says: status 503."
    )
    host.sees(seen(ready=YES))
    assert said(host) == (Status.RUNNING, Reason.AS_WANTED)


def test_what_is_ready_once_is_ready_for_its_life_and_no_longer() -> None:
    host = asked(READY)
    host.sees(seen(ready=YES))
    host.sees(seen(ready=NO), at=after(minutes(9)))
    assert said(host) == (Status.RUNNING, Reason.AS_WANTED)
    host.sees(seen(), at=after(minutes(10)))
    assert said(host) == (Status.RUNNING, Reason.AS_WANTED)
    born = after(minutes(11))
    host.sees(seen(alive("b", start=born)), at=born)
    assert said(host) == (Status.STARTING, Reason.STARTING)


def test_what_is_never_ready_is_restarted_after_startup_timeout_with_growing_waits() -> None:
    host = asked(READY)
    first = host.sees(seen(ready=NO))
    assert first.wakes["sma"] == MONO + LIMIT
    host.sees(seen(ready=NO), at=after(LIMIT - MOMENT))
    assert said(host) == (Status.STARTING, Reason.STARTING)
    late = after(LIMIT)
    assert kinds(host.sees(seen(ready=NO), at=late)) == [("sma", ActionKind.RESTART)]
    assert said(host) == (Status.ERROR, Reason.START_TIMEOUT)
    assert host.row().message == (
        "It was not ready within 90 s (startup_timeout): "
        "its ready probe (http://localhost:8000/health) says: status 503."
    )
    again = after(LIMIT, late)
    host.sees(seen(alive("b", start=late), ready=NO), at=late)
    waits = host.sees(seen(alive("b", start=late), ready=NO), at=again)
    assert (kinds(waits), said(host)) == ([], (Status.ERROR, Reason.START_TIMEOUT))
    assert late.monotonic + minutes(2) <= waits.wakes["sma"] <= late.monotonic + minutes(2.4)


def test_what_becomes_ready_while_its_restart_waits_is_left_alone() -> None:
    host = asked(READY)
    host.sees(seen(ready=NO), at=after(LIMIT))
    host.sees(seen(ready=YES), at=after(LIMIT + seconds(1)))
    assert said(host) == (Status.RUNNING, Reason.AS_WANTED)
    assert host.row().past.unready is None


def test_where_nobody_asks_everybody_counts_as_ready() -> None:
    host = Host(READY, host=HostFacts(may_act=True))
    host.sees(seen())
    assert said(host) == (Status.RUNNING, Reason.AS_WANTED)


def test_what_nobody_could_tell_counts_as_ready_once_it_is_too_old_for_a_start() -> None:
    host = asked(READY)
    assert host.sees(seen()).wakes["sma"] == MONO + LIMIT
    assert host.sees(seen(), at=after(LIMIT)).wakes["sma"] == MONO + LAST_CALL
    host.sees(seen(), at=after(LAST_CALL - MOMENT))
    assert said(host)[1] is Reason.START_TIMEOUT
    host.sees(seen(), at=after(LAST_CALL))
    assert said(host) == (Status.RUNNING, Reason.AS_WANTED)
    host.sees(seen(ready=NO), at=after(LAST_CALL + MOMENT))
    assert said(host) == (Status.RUNNING, Reason.AS_WANTED)


def test_a_probe_that_is_new_to_an_agent_that_has_long_run_restarts_nobody() -> None:
    host = asked(spec())
    host.sees(alive())
    host.learns(desired={"sma": READY})
    host.sees(seen(), at=after(minutes(60)))
    assert kinds(host.sees(seen(ready=NO), at=after(minutes(61)))) == []
    assert said(host) == (Status.RUNNING, Reason.AS_WANTED)


def test_what_has_said_no_is_not_taken_for_ready_by_a_reconciler_that_comes_back() -> None:
    host = asked(READY)
    host.sees(seen(ready=NO))
    decision = host.sees(seen(), at=after(minutes(60)))
    assert said(host) == (Status.ERROR, Reason.START_TIMEOUT)
    assert "has not answered yet" in host.row().message
    assert kinds(decision) == [], "what was not asked again is not acted upon"
    assert kinds(host.sees(seen(ready=NO), at=after(minutes(61)))) == [("sma", ActionKind.RESTART)]


def test_a_start_counts_from_when_we_could_listen_and_the_machine_was_awake() -> None:
    for fact in ("listening_since", "disturbed"):
        host = Host(READY, host=replace(ASKED, **{fact: MONO + minutes(5)}))  # type: ignore[arg-type]
        host.sees(seen(ready=NO), at=after(minutes(5) + LIMIT - MOMENT))
        assert said(host) == (Status.STARTING, Reason.STARTING)
        host.sees(seen(ready=NO), at=after(minutes(5) + LIMIT))
        assert said(host) == (Status.ERROR, Reason.START_TIMEOUT)


@pytest.mark.parametrize("answer", [None, NO])
def test_a_start_without_a_limit_may_take_for_ever(answer: ProbeResult | None) -> None:
    host = asked(replace(READY, startup_timeout=FOREVER))
    assert "sma" not in host.sees(seen(ready=answer), at=after(timedelta(days=9))).wakes
    assert said(host) == (Status.STARTING, Reason.STARTING)


def test_a_unit_without_a_life_or_of_unknown_start_counts_as_ready_or_as_starting() -> None:
    host = asked(READY)
    host.sees(seen(state(Phase.ACTIVE), ready=NO))
    assert said(host) == (Status.RUNNING, Reason.AS_WANTED)
    host.sees(seen(alive(started_monotonic=None), ready=NO), at=after(minutes(60)))
    assert said(host) == (Status.STARTING, Reason.STARTING)


def test_what_is_never_restarted_is_not_restarted_for_its_probes() -> None:
    never = Restart(policy=RestartPolicy.NEVER)
    for agent, answers in ((READY, {"ready": NO}), (LIVE, {"live": NO, "failed_probes": 3})):
        host = asked(replace(agent, restart=never))
        assert kinds(host.sees(seen(**answers), at=after(LIMIT))) == []
        assert said(host)[0] is Status.ERROR


def test_a_start_that_its_manager_has_given_up_is_no_matter_of_the_probe() -> None:
    host = asked(replace(READY, quarantine=None))
    decision = host.sees(seen(dead(phase=Phase.FAILED, cause=Cause.START_TIMEOUT), ready=NO))
    assert (said(host), kinds(decision)) == ((Status.ERROR, Reason.START_TIMEOUT), [])


# --- Rule 19: does it live --------------------------------------------------------------------------------------------


def test_so_many_noes_in_a_row_are_an_error_and_a_restart_and_one_less_is_nothing() -> None:
    host = asked(LIVE)
    assert kinds(host.sees(seen(live=NO, failed_probes=2))) == []
    assert said(host) == (Status.RUNNING, Reason.AS_WANTED)
    assert kinds(host.sees(seen(live=NO, failed_probes=3))) == [("sma", ActionKind.RESTART)]
    assert said(host) == (Status.ERROR, Reason.PROBE_FAILING)
    message = "Its live probe (http://localhost:8000/health) failed 3 times in a row: status 503."
    assert (host.row().message, host.row().last_error) == (message, message)


def test_a_yes_is_a_yes_whatever_was_counted_before() -> None:
    host = asked(LIVE)
    host.sees(seen(live=YES, failed_probes=9))
    assert said(host) == (Status.RUNNING, Reason.AS_WANTED)


def test_the_message_stays_while_the_answer_is_the_same() -> None:
    host = asked(LIVE)
    host.sees(seen(live=NO, failed_probes=3))
    before = host.row()
    later = host.sees(seen(live=replace(NO, at=after(seconds(1))), failed_probes=9), at=after(seconds(1)))
    assert (host.row(), later.events) == (before, ())


def test_where_one_no_is_enough_it_is_said_so() -> None:
    host = asked(spec(live=replace(HTTP, failures=1)))
    host.sees(seen(live=NO, failed_probes=1))
    assert host.row().message == "Its live probe (http://localhost:8000/health) failed: status 503."


def test_a_restart_that_did_not_help_is_repeated_with_patience() -> None:
    host = asked(LIVE)
    host.sees(seen(live=NO, failed_probes=3))
    born = after(seconds(1))
    host.sees(seen(alive("b", start=born)), at=born)
    decision = host.sees(seen(alive("b", start=born), live=NO, failed_probes=3), at=after(seconds(40)))
    assert kinds(decision) == []
    assert minutes(2) <= decision.wakes["sma"] - MONO <= minutes(2.4)


def test_an_answer_to_a_probe_that_is_wanted_no_more_says_nothing() -> None:
    host = asked(spec())
    host.sees(seen(live=NO, failed_probes=9))
    assert said(host) == (Status.RUNNING, Reason.AS_WANTED)


def test_a_probe_is_named_by_what_it_asks_and_without_its_secrets() -> None:
    assert named(HTTP) == "http://localhost:8000/health"
    assert named(COMMAND) == "/bin/check --token •••"
    assert named(Probe(ProbeKind.TCP, ("a\nb",))) == "a␊b"
    assert len(named(Probe(ProbeKind.COMMAND, ("x" * 999,)))) == 200


# --- The order of the rules -------------------------------------------------------------------------------------------

ALL = spec(ready=HTTP, live=HTTP, startup_timeout=LIMIT)


def test_not_ready_comes_before_silent_and_silent_before_a_failing_probe() -> None:
    unit = alive(watchdog=seconds(30))
    late = after(minutes(9))
    for answers, reason in (
        ({"ready": NO, "live": NO}, Reason.START_TIMEOUT),
        ({"ready": YES, "live": NO}, Reason.SILENT),
    ):
        host = asked(ALL)
        host.sees(seen(unit, failed_probes=3, **answers), at=late)
        assert said(host)[1] is reason


def test_a_failing_probe_comes_before_a_copy_beside() -> None:
    host = asked(LIVE)
    host.sees(Observation(alive(), frozenset(), (copy(),), live=NO, failed_probes=3))
    assert said(host)[1] is Reason.PROBE_FAILING


# --- The network ------------------------------------------------------------------------------------------------------


def fleet(count: int, *, ready: bool = False, **changes: Any) -> Host:
    """So many agents with a probe, of which all is well."""
    plain = {"ready": HTTP, "startup_timeout": LIMIT} if ready else {"live": HTTP}
    host = Host(*[spec(f"a{number}", **{**plain, **changes}) for number in range(count)], host=ASKED)
    host.sees(*[one(number, live=YES) for number in range(count)])
    return host


def one(number: int, **answers: Any) -> Observation:
    return seen(alive(name=f"a{number}"), **answers)


def failing(number: int, answer: ProbeResult = REFUSED, times: int = 3) -> Observation:
    return one(number, live=answer, failed_probes=times)


@pytest.mark.parametrize(
    ("failed", "of", "spared"), [(2, 2, False), (2, 4, False), (3, 7, False), (3, 6, True), (4, 4, True)]
)
def test_where_half_of_the_probes_meet_one_network_error_nobody_is_restarted(
    failed: int, of: int, spared: bool
) -> None:
    host = fleet(of)
    decision = host.sees(*map(failing, range(failed)))
    if spared:
        assert kinds(decision) == []
        (event,) = told_of_host(decision)
        assert (event.reason, event.name) == ("ProbeFailing", "")
        assert event.message == (
            f"{failed} of {of} probes fail at once: their connections are refused; nobody is restarted for it."
        )
    else:
        assert kinds(decision) == [(f"a{number}", ActionKind.RESTART) for number in range(failed)]
        assert told_of_host(decision) == []


def test_whoever_fails_first_is_spared_though_the_others_have_only_begun_to_fail() -> None:
    host = fleet(6)
    assert told_of_host(host.sees(failing(0, times=1), failing(1, times=1))) == []
    assert kinds(host.sees(failing(2, times=3))) == []


def test_a_cut_is_told_once_and_its_end_once() -> None:
    host = fleet(4)
    assert len(told_of_host(host.sees(*map(failing, range(3))))) == 1
    assert told_of_host(host.sees(failing(3), at=after(minutes(1)))) == []
    decision = host.sees(*(one(number, live=YES) for number in range(3)), at=after(minutes(2)))
    (over,) = told_of_host(decision)
    assert (over.reason, over.message) == (
        "ProbesAnswer",
        "It is over that half of the probes fail at once: their connections are refused no more.",
    )
    assert told_of_host(host.sees(at=after(minutes(2)))) == []


def test_of_two_cuts_at_once_each_is_told_by_itself() -> None:
    host = fleet(6)
    unreachable = replace(REFUSED, network_error="unreachable")
    assert len(told_of_host(host.sees(*map(failing, range(3))))) == 1
    (begun,) = told_of_host(host.sees(*(failing(number, unreachable) for number in range(3, 6)), at=after(minutes(1))))
    assert "the network is unreachable" in begun.message
    (over,) = told_of_host(host.sees(*(one(number, live=YES) for number in range(3, 6)), at=after(minutes(2))))
    assert "the network is unreachable no more" in over.message


def test_when_it_is_over_the_last_ones_are_asked_anew_before_anything_is_done() -> None:
    """Their answers are of the time before, and a pass over somebody else finds it out."""
    host = fleet(6)
    host.sees(*map(failing, range(6)))
    now = after(minutes(1))
    for number in range(4):
        decision = host.sees(one(number, live=YES), at=now, only=[f"a{number}"])
    assert kinds(decision) == []
    patience = (HTTP.interval * 1.5 + HTTP.timeout) * 3
    assert {name: at - now.monotonic for name, at in decision.wakes.items()} == {"a4": patience, "a5": patience}
    assert kinds(host.sees(at=after(patience - MOMENT, now))) == []
    assert kinds(host.sees(at=after(patience, now))) == [("a4", ActionKind.RESTART), ("a5", ActionKind.RESTART)]


def test_different_errors_are_not_one_cut() -> None:
    host = fleet(6)
    decision = host.sees(*map(failing, (0, 1)), *(failing(number, TIMEOUT) for number in (2, 3)))
    assert len(decision.actions) == 4


def test_a_no_that_is_not_the_networks_is_helped_during_a_cut() -> None:
    host = fleet(6)
    decision = host.sees(*map(failing, range(4)), failing(4, NO))
    assert kinds(decision) == [("a4", ActionKind.RESTART)]


def test_probes_that_are_commands_or_of_agents_that_are_down_do_not_count() -> None:
    host = fleet(4)
    others = {f"b{number}": spec(f"b{number}", live=COMMAND) for number in range(9)}
    down = {f"d{number}": spec(f"d{number}", live=HTTP) for number in range(9)}
    host.learns(desired={**host.world.desired, **others, **down, "c": spec("c")})
    host.sees(*[seen(alive(name=name), live=YES) for name in others], *[state(Phase.INACTIVE, name) for name in down])
    assert kinds(host.sees(*map(failing, range(3)))) == []


def test_as_long_as_nobody_would_be_restarted_there_is_no_cut() -> None:
    host = fleet(4)
    assert told_of_host(host.sees(*[failing(number, times=2) for number in range(4)])) == []


def test_not_to_be_reached_is_how_a_start_looks() -> None:
    host = fleet(4, ready=True)
    early = [one(number, ready=REFUSED) for number in range(4)]
    assert told_of_host(host.sees(*early)) == []
    assert host.row("a0").past.network_error is None
    decision = host.sees(*early, at=after(LIMIT))
    assert kinds(decision) == []
    assert len(told_of_host(decision)) == 1


def test_who_is_restarted_by_hand_during_a_cut_fails_no_more() -> None:
    host = fleet(4)
    host.sees(*map(failing, range(4)))
    host.sees(state(Phase.INACTIVE, "a0", by_request=True))
    assert host.row("a0").past.network_error is None


def test_a_cut_of_an_error_without_a_sentence_is_told_by_its_word() -> None:
    host = fleet(FEWEST)
    odd = replace(REFUSED, network_error="odd")
    (event,) = told_of_host(host.sees(*[failing(number, odd) for number in range(FEWEST)]))
    assert "fail at once: odd;" in event.message


def test_a_wait_that_is_longer_stays_when_a_cut_is_over() -> None:
    host = fleet(3)
    host.sees(*map(failing, range(3)))
    long = MONO + minutes(30)
    waiting = replace(host.row("a0"), past=replace(host.row("a0").past, not_before=long))
    host.learns(rows={**host.world.rows, "a0": waiting})
    decision = host.sees(one(1, live=YES), one(2, live=YES))
    assert decision.wakes["a0"] == long


def test_an_agent_whose_probe_was_taken_away_during_a_cut_is_left_alone() -> None:
    host = fleet(4)
    host.sees(*map(failing, range(4)))
    host.learns(desired={**host.world.desired, "a3": spec("a3")})
    host.sees(one(0, live=YES), one(1, live=YES), one(2, live=YES), one(3))
    assert said(host, "a3") == (Status.RUNNING, Reason.AS_WANTED)
