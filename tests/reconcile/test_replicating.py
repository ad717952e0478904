"""The replica beside the daemon: when there is one, and what people do in the table."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from supervise import clock
from supervise.model import Findings, IntentKind, Lock, ReconcilerSettings, Scope, Status, SupabaseTarget
from supervise.places import Places
from supervise.reconcile import replicating as module
from supervise.reconcile.daemon import Daemon
from supervise.reconcile.disk import Disk
from supervise.reconcile.replicating import NOTE
from supervise.stores import Change, EventQuery
from supervise.stores.supabase import client
from supervise.stores.supabase.faults import Fault, Kind
from tests.install.machine import Machine
from tests.nouns import alive, places_in, row, spec
from tests.reconcile.rig import HOST, in_a_loop, manifest_of, until
from tests.stores.nouns import event
from tests.stores.supabase.there import There

TARGET = SupabaseTarget("https://x.supabase.co")


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> There:
    found = There()
    monkeypatch.setattr(client, "Client", lambda access: found)
    monkeypatch.setattr(module, "LOOK", 0.02)
    monkeypatch.setattr("supervise.stores.supabase.flusher.TICK", 0.02)
    return found


@pytest.fixture
def places() -> Iterator[Places]:
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        (Path(folder) / "SUPABASE_SECRET_KEY").write_text("sb_secret_PlantedPlanted")
        yield places_in(Path(folder))


def installed(target: SupabaseTarget | None = TARGET, *, remote: bool = False) -> Disk:
    sma = spec()
    settings = ReconcilerSettings(remote_control=remote)
    manifest = manifest_of(sma, supabase=target, reconciler=settings)
    return Disk(specs={sma.name: sma}, manifests=(manifest,))


@asynccontextmanager
async def running(places: Places, disk: Disk, **environ: str) -> AsyncIterator[Daemon]:
    """A daemon of which only the store and the replica work."""
    credentials = {"CREDENTIALS_DIRECTORY": str(places.state.parent)}
    daemon = Daemon(places, host=HOST, environ={**credentials, **environ})
    daemon.replicating._settings = places.state / "none"
    memory = await daemon.writer.start()
    daemon.reconciler.remember(memory)
    daemon.replicating.remember(memory.notes)
    daemon.reconciler.take_disk(disk)
    task = asyncio.ensure_future(daemon.replicating.run())
    try:
        yield daemon
        assert not task.done(), task.result()
    finally:
        task.cancel()
        await daemon.replicating.close()
        await daemon.writer.close()
        daemon._control.close()
        daemon._beats.socket.close()


def commit(daemon: Daemon, **changes: Any) -> Any:
    found = row("sma", **changes)
    daemon.reconciler.rows["sma"] = found
    return daemon.writer.commit(Change(rows={"sma": found}))


# --- Whether there is one ---------------------------------------------------------------------------------------------


@in_a_loop
async def test_what_is_written_here_is_there_soon(places: Places, there: There) -> None:
    async with running(places, installed()) as daemon:
        await commit(daemon, pid=7)
        await until(lambda: there.rows.get("sma", {}).get("pid") == 7)
        await until(lambda: (daemon.replicating.info() or {})["behind"] == 0)
        info = daemon.replicating.info()
        assert info is not None
        assert (info["where"], info["why"], daemon.replicating.troubles()) == (TARGET.url, "", [])
        kept = tuple(span.total_seconds() for span in daemon.retention())
        await until(lambda: there.kept == kept)


@in_a_loop
async def test_where_none_is_configured_nothing_is_kept_and_nothing_said(places: Places, there: There) -> None:
    async with running(places, installed(None)) as daemon:
        await commit(daemon)
        await asyncio.sleep(0.1)
        assert (daemon.replicating.info(), daemon.replicating.troubles()) == (None, [])
        assert await daemon.writer.outbox_depth() == 0
        assert there.log == []


def test_a_daemon_without_one_imports_nothing_of_it() -> None:
    script = """import sys, supervise.reconcile.daemon
print(sorted(one for one in sys.modules if one.split(".")[0] in ("supabase", "postgrest", "httpx", "realtime")
    or one.startswith("supervise.stores.supabase.") and one != "supervise.stores.supabase.keys"))"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@in_a_loop
async def test_one_that_is_configured_later_gets_everything_and_one_that_is_taken_back_gets_no_more(
    places: Places, there: There
) -> None:
    async with running(places, installed(None)) as daemon:
        await commit(daemon, pid=1)
        daemon.reconciler.take_disk(installed())
        await until(lambda: there.rows.get("sma", {}).get("pid") == 1)
        daemon.reconciler.take_disk(installed(None))
        await until(lambda: daemon.replicating.state is None)
        await until(lambda: there.closed == 1)
        await commit(daemon, pid=2)
        assert there.rows["sma"]["pid"] == 1


