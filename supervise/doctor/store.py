"""The store's file from outside: whose it is, room to grow, what lies beside it, and what the reconciler says of it.

The reconciler alone opens it. Where none answers a copy is opened, so that not even a lock is taken on the file itself.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from supervise.doctor.findings import Finding, Severity, listed, needs_root
from supervise.doctor.installation import Installation
from supervise.doctor.remedies import restart_daemon, shell
from supervise.errors import StoreError
from supervise.stores.database import applied, connect, refuse_damage
from supervise.stores.file import MAGIC, PRIVATE
from supervise.stores.migrations import migrations, missing

CHECK = "store"
LITTLE = 100 * 1024 * 1024
"""Bytes free on its disk, of which less is soon nothing."""
LARGE = 2 * 1024 * 1024 * 1024
LARGEST_COPY = 64 * 1024 * 1024


def store(there: Installation) -> Iterator[Finding]:
    if trouble := (there.info or {}).get("store"):
        lost = f", and {trouble['lost']} events are lost" if trouble.get("lost") else ""
        text = f"The store cannot be written since {trouble['since']}: {trouble['why']}{lost}."
        yield Finding(CHECK, Severity.ERROR, text, "See whether its disk is full or read-only.", _df(there))
    yield from _room(there)
    yield from _beside(there)
    file = there.places.store
    try:
        status = file.stat()
    except FileNotFoundError:
        if there.info and not there.info.get("store"):
            text = f'The store "{file}" was removed while the reconciler has it open.'
            yield Finding(CHECK, Severity.ERROR, text, "Restart it, so that it makes a new one.", restart_daemon(there))
        return
    except PermissionError:
        yield needs_root(CHECK, f'"{file}"')
        return
    yield from _rights(there, file, status)
    for lock in sorted(there.places.state.glob("*.lock")):
        yield from _rights(there, lock, lock.stat())
    if status.st_size > LARGE:
        text = f"The store is {status.st_size >> 20} MiB large."
        yield Finding(CHECK, Severity.NOTE, text, "Keep events and samples for less long (`reconciler: retention:`).")
    if there.info is None and there.sees_all:
        yield from _content(there, file)


def _df(there: Installation) -> str:
    return shell(there, ("df", "-h", there.places.state))


def _room(there: Installation) -> Iterator[Finding]:
    try:
        found = os.statvfs(there.places.state)
    except OSError:
        return
    free = found.f_bavail * found.f_frsize
    if free < LITTLE:
        text = f"Only {free >> 20} MiB are free where the store lies ({there.places.state})."
        yield Finding(CHECK, Severity.WARNING, text, "Make room.", _df(there))


def _beside(there: Installation) -> Iterator[Finding]:
    name = there.places.store.name
    for pattern, text, advice in (
        ("corrupt", "A store was damaged once and put aside", "Look at it if its events matter, then remove it."),
        ("before", "A copy of the store from before an upgrade is kept", "Remove it when you will not go back."),
    ):
        found = sorted(there.places.state.glob(f"{name}.{pattern}-*")) if there.places.state.is_dir() else []
        if found:
            text = f"{text}: {listed(path.name for path in found)}."
            yield Finding(CHECK, Severity.NOTE, text, advice, shell(there, ("rm", *found)))


def _rights(there: Installation, file: Path, status: os.stat_result) -> Iterator[Finding]:
    if there.daemon and status.st_uid != there.daemon.uid:
        command = shell(there, ("chown", f"{there.daemon.name}:", file))
        text = f'"{file}" belongs to uid {status.st_uid} and not to {there.daemon.name}.'
        yield Finding(CHECK, Severity.ERROR, text, "Give it back.", command)
    if status.st_mode & 0o777 != PRIVATE:
        command = shell(there, ("chmod", f"{PRIVATE:04o}", file))
        text = f'"{file}" has mode {status.st_mode & 0o777:04o} and not {PRIVATE:04o}.'
        yield Finding(CHECK, Severity.WARNING, text, "Set it right.", command)


def _content(there: Installation, file: Path) -> Iterator[Finding]:
    """Whether a reconciler could open it: whole, and of no newer version."""
    with file.open("rb") as opened:
        begin = opened.read(len(MAGIC))
    wal = file.with_name(f"{file.name}-wal")
    size = file.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
    if begin and begin != MAGIC:
        text = f'"{file}" is no database.'
        yield Finding(CHECK, Severity.ERROR, text, "The reconciler puts it aside when it starts.")
        return
    if not begin or size > LARGEST_COPY:
        return
    try:
        with tempfile.TemporaryDirectory(prefix="supervise-doctor-") as folder:
            for part in (file, wal):
                if part.exists():
                    shutil.copyfile(part, Path(folder) / part.name)
            db = connect(str(Path(folder) / file.name))
            try:
                refuse_damage(db)
                missing(migrations(), applied(db))
            finally:
                db.close()
    except (StoreError, sqlite3.Error) as error:
        text = f"A copy of the store cannot be opened: {error}."
        yield Finding(CHECK, Severity.ERROR, text, "Where it is damaged, the reconciler puts it aside when it starts.")
