"""How a host and its reconciler are: one row, and in one line what troubles it. Pure.

The line says nothing that only grows older, such as for how long: the row would be another one every second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from supervise.decide import UNSEEN
from supervise.model import HostFacts, Instant
from supervise.reconcile.disk import Disk
from supervise.stores.writer import Trouble

STOPPED = "the reconciler was stopped"


def troubles(
    facts: HostFacts, disk: Disk, store: Trouble | None, alerts: Mapping[str, Mapping[str, Any]], *, now: Instant
) -> Iterator[str]:
    """What keeps the reconciler from doing all that it should."""
    if facts.unseen_since is not None and now.monotonic - facts.unseen_since >= UNSEEN:
        yield f"{facts.platform} cannot be asked"
    if store:
        yield f"the store cannot be written: {store.why}"
    yield from disk.damaged.values()
    for name, one in alerts.items():
        if one["failing"]:
            yield f"alerts to {name} fail: {one['last_error']}"
