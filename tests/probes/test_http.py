"""HTTP probes against real servers, good ones and evil ones: each question ends in time, and says why."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from supervise.model import Probe, ProbeKind, ProbeResult
from supervise.probes import CannotAsk, http
from supervise.probes.reaching import Address
from tests.probes.serving import Serve, answer, free_port, probe, serving
from tests.reconcile.rig import in_a_loop

SOON = timedelta(milliseconds=200)


def asking(port: int, path: str = "/health", *, host: str = "127.0.0.1", scheme: str = "http", **changes: Any) -> Probe:
    return probe(ProbeKind.HTTP, f"{scheme}://{host}:{port}{path}", **changes)


def response(status: int, body: str = "", *headers: str) -> Serve:
    """A server that answers every request so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body.encode())}", *headers]
        writer.write("\r\n".join([*lines, "", body]).encode())
        await writer.drain()

    return serve


def raw(*parts: bytes, pause: float = 0.0, reset: bool = False) -> Serve:
    """A server that sends these bytes one after the other, for ever the last; with `reset` it breaks off instead."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        if reset:
            writer.transport.abort()
            return
        while True:
            writer.write(parts[-1])
            await writer.drain()
            await asyncio.sleep(pause)

    return serve


async def said(serve: Serve, **changes: Any) -> ProbeResult:
    async with serving(serve) as port:
        return await answer(asking(port, **changes))


# --- Good and bad -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204, 299, 301, 304, 399])
@in_a_loop
async def test_two_and_three_hundreds_are_good(status: int) -> None:
    result = await said(response(status))
    assert (result.ok, result.detail, result.network_error) == (True, f"status {status}", None)


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503, 599])
@in_a_loop
async def test_all_else_is_bad(status: int) -> None:
    result = await said(response(status))
    assert (result.ok, result.detail, result.network_error) == (False, f"status {status}", None)


@in_a_loop
async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    """It may lead anywhere: to a server of somebody else, or inside."""
    asked = []

    async def trap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)

    async with serving(trap) as elsewhere:
        result = await said(response(302, "", f"Location: http://127.0.0.1:{elsewhere}/"))
    assert (result.ok, asked) == (True, [])


@pytest.mark.parametrize(
    ("status", "expect", "ok", "detail"),
    [
        (204, "204", True, "status 204"),
        (503, "503", True, "status 503"),
        (200, "204", False, "status 200, not 204"),
    ],
)
@in_a_loop
async def test_a_status_that_is_expected_is_the_only_good_one(status: int, expect: str, ok: bool, detail: str) -> None:
    result = await said(response(status), expect=expect)
    assert (result.ok, result.detail) == (ok, detail)


@pytest.mark.parametrize(
    ("status", "body", "ok", "detail"),
    [
        (200, '{"state": "läuft"}', True, "status 200"),
        (200, "nothing", False, 'status 200, but its answer lacks "läuft"'),
        (200, "", False, 'status 200, but its answer lacks "läuft"'),
        (503, "läuft", False, "status 503"),
    ],
)
@in_a_loop
async def test_a_text_that_is_expected_must_be_in_a_good_answer(status: int, body: str, ok: bool, detail: str) -> None:
    result = await said(response(status, body), expect="läuft")
    assert (result.ok, result.detail) == (ok, detail)


@in_a_loop
async def test_a_text_is_found_where_it_comes_in_pieces() -> None:
    parts = raw(b"HTTP/1.1 200 OK\r\n\r\n", *(bytes([one]) for one in b"all is well"), pause=0.001)
    assert (await said(parts, expect="is well")).ok


@in_a_loop
async def test_what_it_asks_and_whom() -> None:
    asked = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().splitlines())
        writer.write(b"HTTP/1.1 204 x\r\n\r\n")

    async with serving(listen) as port:
        await answer(asking(port, "/health?deep=1", host="localhost"))
    (line, *headers), found = asked[0], {}
    for header in filter(None, headers):
        name, _, value = header.partition(": ")
        found[name.lower()] = value
    assert line == "GET /health?deep=1 HTTP/1.1"
    assert found["host"] == f"localhost:{port}"
    assert found["user-agent"].startswith("supervise/")
    assert found["accept-encoding"] == "identity"


# --- Evil servers -----------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "serve",
    [raw(b"", pause=1), raw(HEAD, b"x: y\r\n", pause=0.01), raw(HEAD + b"\r\n", b"", pause=1)],
    ids=["silent", "a header for ever", "no body"],
)
@in_a_loop
async def test_however_slowly_it_drips_it_ends_within_its_time(serve: Serve) -> None:
    begin = time.monotonic()
    result = await said(serve, timeout=SOON, expect="well")
    assert time.monotonic() - begin < 10
    assert (result.ok, result.detail, result.network_error) == (False, "no answer within 0.2 s", "timeout")


@in_a_loop
async def test_a_body_that_is_not_wanted_is_not_waited_for() -> None:
    result = await said(raw(HEAD + b"\r\n", b"", pause=1), timeout=SOON)
    assert result.ok


@in_a_loop
async def test_of_a_body_without_end_only_so_much_is_read() -> None:
    sent = [0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"\r\n")
        while True:
            writer.write(b"x" * 4096)
            sent[0] += 4096
            await writer.drain()

    result = await said(serve, expect="well")
    assert (result.ok, result.detail) == (False, 'status 200, but its answer lacks "well"')
    assert sent[0] < 16 * 1024 * 1024, "what the kernel holds comes on top"


@in_a_loop
async def test_a_text_beyond_the_bound_is_not_found() -> None:
    assert (await said(response(200, "x" * (http.MOST_READ - 4) + "well"), expect="well")).ok
    assert not (await said(response(200, "x" * (http.MOST_READ - 3) + "well"), expect="well")).ok


@in_a_loop
async def test_a_text_at_the_beginning_is_found_though_the_body_never_ends() -> None:
    assert (await said(raw(HEAD + b"\r\nwell", b"", pause=1), expect="well", timeout=timedelta(seconds=4))).ok


@pytest.mark.parametrize(
    ("serve", "detail"),
    [
        (raw(b"SSH-2.0-x\r\n", reset=True), "no answer in HTTP"),
        (raw(b"", reset=True), "connection reset by peer"),
        (raw(HEAD + b"content-length: 9\r\n\r\nwel", reset=True), "connection reset by peer"),
    ],
)
@in_a_loop
async def test_what_breaks_off_is_bad(serve: Serve, detail: str) -> None:
    result = await said(serve, expect="well")
    assert (result.ok, result.network_error) == (False, None)
    assert result.detail in (detail, "no answer in HTTP")  # it depends on what the kernel had delivered


@in_a_loop
async def test_a_server_that_closes_without_a_word_is_bad() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    result = await said(serve)
    assert (result.ok, result.detail) == (False, "no answer in HTTP")


# --- Not to be reached ------------------------------------------------------------------------------------------------


@in_a_loop
async def test_where_nobody_listens_it_is_refused() -> None:
    result = await answer(asking(free_port(), host="localhost"))
    assert (result.ok, result.detail, result.network_error) == (False, "connection refused", "refused")


@in_a_loop
async def test_a_name_that_does_not_exist_is_not_found() -> None:
    result = await answer(asking(80, host="nowhere.invalid"))
    assert (result.ok, result.network_error) == (False, "dns")
    assert result.detail.startswith('cannot find "nowhere.invalid": ')


@in_a_loop
async def test_a_server_that_listens_on_one_address_of_its_name_is_found() -> None:
    """`localhost` is ::1 first on most machines."""
    async with serving(response(200)) as port:
        assert (await answer(asking(port, host="localhost"))).ok
    async with serving(response(200), host="::1") as port:
        assert (await answer(asking(port, host="[::1]"))).ok


@pytest.mark.parametrize("numbers", [("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1")])
@in_a_loop
async def test_any_of_several_addresses_will_do(monkeypatch: pytest.MonkeyPatch, numbers: tuple[str, str]) -> None:
    """It listens on the first of them only."""

    async def both(host: str, port: int, *, patience: float) -> tuple[Address, ...]:
        return tuple((socket.AF_INET, number, port) for number in numbers)

    monkeypatch.setattr(http, "addresses", both)
    async with serving(response(200)) as port:
        assert (await answer(asking(port, host="twice"))).ok
    result = await answer(asking(free_port(), host="twice"))
    assert result.network_error == "refused"


@in_a_loop
async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert (await said(response(200))).ok


# --- TLS --------------------------------------------------------------------------------------------------------------


CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Of the name `localhost` and nobody else, with its key, signed by itself; good for nothing but these tests."""


