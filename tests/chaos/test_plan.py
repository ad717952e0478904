"""A seed fixes what is done to whom; and nothing that judges has seen the code that it judges."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.__main__ import arguments, command
from tests.chaos.crew import KINDS, crew
from tests.chaos.faults import FAULTS
from tests.chaos.plan import plan

MEMBERS = crew(15)
AGENTS_OWN = "program.py"


def test_the_same_seed_is_the_same_plan() -> None:
    assert plan(7, MEMBERS, faults=300, pace=1) == plan(7, MEMBERS, faults=300, pace=1)
    assert plan(7, MEMBERS, faults=300, pace=1) != plan(8, MEMBERS, faults=300, pace=1)


def test_a_longer_plan_begins_like_a_shorter_one() -> None:
    assert plan(7, MEMBERS, faults=300, pace=1)[:100] == plan(7, MEMBERS, faults=100, pace=1)


def test_every_fault_comes_to_pass() -> None:
    done = Counter(step.fault for step in plan(1, MEMBERS, faults=300, pace=1))
    assert set(done) == set(FAULTS)


def test_a_fault_befalls_only_who_can_suffer_it() -> None:
    by_name = {one.name: one for one in MEMBERS}
    for step in plan(1, MEMBERS, faults=1000, pace=1):
        fault = FAULTS[step.fault]
        assert fault.of_host == (not step.name)
        assert fault.of_host or fault.befalls(by_name[step.name])


def test_a_few_agents_suffer_what_they_can() -> None:
    """A crew may lack whom a fault befalls."""
    assert plan(1, crew(1), faults=50, pace=1)


def test_the_crew_has_all_kinds_and_no_name_twice() -> None:
    assert {one.kind.name for one in MEMBERS} == {one.name for one in KINDS}
    assert len({one.name for one in crew(100)}) == 100


def test_a_run_is_repeated_by_its_command_line() -> None:
    words = ["--seed", "7", "--faults", "20", "--agents", "5", "--minutes", "0.5", "--only", "sigkill"]
    assert command(arguments(words)) == " ".join(["scripts/chaos", *words])


@pytest.mark.parametrize(
    "file",
    [one for one in sorted(Path(__file__).parent.glob("*.py")) if one.name != AGENTS_OWN],
    ids=lambda one: one.name,
)
def test_no_judge_has_seen_what_it_judges(file: Path) -> None:
    """Nor does it import what has, but for the lab."""
    tree = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    names = [one.module or "" for one in tree if isinstance(one, ast.ImportFrom)]
    tree = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    names += [alias.name for one in tree if isinstance(one, ast.Import) for alias in one.names]
    assert [name for name in names if name.partition(".")[0] == "supervise"] == []
    ours = [name for name in names if name.startswith("tests.")]
    assert [name for name in ours if not name.startswith(("tests.chaos", "tests.lab"))] == []
