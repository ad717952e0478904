"""The serving end of the control socket, over real ones. Other users are this one under another number."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from supervise.control import LONGEST_REQUEST, OPERATORS, server
from supervise.control.server import Denied, Peer, Request, Send, peer_of
from supervise.errors import PlatformError, SuperviseError, UsageError
from tests.control.serving import Asker, asking, echo, eventually, listening, run, serving

STRANGER = 4_200_000_001
GROUP = 4_200_000_002
OWNER = 4_200_000_003
MUCH = "x" * (8 * server.BACKLOG)
As = Callable[[int], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
def peers_are(monkeypatch: pytest.MonkeyPatch) -> As:
    """Who connects from now on has this uid."""

    def become(uid: int) -> None:
        monkeypatch.setattr(server, "peer_of", lambda sock: replace(peer_of(sock), uid=uid))

    return become


# --- Questions and answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 0, -5, "a word", "ż", None])
def test_an_answer_carries_the_id_of_its_question(path: Path, number: object) -> None:
    async def work() -> None:
        async with serving(path, echo), asking(path) as peer:
            peer.say({"id": number, "op": "rows", "args": {"names": ["sma"]}})
            result = {"op": "rows", "args": {"names": ["sma"]}}
            assert await peer.heard() == {"id": number, "ok": True, "result": result}

    run(work())


def test_questions_that_come_together_are_answered_one_after_the_other(path: Path) -> None:
    async def work() -> None:
        async with serving(path, echo), asking(path) as peer:
            peer.say(b"".join(b'{"id": %d, "op": "x"}\n' % number for number in range(20)))
            assert [(await peer.heard())["id"] for _ in range(20)] == list(range(20))

    run(work())


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"?\n",
        b"[]\n",
        b"null\n",
        b"{}\n",
        b'{"id": 1}\n',
        b"\xff\xfe\n",
        b'{"op": 1}\n',
        b'{"op": null}\n',
        b'{"op": "x", "args": [1]}\n',
        b'{"op": "x", "args": "y"}\n',
        b'{"op": "x", "id": 1.5}\n',
        b'{"op": "x", "id": [1]}\n',
        b'{"op": "x", "id": NaN}\n',
        b"[" * 60_000 + b"\n",
        b"9" * 60_000 + b"\n",
    ],
)
def test_a_line_that_is_no_question_is_told_so_and_the_next_one_is_answered(path: Path, line: bytes) -> None:
    async def work() -> None:
        async with serving(path, echo), asking(path) as peer:
            peer.say(line)
            answer = await peer.heard()
            assert (answer["id"], answer["ok"], answer["error"]["code"]) == (None, False, "usage")
            assert (await peer.answer("rows"))["ok"]

    run(work())


def test_the_longest_question_is_answered_and_of_a_longer_one_the_connection_ends(path: Path) -> None:
    async def work() -> None:
        frame = len(b'{"op": ""}')
        async with serving(path, echo), asking(path) as peer:
            peer.say(b'{"op": "%s"}\n' % (b"x" * (LONGEST_REQUEST - frame)))
            assert (await peer.heard())["ok"]
            peer.say(b'{"op": "%s"}\n' % (b"x" * (LONGEST_REQUEST + 1)))
            error = (await peer.heard())["error"]
            assert (error["code"], str(LONGEST_REQUEST) in error["message"]) == ("usage", True)
            assert await peer.heard() is None

    run(work())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("cannot do that"), "usage"),
        (Denied("cannot let you"), "denied"),
        (SuperviseError("cannot do it"), "failed"),
        (PlatformError("cannot ask"), "failed"),
    ],
)
def test_each_error_has_its_code_and_its_sentence(path: Path, error: SuperviseError, code: str) -> None:
    async def fails(request: Request, send: Send) -> Any:
        if request.op == "fail":
            raise error
        return "fine"

    async def work() -> None:
        async with serving(path, fails), asking(path) as peer:
            expected = {"id": 1, "ok": False, "error": {"code": code, "message": str(error)}}
            assert await peer.answer("fail") == expected
            assert (await peer.answer("go on"))["result"] == "fine"

    run(work())


def test_a_fault_of_ours_ends_the_connection_it_came_over_and_no_other(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(request: Request, send: Send) -> Any:
        return 1 / int(request.args.get("by", 1))

    async def work() -> None:
        async with serving(path, breaks), asking(path) as other, asking(path) as peer:
            assert await peer.answer("x", args={"by": 0}) is None
            assert (await other.answer("x"))["result"] == 1.0

    with caplog.at_level(logging.ERROR):
        run(work())
    assert "ZeroDivisionError" in caplog.text
    assert f"uid {os.getuid()}" in caplog.text


def test_halves_of_surrogate_pairs_and_other_oddities_come_back_as_text(path: Path) -> None:
    async def work() -> None:
        async with serving(path, echo), asking(path) as peer:
            peer.say(b'{"id": "\\ud800", "op": "\\u2028\\n"}\n')
            assert await peer.heard() == {"id": "?", "ok": True, "result": {"op": "\u2028\n", "args": {}}}

    run(work())


# --- Streams ----------------------------------------------------------------------------------------------------------


class Endless:
    """An operation that tells one thing and then waits for ever, unless it is ended."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def __call__(self, request: Request, send: Send) -> Any:
        if request.op != "watch":
            return "fine"
        try:
            await send("first")
            await asyncio.Event().wait()
        finally:
            self.ended.set()


