"""What is asked about what agents take, and what is made of the answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from supervise.model import Phase, Usage
from supervise.observe.usage import Life
from supervise.reconcile.metering import Metering
from tests.nouns import alive, dead, spec, state
from tests.reconcile.rig import Rig, in_a_loop


class Told:
    """A meter that says what it was told to say, and keeps what it was asked."""

    def __init__(self, **found: Usage) -> None:
        self.found = found
        self.asked: list[Mapping[str, Life]] = []

    def look(self, lives: Mapping[str, Life], only: Collection[str] | None = None) -> dict[str, Usage]:
        self.asked.append({name: life for name, life in lives.items() if only is None or name in only})
        return {name: one for name, one in self.found.items() if only is None or name in only}


def metering(rig: Rig, meter: Any) -> Metering:
    return Metering(rig.reconciler, meter)


@in_a_loop
async def test_only_what_has_a_main_process_is_looked_at(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec(), spec("ema"), spec("feed"))
    rig.see(alive(pid=77), dead(name="ema"), state(Phase.INACTIVE, "feed"))
    meter = Told()
    await metering(rig, meter).look()
    assert meter.asked == [{"sma": Life("boot-1/a", "agent@sma.service", 77)}]


@in_a_loop
async def test_a_look_ends_in_rows_for_those_whose_figures_moved(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec(), spec("ema"))
    rig.see(alive(), alive(name="ema"))
    meter = Told(sma=Usage("boot-1/a", 0.5, 1 << 30, 3), ema=Usage("boot-1/a"))
    rig.take()
    await metering(rig, meter).look()
    assert [set(change.rows) for change in rig.changes] == [{"sma"}]
    rig.take()
    await metering(rig, meter).look()
    assert rig.changes == []


@in_a_loop
async def test_who_has_just_started_is_looked_at_twice_before_all_are_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec(), spec("ema"))
    rig.see(alive())
    meter = Told(sma=Usage("boot-1/a", 0.5, 1 << 30, 3), ema=Usage("boot-1/a", 0.1, 1 << 20, 1))
    looks = metering(rig, meter)
    await looks.look()
    rig.see(alive(), alive(name="ema"))
    for _ in range(4):
        await looks.look(only_young=True)
    assert [set(asked) for asked in meter.asked] == [{"sma"}, {"sma", "ema"}, {"ema"}]
    assert rig.reconciler.rows["ema"].memory == 1 << 20
    assert rig.reconciler.usage.keys() == {"sma", "ema"}
    await looks.look()
    assert set(meter.asked[-1]) == {"sma", "ema"}
