"""What is counted, and into which box of a histogram it goes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from supervise.model import Action, ActionKind, EventKind, Outcome
from supervise.reconcile.tally import BOUNDS, Durations, Tally
from tests.nouns import alive, seconds, spec
from tests.reconcile.rig import Rig, in_a_loop


def test_a_length_goes_into_the_first_box_that_is_large_enough() -> None:
    found = Durations()
    for length in (0, BOUNDS[0], BOUNDS[0] + 1e-6, BOUNDS[-1], BOUNDS[-1] + 1):
        found.add(timedelta(seconds=length))
    assert (found.counts[0], found.counts[1], found.counts[-2], found.counts[-1]) == (2, 1, 1, 1)
    assert sum(found.counts) == 5
    assert abs(found.total.total_seconds() - (2 * BOUNDS[0] + 2 * BOUNDS[-1] + 1)) < 1e-5


def test_an_action_counts_by_what_became_of_it() -> None:
    tally = Tally()
    outcomes = {
        "done": Outcome(True),
        "denied": Outcome(False, denied=True),
        "unmade": Outcome(False, unmade=True),
        "failed": Outcome(False),
    }
    for outcome in outcomes.values():
        tally.acted(ActionKind.RESTART, outcome)
    assert {result: tally.actions[ActionKind.RESTART, result] for result in outcomes} == dict.fromkeys(outcomes, 1)


def test_a_copy_stays_as_it_was() -> None:
    tally = Tally()
    copy = tally.copy()
    tally.passed(seconds(1), everyone=True)
    tally.beats += 1
    assert (sum(copy.passes["all"].counts), copy.beats) == (0, 0)


@in_a_loop
async def test_the_reconciler_counts_its_passes_events_and_actions(tmp_path: Path) -> None:
    rig = Rig(tmp_path, spec(), spec("feed"))
    tally = rig.reconciler.tally
    rig.see(alive(), alive(name="feed", pid=8))
    rig.reconciler.run_pass({"sma"})
    rig.reconciler.order("stop", ["sma"], by="ada")
    rig.reconciler.concluded(Action(ActionKind.START, "sma", "agent@sma.service", "Silent"), Outcome(True))
    assert sum(tally.passes["all"].counts) == 1
    assert sum(tally.passes["some"].counts) == 3
    assert (tally.events[EventKind.STATUS], tally.events[EventKind.ORDER], tally.events[EventKind.ACTION]) == (2, 1, 1)
    assert tally.actions[ActionKind.START, "done"] == 1
