"""Who may execute and who may change a file, judged from its mode bits and those of the folders above it.

A file that we may not even look at is nobody's mistake: unknown never becomes an error.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom an agent runs as. A dynamic user has a uid that owns nothing."""

    name: str
    uid: int
    gid: int
    groups: frozenset[int]


DYNAMIC = Identity("a dynamic user", -1, -1, frozenset())


@cache
def identity(user: str, group: str | None = None) -> Identity:
    """Raises KeyError naming what does not exist on this host."""
    entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    gid = _gid(group) if group else entry.pw_gid
    return Identity(entry.pw_name, entry.pw_uid, gid, frozenset((*os.getgrouplist(entry.pw_name, entry.pw_gid), gid)))


def owner(path: Path) -> str:
    """The user who owns a file, by name where it has one."""
    uid = path.stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def obstacle(path: Path, who: Identity) -> str | None:
    """Why this user cannot execute the file, or None when nothing is seen to stand in the way."""
    for step in _steps(path):
        try:
            status = step.stat()
        except PermissionError:
            return None
        except OSError as error:
            return f"{step}: {error.strerror}"
        if not _may(status, who, 0o1):
            kind = "folder" if stat.S_ISDIR(status.st_mode) else "file"
            return (
                f'{who.name} may not enter {kind} "{step}"'
                if kind == "folder"
                else f'{who.name} may not execute "{step}"'
            )
    return None


def stranger_who_writes(path: Path, who: Identity) -> str | None:
    """Who, besides this user and root, can change the file or put another in its place; None when nobody can.

    Of the folders further up only those that anybody may write count: above a home there is always somebody else's.
    """
    holding = (path.parent, Path(os.path.realpath(path)).parent)
    for step in _steps(path):
        try:
            status = step.stat()
        except OSError:
            return None
        folder = stat.S_ISDIR(status.st_mode)
        if folder and status.st_mode & stat.S_ISVTX:
            continue
        if status.st_mode & stat.S_IWOTH:
            return f'"{step}" may be written by anybody'
        if folder and step not in holding:
            continue
        if status.st_uid not in (ROOT, who.uid):
            return f'"{step}" belongs to {_user_name(status.st_uid)}'
        if status.st_mode & stat.S_IWGRP and status.st_gid not in (ROOT, who.gid):
            return f'"{step}" may be written by group {_group_name(status.st_gid)}'
    return None


def _steps(path: Path) -> Iterator[Path]:
    """Every folder and file that the kernel walks through to reach the path, links followed."""
    resolved = Path(os.path.realpath(path))
    seen: set[Path] = set()
    for whole in (path, resolved):
        for step in (*reversed(whole.parents), whole):
            if step not in seen:
                seen.add(step)
                yield step


def _may(status: os.stat_result, who: Identity, bit: int) -> bool:
    mode = status.st_mode
    if who.uid == ROOT:
        return stat.S_ISDIR(mode) or bool(mode & 0o111)
    if status.st_uid == who.uid:
        return bool(mode & bit << 6)
    if status.st_gid in who.groups:
        return bool(mode & bit << 3)
    return bool(mode & bit)


def _gid(group: str) -> int:
    return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
