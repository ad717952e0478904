"""How the view of the platform stays true: over a platform in memory, and with a clock that only the test moves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from supervise.errors import PlatformError
from supervise.model import AgentSpec, Beat, Dependency, Lost, Phase, Ping, Requirement, Status, UnitState
from supervise.places import Places
from supervise.reconcile.following import FIRST_WAIT, LATEST_PING, LONGEST_WAIT, SOONEST_PING, YOUNG, Following
from tests.nouns import NOW, after, alive, dead, places_in, seconds, spec, state
from tests.platforms.systemd.patience import elapse, run
from tests.reconcile.rig import Rig
from tests.reconcile.scripted import Scripted

LOST = Lost("the bus was too fast")
MINUTE = 60


class Host:
    """A reconciler that follows a platform; what it takes for the platform when it connects is `platforms`' next, and
    the last of them for ever."""

    def __init__(self, folder: Path, *specs: AgentSpec) -> None:
        self.rig = Rig(folder, *specs)
        self.platforms: list[Scripted] = []
        self.following = Following(places_in(folder), self.rig.reconciler, connect=self._connect)
        self.folder = folder

    def platform(self, *states: UnitState) -> Scripted:
        found = Scripted(places_in(self.folder), *states)
        self.platforms.append(found)
        return found

    def _connect(self, places: Places) -> Scripted:
        assert places == places_in(self.folder)
        return self.platforms.pop(0) if len(self.platforms) > 1 else self.platforms[0]

    @asynccontextmanager
    async def follows(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.following.run())
        await settle()
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @property
    def sees(self) -> bool:
        return self.rig.reconciler.facts.unseen_since is None

    def phase(self, name: str = "sma") -> Phase:
        return self.rig.reconciler.states[name].phase

    def status(self, name: str = "sma") -> Status:
        return self.rig.reconciler.rows[name].status


async def settle() -> None:
    for _ in range(4):
        await elapse()


# --- Snapshots and signals --------------------------------------------------------------------------------------------


def test_a_first_snapshot_is_taken_before_anything_is_believed(tmp_path: Path) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec(), spec("breakout"))
        host.rig.reconciler.lose_sight()
        platform = host.platform(alive())
        platform.may_answer.clear()
        async with host.follows():
            assert not host.following.seen.is_set()
            assert not host.sees
            assert host.rig.reconciler.rows == {}
            platform.may_answer.set()
            await settle()
            assert host.following.seen.is_set()
            assert host.sees
            assert (host.status("sma"), host.phase("breakout")) == (Status.RUNNING, Phase.INACTIVE)
            assert platform.asked_for("snapshot") == [{"sma", "breakout"}]

    run(work)


def test_a_signal_is_decided_about_at_once_and_only_for_those_it_concerns(tmp_path: Path) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec(), spec("breakout"))
        platform = host.platform(alive(), alive(name="breakout"))
        async with host.follows():
            host.rig.take()
            host.rig.reconciler.take_state(dead(name="breakout"))  # whose turn comes with its own signal
            platform.told.put_nowait(dead())
            await settle()
            assert (host.phase(), host.status()) == (Phase.RESTARTING, Status.ERROR)
            assert {name for change in host.rig.changes for name in change.rows} == {"sma"}
            assert len(platform.asked_for("snapshot")) == 1

    run(work)


def test_where_signals_were_lost_all_is_asked_again(tmp_path: Path) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec(), spec("breakout"))
        platform = host.platform(alive(), alive(name="breakout"))
        async with host.follows():
            platform.states["sma"] = dead()
            del platform.states["breakout"]
            platform.told.put_nowait(LOST)
            await settle()
            assert (host.phase("sma"), host.status("sma")) == (Phase.RESTARTING, Status.ERROR)
            assert host.phase("breakout") is Phase.INACTIVE
            assert len(platform.asked_for("snapshot")) == 2

    run(work)


def test_all_is_asked_again_where_something_is_not_as_it_was_signalled(tmp_path: Path) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec(), spec("breakout"))
        platform = host.platform(alive(), alive(name="breakout"))
        async with host.follows():
            await host.following.check()
            assert len(platform.asked_for("snapshot")) == 1
            platform.states["sma"] = dead()  # and no signal of it came
            await host.following.check()
            assert (host.phase("sma"), host.status("sma")) == (Phase.RESTARTING, Status.ERROR)

    run(work)


def test_what_is_signalled_while_a_snapshot_is_taken_is_newer_than_it(tmp_path: Path) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec(), spec("breakout"))
        platform = host.platform(alive(), alive(name="breakout"))
        async with host.follows():
            platform.may_answer.clear()
            asking = asyncio.ensure_future(host.following.resync())
            await settle()
            platform.told.put_nowait(alive(phase=Phase.STOPPING))
            platform.told.put_nowait(dead())
            await settle()
            platform.may_answer.set()
            await asking
            assert (host.phase("sma"), host.status("sma")) == (Phase.RESTARTING, Status.ERROR)
            assert host.phase("breakout") is Phase.ACTIVE

            platform.states["sma"] = alive("b")  # what was signalled then undoes nothing later
            await host.following.resync()
            assert (host.phase("sma"), host.status("sma")) == (Phase.ACTIVE, Status.RUNNING)

    run(work)


def test_what_was_signalled_before_an_answer_does_not_undo_it_step_by_step(tmp_path: Path) -> None:
    """All is asked anew after a reload, and what was signalled meanwhile is older than the answers."""

    async def work() -> None:
        host = Host(tmp_path, spec())
        platform = host.platform(alive())
        async with host.follows():
            host.rig.take()
            platform.may_answer.clear()
            platform.states["sma"] = dead()
            for change in (LOST, alive(phase=Phase.STOPPING), dead()):
                platform.told.put_nowait(change)
            await settle()
            platform.may_answer.set()
            await settle()
            rows = [change.rows["sma"].status for change in host.rig.changes if "sma" in change.rows]
            assert rows == [Status.ERROR]

    run(work)


def test_a_second_question_waits_for_the_answer_to_the_first_and_all_who_wait_share_it(tmp_path: Path) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec())
        platform = host.platform(alive())
        async with host.follows():
            platform.asked.clear()
            platform.may_answer.clear()
            first = asyncio.ensure_future(host.following.resync())
            await settle()
            platform.told.put_nowait(dead())
            platform.states["sma"] = dead()
            others = [asyncio.ensure_future(host.following.resync()) for _ in range(3)]
            await settle()
            assert len(platform.asked_for("snapshot")) == 1
            platform.may_answer.set()
            await first
            assert host.phase() is Phase.RESTARTING
            await asyncio.gather(*others)
            assert host.phase() is Phase.RESTARTING
            assert len(platform.asked_for("snapshot")) == 2

    run(work)


def test_a_snapshot_that_fails_loses_no_signal(tmp_path: Path) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec())
        platform = host.platform(alive())
        async with host.follows():
            platform.may_answer.clear()
            asking = asyncio.ensure_future(host.following.resync())
            await settle()
            platform.told.put_nowait(dead())
            await settle()
            platform.gone = True
            platform.may_answer.set()
            with pytest.raises(PlatformError):
                await asking
            assert (host.phase(), host.status()) == (Phase.RESTARTING, Status.ERROR)
            platform.gone = False
            platform.told.put_nowait(alive("b"))
            await settle()
            assert host.phase() is Phase.ACTIVE

    run(work)


# --- The connection ---------------------------------------------------------------------------------------------------


def test_without_a_platform_nothing_is_asked_and_nothing_is_seen(tmp_path: Path) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec())
        host.rig.reconciler.take_all({"sma": alive(watchdog=seconds(30))})
        await host.following.resync()
        await host.following.look_at_drift({"sma"})
        assert await host.following.look_at_requirements() == set()
        await host.following.look_at_pings(NOW.monotonic)
        assert not host.following.seen.is_set()
        assert host.rig.reconciler.rows == {}

    run(work)


def test_a_platform_that_is_lost_is_no_longer_believed_and_asked_anew_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec())
        first, second = host.platform(alive()), host.platform(dead())
        async with host.follows():
            assert (host.following.platform, host.status()) == (first, Status.RUNNING)
            host.rig.clock.go_on(seconds(7))
            first.told.put_nowait(None)
            await settle()
            assert host.following.platform is None
            assert host.rig.reconciler.facts.unseen_since == after(seconds(7)).monotonic
            assert first.asked[-1][0] == "close"
            assert second.asked == []
            await elapse(FIRST_WAIT)
            await settle()
            assert host.following.platform is second
            assert host.sees
            assert host.status() is Status.ERROR

    with caplog.at_level(logging.WARNING):
        run(work)
    assert "the connection to D-Bus was lost; trying again" in caplog.text


def test_a_platform_that_cannot_be_asked_when_all_is_to_be_asked_is_lost_as_well(tmp_path: Path) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec())
        first, second = host.platform(alive()), host.platform(alive())
        async with host.follows():
            first.gone = True
            first.told.put_nowait(LOST)
            await settle()
            assert host.following.platform is None
            assert not host.sees
            await elapse(FIRST_WAIT)
            await settle()
            assert host.following.platform is second
            assert host.sees

    run(work)


def test_a_platform_that_stays_away_is_tried_ever_more_rarely_and_then_every_few_seconds(tmp_path: Path) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec())
        away = host.platform()
        away.gone = True
        tries: list[float] = []
        async with host.follows():
            for step in range(round(20 / 0.1)):
                tries += [step / 10] * (len(away.asked_for("connect")) - len(tries))
                await elapse(0.1 + 1e-9)
            gaps = [round(after - before, 1) for before, after in pairwise(tries)]
            assert gaps == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
            assert (gaps[0], gaps[-1]) == (FIRST_WAIT, LONGEST_WAIT)
            assert not host.sees
            assert not host.following.seen.is_set()

            away.gone = False
            await elapse(LONGEST_WAIT)
            await settle()
            assert host.sees
            tried = len(away.asked_for("connect"))
            away.told.put_nowait(None)
            await settle()
            await elapse(FIRST_WAIT)
            await settle()
            assert len(away.asked_for("connect")) == tried + 1  # it was back, so it is tried soon again

    run(work)


def test_a_fault_of_ours_is_not_taken_for_a_platform_that_is_gone(tmp_path: Path) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec())
        platform = host.platform(alive())
        platform.told.put_nowait("no change at all")  # type: ignore[arg-type]
        with pytest.raises(AttributeError):
            await asyncio.wait_for(host.following.run(), None)
        assert host.following.platform is None
        assert not host.sees

    run(work)


# --- Pings ------------------------------------------------------------------------------------------------------------


async def asked_in_a_minute(folder: Path, seen: UnitState, *, installed: bool = True, beats: float = 0) -> int:
    """How often the agent's pings are asked for, by who looks four times a second. `beats`: every so many seconds."""
    host = Host(folder, *([spec()] if installed else []))
    platform = host.platform(seen)
    async with host.follows():
        for tick in range(1, 4 * MINUTE + 1):
            now = after(seconds(tick / 4))
            if beats and tick / 4 % beats == 0:
                host.rig.reconciler.take_beat("sma", Beat(now, 7))
            await host.following.look_at_pings(now.monotonic)
    assert all(names == {"sma"} for names in platform.asked_for("pings"))
    return len(platform.asked_for("pings"))


