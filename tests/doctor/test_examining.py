"""All checks at once: none can break or hold up another, and what is not known is not called well."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from supervise.doctor.checks import CHECKS, Check
from supervise.doctor.examining import examine
from supervise.doctor.findings import Finding, Severity, listed, ordered, sentence
from supervise.doctor.installation import Installation
from supervise.model import Scope
from tests.doctor.nouns import installation, installed, manifest

ODD = Finding("odd", Severity.NOTE, "Something is odd.")


def finds(*found: Finding) -> object:
    def look(there: Installation) -> Iterator[Finding]:
        yield from found

    return look


def check(name: str, look: object, **more: object) -> Check:
    return Check(name, look, "All is well.", **more)  # type: ignore[arg-type]


def breaks(there: Installation) -> Iterator[Finding]:
    yield ODD
    raise RuntimeError("I am broken")


def is_forbidden(there: Installation) -> Iterator[Finding]:
    yield ODD
    raise PermissionError(13, "Permission denied", "/secret")


def severities(findings: list[Finding], name: str) -> list[Severity]:
    return [one.severity for one in findings if one.check == name]


def test_a_check_that_finds_nothing_says_that_all_is_well(tmp_path: Path) -> None:
    there = installation(tmp_path, manifest(folder=tmp_path))
    assert examine(there, [check("quiet", finds())]) == [Finding("quiet", Severity.OK, "All is well.")]


def test_a_check_that_breaks_is_a_finding_and_spoils_no_other(tmp_path: Path) -> None:
    there = installation(tmp_path, manifest(folder=tmp_path))
    found = examine(there, [check("odd", breaks), check("quiet", finds())])
    assert found[0] == ODD
    assert "RuntimeError: I am broken" in found[1].text
    assert found[1].severity is Severity.WARNING
    assert severities(found, "quiet") == [Severity.OK]


def test_a_check_that_hangs_is_left_behind_with_what_it_has_found(tmp_path: Path) -> None:
    release = threading.Event()

    def hangs(there: Installation) -> Iterator[Finding]:
        yield ODD
        release.wait(60)

    there = installation(tmp_path, manifest(folder=tmp_path))
    begin = time.monotonic()
    found = examine(there, [check("odd", hangs, limit=timedelta(seconds=0.2)), check("quiet", finds())])
    assert time.monotonic() - begin < 10
    release.set()
    assert found[0] == ODD
    assert "did not end within 0.2 s" in found[1].text
    assert severities(found, "quiet") == [Severity.OK]


def test_checks_run_at_the_same_time(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=10)

    def meets(there: Installation) -> Iterator[Finding]:
        both.wait()
        yield ODD

    there = installation(tmp_path, manifest(folder=tmp_path))
    assert examine(there, [check("one", meets), check("two", meets)]) == [ODD, ODD]


def test_what_an_ordinary_user_may_not_see_is_no_mistake_and_not_well(tmp_path: Path) -> None:
    there = installation(tmp_path, manifest(folder=tmp_path), uid=1000)
    found = examine(there, [check("odd", is_forbidden)])
    assert [(one.severity, "needs root" in one.text) for one in found] == [
        (Severity.NOTE, False),
        (Severity.NOTE, True),
    ]
    assert '"/secret"' in found[1].text
    assert examine(replace(there, uid=0), [check("odd", is_forbidden)])[1].severity is Severity.WARNING


def test_where_manifests_cannot_be_seen_nothing_that_depends_on_them_is_well(tmp_path: Path) -> None:
    there = installation(tmp_path, unseen=True, uid=1000)
    found = examine(there, [check("depends", finds(), of_projects=True), check("free", finds())])
    assert severities(found, "depends") == [Severity.NOTE]
    assert severities(found, "free") == [Severity.OK]


def test_a_check_of_another_scope_is_not_made(tmp_path: Path) -> None:
    there = installation(tmp_path, manifest(folder=tmp_path))
    assert examine(there, [check("theirs", finds(ODD), scopes=(Scope.USER,))]) == []


def test_where_nothing_is_installed_only_the_host_is_looked_at_and_nothing_is_an_error(tmp_path: Path) -> None:
    error = Finding("host", Severity.ERROR, "No systemd.")
    there = installation(tmp_path)
    found = examine(there, [check("host", finds(error), of_host=True), check("ours", finds(error))])
    assert [(one.check, one.severity) for one in found] == [("host", Severity.WARNING)]


def test_a_host_with_files_of_ours_and_no_manifest_is_not_empty(tmp_path: Path) -> None:
    there = installation(tmp_path, manifest(folder=tmp_path))
    assert not there.empty
    installed(there)
    assert not replace(there, manifests=()).empty
    assert replace(there, manifests=(), places=installation(tmp_path / "new").places).empty


def test_every_check_has_a_name_of_its_own_and_a_sentence() -> None:
    assert len({one.name for one in CHECKS}) == len(CHECKS)
    assert all(one.well.endswith(".") for one in CHECKS)


def test_the_worst_comes_first_and_the_rest_as_it_came() -> None:
    every = [Finding(str(number), severity, "") for number, severity in enumerate([*Severity, *Severity])]
    assert [one.check for one in ordered(every)] == ["3", "7", "2", "6", "1", "5", "0", "4"]


def test_many_names_are_counted() -> None:
    assert listed("abcdef") == "a, b, c, d, e, f"
    assert listed("abcdefgh") == "a, b, c, d, e, f and 2 more"


def test_the_words_of_others_become_a_sentence() -> None:
    assert [sentence(text) for text in ("it is gone", "It is.", "is dbus installed?", "")] == [
        "It is gone.",
        "It is.",
        "Is dbus installed?",
        ".",
    ]
