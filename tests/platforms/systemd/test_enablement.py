"""What is enabled and masked, read from links such as systemctl makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from supervise.model import Scope
from supervise.places import Places
from supervise.platforms.systemd.enablement import enabled_units, masked_units, target_enabled
from tests.nouns import places_in


@pytest.fixture
def there(tmp_path: Path) -> Places:
    found = places_in(tmp_path)
    found.units.mkdir(parents=True)
    return found


def link(path: Path, target: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)


def test_where_nothing_was_installed_nothing_is_enabled_or_masked(tmp_path: Path) -> None:
    bare = places_in(tmp_path)
    assert (enabled_units(bare), masked_units(bare), target_enabled(bare)) == (frozenset(), frozenset(), False)


def test_what_supervise_target_wants_is_enabled_even_if_its_link_leads_nowhere(there: Places) -> None:
    wants = there.units / "supervise.target.wants"
    link(wants / "agent@sma.service", "../agent@.service")
    link(wants / "agent@nightly.timer", "/nowhere/agent@nightly.timer")
    assert enabled_units(there) == {"agent@sma.service", "agent@nightly.timer"}


def test_what_another_target_wants_is_not_enabled_by_ours(there: Places) -> None:
    link(there.units / "multi-user.target.wants/agent@sma.service", "../agent@.service")
    assert enabled_units(there) == frozenset()


def test_the_target_is_enabled_where_the_boot_target_of_its_scope_wants_it(there: Places) -> None:
    link(there.units / "default.target.wants/supervise.target", "../supervise.target")
    assert not target_enabled(there)
    link(there.units / "multi-user.target.wants/supervise.target", "../supervise.target")
    assert target_enabled(there)


def test_a_users_target_is_wanted_by_another_one(there: Places) -> None:
    own = replace(there, scope=Scope.USER)
    link(own.units / "multi-user.target.wants/supervise.target", "../supervise.target")
    assert not target_enabled(own)
    link(own.units / "default.target.wants/supervise.target", "../supervise.target")
    assert target_enabled(own)


def test_masked_is_what_leads_to_the_null_device(there: Places) -> None:
    link(there.units / "agent@sma.service", "/dev/null")
    link(there.units / "agent@alias.service", "agent@sma.service")
    link(there.units / "cron.service", "/dev/null")
    (there.units / "agent@nightly.timer").write_text("")
    assert masked_units(there) == {"agent@sma.service"}
