"""What the verbs tell the reconciler: who wanted what, and whether it was refused.

What they do is shown on a real systemd.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from supervise.manager import Manager
from supervise.model import Findings, IntentKind
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


def manager(folder: Path, heard: Heard, found: Findings) -> Manager:
    async def look() -> Findings:
        return found

    there = places_in(folder)
    return Manager(there, [manifest_of(spec(), spec("feed"))], Machine(there), inform=heard, look=look)


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


@pytest.mark.parametrize(("kill", "how"), [(True, "by SIGKILL at once (`force-stop`)"), (False, "")])
def test_of_a_stop_it_is_told_whether_it_was_a_kill(tmp_path: Path, kill: bool, how: str) -> None:
    heard = Heard()
    verbs = manager(tmp_path, heard, NOTHING)
    asyncio.run(verbs.stop(verbs.specs, tell=lambda result: None, kill=kill))
    assert heard.orders == [("stop", ["sma", "feed"], how)]


@pytest.mark.parametrize("kill", [True, False])
def test_what_a_unit_that_is_down_has_left_behind_is_killed_with_it_and_only_then(tmp_path: Path, kill: bool) -> None:
    verbs = manager(tmp_path, Heard(), Findings(inside={"sma": (copy(4711),)}))
    asyncio.run(verbs.stop(verbs.specs, tell=lambda result: None, kill=kill))
    assert isinstance(verbs.platform, Machine)
    wanted = ["stop agent@sma.service", "kill agent@sma.service"] if kill else []
    assert verbs.platform.orders == wanted


def test_who_runs_already_is_left_as_it_is(tmp_path: Path) -> None:
    verbs = manager(tmp_path, Heard(), NOTHING)
    for acted in (True, False):
        (result,) = asyncio.run(verbs.start(verbs.specs[:1], tell=lambda result: None, settle=timedelta()))
        assert result.acted is acted
