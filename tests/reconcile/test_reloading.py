"""What is said of a reload."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from supervise.model import AgentSpec, Hold, ReconcilerSettings
from supervise.reconcile.disk import Disk
from supervise.reconcile.reloading import found_anew
from tests.nouns import NOON, seconds, spec
from tests.reconcile.rig import manifest_of

HELD = {"sma": Hold("sma", "not now", "ada", NOON)}


def disk(*specs: AgentSpec, **changes: Any) -> Disk:
    manifests = {"manifests": (manifest_of(*specs),)} if specs else {}
    return Disk(**{"specs": {one.name: one for one in specs}, **manifests, **changes})


BEFORE = disk(spec(), spec("feed"))
OTHER_SETTINGS = (manifest_of(spec(), spec("feed"), reconciler=ReconcilerSettings(events_for=timedelta(days=1))),)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (BEFORE, "2 agents of 1 project; nothing has changed"),
        (disk(), "0 agents of 0 projects; gone: feed, sma"),
        (disk(spec(), spec("feed"), spec("new")), "3 agents of 1 project; new: new"),
        (disk(spec(title="Other"), spec("feed")), "2 agents of 1 project; changed: sma"),
        (replace(BEFORE, marks={"feed": seconds(9)}), "2 agents of 1 project; changed: feed"),
        (replace(BEFORE, holds=HELD, noticed=HELD), "2 agents of 1 project; held: sma"),
        (replace(BEFORE, manifests=OTHER_SETTINGS), "2 agents of 1 project; other settings of: trading"),
        (
            replace(BEFORE, damaged={"trading": "cannot read it"}),
            "2 agents of 1 project; project trading stays as it was: cannot read it",
        ),
    ],
)
def test_one_line_tells_what_changed(now: Disk, told: str) -> None:
    assert found_anew(BEFORE, now) == told


def test_a_hold_that_was_taken_back_is_told() -> None:
    held = replace(BEFORE, holds=HELD, noticed=HELD)
    assert found_anew(held, BEFORE) == "2 agents of 1 project; released: sma"


def test_of_many_only_some_are_named() -> None:
    many = disk(*(spec(f"a{number:03}") for number in range(500)))
    assert found_anew(disk(), many).endswith(
        "new: a000, a001, a002, a003, a004, a005, a006, a007, a008, a009 and 490 more"
    )
