"""Whom a command means: a project that is not installed is named, and what to do is said for the same scope."""

from __future__ import annotations

import pytest

from supervise.cli.output import print_result
from supervise.errors import ExitCode
from supervise.manager import Result
from supervise.places import Places
from tests.cli.shell import Answer, Supervise

UNKNOWN = 'supervise: there is no project "nope"; installed: trading\n'


@pytest.mark.parametrize(
    "words", [("ps",), ("status",), ("status", "sma"), ("top", "-n", "1"), ("logs",), ("status", "-w")]
)
def test_a_project_that_is_not_there_is_named_with_those_that_are(
    words: tuple[str, ...], supervise: Supervise, there: Places
) -> None:
    assert supervise(*words, "--user", "-p", "nope") == Answer(ExitCode.NO_SUCH_AGENT, "", UNKNOWN)


def test_where_nothing_is_installed_at_all_that_is_what_is_said(supervise: Supervise) -> None:
    told = supervise("status", "--user", "-p", "nope").err
    assert "no agents are installed here" in told
    assert "(`supervise init`) and run `supervise install --user`" in told


@pytest.mark.parametrize(("words", "user"), [((), ""), (("--user",), "--user ")])
def test_a_refusal_names_a_command_of_the_same_scope(
    words: tuple[str, ...], user: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["supervise", "start", "sma", *words])
    print_result(Result("sma", False, "it is held (`supervise release sma`)"))
    assert capsys.readouterr().err == f"✗ sma: it is held (`supervise release {user}sma`)\n"


def test_so_does_an_error(supervise: Supervise, there: Places) -> None:
    assert "`supervise status --user` lists" in supervise("ps", "--user", "zzz").err
