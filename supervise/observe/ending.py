"""Stopping a process that is none of a unit's, with its descendants: never by a bare PID.

Whoever is signalled is held by a descriptor (pidfd_open(2)) and looked at again once it is held: start time, user and
executable must still be those that were seen, else the PID belongs to somebody else by now.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import timedelta

from supervise.model import Process
from supervise.observe.scan import process as look
from supervise.observe.scan import scan

LAST_WAIT = timedelta(seconds=5)
"""How long a killed process may take to disappear: one that waits for a disk cannot die at once."""

Held = dict[int, int]
"""PIDs, each with the descriptor that holds its process. A PID in here cannot have been mistaken."""


async def end(process: Process, *, grace: timedelta) -> bool:
    """SIGTERM to the process and its descendants, SIGKILL to those who live on after `grace`; whether all are gone.

    False also where it is not ours to stop: another program by now, no right to, or an ancestor of ourselves.
    """
    if process.id.pid in _own_line():
        return False
    with ExitStack() as stack:
        held: Held = {}
        if not _hold(process, held, stack):
            return _gone(process)
        if not _allowed(held[process.id.pid]):
            return _gone(process)
        _hold_descendants(held, stack)
        if await _ended(held, signal.SIGTERM, grace):
            return True
        _hold_descendants(held, stack)
        return await _ended(held, signal.SIGKILL, LAST_WAIT)


def _own_line() -> Iterator[int]:
    """Ourselves, our parent, its parent …"""
    pid = os.getpid()
    yield pid
    pid = os.getppid()
    while pid:
        yield pid
        parent = look(pid)
        pid = parent.parent if parent else 0


def _hold(process: Process, held: Held, stack: ExitStack) -> bool:
    """Whether the process is held now: it was there, and still is what it was seen to be."""
    try:
        descriptor = os.pidfd_open(process.id.pid)
    except ProcessLookupError:
        return False
    now = look(process.id.pid)
    if now is None or not _same(process, now):
        os.close(descriptor)
        return False
    stack.callback(os.close, descriptor)
    held[process.id.pid] = descriptor
    return True


def _same(seen: Process, now: Process) -> bool:
    return (seen.id, seen.uid) == (now.id, now.uid) and seen.executable in (None, now.executable)


def _gone(process: Process) -> bool:
    now = look(process.id.pid)
    return now is None or now.id != process.id


def _allowed(descriptor: int) -> bool:
    try:
        signal.pidfd_send_signal(descriptor, 0)  # asks only, see kill(2)
    except OSError:
        return False
    return True


def _hold_descendants(held: Held, stack: ExitStack) -> None:
    """Hold the descendants of all who are held, and outlived the scan: then their PIDs were still theirs in it."""
    children: defaultdict[int, list[Process]] = defaultdict(list)
    for one in scan().processes:
        children[one.parent].append(one)
    for pid, descriptor in tuple(held.items()):
        if _allowed(descriptor):
            for one in _below(pid, children):
                if one.id.pid not in held:
                    _hold(one, held, stack)


def _below(pid: int, children: Mapping[int, list[Process]]) -> Iterator[Process]:
    for child in children.get(pid, ()):
        yield child
        yield from _below(child.id.pid, children)


async def _ended(held: Held, number: signal.Signals, patience: timedelta) -> bool:
    """Whether all who are held were gone, at the latest this long after the signal."""
    for descriptor in held.values():
        with suppress(ProcessLookupError, PermissionError):  # gone already; or a child that took another user's rights
            signal.pidfd_send_signal(descriptor, number)
    try:
        async with asyncio.timeout(patience.total_seconds()):
            for descriptor in held.values():
                await _end_of(descriptor)
    except TimeoutError:
        return False
    return True


async def _end_of(descriptor: int) -> None:
    """Wait until the process has ended: then its descriptor is readable, even before its parent collects it."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