@pytest.mark.parametrize(
    ("watchdog", "interval"),
    [
        (seconds(30), seconds(10)),
        (seconds(12), seconds(4)),
        (seconds(6), seconds(2)),
        (seconds(0.5), SOONEST_PING),
        (timedelta(hours=1), LATEST_PING),
    ],
)
def test_pings_are_asked_for_three_times_in_a_watchdog_interval_within_bounds(
    tmp_path: Path, watchdog: timedelta, interval: timedelta
) -> None:
    async def work() -> None:
        assert await asked_in_a_minute(tmp_path, alive(watchdog=watchdog)) == MINUTE / interval.total_seconds()

    run(work)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.ACTIVE])
def test_who_is_not_active_is_not_asked(tmp_path: Path, phase: Phase) -> None:
    async def work() -> None:
        assert await asked_in_a_minute(tmp_path, alive(phase=phase, watchdog=seconds(30))) == 0

    run(work)


def test_who_is_in_no_manifest_is_not_asked(tmp_path: Path) -> None:
    async def work() -> None:
        assert await asked_in_a_minute(tmp_path, alive(watchdog=seconds(30)), installed=False) == 0

    run(work)


def test_who_beats_is_not_asked_and_who_beats_too_rarely_is(tmp_path: Path) -> None:
    async def work() -> None:
        assert (
            await asked_in_a_minute(tmp_path / "often", alive(watchdog=seconds(30)), beats=5) == 1
        )  # before the first
        assert await asked_in_a_minute(tmp_path / "rarely", alive(watchdog=seconds(30)), beats=20) >= 3

    run(work)


