"""`supervise status` through a reconciler: what it knows, how far it is to be trusted, and nothing that acts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import click
import pytest

from supervise import manager as managers
from supervise import overview as overviews
from supervise.cli import status_view
from supervise.cli.output import local, percent, size, utc_now
from supervise.cli.status_view import JOURNAL_CLOSED, _facts, footer, screen
from supervise.control.server import Request, Send
from supervise.errors import ExitCode, SuperviseError
from supervise.manager import Manager
from supervise.manifest import manifests, to_json
from supervise.model import (
    Findings,
    HealthPart,
    HiddenPolicy,
    Lock,
    LogLine,
    LogQuery,
    Phase,
    Probe,
    ProbeKind,
    ProbeResult,
    Reason,
    Scope,
    Snapshot,
    Source,
    Status,
    StatusRow,
)
from supervise.observe.probes import Probed
from supervise.overview import OTHERS_UNSEEN, WITHOUT_DAEMON
from supervise.places import Places
from supervise.reconcile.orders import probed_json, row_json
from tests.cli.reconciler import HOSTILE, INERT
from tests.cli.shell import Answer, Supervise
from tests.install.machine import Machine
from tests.nouns import NOON, NOW, dead, row, spec, state
from tests.reconcile.served import INFO, served

CRASHED = row("feed", status=Status.ERROR, reason=Reason.CRASHED, phase=Phase.RESTARTING, message="It exited: code 3.")
COPIES: dict[str, Any] = {
    "why": "",
    "since": None,
    "behind": 0,
    "dead": 0,
    "superseded": False,
    "conflict": "",
    "tables": {},
    "beside": {},
}
"""What a reconciler says of a replica that is well."""
ALL = (row(title="SMA Bot", pid=7), row("sma_slow"), CRASHED)


@pytest.fixture(autouse=True)
def nothing_else_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managers, "look", lambda specs: Findings())


def said(*rows: StatusRow, **info: Any) -> dict[str, Any]:
    return {"reconciler": {**INFO, **info}, "rows": [row_json(one) for one in rows]}


def status(supervise: Supervise, there: Places, *words: str, **info: Any) -> Answer:
    with served(there.control, rows=said(*ALL, **info)):
        return supervise("status", "--user", *words)


def test_bad_ones_come_first_and_the_last_line_says_how_old_the_view_is(supervise: Supervise, there: Places) -> None:
    answer = status(supervise, there)
    lines = answer.out.splitlines()
    assert [line.split()[1:3] for line in lines[:3]] == [["error", "feed"], ["running", "sma"], ["running", "sma_slow"]]
    assert "It exited: code 3." in lines[0]
    assert ("PID 7" in lines[1], "SMA Bot" in lines[1]) == (True, True)
    assert lines[3:] == ["reconciler: view 0.4 s old"]
    assert answer.code == ExitCode.FAILED


def test_the_exit_code_is_that_of_those_who_were_named(supervise: Supervise, there: Places) -> None:
    with served(there.control, rows=said(*ALL[:2])) as other:
        assert supervise("status", "--user", "sma", "sma_slow").code == ExitCode.OK
    assert other.asked[0].args == {"names": ["sma", "sma_slow"]}
    stopped = row("sma_slow", status=Status.STOPPED, reason=Reason.EXITED_CLEANLY, phase=Phase.INACTIVE)
    with served(there.control, rows=said(ALL[0], stopped)):
        assert supervise("status", "--user", "sma*").code == ExitCode.NOT_RUNNING


def test_for_programs_there_is_all_that_is_known_and_who_said_it(supervise: Supervise, there: Places) -> None:
    found = json.loads(status(supervise, there, "--json").out)
    assert found["reconciler"] == INFO
    assert [one["name"] for one in found["agents"]] == ["feed", "sma", "sma_slow"]
    assert all("past" not in one and "tags" in one for one in found["agents"])


# --- How far it is to be trusted --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "words", "trusted"),
    [
        ({}, "reconciler: view 0.4 s old", True),
        ({"view_age": 5.0}, "reconciler: view 5.0 s old", True),
        ({"view_age": 5.1}, "reconciler: view 5.1 s old", False),
        ({"view_age": None}, "reconciler: it has not looked yet", False),
        ({"platform_unseen": 12.3}, "; systemd could not be asked for 12 s", False),
        (
            {"store": {"why": "no space left", "since": NOON.isoformat(), "lost": 0}},
            f"; its store cannot be written since {local(NOON)}: no space left; rows are kept in memory",
            False,
        ),
        (
            {"store": {"why": "no space left", "since": NOON.isoformat(), "lost": 3}},
            "; rows are kept in memory, 3 events lost",
            False,
        ),
        (
            {"alerts": {"ops": {"failing": True, "last_error": "HTTP 404"}, "dev": {"failing": False}}},
            "; alerts to ops fail: HTTP 404",
            False,
        ),
        ({"alerts": {"dev": {"failing": False, "last_error": "HTTP 404"}}}, "view 0.4 s old", True),
        ({"supabase": COPIES}, "view 0.4 s old", True),
        (
            {"supabase": {**COPIES, "why": "connection refused", "since": NOON.isoformat(), "behind": 312}},
            f"; Supabase: behind by 312 rows since {local(NOON)}: connection refused",
            False,
        ),
        ({"supabase": {**COPIES, "superseded": True}}, ", so this one does not (`supervise doctor`)", False),
        ({"supabase": {**COPIES, "dead": 1}}, "; Supabase: 1 row refused and set aside (`supervise doctor`)", False),
        (
            {"supabase": {**COPIES, "tables": {"front": "it is closed"}}},
            "; Supabase: the table front does not take our rows: it is closed",
            False,
        ),
        (
            {"supabase": {**COPIES, "beside": {"rows of agents that are no more stay there": "no deletes"}}},
            "; Supabase: rows of agents that are no more stay there: no deletes",
            False,
        ),
        ({"supabase": {**COPIES, "conflict": "web names another"}}, "; Supabase: web names another", False),
        (
            {"processes": {"view_age": 0.5, "unseen": False, "complete": True, "doubts": [7]}},
            "; 1 process may be an agent's, nobody can tell whose (`supervise ps`)",
            False,
        ),
    ],
)
def test_the_footer_is_dim_while_all_is_well_and_yellow_with_what_is_not(
    info: dict[str, Any], words: str, trusted: bool
) -> None:
    line = footer({**INFO, **info})
    plain = click.unstyle(line)
    assert plain.endswith(words)
    assert line == (click.style(plain, dim=True) if trusted else click.style(plain, fg="yellow", dim=False))


def test_the_commands_in_the_footer_are_for_the_agents_above_it() -> None:
    info = {**INFO, "processes": {"view_age": 0.5, "unseen": True, "complete": True, "doubts": [7]}}
    assert "`supervise doctor`" in footer(info)
    assert "`supervise ps --user`" in footer(info, scope=Scope.USER)


def test_a_command_line_is_shown_as_it_can_be_copied(supervise: Supervise, there: Places, machine: Machine) -> None:
    mine = replace(next(manifests(there)), agents=(spec(scope=there.scope, command=("/bin/echo", "a b", "it's")),))
    there.manifest("trading").write_text(to_json(mine))
    assert """/bin/echo 'a b' 'it'"'"'s'""" in supervise("status", "--user", "sma").out


def test_where_there_is_no_reconciler_the_footer_says_so() -> None:
    assert click.unstyle(footer(None, (WITHOUT_DAEMON, OTHERS_UNSEEN))) == f"{WITHOUT_DAEMON}; {OTHERS_UNSEEN}"


# --- What agents take -------------------------------------------------------------------------------------------------

TAKING = (row("sma", cpu=0.123, memory=300 << 20, tasks=4, pid=7), row("feed", pid=8, message="It exited: code 3."))


@pytest.mark.parametrize(("width", "shown"), [(120, True), (74, False)])
def test_what_agents_take_stands_in_columns_if_there_is_room(
    width: int, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    feed, sma = screen(TAKING, utc_now(), ()).splitlines()
    assert ("12 %  300 MiB" in sma) is shown
    assert feed.rstrip().endswith(f"PID 8{' ' * 17}It exited: code 3." if shown else "PID 8  It exited: code 3.")


def test_where_nobody_knows_what_they_take_no_room_is_left_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "PID 8  It exited" in screen([TAKING[1]], utc_now(), ())


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (118 << 20, "118 MiB"),
        (int(1.25 * (1 << 30)), "1.2 GiB"),
        (1 << 41, "2048 GiB"),
    ],
)
def test_a_size_is_said_in_the_unit_that_fits(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.0004, "0.0 %"), (0.0042, "0.4 %"), (0.123, "12 %"), (2.5, "250 %")]
)
def test_a_share_is_said_in_percent_of_one_core(share: float, text: str) -> None:
    assert percent(share) == text


def test_one_agent_is_shown_with_what_it_takes_and_what_it_was_started_with() -> None:
    taking = replace(TAKING[0], revision="abc", outdated=True, outdated_by=("code", "secret API_KEY"))
    facts = dict(_facts(spec(), taking, state(), utc_now(), known=True))
    assert facts["takes"] == "12 % of a core, 300 MiB of memory, 4 tasks"
    assert facts["revision"] == "abc"
    assert facts["outdated"] == "code and secret API_KEY changed since its start; `supervise restart sma`"
    nothing = dict(_facts(spec(), TAKING[1], state(), utc_now(), known=True))
    assert not {"takes", "revision", "outdated"} & nothing.keys()


def test_trouble_is_on_the_screen_too(supervise: Supervise, there: Places) -> None:
    answer = status(supervise, there, alerts={"ops": {"failing": True, "last_error": "HTTP 404"}})
    assert answer.out.splitlines()[-1] == "reconciler: view 0.4 s old; alerts to ops fail: HTTP 404"


# --- Foreign text -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["title", "message"])
def test_foreign_text_in_a_row_does_nothing_to_the_terminal(field: str) -> None:
    text = screen([row(**{field: HOSTILE})], utc_now(), ["end"])
    assert HOSTILE not in text
    assert INERT[:20] in text
    assert len(text.splitlines()) == 2
    assert "\x1b]" not in text


def test_foreign_text_in_the_footer_does_nothing_to_the_terminal() -> None:
    line = footer({**INFO, "alerts": {"ops": {"failing": True, "last_error": HOSTILE}}})
    assert INERT in line
    assert HOSTILE not in line


# --- One agent --------------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(there: Places, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A service manager that can be asked about one agent."""
    found = Machine(there)
    found.running.add("agent@sma.service")

    @asynccontextmanager
    async def managing(places: Places) -> AsyncIterator[Manager]:
        yield Manager(places, list(manifests(places)), found)

    for module in (status_view, overviews):
        monkeypatch.setattr(module, "managing", managing)
    return found


