"""How agents are: by the reconciler's word, with what only a look at processes shows; and without one all the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from supervise import overview as module
from supervise.control.client import Unreachable
from supervise.control.server import Request, Send
from supervise.errors import PlatformError, SuperviseError
from supervise.manager import View
from supervise.model import AgentSpec, Lock, Phase, Process, Reason, Status, StatusRow
from supervise.observe.scan import Scan
from supervise.overview import Overview, changes, overview
from supervise.places import Places
from supervise.reconcile.orders import row_json
from tests.nouns import NOON, copy, places_in, row, spec
from tests.reconcile.served import INFO, served

SPECS = (spec(), spec("feed"))
SILENT = row(status=Status.ERROR, reason=Reason.SILENT, message="No sign of life for 6 min.")
DUPLICATE = row(status=Status.WARNING, reason=Reason.DUPLICATE_PROCESS, message="A copy runs outside.", health=60)
HIDDEN = row(status=Status.WARNING, reason=Reason.HIDDEN_PROCESS, phase=Phase.FAILED, message="A copy runs outside.")
FEED = row("feed")


@pytest.fixture
def there() -> Iterator[Places]:
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        yield places_in(Path(folder))


See = Callable[..., list[list[str]]]


@pytest.fixture
def see(monkeypatch: pytest.MonkeyPatch) -> See:
    """Set what a scan shows, and how the manager judges it; gives whom the manager was asked about."""
    asked: list[list[str]] = []

    def set_up(*rows: StatusRow, processes: tuple[Process, ...] = ()) -> list[list[str]]:
        class Judge:
            async def status(self, specs: tuple[AgentSpec, ...]) -> View:
                asked.append([one.name for one in specs])
                return View({one.name: one for one in rows if one.name in asked[-1]}, {}, {}, NOON)

        @asynccontextmanager
        async def managing(places: Places) -> AsyncIterator[Judge]:
            yield Judge()

        monkeypatch.setattr(module, "managing", managing)
        monkeypatch.setattr(module, "scan", lambda: Scan(processes, True, NOON))
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
    assert (found.reconciler, found.why, asked) == (INFO, "", [])


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
    assert ("cannot do that now" if refusal else "cannot reach the reconciler") in found.why


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


def test_a_copy_outside_of_every_unit_is_laid_over_what_the_reconciler_says(there: Places, see: See) -> None:
    asked = see(DUPLICATE, processes=(copy(),))
    known = row(last_activity="trades", last_heartbeat=NOON)
    shown = look(there, known, FEED).rows["sma"]
    assert asked == [["sma"]]
    assert (shown.status, shown.reason, shown.health) == (Status.WARNING, Reason.DUPLICATE_PROCESS, 60)
    assert (shown.message, shown.last_activity) == ("A copy runs outside.", "trades")
    assert (shown.observed_status, shown.observed_reason) == (Status.WARNING, Reason.DUPLICATE_PROCESS)


def test_a_lock_stays_on_top_of_what_is_seen(there: Places, see: See) -> None:
    see(DUPLICATE, processes=(copy(),))
    lock = Lock(Status.STOPPED, 0, "x", "alice", NOON + timedelta(hours=1))
    locked = row(status=Status.STOPPED, reason=Reason.LOCKED, lock=lock, observed_status=Status.RUNNING)
    shown = look(there, locked, FEED).rows["sma"]
    assert (shown.status, shown.reason) == (Status.STOPPED, Reason.LOCKED)
    assert (shown.observed_status, shown.observed_reason) == (Status.WARNING, Reason.DUPLICATE_PROCESS)


@pytest.mark.parametrize(
    ("known", "seen"),
    [
        (SILENT, DUPLICATE),
        (SILENT, row()),
        (row(status=Status.ERROR, reason=Reason.QUARANTINED, phase=Phase.FAILED), row(reason=Reason.NOT_STARTED)),
    ],
    ids=["silent beside a copy", "silent", "quarantined"],
)
def test_what_only_the_reconciler_can_know_is_not_covered(
    there: Places, see: See, known: StatusRow, seen: StatusRow
) -> None:
    see(seen, processes=(copy(),))
    shown = look(there, known, FEED).rows["sma"]
    assert (shown.status, shown.reason) == (known.status, known.reason)


def test_a_hidden_copy_of_an_agent_that_is_down_is_shown_before_its_quarantine(there: Places, see: See) -> None:
    see(HIDDEN, processes=(copy(),))
    known = row(status=Status.ERROR, reason=Reason.QUARANTINED, phase=Phase.FAILED)
    assert look(there, known, FEED).rows["sma"].reason is Reason.HIDDEN_PROCESS


@pytest.mark.parametrize(("phase", "looked_at"), [(Phase.FAILED, True), (Phase.ACTIVE, False)])
def test_processes_in_the_unit_of_an_agent_that_is_said_to_be_down_are_looked_at(
    there: Places, see: See, phase: Phase, looked_at: bool
) -> None:
    mine = copy(cgroup="/supervise.slice/agent@sma.service")
    asked = see(row(), processes=(mine,))
    known = row(status=Status.ERROR, reason=Reason.CRASHED, phase=phase)
    shown = look(there, known, FEED).rows["sma"]
    assert asked == ([["sma"]] if looked_at else [])
    assert shown.reason is (Reason.AS_WANTED if looked_at else Reason.CRASHED)


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


def test_without_a_reconciler_nothing_can_be_followed(there: Places) -> None:
    async def watched() -> None:
        async for _ in changes(there, SPECS):
            pytest.fail("nobody is there to tell")

    with pytest.raises(Unreachable):
        asyncio.run(watched())
