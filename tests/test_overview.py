"""How agents are: by the reconciler's word, and without one all the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from supervise import overview as module
from supervise.control.client import Control, NoAnswer, Unreachable
from supervise.control.server import Request, Send
from supervise.errors import PlatformError, SuperviseError
from supervise.manager import View
from supervise.model import AgentSpec, Lock, Reason, Scope, Status, StatusRow
from supervise.overview import (
    OTHERS_UNSEEN,
    SEEN_HERE,
    SILENT_DAEMON,
    WITHOUT_DAEMON,
    Overview,
    changes,
    overview,
)
from supervise.places import Places
from supervise.reconcile.orders import row_json
from tests.nouns import NOON, places_in, row, spec
from tests.reconcile.served import INFO, served

SPECS = (spec(), spec("feed"))
SILENT = row(status=Status.ERROR, reason=Reason.SILENT, message="No sign of life for 6 min.")
FEED = row("feed")


async def never(request: Request, send: Send) -> None:
    """As one that has been stopped with SIGSTOP."""
    await asyncio.Event().wait()


@pytest.fixture
def there() -> Iterator[Places]:
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        yield places_in(Path(folder))


See = Callable[..., list[list[str]]]


@pytest.fixture
def see(monkeypatch: pytest.MonkeyPatch) -> See:
    """Set how the manager judges agents; gives whom it was asked about."""
    asked: list[list[str]] = []

    def set_up(*rows: StatusRow) -> list[list[str]]:
        class Judge:
            async def status(self, specs: tuple[AgentSpec, ...]) -> View:
                asked.append([one.name for one in specs])
                return View({one.name: one for one in rows if one.name in asked[-1]}, {}, NOON)

        @asynccontextmanager
        async def managing(places: Places) -> AsyncIterator[Judge]:
            yield Judge()

        monkeypatch.setattr(module, "managing", managing)
        return asked

    return set_up


def look(there: Places, *rows: StatusRow) -> Overview:
    """The overview where a reconciler says these rows."""
    with served(there.control, rows={"reconciler": INFO, "rows": [row_json(one) for one in rows]}) as other:
        found = asyncio.run(overview(there, SPECS))
    assert other.asked[0].args == {"names": ["sma", "feed"]}
    return found


def test_rows_are_the_reconcilers_as_they_went_over_the_socket(there: Places, see: See) -> None:
    asked = see()
    lock = Lock(Status.STOPPED, 0, "x", "alice", NOON + timedelta(hours=1))
    mine = row(lock=lock, last_heartbeat=NOON, pid=7)
    found = look(there, mine, FEED)
    assert {name: row_json(one) for name, one in found.rows.items()} == {"sma": row_json(mine), "feed": row_json(FEED)}
    assert found.rows["sma"].lock == lock
    assert (found.reconciler, found.notes, asked) == (INFO, (), [])


@pytest.mark.parametrize("refusal", [None, SuperviseError("cannot do that now")])
def test_without_a_reconciler_the_platform_is_asked_and_the_view_says_why(
    there: Places, see: See, refusal: Exception | None
) -> None:
    asked = see(row(), FEED)
    if refusal:
        with served(there.control, rows=refusal):
            found = asyncio.run(overview(there, SPECS))
    else:
        found = asyncio.run(overview(there, SPECS))
    assert (found.rows, found.reconciler, found.at, asked) == (
        {"sma": row(), "feed": FEED},
        None,
        NOON,
        [["sma", "feed"]],
    )
    assert found.notes == (f"the reconciler says: {refusal}; {SEEN_HERE}" if refusal else WITHOUT_DAEMON,)


def test_one_that_runs_and_does_not_answer_is_not_said_to_be_away(
    there: Places, see: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(row(), FEED)
    monkeypatch.setattr(Control.ask, "__kwdefaults__", {"patience": 0.05})
    with served(there.control, rows=never):
        found = asyncio.run(overview(there, SPECS))
    assert (found.reconciler, found.notes) == (None, (SILENT_DAEMON,))


def test_who_cannot_look_into_the_processes_of_others_is_told_so(
    there: Places, see: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(row(), FEED)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert asyncio.run(overview(there, SPECS)).notes == (WITHOUT_DAEMON, OTHERS_UNSEEN)
    own = replace(there, scope=Scope.USER)
    assert asyncio.run(overview(own, SPECS)).notes == (WITHOUT_DAEMON,)
    assert look(there, row(), FEED).notes == ()


def test_commands_in_messages_are_for_who_reads_them(there: Places, see: See) -> None:
    told = "It exited cleanly; `supervise start sma` starts it."
    see(row(message=told), FEED)
    own = replace(there, scope=Scope.USER)
    for_own = "It exited cleanly; `supervise start --user sma` starts it."
    assert asyncio.run(overview(own, SPECS)).rows["sma"].message == for_own
    assert asyncio.run(overview(there, SPECS)).rows["sma"].message == told
    assert (look(own, row(message=told), FEED).rows["sma"].message, look(own, row(), FEED).scope) == (
        for_own,
        Scope.USER,
    )


def test_without_either_it_is_an_error(there: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(places: Places) -> Any:
        raise PlatformError("cannot reach systemd")

    monkeypatch.setattr(module, "managing", none)
    with pytest.raises(PlatformError, match="cannot reach systemd"):
        asyncio.run(overview(there, SPECS))


def test_an_agent_that_the_reconciler_does_not_know_yet_is_looked_at(there: Places, see: See) -> None:
    asked = see(FEED)
    assert look(there, row()).rows == {"sma": look(there, row()).rows["sma"], "feed": FEED}
    assert asked[0] == ["feed"]


# --- As it changes ----------------------------------------------------------------------------------------------------


def test_every_change_gives_the_whole_overview_anew(there: Places) -> None:
    async def watch(request: Request, send: Send) -> None:
        await send({"reconciler": INFO, "rows": [row_json(row()), row_json(FEED)]})
        await send({"row": row_json(SILENT)})
        await send({"forget": "feed"})

    async def watched() -> list[Overview]:
        return [one async for one in changes(there, SPECS)]

    with served(there.control, watch=watch) as other:
        views = asyncio.run(watched())
    assert [{name: one.reason for name, one in view.rows.items()} for view in views] == [
        {"sma": Reason.AS_WANTED, "feed": Reason.AS_WANTED},
        {"sma": Reason.SILENT, "feed": Reason.AS_WANTED},
        {"sma": Reason.SILENT},
    ]
    assert all(view.reconciler == INFO for view in views)
    assert other.asked[0].args == {"names": ["sma", "feed"]}


def test_one_that_says_nothing_is_not_followed_for_ever(there: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    async def watched() -> None:
        async for _ in changes(there, SPECS):
            pytest.fail("it says nothing")

    monkeypatch.setattr(Control.stream, "__kwdefaults__", {"patience": 0.05})
    with served(there.control, watch=never), pytest.raises(NoAnswer, match="did not answer within"):
        asyncio.run(asyncio.wait_for(watched(), 10))


def test_in_each_change_commands_are_for_who_reads_them(there: Places) -> None:
    async def watch(request: Request, send: Send) -> None:
        await send({"reconciler": INFO, "rows": []})
        await send({"row": row_json(row(message="`supervise start sma` starts it."))})

    async def watched() -> list[Overview]:
        return [one async for one in changes(replace(there, scope=Scope.USER), SPECS)]

    with served(there.control, watch=watch):
        view = asyncio.run(watched())[-1]
    assert (view.rows["sma"].message, view.scope) == ("`supervise start --user sma` starts it.", Scope.USER)


def test_without_a_reconciler_nothing_can_be_followed(there: Places) -> None:
    async def watched() -> None:
        async for _ in changes(there, SPECS):
            pytest.fail("nobody is there to tell")

    with pytest.raises(Unreachable):
        asyncio.run(watched())
