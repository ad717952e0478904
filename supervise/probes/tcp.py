"""A `tcp` probe: good if one of the host's addresses accepts a connection, which is closed at once."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from supervise.model import Question
from supervise.probes import Run
from supervise.probes.reaching import Address, addresses, meaning


async def check(question: Question, run: Run) -> str:
    host, _, port = question.probe.target[0].rpartition(":")
    seconds = question.probe.timeout.total_seconds()
    found = await addresses(host.strip("[]"), int(port), patience=seconds / 2)
    share = seconds / len(found)
    for address in found[:-1]:
        with suppress(OSError):  # the last one tells why; TimeoutError is one too
            async with asyncio.timeout(share):
                return await _connected(address)
    try:
        return await _connected(found[-1])
    except OSError as error:
        raise meaning(error) from error


async def _connected(address: Address) -> str:
    family, number, port = address
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (number, port))
    return "it accepts connections"
