"""Each recorded answer of a real systemd (scripts/record) is a case of the parser."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from supervise.model import Phase
from supervise.platforms.systemd.states import USED, moment, unit_state

FIXTURES = Path(__file__).parents[2] / "fixtures/systemd"
CASES = sorted(FIXTURES.glob("*.json"))


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_a_recorded_answer_is_understood(file: Path) -> None:
    recorded = json.loads(file.read_text())
    state = asdict(unit_state("x", "agent@x.service", recorded["properties"], boot="b"))
    assert {key: state[key] for key in recorded["expect"]} == recorded["expect"]


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_of_a_recorded_answer_only_what_is_used_need_be_kept(file: Path) -> None:
    properties = json.loads(file.read_text())["properties"]
    kept = {name: value for name, value in properties.items() if name in USED}
    assert unit_state("x", "u", kept, boot="b") == unit_state("x", "u", properties, boot="b")


def test_there_is_a_recording_of_every_phase() -> None:
    seen = {json.loads(file.read_text())["expect"]["phase"] for file in CASES}
    assert seen == {phase.value for phase in Phase} - {Phase.ABSENT.value}


def test_a_unit_without_a_file_is_absent() -> None:
    assert unit_state("x", "agent@x.service", {"LoadState": "not-found"}, boot="b").phase is Phase.ABSENT


def test_a_masked_unit_says_so() -> None:
    assert unit_state("x", "agent@x.service", {"LoadState": "masked"}, boot="b").masked


def test_two_lives_of_a_unit_are_two_incarnations() -> None:
    first = {"ExecMainStartTimestampMonotonic": 5, "ExecMainPID": 7, "InvocationID": [1] * 16}
    second = {**first, "InvocationID": [2] * 16}
    one, other = (unit_state("x", "u", properties, boot="b").incarnation for properties in (first, second))
    assert one != other


@pytest.mark.parametrize(("job", "changes"), [("restart", True), ("stop", True), ("", False)])
def test_a_unit_that_its_manager_is_about_to_change_says_so(job: str, changes: bool) -> None:
    assert unit_state("x", "u", {"ActiveState": "active", "JobType": job}, boot="b").job is changes


@pytest.mark.parametrize(("left", "by_request"), [(90, False), (100, True), (150, True), (250, False)])
def test_that_it_left_active_first_tells_a_stop_only_of_this_life(left: int, by_request: bool) -> None:
    """A life that never became active leaves the moment at which the one before it did."""
    ended = {
        **{"ActiveState": "failed", "Restart": "on-failure", "RestartUSec": 500, "Result": "exit-code"},
        **{"ExecMainStartTimestampMonotonic": 100, "ExecMainExitTimestampMonotonic": 200, "ExecMainCode": 1},
        **{"ActiveExitTimestampMonotonic": left, "InactiveEnterTimestampMonotonic": 260, "ExecMainStatus": 3},
    }
    assert unit_state("x", "u", ended, boot="b").by_request is by_request


@pytest.mark.parametrize("nothing", [0, 2**64 - 1])
def test_zero_and_never_are_no_moment(nothing: int) -> None:
    assert moment(nothing) is None
