"""What troubles a host, in words that stay the same as long as the trouble does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from supervise.model import HostFacts
from supervise.reconcile.disk import Disk
from supervise.reconcile.host import troubles
from supervise.stores.writer import Trouble
from tests.nouns import NOON, NOW, after, seconds

SEEN, WHOLE = HostFacts(), Disk()
WELL: Mapping[str, Any] = {"slack": {"failing": False, "last_error": "an old one"}}


def told(
    *,
    facts: HostFacts = SEEN,
    disk: Disk = WHOLE,
    store: Trouble | None = None,
    alerts: Mapping[str, Any] = WELL,
    later: float = 0,
) -> str:
    return "; ".join(troubles(facts, disk, store, alerts, now=after(seconds(later))))


def test_a_host_that_is_well_has_no_trouble() -> None:
    assert told() == ""


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"store": Trouble("no space left", NOON, lost=3)}, "the store cannot be written: no space left"),
        ({"disk": Disk(damaged={"web": "cannot read the manifest"})}, "cannot read the manifest"),
        ({"alerts": {"slack": {"failing": True, "last_error": "404"}}}, "alerts to slack fail: 404"),
    ],
)
def test_each_trouble_is_told(facts: dict[str, Any], words: str) -> None:
    assert told(**facts) == words
    assert told(**facts, later=3600) == words


def test_a_platform_that_cannot_be_asked_is_told_after_a_while_and_for_how_long_it_is_not() -> None:
    facts = HostFacts(unseen_since=NOW.monotonic)
    assert [told(facts=facts, later=later) for later in (0, 4.9, 5, 600)] == ["", "", *["systemd cannot be asked"] * 2]


def test_several_troubles_are_told_together() -> None:
    both = told(store=Trouble("full", NOON), disk=Disk(damaged={"web": "cannot read it"}))
    assert both == "the store cannot be written: full; cannot read it"
