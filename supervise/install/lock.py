"""One install at a time per scope; who comes second learns who is first. The kernel frees a dead holder's lock."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from supervise.errors import SuperviseError
from supervise.places import Places


@contextmanager
def install_lock(places: Places) -> Iterator[None]:
    """Raises SuperviseError naming the holder."""
    places.lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SuperviseError(f"cannot install now: {_holder(places.lock)}; try again when it is done") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_ourselves()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _ourselves() -> dict[str, object]:
    user = pwd.getpwuid(os.getuid()).pw_name
    command = " ".join(["supervise", *sys.argv[1:]])
    return {
        "pid": os.getpid(),
        "user": user,
        "command": command,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _holder(path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return f"`{found['command']}` (PID {found['pid']}, {found['user']}) has been at it since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another install has just begun"
