"""The table of processes: aligned, harmless whatever processes call themselves, with what to do about the odd ones."""

from __future__ import annotations

from typing import Any

import click
import pytest

from supervise.cli.ps import table, why_left_alone
from supervise.errors import ExitCode
from supervise.model import HiddenPolicy
from supervise.observe.listing import WHY, ProcessClass
from supervise.places import Places
from tests.cli.shell import Supervise
from tests.nouns import NOON, after, minutes, spec

STOPS = spec(hidden=HiddenPolicy.STOP)


def process(kind: ProcessClass = ProcessClass.MANAGED, **changes: Any) -> dict[str, Any]:
    plain = {
        "pid": 7,
        "class": kind.value,
        "agents": ["sma"],
        "unit": "agent@sma.service" if kind is ProcessClass.MANAGED else None,
        "uid": 1000,
        "user": "trader",
        "started_at": NOON.isoformat(),
        "memory": 3 << 20,
        "command": ["python", "a b.py"],
        "directory": "/srv/trading",
        "why": WHY[kind],
    }
    return {**plain, **changes}


def lines(*found: dict[str, Any]) -> list[str]:
    return click.unstyle(table(found, after(minutes(5)).wall, {"sma": STOPS})).splitlines()


def test_columns_stand_below_each_other() -> None:
    head, first, second = lines(process(), process(pid=123456, user="", memory=None))
    assert head.split() == ["PID", "CLASS", "AGENT", "USER", "AGE", "MEMORY", "COMMAND"]
    assert first.split()[:4] == ["7", "managed", "sma", "trader"]
    assert "5 min" in first
    assert first.endswith("3.0 MiB  python 'a b.py'")
    assert head.index("COMMAND") == first.index("python") == second.index("python")
    assert second.split()[3] == "1000"
    assert "–" in second


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        (ProcessClass.HIDDEN, "in /srv/trading; `supervise adopt 7` takes it over, `supervise start sma --replace`"),
        (ProcessClass.DUPLICATE, "`kill 7` ends it"),
        (ProcessClass.ORPHAN, "`supervise force-stop sma` ends it"),
        (ProcessClass.AMBIGUOUS, "it keeps them from starting; end it by hand"),
        (ProcessClass.UNKNOWN, "`sudo supervise ps` sees more"),
        (ProcessClass.FOREGROUND, "by hand in a scope of its own"),
    ],
)
def test_whatever_is_odd_says_why_and_what_to_do(kind: ProcessClass, advice: str) -> None:
    below = lines(process(kind))[2]
    assert WHY[kind] in below
    assert advice in below


@pytest.mark.parametrize("kind", [ProcessClass.HIDDEN, ProcessClass.DUPLICATE])
def test_why_hidden_stop_did_not_end_a_copy_is_told(kind: ProcessClass) -> None:
    why = "`hidden: stop` does not end what runs as another user (ada, not trader)"
    assert lines(process(kind, user="ada"))[2].endswith(why)
    assert "hidden: stop" not in lines(process(kind))[2]
    assert why_left_alone(process(kind, user="ada"), spec()) is None
    assert why_left_alone(process(ProcessClass.ORPHAN, user="ada"), STOPS) is None


def test_of_many_agents_three_are_named() -> None:
    assert "a, b, c and 2 more" in lines(process(ProcessClass.AMBIGUOUS, agents=list("abcde")))[1]


def test_foreign_text_does_nothing_to_the_terminal_and_secrets_are_not_shown() -> None:
    command = ["run\x1b[2J", "--token=hunter2", "x" * 500]
    told = table([process(ProcessClass.HIDDEN, command=command, user="\x1b]0;x", directory="/\u202e")], NOON, {})
    plain = click.unstyle(told)
    assert not {"\x1b", "\u202e"} & {*plain}
    assert "hunter2" not in told
    assert max(map(len, plain.splitlines())) < 300


@pytest.mark.parametrize(
    ("words", "whose"),
    [((), "an agent"), (("--all",), "an agent"), (("feed",), "feed"), (("sma*",), "sma, sma_slow")],
)
def test_where_nothing_runs_it_says_of_whom(
    words: tuple[str, ...], whose: str, supervise: Supervise, there: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(places: Places, names: list[str]) -> list[dict[str, Any]]:
        return []

    monkeypatch.setattr("supervise.processes.processes", none)
    answer = supervise("ps", "--user", *words)
    assert (answer.code, answer.out) == (ExitCode.OK, f"No process of {whose} runs.\n")
