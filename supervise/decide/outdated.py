"""What an agent runs against what the disk has: its settings, its code, its secrets, its environment files. Pure.

What a life was started with is what the disk had when somebody looked, if that is older than the start. What nobody
could see is unknown, and never outdated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from supervise.model import Instant, Loaded, OnDisk, Past, UnitState

SETTINGS, CODE = "settings", "code"


def with_loaded(past: Past, unit: UnitState, disk: OnDisk | None, mark: timedelta | None, *, now: Instant) -> Past:
    """The past with what the unit's present life was started with, once somebody has looked since its start.

    `mark`: since when its settings are on disk, if that was in this boot.
    """
    if unit.pid is None or unit.incarnation is None or unit.started_monotonic is None:
        return past
    if past.loaded and past.loaded.incarnation == unit.incarnation:
        return past
    if disk is None or disk.at < unit.started_monotonic:
        return replace(past, loaded=None) if past.loaded else past
    started = now.wall - (now.monotonic - unit.started_monotonic)
    settings_are_older = mark is None or mark <= unit.started_monotonic
    known = disk.since <= started if disk.since else settings_are_older
    files = {what: file.mark for what, file in disk.files.items() if _is_older(file.changed, started)}
    return replace(past, loaded=Loaded(unit.incarnation, disk.revision if known else None, files))


def outdated_by(
    past: Past, unit: UnitState | None, disk: OnDisk | None, mark: timedelta | None, *, last: Sequence[str] = ()
) -> tuple[str, ...]:
    """What has changed since it was started. Of what does not run, nothing. `last`: what was said of it before."""
    return tuple(_changed(past, unit, disk, mark, last)) if unit and unit.pid else ()


def _changed(
    past: Past, unit: UnitState, disk: OnDisk | None, mark: timedelta | None, last: Sequence[str]
) -> Iterator[str]:
    if mark and unit.started_monotonic and unit.started_monotonic < mark:
        yield SETTINGS
    loaded = past.loaded
    if loaded is None or loaded.incarnation != unit.incarnation:
        return
    if disk is None:  # nobody has looked yet since we were started
        yield from (what for what in last if what != SETTINGS)
        return
    if loaded.revision and disk.revision and loaded.revision != disk.revision:
        yield CODE
    yield from (what for what, mark in loaded.files.items() if what in disk.files and disk.files[what].mark != mark)


def _is_older(changed: datetime | None, moment: datetime) -> bool:
    return changed is not None and changed <= moment
