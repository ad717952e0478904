"""What the service manager hears, and when; the clock is an argument, the sockets are real."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from supervise.agent.manager import Manager
from tests.agent.listening import Listener

Made = Callable[..., Manager]


@pytest.fixture
def made(systemd: Listener) -> Iterator[Made]:
    """Makes managers, of the listener unless told otherwise."""
    with ExitStack() as stack:

        def make(**environ: str) -> Manager:
            manager = Manager({"NOTIFY_SOCKET": str(systemd.path), **environ})
            stack.callback(manager.close)
            return manager

        yield make


def test_ready_is_said_once(systemd: Listener, made: Made) -> None:
    manager = made()
    for now in range(3):
        manager.owe_ready()
        manager.tell("serving", now=now)
    assert systemd.messages() == ["READY=1\nSTATUS=serving"]


def test_the_watchdog_is_pinged_at_a_third_of_its_interval(systemd: Listener, made: Made) -> None:
    manager = made(WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()))
    pinged = []
    for tenth in range(36):
        manager.tell("", now=tenth / 10, ping=True)
        if systemd.messages() == ["WATCHDOG=1"]:
            pinged.append(tenth)
    assert pinged == [0, 10, 20, 30]


def test_only_a_beat_pings(systemd: Listener, made: Made) -> None:
    made(WATCHDOG_USEC="3000000").tell("serving", now=0)
    assert systemd.messages() == ["STATUS=serving"]


def test_the_first_ping_arms_the_watchdog_that_the_unit_asks_for(systemd: Listener, made: Made) -> None:
    manager = made(SUPERVISE_WATCHDOG_USEC="90000000")
    manager.tell("", now=0)
    assert systemd.messages() == []
    for now in (1, 31):
        manager.tell("", now=now, ping=True)
    assert systemd.messages() == ["WATCHDOG_USEC=90000000\nWATCHDOG=1", "WATCHDOG=1"]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "0"},
        {"SUPERVISE_WATCHDOG_USEC": "²"},
    ],
    ids=str,
)
def test_without_a_watchdog_of_its_own_it_pings_none(systemd: Listener, made: Made, environ: dict[str, str]) -> None:
    made(**environ).tell("", now=0, ping=True)
    assert systemd.messages() == []


def test_a_status_is_told_when_it_changes_and_at_most_once_a_second(systemd: Listener, made: Made) -> None:
    manager = made()
    for now, status in ((0.0, "one"), (0.5, "two"), (0.9, "three"), (1.0, "three"), (5.0, "three"), (6.0, "")):
        manager.tell(status, now=now)
    assert systemd.messages() == ["STATUS=one", "STATUS=three", "STATUS="]


def test_an_urgent_status_does_not_wait(systemd: Listener, made: Made) -> None:
    manager = made()
    manager.tell("one", now=0)
    manager.tell("two", now=0, urgent=True)
    assert systemd.messages() == ["STATUS=one", "STATUS=two"]


def test_a_status_arrives_as_utf_8(systemd: Listener, made: Made) -> None:
    made().tell("żółć 🙂", now=0)
    assert systemd.raw() == "STATUS=żółć 🙂".encode()


def test_while_the_queue_is_full_nothing_blocks_and_what_is_owed_is_told_later(systemd: Listener, made: Made) -> None:
    manager = made(SUPERVISE_WATCHDOG_USEC="3000000")
    systemd.fill()
    manager.owe_ready()
    manager.owe("STOPPING=1")
    assert manager.tell("old", now=0, ping=True) is False
    systemd.waiting()
    assert manager.tell("new", now=0.1, ping=True) is True
    assert systemd.messages() == ["READY=1\nSTOPPING=1\nWATCHDOG_USEC=3000000\nWATCHDOG=1\nSTATUS=new"]
    manager.tell("new", now=0.2, ping=True)
    assert systemd.messages() == []


def test_a_manager_that_was_away_is_found_again_and_tried_once_a_second(systemd: Listener, made: Made) -> None:
    manager = made()
    manager.tell("one", now=0)
    systemd.close()
    assert manager.tell("two", now=1) is True
    systemd.open()
    manager.tell("two", now=1.9)
    assert systemd.messages() == []
    manager.tell("two", now=2)
    assert systemd.messages() == ["STATUS=two"]


def test_an_abstract_address_works(tmp_path: Path, made: Made) -> None:
    name = f"supervise-test-{os.getpid()}-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        made(NOTIFY_SOCKET=f"@{name}").tell("serving", now=0)
        listener.settimeout(5)
        assert listener.recv(100) == b"STATUS=serving"


@pytest.mark.parametrize("address", ["", "/nonexistent/notify", "vsock:2:1", "x" * 200, "a\0b", "@"])
def test_without_a_manager_nothing_happens(address: str) -> None:
    manager = Manager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"})
    manager.owe_ready()
    assert manager.tell("serving", now=0, ping=True) is True


def test_the_address_is_taken_away_from_children(systemd: Listener) -> None:
    environ = {"NOTIFY_SOCKET": str(systemd.path), "WATCHDOG_USEC": "1000"}
    Manager(environ)
    assert environ == {"WATCHDOG_USEC": "1000"}


def test_what_a_signal_handler_owes_in_the_midst_of_a_message_is_not_forgotten(systemd: Listener, made: Made) -> None:
    class Interrupted(Manager):
        def _send(self, message: str) -> None:
            super()._send(message)
            self.owe("STOPPING=1")

    manager = Interrupted({"NOTIFY_SOCKET": str(systemd.path)})
    manager.owe_ready()
    manager.tell("", now=0)
    manager.tell("", now=0)
    manager.close()
    assert systemd.messages() == ["READY=1", "STOPPING=1"]
