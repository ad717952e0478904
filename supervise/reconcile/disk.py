"""What the disk says, read again only where it changed: manifests, holds, what is enabled, masked or edited.

Looked at every two seconds, so an unchanged disk must cost next to nothing: one `stat` a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from supervise.clock import boot_id
from supervise.holds import read_holds
from supervise.manifest import Manifest, hidden, read_manifests
from supervise.marker import edited, marker
from supervise.model import AgentSpec, Hold, UnitState
from supervise.places import Places
from supervise.platforms.systemd.enablement import enabled_units, masked_units
from supervise.platforms.systemd.units import DROP_IN, timer_name, unit_name

Stamp = tuple[int, int, int, int]
"""Inode, size, times of writing and of change: what differs when a file is another one, or may be read by others."""
NOTHING: Stamp = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Disk:
    """`settled`: agents that were installed before this boot; `marks`: since when the others' settings are there."""

    manifests: tuple[Manifest, ...] = ()
    damaged: Mapping[str, str] = field(default_factory=dict)
    specs: Mapping[str, AgentSpec] = field(default_factory=dict)
    settled: frozenset[str] = frozenset()
    marks: Mapping[str, timedelta] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    enabled: frozenset[str] = frozenset()
    masked: frozenset[str] = frozenset()
    edited: frozenset[str] = frozenset()
    """Agents whose drop-in is not as we wrote it, or gone."""
    watched: tuple[str, ...] = ()
    """The agents' drop-ins and their folders: made once, since there are many and a Path of each is dear."""
    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    noticed: Mapping[str, Hold] = field(default_factory=dict)
    """The holds of the last `look`; `holds` may be newer (`with_holds`), and the next look has to tell of those too."""

    def seen_on(self, state: UnitState) -> UnitState:
        """The state of a unit with what only the disk tells."""
        enabled = state.unit in self.enabled or timer_name(state.name) in self.enabled
        masked, edited = state.masked or state.unit in self.masked, state.name in self.edited
        if (enabled, masked, edited) == (state.enabled, state.masked, state.edited):
            return state  # a copy of so many fields would cost more than all else here
        return replace(state, enabled=enabled, masked=masked, edited=edited)


def look(places: Places, before: Disk) -> tuple[Disk, frozenset[str]]:
    """The disk now, and the agents of which something changed. The same object, if nothing did."""
    found = _stamps(places, before)
    if found == before.stamps:
        return before, frozenset()
    moved = _moved(found, before.stamps)
    now = before
    if any(_tells_what_is_installed(path, places) for path in moved):
        now = _installed(places, now)
    # A stamp is older than what was read: a file that is written meanwhile is read again.
    stamps = {path: found.get(path, stamp) for path, stamp in _stamps(places, now).items()}
    moved = _moved(stamps, before.stamps)
    holds = read_holds(places)
    now = replace(
        now,
        holds=holds,
        noticed=holds,
        enabled=enabled_units(places),
        masked=masked_units(places),
        edited=frozenset(_edited(places, now, before, moved)),
        stamps=stamps,
    )
    return now, _touched(before, now, places, moved)


def look_anew(places: Places, before: Disk) -> tuple[Disk, frozenset[str]]:
    """As `look`, with every file read, also where its stamp is the old one."""
    return look(places, replace(before, stamps={}))


def with_holds(places: Places, disk: Disk) -> Disk:
    """The disk with the holds of this moment: they are read in each pass that may start something."""
    holds = str(places.holds)
    if _stamp(holds) == disk.stamps.get(holds, NOTHING):
        return disk
    return replace(disk, holds=read_holds(places))


def _installed(places: Places, before: Disk) -> Disk:
    if why := hidden(places):
        return replace(before, damaged={**before.damaged, "-": why})  # what was installed still is
    found, damaged = read_manifests(places)
    kept = tuple(one for one in before.manifests if one.project in damaged)  # its agents run on, whatever the file says
    found = tuple(sorted((*found, *kept), key=lambda one: one.project))
    boot = boot_id()
    runs = {name: mark for one in found for name, mark in one.runs.items()}
    specs = {spec.name: spec for one in found for spec in one.agents}
    return replace(
        before,
        manifests=found,
        damaged=damaged,
        specs=specs,
        watched=tuple(path for name in specs for path in (_folder(places, name), _drop_in(places, name))),
        settled=frozenset(name for name, mark in runs.items() if mark.boot != boot),
        marks={name: mark.since for name, mark in runs.items() if mark.boot == boot},
    )


def _moved(stamps: Mapping[str, Stamp], before: Mapping[str, Stamp]) -> set[str]:
    return {path for path in {*stamps, *before} if stamps.get(path) != before.get(path)}


def _stamps(places: Places, disk: Disk) -> dict[str, Stamp]:
    manifests = () if hidden(places) else sorted(places.manifests.glob("*.json"))
    folders = (places.manifests, places.manifests.parent, places.holds, places.units)
    few = map(str, (*folders, places.units / "supervise.target.wants", *manifests))
    return {path: _stamp(path) for path in (*few, *disk.watched)}


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116  # a Path would take twice as long, a thousand times every two seconds
    except OSError:
        return NOTHING
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _tells_what_is_installed(path: str, places: Places) -> bool:
    return Path(path) in (places.manifests, places.manifests.parent) or Path(path).parent == places.manifests


def _folder(places: Places, name: str) -> str:
    return f"{places.units}/{unit_name(name)}.d"


def _drop_in(places: Places, name: str) -> str:
    return f"{_folder(places, name)}/{DROP_IN}"


def _edited(places: Places, now: Disk, before: Disk, moved: set[str]) -> Iterator[str]:
    for name in now.specs:
        file = _drop_in(places, name)
        if file not in moved and name in before.specs:
            if name in before.edited:
                yield name
        elif _is_edited(Path(file)):
            yield name


def _is_edited(file: Path) -> bool:
    try:
        content = file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return True  # gone, though the manifest has it
    return marker(content) is None or edited(content)


def _touched(before: Disk, now: Disk, places: Places, moved: set[str]) -> frozenset[str]:
    """Agents of which something changed, but for what is new or gone: that is seen by who holds the specs."""
    names = {name for name in {*before.specs, *now.specs} if before.specs.get(name) != now.specs.get(name)}
    names |= {name for name in {*before.noticed, *now.holds} if before.noticed.get(name) != now.holds.get(name)}
    names |= {one for one in now.specs if _folder(places, one) in moved or _drop_in(places, one) in moved}
    for unit in (before.enabled ^ now.enabled) | (before.masked ^ now.masked):
        names.add(unit.removeprefix("agent@").rpartition(".")[0])
    names |= {name for name in now.marks if before.marks.get(name) != now.marks[name]}
    return frozenset(names & {*now.specs, *before.specs})
