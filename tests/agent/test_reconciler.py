"""When a beat goes to the reconciler; the clock is an argument, the sockets are real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervise.agent import reconciler
from supervise.agent.reconciler import BURST, Reconciler, address
from tests.agent.listening import Listener, ran


def fields(status: str = "running", **more: Any) -> dict[str, Any]:
    return {"v": 1, "agent": "sma", "status": status, **more}


@pytest.fixture
def beats(supervisor: Listener) -> Iterator[Reconciler]:
    found = Reconciler({"SUPERVISE_AGENT_SOCKET": str(supervisor.path)})
    yield found
    found.close()


def test_each_beat_is_the_whole_state(supervisor: Listener, beats: Reconciler) -> None:
    state = fields(activity="page ż", progress=0.4, health=90, metadata={"a": 1})
    beats.tell(state, now=0)
    assert supervisor.beats() == [state]


def test_new_things_are_told_four_times_a_second_and_the_newest_is(supervisor: Listener, beats: Reconciler) -> None:
    for hundredth in range(101):
        beats.tell(fields(activity=f"page {hundredth}"), now=hundredth / 100)
    assert [beat["activity"] for beat in supervisor.beats()] == [f"page {page}" for page in (0, 25, 50, 75, 100)]


def test_nothing_new_is_told_every_five_seconds(supervisor: Listener, beats: Reconciler) -> None:
    told = []
    for second in range(12):
        beats.tell(fields(), now=second)
        told += [second] * len(supervisor.beats())
    assert told == [0, 5, 10]


def test_a_new_status_is_told_at_once(supervisor: Listener, beats: Reconciler) -> None:
    for status in ("running", "warning", "running", "error"):
        beats.tell(fields(status), now=0)
    assert [beat["status"] for beat in supervisor.beats()] == ["running", "warning", "running", "error"]


def test_an_agent_that_turns_to_and_fro_without_end_floods_nobody(supervisor: Listener, beats: Reconciler) -> None:
    told = []
    for thousandth in range(10_001):
        beats.tell(fields("error" if thousandth % 2 else "running"), now=thousandth / 1000)
        told += supervisor.beats()
    assert len(told) <= BURST + 10 * 4 + 1


def test_an_urgent_beat_does_not_wait(supervisor: Listener, beats: Reconciler) -> None:
    beats.tell(fields(activity="one"), now=0)
    beats.tell(fields(activity="two"), now=0, urgent=True)
    assert [beat["activity"] for beat in supervisor.beats()] == ["one", "two"]


def test_a_full_queue_drops_a_beat_and_the_next_one_carries_the_newest(supervisor: Listener, beats: Reconciler) -> None:
    supervisor.fill()
    beats.tell(fields(activity="old"), now=0)
    supervisor.waiting()
    beats.tell(fields(activity="new"), now=0.1)
    assert [beat["activity"] for beat in supervisor.beats()] == ["new"]


@pytest.mark.parametrize("gone", ["closed", "removed", "made anew"])
def test_a_reconciler_that_was_away_is_found_again_and_tried_once_a_second(
    supervisor: Listener, beats: Reconciler, gone: str
) -> None:
    beats.tell(fields(), now=0)
    supervisor.waiting()
    supervisor.close()
    if gone == "removed":
        supervisor.path.unlink()
    if gone != "made anew":
        beats.tell(fields("warning"), now=1)
    supervisor.open()
    if gone != "made anew":
        beats.tell(fields("warning"), now=1.9)
        assert supervisor.beats() == []
    beats.tell(fields("warning"), now=2)
    assert [beat["status"] for beat in supervisor.beats()] == ["warning"]


@pytest.mark.parametrize("path", ["/nonexistent/agent.sock", "x" * 200, "a\0b", "/dev/null"])
def test_where_nobody_listens_nothing_happens(path: str) -> None:
    found = Reconciler({"SUPERVISE_AGENT_SOCKET": path})
    found.tell(fields(), now=0)
    found.close()


def test_the_written_address_wins_then_the_machine_then_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, user = tmp_path / "agent.sock", {"XDG_RUNTIME_DIR": "/run/user/7"}
    monkeypatch.setattr(reconciler, "SYSTEM", str(system))
    assert address({"SUPERVISE_AGENT_SOCKET": "/somewhere", **user}) == "/somewhere"
    assert address(user) == "/run/user/7/supervise/agent.sock"
    assert address({}) == str(system)
    system.touch()
    assert address(user) == str(system)


def test_a_machine_wide_socket_that_is_not_for_us_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "agent.sock").touch(mode=0o400)
    tmp_path.chmod(0o755)
    code = f"""
        from supervise.agent import reconciler
        reconciler.SYSTEM = "agent.sock"
        os.chdir({str(tmp_path)!r})
        if os.geteuid() == 0:  # who may write anywhere
            os.setuid(65534)
        print(reconciler.address({{"XDG_RUNTIME_DIR": "/run/user/7"}}))
    """
    assert ran(code) == "/run/user/7/supervise/agent.sock\n"
