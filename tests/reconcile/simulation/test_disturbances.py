"""What comes over a whole host at once is no agent's fault: none is restarted for it, each keeps its life, and the
host's timeline tells of it once, and once of its end where it has one.

Ten agents that beat and are asked over the network; the real reconciler; clocks that jump.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from supervise.model import (
    EventKind,
    HeartbeatLimits,
    Instant,
    Probe,
    ProbeKind,
    ProbeResult,
    Question,
    Status,
)
from tests.nouns import seconds, spec
from tests.reconcile.simulation.world import World, told

PROBE = Probe(ProbeKind.TCP, ("exchange:443",), interval=seconds(5), timeout=seconds(2), failures=2)
BEATS = HeartbeatLimits(late_after=seconds(10), silent_after=seconds(15), written=True)
FLEET = [spec(f"a{number}", heartbeat=BEATS, live=PROBE) for number in range(10)]
MOST = [one.name for one in FLEET[:8]]
HOUR, DAY = 3600.0, timedelta(days=1)
CALM = 60.0
"""Seconds before and after it."""

Disturbance = Callable[[World], Awaitable[None]]


def clock_set(step: timedelta) -> Disturbance:
    async def happens(world: World) -> None:
        world.machine.clock.stepped += step

    return happens


async def sleeps(world: World) -> None:
    world.machine.clock.slept += seconds(HOUR)


async def stalls(world: World) -> None:
    """And the agents come to themselves after the reconciler."""
    world.machine.silenced |= world.machine.specs.keys()
    world.loop.call_later(23.0, world.machine.silenced.clear)
    world.loop.call_soon(world.loop.stand_still, 20.0)


async def reconciler_is_away(world: World) -> None:
    world.die()
    await asyncio.sleep(HOUR)
    world.wake()


async def most_fall_silent(world: World) -> None:
    world.machine.silenced |= {*MOST}
    await asyncio.sleep(CALM)
    world.machine.silenced.clear()


async def most_cannot_be_reached(world: World) -> None:
    well = world.network

    def cut(question: Question, now: Instant) -> ProbeResult:
        return ProbeResult(False, "refused", now, "refused") if question.name in MOST else well(question, now)

    world.network = cut
    await asyncio.sleep(CALM)
    world.network = well


DISTURBANCES: dict[str, tuple[Disturbance, list[str]]] = {
    "the clock is set forth by a day": (clock_set(DAY), []),
    "the clock is set back by a day": (clock_set(-DAY), []),
    "the machine sleeps for an hour": (sleeps, ["Resumed"]),
    "the reconciler is away for an hour": (reconciler_is_away, []),
    "the machine stalls for 20 s": (stalls, ["Stalled"]),
    "80 % of the agents fall silent for a minute": (most_fall_silent, ["Silent", "AgentsHeard"]),
    "80 % of the agents cannot be reached for a minute": (most_cannot_be_reached, ["ProbeFailing", "ProbesAnswer"]),
}
"""What happens, and which events of the host tell of it."""


@pytest.mark.parametrize("phase", [0.0, 0.3, 0.9, 2.1, 3.7])
@pytest.mark.parametrize("what", DISTURBANCES)
def test_nobody_is_restarted_for_what_comes_over_all(what: str, phase: float) -> None:
    happens, expected = DISTURBANCES[what]
    lives: list[dict[str, str | None]] = []

    async def story(world: World) -> None:
        for pause in (CALM + phase, CALM):
            await asyncio.sleep(pause)
            lives.append({name: unit.state.incarnation for name, unit in world.machine.units_of.items()})
            if len(lives) == 1:
                world.events.clear()
                await happens(world)
        assert world.life
        rows = world.life.reconciler.rows.values()
        assert {row.status for row in rows} == {Status.RUNNING}

    world = told(story, *FLEET)
    log = "\n".join(world.log)
    assert world.wrong == [], log
    assert lives[0] == lives[1]
    assert [one.reason for one in world.events if one.kind is EventKind.HOST] == expected, log
    assert not [one for one in world.events if one.kind is EventKind.ACTION], log
    if what not in list(DISTURBANCES)[-2:]:
        assert [one for one in world.events if one.kind is EventKind.STATUS] == [], log
