"""`supervise reconcile --once`: one pass, and by whom."""

from __future__ import annotations

import json

from supervise.errors import ExitCode
from supervise.places import Places
from supervise.reconcile.orders import row_json
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
