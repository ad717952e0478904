"""What agents say of themselves, from the datagram socket that they all share: who really said it, and when.

Anybody in the agents' group may write there, as fast and as falsely as they like. So the sender is proven by the
kernel's credentials and the time is the kernel's; each sender may speak only so often; and a flood costs a bounded
share of the processor and tells nobody anything. Never blocks, never raises for what it was sent.
"""

from __future__ import annotations

import json
import math
import os
import socket
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from supervise.model import Beat, BeatStatus, Instant, ProcessId
from supervise.observe.cgroups import UnitKind, agent_unit
from supervise.observe.scan import process

TRUNCATED = int(socket.MSG_TRUNC)
"""As a plain number: `&` of the enum takes a tenth of all that is done to a datagram."""
SO_TIMESTAMPNS = getattr(socket, "SO_TIMESTAMPNS", 35)
CREDENTIALS = struct.Struct("iII")
TIMESPEC = struct.Struct("qq")
ANCILLARY = socket.CMSG_SPACE(CREDENTIALS.size) + socket.CMSG_SPACE(TIMESPEC.size)
LONGEST = 8192
"""Bytes of a datagram (DESIGN, section 5); longer ones are refused unread."""
LONGEST_TEXT = 1000
AT_ONCE = 256
"""Datagrams read in one go; a round that reaches it was a flood, or has lost some."""
RATE, BURST = 20.0, 40.0
"""Datagrams a second that one process may send, and how many at once."""
MOST_SENDERS = 4096
STATUSES = {one.value: one for one in BeatStatus}


@dataclass(frozen=True, slots=True)
class Said:
    """One agent's datagram, accepted."""

    name: str
    beat: Beat


@dataclass(slots=True)
class Refused:
    """What was not accepted since it was last asked for, by why; and who sent the most of it."""

    counts: Counter[str] = field(default_factory=Counter)
    senders: Counter[int] = field(default_factory=Counter)


Owner = Callable[[int], str | None]
"""The agent whose present or previous main process has this PID."""


class Beats:
    """The reading end of the agent socket. `read` gives what has arrived."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        main: Owner,
        stranger: Callable[[int], None] = lambda pid: None,
        manager: str = "",
    ) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket = sock
        self.refused = Refused()
        self.taken = 0
        """Datagrams that were read, accepted or not."""
        self._main = main
        self._stranger = stranger
        self._manager = manager
        self._budgets: dict[int, tuple[float, float]] = {}
        self._strangers: dict[int, tuple[float, str | None]] = {}

    def read(self, now: Instant) -> tuple[list[Said], bool]:
        """What was said since, in order, and whether more may have been lost (`AT_ONCE` was reached)."""
        said: list[Said] = []
        for _ in range(AT_ONCE):
            try:
                content, ancillary, flags, _ = self.socket.recvmsg(LONGEST, ANCILLARY)
            except OSError:  # nothing more there
                return said, False
            self.taken += 1
            if found := self._accepted(content, ancillary, flags, now):
                said.append(found)
        return said, True

    def take_refused(self) -> Refused:
        """What was refused since this was last asked."""
        taken, self.refused = self.refused, Refused()
        return taken

    def _accepted(self, content: bytes, ancillary: Any, flags: int, now: Instant) -> Said | None:
        pid, at = _proof(ancillary, now)
        if not pid:
            return self._refuse("dead sender", 0)
        if not self._may_speak(pid, now.monotonic.total_seconds()):
            return self._refuse("too many", pid)
        if flags & TRUNCATED:
            return self._refuse("too long", pid)
        name, by_main = self._sender(pid, at)
        if name is None:
            return self._refuse("no agent", pid)
        words = parsed(content)
        if words is None:
            return self._refuse("malformed", pid)
        if words.get("agent", name) != name:
            return self._refuse("false name", pid)
        return Said(name, beat(words, at=at, pid=pid, by_main=by_main))

    def _refuse(self, why: str, pid: int) -> Said | None:
        self.refused.counts[why] += 1
        if len(self.refused.senders) < MOST_SENDERS:
            self.refused.senders[pid] += 1
        return None

    def _may_speak(self, pid: int, now: float) -> bool:
        left, then = self._budgets.get(pid, (BURST, now))
        left = min(left + (now - then) * RATE, BURST)
        if len(self._budgets) > MOST_SENDERS:
            self._budgets.clear()
        self._budgets[pid] = (left - 1 if left >= 1 else left, now)
        return left >= 1

    def _sender(self, pid: int, at: Instant) -> tuple[str | None, bool]:
        """The agent, and whether the process is its main one: known as such, else proven by its control group."""
        if name := self._main(pid):
            return name, True
        now = at.monotonic.total_seconds()
        known = self._strangers.get(pid)
        if known is None or now - known[0] > 1:
            if len(self._strangers) > MOST_SENDERS:
                self._strangers.clear()
            self._strangers[pid] = known = (now, _by_cgroup(pid, at, self._manager))
            if known[1] is None:
                self._stranger(pid)  # an agent outside of its unit, perhaps
        return known[1], False


def parsed(content: bytes) -> Mapping[str, Any] | None:
    """A datagram's object; None for what is none."""
    try:
        words = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return words if isinstance(words, dict) else None


