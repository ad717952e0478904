"""What is logged of agents, with which fields, over a real datagram socket in the place of the journal's."""

from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from supervise.model import Event, EventKind, Status
from supervise.reconcile import journaling
from supervise.reconcile.journaling import Journal, datagram, fields, leads_to_journal, level, line
from tests.cli.reconciler import HOSTILE, INERT
from tests.nouns import NOON

Entry = dict[str, str]


def event(**changes: Any) -> Event:
    plain: dict[str, Any] = {
        "id": "e1",
        "name": "sma",
        "at": NOON,
        "kind": EventKind.STATUS,
        "before": Status.RUNNING,
        "after": Status.ERROR,
        "reason": "Crashed",
        "message": "It was killed by SIGKILL.",
        "by": "systemd",
    }
    return Event(**{**plain, **changes})


def parsed(content: bytes) -> Entry:
    """An entry as journald reads it."""
    found = {}
    while content:
        name, _, rest = content.partition(b"\n")
        if b"=" in name:
            name, _, value = name.partition(b"=")
            content = rest
        else:
            (length,) = struct.unpack("<Q", rest[:8])
            value, content = rest[8 : 8 + length], rest[8 + length + 1 :]
        found[name.decode()] = value.decode()
    return found


class Journald:
    """The reading end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(10)

    def entry(self) -> Entry:
        return parsed(self.socket.recv(1 << 20))


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    found = Journald(tmp_path / "socket")
    yield found
    found.socket.close()


@contextmanager
def logging_to(path: Path) -> Iterator[tuple[logging.Logger, Journal]]:
    log, handler = logging.getLogger("supervise.test"), Journal(path)
    log.propagate, log.handlers = False, [handler]
    log.setLevel(logging.DEBUG)
    try:
        yield log, handler
    finally:
        log.handlers = []
        handler.close()


# --- The protocol -----------------------------------------------------------------------------------------------------


def test_a_line_has_its_text_its_priority_and_whose_it_is(journald: Journald) -> None:
    with logging_to(journald.path) as (log, _):
        for write in (log.debug, log.info, log.warning, log.error, log.critical):
            write("%s agents", 3)
        found = [journald.entry() for _ in range(5)]
    assert [one["PRIORITY"] for one in found] == ["7", "6", "4", "3", "2"]
    assert {(one["MESSAGE"], one["SYSLOG_IDENTIFIER"]) for one in found} == {("3 agents", "supervise-reconciler")}


def test_no_text_can_pass_for_a_field(journald: Journald) -> None:
    with logging_to(journald.path) as (log, _):
        log.info("%s", "one\nPRIORITY=0", extra={"fields": {"SUPERVISE_REASON": "a\nMESSAGE=b"}})
        found = journald.entry()
    assert found["MESSAGE"] == "one\nPRIORITY=0"
    assert (found["PRIORITY"], found["SUPERVISE_REASON"]) == ("6", "a\nMESSAGE=b")


def test_foreign_text_is_inert_here_and_on_standard_error(
    journald: Journald, capsys: pytest.CaptureFixture[str]
) -> None:
    with logging_to(journald.path) as (log, _):
        log.info("%s", HOSTILE)
        assert journald.entry()["MESSAGE"] == INERT.replace("␊", "\n")
        log.handlers = [journaling.plain()]
        log.warning("%s", HOSTILE)
    assert capsys.readouterr().err == f"WARNING {INERT}\n".replace("␊", "\n")


def test_a_line_that_is_too_long_is_cut() -> None:
    assert len(datagram({"MESSAGE": "x" * 1_000_000})) < 40_000


def test_what_waits_is_written_before_the_end(journald: Journald) -> None:
    with logging_to(journald.path) as (log, _):
        for number in range(5):
            log.info("%d", number)
    assert [journald.entry()["MESSAGE"] for _ in range(5)] == list("01234")


def test_a_journal_that_does_not_read_holds_nobody_up_and_learns_what_was_dropped(
    journald: Journald, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journaling, "MOST_WAITING", 50)
    with logging_to(journald.path) as (log, _):
        for number in range(5000):  # of which nobody reads one until all are said
            log.info("%d", number)
        kept: list[int] = []
        dropped: list[int] = []
        while len(kept) + sum(dropped) < 5000:
            count, *what = journald.entry()["MESSAGE"].split(maxsplit=1)
            (dropped if what == ["lines were not logged"] else kept).append(int(count))
    assert kept == sorted(kept)
    assert kept[:50] == list(range(50))
    assert sum(dropped) > 1000
    assert len(kept) + sum(dropped) == 5000


def test_without_a_journal_nothing_happens(tmp_path: Path) -> None:
    with logging_to(tmp_path / "nobody") as (log, handler):
        log.error("lost")
    assert handler._dropped == 1


def test_only_where_standard_error_leads_to_the_journal_is_it_spoken_to(
    journald: Journald, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = os.fstat(2)
    monkeypatch.setattr(journaling, "JOURNAL", journald.path)
    assert leads_to_journal({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    assert not leads_to_journal({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
    assert not leads_to_journal({})
    monkeypatch.setattr(journaling, "JOURNAL", journald.path.with_name("nobody"))
    assert not leads_to_journal({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})


# --- The timeline -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "sma: running → error, Crashed: It was killed by SIGKILL. (systemd)"),
        ({"before": None, "message": ""}, "sma: – → error, Crashed (systemd)"),
        (
            {"kind": EventKind.ACTION, "reason": "Silent", "message": "restart agent@sma.service: done"},
            "sma: action, Silent: restart agent@sma.service: done (systemd)",
        ),
        ({"kind": EventKind.ORDER, "reason": "stop", "message": "", "by": "ada"}, "sma: order, stop (ada)"),
        ({"kind": EventKind.HOST, "name": "", "reason": "Stalled", "message": "x"}, "host: host, Stalled: x (systemd)"),
    ],
)
def test_each_event_is_one_line(changes: dict[str, Any], text: str) -> None:
    assert line(event(**changes)) == text


@pytest.mark.parametrize(
    ("changes", "priority"),
    [
        ({}, 3),
        ({"after": Status.WARNING}, 4),
        ({"after": Status.UNKNOWN}, 4),
        ({"after": Status.RUNNING}, 6),
        ({"after": Status.STOPPED}, 6),
        ({"kind": EventKind.DEATH, "after": Status.RUNNING}, 4),
        ({"kind": EventKind.ACTION, "message": "start agent@sma.service: done"}, 6),
        ({"kind": EventKind.ACTION, "message": "start agent@sma.service: denied"}, 4),
        ({"kind": EventKind.ORDER}, 6),
        ({"kind": EventKind.HOST}, 4),
    ],
)
def test_how_bad_it_is_that_it_is_so(changes: dict[str, Any], priority: int) -> None:
    assert journaling.PRIORITIES[level(event(**changes))] == priority


def test_its_fields_say_of_whom_why_and_which_event(journald: Journald, monkeypatch: pytest.MonkeyPatch) -> None:
    with logging_to(journald.path) as (log, _):
        monkeypatch.setattr(journaling, "log", log)
        journaling.tell({}, [event()], ())
        found = journald.entry()
    assert found == {
        "MESSAGE": line(event()),
        "PRIORITY": "3",
        "SYSLOG_IDENTIFIER": "supervise-reconciler",
        "SUPERVISE_AGENT": "sma",
        "SUPERVISE_EVENT": "status",
        "SUPERVISE_EVENT_ID": "e1",
        "SUPERVISE_REASON": "Crashed",
        "SUPERVISE_STATUS": "error",
        "SUPERVISE_BY": "systemd",
    }


def test_what_concerns_no_agent_names_none() -> None:
    assert "SUPERVISE_AGENT" not in fields(event(name="", kind=EventKind.HOST))


def test_of_one_pass_only_what_was_done_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    journaling.tell_of_actions({}, [event(), event(kind=EventKind.ACTION, message="start x: done")], ())
    assert caplog.messages == ["sma: action, Crashed: start x: done (systemd)"]
