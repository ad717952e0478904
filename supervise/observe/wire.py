"""Findings between two processes: what changed, as plain data for JSON. Standard library only; the scanner uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from supervise.model import Doubt, Findings, Process, ProcessId

PARTS = ("outside", "inside", "foreground")
MOST_WORDS, LONGEST_WORD = 32, 400
"""So much of a command line is told: it is for people, and some are megabytes long."""


def differing(before: Findings, after: Findings) -> frozenset[str]:
    """Agents of whom something else is found."""
    parts = [(getattr(before, part), getattr(after, part)) for part in PARTS]
    return frozenset(name for old, new in parts for name in {*old, *new} if old.get(name, ()) != new.get(name, ()))


def difference(before: Findings, after: Findings) -> dict[str, Any]:
    """What `applied` makes `after` of `before` with. Of an agent that has nothing any more, an empty list."""
    said: dict[str, Any] = {"at": after.at.total_seconds() if after.at else None, "complete": after.complete}
    for part in PARTS:
        old, new = getattr(before, part), getattr(after, part)
        changed = {name: new.get(name, ()) for name in {*old, *new} if old.get(name) != new.get(name)}
        if changed:
            said[part] = {name: [_written(one) for one in ones] for name, ones in changed.items()}
    if before.doubts != after.doubts:
        said["doubts"] = [
            {"process": _written(doubt.process), "names": list(doubt.names), "why": doubt.why} for doubt in after.doubts
        ]
    return said


def applied(before: Findings, said: Mapping[str, Any]) -> Findings:
    """The findings after what was said."""
    parts: dict[str, Mapping[str, tuple[Process, ...]]] = {}
    for part in said.keys() & PARTS:
        changed = {name: tuple(map(_read, ones)) for name, ones in said[part].items()}
        parts[part] = {name: ones for name, ones in {**getattr(before, part), **changed}.items() if ones}
    doubts = before.doubts
    if "doubts" in said:
        doubts = tuple(Doubt(_read(one["process"]), tuple(one["names"]), one["why"]) for one in said["doubts"])
    at = None if said["at"] is None else timedelta(seconds=said["at"])
    return replace(before, **parts, doubts=doubts, complete=said["complete"], at=at)


def _written(one: Process) -> dict[str, Any]:
    return {
        "pid": one.id.pid,
        "started": one.id.started,
        "parent": one.parent,
        "uid": one.uid,
        "user": one.user,
        "argv": [word[:LONGEST_WORD] for word in one.argv[:MOST_WORDS]],
        "executable": str(one.executable) if one.executable else None,
        "directory": str(one.directory) if one.directory else None,
        "cgroup": one.cgroup,
        "started_at": one.started_at.isoformat(),
    }


def _read(said: Mapping[str, Any]) -> Process:
    return Process(
        id=ProcessId(said["pid"], said["started"]),
        parent=said["parent"],
        uid=said["uid"],
        argv=tuple(said["argv"]),
        executable=Path(said["executable"]) if said["executable"] else None,
        directory=Path(said["directory"]) if said["directory"] else None,
        cgroup=said["cgroup"],
        started_at=datetime.fromisoformat(said["started_at"]),
        user=said["user"],
    )
