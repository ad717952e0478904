"""`supervise trial` before a reconciler that says what a test wants: what is told, and the exit code."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from supervise.cli import acting, trial_run
from supervise.cli.output import utc_now
from supervise.control.server import Request, Send
from supervise.errors import ExitCode
from supervise.holds import write_hold
from supervise.manager import Result
from supervise.manifest import to_json
from supervise.model import Hold, LogLine, LogQuery, Phase, Reason, Schedule, Scope, Status, StatusRow
from supervise.places import Places
from supervise.reconcile.orders import row_json
from tests.cli.reconciler import HOSTILE, INERT
from tests.cli.shell import Answer, Supervise
from tests.nouns import NOON, row, spec
from tests.reconcile.rig import manifest_of
from tests.reconcile.served import INFO, served


@pytest.fixture(autouse=True)
def without_a_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(query: LogQuery, **more: Any) -> AsyncIterator[LogLine]:
        if query.follow:
            await asyncio.Event().wait()
        for _ in ():
            yield _

    monkeypatch.setattr(trial_run, "read_journal", nothing)


def up(**changes: Any) -> StatusRow:
    return row(pid=7, incarnation="a", since=utc_now(), **changes)


def dead() -> StatusRow:
    return row(status=Status.ERROR, reason=Reason.CRASHED, phase=Phase.RESTARTING, message=HOSTILE, since=utc_now())


class Told:
    """Answers `watch` with these rows, one after the other; then it says no more, or has a signal sent."""

    def __init__(self, *rows: StatusRow, then: int | None = None) -> None:
        self.rows = rows
        self.then = then

    async def __call__(self, request: Request, send: Send) -> Any:
        first, *others = self.rows
        await send({"reconciler": INFO, "rows": [row_json(first)]})
        for one in others:
            await asyncio.sleep(0.05)
            await send({"row": row_json(one) | {"since": utc_now().isoformat()}})
        if self.then:
            await asyncio.sleep(0.1)
            os.kill(os.getpid(), self.then)
        await asyncio.Event().wait()


def trial(
    supervise: Supervise, there: Places, rows: Sequence[StatusRow], *words: str, then: int | None = None
) -> Answer:
    with served(there.control, watch=Told(*rows, then=then)):
        return supervise("trial", "sma", "--user", "--duration", "500ms", *words)


def test_an_agent_that_runs_and_stays_well_passes(supervise: Supervise, there: Places) -> None:
    answer = trial(supervise, there, [up(), up(last_activity=HOSTILE)])
    assert answer.code == ExitCode.OK
    status, activity, last = answer.out.splitlines()
    assert status.endswith("status     running, AsWanted: It runs as wanted (PID 7)")
    assert activity.endswith(f"activity   {INERT}")
    assert last.startswith("✓ sma: well for ")


def test_an_agent_that_dies_meanwhile_fails_with_what_went_wrong(supervise: Supervise, there: Places) -> None:
    answer = trial(supervise, there, [up(), dead()])
    assert answer.code == ExitCode.FAILED
    assert answer.out.splitlines()[-1].startswith("✗ sma: not well in ")
    assert f"it was error, Crashed: {INERT}" in answer.out.splitlines()[-1]


def test_for_programs_each_line_is_an_object_and_the_last_one_the_verdict(supervise: Supervise, there: Places) -> None:
    answer = trial(supervise, there, [up(), dead()], "--json")
    first, second, last = map(json.loads, answer.out.rstrip("\n").split("\n"))
    assert (first["kind"], first["status"], first["pid"]) == ("status", "running", 7)
    assert (second["kind"], second["reason"], second["message"]) == ("status", "Crashed", HOSTILE)
    assert (last["kind"], last["ok"], last["stopped"], last["duration"]) == ("verdict", False, None, 0.5)
    assert len(last["problems"]) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_interrupts_it_gets_the_verdict_so_far(supervise: Supervise, there: Places, number: int, code: int) -> None:
    with served(there.control, watch=Told(up(), then=number)):
        answer = supervise("trial", "sma", "--user", "--duration", "60")
    assert answer.code == code
    assert answer.out.splitlines()[-1].startswith("✓ sma: well for 0 s of 60 s: it was up")
    with served(there.control, watch=Told(up(), dead(), then=number)):
        answer = supervise("trial", "sma", "--user", "--duration", "60")
    assert answer.code == code
    assert answer.out.splitlines()[-1].startswith("✗ sma: not well in 0 s of 60 s: ")


def test_one_that_is_stopped_by_somebody_ends_it_early(supervise: Supervise, there: Places) -> None:
    stopped = row(status=Status.STOPPED, reason=Reason.STOPPED_BY_OPERATOR, phase=Phase.INACTIVE)
    with served(there.control, watch=Told(up(), stopped)):
        answer = supervise("trial", "sma", "--user", "--duration", "1h")
    assert answer.code == ExitCode.FAILED
    assert "StoppedByOperator" in answer.out.splitlines()[-1]


def test_who_may_not_start_it_is_told_so_and_it_is_not_judged(supervise: Supervise, there: Places) -> None:
    """Root may not act on somebody's own agents."""
    answer = trial(supervise, there, [row(status=Status.STOPPED, phase=Phase.INACTIVE)])
    assert answer.code == ExitCode.USAGE
    assert "--user is for ordinary users" in answer.err
    assert "so it is started" not in answer.out
    assert "✓" not in answer.out
    assert "✗" not in answer.out


