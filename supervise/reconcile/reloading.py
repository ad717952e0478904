"""What a reload found: one line for the log and for whoever asked. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from supervise.reconcile.disk import Disk

MOST_NAMES = 10


def found_anew(before: Disk, now: Disk) -> str:
    """`12 agents of 2 projects; new: a, b; changed: c`, or that nothing has changed."""
    changes = [f"{what}: {_listed(names)}" for what, names in _changes(before, now) if names]
    changes += [f"project {project} stays as it was: {why}" for project, why in sorted(now.damaged.items())]
    projects = len(now.manifests)
    count = f"{len(now.specs)} agents of {projects} project{'' if projects == 1 else 's'}"
    return "; ".join([count, *(changes or ["nothing has changed"])])


def _changes(before: Disk, now: Disk) -> Iterator[tuple[str, Collection[str]]]:
    old, new = before.specs, now.specs
    kept = old.keys() & new.keys()
    yield "new", new.keys() - old.keys()
    yield "gone", old.keys() - new.keys()
    yield "changed", {name for name in kept if old[name] != new[name] or before.marks.get(name) != now.marks.get(name)}
    yield "other settings of", _settings_changed(before, now)
    yield "held", now.holds.keys() - before.noticed.keys()
    yield "released", before.noticed.keys() - now.holds.keys()


def _settings_changed(before: Disk, now: Disk) -> set[str]:
    """Projects with other alerts or another rhythm: what stands beside the agents of a manifest."""
    old = {one.project: one for one in before.manifests}
    pairs = [(old[one.project], one) for one in now.manifests if one.project in old]
    return {new.project for was, new in pairs if (was.alerts, was.reconciler) != (new.alerts, new.reconciler)}


def _listed(names: Collection[str]) -> str:
    """In order, and not all of hundreds."""
    more = len(names) - MOST_NAMES
    shown = sorted(names)[:MOST_NAMES]
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
