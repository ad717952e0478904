"""TCP probes against real sockets, commands by how they end, and what all checkers have in common."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from supervise import probes
from supervise.clock import now
from supervise.model import Outcome, ProbeKind, ProbeRole, Question
from supervise.probes import CannotAsk, Failed, reaching, tcp
from tests.probes.serving import answer, free_port, probe, serving
from tests.reconcile.rig import in_a_loop, until

TCP, COMMAND = ProbeKind.TCP, ProbeKind.COMMAND
CHECK = probe(COMMAND, "/bin/check")


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


# --- tcp --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@in_a_loop
async def test_who_accepts_a_connection_is_good_and_the_connection_is_closed(host: str) -> None:
    ended = asyncio.Event()

    async def until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        ended.set()

    async with serving(until_closed) as port:
        result = await answer(probe(TCP, f"{host}:{port}"))
        assert (result.ok, result.detail) == (True, "it accepts connections")
        await asyncio.wait_for(ended.wait(), 5)


@in_a_loop
async def test_an_ipv6_address_stands_in_brackets() -> None:
    async with serving(silent, host="::1") as port:
        assert (await answer(probe(TCP, f"[::1]:{port}"))).ok


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@in_a_loop
async def test_where_nobody_listens_it_is_refused(host: str) -> None:
    result = await answer(probe(TCP, f"{host}:{free_port()}"))
    assert (result.ok, result.detail, result.network_error) == (False, "connection refused", "refused")


@in_a_loop
async def test_who_does_not_accept_in_time_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener whose queue is full: the kernel answers nothing any more."""
    monkeypatch.setattr(probes, "OVERTIME", timedelta(hours=1))  # which only a command has
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        where = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(where)
        async with asyncio.timeout(10):
            result = await answer(probe(TCP, f"127.0.0.1:{where[1]}", timeout=timedelta(milliseconds=100)))
        for one in waiting:
            one.close()
    assert (result.ok, result.detail, result.network_error) == (False, "no answer within 0.1 s", "timeout")


@in_a_loop
async def test_a_name_that_does_not_exist_is_not_found() -> None:
    result = await answer(probe(TCP, "nowhere.invalid:80"))
    assert (result.ok, result.network_error) == (False, "dns")


@pytest.mark.parametrize("numbers", [("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1")])
@in_a_loop
async def test_any_of_several_addresses_will_do(monkeypatch: pytest.MonkeyPatch, numbers: tuple[str, str]) -> None:
    async def both(host: str, port: int, *, patience: float) -> tuple[reaching.Address, ...]:
        return tuple((socket.AF_INET, number, port) for number in numbers)

    monkeypatch.setattr(tcp, "addresses", both)
    async with serving(silent) as port:
        assert (await answer(probe(TCP, f"twice:{port}"))).ok
    assert (await answer(probe(TCP, f"twice:{free_port()}"))).network_error == "refused"


@in_a_loop
async def test_of_several_addresses_a_dead_one_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first accepts nothing, as a black hole does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        dead = listener.getsockname()[1]
        full = [socket.socket() for _ in range(4)]
        for one in full:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", dead))
        async with serving(silent) as port:

            async def both(host: str, asked: int, *, patience: float) -> tuple[reaching.Address, ...]:
                return (socket.AF_INET, "127.0.0.1", dead), (socket.AF_INET, "127.0.0.1", port)

            monkeypatch.setattr(tcp, "addresses", both)
            assert (await answer(probe(TCP, f"twice:{port}", timeout=timedelta(seconds=1)))).ok
        for one in full:
            one.close()


# --- command ----------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_a_command_says_what_its_end_says() -> None:
    good, bad = Outcome(True, "exited with code 0"), Outcome(False, "exited with code 3")
    assert [(one.ok, one.detail) for one in (await answer(CHECK, good), await answer(CHECK, bad))] == [
        (True, "exited with code 0"),
        (False, "exited with code 3"),
    ]
    with pytest.raises(CannotAsk, match="it may not"):
        await answer(CHECK, Outcome(False, "it may not", unmade=True))


@in_a_loop
async def test_a_command_whose_manager_never_tells_is_not_known_to_have_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(name: str, role: ProbeRole) -> Outcome:
        await asyncio.Event().wait()
        return Outcome(True)

    monkeypatch.setattr(probes, "OVERTIME", timedelta(milliseconds=20))
    asked = probe(COMMAND, "/bin/check", timeout=timedelta(milliseconds=20))
    with pytest.raises(CannotAsk, match="did not tell in time"):
        await probes.ask(Question("sma", ProbeRole.LIVE, asked), run=run, clock=now)


# --- Errors -----------------------------------------------------------------------------------------------------------


def meant(error: BaseException) -> tuple[type[Exception], str, str | None]:
    found = reaching.meaning(error)
    return type(found), str(found), getattr(found, "network_error", None)


