"""What is on disk now: our files, strangers at the places we want, what is enabled, and manifests. Only reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from supervise.install.plan import Disk
from supervise.manifest import manifests
from supervise.marker import marker
from supervise.model import UnitFile
from supervise.places import Places
from supervise.platforms.systemd.enablement import enabled_units, masked_units, target_enabled

STAGED = ".supervise-new"
"""The ending of a file that was written but not yet put in its place; systemd reads no such file."""


def read_disk(places: Places, wanted: Iterable[UnitFile]) -> Disk:
    wanted_paths = {file.path for file in wanted}
    found = {
        path: content
        for path in sorted({*_candidates(places), *wanted_paths})
        if (content := _content(path)) is not None
    }
    ours = {path for path, content in found.items() if marker(content)}
    return Disk(
        files={path: content for path, content in found.items() if path in ours or path in wanted_paths},
        beside=tuple(path for path in found if path not in ours and path not in wanted_paths),
        enabled=enabled_units(places),
        masked=masked_units(places),
        target_enabled=target_enabled(places),
        manifests={manifest.project: manifest for manifest in manifests(places)},
        interrupted=places.journal.exists() or any(staged_files(places)),
        unsettled=unsettled(places),
    )


def journal(places: Places) -> Any:
    """What an unfinished install has written down; raises ValueError when that is not JSON."""
    return json.loads(places.journal.read_text(encoding="utf-8"))


def unsettled(places: Places) -> frozenset[str]:
    """Units that an unfinished install may or may not have enabled or disabled."""
    try:
        return frozenset(map(str, journal(places)["enablement"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # `recover` says what is wrong with it
        return frozenset()


def staged_files(places: Places) -> Iterator[Path]:
    """What an install that was killed has written and not yet put in place."""
    folders = [places.units, *places.units.glob("agent@*.d"), places.units / "supervise.target.d"]
    folders += [places.manifests, places.journal.parent]
    folders += [path.parent for path in (places.sysusers, places.tmpfiles) if path]
    for folder in folders:
        if folder.is_dir():
            yield from folder.glob(f".*{STAGED}")


def _candidates(places: Places) -> Iterator[Path]:
    """Everything that could be ours, or concerns a unit of ours."""
    if places.units.is_dir():
        yield from places.units.glob("agent@*.service.d/*.conf")
        yield from places.units.glob("agent@*.timer.d/*.conf")
        yield from places.units.glob("supervise.target.d/*.conf")
        yield from (path for path in places.units.glob("agent@*.timer") if not path.is_symlink())
        yield from (path for path in places.units.glob("supervise*") if path.is_file() and not path.is_symlink())
        yield places.units / "agent@.service"
    yield from (path for path in (places.sysusers, places.tmpfiles) if path)


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
