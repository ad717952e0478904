"""The steps that make a store's tables, each once and whole: SQL files numbered over all folders of this package.

`core` runs on every database, `local` only on the reconciler's own, `postgres` and `compat` only on a shared one. A
file that was released is never changed: what it made stands in databases that remember its checksum.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from supervise.errors import StoreError

LOCAL = ("core", "local")
"""The folders whose files make the local store."""
SHARED = ("core", "postgres", "compat")
"""The folders whose files make the database that all hosts share."""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    text: str
    checksum: str

    @property
    def statements(self) -> tuple[str, ...]:
        """One by one, as SQLite wants them; raises ValueError where the last one does not end."""
        return tuple(_statements(self.text))


def migrations(folders: Sequence[str] = LOCAL) -> tuple[Migration, ...]:
    """What this version ships, in the order in which it runs."""
    found = (
        migration(file.name, file.read_text(encoding="utf-8"))
        for folder in folders
        for file in files(__name__).joinpath(folder).iterdir()
        if file.name.endswith(".sql")
    )
    return tuple(sorted(found, key=lambda one: one.number))


def migration(name: str, text: str) -> Migration:
    number = int(name.partition("_")[0])
    return Migration(number, name, text, hashlib.sha256(text.encode()).hexdigest())


def missing(shipped: Sequence[Migration], applied: Mapping[int, str]) -> tuple[Migration, ...]:
    """What is still to be run on a database that has run `applied`: checksums by number.

    Raises StoreError where the database is of a newer version, or was made by other files than ours.
    """
    known = {one.number: one for one in shipped}
    if newer := sorted(applied.keys() - known.keys()):
        raise StoreError(
            f"it was written by a newer version of supervise (step {newer[-1]}): install that version again"
        )
    for number, checksum in sorted(applied.items()):
        if known[number].checksum != checksum:
            raise StoreError(f'step "{known[number].name}" is not the one that made it: its checksum differs')
    return tuple(one for one in shipped if one.number not in applied)


def _statements(text: str) -> Iterator[str]:
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    if any(line.strip() and not line.lstrip().startswith("--") for line in statement.splitlines()):
        raise ValueError(f"the last statement does not end: {statement.strip()!r}")
