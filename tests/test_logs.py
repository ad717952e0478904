"""The question put to `journalctl`, and what becomes of its answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.logs import journal_command, log_line
from supervise.model import LogLine, LogQuery, Scope

UNITS = ("agent@sma.service", "agent@sma.timer")


def words(scope: Scope = Scope.SYSTEM, **query: Any) -> list[str]:
    """The words after those that every question has."""
    command = journal_command(LogQuery(UNITS, **query), scope=scope)
    assert command[:2] == ("journalctl", "--output=json")
    assert command[2].startswith("--output-fields=")
    assert command[3:5] == ("--no-pager", "--all")
    return list(command[5:])


OURS = [f"_SYSTEMD_UNIT={unit}" for unit in UNITS]
ABOUT = [f"UNIT={unit}" for unit in UNITS]
BOTH = [*OURS, "+", *ABOUT]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, BOTH),
        ({"lines": 5}, ["--lines=5", "--reverse", *BOTH]),
        ({"lines": 0}, ["--lines=0", "--reverse", *BOTH]),
        ({"since": "today", "until": "12:00"}, ["--since=today", "--until=12:00", *BOTH]),
        ({"grep": "a b|c"}, ["--grep=a b|c", *BOTH]),
        ({"grep": ""}, ["--grep=", *BOTH]),
        ({"priority": 0}, ["--priority=0", *BOTH]),
    ],
)
def test_a_question_asks_for_what_units_wrote_and_what_is_said_of_them(
    query: dict[str, Any], expected: list[str]
) -> None:
    assert words(**query) == expected


@pytest.mark.parametrize(("since", "said"), [(None, ["--lines=0"]), ("@5", ["--no-tail", "--since=@5"])])
def test_a_follower_matches_the_slice_so_that_units_may_appear_later(since: str | None, said: list[str]) -> None:
    assert words(follow=True, since=since) == ["--follow", *said, "_SYSTEMD_SLICE=supervise.slice", "+", *ABOUT]


@pytest.mark.parametrize("follow", [True, False])
def test_a_users_own_agents_are_matched_by_the_fields_of_their_manager(follow: bool) -> None:
    asked = words(Scope.USER, follow=follow)
    assert [word.replace("SYSTEMD_USER", "SYSTEMD").replace("USER_UNIT", "UNIT") for word in asked] == words(
        follow=follow
    )
    assert ("_SYSTEMD_USER_SLICE=supervise.slice" if follow else "_SYSTEMD_USER_UNIT=agent@sma.service") in asked
    assert "USER_UNIT=agent@sma.service" in asked


def test_text_that_looks_like_an_option_stays_a_value() -> None:
    assert "--grep=--rotate" in words(grep="--rotate")


# --- Answers ----------------------------------------------------------------------------------------------------------


def entry(**changes: Any) -> dict[str, Any]:
    plain = {
        "__REALTIME_TIMESTAMP": "1772366400000001",
        "_SYSTEMD_UNIT": "agent@sma.service",
        "_PID": "77",
        "PRIORITY": "6",
        "MESSAGE": "42 bars",
    }
    return {name: value for name, value in {**plain, **changes}.items() if value is not None}


def test_a_line_says_when_who_and_what() -> None:
    at = datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
    assert log_line(entry()) == LogLine(at, "sma", "42 bars", 6, 77, by_manager=False)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("two\nlines", "two\nlines"),
        ("", ""),
        ([104, 105, 255], "hi\ufffd"),
        ([0xE6, 0x97, 0xA5], "日"),
        (["one", "two"], "one\ntwo"),
        (["one", [104]], "one\n[104]"),
        ([], ""),
        (None, ""),
        (7, ""),
    ],
)
def test_a_message_of_any_form_becomes_text(message: object, text: str) -> None:
    assert log_line(entry(MESSAGE=message)).text == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_bytes_that_are_text_after_all_are_read_as_it(text: str) -> None:
    assert log_line(entry(MESSAGE=list(text.encode()))).text == text


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        ("agent@sma.service", "sma"),
        ("agent@scanner.2.service", "scanner.2"),
        ("agent@nightly.timer", "nightly"),
        ("agent-run-sma.scope", "sma"),
        ("cron.service", "cron.service"),
        ("agent@.mount", "agent@.mount"),
    ],
)
def test_the_agent_is_named_by_its_unit(unit: str, name: str) -> None:
    assert log_line(entry(_SYSTEMD_UNIT=unit)).name == name


@pytest.mark.parametrize(
    ("fields", "by_manager"),
    [
        ({"UNIT": "agent@sma.service", "_SYSTEMD_UNIT": "init.scope"}, True),
        ({"USER_UNIT": "agent@sma.service", "_SYSTEMD_UNIT": "user@1000.service"}, True),
        ({"_SYSTEMD_USER_UNIT": "agent@sma.service", "_SYSTEMD_UNIT": "user@1000.service"}, False),
        ({"_SYSTEMD_UNIT": "agent@sma.service"}, False),
    ],
)
def test_what_a_manager_says_belongs_to_the_unit_it_speaks_of(fields: dict[str, str], by_manager: bool) -> None:
    line = log_line(entry(**fields))
    assert (line.name, line.by_manager) == ("sma", by_manager)


def test_an_entry_without_its_optional_fields_is_a_line_too() -> None:
    line = log_line({"__REALTIME_TIMESTAMP": "1"})
    assert (line.name, line.text, line.priority, line.pid, line.by_manager) == ("", "", 6, None, False)
