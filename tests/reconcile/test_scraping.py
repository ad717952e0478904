"""The metrics over real HTTP: what a scraper gets, and what nobody gets."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from supervise.reconcile import scraping as module
from supervise.reconcile.scraping import MOST_CLIENTS, Scraping
from tests.reconcile.rig import in_a_loop


def free() -> str:
    """An address of this machine where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"


async def text(accept: str) -> tuple[bytes, str]:
    return f"told {accept}\n".encode(), "text/plain; version=0.0.4"


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Scraping, str]]:
    endpoint = free()
    scraping = Scraping(text)
    await scraping.listen({endpoint})
    try:
        yield scraping, endpoint
    finally:
        scraping.close()


async def said(endpoint: str, request: bytes) -> bytes:
    """All that is answered to raw bytes."""
    host, port = endpoint.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@in_a_loop
async def test_a_scraper_gets_what_it_accepts() -> None:
    async with serving() as (_, endpoint), httpx.AsyncClient() as client:
        answer = await client.get(f"http://{endpoint}/metrics?x=1", headers={"Accept": "text/plain"})
        assert (answer.status_code, answer.text) == (200, "told text/plain\n")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4"
        head = await client.head(f"http://{endpoint}/metrics", headers={"Accept": "text/plain"})
        assert (head.status_code, head.text, head.headers["content-length"]) == (200, "", "16")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /metricsx HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"405"),
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"\xff\x00 nonsense\r\n\r\n", b"400"),
    ],
)
@in_a_loop
async def test_anything_else_is_refused_in_the_language_of_http(request_: bytes, code: bytes) -> None:
    async with serving() as (_, endpoint):
        assert (await said(endpoint, request_)).startswith(b"HTTP/1.1 " + code + b" ")


@in_a_loop
async def test_a_client_that_says_too_much_is_let_go() -> None:
    async with serving() as (scraping, endpoint):
        assert await said(endpoint, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000) == b""
        assert scraping._clients == 0


@in_a_loop
async def test_a_client_that_says_nothing_is_let_go_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    async with serving() as (_, endpoint):
        assert await said(endpoint, b"GET ") == b""


@in_a_loop
async def test_there_is_an_end_to_how_many_are_served_at_once() -> None:
    async with serving() as (scraping, endpoint):
        host, port = endpoint.split(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(MOST_CLIENTS)]
        async with asyncio.timeout(5):
            while scraping._clients < MOST_CLIENTS:
                await asyncio.sleep(0.001)
        with suppress(ConnectionResetError):
            assert await said(endpoint, b"GET /metrics HTTP/1.1\r\n\r\n") == b""
        for _, writer in idle:
            writer.close()
        async with asyncio.timeout(5):
            while scraping._clients:
                await asyncio.sleep(0.001)
        assert b" 200 OK" in await said(endpoint, b"GET /metrics HTTP/1.1\r\n\r\n")


@in_a_loop
async def test_an_address_that_is_taken_is_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scraping, endpoint = Scraping(text), free()
    host, port = endpoint.split(":")
    with socket.socket() as other:
        other.bind((host, int(port)))
        other.listen()
        for _ in range(3):
            await scraping.listen({endpoint})
    assert list(scraping.troubles) == [endpoint]
    assert f"cannot serve metrics on {endpoint}: " in scraping.troubles[endpoint]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    await scraping.listen({endpoint})
    assert scraping.troubles == {}
    assert b" 200 OK" in await said(endpoint, b"GET /metrics HTTP/1.1\r\n\r\n")
    scraping.close()


@in_a_loop
async def test_what_is_wanted_no_more_is_listened_on_no_more() -> None:
    async with serving() as (scraping, endpoint):
        other = free()
        await scraping.listen({other})
        assert b" 200 OK" in await said(other, b"GET /metrics HTTP/1.1\r\n\r\n")
        with pytest.raises(OSError) as refused:  # noqa: PT011
            await said(endpoint, b"")
        assert refused.value.errno == errno.ECONNREFUSED