@pytest.mark.usefixtures("machine")
def test_of_one_agent_it_tells_what_the_reconciler_remembers(supervise: Supervise, there: Places) -> None:
    ago = utc_now() - timedelta(minutes=2, seconds=1)
    lock = Lock(Status.WARNING, 40, "migration", "alice", utc_now() + timedelta(hours=1))
    known = row(
        title="SMA Bot",
        status=Status.WARNING,
        reason=Reason.LOCKED,
        message=f"Locked: {HOSTILE}",
        observed_status=Status.ERROR,
        observed_reason=Reason.SILENT,
        health=40,
        health_parts=(HealthPart("heartbeat", 60, "silent for 6 min"),),
        last_heartbeat=ago,
        source=Source.BEAT,
        last_activity=f"trades {HOSTILE}",
        last_error="It exited: code 3.",
        lock=lock,
    )
    with served(there.control, rows=said(known)):
        answer = supervise("status", "--user", "sma")
    facts = dict(line.strip().partition(" ")[::2] for line in answer.out.splitlines()[2:])
    assert answer.out.splitlines()[1] == f"  Locked: {INERT}"
    assert facts["heartbeat"].strip() == f"{local(ago)} (2 min ago, by its own beats)"
    assert facts["health"].strip() == "40: -60 heartbeat (silent for 6 min)"
    assert facts["activity"].strip() == f"trades {INERT}"
    assert facts["lock"].strip() == "in truth it is error, Silent; `supervise unlock --user sma` shows it again"
    assert facts["reconciler:"] == "view 0.4 s old"
    assert "last error It exited: code 3." in answer.out