def test_items_come_before_the_result_and_the_conversation_goes_on(path: Path) -> None:
    async def counts(request: Request, send: Send) -> Any:
        for number in range(3):
            await send(number)
            await asyncio.sleep(0)
        if request.op == "fail":
            raise SuperviseError("cannot go on")
        return "done"

    async def work() -> None:
        async with serving(path, counts), asking(path) as peer:
            for op, ok in (("count", True), ("fail", False), ("count", True)):
                peer.say({"id": op, "op": op})
                assert [await peer.heard() for _ in range(3)] == [{"id": op, "item": number} for number in range(3)]
                assert (await peer.heard())["ok"] is ok

    run(work())


@pytest.mark.parametrize("way", ["closes", "stops sending", "says something", "says half of something"])
def test_a_stream_ends_when_its_peer_does_anything(path: Path, way: str) -> None:
    async def work() -> None:
        endless = Endless()
        async with serving(path, endless), asking(path) as peer:
            assert await peer.answer("watch") == {"id": 1, "item": "first"}
            assert not endless.ended.is_set()
            match way:
                case "closes":
                    peer.writer.close()
                case "stops sending":
                    peer.writer.write_eof()
                case "says something":
                    peer.say({"id": 2, "op": "rows"})
                case _:
                    peer.say(b"{")
            await endless.ended.wait()
            if way != "closes":
                assert await peer.heard() is None

    run(work())


def test_closing_ends_every_stream_and_every_conversation(path: Path) -> None:
    async def work() -> None:
        endless = Endless()
        async with serving(path, endless) as there, asking(path) as watcher, asking(path) as idle:
            await watcher.answer("watch")
            assert (await idle.answer("rows"))["ok"]
            await there.close()
            assert endless.ended.is_set()
            assert await watcher.heard() is None
            assert await idle.heard() is None

    run(work())


# --- Those that do not read -------------------------------------------------------------------------------------------


