"""One try to bring one message to its target over HTTP, and what the answer means for the next one.

Whatever the other side does, a try ends soon, reads little and raises nothing. An address may be secret: only its host
is ever named.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from supervise import __version__
from supervise.alerts.kept import address, secret
from supervise.alerts.messages import Message, slack_body, webhook_body
from supervise.alerts.signing import signed
from supervise.errors import SuperviseError
from supervise.model import AlertKind, AlertTarget
from supervise.text import shown

if TYPE_CHECKING:
    import httpx

HEADERS = {"content-type": "application/json; charset=utf-8", "user-agent": f"supervise/{__version__}"}
PASSING = frozenset({408, 425, 429})
"""Refusals that pass, besides all of 5xx."""
MOST_READ = 1024
"""Bytes of an answer that are looked at."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a try went. `error` is empty if well; `permanent`: another try would end the same."""

    error: str = ""
    permanent: bool = False
    retry_after: timedelta | None = None


def new_client(timeout: timedelta) -> httpx.AsyncClient:
    """Takes a tenth of a second, for httpx itself and the certificates: not for an event loop."""
    import logging

    import httpx

    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)  # below that they log every address, and those are secrets
    trusted = httpx.create_ssl_context()
    trusted.load_default_certs()  # also whom this machine trusts: a company's own authority
    return httpx.AsyncClient(verify=trusted, timeout=timeout.total_seconds(), follow_redirects=False)


async def post(
    client: httpx.AsyncClient, target: AlertTarget, message: Message, *, at: datetime, timeout: timedelta
) -> Answer:
    """`at`: the time of this try, which is signed."""
    url = ""
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            url = await asyncio.to_thread(address, target)
            headers, body = await asyncio.to_thread(_request, target, message, at)
            return await _answer(client, url, headers, body, at)
    except SuperviseError as error:
        return Answer(shown(str(error)))
    except TimeoutError:
        return Answer(f"no answer from {_host(url)} within {timeout.total_seconds():g} s")
    except Exception as error:  # of httpx, h11, ssl and idna, and none may end the daemon's task
        return Answer(f"cannot reach {_host(url)}: {without_secrets(str(error) or type(error).__name__, url)}")


def _request(target: AlertTarget, message: Message, at: datetime) -> tuple[Mapping[str, str], bytes]:
    if target.kind is AlertKind.SLACK:
        return HEADERS, slack_body(message)
    body = webhook_body(message)
    return {**HEADERS, **signed(body, id=message.id, at=at, secret=secret(target))}, body


async def _answer(client: httpx.AsyncClient, url: str, headers: Mapping[str, str], body: bytes, at: datetime) -> Answer:
    async with client.stream("POST", url, content=body, headers=headers) as response:
        code = response.status_code
        if 200 <= code < 300:
            return Answer()
        if 300 <= code < 400:
            return Answer(f"{_host(url)} answers {code}, a redirect; give the final address", permanent=True)
        said = without_secrets(await _said(response), url)
        return Answer(
            f"{_host(url)} answers {code}{f': {said}' if said else ''}",
            permanent=code < 500 and code not in PASSING,
            retry_after=retry_after(response.headers.get("retry-after", ""), at),
        )


async def _said(response: httpx.Response) -> str:
    """The beginning of an answer, as it came: unpacking could make it any size."""
    found = b""
    async for part in response.aiter_raw(MOST_READ):
        found += part
        if len(found) >= MOST_READ:
            break
    return found[:MOST_READ].decode(errors="replace").strip()


def retry_after(value: str, at: datetime) -> timedelta | None:
    """How long to wait, from seconds or a date (RFC 9110, 10.2.3); None if it says nothing of use."""
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return timedelta(seconds=int(value))
    with suppress(ValueError, OverflowError):
        moment = parsedate_to_datetime(value)
        return max(timedelta(), (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - at)
    return None


def without_secrets(text: str, url: str, *, limit: int = 200) -> str:
    """The text without anything of the address but its host: an answer or an error may repeat it."""
    parts = urlsplit(url)
    pieces = {parts.path, parts.query, *re.split(r"[/?&=]", f"{parts.path}?{parts.query}")}
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) > 3:
            text = text.replace(piece, "…")
    return shown(text, limit=limit)


def _host(url: str) -> str:
    return shown(urlsplit(url).hostname or "nowhere", limit=100)