def beat(words: Mapping[str, Any], *, at: Instant, pid: int, by_main: bool = True) -> Beat:
    """A datagram's content as a beat. What has the wrong type or range counts as not said."""
    metadata = words.get("metadata")
    return Beat(
        at=at,
        pid=pid,
        by_main=by_main,
        status=_status(words.get("status")),
        health=_number(words.get("health"), 0, 100, whole=True),
        activity=_text(words.get("activity")),
        error=_text(words.get("error")),
        waiting=_text(words.get("waiting")),
        progress=_number(words.get("progress"), 0, 1),
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _status(word: object) -> BeatStatus | None:
    return STATUSES.get(word) if isinstance(word, str) else None


def _text(value: object) -> str | None:
    return value[:LONGEST_TEXT] if isinstance(value, str) and value else None


def _number(value: object, lowest: int, highest: int, *, whole: bool = False) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):  # of a whole number of 400 digits this cannot be asked
        return None
    within = min(max(value, lowest), highest)
    return round(within) if whole else float(within)


def _proof(ancillary: Any, now: Instant) -> tuple[int, Instant]:
    """The sender's PID (0: none) and the kernel's time of arrival, on all clocks."""
    pid, at = 0, now
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            pid = CREDENTIALS.unpack(data[: CREDENTIALS.size])[0]
        elif level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = TIMESPEC.unpack(data[: TIMESPEC.size])
            at = _earlier(now, datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=nanoseconds // 1000))
    return pid, at


def _earlier(now: Instant, wall: datetime) -> Instant:
    """The instant of an arrival. A wall clock that was set in between must not make it old, or of the future."""
    age = now.wall - wall
    if not timedelta() <= age <= timedelta(minutes=1):
        return now
    return Instant(wall, now.monotonic - age, now.boottime - age, now.boot)


def _by_cgroup(pid: int, at: Instant, manager: str) -> str | None:
    """The agent in whose unit the process lives, if it is old enough to have sent what has arrived."""
    found = process(pid)
    if found is None or not _old_enough(found.id, at):
        return None
    unit = agent_unit(found.cgroup, manager)
    return unit[1] if unit and unit[0] is UnitKind.SERVICE else None


def _old_enough(process: ProcessId, at: Instant) -> bool:
    """A PID may have gone to somebody else since: then that one is younger than the datagram."""
    started = timedelta(seconds=process.started / os.sysconf("SC_CLK_TCK"))
    return started <= at.boottime + timedelta(milliseconds=10)


def changed(before: Beat | None, after: Beat) -> Beat:
    """The newer beat, with since when its activity and progress are what they are."""
    if before and before.changed is not None and (before.activity, before.progress) == (after.activity, after.progress):
        return replace(after, changed=before.changed)
    return replace(after, changed=after.at.monotonic)