@pytest.mark.parametrize(
    ("error", "kind", "words", "word"),
    [
        (OSError(errno.ECONNREFUSED, "x"), Failed, "connection refused", "refused"),
        (OSError(errno.EHOSTUNREACH, "x"), Failed, "no route to host", "unreachable"),
        (OSError(errno.ENETUNREACH, "x"), Failed, "network unreachable", "unreachable"),
        (OSError(errno.ETIMEDOUT, "x"), Failed, "connection timed out", "timeout"),
        (OSError(errno.ECONNRESET, "x"), Failed, "connection reset by peer", None),
        (OSError(errno.EMFILE, "x"), CannotAsk, "Too many open files", None),
        (OSError(errno.EPERM, "x"), CannotAsk, "Operation not permitted", None),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] x"), Failed, "TLS: failed", None),
        (TimeoutError(), TimeoutError, "", None),
        (ValueError("x"), Failed, "the connection broke off", None),
    ],
)
def test_an_error_is_told_by_what_it_means(error: Exception, kind: type, words: str, word: str | None) -> None:
    assert meant(error) == (kind, words, word)
    outer = RuntimeError("a library's own")
    outer.__cause__ = error
    assert meant(outer) == (kind, words, word)


@in_a_loop
async def test_a_checker_whose_library_is_missing_can_ask_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(probes.CHECKERS, TCP, "no_such_library")
    probes._checker.cache_clear()
    with pytest.raises(CannotAsk, match="no_such_library is not installed"):
        await answer(probe(TCP, "127.0.0.1:1"))
    probes._checker.cache_clear()


@in_a_loop
async def test_what_an_answer_says_is_one_short_harmless_line() -> None:
    result = await answer(CHECK, Outcome(False, "\x1b[31m" + "x" * 999))
    assert result.detail.startswith("␛[31mxxx")
    assert len(result.detail) == probes.LONGEST_DETAIL


def test_httpx_is_not_loaded_before_somebody_asks_by_http() -> None:
    code = (
        "import sys, supervise.reconcile.daemon, supervise.probes.tcp, supervise.probes.command;"
        "print('httpx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- Names ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def dead_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No server answers for any name, until the test is over."""
    release, real = threading.Event(), socket.getaddrinfo

    def slow(host: str, *args: Any, **named: Any) -> Any:
        if named.get("flags"):
            return real(host, *args, **named)
        release.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "no server")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    yield
    release.set()
    for _ in range(reaching.AT_ONCE):
        assert reaching._slots().acquire(timeout=30)
    for _ in range(reaching.AT_ONCE):
        reaching._slots().release()


DEAD = probe(TCP, "dead.invalid:80", timeout=timedelta(milliseconds=200))


@pytest.mark.usefixtures("dead_names")
@in_a_loop
async def test_names_that_nobody_answers_for_hold_up_neither_localhost_nor_the_rest_of_the_daemon() -> None:
    results = await asyncio.gather(*(answer(DEAD) for _ in range(reaching.AT_ONCE)))
    assert {(one.ok, one.network_error) for one in results} == {(False, "timeout")}
    assert await asyncio.wait_for(asyncio.to_thread(lambda: 7), 5) == 7
    async with serving(silent) as port:
        assert (await answer(probe(TCP, f"localhost:{port}"))).ok
        assert (await answer(probe(TCP, f"127.0.0.1:{port}"))).ok


@pytest.mark.usefixtures("dead_names")
@in_a_loop
async def test_who_cannot_even_be_looked_up_for_the_others_is_not_asked_and_has_not_failed() -> None:
    await asyncio.gather(*(answer(DEAD) for _ in range(reaching.AT_ONCE)))
    with pytest.raises(CannotAsk, match="too many names"):
        await answer(DEAD)


def test_a_name_that_nobody_answers_for_does_not_keep_the_daemon_from_ending() -> None:
    code = """
import asyncio, socket, time
from datetime import timedelta
from tests.probes.serving import answer, probe
from supervise.model import ProbeKind
real = socket.getaddrinfo
socket.getaddrinfo = lambda *a, **n: real(*a, **n) if n.get("flags") else time.sleep(30)
print(asyncio.run(answer(probe(ProbeKind.TCP, "dead.invalid:80", timeout=timedelta(seconds=0.1)))).detail)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.strip() == "no answer within 0.1 s"


@in_a_loop
async def test_a_lookup_that_ends_after_its_time_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    release, ended, real = threading.Event(), threading.Event(), socket.getaddrinfo
    broken: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context))

    def late(*args: Any, **named: Any) -> Any:
        if named.get("flags"):
            return real(*args, **named)
        release.wait(10)
        ended.set()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", late)
    assert (await answer(DEAD)).network_error == "timeout"
    release.set()
    await until(ended.is_set)
    async with serving(silent) as port:
        assert (await answer(probe(TCP, f"localhost:{port}"))).ok
    assert broken == []
