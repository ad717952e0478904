"""The oracle's book-keeping: how long rows were untrue, who was killed without a reason, and what is a lie."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.chaos.board import Board
from tests.chaos.crew import Kind, Member
from tests.chaos.facts import Facts, Process, Unit
from tests.chaos.history import Act, History
from tests.chaos.oracle import Oracle
from tests.chaos.pulse import Waits
from tests.chaos.test_truth import COPY, FAILED, REST, RUNS, down, row

NAME = "plain_0"
MEMBER = Member(NAME, Kind("plain"))
HELD = {"held": 1000.0}


@dataclass
class Scene:
    """One agent, followed look by look; the clock begins at 1000."""

    stalled: float = 0.0
    board: Board = field(default_factory=Board)
    history: History = field(default_factory=lambda: History(MEMBER))

    def __post_init__(self) -> None:
        self.oracle = Oracle(self.board, {NAME: self.history}, stalled=lambda begin, end: self.stalled)

    def says(self, said: dict[str, Any], *, at: float) -> None:
        self.board.take({"row": {"name": NAME, **said}}, at=at)

    def is_so(self, unit: Unit = RUNS, *, at: float, until: float | None = None, **more: Any) -> None:
        """Looked at every tenth of a second."""
        moment = at
        while moment <= (until or at):
            marks = (unit.changed, unit.started, unit.exited)
            true = Facts(moment, moment + 0.01, unit, moments=marks, **more)
            self.oracle.judge(NAME, true, wall=1.8e9)
            moment = round(moment + 0.1, 3)

    def done(self, fault: str, *, at: float, **more: Any) -> None:
        self.history.acts.append(Act(fault, NAME, 1, at, at + 0.05, **more))

    @property
    def kinds(self) -> list[str]:
        return [one.kind for one in self.oracle.findings]

    @property
    def lengths(self) -> list[float]:
        return [round(one.length, 3) for one in self.oracle.wrongs]


@pytest.fixture
def scene() -> Scene:
    """It runs, and its row says so."""
    begun = Scene()
    begun.says(row(), at=999.0)
    begun.is_so(at=1000.0)
    return begun


def stopped(scene: Scene, *, at: float) -> Unit:
    scene.done("stop", at=at, ends=True, wants="down")
    return replace(REST, exited=at + 0.02, changed=at + 0.02)


def test_a_row_that_stays_untrue_is_a_lie_with_its_timeline(scene: Scene) -> None:
    rest = stopped(scene, at=1001.0)
    scene.is_so(rest, at=1001.1, until=1003.5)
    (lie,) = scene.oracle.findings
    assert (lie.kind, lie.name) == ("lie", NAME)
    assert "says running/AsWanted, true is stopped/StoppedByOperator" in lie.text
    assert any("done   stop" in line for line in lie.timeline)
    assert any("row    running/AsWanted" in line for line in lie.timeline)
    assert any("true   inactive" in line for line in lie.timeline)


def test_a_row_that_becomes_true_in_time_was_untrue_for_so_long(scene: Scene) -> None:
    rest = stopped(scene, at=1001.0)
    scene.is_so(rest, at=1001.1, until=1002.0)
    scene.says(down("stopped", "StoppedByOperator"), at=1002.03)
    scene.is_so(rest, at=1002.1, until=1004.0)
    assert scene.lengths == [1.01]  # from the moment of systemd to the arrival of the row
    assert [one.fault for one in scene.oracle.wrongs] == ["stop"]
    assert scene.kinds == []


def test_a_row_that_was_there_before_the_next_look_was_untrue_for_milliseconds(scene: Scene) -> None:
    rest = stopped(scene, at=1001.0)
    scene.says(down("stopped", "StoppedByOperator"), at=1001.024)
    scene.is_so(rest, at=1001.1)
    assert scene.lengths == [0.004]


def test_a_picture_of_two_moments_is_no_lie(scene: Scene) -> None:
    """The row was newer than the look, and then it was true."""
    scene.says(down("error", "Crashed", "restarting"), at=1000.9)
    scene.is_so(at=1000.95)
    scene.done("kill", at=1000.85, ends=True)
    died = replace(FAILED, active="activating", sub="auto-restart", exited=1000.88, changed=1000.89)
    scene.is_so(died, at=1001.05)
    assert scene.kinds == []


def test_what_the_machine_stood_still_for_counts_for_nothing(scene: Scene) -> None:
    scene.stalled = 2.0
    scene.is_so(stopped(scene, at=1001.0), at=1001.1, until=1004.0)
    assert scene.kinds == []
    scene.stalled = 0.5
    scene.is_so(stopped(scene, at=1001.0), at=1004.1, until=1004.2)
    assert scene.kinds == ["lie"]


def test_a_lie_is_told_once(scene: Scene) -> None:
    scene.is_so(stopped(scene, at=1001.0), at=1001.1, until=1020.0)
    assert scene.kinds == ["lie"]


def test_while_nobody_answers_nobody_lies(scene: Scene) -> None:
    scene.board.lose(at=1001.0)
    scene.is_so(stopped(scene, at=1001.0), at=1001.1, until=1006.0)
    assert scene.kinds == []
    assert scene.board.away == [(1001.0, None)]


def test_a_hidden_copy_may_take_longer_to_be_found(scene: Scene) -> None:
    copy = replace(COPY, started=1001.0)
    scene.is_so(at=1001.0, until=1003.8, outside=(copy,))
    assert scene.kinds == []
    scene.is_so(at=1003.9, until=1004.2, outside=(copy,))
    assert scene.kinds == ["lie"]


def test_who_ends_by_no_fault_was_wrongly_killed(scene: Scene) -> None:
    scene.says(row(pid=71), at=1001.0)
    scene.is_so(replace(RUNS, pid=71, started=1001.0, changed=1001.0), at=1001.1, until=1001.5)
    assert scene.kinds == ["wrongly killed"]


@pytest.mark.parametrize("begin", [950.0, 1003.0])
def test_a_fault_of_another_time_explains_no_end(scene: Scene, begin: float) -> None:
    scene.done("kill", at=begin, ends=True)
    scene.says(row(pid=71), at=1001.0)
    scene.is_so(replace(RUNS, pid=71, started=1001.0, changed=1001.0), at=1001.1, until=1001.5)
    assert scene.kinds == ["wrongly killed"]


def test_who_was_killed_by_a_fault_was_not(scene: Scene) -> None:
    scene.done("kill", at=1000.9, ends=True)
    scene.says(row(pid=71), at=1001.0)
    scene.is_so(replace(RUNS, pid=71, started=1001.0, changed=1001.0), at=1001.1, until=1001.5)
    assert scene.kinds == []


def test_who_may_have_ended_soon_after_the_fault_while_nobody_could_look_was_not(scene: Scene) -> None:
    scene.done("kill", at=1000.9, ends=True)
    scene.says(row(pid=71), at=1010.0)
    scene.is_so(replace(RUNS, pid=71, started=1010.0, changed=1010.0), at=1010.1, until=1010.5)
    assert scene.kinds == []


def test_a_process_that_nobody_planted_is_a_double(scene: Scene) -> None:
    stray = Process(98, 1000.5, "S", 1000, MEMBER.argv, "/home/ops/chaos", "session-1.scope")
    scene.is_so(at=1001.0, until=1002.3, outside=(stray,))
    assert scene.kinds == ["doubled"]


def test_a_second_process_in_its_own_unit_is_a_double(scene: Scene) -> None:
    main, second = (Process(pid, 900.0, "S", 1000, MEMBER.argv, "/", MEMBER.unit) for pid in (70, 71))
    scene.is_so(at=1001.0, until=1002.3, inside=(main, second))
    assert scene.kinds == ["doubled"]


def test_a_child_that_is_about_to_become_another_program_is_none(scene: Scene) -> None:
    main, second = (Process(pid, 900.0, "S", 1000, MEMBER.argv, "/", MEMBER.unit) for pid in (70, 71))
    scene.is_so(at=1001.0, until=1001.5, inside=(main, second))
    scene.is_so(at=1001.6, until=1003.0, inside=(main,))
    assert scene.kinds == []


def test_children_that_a_fault_has_left_are_none(scene: Scene) -> None:
    scene.done("leave_child", at=1000.9, forks=True)
    main, second = (Process(pid, 900.0, "S", 1000, MEMBER.argv, "/", MEMBER.unit) for pid in (70, 71))
    scene.is_so(at=1001.0, until=1002.3, inside=(main, second))
    assert scene.kinds == []


def test_what_was_stopped_and_started_is_stopped_no_more(scene: Scene) -> None:
    stopped(scene, at=1001.0)
    assert scene.history.stopped(1000.5) is False
    assert scene.history.stopped(1001.02) is None
    assert scene.history.stopped(1002.0) is True
    scene.done("start", at=1003.0, wants="up")
    assert scene.history.stopped(1003.02) is None
    assert scene.history.stopped(1004.0) is False


def test_who_waits_for_a_processor_is_waited_for() -> None:
    waits = Waits()
    waits.note(10.0, {(1, 0.0): 5.0})
    waits.note(11.0, {(1, 0.0): 5.25, (7, 10.5): 0.125})
    waits.note(12.0, {(1, 0.0): 5.25})
    assert waits.between(10.0, 11.0) == 0.25
    assert waits.between(10.2, 10.9) == 0.25
    assert waits.between(10.2, 10.3) == pytest.approx(0.1)
    assert waits.between(11.0, 12.0) == 0
    assert waits.between(20.0, 21.0) == 0
