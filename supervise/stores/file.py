"""The store's file as a file: who owns it, who may read it, and what becomes of it once it is damaged.

The database itself is never opened and closed here while a connection has it open: that would drop SQLite's locks.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from supervise.errors import StoreError

MAGIC = b"SQLite format 3\0"
PRIVATE = 0o600
COPIES = 3
"""How many damaged files, or copies from before a migration, are kept."""
BESIDE = ("", "-wal", "-shm")


@contextmanager
def owned(path: Path, *, to_write: bool = True) -> Iterator[None]:
    """Nobody else has the store meanwhile. The kernel frees the lock of a dead owner, so its file stays for ever."""
    if to_write:
        path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT if to_write else os.O_RDONLY
    try:
        descriptor = os.open(path.with_name(f"{path.name}.lock"), flags | os.O_CLOEXEC, PRIVATE)
    except FileNotFoundError:
        if to_write:
            raise
        yield  # nobody has ever owned it
        return
    try:
        _lock(descriptor)
        if to_write:
            _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        raise StoreError(f"another reconciler owns it (PID {owner or 'not known'})") from None


def _sign(descriptor: int) -> None:
    """Who owns it, for the message to others. A full disk takes no name, and the lock holds without."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise


@contextmanager
def made_private(path: Path) -> Iterator[int]:
    """A descriptor of the file, which is there now and only its owner's."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        os.fchmod(descriptor, PRIVATE)
        yield descriptor
    finally:
        os.close(descriptor)


def set_aside(path: Path, *, now: datetime) -> Path:
    """Put a damaged store out of the way, where a person can look at it; gives where. Raises StoreError."""
    try:
        with owned(path):
            while (aside := path.with_name(f"{path.name}.corrupt-{now:%Y%m%dT%H%M%S}")).exists():
                now += timedelta(seconds=1)
            for ending in reversed(BESIDE):
                part = path.with_name(path.name + ending)
                if part.exists():
                    part.replace(aside.with_name(aside.name + ending))
            keep_newest(path, "corrupt")
            sync_folder(path.parent)
            return aside
    except OSError as error:
        raise StoreError(f'cannot put the damaged store "{path}" aside: {error.strerror}') from error


def keep_newest(path: Path, what: str) -> None:
    found = [one for one in path.parent.glob(f"{path.name}.{what}-*") if not one.name.endswith(BESIDE[1:])]
    for old in sorted(found, key=lambda one: (one.stat().st_mtime, one.name))[:-COPIES]:
        for ending in BESIDE:
            old.with_name(old.name + ending).unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """A rename is on the disk only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_of(path: Path) -> int:
    """0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
