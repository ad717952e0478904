"""Who can read what, and at which folder that ends: the questions that several checks ask of the disk. Only looks."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from supervise.access import Identity, obstacle
from supervise.doctor.installation import Installation
from supervise.install.disk import read_disk
from supervise.install.plan import Disk


def disk_of(there: Installation) -> Disk:
    """What is on disk of ours, but for the rule of polkit where this user may not read it (its folder is closed).

    Raises SuperviseError for a damaged journal.
    """
    polkit = there.places.polkit
    if polkit and not os.access(polkit.parent, os.R_OK | os.X_OK):
        return read_disk(replace(there.places, polkit=None), ())
    return read_disk(there.places, ())


def blocked_at(path: Path, who: Identity) -> Path | None:
    """The first folder on the way, or the file itself, that this user may not enter or execute."""
    return next((step for step in (*reversed(path.parents), path) if obstacle(step, who)), None)


def cannot_read(path: Path, who: Identity) -> str | None:
    """Why this user cannot read the file or folder, judged by mode bits; None also where that cannot be seen."""
    try:
        if why := obstacle(path.parent, who):
            return why
        status = path.stat()
    except PermissionError:
        return None
    except OSError as error:
        return f"{path}: {error.strerror}"
    wanted = 0o5 if stat.S_ISDIR(status.st_mode) else 0o4
    return None if _may(status, who, wanted) else f'{who.name} may not read "{path}"'


def _may(status: os.stat_result, who: Identity, wanted: int) -> bool:
    if who.uid == 0:
        return True
    shift = 6 if status.st_uid == who.uid else 3 if status.st_gid in who.groups else 0
    return status.st_mode >> shift & wanted == wanted


def is_seen(path: Path) -> bool:
    """Whether whoever looks may see if it is there."""
    try:
        path.stat()
    except PermissionError:
        return False
    except OSError:
        return True
    return True
