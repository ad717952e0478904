"""What is believed of what arrives on the agent socket. It and the senders are real; the time is an argument."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervise import clock
from supervise.model import Beat, BeatStatus, Instant
from supervise.observe import beats
from supervise.observe.beats import BURST, LONGEST, LONGEST_TEXT, RATE, Beats, beat, changed, parsed
from supervise.observe.scan import process
from tests.nouns import NOW, after, minutes, seconds

US = os.getpid()
SENDS = """
import socket, sys
one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
one.sendto(sys.argv[2].encode(), sys.argv[1])
print("sent", flush=True)
sys.stdin.read()
"""


class Ear:
    """The agent socket. This process is the main one of `sma`, and nobody else is anybody's."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.mains = {US: "sma"}
        listening, self.mouth = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
        listening.bind(self.path)
        self.beats = Beats(listening, main=self.mains.get)

    def say(self, content: Any) -> None:
        """In this process's name."""
        self.mouth.sendto(content if isinstance(content, bytes) else json.dumps(content).encode(), self.path)

    def heard(self, content: Any, now: Instant = NOW) -> Beat | None:
        """What is made of one datagram; None if it is refused."""
        self.say(content)
        said, more = self.beats.read(now)
        assert not more
        return said[0].beat if said else None

    def refused(self) -> dict[str, int]:
        return dict(self.beats.take_refused().counts)

    def close(self) -> None:
        self.beats.socket.close()
        self.mouth.close()


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    found = Ear(tmp_path / "agent.sock")
    yield found
    found.close()


@pytest.fixture
def child(ear: Ear) -> Iterator[subprocess.Popen[bytes]]:
    """Another process, which has said that it is `sma` and lives on."""
    words = (sys.executable, "-ISc", SENDS, ear.path, '{"agent": "sma"}')
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        assert started.stdout
        assert started.stdout.readline() == b"sent\n"
        yield started


# --- Who says it ------------------------------------------------------------------------------------------------------


def test_a_main_process_speaks_for_its_agent_with_or_without_its_name(ear: Ear) -> None:
    for content in ({"agent": "sma", "status": "running"}, {"status": "running"}):
        ear.say(content)
        (said,), _ = ear.beats.read(NOW)
        assert (said.name, said.beat.pid, said.beat.by_main, said.beat.status) == ("sma", US, True, BeatStatus.RUNNING)


@pytest.mark.parametrize("name", ["breakout", "", None, 1, ["sma"], "SMA", "sma "])
def test_a_main_process_speaks_for_no_other_agent(ear: Ear, name: object) -> None:
    assert ear.heard({"agent": name}) is None
    assert ear.refused() == {"false name": 1}


def test_another_process_does_not_speak_for_an_agent_whatever_it_says(ear: Ear, child: subprocess.Popen[bytes]) -> None:
    assert ear.beats.read(clock.now()) == ([], False)
    refused = ear.beats.take_refused()
    assert (refused.counts, refused.senders) == (Counter({"no agent": 1}), Counter({child.pid: 1}))


def test_another_process_that_is_known_as_a_main_one_is_heard(ear: Ear, child: subprocess.Popen[bytes]) -> None:
    ear.mains[child.pid] = "sma"
    (said,), _ = ear.beats.read(clock.now())
    assert (said.name, said.beat.pid) == ("sma", child.pid)


def test_what_a_stranger_has_left_behind_proves_nothing_once_it_is_gone(ear: Ear) -> None:
    words = (sys.executable, "-ISc", SENDS, ear.path, '{"agent": "sma"}')
    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    assert ear.beats.read(clock.now()) == ([], False)
    assert ear.refused() == {"no agent": 1}


def test_the_last_words_of_a_main_process_are_heard_after_its_end(ear: Ear, child: subprocess.Popen[bytes]) -> None:
    ear.mains[child.pid] = "sma"
    child.kill()
    child.wait()
    assert [one.name for one in ear.beats.read(clock.now())[0]] == ["sma"]


def test_a_datagram_without_credentials_is_nobodys(ear: Ear) -> None:
    """As from a process that has no PID here."""
    ear.mains[0] = "sma"
    assert ear.beats._accepted(b"{}", [], 0, NOW) is None
    assert ear.refused() == {"dead sender": 1}


def test_a_process_outside_of_every_agent_unit_belongs_to_no_agent(ear: Ear, child: subprocess.Popen[bytes]) -> None:
    assert beats._by_cgroup(child.pid, clock.now(), "") is None


def test_a_process_that_does_not_exist_belongs_to_no_agent() -> None:
    assert beats._by_cgroup(2**22 + 1, NOW, "") is None


