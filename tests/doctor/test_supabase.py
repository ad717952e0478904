"""What doctor says of the copies in Supabase."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from supervise.doctor.findings import Finding, Severity
from supervise.doctor.installation import Installation
from supervise.doctor.supabase import supabase
from supervise.model import SupabaseTarget
from tests.doctor.nouns import STRANGER, WELL, bad, installation, manifest, only
from tests.nouns import NOW, minutes

GOOD: dict[str, Any] = {
    "where": "https://x.supabase.co",
    "why": "",
    "kind": None,
    "since": None,
    "last_ok": NOW.wall.isoformat(),
    "behind": 0,
    "dead": 0,
    "letters": [],
    "dropped": 0,
    "superseded": False,
    "expires": None,
    "conflict": "",
    "tables": {},
    "beside": {},
}
SINCE = "2026-03-01T12:04:31.123456+00:00"


@pytest.fixture
def there(tmp_path: Path) -> Installation:
    return installation(tmp_path, manifest(folder=tmp_path))


def with_copies(there: Installation, **changes: Any) -> list[Finding]:
    return list(supabase(replace(there, info={**WELL, "supabase": {**GOOD, **changes}})))


def with_key(there: Installation, key: Path, **changes: Any) -> list[Finding]:
    manifests = tuple(replace(one, supabase=SupabaseTarget("https://x", key)) for one in there.manifests)
    return list(supabase(replace(there, manifests=manifests, **changes)))


def test_where_nothing_is_copied_nothing_is_said(there: Installation) -> None:
    assert list(supabase(there)) == []


def test_copies_that_get_through_are_well(there: Installation) -> None:
    (finding,) = with_copies(there)
    assert finding.severity is Severity.OK
    assert finding.text == "https://x.supabase.co has all of ours."


def test_times_are_told_as_people_read_them_here(there: Installation) -> None:
    (finding,) = bad(with_copies(there, why="connection refused", kind="away", since=SINCE, behind=2))
    assert f"since {datetime.fromisoformat(SINCE).astimezone():%Y-%m-%d %H:%M}: connection" in finding.text


@pytest.mark.parametrize(
    ("changes", "words", "severity"),
    [
        ({"why": "connection refused", "kind": "away", "since": SINCE, "behind": 312}, "312 rows", Severity.WARNING),
        ({"why": "connection refused", "kind": "away", "since": SINCE, "behind": 1}, "1 row since", Severity.WARNING),
        ({"why": "the key is refused", "kind": "refused", "since": SINCE}, "key is refused", Severity.WARNING),
        ({"superseded": True}, "Another store", Severity.ERROR),
        ({"dropped": 5}, "5 items of history waited", Severity.NOTE),
        ({"tables": {"front": "the key may not do this"}}, "table front, which", Severity.WARNING),
        ({"beside": {"rows stay there": "no deletes"}}, "In Supabase rows stay there: no deletes", Severity.WARNING),
        ({"conflict": "web name another Supabase than trading"}, "another Supabase", Severity.WARNING),
    ],
)
def test_whatever_is_wrong_is_told(
    there: Installation, changes: dict[str, Any], words: str, severity: Severity
) -> None:
    assert only(with_copies(there, **changes), words).severity is severity


def test_what_was_refused_is_told_with_why_and_how_to_send_it_again(there: Installation) -> None:
    letters = [{"kind": "event", "name": "sma", "error": "too long (23514)"}]
    finding = only(with_copies(there, dead=3, letters=letters), "refuses 3 items")
    assert "event of sma: too long (23514)" in finding.text
    assert "supervise db retry" in (finding.command or "")


def test_a_key_that_expires_soon_is_told_in_time(there: Installation) -> None:
    later = (NOW.wall + minutes(60 * 24 * 30)).isoformat()
    assert bad(with_copies(there, expires=later)) == []
    soon = (NOW.wall + minutes(60 * 24 * 3 + 1)).isoformat()
    assert "expires in 3 days" in only(with_copies(there, expires=soon), "expires").text


def test_a_key_that_is_not_there_or_open_to_all_is_told(there: Installation, tmp_path: Path) -> None:
    assert only(with_key(there, tmp_path / "key"), "there is no key").severity is Severity.WARNING
    (tmp_path / "key").write_text("sb_secret_x")
    (tmp_path / "key").chmod(0o644)
    assert only(with_key(there, tmp_path / "key"), "read by everybody")
    (tmp_path / "key").chmod(0o600)
    assert with_key(there, tmp_path / "key") == []


@pytest.mark.skipif(os.getuid() != 0, reason="root alone can have a file that the reconciler cannot read")
def test_a_key_that_the_reconciler_cannot_read_is_told(there: Installation, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sb_secret_x")
    (tmp_path / "key").chmod(0o600)
    assert only(with_key(there, tmp_path / "key", daemon=STRANGER), "Nothing is copied")