def test_who_has_armed_no_watchdog_is_asked_while_it_is_young_and_the_older_the_more_rarely(tmp_path: Path) -> None:
    async def work() -> None:
        assert await asked_in_a_minute(tmp_path / "young", alive()) == 11  # each two seconds would be 30 times
        assert await asked_in_a_minute(tmp_path / "old", alive(start=after(-YOUNG))) == 0
        assert await asked_in_a_minute(tmp_path / "ageless", state()) == 0

    run(work)


def test_a_ping_that_was_asked_for_is_known_and_its_agent_looked_at(tmp_path: Path) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec(), spec("breakout"))
        platform = host.platform(alive(), alive(name="breakout", watchdog=seconds(30)))
        platform.ping_of["sma"] = Ping(after(seconds(2)).monotonic, seconds(9))
        async with host.follows():
            assert await host.following.look_at_pings(after(seconds(3)).monotonic) == {"sma", "breakout"}
            found = host.rig.reconciler.states["sma"]
            assert (found.last_ping, found.watchdog) == (after(seconds(2)).monotonic, seconds(9))
            assert await host.following.look_at_pings(after(seconds(5.5)).monotonic) == set()
            assert await host.following.look_at_pings(after(seconds(6)).monotonic) == {"sma"}

    run(work)