def test_a_process_younger_than_a_datagram_has_not_sent_it(child: subprocess.Popen[bytes]) -> None:
    found = process(child.pid)
    assert found
    assert beats._old_enough(found.id, clock.now())
    assert not beats._old_enough(found.id, after(-minutes(1), clock.now()))


def test_descriptors_that_are_sent_along_are_not_taken(ear: Ear) -> None:
    """They would stay open for ever, and anybody could send as many as the reconciler may have."""
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        ear.mouth.sendmsg([b"{}"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [0, 1, 2]))], 0, ear.path)
    assert len(ear.beats.read(NOW)[0]) == 3
    assert os.listdir("/proc/self/fd") == before


# --- How often and how much -------------------------------------------------------------------------------------------


def test_a_process_may_send_so_many_at_once_and_then_so_many_a_second(ear: Ear) -> None:
    heard = [ear.heard({}) for _ in range(int(BURST) + 5)]
    assert [bool(one) for one in heard] == [True] * int(BURST) + [False] * 5
    assert ear.refused() == {"too many": 5}
    later = [ear.heard({}, after(seconds(1))) for _ in range(int(RATE) + 5)]
    assert [bool(one) for one in later] == [True] * int(RATE) + [False] * 5


def test_a_process_that_sends_too_much_takes_nothing_from_another(ear: Ear) -> None:
    while ear.heard({}):
        pass
    words = (sys.executable, "-ISc", SENDS, ear.path, "{}")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        ear.mains[other.pid] = "breakout"
        assert other.stdout
        other.stdout.readline()
        assert [one.name for one in ear.beats.read(NOW)[0]] == ["breakout"]


def test_no_more_than_a_bound_is_read_in_one_go_and_that_is_told(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "AT_ONCE", 3)
    for number in range(5):
        ear.say({"activity": str(number)})
    said, more = ear.beats.read(NOW)
    assert ([one.beat.activity for one in said], more) == (["0", "1", "2"], True)
    said, more = ear.beats.read(NOW)
    assert ([one.beat.activity for one in said], more) == (["3", "4"], False)
    assert ear.beats.read(NOW) == ([], False)


def test_what_was_refused_counts_towards_that_bound(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "AT_ONCE", 3)
    for _ in range(3):
        ear.say(b"?")
    assert ear.beats.read(NOW) == ([], True)


def test_the_longest_datagram_is_heard_and_a_longer_one_refused(ear: Ear) -> None:
    frame = len(json.dumps({"activity": ""}))
    assert ear.heard({"activity": "x" * (LONGEST - frame)})
    assert ear.heard({"activity": "x" * (LONGEST - frame + 1)}) is None
    assert ear.refused() == {"too long": 1}


def test_what_was_refused_is_told_once_with_who_sent_it(ear: Ear) -> None:
    for content in (b"?", b"{}", {"agent": "breakout"}, b"?"):
        ear.heard(content)
    refused = ear.beats.take_refused()
    assert refused.counts == {"malformed": 2, "false name": 1}
    assert refused.senders == {US: 3}
    assert ear.beats.take_refused() == beats.Refused()


def test_ever_new_senders_fill_no_memory(
    ear: Ear, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beats, "MOST_SENDERS", 1)
    ear.say(b"?")
    ear.beats.read(NOW)
    refused = ear.beats.take_refused()
    assert (refused.counts, refused.senders) == ({"no agent": 1, "malformed": 1}, {child.pid: 1})


# --- What is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"?", b"null", b"[]", b'"x"', b"1", b"{", b'{"a":1}x', b"\xff\xfe{}", b"[" * 8000, b'{"a":' * 1600, b"\0"],
)
def test_what_is_no_object_is_refused(ear: Ear, content: bytes) -> None:
    assert ear.heard(content) is None
    assert ear.refused() == {"malformed": 1}
    assert ear.heard({}) is not None


def test_everything_that_an_agent_may_say_is_kept(ear: Ear) -> None:
    said = {
        "v": 1,
        "agent": "sma",
        "status": "warning",
        "health": 61.6,
        "activity": "page ż",
        "error": "half",
        "waiting": "for a route",
        "progress": 0.25,
        "metadata": {"a": [1]},
    }
    heard = ear.heard(said)
    assert heard == Beat(
        at=heard.at if heard else NOW,
        pid=US,
        status=BeatStatus.WARNING,
        health=62,
        activity="page ż",
        error="half",
        waiting="for a route",
        progress=0.25,
        metadata={"a": [1]},
    )


@pytest.mark.parametrize("status", ["running", "warning", "error", "stopping"])
def test_each_word_for_a_status_is_known(ear: Ear, status: str) -> None:
    heard = ear.heard({"status": status})
    assert heard
    assert heard.status == status


