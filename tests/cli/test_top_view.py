"""How the screen looks, whatever its size and whatever stands in the rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from supervise.cli.top_state import Order, Pane, Prompt, Sort, State, Verb
from supervise.cli.top_view import Scene, cells, frame, plain, window
from supervise.model import Lock, LogLine, Reason, Source, Status, StatusRow
from supervise.overview import WITHOUT_DAEMON
from supervise.text import columns
from tests.cli.reconciler import HOSTILE, INERT
from tests.nouns import NOON, minutes, row
from tests.reconcile.served import INFO

BUSY = row(
    "sma",
    pid=7,
    health=95,
    cpu=0.125,
    memory=123_456_789,
    tasks=4,
    started_at=NOON - minutes(5),
    restarts=2,
    last_heartbeat=NOON - timedelta(seconds=3),
    source=Source.BEAT,
    last_activity="12 bars",
)
DEAD = row("feed", status=Status.ERROR, reason=Reason.CRASHED, message="It exited with code 3.")
TABLE = """\
STATUS↓   NAME HEALTH CPU  MEMORY  TASKS UPTIME RESTARTS BEAT REASON   MESSAGE
✓ running sma  95     12 % 118 MiB 4     5 min  2        3 s  AsWanted 12 bars
✗ error   feed 0      –    –       –     –      0        –    Crashed  It exited with code 3.
"""


def scene(*rows: StatusRow, **changes: Any) -> Scene:
    plain: dict[str, Any] = {"rows": rows, "visible": rows, "info": INFO, "at": NOON, "now": NOON}
    return Scene(**{**plain, **changes})


def drawn(state: State, given: Scene, width: int = 140, height: int = 12) -> list[str]:
    return [line.rstrip() for line in frame(state, given, width, height, colours=None).split("\n")]


def test_a_row_has_everything_that_is_known() -> None:
    lines = drawn(State(selected="sma"), scene(BUSY, DEAD))
    assert lines[0] == "alpha  2 agents  1 error  1 running  reconciler: view 0.4 s old"
    assert [line.split() for line in lines[1:4]] == [line.split() for line in TABLE.splitlines()]
    assert lines[-2:] == ["showing all, by status", lines[-1]]
    assert lines[-1].startswith("s start")


@pytest.mark.parametrize("width", [20, 40, 79, 80, 100, 120, 200])
@pytest.mark.parametrize("height", [1, 3, 5, 24])
def test_it_fits_every_screen(width: int, height: int) -> None:
    rows = [row(f"agent_{number}", title="日本" * 40, message="x" * 300) for number in range(100)]
    for state in (State(selected="agent_50"), State(pane=Pane.HELP), State(prompt=Prompt("x" * 300))):
        lines = drawn(state, scene(*rows), width, height)
        assert len(lines) == height
        assert max(map(columns, lines)) <= width


def test_what_matters_most_stays_on_a_narrow_screen() -> None:
    head, line = drawn(State(), scene(DEAD), width=48)[1:3]
    assert head.split() == ["STATUS↓", "NAME", "MESSAGE"]
    assert line.startswith("✗ error  feed  It exited")


@pytest.mark.parametrize("selected", [0, 1, 50, 98, 99])
def test_who_is_chosen_is_always_on_the_screen(selected: int) -> None:
    rows = [row(f"a{number:02}") for number in range(100)]
    seen = window(rows, f"a{selected:02}", 10)
    assert (len(seen), f"a{selected:02}" in [one.name for one in seen]) == (10, True)


@pytest.mark.parametrize(
    ("changes", "beat"),
    [({}, "3 s"), ({"source": Source.PING}, "3 s"), ({"source": Source.OBSERVED}, "–"), ({"pid": None}, "–")],
)
def test_a_beat_is_one_that_who_runs_has_sent(changes: dict[str, Any], beat: str) -> None:
    assert cells(replace(BUSY, **changes), NOON)["BEAT"].plain == beat


@pytest.mark.parametrize(
    ("rows", "words"),
    [((), "No agents are installed here (`supervise install`)."), ((DEAD,), "No agent fits the filter.")],
)
def test_an_empty_table_says_why(rows: tuple[StatusRow, ...], words: str) -> None:
    assert plain([], scene(*rows)).split("\n")[1:] == [words]


def test_foreign_text_does_nothing_to_the_terminal() -> None:
    line = LogLine(NOON, "sma", HOSTILE)
    hostile = row("sma", message=HOSTILE, reason=Reason.AGENT_ERROR)
    for state in (State(), State(pane=Pane.LOGS, selected=HOSTILE), State(notice=HOSTILE), State(filter=HOSTILE)):
        text = frame(state, scene(hostile, logs=[line]), 200, 12, colours=None)
        assert "\x1b" not in text
        assert INERT[:20] in text


def test_colours_are_only_ours() -> None:
    assert "\x1b[31m" in frame(State(), scene(DEAD), 100, 8, colours="standard")


def test_a_lock_and_old_code_are_said() -> None:
    lock = Lock(Status.WARNING, 50, "maintenance", "ada", NOON)
    found = cells(row(lock=lock, outdated=True), NOON)["MESSAGE"].plain
    assert found == "[locked by ada] [outdated]"


def test_how_many_fit_the_filter_is_said() -> None:
    lines = drawn(State(filter="sma", sort=Sort.CPU, reverse=True), scene(BUSY, DEAD, visible=[BUSY]))
    assert lines[-2] == "showing 1 of 2, by cpu reversed   filter: sma"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (scene(), "No agents are installed here"),
        (scene(DEAD, visible=[]), "No agent fits the filter; Esc shows all again."),
    ],
)
def test_an_empty_screen_says_why(given: Scene, words: str) -> None:
    assert words in "\n".join(drawn(State(), given))


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (State(prompt=Prompt("sm")), "/sm▏"),
        (State(prompt=Prompt("too", Order(Verb.HOLD, "sma"))), "hold sma, and why? too▏"),
        (State(prompt=Prompt("", Order(Verb.STOP, "sma"))), "stop sma? y/n"),
        (State(notice="✓ sma: stopped"), "✓ sma: stopped"),
    ],
)
def test_the_last_line_asks_and_tells(state: State, line: str) -> None:
    assert drawn(state, scene(BUSY))[-1] == line


def test_what_is_being_done_is_said() -> None:
    assert drawn(State(), scene(BUSY, working=["stop sma"]))[-1] == "… stop sma"


def test_a_reconciler_that_says_nothing_is_not_trusted() -> None:
    late = replace(scene(BUSY), now=NOON + timedelta(seconds=7))
    assert "no word from the reconciler for 7 s: this is old" in drawn(State(), late)[0]


def test_without_a_reconciler_that_is_said() -> None:
    away = scene(BUSY, info=None, notes=(WITHOUT_DAEMON,))
    assert WITHOUT_DAEMON in drawn(State(), away, width=200)[0]


def test_logs_show_their_end_and_what_is_above_it_when_they_are_moved() -> None:
    logs = [LogLine(NOON, "sma", f"line {number}") for number in range(100)]
    state = State(selected="sma", pane=Pane.LOGS)
    lines = drawn(state, scene(BUSY, logs=logs), height=10)
    assert [line.split()[-1] for line in lines[2:8]] == ["94", "95", "96", "97", "98", "99"]
    moved = drawn(replace(state, scrolled=1000), scene(BUSY, logs=logs), height=10)
    assert moved[2].endswith("line 0")
    assert "the journal is closed" in drawn(state, scene(BUSY, complaint="the journal is closed"))[2]
    assert "nothing has been written" in drawn(state, scene(BUSY))[2]


def test_plain_text_has_the_same_table() -> None:
    lines = plain([BUSY, DEAD], scene(BUSY, DEAD)).split("\n")
    assert "2 agents  1 error  1 running" in lines[0]
    assert lines[1].split()[:3] == ["STATUS", "NAME", "HEALTH"]
    assert (lines[2].split()[:3], lines[3].split()[:3]) == (["✓", "running", "sma"], ["✗", "error", "feed"])
    assert "\x1b" not in plain([row(message=HOSTILE)], scene(BUSY))
