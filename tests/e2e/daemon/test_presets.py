"""Presets on a real machine: they change what is said at once, in somebody's name, and outlive our being killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import _possible
from tests.e2e.daemon.asking import Refused, answers, ask_as, events, rows
from tests.e2e.daemon.machine import install, pids, reconciler
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

AGENTS = """\
version: 1
project: presets
defaults: {restart: {delay: 100ms}}
agents:
  a: {command: [/usr/bin/python3, sleeper.py], tags: [front]}
  b: {command: [/usr/bin/python3, sleeper.py]}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Both agents were killed once a moment ago; `olga` is an operator, `ruth` only reads."""
    _possible()
    with Lab() as booted:
        install(booted, AGENTS)
        for user, groups in (("olga", ["--groups", "supervise-operators"]), ("ruth", [])):
            booted.run("useradd", *groups, user)
        before = pids(booted, "ab")
        booted.run("systemctl", "kill", "--signal=KILL", "agent@a", "agent@b")
        eventually(lambda: all(pid not in (0, before[name]) for name, pid in pids(booted, "ab").items()), "a restart")
        eventually(lambda: health(booted) == {"a": 90, "b": 90}, "the restart to be seen")
        yield booted


def health(lab: Lab) -> dict[str, int]:
    return {name: row["health"] for name, row in rows(lab).items()}


def presets(lab: Lab, *words: str) -> Any:
    return json.loads(lab.supervise("presets", *(words or ["list"]), "--json").stdout)


def test_each_lost_point_is_named_for_people_and_programs(lab: Lab) -> None:
    assert "health     90: -10 restarts (it was restarted once within an hour)" in lab.supervise("status", "a").stdout
    (row,) = json.loads(lab.supervise("status", "a", "--json").stdout)["agents"]
    assert row["health_parts"] == [{"name": "restarts", "lost": 10, "why": "it was restarted once within an hour"}]


def test_a_choice_changes_what_is_said_at_once_and_is_told_in_the_name_of_who_made_it(lab: Lab) -> None:
    try:
        assert ask_as(lab, "olga", "preset-use", name="aggressive", tags=["front"]) == {
            "a": "aggressive",
            "b": "balanced",
        }
        assert health(lab) == {"a": 80, "b": 90}
        assert lab.supervise("presets", "use", "conservative", "b").stdout == "✓ b: scored by conservative\n"
        assert health(lab) == {"a": 80, "b": 95}
        told = [(one["name"], one["reason"], one["message"], one["by"]) for one in events(lab)]
        assert ("", "PresetUsed", "tag front: aggressive", "olga") in told
        assert ("b", "preset", "conservative", "root") in told
    finally:
        lab.supervise("presets", "use", "default", "b", "--tag", "front")
    assert health(lab) == {"a": 90, "b": 90}


def test_who_may_only_read_sees_them_and_changes_nothing(lab: Lab) -> None:
    assert [one["name"] for one in ask_as(lab, "ruth", "presets")["presets"]][:3] == [
        "balanced",
        "aggressive",
        "conservative",
    ]
    for op, args in (
        ("preset-save", {"name": "mine", "weights": {}}),
        ("preset-use", {"name": "aggressive"}),
        ("preset-delete", {"name": "aggressive"}),
    ):
        with pytest.raises(Refused) as refused:
            ask_as(lab, "ruth", op, **args)
        assert refused.value.code == "denied"
    assert health(lab) == {"a": 90, "b": 90}


def test_presets_outlive_a_kill_of_the_reconciler(lab: Lab) -> None:
    lab.supervise("presets", "save", "night", "restarts=60", "--from", "conservative")
    lab.supervise("presets", "use", "night", "a")
    before = presets(lab)
    assert health(lab) == {"a": 80, "b": 90}
    old = reconciler(lab)
    lab.run("systemctl", "kill", "--signal=KILL", "supervise-reconciler")
    eventually(lambda: reconciler(lab) not in (0, old) and answers(lab), "the reconciler to be back")
    assert presets(lab) == before
    assert presets(lab, "show", "night")["weights"]["restarts"] == 60
    eventually(lambda: health(lab) == {"a": 80, "b": 90}, "the same health as before")
    refused = lab.supervise("presets", "delete", "night", check=False)
    assert (refused.returncode, refused.stderr) == (
        2,
        'supervise: "night" is in use by a; choose another one there first\n',
    )
    lab.supervise("presets", "use", "default", "a")
    lab.supervise("presets", "delete", "night")
    assert [one["name"] for one in presets(lab)["presets"]] == ["balanced", "aggressive", "conservative"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("save", "x", "restarts=101"), '"restarts" weighs 0 to 100 points, not 101; the parts are trouble,'),
        (("save", "x", "restart=10"), 'there is no part "restart"; did you mean "restarts"? the parts are trouble,'),
        (("save", "balanced", "restarts=10"), '"balanced" is built in and stays as it is'),
        (("use", "x"), 'there is no preset "x"; the presets are balanced,'),
        (("delete", "balanced"), '"balanced" is built in and stays'),
    ],
)
def test_what_cannot_be_is_one_line_that_says_what_can(lab: Lab, words: tuple[str, ...], why: str) -> None:
    answer = lab.supervise("presets", *words, check=False)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith(f"supervise: {why}")
    assert answer.stderr.count("\n") == 1
