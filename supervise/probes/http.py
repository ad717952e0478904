"""An `http` probe: good if the answer is 2xx or 3xx, or what `expect` says: a status, or a text in its body.

Redirects are not followed, proxies not asked, and of a body no more is read than must be. httpx comes with this module,
so only who has such a probe pays for it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from functools import cache

import httpx

from supervise import __version__
from supervise.model import Probe, Question
from supervise.probes import CannotAsk, Failed, Run
from supervise.probes.reaching import Address, addresses, meaning

MOST_READ = 64 * 1024
"""Bytes of a body in which a text is looked for."""
PORTS = {"http": 80, "https": 443}
STATUS = re.compile("[1-5][0-9]{2}")
HEADERS = {"user-agent": f"supervise/{__version__}", "accept": "*/*", "accept-encoding": "identity"}


async def check(question: Question, run: Run) -> str:
    probe = question.probe
    try:
        url = httpx.URL(probe.target[0])
    except httpx.InvalidURL as error:
        raise CannotAsk(str(error)) from error
    seconds = probe.timeout.total_seconds()
    found = await addresses(url.raw_host.decode("ascii"), url.port or PORTS[url.scheme], patience=seconds / 2)
    trusted = await asyncio.to_thread(_trusted) if url.scheme == "https" else _nobody()
    for address in found[:-1]:
        try:
            return await _asked(probe, url, address, trusted, patience=seconds / len(found))
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue  # the last one tells why
        except httpx.HTTPError as error:
            raise _meaning(error) from error
    try:
        return await _asked(probe, url, found[-1], trusted, patience=None)
    except httpx.HTTPError as error:
        raise _meaning(error) from error


async def _asked(
    probe: Probe, url: httpx.URL, address: Address, trusted: ssl.SSLContext, *, patience: float | None
) -> str:
    """The answer of the host at one address. `patience`: seconds for the connection alone."""
    _, number, _ = address
    headers = {**HEADERS, "host": url.netloc.decode("ascii")}
    named = {"sni_hostname": url.raw_host.decode("ascii")}  # whose certificate it must be
    timeout = httpx.Timeout(None, connect=patience)
    async with (
        httpx.AsyncClient(verify=trusted, trust_env=False, timeout=timeout, follow_redirects=False) as client,
        client.stream("GET", url.copy_with(host=number), headers=headers, extensions=named) as response,
    ):
        return await _judged(response, probe.expect)


async def _judged(response: httpx.Response, expect: str | None) -> str:
    said = f"status {response.status_code}"
    if expect is not None and STATUS.fullmatch(expect):
        if response.status_code != int(expect):
            raise Failed(f"{said}, not {expect}")
        return said
    if not 200 <= response.status_code < 400:
        raise Failed(said)
    if expect is not None and not await _holds(response, expect.encode()):
        raise Failed(f'{said}, but its answer lacks "{expect}"')
    return said


async def _holds(response: httpx.Response, text: bytes) -> bool:
    """Whether the body holds the text, as it came: unpacking could make it any size, and it may never end."""
    found = b""
    async for part in response.aiter_raw():
        found += part
        if text in found[:MOST_READ]:
            return True
        if len(found) >= MOST_READ:
            return False
    return False


def _meaning(error: httpx.HTTPError) -> Exception:
    if isinstance(error, httpx.ProtocolError):  # its words repeat what was sent
        return Failed("no answer in HTTP")
    return meaning(error)


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities that this machine trusts. Takes a tenth of a second: not for an event loop."""
    trusted = httpx.create_ssl_context()
    trusted.load_default_certs()
    return trusted


@cache
def _nobody() -> ssl.SSLContext:
    """For plain HTTP, which needs none, while httpx insists on one."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)  # below that they log every question
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
