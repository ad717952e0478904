"""`supervise restart --outdated`: exactly those that run something older, and a word about whom it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from supervise.cli import acting, status_view
from supervise.cli import outdated as module
from supervise.errors import ExitCode
from supervise.holds import write_hold
from supervise.manifest import to_json
from supervise.model import Hold, Schedule, StatusRow
from supervise.overview import Overview
from supervise.places import Places
from supervise.reconcile.orders import row_json
from tests.cli.shell import Supervise
from tests.nouns import NOON, places_in, row, spec
from tests.reconcile.rig import manifest_of
from tests.reconcile.served import INFO, Served, served

SPECS = (spec(), spec("ema"), spec("feed", tags=("web",)), spec("nightly", schedule=Schedule(("daily",))))
OPERATOR = {"name": "alice", "uid": 1000, "may_act": True}


@pytest.fixture
def machine_wide(supervise: Supervise, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """Four agents of the machine, and a caller who is an operator."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with TemporaryDirectory(prefix="s") as folder:
        there = places_in(Path(folder))
        there.manifests.mkdir(parents=True)
        there.manifest("trading").write_text(to_json(manifest_of(*SPECS)))
        monkeypatch.setattr(acting, "SYSTEM", there)
        monkeypatch.setattr(module, "places", lambda *args, **named: there)
        yield there


def old(name: str, *why: str) -> StatusRow:
    return row(name, outdated=bool(why), outdated_by=why, pid=7)


def restart(supervise: Supervise, there: Places, rows: list[StatusRow], *words: str) -> tuple[Any, Served]:
    answer = {"reconciler": INFO, "rows": [row_json(one) for one in rows]}
    with served(there.control, whoami=OPERATOR, rows=answer, act=[]) as other:
        return supervise("restart", "--outdated", *words), other


def restarted(other: Served) -> list[str]:
    (asked,) = [one for one in other.asked if one.op == "act"]
    return list(asked.args["names"])


def test_exactly_those_that_are_outdated_are_restarted(supervise: Supervise, machine_wide: Places) -> None:
    rows = [old("sma", "code"), old("ema"), old("feed", "settings", "secret API_KEY"), old("nightly")]
    answer, other = restart(supervise, machine_wide, rows)
    assert restarted(other) == ["sma", "feed"]
    assert (answer.code, answer.out) == (ExitCode.OK, "")


def test_of_those_that_are_named_or_tagged_only_those(supervise: Supervise, machine_wide: Places) -> None:
    rows = [old("sma", "code"), old("ema", "code"), old("feed", "code"), old("nightly")]
    assert restarted(restart(supervise, machine_wide, rows, "sma", "ema")[1]) == ["sma", "ema"]
    assert restarted(restart(supervise, machine_wide, rows, "--tag", "web")[1]) == ["feed"]


def test_a_share_of_a_batch_is_one_of_those_that_are_outdated(supervise: Supervise, machine_wide: Places) -> None:
    rows = [old("sma", "code"), old("ema", "code"), old("feed"), old("nightly")]
    _, other = restart(supervise, machine_wide, rows, "--batch", "50%", "--pause", "1s")
    args = other.asked[-1].args
    assert (args["batch"], args["pause"], args["only_running"]) == (1, 1.0, True)


def test_who_is_held_and_what_is_a_job_is_left_alone_and_that_is_said(
    supervise: Supervise, machine_wide: Places
) -> None:
    write_hold(machine_wide, Hold("ema", "why not", "ada", NOON))
    rows = [old("sma", "code"), old("ema", "code"), old("feed"), old("nightly", "code")]
    answer, other = restart(supervise, machine_wide, rows)
    assert restarted(other) == ["sma"]
    assert answer.out == ("○ ema: outdated, but held\n○ nightly: outdated, but a job: its next run takes what is new\n")
    answer, other = restart(supervise, machine_wide, [replace(one, outdated=one.name == "ema") for one in rows])
    assert answer.out == "○ ema: outdated, but held\nnothing else is outdated\n"


def test_where_nothing_is_outdated_that_is_said_and_is_well(supervise: Supervise, machine_wide: Places) -> None:
    answer, other = restart(supervise, machine_wide, [old(one.name) for one in SPECS])
    assert (answer.code, answer.out, answer.err) == (ExitCode.OK, "nothing is outdated\n", "")
    assert [one.op for one in other.asked if one.op == "act"] == []


@pytest.mark.parametrize("changed", [True, False])
def test_without_a_reconciler_nothing_is_said_to_be_up_to_date(
    supervise: Supervise, machine_wide: Places, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    async def seen(there: Places, specs: Any) -> Overview:
        rows = {one.name: old(one.name, *(["settings"] if changed and one.name == "sma" else [])) for one in specs}
        return Overview(rows, NOON)

    monkeypatch.setattr(module, "overview", seen)
    with served(machine_wide.control, whoami=OPERATOR, act=[]) as other:
        answer = supervise("restart", "--outdated")
    assert answer.out == ""
    assert module.NO_RECONCILER in answer.err
    assert answer.code == (ExitCode.OK if changed else ExitCode.UNREACHABLE)
    assert [one.args["names"] for one in other.asked if one.op == "act"] == ([["sma"]] if changed else [])


def test_without_the_option_nobody_is_asked_what_is_outdated(supervise: Supervise, machine_wide: Places) -> None:
    with served(machine_wide.control, whoami=OPERATOR, act=[]) as other:
        supervise("restart", "--all")
    assert [one.op for one in other.asked] == ["whoami", "act"]


# --- How it is said ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "text"),
    [
        (("code",), "code"),
        (("settings", "code"), "settings and code"),
        (("settings", "code", "secret API_KEY"), "settings, code and secret API_KEY"),
        ((), "what is installed"),
    ],
)
def test_on_the_screen_it_is_named(why: tuple[str, ...], text: str) -> None:
    line = status_view.screen([row(outdated=True, outdated_by=why)], datetime.now(UTC), [])
    assert line.endswith(f"Outdated: {text}.")


def test_who_is_outdated_comes_before_who_runs_as_wanted() -> None:
    rows = [row("a"), row("b", outdated=True, outdated_by=("code",))]
    assert [one.name for one in status_view.by_badness(rows)] == ["b", "a"]
