"""Whatever happens to a machine and its agents, crash upon hang upon lost signal: once nothing more happens all becomes
as people want it, and then nothing more is done. Never is anything done to what is not seen, nor are two things done at
once, nor one inside a backoff, nor to a process or a life that is another by now.

The machine is simulated, its reconciler is the real one. A story that fails is told by its steps and by its log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from supervise.model import (
    AgentSpec,
    HeartbeatLimits,
    HiddenPolicy,
    Lost,
    Notify,
    Probe,
    ProbeKind,
    Quarantine,
    Rate,
    Restart,
)
from tests.nouns import minutes, seconds, spec
from tests.reconcile.simulation.world import World, told

BEGINNING, LONGEST = 8.0, 90.0
"""Seconds in which nothing happens yet, and that anything lasts."""
WITHIN, CALM, STILL = 400.0, 10.0, 90.0
"""Seconds within which all is well again, in which that lasts, and in which then nothing is done."""


# --- To whom it happens -----------------------------------------------------------------------------------------------


def agent(name: str, **changes: Any) -> AgentSpec:
    """One for which everything goes quickly."""
    restart = Restart(delay=seconds(0.5), burst=3, window=seconds(10), loop=Rate(4, minutes(2)))
    quarantine = Quarantine(first=seconds(5), factor=2.0, max=seconds(40), settle=seconds(60))
    return spec(name, restart=restart, quarantine=quarantine, stop_timeout=seconds(2), **changes)


PROBE = Probe(ProbeKind.COMMAND, ("/bin/check",), interval=seconds(5), timeout=seconds(2), failures=2)
BEATS = HeartbeatLimits(late_after=seconds(10), silent_after=seconds(20), written=True)
FLEET = (
    agent("plain"),
    agent("careful", hidden=HiddenPolicy.STOP),
    agent("guarded", notify=Notify.ALWAYS, watchdog=seconds(6)),
    agent("beating", heartbeat=BEATS, hidden=HiddenPolicy.STOP),
    agent("probed", live=PROBE),
)

# --- What happens -----------------------------------------------------------------------------------------------------

Happening = Callable[[World, str, float], object]
"""In the world, to whom, and for how many seconds."""


def dies(code: int) -> Happening:
    return lambda world, whom, length: world.machine.units_of[whom].dies(code=code)


def hangs(world: World, whom: str, length: float) -> None:
    """Of one that gives no sign of life nobody can tell."""
    if whom not in ("plain", "careful"):
        world.machine.units_of[whom].hangs()


def dies_again_and_again(world: World, whom: str, length: float) -> None:
    world.machine.doomed[whom] = world.loop.time() + length
    world.machine.units_of[whom].dies()


def is_copied(world: World, whom: str, length: float) -> None:
    pid = world.machine.begins(whom)
    world.loop.call_later(length, world.machine.begins_anew, pid)
    world.loop.call_later(2 * length, world.machine.ends, pid)


def is_asked(what: str, *, of_us: bool) -> Happening:
    return lambda world, whom, length: world.ask(what, whom, of_us=of_us)


def fault(name: str) -> Happening:
    def begins(world: World, whom: str, length: float) -> None:
        setattr(world.machine, name, True)
        world.loop.call_later(length, setattr, world.machine, name, False)

    return begins


def signals_are_lost(world: World, whom: str, length: float) -> None:
    """And it says so afterwards, as a reload of systemd does."""
    fault("lossy")(world, whom, length)
    world.loop.call_later(length, world.machine.tells, Lost("reloaded"))


def the_bus_breaks(world: World, whom: str, length: float) -> None:
    fault("cut")(world, whom, length)
    world.machine.tells(None)


def the_reconciler_dies(world: World, whom: str, length: float) -> None:
    world.die()
    world.loop.call_later(length, world.wake)


HAPPENINGS: dict[str, Happening] = {
    "is killed": dies(9),
    "exits with 0": dies(0),
    "hangs": hangs,
    "dies again and again": dies_again_and_again,
    "is copied": is_copied,
    "is stopped": is_asked("stop", of_us=True),
    "is started": is_asked("start", of_us=True),
    "is restarted": is_asked("restart", of_us=True),
    "is stopped by systemctl": is_asked("stop", of_us=False),
    "is started by systemctl": is_asked("start", of_us=False),
    "is restarted by systemctl": is_asked("restart", of_us=False),
    "signals vanish": fault("lossy"),
    "signals are lost": signals_are_lost,
    "the bus breaks": the_bus_breaks,
    "the scan is away": fault("blind"),
    "the manager is slow": fault("slow"),
    "the reconciler dies": the_reconciler_dies,
    "the machine boots, but for one": lambda world, whom, length: world.boot(without=whom),
}


@dataclass(frozen=True)
class Step:
    """After a pause of so many seconds something happens."""

    pause: float
    what: str
    whom: str = "plain"
    length: float = 0.0


@st.composite
def stories(draw: st.DrawFn) -> list[Step]:
    """Only a few kinds of things happen to only a few agents in each of them: so they happen upon each other."""
    words = draw(st.lists(st.sampled_from(sorted(HAPPENINGS)), min_size=3, max_size=17, unique=True))
    names = draw(st.lists(st.sampled_from([one.name for one in FLEET]), min_size=1, max_size=5, unique=True))
    pauses, lengths = (0.0, 0.01, 0.3, 1.0, 3.0, 8.0, 20.0), (0.2, 2.0, 8.0, 30.0, LONGEST)
    step = st.builds(
        Step, st.sampled_from(pauses), st.sampled_from(words), st.sampled_from(names), st.sampled_from(lengths)
    )
    return draw(st.lists(step, min_size=1, max_size=30))


def ends_well(steps: Sequence[Step]) -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(BEGINNING)
        for step in steps:
            await asyncio.sleep(step.pause)
            world.note(f"--- {step}")
            HAPPENINGS[step.what](world, step.whom, step.length)
        await asyncio.sleep(LONGEST)
        await world.becomes_calm(within=WITHIN, calm=CALM)
        await world.keeps_still(STILL)

    world = told(story, *FLEET)
    assert not world.wrong, "\n".join((world.wrong[0], *world.log))


CRASHED = Step(0, "dies again and again", "plain", 8.0)
"""It is tried again 10 s after that; to write that down takes half a second."""
BETWEEN = 10.2
UNHEARD = [Step(0, "signals vanish", length=LONGEST), Step(0, "hangs", "beating"), Step(16, "is killed", "beating")]
SLOWLY = [Step(0, "the manager is slow", length=LONGEST), Step(0, "hangs", "probed"), Step(12, "hangs", "probed")]


@settings(max_examples=20, derandomize=True)
@example([Step(1, "is copied", "careful", 0.5)])
@example([CRASHED, Step(BETWEEN, "is copied", "plain", 2.0)])
@example([CRASHED, Step(BETWEEN, "is stopped", "plain")])
@example([CRASHED, Step(BETWEEN, "the scan is away", length=8.0)])
@example(UNHEARD)
@example(SLOWLY)
@given(stories())
def test_every_story_ends_well(steps: list[Step]) -> None:
    ends_well(steps)


@pytest.mark.slow
@settings(max_examples=300, derandomize=True)
@given(stories())
def test_many_more_stories_end_well(steps: list[Step]) -> None:
    ends_well(steps)
