"""`supervise fix`: what was changed, and who is not well after it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from supervise.errors import ExitCode
from supervise.places import Places
from tests.cli.reconciler import HOSTILE, INERT
from tests.cli.shell import Supervise
from tests.reconcile.served import served

TWICE = {"name": "sma", "reason": "DuplicateProcess", "message": "It runs twice: PID 7."}
LOST = {"name": "feed", "reason": "Crashed", "message": HOSTILE}
CHANGED = {"name": "sma", "message": "It runs twice: PID 7."}


@pytest.mark.parametrize(
    ("done", "words"),
    [
        ({}, "✓ looked at 3 agents, by the reconciler that runs: all was true already"),
        (
            {"remaining": [TWICE]},
            "! looked at 3 agents, by the reconciler that runs: all was true already; 1 agent needs you: "
            "sma: It runs twice: PID 7",
        ),
        (
            {"remaining": [TWICE, LOST], "events": [CHANGED]},
            "! looked at 3 agents, by the reconciler that runs: 1 change; 2 agents need you: "
            f"sma: It runs twice: PID 7; feed: {INERT}",
        ),
        ({"troubles": ["processes cannot be seen"]}, "! looked at 3 agents, by the reconciler that runs"),
    ],
)
def test_who_is_not_well_after_it_is_named(
    done: dict[str, Any], words: str, supervise: Supervise, there: Places
) -> None:
    found = {"agents": 3, "events": [], "troubles": [], "remaining": [], **done}
    with served(there.control, fix=found):
        answer = supervise("fix", "--user")
        told = json.loads(supervise("fix", "--user", "--json").out)
    assert answer.out.splitlines()[-1] == words
    assert answer.code == (ExitCode.PARTLY if found["troubles"] else ExitCode.OK)
    assert told["remaining"] == found["remaining"]
