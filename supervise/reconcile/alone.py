"""One reconciler for a host and scope: a lock for the life of the process, which the kernel frees however that ends.

A disk that takes no file keeps nobody from watching agents: then it goes without, and says so.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from supervise.errors import SuperviseError
from supervise.model import Scope
from supervise.places import Places

log = logging.getLogger(__name__)
PRIVATE = 0o600
"""Whoever can open the file can lock it."""
UNFIT = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOENT, errno.ENOLCK, errno.EOPNOTSUPP)
"""What a disk answers that takes no file now, or knows no locks."""
PAUSE = 0.1
"""Seconds between two tries."""


@contextmanager
def alone(places: Places, *, patience: timedelta = timedelta()) -> Iterator[None]:
    """Nobody else keeps these agents meanwhile. Raises SuperviseError that names who does, after `patience`."""
    descriptor = _opened(places.reconciler_lock)
    try:
        if descriptor is not None:
            _lock(descriptor, places, patience)
            _sign(descriptor, places.reconciler_lock)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _opened(path: Path) -> int | None:
    """The file, made if need be; None where the disk has no place for it. A link is not followed: who keeps agents may
    be root, and the folder another user's."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with suppress(FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | flags, PRIVATE)
        except OSError as error:
            if error.errno not in UNFIT:
                raise
            return os.open(path, os.O_RDONLY | flags)
    except OSError as error:
        if error.errno not in UNFIT:
            raise SuperviseError(f"cannot lock {path}: {error.strerror}") from error
        log.warning("cannot lock %s (%s): nothing keeps a second reconciler away", path, error.strerror)
        return None


def _lock(descriptor: int, places: Places, patience: timedelta) -> None:
    deadline = time.monotonic() + patience.total_seconds()
    while not _locked(descriptor):
        if time.monotonic() >= deadline:
            raise SuperviseError(_sentence(places, os.pread(descriptor, 32, 0)))
        time.sleep(PAUSE)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in UNFIT:
            raise
        log.warning("cannot lock (%s): nothing keeps a second reconciler away", error.strerror)
    return True


def _sentence(places: Places, signed: bytes) -> str:
    who = signed.decode(errors="replace").strip() or "not known"
    whose = "this machine's agents" if places.scope is Scope.SYSTEM else "your agents"
    return f"cannot keep {whose}: another reconciler does (PID {who}); `supervise status` shows what it knows"


def _sign(descriptor: int, path: Path) -> None:
    """Who holds it, for the message to others. What root made by hand the service must be able to open."""
    status = os.fstat(descriptor)
    try:
        if os.geteuid() == 0 and stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            folder = path.parent.stat()
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError:  # a full or read-only disk takes no name, and the lock holds without
        log.debug("cannot write who holds %s", path)
