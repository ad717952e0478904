"""What the verbs tell the reconciler: who wanted what, and whether it was refused.

What they do is shown on a real systemd.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from supervise.manager import Manager
from supervise.model import Action, ActionKind, Findings, IntentKind, Outcome, Phase, Snapshot
from supervise.places import Places
from tests.install.machine import Machine
from tests.nouns import copy, places_in, spec
from tests.reconcile.rig import manifest_of

NOTHING = Findings()
BESIDE = Findings(outside={"sma": (copy(4711),)})


class Heard:
    """A reconciler that takes down its orders."""

    def __init__(self) -> None:
        self.orders: list[tuple[str, list[str], str]] = []

    async def order(self, what: str, names: Sequence[str], *, kind: IntentKind | None = None, reason: str = "") -> None:
        self.orders.append((what, list(names), reason))

    async def look(self, pids: Sequence[int] = ()) -> None:
        """Nothing changes on disk."""

    async def ready(self, lives: Mapping[str, str], *, patience: timedelta) -> Mapping[str, str] | None:
        return None


class SlowToStop(Machine):
    """Its stops begin only when the machine has been looked at twice, and end with a kill."""

    killed_in: Phase | None = None

    def __init__(self, places: Places) -> None:
        super().__init__(places)
        self.looks: int | None = None
        self.killed = asyncio.Event()

    async def snapshot(
        self, names: Collection[str] | None = None, *, known: Collection[str] = (), endings: bool = True
    ) -> Snapshot:
        found = await super().snapshot(names, known=known, endings=endings)
        if self.looks is not None:
            self.looks += 1
        phase = Phase.STOPPING if (self.looks or 0) >= 2 else Phase.ACTIVE
        return replace(found, states={name: replace(one, phase=phase) for name, one in found.states.items()})

    async def perform(self, action: Action) -> Outcome:
        if action.kind is ActionKind.STOP:
            self.looks = 0
            await self.killed.wait()
        elif action.kind is ActionKind.KILL:
            self.killed_in = (await self.snapshot([action.name])).states[action.name].phase
            self.killed.set()
        return Outcome(True)


def manager(folder: Path, heard: Heard, found: Findings) -> Manager:
    async def look() -> Findings:
        return found

    there = places_in(folder)
    return Manager(there, [manifest_of(spec(), spec("feed"))], Machine(there), inform=heard, look=look)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervise.manager.DEATH_PAUSE", timedelta())


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_an_order_that_is_refused_is_told_as_that(tmp_path: Path, verb: str) -> None:
    heard = Heard()
    verbs = manager(tmp_path, heard, BESIDE)
    results = asyncio.run(getattr(verbs, verb)(verbs.specs, tell=lambda result: None, settle=timedelta()))
    assert [(one.name, one.ok, one.acted) for one in results] == [("sma", False, False), ("feed", True, True)]
    done, refused = heard.orders
    assert done == (verb, ["feed"], "")
    assert refused[:2] == (verb, ["sma"])
    assert refused[2].startswith("refused: a copy runs outside its unit: PID 4711")


def test_of_one_that_runs_outside_of_its_unit_it_is_told_what_ends_it(tmp_path: Path) -> None:
    verbs = manager(tmp_path, Heard(), Findings(foreground={"sma": (copy(4711),)}))
    (result,) = asyncio.run(verbs.start(verbs.specs[:1], replace_copies=True, tell=lambda result: None))
    text = "it runs outside of its unit, in the foreground or adopted (PID 4711); `supervise stop sma` ends it"
    assert (result.ok, result.text) == (False, text)


@pytest.mark.parametrize(("kill", "how"), [(True, "at once (`force-stop`)"), (False, "")])
def test_of_a_stop_it_is_told_whether_it_was_a_kill(tmp_path: Path, kill: bool, how: str) -> None:
    heard = Heard()
    verbs = manager(tmp_path, heard, NOTHING)
    asyncio.run(verbs.stop(verbs.specs, tell=lambda result: None, kill=kill))
    assert heard.orders == [("stop", ["sma", "feed"], how)]


@pytest.mark.parametrize("kill", [True, False])
@pytest.mark.usefixtures("hurried")
def test_what_a_unit_that_is_down_has_left_behind_is_killed_with_it_and_only_then(tmp_path: Path, kill: bool) -> None:
    verbs = manager(tmp_path, Heard(), Findings(inside={"sma": (copy(4711),)}))
    asyncio.run(verbs.stop(verbs.specs, tell=lambda result: None, kill=kill))
    assert isinstance(verbs.platform, Machine)
    wanted = ["stop agent@sma.service", "kill agent@sma.service"] if kill else []
    assert verbs.platform.orders == wanted


@pytest.mark.parametrize(("after", "killed"), [(2, True), (1000, False)], ids=["in a moment", "never"])
@pytest.mark.usefixtures("hurried")
def test_what_dies_a_moment_after_its_kill_is_killed(tmp_path: Path, after: int, killed: bool) -> None:
    verbs = manager(tmp_path, Heard(), NOTHING)
    looks = iter(range(2000))

    async def dies() -> Findings:
        return Findings(inside={"sma": (copy(4711),)}) if next(looks) <= after else NOTHING

    verbs._look = dies
    (result,) = asyncio.run(verbs.stop(verbs.specs[:1], tell=lambda result: None, kill=True))
    assert (result.ok, "cannot be killed: PID 4711 lives on" in result.text) == (killed, not killed)


def test_what_its_last_run_has_left_behind_blocks_a_start(tmp_path: Path) -> None:
    verbs = manager(tmp_path, Heard(), Findings(inside={"sma": (copy(4711),)}))
    (result,) = asyncio.run(verbs.start(verbs.specs[:1], tell=lambda result: None, settle=timedelta()))
    assert result.text.startswith("its last run has left processes behind: PID 4711")
    assert not result.ok


def test_who_is_started_by_somebody_else_just_now_has_left_nothing_behind(tmp_path: Path) -> None:
    verbs = manager(tmp_path, Heard(), NOTHING)

    async def started_meanwhile() -> Findings:
        await verbs.platform.perform(Action(ActionKind.START, "sma", "agent@sma.service", "by somebody else"))
        return Findings(inside={"sma": (copy(4711),)})

    verbs._look = started_meanwhile
    (result,) = asyncio.run(verbs.start(verbs.specs[:1], tell=lambda result: None, settle=timedelta()))
    assert result.ok


def test_a_kill_waits_until_its_stop_has_begun(tmp_path: Path) -> None:
    verbs = manager(tmp_path, Heard(), NOTHING)
    machine = SlowToStop(verbs.places)
    verbs.platform = machine
    asyncio.run(verbs.stop(verbs.specs[:1], tell=lambda result: None, kill=True))
    assert machine.looks == 3  # the last of them by the kill
    assert machine.killed_in is Phase.STOPPING


def test_who_runs_already_is_left_as_it_is(tmp_path: Path) -> None:
    verbs = manager(tmp_path, Heard(), NOTHING)
    for acted in (True, False):
        (result,) = asyncio.run(verbs.start(verbs.specs[:1], tell=lambda result: None, settle=timedelta()))
        assert result.acted is acted
