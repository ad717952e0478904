"""No key without a test that shows what it does."""

from __future__ import annotations

from supervise.model import Scope
from tests.e2e.keys.catalogue import LATER, all_shown, covers, keys


def missing(scope: Scope) -> set[str]:
    names = {name for shown in all_shown() if scope in shown.scopes for name in shown.keys}
    return {key for key in keys() if not any(covers(name, key) for name in (*names, *LATER))}


def test_every_key_has_a_test_that_shows_its_effect() -> None:
    assert missing(Scope.SYSTEM) == set()


def test_every_key_has_one_in_the_user_scope_too() -> None:
    """Where a key does nothing there, the test shows that this is said."""
    assert missing(Scope.USER) == set()


def test_every_name_that_a_test_or_a_table_speaks_of_is_a_key() -> None:
    names = {name for shown in all_shown() for name in shown.keys} | set(LATER)
    assert {name for name in names if not any(covers(name, key) for key in keys())} == set()


def test_what_is_shown_does_not_stand_among_the_later_ones() -> None:
    names = {name for shown in all_shown() for name in shown.keys}
    assert {name for name in names if any(covers(later, name) for later in LATER)} == set()


def test_the_keys_are_those_of_the_models_nested_ones_included() -> None:
    found = keys()
    assert {"title", "restart.delay", "resources.memory", "logs.rate_limit", "defaults", "vars"} <= found
    assert {"probes.live.http", "heartbeat.silent_after", "quarantine.first", "alerts.hold_down"} <= found
    assert not {"restart", "agents", "defaults.title"} & found
