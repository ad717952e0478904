"""The table of all processes: each with what it is to its agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervise.model import Doubt, Findings, Phase
from supervise.observe.listing import PAGE, WHY, ProcessClass, listed, plain, resident
from supervise.observe.match import SEVERAL, UNSEEN
from tests.nouns import NOON, copy


@pytest.mark.parametrize(
    ("phase", "within", "without"),
    [
        (Phase.ACTIVE, ProcessClass.MANAGED, ProcessClass.DUPLICATE),
        (Phase.STARTING, ProcessClass.MANAGED, ProcessClass.DUPLICATE),
        (Phase.STOPPING, ProcessClass.MANAGED, ProcessClass.DUPLICATE),
        (Phase.RESTARTING, ProcessClass.MANAGED, ProcessClass.HIDDEN),
        (Phase.INACTIVE, ProcessClass.ORPHAN, ProcessClass.HIDDEN),
        (Phase.FAILED, ProcessClass.ORPHAN, ProcessClass.HIDDEN),
        (Phase.ABSENT, ProcessClass.ORPHAN, ProcessClass.HIDDEN),
        (None, ProcessClass.ORPHAN, ProcessClass.HIDDEN),
    ],
)
def test_what_a_process_is_depends_on_its_unit(
    phase: Phase | None, within: ProcessClass, without: ProcessClass
) -> None:
    found = Findings(inside={"sma": (copy(1),)}, outside={"sma": (copy(2),)})
    rows = listed(found, {"sma": phase} if phase else {})
    assert {one.process.id.pid: one.kind for one in rows} == {1: within, 2: without}
    assert {one.process.id.pid: one.unit for one in rows} == {1: "agent@sma.service", 2: None}


def test_it_goes_by_agent_and_those_in_the_unit_come_first() -> None:
    found = Findings(
        inside={"b": (copy(9), copy(10))},
        outside={"b": (copy(1),), "a": (copy(2),)},
        foreground={"a": (copy(8),)},
        doubts=(Doubt(copy(3), ("a", "b"), SEVERAL), Doubt(copy(4), ("a",), UNSEEN)),
    )
    rows = listed(found, {"b": Phase.ACTIVE})
    assert [(one.process.id.pid, one.kind.value) for one in rows] == [
        (8, "foreground"),
        (2, "duplicate"),
        (4, "unknown"),
        (3, "ambiguous"),
        (9, "managed"),
        (10, "managed"),
        (1, "duplicate"),
    ]


def test_for_programs_there_is_all_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "4711").mkdir()
    (tmp_path / "4711/statm").write_text("900 30 4 1 0 7 0\n")
    (one,) = listed(Findings(outside={"sma": (copy(),)}), {})
    assert plain(one, tmp_path) == {
        "pid": 4711,
        "class": "hidden",
        "agents": ["sma"],
        "unit": None,
        "uid": 1000,
        "user": "trader",
        "started_at": NOON.isoformat(),
        "memory": 30 * PAGE,
        "command": ["/usr/bin/python3", "sma.py"],
        "executable": None,
        "directory": "/srv/trading",
        "why": WHY[ProcessClass.HIDDEN],
    }


@pytest.mark.parametrize("content", [None, "", "x y"])
def test_memory_that_cannot_be_read_is_unknown(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "7").mkdir()
        (tmp_path / "7/statm").write_text(content)
    assert resident(7, tmp_path) is None


def test_every_class_says_why() -> None:
    assert WHY.keys() == set(ProcessClass)
