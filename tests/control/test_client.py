"""The asking end of the control socket, against the real server and against what is none."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from supervise.control import client
from supervise.control.client import Refused, Unreachable, connect
from supervise.control.server import Denied, Request, Send
from supervise.errors import ExitCode, SuperviseError, UsageError
from tests.control.serving import behaving, echo, listening, run, serving

Leave = Callable[[Path], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


# --- Nobody there -----------------------------------------------------------------------------------------------------


def left_by_a_dead_one(path: Path) -> None:
    listening(path).close()


def a_file(path: Path) -> None:
    path.write_text("")


def a_datagram_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))


def nothing(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize("leave", [nothing, left_by_a_dead_one, a_file, a_datagram_socket])
def test_where_nobody_listens_that_is_said_at_once(path: Path, leave: Leave) -> None:
    async def work() -> None:
        leave(path)
        begin = time.monotonic()
        with pytest.raises(Unreachable, match=f"cannot reach the reconciler at {path}: ") as caught:
            async with connect(path):
                pass
        assert time.monotonic() - begin < client.PATIENCE / 5
        assert caught.value.exit_code is ExitCode.UNREACHABLE

    run(work())


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        (Path("/run/supervise/nobody-listens-here.sock"), "`systemctl status supervise-reconciler`"),
        (Path("/run/user/7/supervise/control.sock"), "`systemctl --user status supervise-reconciler`"),
        (Path("/run/supervised/control.sock"), "`systemctl --user status supervise-reconciler`"),
        (Path("/nowhere") / ("x" * 200), "`systemctl --user status supervise-reconciler`"),
    ],
)
def test_the_advice_names_the_service_manager_that_is_to_be_asked(path: Path, advice: str) -> None:
    async def work() -> None:
        with pytest.raises(Unreachable) as caught:
            async with connect(path):
                pass
        assert advice in str(caught.value)

    run(work())


# --- Somebody there who does not answer -------------------------------------------------------------------------------


def test_a_reconciler_that_hangs_is_not_waited_for(path: Path) -> None:
    async def work() -> None:
        with listening(path):
            async with connect(path) as control:
                with pytest.raises(Unreachable, match=r"cannot rows: the reconciler did not answer within 0\.05 s"):
                    await control.ask("rows", patience=0.05)

    run(work())


def test_a_reconciler_that_takes_no_connections_any_more_is_not_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PATIENCE", 0.05)

    async def work() -> None:
        with ExitStack() as stack:
            sock = stack.enter_context(listening(path))
            sock.listen(0)
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.connect(str(path))
            with pytest.raises(Unreachable):
                async with connect(path) as control:
                    await control.ask("rows", patience=0.05)

    run(work())


@pytest.mark.parametrize("said", [b"", b'{"id": 1', b'{"id": 1, "item": 1}\n', b'{"id": 1, "item": 1}\n{"id": 1'])
def test_a_reconciler_that_goes_in_the_middle_is_told_of(path: Path, said: bytes) -> None:
    async def goes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)

    async def work() -> None:
        async with behaving(path, goes):
            async with connect(path) as control:
                with pytest.raises(Unreachable, match="has closed the connection"):
                    await control.ask("rows")
            async with connect(path) as control:
                with pytest.raises(Unreachable, match="has closed the connection"):
                    [item async for item in control.stream("watch")]

    run(work())


def test_who_asks_a_reconciler_that_has_gone_is_told_so(path: Path) -> None:
    async def goes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """At once."""

    async def work() -> None:
        async with behaving(path, goes), connect(path) as control:
            for _ in range(3):
                with pytest.raises(Unreachable):
                    await control.ask("rows")

    run(work())


@pytest.mark.parametrize(
    "said", [b"\n", b"HTTP/1.1 400\n", b"[]\n", b'"id ok"\n', b"\xff\n", b'{"id": 1}\n', b'{"ok": true}\n']
)
def test_what_speaks_otherwise_is_no_reconciler(path: Path, said: bytes) -> None:
    async def speaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)

    async def work() -> None:
        async with behaving(path, speaks), connect(path) as control:
            with pytest.raises(Unreachable, match="no reconciler"):
                await control.ask("rows")

    run(work())


def test_an_answer_without_end_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST_ANSWER", 1000)

    async def work() -> None:
        async with serving(path, echo), connect(path) as control:
            with pytest.raises(Unreachable):
                await control.ask("rows", names=["x" * 5000])

    run(work())


# --- Answers ----------------------------------------------------------------------------------------------------------


async def gives(request: Request, send: Send) -> Any:
    for number in range(request.args.get("items", 0)):
        await send({"number": number})
    match request.op:
        case "deny":
            raise Denied("you may not")
        case "misuse":
            raise UsageError("not so")
        case "fail":
            raise SuperviseError("cannot do it")
    return {"op": request.op, "args": request.args}


def test_each_question_gets_its_result(path: Path) -> None:
    async def work() -> None:
        async with serving(path, gives), connect(path) as control:
            for names in (["sma"], [], ["ż\n", "\ud800"]):
                found = await control.ask("rows", names=names)
                assert found["op"] == "rows"
                assert [*found["args"]] == ["names"]
                assert len(found["args"]["names"]) == len(names)

    run(work())


@pytest.mark.parametrize(
    ("op", "code", "text"),
    [("deny", "denied", "you may not"), ("misuse", "usage", "not so"), ("fail", "failed", "cannot do it")],
)
def test_a_refusal_carries_its_code_and_the_next_question_is_answered(
    path: Path, op: str, code: str, text: str
) -> None:
    async def work() -> None:
        async with serving(path, gives), connect(path) as control:
            with pytest.raises(Refused) as caught:
                await control.ask(op)
            assert (caught.value.code, str(caught.value)) == (code, text)
            assert (await control.ask("rows"))["op"] == "rows"
            with pytest.raises(Refused) as caught:
                [item async for item in control.stream(op, items=2)]
            assert caught.value.code == code

    run(work())


def test_a_stream_gives_its_items_and_ends(path: Path) -> None:
    async def work() -> None:
        async with serving(path, gives), connect(path) as control:
            assert [item async for item in control.stream("watch", items=3)] == [{"number": n} for n in range(3)]
            assert [item async for item in control.stream("watch")] == []

    run(work())


def test_items_are_no_answer_to_who_asked_for_a_result(path: Path) -> None:
    async def work() -> None:
        async with serving(path, gives), connect(path) as control:
            assert (await control.ask("rows", items=3))["op"] == "rows"

    run(work())


def test_an_answer_that_comes_too_late_is_not_taken_for_that_to_the_next_question(path: Path) -> None:
    async def dawdles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the first question only with the second one."""
        questions = [json.loads(await reader.readline()) for _ in range(2)]
        for question in questions:
            writer.write(json.dumps({"id": question["id"], "ok": True, "result": question["op"]}).encode() + b"\n")

    async def work() -> None:
        async with behaving(path, dawdles), connect(path) as control:
            with pytest.raises(Unreachable):
                await control.ask("first", patience=0.02)
            assert await control.ask("second") == "second"

    run(work())


def test_what_the_reconciler_says_to_no_question_is_heard(path: Path) -> None:
    """Such as that there are too many connections: it says so before it has read anything."""

    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"id": null, "ok": false, "error": {"code": "busy", "message": "too many"}}\n')
        await reader.readline()

    async def work() -> None:
        async with behaving(path, refuses), connect(path) as control:
            with pytest.raises(Refused) as caught:
                await control.ask("rows")
            assert caught.value.code == "busy"

    run(work())