@pytest.mark.usefixtures("machine")
def test_when_it_was_seen_active_is_no_heartbeat(supervise: Supervise, there: Places) -> None:
    ago = utc_now() - timedelta(minutes=2, seconds=1)
    with served(there.control, rows=said(row(last_heartbeat=ago, source=Source.OBSERVED))):
        answer = supervise("status", "--user", "sma")
    assert "heartbeat" not in answer.out
    assert f"  active     {local(ago)} (2 min ago; it gives no sign of life itself)" in answer.out


@pytest.mark.parametrize(
    ("phase", "pid", "head"),
    [(Phase.ACTIVE, 7, "last lines:"), (Phase.RESTARTING, None, "last lines before its end:")],
)
def test_lines_of_who_lives_are_not_those_before_its_end(
    supervise: Supervise,
    there: Places,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    phase: Phase,
    pid: int | None,
    head: str,
) -> None:
    async def logs(query: LogQuery) -> AsyncIterator[LogLine]:
        yield LogLine(NOON, "sma", "trading")

    async def snapshot(names: Any, **more: Any) -> Snapshot:
        return Snapshot({"sma": state(phase, pid=pid)}, NOW)

    monkeypatch.setattr(machine, "logs", logs)
    monkeypatch.setattr(machine, "snapshot", snapshot)
    failing = row(status=Status.ERROR, reason=Reason.PROBE_FAILING, phase=phase, pid=pid)
    with served(there.control, rows=said(failing)):
        answer = supervise("status", "--user", "sma")
    assert f"  {head}\n" in answer.out