async def gives(request: Request, send: Send) -> Any:
    """`much` is more than anybody may leave unread, `some` more than the kernel keeps; `flow` gives without end."""
    while request.op == "flow":
        await send("x" * 100_000)
    return {"much": MUCH, "some": "x" * (server.BACKLOG // 2)}.get(request.op, "little")


def test_who_reads_gets_the_longest_answer_whole(path: Path) -> None:
    async def work() -> None:
        async with serving(path, gives), asking(path) as peer:
            assert (await peer.answer("much"))["result"] == MUCH

    run(work())


@pytest.mark.parametrize("op", ["much", "flow"])
def test_who_does_not_read_is_let_go_and_holds_nobody_up(path: Path, monkeypatch: pytest.MonkeyPatch, op: str) -> None:
    monkeypatch.setattr(server, "UNREAD", 0.1)

    async def work() -> None:
        async with serving(path, gives) as there:
            with socket.socket(socket.AF_UNIX) as deaf:
                deaf.connect(str(path))
                deaf.send(b'{"id": 1, "op": "%s"}\n' % op.encode())
                await eventually(lambda: there._connections.total() == 1)
                async with asking(path) as other:
                    assert (await other.answer("rows"))["result"] == "little"
                await eventually(lambda: there._connections.total() == 0)
                left = 0
                while piece := deaf.recv(1 << 20):
                    left += len(piece)
                assert left < server.BACKLOG

    run(work())


def test_who_leaves_little_unread_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "UNREAD", 0.0)

    async def work() -> None:
        async with serving(path, gives), asking(path) as peer:
            peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
            peer.say({"id": 1, "op": "some"})
            async with asking(path) as other:
                assert (await other.answer("rows"))["result"] == "little"
            peer.reader._transport.resume_reading()  # type: ignore[attr-defined]
            assert len((await peer.heard())["result"]) == server.BACKLOG // 2

    run(work())


def test_a_connection_counts_until_its_answers_are_fetched(
    path: Path, monkeypatch: pytest.MonkeyPatch, peers_are: As
) -> None:
    """Or else one after the other could be opened, asked over and left, each with its memory and its descriptor."""
    monkeypatch.setattr(server, "MOST_OF_ONE_USER", 1)
    peers_are(STRANGER)

    async def work() -> None:
        async with serving(path, gives) as there, asking(path) as lazy:
            lazy.reader._transport.pause_reading()  # type: ignore[attr-defined]
            lazy.say({"id": 1, "op": "some"})
            lazy.writer.write_eof()
            await eventually(lambda: there._connections.total() == 1)
            for _ in range(3):
                async with asking(path) as peer:
                    assert (await peer.heard())["error"]["code"] == "busy"
            lazy.reader._transport.resume_reading()  # type: ignore[attr-defined]
            assert (await lazy.heard())["ok"]
            await eventually(lambda: there._connections.total() == 0)
            async with asking(path) as peer:
                assert (await peer.answer("rows"))["result"] == "little"

    run(work())


def test_what_is_left_behind_unread_is_kept_for_a_while_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "UNREAD", 0.1)

    async def work() -> None:
        async with serving(path, gives) as there, asking(path) as lazy:
            lazy.reader._transport.pause_reading()  # type: ignore[attr-defined]
            lazy.say({"id": 1, "op": "some"})
            lazy.writer.write_eof()
            await eventually(lambda: there._connections.total() == 1)
            await eventually(lambda: there._connections.total() == 0)
            lazy.reader._transport.resume_reading()  # type: ignore[attr-defined]
            assert len(await lazy.reader.read()) < server.BACKLOG // 2

    run(work())


# --- How many and how often -------------------------------------------------------------------------------------------


async def _is_served(peer: Asker) -> bool:
    return bool((await peer.answer("rows"))["ok"])


def test_a_user_has_so_many_connections_and_a_new_one_when_one_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch, peers_are: As
) -> None:
    monkeypatch.setattr(server, "MOST_OF_ONE_USER", 2)
    peers_are(STRANGER)

    async def work() -> None:
        async with serving(path, echo) as there, asking(path) as first:
            assert await _is_served(first)
            async with asking(path) as second:
                assert await _is_served(second)
                async with asking(path) as third:
                    answer = await third.heard()
                    assert (answer["id"], answer["error"]["code"]) == (None, "busy")
                    assert await third.heard() is None
                peers_are(STRANGER + 1)
                async with asking(path) as other:
                    assert await _is_served(other)
                peers_are(STRANGER)
            await eventually(lambda: there._connections.total() == 1)
            async with asking(path) as fourth:
                assert await _is_served(fourth)

    run(work())


def test_all_users_together_have_so_many_connections_and_root_always_one_more(
    path: Path, monkeypatch: pytest.MonkeyPatch, peers_are: As
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 1)

    async def work() -> None:
        async with serving(path, echo):
            peers_are(STRANGER)
            async with asking(path) as first:
                assert await _is_served(first)
                peers_are(STRANGER + 1)
                async with asking(path) as second:
                    assert (await second.heard())["error"]["code"] == "busy"
                peers_are(0)
                async with asking(path) as root:
                    assert await _is_served(root)

    run(work())