@pytest.fixture
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """On a machine that trusts it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    http._trusted.cache_clear()
    yield
    http._trusted.cache_clear()


def test_a_certificate_that_nobody_trusts_is_bad(tls: ssl.SSLContext) -> None:
    async def test() -> ProbeResult:
        async with serving(response(200), tls=tls) as port:
            return await answer(asking(port, scheme="https", host="localhost"))

    http._trusted.cache_clear()
    result = asyncio.run(test())
    assert (result.ok, result.network_error) == (False, None)
    assert result.detail == "TLS: self-signed certificate"


@pytest.mark.usefixtures("trusting")
def test_a_certificate_must_be_of_the_name_that_is_asked_for(tls: ssl.SSLContext) -> None:
    async def test(host: str) -> ProbeResult:
        async with serving(response(200), tls=tls) as port:
            return await answer(asking(port, scheme="https", host=host))

    assert asyncio.run(test("localhost")).ok
    other = asyncio.run(test("127.0.0.1"))
    assert not other.ok
    assert other.detail.startswith("TLS: IP address mismatch")


@pytest.mark.usefixtures("trusting")
@in_a_loop
async def test_a_server_that_speaks_no_tls_is_bad() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await reader.read()

    async with serving(serve) as port:
        result = await answer(asking(port, scheme="https", host="localhost"))
    assert not result.ok
    assert result.detail.startswith("TLS: ")


@in_a_loop
async def test_what_is_no_address_cannot_be_asked() -> None:
    with pytest.raises(CannotAsk):
        await answer(probe(ProbeKind.HTTP, "http://[::1/health"))