# --- What no signal tells ---------------------------------------------------------------------------------------------


def test_units_that_are_no_agents_are_asked_about_and_who_needs_them_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        needs = tuple(Dependency(unit, required=True) for unit in ("postgresql.service", "agent@breakout.service"))
        wants = (Dependency("redis.service"),)
        host = Host(tmp_path, spec(depends_on=needs), spec("breakout"), spec("report", depends_on=wants))
        platform = host.platform(alive())
        platform.required["postgresql.service"] = Requirement(active=True)
        async with host.follows():
            assert platform.asked_for("requirements") == [{"postgresql.service"}]
            assert host.rig.reconciler.required == {"postgresql.service": Requirement(active=True)}
            assert await host.following.look_at_requirements() == set()
            platform.required["postgresql.service"] = Requirement(active=False)
            assert await host.following.look_at_requirements() == {"sma"}

    run(work)


def test_where_nothing_foreign_is_required_nothing_is_asked(tmp_path: Path) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec())
        platform = host.platform(alive())
        async with host.follows():
            assert await host.following.look_at_requirements() == set()
            assert platform.asked_for("requirements") == []

    run(work)


def test_whose_files_changed_is_asked_whether_they_were_read_and_nobody_else(tmp_path: Path) -> None:
    async def work() -> None:
        host = Host(tmp_path, spec(), spec("breakout"))
        platform = host.platform(alive(), replace(alive(name="breakout"), needs_reload=True))
        async with host.follows():
            await host.following.look_at_drift(set())
            assert platform.asked_for("needing_reload") == []
            platform.stale = frozenset({"sma"})
            await host.following.look_at_drift({"sma"})
            assert platform.asked_for("needing_reload") == [{"sma"}]
            stale = {name for name, one in host.rig.reconciler.states.items() if one.needs_reload}
            assert stale == {"sma", "breakout"}
            platform.stale = frozenset()
            await host.following.look_at_drift({"sma", "breakout"})
            assert not any(one.needs_reload for one in host.rig.reconciler.states.values())

    run(work)
