"""`supervise top` in a real pseudo-terminal: what is drawn, and that the terminal is given back whatever happens.

The reconciler says what a test wants. What keys do to real agents is tested where there is a real systemd.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from supervise.cli.output import utc_now
from supervise.cli.top_terminal import LEAVE
from supervise.control.server import Request, Send
from supervise.errors import ExitCode
from supervise.model import Reason, Status, StatusRow
from supervise.places import Places
from supervise.reconcile.orders import row_json
from tests.cli.reconciler import HOSTILE
from tests.cli.shell import Supervise
from tests.nouns import row
from tests.reconcile.served import INFO, Served, served
from tests.screen import DOWN, ENTER, ESC, Screen

ROWS = (
    row("sma", title="SMA Bot", pid=7, started_at=utc_now(), health=100),
    row("sma_slow", status=Status.STOPPED, reason=Reason.STOPPED_BY_OPERATOR, message="Ada stopped it."),
    row("feed", status=Status.ERROR, reason=Reason.CRASHED, message="It exited with code 3."),
)


class Rows:
    """Answers `watch`: these rows, then each that a test puts in."""

    def __init__(self, *rows: StatusRow) -> None:
        self.rows = rows
        self.changed: list[StatusRow] = []

    async def __call__(self, request: Request, send: Send) -> Any:
        await send({"reconciler": INFO, "rows": [row_json(one) for one in self.rows]})
        while True:
            await asyncio.sleep(0.02)
            while self.changed:
                await send({"row": row_json(self.changed.pop())})


@contextmanager
def top(there: Places, *words: str, **size: int) -> Iterator[Screen]:
    """Through the same front door as a user: with its own process, environment and terminal."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(there.units.parents[2]),
        "XDG_RUNTIME_DIR": str(there.runtime.parent),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    with Screen([sys.executable, "-m", "supervise", "top", "--user", *words], environ, **size) as screen:
        yield screen


@pytest.fixture
def reconciler(there: Places) -> Iterator[Served]:
    with served(there.control, watch=Rows(*ROWS)) as made:
        yield made


def is_given_back(screen: Screen) -> bool:
    """The terminal is as it was, or is soon: its settings, its first screen, its cursor."""

    def now(text: str) -> bool:
        return screen.settings == screen.before and LEAVE.encode() in screen.raw.split(b"\x1b[?1049h")[-1]

    screen.until(now, "the terminal to be given back", timeout=5)
    return True


# --- What is seen -----------------------------------------------------------------------------------------------------


def test_all_agents_are_there_bad_ones_first_and_q_ends_it(there: Places, reconciler: Served) -> None:
    with top(there) as screen:
        screen.until(lambda text: "sma_slow" in text, "the agents")
        assert [line.split()[2] for line in screen.lines[2:5]] == ["feed", "sma_slow", "sma"]
        assert "3 agents  1 error  1 stopped  1 running" in screen.lines[0]
        assert screen.settings != screen.before
        screen.type("q")
        assert screen.ends() == ExitCode.OK
        assert is_given_back(screen)


def test_a_change_is_seen_at_once(there: Places) -> None:
    rows = Rows(*ROWS)
    with served(there.control, watch=rows), top(there) as screen:
        screen.until(lambda text: "feed" in text, "the agents")
        rows.changed.append(row("feed", pid=9))
        screen.until(lambda text: "2 running" in text, "the change", timeout=3)


def test_keys_choose_filter_and_sort(there: Places, reconciler: Served) -> None:
    with top(there) as screen:
        screen.until(lambda text: "feed" in text, "the agents")
        screen.type("/sma" + ENTER)
        screen.until(lambda text: "showing 2 of 3" in text and "feed" not in text, "the filter")
        screen.type("o")
        screen.until(lambda text: "NAME↓" in text, "the order")
        assert [line.split()[2] for line in screen.lines[2:4]] == ["sma", "sma_slow"]
        screen.type(DOWN + "t")
        screen.until(lambda text: "stop sma_slow? y/n" in text, "the question")
        screen.type(ESC)
        screen.until(lambda text: "y/n" not in text, "no question")
        screen.type(ESC)
        screen.until(lambda text: "feed" in text, "all agents")


def test_an_order_that_may_not_be_given_is_told_and_nothing_happens(there: Places, reconciler: Served) -> None:
    """Root may not act on somebody's own agents."""
    with top(there) as screen:
        screen.until(lambda text: "feed" in text, "the agents")
        screen.type("s")
        screen.until(lambda text: "✗ " in text.splitlines()[-1], "the refusal")
        assert {one.op for one in reconciler.asked} == {"watch"}


def test_help_names_every_key(there: Places, reconciler: Served) -> None:
    with top(there) as screen:
        screen.until(lambda text: "feed" in text, "the agents")
        screen.type("?")
        text = screen.until(lambda text: "start it" in text, "the help")
        assert all(f"\n{key}  " in text or f"  {key}  " in text for key in "strhul/oO?q")
        screen.type("q")
        screen.until(lambda text: "feed" in text, "the agents")


