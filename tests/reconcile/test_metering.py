"""What is asked about what agents take, and what is made of the answer."""

from __future__ import annotations

from collections.abc import Mapping
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

    def look(self, lives: Mapping[str, Life]) -> dict[str, Usage]:
        self.asked.append(lives)
        return self.found


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
