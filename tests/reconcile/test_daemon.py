"""The daemon's rhythm, and what it says of the machine and of itself. Only one test lets it run."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from supervise import __version__, clock
from supervise.control.client import connect
from supervise.manifest import to_json
from supervise.model import (
    Change,
    Event,
    HostStatus,
    Instant,
    Lost,
    Phase,
    ProbeResult,
    ProbeRole,
    ReconcilerSettings,
    Snapshot,
    Status,
    UnitState,
)
from supervise.places import Places
from supervise.reconcile import daemon as module
from supervise.reconcile.daemon import Daemon
from supervise.reconcile.disk import Disk
from supervise.reconcile.following import Following
from supervise.stores import EventQuery
from supervise.stores.sqlite import Sqlite
from supervise.stores.writer import Trouble
from tests.install.machine import Machine
from tests.nouns import NOON, NOW, after, alive, minutes, places_in, row, seconds, spec
from tests.reconcile.rig import HOST, in_a_loop, manifest_of, until
from tests.stores.nouns import hosts


class Heard:
    """What the service manager is told."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def ready(self) -> None:
        self.words.append("ready")

    def stopping(self) -> None:
        self.words.append("stopping")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        self.words.append("reloading")
        yield

    def passed(self, status: str) -> None:
        self.words.append(status)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """Places with a path that a socket's address has room for."""
    monkeypatch.setattr(module, "Notify", Heard)
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        yield places_in(Path(folder))


@asynccontextmanager
async def resting(there: Places) -> AsyncIterator[Daemon]:
    """A daemon with its sockets and its store, that does nothing by itself."""
    daemon = Daemon(there, host=HOST, environ={})
    await daemon.writer.start()
    try:
        yield daemon
    finally:
        await daemon.writer.close()
        daemon._control.close()
        daemon._beats.socket.close()


async def told(daemon: Daemon) -> list[Event]:
    return list(await daemon.writer.events(EventQuery()))


# --- Gaps -------------------------------------------------------------------------------------------------------------


def slept(length: timedelta, now: Instant = NOW) -> Instant:
    """After a suspend of that length the monotonic clock has not gone on."""
    return replace(now, wall=now.wall + length, boottime=now.boottime + length)


@pytest.mark.parametrize(
    ("now", "reason", "words"),
    [
        (slept(minutes(60), after(seconds(0.25))), "Resumed", "slept for 3600 s"),
        (slept(seconds(2.1), after(seconds(0.25))), "Resumed", "slept for 2 s"),
        (slept(minutes(1), after(seconds(30))), "Resumed", "slept for 60 s"),
        (after(seconds(7)), "Stalled", "Nothing ran for 7 s"),
    ],
    ids=["suspend", "short suspend", "both", "stall"],
)
@in_a_loop
async def test_a_suspend_or_a_stall_is_one_event_and_silence_before_it_counts_for_nothing(
    there: Places, now: Instant, reason: str, words: str
) -> None:
    async with resting(there) as daemon:
        before = clock.now().monotonic
        daemon._notice_gaps(NOW, now)
        (event,) = await told(daemon)
        assert (event.reason, words in event.message) == (reason, True)
        disturbed = daemon.reconciler.facts.disturbed
        assert disturbed
        assert before <= disturbed <= clock.now().monotonic


@in_a_loop
async def test_what_probes_have_said_before_a_gap_counts_no_more(there: Places) -> None:
    no = ProbeResult(False, "connection refused", NOW, "refused")
    for now in (slept(minutes(60), after(seconds(0.25))), after(seconds(20))):
        async with resting(there) as daemon:
            daemon.reconciler.take_all({"sma": alive()})
            daemon.reconciler.take_answer("sma", "boot-1/a", ProbeRole.LIVE, no)
            daemon._notice_gaps(NOW, after(seconds(0.25)))
            assert daemon.reconciler.probed["sma"].failed == 1
            daemon._notice_gaps(NOW, now)
            assert daemon.reconciler.probed["sma"].failed == 0


@pytest.mark.parametrize("now", [after(seconds(0.25)), after(seconds(5)), slept(seconds(2), after(seconds(1)))])
@in_a_loop
async def test_a_tick_that_is_a_little_late_is_no_gap(there: Places, now: Instant) -> None:
    async with resting(there) as daemon:
        daemon._notice_gaps(NOW, now)
        assert await told(daemon) == []
        assert daemon.reconciler.facts.disturbed is None


