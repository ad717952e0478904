"""Telling the reconciler: it hears everything, and nobody fails or waits for it where it cannot."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from supervise.control import informing
from supervise.control.informing import ByControl
from supervise.control.server import Denied, Request, Send
from supervise.model import IntentKind
from tests.control.serving import Behaviour, behaving, listening, run, serving


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


async def tell_all(inform: ByControl) -> None:
    await inform.order("stop", ["sma", "breakout"], kind=IntentKind.STOP, reason="for now")
    await inform.order("restart", ("sma",))
    await inform.look()


def test_what_a_person_does_is_told_in_their_name(path: Path) -> None:
    told: list[tuple[str, dict[str, Any]]] = []

    async def hear(request: Request, send: Send) -> Any:
        told.append((request.op, request.args))

    async def work() -> None:
        async with serving(path, hear):
            await tell_all(ByControl(path, by="ada"))

    run(work())
    assert told == [
        ("order", {"what": "stop", "kind": "stop", "names": ["sma", "breakout"], "by": "ada", "reason": "for now"}),
        ("order", {"what": "restart", "kind": None, "names": ["sma"], "by": "ada", "reason": ""}),
        ("look", {"pids": []}),
    ]


def test_it_is_told_before_anything_else_happens(path: Path) -> None:
    """Or a stop would be seen before it is known that somebody wanted it."""
    order: list[str] = []

    async def hear(request: Request, send: Send) -> Any:
        await asyncio.sleep(0)
        order.append("heard")

    async def work() -> None:
        async with serving(path, hear):
            await ByControl(path, by="ada").order("stop", ["sma"], kind=IntentKind.STOP)
            order.append("done")

    run(work())
    assert order == ["heard", "done"]


def test_where_there_is_no_reconciler_nothing_happens(path: Path) -> None:
    run(tell_all(ByControl(path, by="ada")))
    listening(path).close()
    run(tell_all(ByControl(path, by="ada")))


def test_whether_agents_are_ready_is_asked_with_patience(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informing, "PATIENCE", 0.02)
    asked: list[dict[str, Any]] = []

    async def answer(request: Request, send: Send) -> Any:
        asked.append(request.args)
        await asyncio.sleep(0.05)
        return {"sma": "", "ema": "no"}

    said: list[Any] = []

    async def work() -> None:
        async with serving(path, answer):
            lives = {"sma": "x/a", "ema": "x/b"}
            said.append(await ByControl(path, by="ada").ready(lives, patience=timedelta(seconds=5)))

    run(work())
    assert said == [{"sma": "", "ema": "no"}]
    assert asked == [{"lives": {"sma": "x/a", "ema": "x/b"}, "seconds": 5.0}]


def test_where_nobody_can_tell_whether_they_are_ready_it_is_not_known(path: Path) -> None:
    async def refuse(request: Request, send: Send) -> Any:
        raise Denied("there is no such operation")

    said: list[Any] = []

    async def ask() -> None:
        said.append(await ByControl(path, by="ada").ready({"sma": "x/a"}, patience=timedelta(seconds=5)))

    async def work() -> None:
        async with serving(path, refuse):
            await ask()

    run(work())
    path.unlink(missing_ok=True)
    run(ask())
    assert said == [None, None]


def test_a_refusal_stops_nobody(path: Path) -> None:
    async def refuse(request: Request, send: Send) -> Any:
        raise Denied("you may not")

    async def work() -> None:
        async with serving(path, refuse):
            await tell_all(ByControl(path, by="ada"))

    run(work())


def test_a_reconciler_that_hangs_is_waited_for_a_moment_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informing, "PATIENCE", 0.02)
    begin = time.monotonic()
    with listening(path):
        run(tell_all(ByControl(path, by="ada")))
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("said", [b"", b"?\n", b"[]\n", b'{"id": 1', b'{"id": 1}\n', b"\xff\n", b"x" * 100_000])
def test_what_answers_nonsense_or_goes_stops_nobody(path: Path, said: bytes) -> None:
    def behaviour(reads: bool) -> Behaviour:
        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if reads:
                await reader.readline()
            writer.write(said)

        return behave

    async def work() -> None:
        for reads in (True, False):
            async with behaving(path, behaviour(reads)):
                await tell_all(ByControl(path, by="ada"))
            path.unlink(missing_ok=True)

    run(work())
