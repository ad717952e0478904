"""The database in the store's file: opening it, its tables brought up to date, its failures put into words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from supervise.clock import now
from supervise.errors import StoreError
from supervise.stores.file import keep_newest, made_private, sync_folder
from supervise.stores.migrations import Migration, missing
from supervise.stores.rows import stamp

BUSY = 0.25
"""Seconds to wait for somebody who has the file open by hand."""
LONGEST_WAL = 4 * 1024 * 1024
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
MIGRATIONS = """create table if not exists migrations (
  number integer primary key, name text not null, checksum text not null, applied_at timestamptz not null)"""


def migrate(db: sqlite3.Connection, path: Path, steps: Sequence[Migration]) -> None:
    """Bring the tables up to date, a transaction for each step, after a copy of what was there.

    Raises StoreError, before anything is written, where the file is of a newer version or of other steps.
    """
    already = applied(db)
    todo = missing(steps, already)
    if todo and already:
        _copy(db, path.with_name(f"{path.name}.before-{todo[0].number}"))
        keep_newest(path, "before")
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = normal")
    db.execute(f"pragma journal_size_limit = {LONGEST_WAL}")
    for step in todo:
        with transaction(db):
            db.execute(MIGRATIONS)
            for statement in step.statements:
                db.execute(statement)
            db.execute(
                "insert into migrations values (?, ?, ?, ?)", (step.number, step.name, step.checksum, stamp(now().wall))
            )


def applied(db: sqlite3.Connection) -> Mapping[int, str]:
    if not db.execute("select 1 from sqlite_master where type = 'table' and name = 'migrations'").fetchone():
        return {}
    return {found["number"]: found["checksum"] for found in db.execute("select number, checksum from migrations")}


def _copy(db: sqlite3.Connection, target: Path) -> None:
    """A whole copy or none under this name, whenever we are killed."""
    staged = target.with_name(f".{target.name}.new")
    staged.unlink(missing_ok=True)
    with made_private(staged) as file:
        copy = sqlite3.connect(str(staged), isolation_level=None)
        try:
            db.backup(copy)
        finally:
            copy.close()
        os.fsync(file)
    staged.replace(target)
    sync_folder(target.parent)


def connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=BUSY, uri=path.startswith("file:"))
    db.row_factory = sqlite3.Row
    db.text_factory = partial(str, encoding="utf-8", errors="replace")  # one damaged text must not stop a whole read
    return db


def refuse_damage(db: sqlite3.Connection) -> None:
    (found,) = db.execute("pragma quick_check(1)").fetchone()
    if found != "ok":
        raise StoreError(f"it is damaged: {found.strip()}", corrupt=True)


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("begin immediate")
    try:
        yield
        db.execute("commit")
    except BaseException:
        if db.in_transaction:  # SQLite takes some back by itself, as where the disk is full
            db.execute("rollback")
        raise


@contextmanager
def told(doing: str, path: Path) -> Iterator[None]:
    """Every failure becomes a StoreError that says what could not be done to which file."""
    what = f'cannot {doing} the store "{path}"'
    try:
        yield
    except StoreError as error:
        text = str(error)
        raise StoreError(text if text.startswith("cannot ") else f"{what}: {text}", corrupt=error.corrupt) from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None) or 0
        raise StoreError(f"{what}: {error}", corrupt=code & 0xFF in DAMAGED) from error
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror}") from error