@in_a_loop
async def test_a_wall_clock_that_is_set_is_no_gap(there: Places) -> None:
    async with resting(there) as daemon:
        now = after(seconds(0.25))
        for step in (timedelta(days=400), timedelta(days=-400)):
            daemon._notice_gaps(NOW, replace(now, wall=now.wall + step))
        assert await told(daemon) == []


# --- What is due ------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_each_work_is_due_at_once_and_then_every_so_often(there: Places) -> None:
    async with resting(there) as daemon:
        moments = [0, 1, 9.9, 10, 15, 20.1, 25]
        due = [daemon._is_due("pass", seconds(10), after(seconds(n))) for n in moments]
        assert due == [True, False, False, True, False, True, False]
        assert daemon._is_due("disk", seconds(10), after(seconds(25)))


@in_a_loop
async def test_what_has_never_been_done_is_due_however_young_the_machine_is(there: Places) -> None:
    async with resting(there) as daemon:
        young = replace(NOW, monotonic=seconds(3))
        assert daemon._is_due("resync", minutes(1), young)


@in_a_loop
async def test_new_agents_are_asked_about_at_the_next_tick_even_just_after_boot(there: Places) -> None:
    async with resting(there) as daemon:
        young = replace(NOW, monotonic=seconds(30))
        assert daemon._is_due("resync", module.RESYNC, young)
        daemon.following.seen.set()
        install(there, spec())
        await daemon.look(everything=True)
        assert daemon._is_due("resync", module.RESYNC, after(seconds(0.25), young))


