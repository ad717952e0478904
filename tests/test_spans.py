"""Our time spans are systemd's: compared with `systemd-analyze timespan`, which is the judge."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervise.model import FOREVER
from supervise.spans import span, span_text

judged = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")

INFINITY = 2**64 - 1
UNITS = tuple(
    """
    seconds second sec s minutes minute min months month M msec ms m hours hour hr h days day d weeks week w
    years year y usec us μs µs
    """.split()  # noqa: SIM905 -- it reads better
)
blanks = st.sampled_from(["", " ", "  ", "\t"])
numbers = st.one_of(
    st.integers(0, 999).map(str),
    st.integers(0, 10**5).map(str),
    st.builds("{}.{}".format, st.integers(0, 999), st.from_regex(r"\A[0-9]{1,9}\Z")),
    st.from_regex(r"\A\.[0-9]{1,7}\Z"),
    st.just("+3"),
)
parts = st.builds("{}{}{}{}".format, numbers, blanks, st.sampled_from(UNITS), blanks)
spans = st.one_of(
    st.lists(parts, min_size=1, max_size=4).map("".join),
    st.lists(numbers, min_size=1, max_size=2).map(" ".join),
    st.just("infinity"),
)
near_spans = st.lists(
    st.one_of(st.sampled_from([*UNITS, "infinity", ".", " ", "-", "+", ",", "foo", "5", "1.5", "0", "9" * 19, "inf"])),
    max_size=5,
).map("".join)


def systemd(*texts: str) -> list[int] | None:
    """The microseconds that systemd reads, or None if it refuses one of them."""
    command = ["systemd-analyze", "timespan", "--", *texts]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return [int(found) for found in re.findall(r"μs: ([0-9]+)", answer.stdout)] if answer.returncode == 0 else None


def ours(text: str) -> int | None:
    try:
        length = span(text)
    except ValueError:
        return None
    return INFINITY if length == FOREVER else length // timedelta(microseconds=1)


@judged
@settings(max_examples=30, deadline=None)
@given(st.lists(spans, min_size=50, max_size=50))
def test_a_span_means_what_it_means_to_systemd(texts: list[str]) -> None:
    assert [ours(text) for text in texts] == systemd(*texts)


@judged
@settings(max_examples=60, deadline=None)
@given(near_spans)
def test_a_text_is_refused_exactly_when_systemd_refuses_it(text: str) -> None:
    theirs = systemd(text)
    assert ours(text) == (theirs[0] if theirs else None)


@judged
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "5.",
        "1.s",
        "1.5.5",
        "5 .5s",
        "5s.5",
        "1h30",
        "30 20",
        "-0",
        "9223372036854775807us",
        "584542y",
        "5m5",
        "400000y 400000y",
    ],
)
def test_a_doubtful_text_means_what_it_means_to_systemd(text: str) -> None:
    theirs = systemd(text)
    assert ours(text) == (theirs[0] if theirs else None)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=200_000_000)))
def test_a_length_survives_being_written(length: timedelta) -> None:
    assert span(span_text(length)) == length


@judged
@settings(max_examples=10, deadline=None)
@given(st.lists(st.timedeltas(timedelta(0), timedelta(days=100_000)), min_size=50, max_size=50))
def test_what_we_write_is_what_systemd_reads(lengths: list[timedelta]) -> None:
    written = [span_text(length) for length in lengths]
    assert systemd(*written) == [length // timedelta(microseconds=1) for length in lengths]


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "0"),
        (timedelta(seconds=90), "1min 30s"),
        (timedelta(milliseconds=1500), "1s 500ms"),
        (timedelta(days=30), "30d"),
        (timedelta(microseconds=1), "1us"),
        (FOREVER, "infinity"),
    ],
)
def test_a_length_is_written_as_people_write_it(length: timedelta, text: str) -> None:
    assert span_text(length) == text


def test_a_negative_length_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="negative"):
        span_text(timedelta(seconds=-1))


@pytest.mark.parametrize(
    ("text", "words"),
    [("30 bananas", "'30 bananas' is not a time span: write"), ("-5s", "negative"), ("600000y", "write infinity")],
)
def test_a_refusal_says_what_to_write(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        span(text)
