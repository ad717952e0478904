"""One pass: by the reconciler that runs, or here; never here while one runs, however slow it is."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from supervise.control.client import Unreachable
from supervise.control.server import Request, Send, Server
from supervise.errors import NoSuchAgent, PlatformError
from supervise.manager import asker
from supervise.manifest import to_json
from supervise.model import Findings
from supervise.observe.watching import Watching
from supervise.places import Places
from supervise.reconcile import once as module
from supervise.reconcile.once import fix, once
from supervise.stores.sqlite import Sqlite
from tests.install.machine import Machine
from tests.nouns import places_in, spec
from tests.reconcile.rig import HOST, in_a_loop, manifest_of


@pytest.fixture
def there() -> Iterator[Places]:
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        found = places_in(Path(folder))
        for one in (found.manifests, found.runtime, found.units):
            one.mkdir(parents=True)
        found.manifest("trading").write_text(to_json(manifest_of(spec())))
        yield found


@asynccontextmanager
async def connected(machine: Machine) -> AsyncIterator[Machine]:
    yield machine


@asynccontextmanager
async def reconciler(there: Places, answer: Any) -> AsyncIterator[None]:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(there.control))
    server = Server(answer)
    await server.start(sock)
    try:
        yield
    finally:
        await server.close()
        sock.close()


@in_a_loop
async def test_a_reconciler_that_runs_makes_the_pass(there: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Systemd", lambda places: pytest.fail("two would look and act"))
    asked: list[str] = []

    async def answer(request: Request, send: Send) -> Any:
        asked.append(request.op)
        return {"rows": [{"name": "sma"}]} if request.op == "rows" else {}

    async with reconciler(there, answer):
        done = await once(there, host=HOST)
    assert asked == ["look", "rows"]
    assert done == {"by": "by the reconciler that runs", "rows": [{"name": "sma"}]}


@pytest.mark.parametrize("left", ["nothing", "a dead socket"])
@in_a_loop
async def test_where_none_runs_the_pass_is_made_here_and_written(
    there: Places, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    if left == "a dead socket":
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(there.control))
        sock.close()
    machine = Machine(there)
    monkeypatch.setattr(module, "Systemd", lambda places: connected(machine))
    monkeypatch.setattr(Watching, "look", lambda self, at, anew: Findings(at=at))
    done = await once(there, host=HOST)
    assert (done["by"], [one["name"] for one in done["rows"]]) == ("without a reconciler", ["sma"])
    assert "past" not in done["rows"][0]
    store = Sqlite.open(there.store, host=HOST)
    try:
        assert store.load().rows.keys() == {"sma"}
    finally:
        store.close()


@in_a_loop
async def test_one_that_runs_and_does_not_answer_is_not_doubled(there: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Systemd", lambda places: pytest.fail("two would look and act"))
    monkeypatch.setattr(module, "PATIENCE", 0.02)

    async def answer(request: Request, send: Send) -> Any:
        await asyncio.Event().wait()

    async with reconciler(there, answer):
        with pytest.raises(Unreachable, match="did not answer"):
            await once(there, host=HOST)
    assert not there.store.exists()


@pytest.mark.parametrize("asked", [once, fix])
@in_a_loop
async def test_before_the_first_install_it_says_so_and_makes_nothing(there: Places, asked: Any) -> None:
    for manifest in there.manifests.iterdir():
        manifest.unlink()
    before = sorted(there.state.iterdir()) if there.state.exists() else None
    with pytest.raises(NoSuchAgent, match="no agents are installed here"):
        await asked(there, host=HOST)
    assert (sorted(there.state.iterdir()) if there.state.exists() else None) == before


@in_a_loop
async def test_without_a_service_manager_it_fails_and_says_so(there: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(places: Places) -> Any:
        raise PlatformError("cannot reach systemd")

    monkeypatch.setattr(module, "Systemd", none)
    with pytest.raises(PlatformError, match="cannot reach systemd"):
        await once(there, host=HOST)
    assert not there.store.exists()


# --- What a pass changes ----------------------------------------------------------------------------------------------


@in_a_loop
async def test_a_fix_is_made_by_the_reconciler_that_runs_in_the_name_of_who_asks(there: Places) -> None:
    asked: list[Request] = []

    async def answer(request: Request, send: Send) -> Any:
        asked.append(request)
        return {"agents": 2, "events": [], "troubles": [], "remaining": []}

    async with reconciler(there, answer):
        done = await fix(there, host=HOST)
    assert [(one.op, one.args["by"]) for one in asked] == [("fix", asker())]
    assert done == {"by": "by the reconciler that runs", "agents": 2, "events": [], "troubles": [], "remaining": []}


@in_a_loop
async def test_where_none_runs_the_fix_is_made_here_once(there: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(module, "Systemd", lambda places: connected(Machine(there)))
    monkeypatch.setattr(Watching, "look", lambda self, at, anew: Findings(at=at))
    first = await fix(there, host=HOST)
    assert (first["by"], first["agents"]) == ("without a reconciler", 1)
    assert [one["name"] for one in first["events"]] == ["sma"]
    assert (await fix(there, host=HOST))["events"] == []


@in_a_loop
async def test_who_is_not_root_makes_no_fix_of_the_machine(there: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Unreachable):
        await fix(there, host=HOST)
