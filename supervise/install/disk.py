"""What is on disk now: our files, strangers at the places we want, what is enabled, and manifests. Only reads."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Iterator
from pathlib import Path

from supervise.install.journal import read_journal
from supervise.install.plan import Disk
from supervise.manifest import manifests, unreadable
from supervise.marker import marker
from supervise.model import Scope, UnitFile
from supervise.places import Places
from supervise.platforms.systemd.enablement import daemon_enabled, enabled_units, masked_units, target_enabled

LINGER = Path("/var/lib/systemd/linger")
STAGED = ".supervise-new"
"""The ending of a file that was written but not yet put in its place; systemd reads no such file."""


def read_disk(places: Places, wanted: Iterable[UnitFile]) -> Disk:
    wanted_paths = {file.path for file in wanted}
    found, unseen = _contents(sorted({*_candidates(places), *wanted_paths}))
    ours = {path for path, content in found.items() if marker(content)}
    unfinished = read_journal(places)
    return Disk(
        files={path: content for path, content in found.items() if path in ours or path in wanted_paths},
        beside=tuple(path for path in found if path not in ours and path not in wanted_paths),
        enabled=enabled_units(places),
        masked=masked_units(places),
        target_enabled=target_enabled(places),
        daemon_enabled=daemon_enabled(places),
        manifests={manifest.project: manifest for manifest in manifests(places)},
        unreadable=unreadable(places),
        lingers=_lingers(places),
        unseen=unseen if places.scope is Scope.SYSTEM else frozenset(),  # one's own are written anew instead
        interrupted=unfinished is not None or any(staged_files(places)),
        unsettled=unfinished.unsettled if unfinished else {},
    )


def _lingers(places: Places) -> bool:
    """Whether the units outlive a logout: a user's own systemd does only where lingering is enabled (loginctl(1))."""
    return places.scope is Scope.SYSTEM or (LINGER / pwd.getpwuid(os.getuid()).pw_name).exists()


def staged_files(places: Places) -> Iterator[Path]:
    """What an install that was killed has written and not yet put in place."""
    folders = [places.units, *places.units.glob("agent@*.d"), places.units / "supervise.target.d"]
    folders += [places.manifests, places.journal.parent]
    folders += [path.parent for path in (places.sysusers, places.tmpfiles, places.polkit) if path]
    for folder in folders:
        if folder.is_dir():
            yield from folder.glob(f".*{STAGED}")


def _candidates(places: Places) -> Iterator[Path]:
    """Everything that could be ours, or concerns a unit of ours."""
    if places.units.is_dir():
        yield from places.units.glob("agent@*.service.d/*.conf")
        yield from places.units.glob("agent@*.timer.d/*.conf")
        yield from places.units.glob("supervise.target.d/*.conf")
        for whole in ("agent@*.timer", "agent-probe@*.service", "agent-ready@*.service"):
            yield from (path for path in places.units.glob(whole) if not path.is_symlink())
        yield from (path for path in places.units.glob("supervise*") if path.is_file() and not path.is_symlink())
        yield places.units / "agent@.service"
    yield from (path for path in (places.sysusers, places.tmpfiles, places.polkit) if path)


def _contents(paths: Iterable[Path]) -> tuple[dict[Path, str], frozenset[Path]]:
    """What is in those that are there, and those of which an ordinary user cannot tell whether they are."""
    found, unseen = {}, set()
    for path in paths:
        try:
            found[path] = path.read_text(encoding="utf-8", errors="surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError:
            unseen.add(path)
    return found, frozenset(unseen)