def test_of_one_that_was_adopted_it_tells_what_is_of_that_and_not_of_its_units_last_life(
    supervise: Supervise, there: Places, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[LogQuery] = []

    async def logs(query: LogQuery) -> AsyncIterator[LogLine]:
        asked.append(query)
        yield LogLine(NOON, "sma", "trading")

    async def snapshot(names: Any, **more: Any) -> Snapshot:
        return Snapshot({"sma": dead(phase=Phase.INACTIVE, by_request=True, restarts=3)}, NOW)

    monkeypatch.setattr(machine, "logs", logs)
    monkeypatch.setattr(machine, "snapshot", snapshot)
    began = utc_now() - timedelta(minutes=2, seconds=1)
    with served(there.control, rows=said(row(phase=Phase.INACTIVE, pid=12, started_at=began))):
        answer = supervise("status", "--user", "sma")
    assert f"  PID        12, started {local(began)} (2 min ago)\n" in answer.out
    assert "  last lines:\n" in answer.out
    assert ("  ended " in answer.out, "  restarts " in answer.out) == (False, False)
    (query,) = asked
    assert (query.units, query.since) == (("agent-run-sma.scope",), f"@{began.timestamp() - 1:.6f}")


@pytest.mark.usefixtures("machine")
def test_why_a_copy_was_not_ended_is_told(supervise: Supervise, there: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = replace(next(manifests(there)), agents=(spec(hidden=HiddenPolicy.STOP),))
    there.manifest("trading").write_text(to_json(mine))

    async def found(places: Places, names: list[str]) -> list[dict[str, Any]]:
        return [{"pid": 9, "class": "duplicate", "user": "ada", "uid": 1001}]

    monkeypatch.setattr(status_view, "processes", found)
    twice = row(status=Status.WARNING, reason=Reason.DUPLICATE_PROCESS, message="It runs twice.")
    for known, told in ((twice, True), (row(), False)):
        with served(there.control, rows=said(known)):
            answer = supervise("status", "--user", "sma")
        assert ("PID 9: `hidden: stop` does not end what runs as another user (ada, not trader)" in answer.out) is told


@pytest.mark.usefixtures("machine")
def test_what_its_probes_have_answered_is_told(supervise: Supervise, there: Places) -> None:
    probe = Probe(ProbeKind.TCP, ("localhost:1",))
    mine = replace(next(manifests(there)), agents=(spec(scope=there.scope, live=probe),))
    there.manifest("trading").write_text(to_json(mine))
    at = replace(NOW, wall=utc_now() - timedelta(seconds=3))
    no = Probed("boot-1/a", live=ProbeResult(False, "connection refused", at, "refused"), failed=2)
    with served(there.control, rows={**said(row()), "probes": {"sma": probed_json(no)}}):
        answer = supervise("status", "--user", "sma")
        found = json.loads(supervise("status", "--user", "--json").out)
    assert "live       localhost:1: connection refused (3 s ago), 2 times in a row" in answer.out
    (one,) = found["agents"]
    assert (one["probes"]["failed"], one["probes"]["live"]["detail"]) == (2, "connection refused")


@pytest.mark.usefixtures("machine")
def test_without_a_reconciler_it_shows_what_one_look_shows_and_claims_no_more(
    supervise: Supervise, there: Places
) -> None:
    answer = supervise("status", "--user", "sma")
    assert answer.out.splitlines()[-1] == f"  {WITHOUT_DAEMON}"
    assert json.loads(supervise("status", "--user", "sma", "--json").out)["notes"] == [WITHOUT_DAEMON]
    assert "heartbeat" not in answer.out
    assert "health" not in answer.out


class Closed(Machine):
    """Its journal is not for everybody."""

    why = "No journal files were opened due to insufficient permissions."

    async def logs(self, query: LogQuery) -> AsyncIterator[LogLine]:
        raise SuperviseError(f"cannot read the journal: {self.why}")
        yield


@pytest.mark.parametrize(
    ("why", "told"),
    [(Closed.why, JOURNAL_CLOSED), ("Bad message", "cannot read the journal: Bad message")],
)
def test_who_may_not_read_the_journal_sees_all_the_rest_and_what_would_be_needed(
    supervise: Supervise, there: Places, machine: Machine, monkeypatch: pytest.MonkeyPatch, why: str, told: str
) -> None:
    monkeypatch.setattr(machine, "__class__", Closed)
    monkeypatch.setattr(Closed, "why", why)
    with served(there.control, rows=said(row(title="SMA Bot", pid=7))):
        answer = supervise("status", "--user", "sma")
    assert (answer.code, answer.err) == (ExitCode.OK, "")
    assert answer.out.splitlines()[-2:] == [f"  {told}", "  reconciler: view 0.4 s old"]
    assert "at boot" in answer.out


@pytest.mark.parametrize(("agrees_after", "asked"), [(1, 1), (3, 3), (99, 6)])
@pytest.mark.usefixtures("machine")
def test_row_and_unit_are_asked_again_while_they_tell_of_two_moments(
    supervise: Supervise, there: Places, agrees_after: int, asked: int
) -> None:
    async def rows(request: Request, send: Send) -> dict[str, Any]:
        agrees = len(other.asked) >= agrees_after
        known = row() if agrees else row(status=Status.ERROR, reason=Reason.CRASHED, phase=Phase.RESTARTING)
        return said(known)

    with served(there.control, rows=rows) as other:
        answer = supervise("status", "--user", "sma")
    assert len(other.asked) == asked
    assert (answer.out[0], answer.code) == (("✗", ExitCode.FAILED) if agrees_after == 99 else ("✓", ExitCode.OK))
