"""`supervise events`: a line for each thing that happened, told inertly; and the way to more."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from supervise.cli import events
from supervise.cli.events import Told, _line
from supervise.control.server import Request, Send
from supervise.errors import ExitCode, UsageError
from supervise.model import Event, EventKind, Status
from supervise.places import Places
from supervise.reconcile.orders import event_json
from tests.cli.reconciler import HOSTILE, INERT
from tests.cli.shell import Supervise
from tests.nouns import NOON
from tests.reconcile.served import INFO, Served, served


def event(kind: EventKind = EventKind.STATUS, **changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "id": "1",
        "name": "sma",
        "at": NOON,
        "kind": kind,
        "before": Status.RUNNING,
        "after": Status.ERROR,
        "reason": "Crashed",
        "message": "It exited with code 3.",
        "by": "systemd",
    }
    return event_json(Event(**{**plain, **changes}))


DEATH = event()
ORDER = event(EventKind.ORDER, reason="stop", message="holidays", by="alice", before=None, after=None)
FLOOD = event(
    EventKind.HOST, name="", reason="Stalled", message="Nothing ran.", by="supervise", before=None, after=None
)


def test_each_event_is_one_line_with_its_time_its_agent_the_change_why_and_who(
    supervise: Supervise, there: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(there.control, events=[DEATH, ORDER, FLOOD]):
        answer = supervise("events", "--user")
    assert answer.code == ExitCode.OK, answer.err
    stamp = f"{NOON.astimezone():%b %d %H:%M:%S}.000"
    assert answer.out.splitlines() == [
        f"{stamp} sma              running → error      Crashed            It exited with code 3. (systemd)",
        f"{stamp} sma              order                stop               holidays (alice)",
        f"{stamp} (host)           host                 Stalled            Nothing ran. (supervise)",
    ]


def test_for_programs_each_event_is_one_object_a_line_in_utc(supervise: Supervise, there: Places) -> None:
    with served(there.control, events=[DEATH, FLOOD]):
        answer = supervise("events", "--user", "--json")
    assert [json.loads(line) for line in answer.out.splitlines()] == [DEATH, FLOOD]
    assert DEATH["at"].startswith("2026-03-01T12:00:00")


def test_where_nothing_has_happened_yet_that_is_said_to_people_and_nothing_to_programs(
    supervise: Supervise, there: Places
) -> None:
    with served(there.control, events=[]):
        assert supervise("events", "--user").out == "nothing has happened yet\n"
        assert supervise("events", "--user", "--json").out == ""


@pytest.mark.parametrize("word", ["sma", "SMA Bot", "agent@sma.service"])
def test_an_agent_is_asked_about_by_its_name_however_it_is_called(
    supervise: Supervise, there: Places, word: str
) -> None:
    with served(there.control, events=[]) as other:
        supervise("events", "--user", word, "-n", "7")
    assert other.asked[0].args == {"name": "sma", "limit": 7, "since": None, "until": None}


def test_a_span_of_time_is_asked_for_in_utc(supervise: Supervise, there: Places) -> None:
    with served(there.control, events=[]) as other:
        supervise("events", "--user", "--since", "2h", "--until", "2026-03-01T12:00+01:00")
    args = other.asked[0].args
    assert args["until"] == "2026-03-01T11:00:00+00:00"
    since = datetime.fromisoformat(args["since"])
    assert timedelta() <= datetime.now(UTC) - timedelta(hours=2) - since < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["sm*"], ExitCode.USAGE, '"sm*" means 2 agents; events are shown of one, or of all and the host'),
        (["smaa"], ExitCode.NO_SUCH_AGENT, 'there is no agent "smaa"; did you mean "sma"?'),
        (["--since", "yesterday"], ExitCode.USAGE, '"yesterday" is neither a span such as 2h nor a time'),
        (["-n", "0"], ExitCode.USAGE, "0 is not in the range"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anybody_is_asked(
    supervise: Supervise, there: Places, words: list[str], code: ExitCode, text: str
) -> None:
    with served(there.control, events=[]) as other:
        answer = supervise("events", "--user", *words)
    assert answer.code == code
    assert text in answer.err
    assert other.asked == []


def test_what_the_reconciler_refuses_is_said_in_its_words(supervise: Supervise, there: Places) -> None:
    with served(there.control, events=UsageError('"limit" is a number from 1 to 1000')):
        answer = supervise("events", "--user", "-n", "2000")
    assert (answer.code, answer.err) == (ExitCode.USAGE, 'supervise: "limit" is a number from 1 to 1000\n')


def test_without_a_reconciler_nobody_knows_and_the_advice_is_where_to_look(supervise: Supervise, there: Places) -> None:
    answer = supervise("events", "--user")
    assert answer.code == ExitCode.UNREACHABLE
    assert answer.err.startswith(f"supervise: cannot reach the reconciler at {there.control}: No such file")
    assert "`systemctl --user status supervise-reconciler` tells how it is" in answer.err


LATER = {**ORDER, "id": "2"}


def test_who_follows_sees_new_ones_of_that_agent_until_no_reconciler_comes_back(
    supervise: Supervise, there: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "WAIT", 0.3)

    async def watch(request: Request, send: Send) -> None:
        await send({"reconciler": INFO, "rows": []})
        await send({"event": DEATH})  # it happened while the list was asked for, and stands in it
        await send({"row": {}})
        await send({"event": LATER})
        while len(other.asked) < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        other.close()
        await asyncio.Event().wait()

    other = Served(there.control, {"events": [DEATH], "watch": watch})
    threading.Thread(target=other.wait).start()
    answer = supervise("events", "--user", "sma", "--follow", "--json")
    assert [json.loads(line) for line in answer.out.splitlines()] == [DEATH, LATER]
    assert other.asked[0].args == {"names": ["sma"], "events": True}
    assert answer.code == ExitCode.UNREACHABLE
    assert answer.err.startswith(f"supervise: cannot reach the reconciler at {there.control}: ")


def test_who_follows_goes_on_with_the_next_reconciler_and_sees_what_came_in_between(
    supervise: Supervise, there: Places
) -> None:
    missed = event(id="3", at=NOON + timedelta(minutes=2))
    newest = event(id="4", at=NOON + timedelta(minutes=3))
    lives: list[Served] = []

    async def killed(request: Request, send: Send) -> None:
        await send({"reconciler": INFO, "rows": []})
        await send({"event": LATER})
        while len(first.asked) < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        first.close()
        await asyncio.Event().wait()

    async def lives_on(request: Request, send: Send) -> None:
        await send({"reconciler": INFO, "rows": []})
        for one in (missed, LATER, newest):
            await send({"event": one})

    def next_life() -> None:
        first.wait()
        lives.append(Served(there.control, {"events": [DEATH, LATER, missed], "watch": lives_on}))

    first = Served(there.control, {"events": [DEATH], "watch": killed})
    heir = threading.Thread(target=next_life)
    heir.start()
    answer = supervise("events", "--user", "--follow", "--json", "-n", "7")
    heir.join()
    (second,) = lives
    second.close()
    second.wait()
    assert answer.code == ExitCode.OK, answer.err
    assert [json.loads(line) for line in answer.out.splitlines()] == [DEATH, LATER, missed, newest]
    gap = {"name": None, "limit": 1000, "since": NOON.isoformat(), "until": None}
    assert [one.args for one in second.asked if one.op == "events"] == [gap]


def test_what_was_missed_is_asked_for_since_the_last_that_was_shown_and_not_before_the_first() -> None:
    told = Told({"name": "sma", "limit": 5, "since": None, "until": None})
    before = datetime.now(UTC)
    assert datetime.fromisoformat(told.missed()["since"]) >= before - timedelta(seconds=10)
    first, second, late = (
        event(id=str(number), at=NOON + timedelta(seconds=seconds)) for number, seconds in ((1, 0), (2, 5), (3, 60))
    )
    assert list(told.new([first, second, first])) == [first, second]
    assert told.missed() == {"name": "sma", "limit": 1000, "since": NOON.isoformat(), "until": None}
    assert list(told.new([late, second])) == [late]
    assert told.missed()["since"] == (NOON + timedelta(seconds=50)).isoformat()


def test_who_follows_is_not_told_that_nothing_has_happened_yet(supervise: Supervise, there: Places) -> None:
    async def watch(request: Request, send: Send) -> None:
        await send({"reconciler": INFO, "rows": []})
        await send({"event": FLOOD})

    with served(there.control, events=[], watch=watch) as other:
        answer = supervise("events", "--user", "--follow")
    assert (answer.code, len(answer.out.splitlines())) == (ExitCode.OK, 1)
    assert other.asked[0].args == {"names": None, "events": True}


@pytest.mark.parametrize("field", ["name", "reason", "message", "by"])
def test_foreign_text_does_nothing_to_the_terminal(field: str) -> None:
    line = _line({**DEATH, field: HOSTILE}, as_json=False)
    assert HOSTILE not in line
    assert INERT in line
    assert len(line.splitlines()) == 1


def test_a_change_has_the_colour_of_where_it_leads() -> None:
    assert click.style(f"{'running → error':<20}", fg="red") in _line(DEATH, as_json=False)
    assert click.style(f"{'order':<20}", fg="cyan") in _line(ORDER, as_json=False)
