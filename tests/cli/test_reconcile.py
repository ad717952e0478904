"""`supervise reconcile`: one pass, and by whom; a reload; and never two at a time."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from supervise.errors import ExitCode
from supervise.model import Scope
from supervise.places import Places
from supervise.reconcile.alone import alone
from supervise.reconcile.orders import row_json
from tests.cli.reconciler import HOSTILE, INERT
from tests.cli.shell import Supervise
from tests.nouns import row
from tests.reconcile.served import INFO, served

ROWS = {"reconciler": INFO, "rows": [row_json(row()), row_json(row("feed"))]}


def test_a_pass_is_made_by_the_reconciler_that_runs_which_is_said(supervise: Supervise, there: Places) -> None:
    with served(there.control, look=INFO, rows=ROWS) as other:
        answer = supervise("reconcile", "--user", "--once")
    assert (answer.code, answer.out) == (ExitCode.OK, "✓ looked at 2 agents, by the reconciler that runs\n")
    assert [one.op for one in other.asked] == ["look", "rows"]


def test_for_programs_a_pass_gives_its_rows(supervise: Supervise, there: Places) -> None:
    with served(there.control, look=INFO, rows=ROWS):
        answer = supervise("reconcile", "--user", "--once", "--json")
    found = json.loads(answer.out)
    assert found["by"] == "by the reconciler that runs"
    assert [one["name"] for one in found["rows"]] == ["sma", "feed"]


# --- Reloading --------------------------------------------------------------------------------------------------------

FOUND = "2 agents of 1 project; changed: sma"


def test_a_reload_says_what_the_reconciler_found(supervise: Supervise, there: Places) -> None:
    with served(there.control, reload={"found": FOUND, "damaged": {}}):
        answer = supervise("reconcile", "--user", "--reload")
    assert (answer.code, answer.out) == (ExitCode.OK, f"✓ read anew: {FOUND}\n")


def test_a_reload_of_what_is_damaged_fails(supervise: Supervise, there: Places) -> None:
    found = {"found": f"{HOSTILE}; project trading stays as it was: cannot read it", "damaged": {"trading": "…"}}
    with served(there.control, reload=found):
        answer = supervise("reconcile", "--user", "--reload")
        told = json.loads(supervise("reconcile", "--user", "--reload", "--json").out)
    assert (answer.code, answer.out) == (ExitCode.FAILED, "")
    assert answer.err == f"✗ read anew: {INERT}; project trading stays as it was: cannot read it\n"
    assert told == found


def test_a_reload_where_none_runs_has_its_own_exit_code(supervise: Supervise, there: Places) -> None:
    answer = supervise("reconcile", "--user", "--reload")
    assert (answer.code, answer.out) == (ExitCode.UNREACHABLE, "")


# --- One at a time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--once",)], ids=["daemon", "once"])
def test_beside_another_reconciler_none_begins_and_none_writes(
    supervise: Supervise, there: Places, options: tuple[str, ...]
) -> None:
    with alone(there):
        answer = supervise("reconcile", "--user", *options)
    assert (answer.code, answer.out) == (ExitCode.FAILED, "")
    assert f"cannot keep your agents: another reconciler does (PID {os.getpid()})" in answer.err
    assert not there.store.exists()
    assert not there.control.exists()


@pytest.mark.parametrize("options", [(), ("--once",)], ids=["daemon", "once"])
def test_before_the_first_install_root_leaves_no_files_that_the_service_could_not_open(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: tuple[str, ...]
) -> None:
    parts = ("units", "manifests", "state", "runtime", "stamps")
    there = Places(Scope.SYSTEM, *(tmp_path / part for part in parts))
    monkeypatch.setattr("supervise.places.places", lambda scope, environ, uid: there)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    answer = supervise("reconcile", *options)
    assert (answer.code, answer.out) == (ExitCode.NO_SUCH_AGENT, "")
    assert answer.err.startswith("supervise: no agents are installed here; ")
    assert not any((tmp_path / part).exists() for part in parts)


# --- Metrics ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("0.0.0.0:9750", "whoever reaches 0.0.0.0:9750 reads the names and states of all agents, for no password"),
        ("9750", "'9750' is not HOST:PORT"),
    ],
)
def test_metrics_for_everybody_are_refused_unless_that_is_meant(
    supervise: Supervise, there: Places, endpoint: str, why: str
) -> None:
    answer = supervise("reconcile", "--user", "--metrics-listen", endpoint)
    assert answer.code == ExitCode.USAGE
    assert f"--metrics-listen: {why}" in answer.err
    with alone(there):  # what is meant gets further
        meant = supervise("reconcile", "--user", "--metrics-listen", "0.0.0.0:9750", "--metrics-public")
    assert "another reconciler" in meant.err


def test_the_metrics_are_printed_as_they_are(supervise: Supervise, there: Places) -> None:
    with served(there.control, metrics="supervise_store_up 1.0\n"):
        answer = supervise("metrics", "--user")
    assert (answer.code, answer.out) == (ExitCode.OK, "supervise_store_up 1.0\n")


def test_where_no_reconciler_runs_there_are_no_metrics(supervise: Supervise, there: Places) -> None:
    assert supervise("metrics", "--user").code == ExitCode.UNREACHABLE
