"""The steps as files that the Supabase CLI takes: `supabase/migrations/TIMESTAMP_NAME.sql`.

A step that is there already keeps its file; new ones come after every file of whoever owns the folder, or the CLI would
refuse them. One that `supervise db migrate` has run already does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from supervise.stores.ledger import once
from supervise.stores.migrations import Migration

STAMP = re.compile(r"(\d{14})_")
PREFIX = "supervise"
FORMAT = "%Y%m%d%H%M%S"


def export(steps: Iterable[Migration], folder: Path, *, now: datetime) -> Sequence[Path]:
    """Write what is missing; gives the new files."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(file.name for file in folder.glob("*.sql"))
    todo = [step for step in steps if not any(name.endswith(_ending(step)) for name in names)]
    first = max([now.strftime(FORMAT), *(_after(name) for name in names)])
    at = datetime.strptime(first, FORMAT)  # noqa: DTZ007 a number that counts up, no moment
    new = [folder / f"{at + timedelta(seconds=count):{FORMAT}}{_ending(step)}" for count, step in enumerate(todo)]
    for file, step in zip(new, todo, strict=True):
        file.write_text(once(step), encoding="utf-8")
    return new


def _ending(step: Migration) -> str:
    return f"_{PREFIX}_{step.name}"


def _after(name: str) -> str:
    """The next stamp after that of a file; none where it has none that is a time."""
    found = STAMP.match(name)
    try:
        at = datetime.strptime(found[1], FORMAT) if found else None  # noqa: DTZ007
    except ValueError:
        return ""
    return (at + timedelta(seconds=1)).strftime(FORMAT) if at else ""
