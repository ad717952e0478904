"""The reconciler's log: lines with fields for the journal, so that `journalctl SUPERVISE_AGENT=a` finds all about `a`;
plain lines on standard error where that does not lead there.

It never waits for the journal: a thread of its own does, and what it cannot get rid of is dropped and counted.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Collection, Mapping
from pathlib import Path

from supervise.decide.events import was_done
from supervise.model import Event, EventKind, Status, StatusRow
from supervise.text import shown

log = logging.getLogger(__name__)
JOURNAL = Path("/run/systemd/journal/socket")
IDENTIFIER = "supervise-reconciler"
PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
"""Python's levels as syslog's."""
MOST_WAITING = 10_000
"""Lines that wait for the journal; then the newest are dropped."""
LONGEST = 32 * 1024
"""Characters of a field: the whole must fit a datagram."""
LAST_CHANCE = 1.0
"""Seconds for what still waits when we end."""
LEVELS = {Status.ERROR: logging.ERROR, Status.WARNING: logging.WARNING, Status.UNKNOWN: logging.WARNING}
"""How bad it is that an agent is now so."""

Fields = Mapping[str, str]


def set_up(level: str, environ: Mapping[str, str]) -> None:
    """From now on all that is logged goes where it can be found."""
    logging.basicConfig(level=level.upper(), handlers=[Journal() if leads_to_journal(environ) else plain()])


def leads_to_journal(environ: Mapping[str, str]) -> bool:
    """Whether standard error is the stream that systemd has connected with the journal (systemd.exec(5))."""
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}" and JOURNAL.exists()


def plain() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Safe("%(levelname)s %(message)s"))
    return handler


class Safe(logging.Formatter):
    """Foreign text is in most lines."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(shown, super().format(record).split("\n")))


class Journal(logging.Handler):
    """Speaks journald's own protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

    def __init__(self, path: Path = JOURNAL) -> None:
        super().__init__()
        self.setFormatter(Safe("%(message)s"))
        self._path = str(path)
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._woken = threading.Event()
        self._ended = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._send_all, name="journal", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        fields = {
            "MESSAGE": self.format(record),
            "PRIORITY": str(PRIORITIES.get(record.levelno, 6)),
            "SYSLOG_IDENTIFIER": IDENTIFIER,
            **getattr(record, "fields", {}),
        }
        if len(self._waiting) >= MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append(datagram(fields))
        self._woken.set()

    def close(self) -> None:
        self._ended = True
        self._woken.set()
        self._thread.join(LAST_CHANCE)
        self._socket.close()
        super().close()

    def _send_all(self) -> None:
        while True:
            self._woken.wait()
            self._woken.clear()
            while self._waiting:
                self._send(self._waiting.popleft())
                if self._dropped:
                    dropped, self._dropped = self._dropped, 0
                    self._send(datagram({"MESSAGE": f"{dropped} lines were not logged", "PRIORITY": "4"}))
            if self._ended:
                return

    def _send(self, line: bytes) -> None:
        try:
            self._socket.sendto(line, self._path)
        except OSError:  # no journal now, or the line is too long for it: there is nobody else to tell
            self._dropped += 1


def datagram(fields: Fields) -> bytes:
    """One entry. A value of several lines is preceded by its length, so that no line of it can pass for a field."""
    return b"".join(_field(name, value[:LONGEST].encode(errors="replace")) for name, value in fields.items())


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"


# --- The timeline in the log ------------------------------------------------------------------------------------------


def tell(rows: Mapping[str, StatusRow], events: Collection[Event], forgotten: Collection[str]) -> None:
    """Each event is a line."""
    for event in events:
        log.log(level(event), "%s", line(event), extra={"fields": fields(event)})


def tell_of_actions(rows: Mapping[str, StatusRow], events: Collection[Event], forgotten: Collection[str]) -> None:
    """Of what was done, and not of what was seen."""
    tell(rows, [event for event in events if event.kind is EventKind.ACTION], forgotten)


def level(event: Event) -> int:
    if event.kind is EventKind.STATUS:
        return LEVELS.get(event.after or Status.UNKNOWN, logging.INFO)
    if event.kind is EventKind.ORDER or (event.kind is EventKind.ACTION and was_done(event)):
        return logging.INFO
    return logging.WARNING


def line(event: Event) -> str:
    """`sma: running → error, Crashed: It was killed by SIGKILL. (systemd)`"""
    what = f"{event.before or '–'} → {event.after}" if event.kind is EventKind.STATUS else event.kind.value
    told = f": {event.message}" if event.message else ""
    return f"{event.name or 'host'}: {what}, {event.reason}{told} ({event.by})"


def fields(event: Event) -> Fields:
    found = {
        "SUPERVISE_AGENT": event.name,
        "SUPERVISE_EVENT": event.kind.value,
        "SUPERVISE_EVENT_ID": event.id,
        "SUPERVISE_REASON": event.reason,
        "SUPERVISE_STATUS": event.after or "",
        "SUPERVISE_BY": event.by,
    }
    return {name: value for name, value in found.items() if value}