@in_a_loop
async def test_however_often_it_is_asked_the_disk_is_looked_at_only_so_often_but_for_who_may_act(
    there: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = NOW
    monkeypatch.setattr(clock, "now", lambda: moment)
    async with resting(there) as daemon:
        await daemon.look()
        install(there, spec())
        await daemon.look()
        assert daemon.reconciler.disk.specs.keys() == set()
        moment = after(module.SOONEST_LOOK)
        await daemon.look()
        assert daemon.reconciler.disk.specs.keys() == {"sma"}
        install(there, spec(), spec("feed"))
        await daemon.look(everything=True)
        assert daemon.reconciler.disk.specs.keys() == {"sma", "feed"}


def install(there: Places, *specs: Any) -> None:
    there.manifests.mkdir(parents=True, exist_ok=True)
    there.manifest("trading").write_text(to_json(manifest_of(*specs)))


@in_a_loop
async def test_a_reload_takes_over_what_no_stamp_tells_of_and_says_in_one_line_what_that_is(
    there: Places, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with resting(there) as daemon:
        install(there, spec(), spec("feed"))
        await daemon.look(everything=True)
        times = there.manifest("trading").stat()
        there.manifest("trading").write_text(there.manifest("trading").read_text().replace('"Sma"', '"Ams"'))
        os.utime(there.manifest("trading"), ns=(times.st_atime_ns, times.st_mtime_ns))
        assert daemon.reload() == "2 agents of 1 project; changed: sma"
        assert daemon.reconciler.disk.specs["sma"].title == "Ams"
        there.manifest("trading").write_text("{")
        assert "; project trading stays as it was: cannot read the manifest" in daemon.reload()
        assert daemon.reconciler.disk.specs.keys() == {"sma", "feed"}
        reloads = [line for line in caplog.messages if line.startswith("reloaded: ")]
        assert len(reloads) == 2


@in_a_loop
async def test_the_end_of_its_terminal_ends_it_and_any_other_hangup_is_a_reload(
    there: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with resting(there) as daemon:
        for on_terminal, still_there, ends in ((False, False, False), (True, True, False), (True, False, True)):
            ended = asyncio.Event()
            daemon._on_terminal = on_terminal
            monkeypatch.setattr(os, "isatty", lambda descriptor, now=still_there: now)
            daemon._hung_up(ended)
            assert ended.is_set() is ends
        heard = daemon.notify
        assert isinstance(heard, Heard)
        assert heard.words == ["reloading"] * 2


# --- Pruning ----------------------------------------------------------------------------------------------------------


async def pruned(daemon: Daemon, monkeypatch: pytest.MonkeyPatch, *settings: ReconcilerSettings) -> dict[str, datetime]:
    """Before when things go, with these settings of so many projects."""
    asked: dict[str, datetime] = {}

    async def prune(**before: datetime) -> int:
        asked.update(before)
        return 0

    monkeypatch.setattr(daemon.writer, "prune", prune)
    found = tuple(manifest_of(spec(), project=f"p{n}", reconciler=one) for n, one in enumerate(settings))
    daemon.reconciler.take_disk(Disk(manifests=found))
    await daemon._prune(NOW)
    return asked


@in_a_loop
async def test_everything_is_kept_as_long_as_the_project_wants_that_wants_it_longest(
    there: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = timedelta(days=1)
    async with resting(there) as daemon:
        asked = await pruned(
            daemon,
            monkeypatch,
            ReconcilerSettings(events_for=10 * days, samples_for=7 * days),
            ReconcilerSettings(events_for=5 * days, samples_for=9 * days),
        )
        assert asked == {"events_before": NOW.wall - 10 * days, "samples_before": NOW.wall - 9 * days}
        asked = await pruned(daemon, monkeypatch)
        assert asked == {"events_before": NOW.wall - 90 * days, "samples_before": NOW.wall - 30 * days}


@in_a_loop
async def test_who_keeps_things_longer_than_the_calendar_is_keeps_all(
    there: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with resting(there) as daemon:
        long = timedelta(days=3000 * 365)
        asked = await pruned(daemon, monkeypatch, ReconcilerSettings(events_for=long, samples_for=long))
        assert set(asked.values()) == {datetime.min.replace(tzinfo=UTC)}


# --- Beats ------------------------------------------------------------------------------------------------------------


def say(there: Places, *turns: int) -> None:
    """As an agent does, and as fast as it is read."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as agent:
        agent.connect(str(there.agent_socket))
        for turn in turns:
            agent.send(f'{{"agent": "sma", "activity": "turn {turn}"}}'.encode())


@in_a_loop
async def test_beats_are_taken_one_by_one_thick_and_fast_and_one_by_one_again(there: Places) -> None:
    async with resting(there) as daemon:
        daemon.reconciler.mains[os.getpid()] = "sma"
        loop = asyncio.get_running_loop()
        daemon._listen_to_agents(loop)
        for turns in ([1], range(2, 33), [33], [34]):
            await asyncio.to_thread(say, there, *turns)
            await until(lambda turns=turns: daemon.reconciler.tally.beats == turns[-1])  # type: ignore[misc]
        assert daemon.reconciler.beats["sma"].activity == "turn 34"
        await until(lambda: loop.remove_reader(daemon._beats.socket))  # it waits for the next one


# --- Floods -----------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_a_flood_is_told_once_a_minute_with_the_loudest_and_counts_as_a_disturbance_each_time(
    there: Places,
) -> None:
    async with resting(there) as daemon:
        for at, pid in ((0, 11), (30, 12), (59, 13), (61, 14)):
            daemon._beats.refused.counts["too many"] += 5
            daemon._beats.refused.senders[pid] += 5
            daemon._notice_flood(after(seconds(at)))
            if at != 61:
                assert len(await told(daemon)) == 1
        assert daemon.reconciler.facts.disturbed
        events = await told(daemon)
        assert [event.reason for event in events] == ["AgentSocketFlooded"] * 2
        assert "5 from PID 11." in events[0].message
        assert "5 from PID 14." in events[1].message
        assert daemon.refused == {"too many": 20}


@in_a_loop
async def test_between_two_words_about_a_flood_silence_still_counts_for_nothing(there: Places) -> None:
    async with resting(there) as daemon:
        daemon._notice_flood(NOW)
        daemon._notice_flood(after(seconds(30)))
        assert daemon.reconciler.facts.disturbed == after(seconds(30)).monotonic


# --- What it says of itself -------------------------------------------------------------------------------------------


@in_a_loop
async def test_a_store_in_trouble_is_logged_once_and_once_when_it_is_well_again(
    there: Places, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with resting(there) as daemon:
        full = 'cannot write "state.db": no space left'
        trouble = Trouble(full, NOW.wall)
        for now in (None, trouble, trouble, replace(trouble, lost=3), None, None):
            monkeypatch.setattr(type(daemon.writer), "trouble", now)
            daemon._tell_of_store()
            assert daemon.reconciler.facts.forgets is (now is not None)
        assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
            full,
            "the store is written again",
        ]
        monkeypatch.setattr(type(daemon.writer), "trouble", trouble)
        assert daemon._summary() == f"0 agents: none; the store cannot be written: {full}"
        monkeypatch.setattr(type(daemon.writer), "trouble", None)
        daemon.reconciler.rows = {
            "a": row("a"),
            "b": row("b"),
            "c": row("c", status=Status.ERROR),
        }
        assert daemon._summary() == "3 agents: 2 running, 1 error"


@in_a_loop
async def test_the_host_is_written_when_something_is_new_and_each_minute(
    there: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[int, HostStatus]] = []
    async with resting(there) as daemon:
        for second in range(0, 200, 5):
            now = after(seconds(second))
            trouble = Trouble("full", NOON) if 90 <= second < 100 else None
            monkeypatch.setattr(type(daemon.writer), "trouble", trouble)
            with monkeypatch.context() as patch:
                patch.setattr(daemon.writer, "commit", lambda change, at=second: written.append((at, change.host)))
                daemon._tell_of_host(now)
    assert [(at, host.message) for at, host in written] == [
        (0, ""),
        (60, ""),
        (90, "the store cannot be written: full"),
        (100, ""),
        (120, ""),
        (180, ""),
    ]
    last = written[-1][1]
    assert (last.platform, last.version, last.boot) == ("systemd", __version__, NOW.boot)
    assert (last.started_at, last.updated_at) == (daemon.since, after(seconds(180)).wall)


@in_a_loop
async def test_while_systemd_does_not_answer_our_watchdog_is_fed_and_the_view_grows_old(
    there: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK", 0.01)
    monkeypatch.setattr(module, "FEEDING", timedelta())
    asked = asyncio.Event()

    async def never_answered() -> set[str]:
        asked.set()
        await asyncio.Event().wait()
        return set()

    async with resting(there) as daemon:
        heard = daemon.notify
        assert isinstance(heard, Heard)
        monkeypatch.setattr(daemon.following, "look_at_requirements", never_answered)
        daemon.following.seen.set()
        tasks = [asyncio.ensure_future(work) for work in (daemon._rhythm(), daemon._questions())]
        await asked.wait()
        fed = len(heard.words)
        await until(lambda: len(heard.words) > fed + 3)
        assert daemon.reconciler.view_of is None
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


# --- Run --------------------------------------------------------------------------------------------------------------


class Followed(Machine):
    """A machine that can be followed: it tells nothing new."""

    async def __aenter__(self) -> Followed:
        return self

    async def __aexit__(self, *why: object) -> None:
        pass

    async def snapshot(self, *args: Any, **named: Any) -> Snapshot:
        found = await super().snapshot(*args, **named)
        return replace(found, states={name: lively(state) for name, state in found.states.items()})

    async def changes(self) -> AsyncIterator[Change]:
        yield Lost("the beginning")
        await asyncio.Event().wait()


def lively(state: UnitState) -> UnitState:
    now = clock.now()
    started = now.monotonic - seconds(60)
    return replace(state, pid=7, incarnation="boot/a", started_at=now.wall - seconds(60), started_monotonic=started)


@in_a_loop
async def test_a_daemon_answers_and_tells_and_ends_in_order_with_everything_written(
    there: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Followed(there)
    machine.running.add("agent@sma.service")
    monkeypatch.setattr(module, "Following", partial(Following, connect=lambda places: machine))
    monkeypatch.setattr(module, "TICK", 0.01)
    install(there, spec())
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    daemon = Daemon(there, host=HOST, environ={})
    running = asyncio.ensure_future(daemon.run())
    await until(lambda: daemon.reconciler.view_of or running.done())
    assert not running.done(), running.result()
    async with connect(there.control) as control:
        said = await control.ask("rows", names=["sma"])
        told = said["rows"][0]
        assert (told["phase"], told["reason"], said["reconciler"]["host"]) == ("active", "Drift", HOST)  # no unit file
        assert said["reconciler"]["view_age"] < 5
    heard = daemon.notify
    assert isinstance(heard, Heard)
    await until(lambda: heard.words[1:])
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: "reloading" in heard.words)
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    assert (heard.words[0], heard.words[1], heard.words[-1]) == ("ready", "1 agents: 1 warning", "stopping")
    for number, handler in zip(numbers, before, strict=True):
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, handler)
    daemon._control.close()
    daemon._beats.socket.close()
    store = Sqlite.open(there.store, host=HOST)
    try:
        assert store.load().rows["sma"].phase is Phase.ACTIVE
        assert [(event.name, event.after) for event in store.events(EventQuery())] == [("sma", Status.WARNING)]
    finally:
        store.close()
    (host,) = hosts(there.state)
    assert (host["host"], host["agents"], host["message"]) == (HOST, 1, "the reconciler was stopped")
