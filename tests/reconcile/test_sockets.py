"""The daemon's sockets: handed over, or made; real ones, below a folder."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from supervise.errors import SuperviseError
from supervise.places import Places
from supervise.reconcile import sockets as module
from supervise.reconcile.sockets import sockets
from tests.nouns import places_in

Handed = tuple[str, ...]


@pytest.fixture
def there(tmp_path: Path) -> Places:
    return places_in(tmp_path)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


@pytest.fixture
def handed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of a service with a listening socket for each of four names, on descriptors beside each other."""
    first = 200
    monkeypatch.setattr(module, "FIRST", first)
    names = ("agent", "other", "control", "beyond")
    kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_STREAM)
    for number, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        with socket.socket(socket.AF_UNIX, kind) as sock:
            sock.bind(str(tmp_path / f"{name}.handed"))
            os.dup2(sock.fileno(), first + number)
    yield {"LISTEN_FDS": "3", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": ":".join(names[:3]), "HOME": "/"}
    for number in range(len(names)):
        try:
            os.close(first + number)
        except OSError:  # taken over, and closed with the socket that took it
            continue


def is_open(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").exists()


# --- Handed over ------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of what is nobody's, which is closed
def test_what_systemd_hands_over_is_taken_by_its_name(
    there: Places, tmp_path: Path, handed: dict[str, str], stack: ExitStack
) -> None:
    control, agent = (stack.enter_context(one) for one in sockets(there, handed))
    assert control.getsockname() == str(tmp_path / "control.handed")
    assert agent.getsockname() == str(tmp_path / "agent.handed")
    assert (control.type, agent.type) == (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    assert not there.runtime.exists()
    assert (is_open(201), is_open(203)) == (False, True)  # the one that we have no use for; and what is not ours


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_child_inherits_them_or_the_variables(there: Places, handed: dict[str, str], stack: ExitStack) -> None:
    for one in sockets(there, handed):
        stack.enter_context(one)
        assert not one.get_inheritable()
    assert handed == {"HOME": "/"}


@pytest.mark.parametrize(
    "said",
    [
        {"LISTEN_PID": "1"},
        {"LISTEN_PID": ""},
        {"LISTEN_FDS": ""},
        {"LISTEN_FDS": "-1"},
        {"LISTEN_FDS": "three"},
        {"LISTEN_FDS": "0"},
    ],
)
def test_what_is_for_another_process_is_not_touched(
    there: Places, handed: dict[str, str], stack: ExitStack, said: dict[str, str]
) -> None:
    handed.update(said)
    control, agent = (stack.enter_context(one) for one in sockets(there, handed))
    assert (control.getsockname(), agent.getsockname()) == (str(there.control), str(there.agent_socket))
    assert all(is_open(200 + number) for number in range(4))
    assert handed == {"HOME": "/"}


def test_what_is_missing_among_them_is_made(there: Places, tmp_path: Path, handed: dict[str, str]) -> None:
    handed["LISTEN_FDS"] = "1"
    control, agent = sockets(there, handed)
    with control, agent:
        assert control.getsockname() == str(there.control)
        assert agent.getsockname() == str(tmp_path / "agent.handed")


# --- Made -------------------------------------------------------------------------------------------------------------


def test_where_none_are_handed_over_they_are_made_for_those_who_may_use_them(there: Places, stack: ExitStack) -> None:
    for one in sockets(there, {}):
        stack.enter_context(one)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (there.control, there.agent_socket)}
    assert modes == {there.control: 0o666, there.agent_socket: 0o660}
    for kind, path in ((socket.SOCK_STREAM, there.control), (socket.SOCK_DGRAM, there.agent_socket)):
        stack.enter_context(socket.socket(socket.AF_UNIX, kind)).connect(str(path))


def test_what_a_dead_reconciler_has_left_is_replaced(there: Places, stack: ExitStack) -> None:
    for one in sockets(there, {}):
        one.close()
    assert there.control.exists()
    for one in sockets(there, {}):
        stack.enter_context(one)
    stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(there.control))


@pytest.mark.parametrize("alive", ["control", "agent"])
def test_a_reconciler_that_lives_keeps_its_sockets(there: Places, stack: ExitStack, alive: str) -> None:
    control, agent = (stack.enter_context(one) for one in sockets(there, {}))
    path = there.control if alive == "control" else there.agent_socket
    (agent if alive == "control" else control).close()
    kind = socket.SOCK_STREAM if alive == "control" else socket.SOCK_DGRAM
    with pytest.raises(SuperviseError, match=f"cannot listen on {path}: another reconciler does"):
        module._made(path, kind, 0o666)
    stack.enter_context(socket.socket(socket.AF_UNIX, kind)).connect(str(path))


def test_one_that_hangs_with_a_full_queue_lives_and_is_not_waited_for(there: Places, stack: ExitStack) -> None:
    control, _ = (stack.enter_context(one) for one in sockets(there, {}))
    control.listen(0)
    stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(there.control))
    with pytest.raises(SuperviseError, match="another reconciler does"):
        module._made(there.control, socket.SOCK_STREAM, 0o666)


def test_asking_whether_one_lives_leaves_no_descriptor_behind(there: Places, stack: ExitStack) -> None:
    for one in sockets(there, {}):
        stack.enter_context(one)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(SuperviseError):
        sockets(there, {})
    assert os.listdir("/proc/self/fd") == before


def test_a_place_where_nothing_can_be_made_is_named(there: Places) -> None:
    there.runtime.write_text("a file where the folder should be")
    with pytest.raises(SuperviseError, match=rf"cannot listen on {there.control}: (File exists|Not a directory)"):
        sockets(there, {})


def test_a_path_that_is_too_long_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(SuperviseError, match="too long"):
        sockets(places_in(tmp_path / ("x" * 120)), {})
