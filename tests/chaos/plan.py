"""What is done to whom, and when: fixed by a seed, before anything is done.

Most faults befall an agent that nothing else is being done to; some come on top of another.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.crew import Member
from tests.chaos.faults import FAULTS, Fault

ON_TOP = 0.2
"""The share of faults that befall anybody, whatever is being done to them."""


@dataclass(frozen=True, slots=True)
class Step:
    """One fault. `at`: seconds from the begin; `name`: empty for the host; `lasts`: seconds until it is undone."""

    number: int
    at: float
    fault: str
    name: str
    lasts: float


def plan(
    seed: int, members: Sequence[Member], *, faults: int, pace: float, table: Mapping[str, Fault] = FAULTS
) -> tuple[Step, ...]:
    """So many faults, one every `pace` seconds on average."""
    chance = random.Random(seed)
    possible = [one for one in table.values() if one.of_host or any(map(one.befalls, members))]
    now, busy = 0.0, dict.fromkeys([*(one.name for one in members), ""], 0.0)
    steps = []
    for number in range(1, faults + 1):
        now += chance.expovariate(1 / pace)
        fault = chance.choices(possible, [one.weight for one in possible])[0]
        name = _target(chance, fault, members, busy, now)
        lasts = chance.uniform(*fault.lasts)
        steps.append(Step(number, now, fault.name, name, lasts))
        busy[name] = max(busy[name], now + lasts + fault.settles)
    return tuple(steps)


def _target(
    chance: random.Random, fault: Fault, members: Sequence[Member], busy: Mapping[str, float], now: float
) -> str:
    if fault.of_host:
        return ""
    fit = [one.name for one in members if fault.befalls(one)]
    free = [name for name in fit if busy[name] <= now]
    on_top = chance.random() < ON_TOP and not fault.undone
    return chance.choice(free if free and not on_top else fit)
