"""What the daemon tells its service manager, over a real notification socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from supervise.notify import Notify


class Manager:
    """The service manager's end."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture(params=["/notify", "@abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    address = f"@{tmp_path}" if request.param == "@abstract" else f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address.replace("@", "\0"))
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield Manager(sock)


@pytest.fixture
def notify(manager: Manager) -> Iterator[Notify]:
    found = Notify()
    yield found
    assert found._notifier
    found._notifier.socket.close()


def test_it_is_ready_and_it_stops(manager: Manager, notify: Notify) -> None:
    assert manager.heard() == []
    notify.ready()
    notify.stopping()
    assert manager.heard() == ["READY=1", "STOPPING=1"]


def test_a_reload_begins_and_ends_but_not_before_it_was_ready(manager: Manager, notify: Notify) -> None:
    with notify.reloading():
        pass
    assert manager.heard() == []
    notify.ready()
    with pytest.raises(ValueError, match="broken"), notify.reloading():
        raise ValueError("broken")
    assert manager.heard() == ["READY=1", "RELOADING=1", "READY=1"]


def test_each_pass_feeds_the_watchdog_and_a_status_is_told_when_it_is_new(manager: Manager, notify: Notify) -> None:
    for status in ("1 agent", "1 agent", "2 agents", "1 agent"):
        notify.passed(status)
    ping = "WATCHDOG=1"
    assert manager.heard() == [ping, "STATUS=1 agent", ping, ping, "STATUS=2 agents", ping, "STATUS=1 agent"]


def test_a_status_in_any_language_is_told(manager: Manager, notify: Notify) -> None:
    for status in ("né", "the store cannot be written: /srv/żółw/日本", "\ud800"):
        notify.passed(status)
    told = [line for line in manager.heard() if line != "WATCHDOG=1"]
    assert told == ["STATUS=né", "STATUS=the store cannot be written: /srv/żółw/日本", "STATUS=?"]


def test_a_manager_that_does_not_read_is_not_waited_for(manager: Manager, notify: Notify) -> None:
    for number in range(1000):
        notify.passed(str(number))
    assert 0 < len(manager.heard()) < 1000
    notify.ready()
    assert manager.heard() == ["READY=1"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sdnotify leaves closing to others
@pytest.mark.parametrize("address", [None, "/nonexistent/notify", ""])
def test_where_nobody_listens_nothing_happens(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify = Notify()
    notify.ready()
    notify.passed("1 agent")
    notify.stopping()


def test_a_manager_that_has_gone_is_no_error(manager: Manager, notify: Notify) -> None:
    manager.socket.close()
    notify.passed("1 agent")


@pytest.mark.parametrize(
    ("said", "within"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("5000000", timedelta(seconds=5)),
        ("1500", timedelta(milliseconds=1.5)),
    ],
)
def test_the_watchdog_is_as_long_as_the_manager_says(
    notify: Notify, monkeypatch: pytest.MonkeyPatch, said: str | None, within: timedelta | None
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    if said is not None:
        monkeypatch.setenv("WATCHDOG_USEC", said)
    assert notify.watchdog == within