@in_a_loop
async def test_a_key_that_is_missing_is_a_trouble_in_words_and_no_end(places: Places, there: There) -> None:
    (places.state.parent / "SUPABASE_SECRET_KEY").unlink()
    async with running(places, installed()) as daemon:
        await until(lambda: daemon.replicating.state and daemon.replicating.state.why)
        (trouble,) = daemon.replicating.troubles()
        assert trouble.startswith("Supabase: there is no key for it")
        assert trouble in daemon.host_status(clock.now()).message
        (places.state.parent / "SUPABASE_SECRET_KEY").write_text("sb_secret_PlantedPlanted")
        await until(lambda: daemon.replicating.troubles() == [])


@in_a_loop
async def test_events_of_before_it_was_looked_for_are_kept_where_it_was_there_before(
    places: Places, there: There
) -> None:
    async with running(places, installed()) as daemon:
        await until(lambda: there.epoch)
        await commit(daemon)
    async with running(places, installed()) as daemon:
        daemon.reconciler.tell(event("early"))
        await until(lambda: "early" in there.events)


@in_a_loop
async def test_nothing_is_kept_any_more_where_it_was_taken_back_while_no_daemon_ran(
    places: Places, there: There, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(places, installed()) as daemon:
        await until(lambda: there.epoch)
        there.failing = Fault(Kind.AWAY, "connection refused")
        daemon.reconciler.tell(event("waits"))
    async with running(places, installed(None)) as daemon:
        await asyncio.sleep(0.1)
        await commit(daemon)
        assert await daemon.writer.outbox_depth() == 0
    assert "Supabase is not wanted any more; 1 row that waited" in caplog.text


@in_a_loop
async def test_a_project_folder_that_is_closed_to_us_ends_nothing(places: Places, there: There) -> None:
    disk = installed(None)
    (manifest,) = disk.manifests
    closed = places.state / ("long" * 100) / "agents.yaml"  # here a Path raises, also for root
    disk = replace(disk, manifests=(replace(manifest, source=closed),))
    async with running(replace(places, scope=Scope.USER), disk) as daemon:
        await asyncio.sleep(0.1)
        assert daemon.replicating.troubles() == []


@in_a_loop
async def test_what_waits_for_too_long_is_not_sent_any_more(places: Places, there: There) -> None:
    there.failing = Fault(Kind.AWAY, "connection refused")
    async with running(places, installed()) as daemon:
        await until(lambda: daemon.replicating.troubles())
        now = clock.now()
        old, new = event("old", at=now.wall - timedelta(days=8)), event("new", at=now.wall)
        await daemon.writer.commit(Change(events=(old, new)))
        await daemon._prune(now)
        there.failing = None
        daemon.replicating.wake()
        await until(lambda: there.events and (daemon.replicating.info() or {})["dropped"] == 1)
        assert list(there.events) == ["new"]


@in_a_loop
async def test_its_trouble_is_told_in_words_that_do_not_change_each_second(places: Places, there: There) -> None:
    there.failing = Fault(Kind.AWAY, "connection refused")
    async with running(places, installed()) as daemon:
        await until(lambda: daemon.replicating.troubles() == ["Supabase: connection refused"])
        await commit(daemon)
        await until(lambda: (daemon.replicating.info() or {})["behind"] == 1)
        assert daemon.replicating.troubles() == ["Supabase: connection refused"]
        there.failing = KeyError("sb_secret_PlantedPlanted")
        bug = "Supabase: the replica has a bug (KeyError); the reconciler's log says more"
        await until(lambda: daemon.replicating.troubles() == [bug])
        there.failing = None
        await until(lambda: daemon.replicating.troubles() == [])


@in_a_loop
async def test_of_two_projects_that_disagree_the_first_counts_and_that_is_said(places: Places, there: There) -> None:
    disk = installed()
    other = manifest_of(spec("feed", project="web"), project="web", supabase=SupabaseTarget("https://y.supabase.co"))
    async with running(places, replace(disk, manifests=(*disk.manifests, other))) as daemon:
        await until(lambda: daemon.replicating.state and daemon.replicating.state.where)
        info = daemon.replicating.info()
        assert info is not None
        assert (info["where"], info["conflict"]) == (
            TARGET.url,
            "web name another Supabase than trading, whose is used",
        )


@in_a_loop
async def test_last_words_are_sent_at_the_end(places: Places, there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervise.stores.supabase.flusher.TICK", 3600.0)
    async with running(places, installed()) as daemon:
        await until(lambda: daemon.replicating.state and daemon.replicating.state.last_ok)
        await commit(daemon, pid=9)
        assert there.rows == {}
    assert there.rows["sma"]["pid"] == 9


@in_a_loop
async def test_a_call_that_hangs_holds_neither_the_daemon_nor_its_end_up(
    places: Places, there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LAST_CHANCE", 0.1)
    there.hangs = Event()
    async with running(places, installed()) as daemon:
        await until(lambda: there.log)
        assert await commit(daemon, pid=9)
        began = time.monotonic()
        await daemon.replicating.close()
        assert time.monotonic() - began < 2
        there.hangs.set()


@in_a_loop
async def test_a_users_own_reconciler_is_another_host(places: Places, there: There) -> None:
    user = replace(places, scope=Scope.USER)
    async with running(user, installed()) as daemon:
        await until(lambda: there.epoch)
        assert daemon.replicating.host.endswith(f"@{HOST}")


# --- People -----------------------------------------------------------------------------------------------------------


def lock(**changes: Any) -> dict[str, Any]:
    until = clock.now().wall + timedelta(hours=1)
    plain = {"status": "stopped", "health": 0, "reason": "night", "by": "ada", "until": until.isoformat()}
    return {**plain, **changes}


@in_a_loop
async def test_a_lock_in_the_table_locks_here_and_its_end_unlocks(places: Places, there: There) -> None:
    async with running(places, installed()) as daemon:
        await commit(daemon)
        await until(lambda: "sma" in there.rows)
        there.locks["sma"] = lock()
        await until(lambda: daemon.reconciler.rows["sma"].lock)
        found = daemon.reconciler.rows["sma"].lock
        assert found is not None
        assert (found.status, found.reason, found.by) == (Status.STOPPED, "night", "ada via Supabase")
        assert "ada via Supabase" in [one.by for one in await daemon.writer.events(EventQuery())]
        there.locks.clear()
        await until(lambda: daemon.reconciler.rows["sma"].lock is None)
        assert daemon.replicating.locked_there(("sma",)) == {}


@in_a_loop
async def test_a_lock_that_a_person_took_back_here_stays_off_also_after_a_restart(places: Places, there: There) -> None:
    async with running(places, installed()) as daemon:
        await commit(daemon)
        await until(lambda: "sma" in there.rows)
        there.locks["sma"] = lock()
        await until(lambda: daemon.reconciler.rows["sma"].lock)
        daemon.reconciler.lock(("sma",), None, by="root")
        assert set(daemon.replicating.locked_there(("sma", "feed"))) == {"sma"}
    async with running(places, installed()) as daemon:
        before = there.log.count("report_status")
        await until(lambda: there.log.count("report_status") > before + 3)
        assert daemon.reconciler.rows["sma"].lock is None


@in_a_loop
async def test_a_lock_that_was_made_here_since_outlives_the_one_in_the_table(places: Places, there: There) -> None:
    async with running(places, installed()) as daemon:
        await commit(daemon)
        await until(lambda: "sma" in there.rows)
        there.locks["sma"] = lock()
        await until(lambda: daemon.reconciler.rows["sma"].lock)
        ours = Lock(Status.WARNING, 50, "ours", "root", clock.now().wall + timedelta(hours=1))
        daemon.reconciler.lock(("sma",), ours, by="root")
        there.locks.clear()
        await until(lambda: daemon.replicating._locks == {})
        assert daemon.reconciler.rows["sma"].lock == ours


@in_a_loop
async def test_a_note_that_is_damaged_is_none(places: Places, there: There) -> None:
    async with running(places, installed()) as daemon:
        for text in ("{", "[]", "null", '{"sma": 3}'):
            daemon.replicating.remember({NOTE: text})
            assert daemon.replicating._locks == {}


def asked(there: There, kind: str = "restart", name: str = "sma") -> None:
    there.commands.append({"id": 4, "name": name, "kind": kind, "actor": "ada", "requested_at": ""})


async def nothing(**_: object) -> Findings:
    return Findings()


@in_a_loop
async def test_a_command_is_obeyed_where_the_manifest_says_so(
    places: Places, there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(places, installed(remote=True)) as daemon:
        daemon.following.platform = Machine(places)
        monkeypatch.setattr(daemon, "look", nothing)
        monkeypatch.setattr(daemon.scanning, "fresh", nothing)
        daemon.reconciler.take_all({"sma": alive()})
        asked(there, "stop")
        await until(lambda: there.finished)
        ((number, ok, detail),) = there.finished
        assert (number, ok) == (4, True), detail
        wish = daemon.reconciler.intents["sma"]
        assert (wish.kind, wish.by) == (IntentKind.STOP, "ada via Supabase")


@pytest.mark.parametrize(
    ("remote", "kind", "name", "words"),
    [
        (False, "stop", "sma", "takes no commands"),
        (True, "hold", "sma", "none of start, stop, restart"),
        (True, "stop", "nobody", "no agent nobody"),
        (True, "stop", "sma", "cannot be asked now"),
    ],
)
@in_a_loop
async def test_a_command_that_is_not_obeyed_is_answered(
    places: Places, there: There, remote: bool, kind: str, name: str, words: str
) -> None:
    async with running(places, installed(remote=remote)) as daemon:
        asked(there, kind, name)
        await until(lambda: there.finished)
        ((_, ok, detail),) = there.finished
        assert (ok, words in detail) == (False, True), detail
        assert daemon.reconciler.intents == {}
