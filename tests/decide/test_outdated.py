"""What runs is outdated where that is certain: by its settings, its code, its files; never where nobody could see."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from supervise.model import FileMark, HostFacts, Instant, Loaded, Observation, OnDisk, Phase, StatusRow, UnitState
from tests.decide.host import Host
from tests.nouns import NOON, NOW, after, alive, dead, minutes, seconds, spec, state

MOMENT = timedelta(microseconds=1)
BEFORE, LATER = NOON - minutes(5), NOON + minutes(5)
"""Before and after the start of the agents here, which is at NOON."""
SOON = after(seconds(1))


def disk(revision: str | None = "abc", at: Instant = SOON, since: datetime | None = BEFORE, **files: Any) -> OnDisk:
    """Seen a second after the start; `files` are marks of files that are older than it, or whole ones."""
    marks = {what: FileMark(mark, BEFORE) if isinstance(mark, str) else mark for what, mark in files.items()}
    return OnDisk(at.monotonic, revision, since, marks)


def look(host: Host, found: OnDisk | None, unit: UnitState | None = None, *, at: Instant = SOON) -> StatusRow:
    """The row after a pass with this on disk."""
    host.learns(on_disk={"sma": found} if found else {})
    host.sees(Observation(unit or alive(), frozenset(), ()), at=at)
    return host.row()


def said(row: StatusRow) -> tuple[bool, tuple[str, ...], str | None]:
    return row.outdated, row.outdated_by, row.revision


# --- What it was started with -----------------------------------------------------------------------------------------


def test_a_life_is_started_with_what_was_there_before_it() -> None:
    row = look(Host(spec()), disk("abc", key="1"))
    assert row.past.loaded == Loaded("boot-1/a", "abc", {"key": "1"})
    assert said(row) == (False, (), "abc")


@pytest.mark.parametrize(
    ("found", "loaded"),
    [
        (disk(since=NOON), Loaded("boot-1/a", "abc")),
        (disk(since=NOON + MOMENT), Loaded("boot-1/a", None)),
        (disk(since=None), Loaded("boot-1/a", "abc")),
        (disk(None, since=None), Loaded("boot-1/a", None)),
        (disk(key=FileMark("1", NOON)), Loaded("boot-1/a", "abc", {"key": "1"})),
        (disk(key=FileMark("1", NOON + MOMENT)), Loaded("boot-1/a", "abc")),
        (disk(key=FileMark("gone", None)), Loaded("boot-1/a", "abc")),
    ],
)
def test_what_has_changed_between_the_start_and_the_look_is_not_known(found: OnDisk, loaded: Loaded) -> None:
    host = Host(spec())
    row = look(host, found)
    assert row.past.loaded == loaded
    other = replace(found, revision="def", files={"key": FileMark("2", LATER)}, at=after(minutes(9)).monotonic)
    known = (*(["code"] if loaded.revision else []), *(["key"] if loaded.files else []))
    assert look(host, other).outdated_by == known


@pytest.mark.parametrize(("mark", "revision"), [(NOW.monotonic, "abc"), (NOW.monotonic + MOMENT, None), (None, "abc")])
def test_a_revision_out_of_the_settings_is_as_old_as_they_are(mark: timedelta | None, revision: str | None) -> None:
    host = Host(spec(), marks={"sma": mark} if mark else {})
    assert look(host, disk(since=None)).revision == revision


def test_a_look_from_before_the_start_says_nothing_of_it() -> None:
    host = Host(spec())
    assert look(host, disk(at=after(-MOMENT))).past.loaded is None
    assert look(host, disk(at=NOW)).past.loaded == Loaded("boot-1/a", "abc")


def test_the_start_is_dated_by_a_clock_that_no_step_moves() -> None:
    """The wall clock was set back by an hour after the start, and the file written since then."""
    stepped = replace(SOON, wall=SOON.wall - minutes(60))
    assert look(Host(spec()), disk(since=NOON - minutes(60) + MOMENT), at=stepped).revision is None
    assert look(Host(spec()), disk(since=NOON - minutes(60)), at=stepped).revision == "abc"


@pytest.mark.parametrize("changes", [{"pid": None}, {"incarnation": None}, {"started_monotonic": None}])
def test_without_a_life_nothing_was_loaded(changes: dict[str, Any]) -> None:
    assert look(Host(spec()), disk(), alive(**changes)).past.loaded is None


def test_what_was_loaded_is_that_of_the_start_for_as_long_as_it_lives() -> None:
    host = Host(spec())
    look(host, disk("abc"))
    assert look(host, disk("def")).past.loaded == Loaded("boot-1/a", "abc")
    assert look(host, disk("abc")).outdated is False


def test_a_new_life_is_started_with_what_is_new() -> None:
    host = Host(spec())
    look(host, disk("abc"))
    assert look(host, disk("def")).outdated_by == ("code",)
    again = alive("b", start=after(seconds(5)), restarts=1)
    assert said(look(host, disk("def"), again, at=after(seconds(6)))) == (False, (), None)
    assert said(look(host, disk("def", at=after(seconds(7))), again, at=after(seconds(7)))) == (False, (), "def")


def test_what_another_life_was_started_with_says_nothing_of_one_that_has_no_name() -> None:
    host = Host(spec())
    look(host, disk("abc"))
    assert look(host, disk("def"), alive(incarnation=None)).outdated is False


@pytest.mark.parametrize("unit", [dead(), state(Phase.INACTIVE)])
def test_of_what_is_down_the_last_revision_stays_known_and_nothing_is_outdated(unit: UnitState) -> None:
    host = Host(spec())
    look(host, disk("abc"))
    assert said(look(host, disk("def"), unit)) == (False, (), "abc")


def test_while_nobody_can_look_the_revision_stays() -> None:
    host = Host(spec())
    look(host, disk("abc"))
    host.learns(observed={}, host=HostFacts(unseen_since=NOW.monotonic))
    host.sees(at=after(minutes(1)))
    assert host.row().revision == "abc"


# --- What has changed since -------------------------------------------------------------------------------------------


def test_everything_that_has_changed_is_named() -> None:
    host = Host(spec())
    look(host, disk("abc", key="1", file="1", same="1"))
    host.learns(marks={"sma": after(minutes(1)).monotonic})
    found = disk("def", key=FileMark("2", LATER), file=FileMark("gone", None), same="1", new="1")
    assert said(look(host, found)) == (True, ("settings", "code", "key", "file"), "abc")


@pytest.mark.parametrize("found", [disk(None), disk("abc"), OnDisk(SOON.monotonic)])
def test_what_cannot_be_seen_any_more_is_not_outdated(found: OnDisk) -> None:
    host = Host(spec())
    look(host, disk("abc", key="1"))
    assert look(host, found).outdated is False


def test_what_could_not_be_seen_at_the_start_is_not_outdated() -> None:
    host = Host(spec())
    look(host, OnDisk(SOON.monotonic))
    assert look(host, disk("abc", key="1")).outdated is False


def test_after_a_restart_of_ours_it_stays_outdated_until_somebody_has_looked() -> None:
    host = Host(spec())
    look(host, disk("abc", key="1"))
    host.learns(marks={"sma": after(minutes(1)).monotonic})
    assert look(host, disk("def", key="1")).outdated_by == ("settings", "code")
    host.learns(marks={})
    assert look(host, None).outdated_by == ("code",)
    assert look(host, disk("abc", key="1")).outdated_by == ()


def test_being_outdated_is_a_flag_and_no_trouble() -> None:
    host = Host(spec())
    look(host, disk("abc"))
    before = host.row()
    host.learns(on_disk={"sma": disk("def")})
    decision = host.sees(at=SOON)
    assert decision.events == ()
    assert host.row() == replace(before, outdated=True, outdated_by=("code",), updated_at=SOON.wall)