def test_hostile_rows_do_nothing_to_the_terminal(there: Places) -> None:
    hostile = row("sma", message=HOSTILE, status=Status.WARNING, reason=Reason.AGENT_WARNING)
    with served(there.control, watch=Rows(hostile)), top(there) as screen:
        screen.until(lambda text: "␛]0;owned␇␛[2J[/red]" in text, "the row")
        assert b"\x1b]0;" not in screen.raw
        assert b"\x1b[2J[/red]" not in screen.raw


def test_a_screen_that_changes_its_size_is_filled_anew(there: Places, reconciler: Served) -> None:
    with top(there, width=130, height=24) as screen:
        screen.until(lambda text: "REASON" in text, "the wide table")
        screen.resize(60, 8)
        text = screen.until(lambda text: "REASON" not in text and "HEALTH" in text, "the narrow one")
        assert len(text.splitlines()) <= 8
        screen.until(lambda text: text.splitlines()[-1].startswith("s start"), "its last line")


# --- Its end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda screen: screen.type("\x03"), 130),
        (lambda screen: screen.process.send_signal(signal.SIGTERM), 143),
        (lambda screen: screen.process.send_signal(signal.SIGHUP), 129),
        (lambda screen: screen.type("\x1c"), 131),
    ],
    ids=["ctrl-c", "sigterm", "sighup", "ctrl-backslash"],
)
def test_whatever_ends_it_the_terminal_is_given_back(
    there: Places, reconciler: Served, end: Callable[[Screen], None], code: int
) -> None:
    with top(there) as screen:
        screen.until(lambda text: "feed" in text, "the agents")
        screen.type("h")
        screen.until(lambda text: "and why?" in text, "a question that is open")
        end(screen)
        assert screen.ends() == code
        assert is_given_back(screen)


def test_an_error_of_its_own_gives_the_terminal_back_and_is_one_line(there: Places) -> None:
    """Its reconciler says nonsense, and nobody else can be asked."""

    async def nonsense(request: Request, send: Send) -> Any:
        await send({"reconciler": INFO, "rows": [{"name": "sma"}]})

    with served(there.control, watch=nonsense), top(there) as screen:
        assert screen.ends() != 0
        assert is_given_back(screen)


def test_where_the_reconciler_goes_and_no_systemd_can_be_asked_it_ends_with_one_line(there: Places) -> None:
    with served(there.control, watch=Rows(*ROWS)) as reconciler, top(there) as screen:
        screen.until(lambda text: "feed" in text, "the agents")
        reconciler.close()
        assert screen.ends() == ExitCode.FAILED
        assert is_given_back(screen)
        assert screen.raw.split(LEAVE.encode())[-1].decode().startswith("supervise: cannot ")


def test_ctrl_z_lends_the_terminal_to_the_shell_until_it_is_woken(there: Places, reconciler: Served) -> None:
    with top(there) as screen:
        screen.until(lambda text: "feed" in text, "the agents")
        screen.type("\x1a")
        assert os.waitid(os.P_PID, screen.process.pid, os.WSTOPPED | os.WNOWAIT)
        assert is_given_back(screen)
        screen.process.send_signal(signal.SIGCONT)
        screen.until(lambda text: screen.settings != screen.before and "feed" in text, "the table again")
        screen.type("q")
        assert screen.ends() == ExitCode.OK
        assert is_given_back(screen)


def test_a_terminal_that_goes_away_ends_it(there: Places, reconciler: Served) -> None:
    with top(there) as screen:
        screen.until(lambda text: "feed" in text, "the agents")
        screen.hang_up()
        assert screen.ends() != ExitCode.OK


# --- Without a terminal -----------------------------------------------------------------------------------------------


def said(*rows: StatusRow) -> dict[str, Any]:
    return {"reconciler": INFO, "rows": [row_json(one) for one in rows]}


def test_without_a_terminal_it_is_a_table_again_and_again(supervise: Supervise, there: Places) -> None:
    with served(there.control, rows=said(*ROWS)):
        answer = supervise("top", "--user", "-n", "2", "-d", "10ms", "--sort", "name", "--filter", "sma")
    tables = answer.out.split("  alpha  3 agents")
    assert (answer.code, len(tables)) == (ExitCode.OK, 3)
    for table in tables[1:]:
        lines = table.splitlines()
        assert lines[1].split()[:2] == ["STATUS", "NAME"]
        assert [line.split()[2] for line in lines[2:4]] == ["sma", "sma_slow"]
    assert "\x1b" not in answer.out


def test_for_programs_each_table_is_one_object_on_a_line(supervise: Supervise, there: Places) -> None:
    with served(there.control, rows=said(*ROWS)):
        answer = supervise("top", "--user", "--json", "-n", "2", "-d", "10ms", "sma", "feed")
    found = [json.loads(line) for line in answer.out.splitlines()]
    assert [[one["name"] for one in table["agents"]] for table in found] == [["feed", "sma"]] * 2
    assert found[0]["reconciler"]["host"] == "alpha"


@pytest.mark.parametrize("words", [("nobody",), ("-p", "other")])
def test_an_agent_that_there_is_not_is_said_before_anything_is_drawn(
    supervise: Supervise, there: Places, words: tuple[str, ...]
) -> None:
    answer = supervise("top", "--user", *words)
    assert (answer.code, answer.out) == (ExitCode.NO_SUCH_AGENT, "")
