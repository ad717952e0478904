"""Which files describe the project: the one above the current folder, its overlay, or one of the older layout."""

from __future__ import annotations

import re
from pathlib import Path

from supervise.config import legacy
from supervise.errors import UsageError

NAME = "agents.yaml"
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def find(start: Path, *, environment: str | None = None) -> Path:
    """`agents.yaml` (or else the older layout's file) in `start` or the nearest folder above it."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / NAME).is_file():
            return folder / NAME
        if older := _older(folder, environment):
            return older
    raise UsageError(
        f"cannot find '{NAME}' in '{start}' or a folder above it: "
        "write one with 'supervise init', or name it with -f FILE"
    )


def _older(folder: Path, environment: str | None) -> Path | None:
    files = sorted(folder.joinpath(*legacy.FOLDER).glob("*.yaml"))
    wanted = [file for file in files if file.stem == (environment or "development")]
    if len(files) < 2 and not environment:
        return files[0] if files else None
    if files and not wanted:
        raise UsageError(
            f"cannot choose one of {', '.join(file.name for file in files)} in '{files[0].parent}': "
            "name one with --env or -f FILE"
        )
    return wanted[0] if wanted else None


def files(file: Path, environment: str | None) -> tuple[Path, ...]:
    """The files to read, each laid over those before: of the older layout just one, else `file` and its overlay."""
    if environment is None:
        return (file,)
    if not _ENVIRONMENT.fullmatch(environment):
        raise UsageError(f"'{environment}' cannot be the name of an environment: letters, digits, _ - and . are")
    if legacy.is_older(file):
        return (file.with_name(f"{environment}{file.suffix}"),)
    return (file, file.with_name(f"{file.stem}.{environment}{file.suffix}"))