WORDLESS: list[object] = [1, True, "", None, ["x"], {}]
MISTYPED: dict[str, list[object]] = {
    "status": ["stopped", "RUNNING", "", 1, True, None, ["running"], {}],
    "health": ["50", True, False, None, [], {}, float("nan"), float("inf")],
    "progress": ["0.5", True, None, [0.5], float("nan"), -float("inf")],
    "activity": WORDLESS,
    "error": WORDLESS,
    "waiting": WORDLESS,
    "metadata": ["x", 1, [["a", 1]], None, True],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in MISTYPED.items() for value in values])
def test_what_has_the_wrong_type_was_not_said_and_the_rest_was(ear: Ear, field: str, value: object) -> None:
    heard = ear.heard({field: value, "error" if field == "activity" else "activity": "it turns"})
    assert heard
    assert getattr(heard, field) == ({} if field == "metadata" else None)
    assert "it turns" in (heard.activity, heard.error)


@pytest.mark.parametrize(
    ("field", "digits", "within"),
    [
        ("health", "-1", 0),
        ("health", "100.4", 100),
        ("health", "1e300", 100),
        ("health", "9" * 400, 100),
        ("health", "-" + "9" * 400, 0),
        ("progress", "1.01", 1.0),
        ("progress", "-0.0001", 0.0),
        ("progress", "9" * 400, 1.0),
    ],
)
def test_a_number_beyond_its_range_counts_as_the_end_of_it(ear: Ear, field: str, digits: str, within: float) -> None:
    heard = ear.heard(f'{{"{field}": {digits}}}'.encode())
    assert heard
    assert getattr(heard, field) == within


def test_a_long_text_is_cut(ear: Ear) -> None:
    heard = ear.heard({"activity": "x" * (LONGEST_TEXT + 1)})
    assert heard
    assert heard.activity == "x" * LONGEST_TEXT


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(10**300, 10**500) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ("status", "health", "activity", "error", "waiting", "progress", "metadata")


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), anything))
def test_whatever_an_object_holds_is_a_beat_within_its_limits(words: dict[str, Any]) -> None:
    found = parsed(json.dumps(words).encode())
    assert found is not None
    made = beat(found, at=NOW, pid=7)
    assert made.health is None or 0 <= made.health <= 100
    assert made.progress is None or 0 <= made.progress <= 1


# --- When it was said -------------------------------------------------------------------------------------------------


def test_its_time_is_the_kernels_and_not_that_of_the_reading(ear: Ear) -> None:
    before = clock.now()
    ear.say({})
    sent = clock.now()
    late = after(seconds(20), sent)
    (said,), _ = ear.beats.read(late)
    at = said.beat.at
    assert before.wall - seconds(0.02) <= at.wall <= sent.wall
    age = late.wall - at.wall
    assert (at.monotonic, at.boottime, at.boot) == (late.monotonic - age, late.boottime - age, late.boot)


@pytest.mark.parametrize("step", [-minutes(60), -seconds(5), minutes(2), minutes(600)])
def test_a_wall_clock_that_was_set_in_between_makes_a_beat_neither_old_nor_of_the_future(ear: Ear, step: Any) -> None:
    ear.say({})
    now = clock.now()
    now = replace(now, wall=now.wall + step)
    (said,), _ = ear.beats.read(now)
    assert said.beat.at == now


# --- Since when -------------------------------------------------------------------------------------------------------


def told(at: Instant, **fields: Any) -> Beat:
    return Beat(at=at, pid=7, **fields)


def test_a_first_beat_is_new() -> None:
    assert changed(None, told(NOW, activity="a")).changed == NOW.monotonic


def test_the_same_activity_and_progress_are_as_old_as_when_they_were_first_told() -> None:
    first = changed(None, told(NOW, activity="a", progress=0.5))
    second = changed(first, told(after(seconds(5)), activity="a", progress=0.5, health=3))
    third = changed(second, told(after(seconds(9)), activity="a", progress=0.5))
    assert (second.changed, third.changed) == (NOW.monotonic, NOW.monotonic)
    assert (second.health, third.at) == (3, after(seconds(9)))


@pytest.mark.parametrize("new", [{"activity": "b"}, {"progress": 0.6}, {"activity": None}])
def test_another_activity_or_progress_is_new(new: dict[str, Any]) -> None:
    first = changed(None, told(NOW, activity="a", progress=0.5))
    second = changed(first, told(after(seconds(5)), **{"activity": "a", "progress": 0.5, **new}))
    assert second.changed == after(seconds(5)).monotonic


def test_a_beat_of_which_nobody_noted_since_when_begins_anew() -> None:
    assert changed(told(NOW, activity="a"), told(after(seconds(5)), activity="a")).changed == NOW.monotonic + seconds(5)
