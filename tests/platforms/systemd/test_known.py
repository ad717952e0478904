"""Whether all is as it was signalled: asked with one list, and one question about each agent that is active."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from supervise.errors import PlatformError
from supervise.model import Phase, UnitState
from supervise.platforms.systemd.bus import CallFailed
from supervise.platforms.systemd.platform import Systemd
from tests.nouns import alive, places_in, state
from tests.reconcile.rig import in_a_loop

LIFE = "0b" * 16
ACTIVE = ("loaded", "active", "running")


class Manager:
    """What it lists, by agent, and the lives of those units."""

    def __init__(self, listed: dict[str, tuple[str, str, str]]) -> None:
        self.listed = listed
        self.lives: dict[str, Any] = {}

    async def call(self, member: str, signature: str, *body: Any) -> list[Any]:
        assert (member, body) == ("ListUnitsByPatterns", ([], ["agent@*.service"]))
        return [
            [[f"agent@{name}.service", "", *words, "", name, 0, "", "/"] for name, words in self.listed.items()],
        ]

    async def property(self, path: str, interface: str, name: str) -> bytes:
        assert name == "InvocationID"
        found = self.lives.get(path, bytes.fromhex(LIFE))
        if isinstance(found, Exception):
            raise found
        return bytes(found)


def known(*states: UnitState) -> dict[str, UnitState]:
    return {one.name: one for one in states}


def runs(name: str = "sma") -> UnitState:
    return alive(f"{LIFE}/7/1000", name=name)


async def is_as_known(tmp_path: Path, manager: Manager, *states: UnitState) -> bool:
    systemd = Systemd(places_in(tmp_path))
    systemd._bus = manager  # type: ignore[assignment]
    return await systemd.is_as_known(known(*states))


@in_a_loop
async def test_all_is_as_known_where_phases_and_lives_are(tmp_path: Path) -> None:
    manager = Manager({"sma": ACTIVE, "old": ("loaded", "failed", "failed")})
    down = (state(Phase.FAILED, "old"), state(Phase.INACTIVE, "never"), state(Phase.ABSENT, "gone"))
    assert await is_as_known(tmp_path, manager, runs(), *down)


@pytest.mark.parametrize(
    "states",
    [
        (),
        (state(Phase.STARTING),),
        (runs(), runs("breakout")),
        (alive("0c" * 16 + "/7/1000"),),
        (alive(incarnation=None),),
    ],
    ids=["listed and not known", "another phase", "known and not listed", "another life", "no life known"],
)
@in_a_loop
async def test_whatever_differs_is_noticed(tmp_path: Path, states: tuple[UnitState, ...]) -> None:
    assert not await is_as_known(tmp_path, Manager({"sma": ACTIVE}), *states)


@in_a_loop
async def test_a_unit_that_is_unloaded_meanwhile_differs(tmp_path: Path) -> None:
    manager = Manager({"sma": ACTIVE})
    manager.lives["sma"] = CallFailed("Get", "org.freedesktop.DBus.Error.UnknownObject", "")
    assert not await is_as_known(tmp_path, manager, runs())


@in_a_loop
async def test_where_systemd_does_not_answer_nothing_is_said_of_it(tmp_path: Path) -> None:
    manager = Manager({"sma": ACTIVE})
    manager.lives["sma"] = PlatformError("cannot Get: the connection to D-Bus was lost")
    with pytest.raises(PlatformError):
        await is_as_known(tmp_path, manager, runs())