@pytest.mark.parametrize("connections", [1, 3])
def test_who_asks_too_often_waits_over_however_many_connections(
    path: Path, monkeypatch: pytest.MonkeyPatch, peers_are: As, connections: int
) -> None:
    monkeypatch.setattr(server, "RATE", 50.0)
    monkeypatch.setattr(server, "BURST", 3.0)
    peers_are(STRANGER)
    questions = 9

    async def ask(number: int) -> None:
        async with asking(path) as peer:
            for _ in range(number):
                assert await _is_served(peer)

    async def work() -> None:
        async with serving(path, echo):
            begin = time.monotonic()
            await asyncio.gather(*(ask(questions // connections) for _ in range(connections)))
            assert time.monotonic() - begin >= (questions - 3) / 50 * 0.9

    run(work())


def test_what_one_user_has_used_up_is_not_missed_by_another_and_root_has_no_limit(
    path: Path, monkeypatch: pytest.MonkeyPatch, peers_are: As
) -> None:
    """With this rate a question too much would wait for a day."""
    monkeypatch.setattr(server, "RATE", 1e-5)
    monkeypatch.setattr(server, "BURST", 2.0)

    async def work() -> None:
        async with serving(path, echo):
            for uid, questions in ((STRANGER, 2), (STRANGER + 1, 2), (0, 20)):
                peers_are(uid)
                async with asking(path) as peer:
                    for _ in range(questions):
                        assert await _is_served(peer)

    run(work())


# --- Rights -----------------------------------------------------------------------------------------------------------


def test_the_kernel_tells_who_a_peer_is() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_of(ours) == Peer(os.getpid(), os.getuid(), frozenset({os.getgid(), *os.getgroups()}))


def test_all_the_groups_of_a_peer_are_known(path: Path) -> None:
    extra = [GROUP, OWNER] if os.getuid() == 0 else None  # only root gives itself new ones; others have theirs
    code = "import socket, sys; one = socket.socket(socket.AF_UNIX); one.connect(sys.argv[1]); sys.stdin.read()"
    words = (sys.executable, "-ISc", code, str(path))
    with listening(path) as sock, subprocess.Popen(words, stdin=subprocess.PIPE, extra_groups=extra) as child:
        with sock.accept()[0] as connection:
            groups = {os.getgid(), *(extra or os.getgroups())}
            assert peer_of(connection) == Peer(child.pid, os.getuid(), frozenset(groups))
        child.communicate()


@pytest.mark.parametrize(
    ("uid", "groups", "operators", "may"),
    [
        (0, set(), None, True),
        (OWNER, set(), None, True),
        (STRANGER, {GROUP}, GROUP, True),
        (STRANGER, {GROUP + 1, GROUP}, GROUP, True),
        (STRANGER, {GROUP}, None, False),
        (STRANGER, {GROUP + 1}, GROUP, False),
        (STRANGER, set(), GROUP, False),
        (GROUP, set(), GROUP, False),
    ],
)
def test_root_the_owner_and_the_operators_may_act(
    monkeypatch: pytest.MonkeyPatch, uid: int, groups: set[int], operators: int | None, may: bool
) -> None:
    monkeypatch.setattr(server, "_operators", lambda: operators)
    monkeypatch.setattr(os, "getuid", lambda: OWNER)
    assert Peer(1, uid, frozenset(groups)).may_act is may


def test_where_there_is_no_group_of_operators_nobody_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "OPERATORS", "no-such-group-on-this-host")
    assert server._operators() is None


def test_a_user_without_a_name_has_a_number() -> None:
    assert Peer(1, STRANGER, frozenset()).name == f"uid {STRANGER}"
    assert Peer(1, 0, frozenset()).name == "root"


def test_who_may_not_act_is_told_what_that_takes_and_may_read(path: Path, peers_are: As) -> None:
    async def acts(request: Request, send: Send) -> Any:
        if request.op == "stop":
            request.require_right_to_act()
        return request.peer.uid

    async def work() -> None:
        async with serving(path, acts):
            async with asking(path) as owner:
                assert (await owner.answer("stop"))["result"] == os.getuid()
            peers_are(STRANGER)
            async with asking(path) as peer:
                error = (await peer.answer("stop"))["error"]
                assert error["code"] == "denied"
                assert f"uid {STRANGER} may read here but not stop" in error["message"]
                assert OPERATORS in error["message"]
                assert (await peer.answer("rows"))["result"] == STRANGER

    run(work())
