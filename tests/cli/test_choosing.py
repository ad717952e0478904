"""A project that is not installed: every command says so, and which there are, whatever else it would do."""

from __future__ import annotations

import pytest

from supervise.errors import ExitCode
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
    assert "no agents are installed here" in supervise("status", "--user", "-p", "nope").err
