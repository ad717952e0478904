"""What is read from disk, and what whoever looks may not see."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from supervise.install.disk import read_disk
from supervise.model import Scope, UnitFile
from supervise.places import Places
from tests.nouns import places_in

NOBODY = 12_345


@pytest.fixture
def there() -> Iterator[Places]:
    """Below a folder that everybody may enter; those of pytest are closed."""
    with TemporaryDirectory(prefix="supervise-disk-") as folder:
        Path(folder).chmod(0o755)
        rules = Path(folder) / "rules.d"
        rules.mkdir()
        yield replace(places_in(Path(folder)), polkit=rules / "50-supervise.rules")
        rules.chmod(0o755)


@contextmanager
def closed(folder: Path) -> Iterator[None]:
    """The folder as an ordinary user finds it."""
    folder.chmod(0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(me)
        folder.chmod(0o755)


def wanted(there: Places) -> tuple[UnitFile, ...]:
    assert there.polkit
    return UnitFile(there.polkit, "rule"), UnitFile(there.units / "agent@.service", "template")


@pytest.mark.parametrize("written", [True, False])
def test_what_is_in_a_closed_folder_is_not_seen_and_what_is_missing_elsewhere_is(there: Places, written: bool) -> None:
    rule, template = (file.path for file in wanted(there))
    if written:
        rule.write_text("rule")
    with closed(rule.parent):
        disk = read_disk(there, wanted(there))
    assert (disk.files, disk.unseen) == ({}, frozenset({rule}))
    assert template not in disk.unseen
    disk = read_disk(there, wanted(there))
    assert (disk.files, disk.unseen) == ({rule: "rule"} if written else {}, frozenset())


def test_ones_own_that_cannot_be_read_are_written_anew(there: Places) -> None:
    assert there.polkit
    with closed(there.polkit.parent):
        assert read_disk(replace(there, scope=Scope.USER), wanted(there)).unseen == frozenset()