# --- What it starts and stops -----------------------------------------------------------------------------------------

DOWN: dict[str, Any] = {"status": Status.STOPPED, "reason": Reason.NOT_STARTED, "phase": Phase.INACTIVE}


class Ordered:
    """Verbs of which a start has this result."""

    specs = (spec("sma"),)

    def __init__(self, result: Result) -> None:
        self.result = result
        self.orders: list[str] = []

    @asynccontextmanager
    async def opening(self, *words: Any) -> AsyncIterator[Any]:
        yield self

    async def start(self, *specs: Any, **more: Any) -> list[Result]:
        self.orders.append("start")
        return [self.result]

    async def stop(self, *specs: Any, **more: Any) -> list[Result]:
        self.orders.append("stop")
        return [Result("sma", True, "stopped")]


@pytest.mark.parametrize(
    ("found", "result", "orders"),
    [
        (DOWN, Result("sma", True, "started"), ["start", "stop"]),
        (DOWN, Result("sma", False, "started, but it did not stay up"), ["start", "stop"]),
        (DOWN, Result("sma", False, "a copy runs outside its unit", acted=False), ["start"]),
        (DOWN, Result("sma", True, "runs already (PID 7)", acted=False), ["start"]),
        ({"phase": Phase.INACTIVE, "message": "It runs in the foreground."}, Result("sma", True, "started"), []),
        ({}, Result("sma", True, "started"), []),
    ],
)
def test_it_stops_only_what_it_has_started_itself(
    supervise: Supervise,
    there: Places,
    monkeypatch: pytest.MonkeyPatch,
    found: dict[str, Any],
    result: Result,
    orders: list[str],
) -> None:
    verbs = Ordered(result)
    monkeypatch.setattr(acting, "opening", verbs.opening)
    answer = trial(supervise, there, [row(since=utc_now(), **found)])
    assert verbs.orders == orders
    assert ("stopped again" in answer.out) is ("stop" in orders)


@pytest.mark.parametrize("why", [Reason.QUARANTINED, Reason.NOT_RUNNING])
def test_of_one_that_would_have_been_tried_again_it_is_told_that_it_stays_down(
    supervise: Supervise, there: Places, monkeypatch: pytest.MonkeyPatch, why: Reason
) -> None:
    verbs = Ordered(Result("sma", True, "started"))
    monkeypatch.setattr(acting, "opening", verbs.opening)
    answer = trial(supervise, there, [row(since=utc_now(), **{**DOWN, "reason": why}), up()])
    assert verbs.orders == ["start", "stop"]
    told = f"stopped, and stays so: it was {why}, but is not tried again any more (`supervise start sma`)"
    assert (told in answer.out, "as it was before" in answer.out) == (True, False)


def test_what_an_agent_wrote_before_its_end_is_in_the_verdict(
    supervise: Supervise, there: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[LogQuery] = []

    async def journal(query: LogQuery, **more: Any) -> AsyncIterator[LogLine]:
        if query.follow:
            await asyncio.Event().wait()
        asked.append(query)
        yield LogLine(NOON, "sma", f"KeyError: {HOSTILE}")

    monkeypatch.setattr(trial_run, "read_journal", journal)
    answer = trial(supervise, there, [up(), dead()])
    head, words, last = answer.out.splitlines()[-3:]
    assert (head, words[-len(INERT) :]) == ("last lines before its end:", INERT)
    assert last.startswith("✗ sma: not well")
    as_json = trial(supervise, there, [up(), dead()], "--json")
    assert [one["text"] for one in json.loads(as_json.out.rstrip("\n").split("\n")[-1])["last_lines"]] == [
        f"KeyError: {HOSTILE}"
    ]
    assert (asked[0].by_manager, asked[0].priority, asked[0].units) == (False, None, ("agent@sma.service",))
    assert asked[0].until is not None
    well = trial(supervise, there, [up()])
    assert "last lines" not in well.out


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["nobody"], ExitCode.NO_SUCH_AGENT, 'there is no agent "nobody"'),
        (["sma*"], ExitCode.USAGE, "one agent at a time: sma, sma_slow"),
        (["feed"], ExitCode.FAILED, "it is held by ada: no good (`supervise release --user feed`)"),
        (["nightly"], ExitCode.USAGE, '"nightly" is a job, which is not there to stay'),
        (["sma", "--duration", "soon"], ExitCode.USAGE, "'soon' is not a time span"),
        (["sma", "--duration", "0"], ExitCode.USAGE, "in no time nobody sees whether it is well"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(
    supervise: Supervise, there: Places, words: list[str], code: ExitCode, why: str
) -> None:
    specs = (spec("sma"), spec("sma_slow"), spec("feed"), spec("nightly", schedule=Schedule(("daily",))))
    there.manifest("trading").write_text(to_json(manifest_of(*specs, scope=Scope.USER)))
    write_hold(there, Hold("feed", "no good", "ada", NOON))
    answer = supervise("trial", *words, "--user")
    assert (answer.code, answer.out) == (code, "")
    assert why in answer.err
