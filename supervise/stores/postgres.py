"""The database that all hosts share, reached directly: its tables, and what people do with it by hand.

Reconcilers never come this way: they write through the API. Needs psycopg, which the extra `postgres` brings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from supervise.errors import StoreError, UsageError
from supervise.stores.ledger import recorded, steps
from supervise.stores.migrations import Migration, missing

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[dict[str, Any]]

PATIENCE = 10
"""Seconds in which a database must answer."""
WAIT = "10s"
"""How long a step waits for others who use a table: whoever comes after it waits as well."""
OTHERS = 7_368_766_597
"""The advisory lock that whoever migrates holds: any number that nobody else uses."""


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Raises UsageError without psycopg or where the URL is none, else StoreError with the database's own words."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
        from psycopg.rows import dict_row
    except ImportError as error:
        raise UsageError("this needs psycopg: pip install 'supervise-agents[postgres]'") from error
    try:
        said = conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # its words would show the password
        raise UsageError("SUPABASE_DB_URL is no URL of a database: postgresql://USER:PASSWORD@HOST:PORT/NAME") from None
    if "@" in str(said.get("host", "")) or not str(said.get("port") or "0").replace(",", "").isdigit():
        raise UsageError("SUPABASE_DB_URL cannot be read: of @ : / in its password write %40 %3A %2F")
    try:
        with psycopg.connect(url, autocommit=True, row_factory=dict_row, connect_timeout=PATIENCE) as db:
            db.prepare_threshold = None  # a pooler may send the next statement to a session that has prepared nothing
            yield db
    except psycopg.Error as error:
        raise StoreError(f"cannot work with the database: {_words(error)}") from error


def applied(db: Connection) -> Mapping[int, str]:
    """The checksums of the steps that it has run, by number."""
    if db.execute("select to_regclass('public.supervise_migrations') as found").fetchone() == {"found": None}:
        return {}
    found = db.execute("select number, checksum from public.supervise_migrations").fetchall()
    return {one["number"]: one["checksum"] for one in found}


def todo(db: Connection) -> tuple[Migration, ...]:
    """The steps that it has not run. Raises StoreError where it is of a newer version, or was made by other steps."""
    try:
        return missing(steps(), applied(db))
    except StoreError as error:
        raise StoreError(f"cannot work with the database: {error}") from error


def migrate(db: Connection, tell: Callable[[Migration], None], notice: Callable[[str], None]) -> None:
    """Run what is missing, a transaction for each step; `tell` hears of each, `notice` what the database remarks.

    Raises StoreError, also where somebody else migrates and does not come to an end.
    """
    db.add_notice_handler(lambda said: notice(said.message_primary or "") if said.severity == "WARNING" else None)
    while step := _first_missing_run(db):
        tell(step)


def _first_missing_run(db: Connection) -> Migration | None:
    with _nobody_else(db):
        step = next(iter(todo(db)), None)
        if step is None:
            db.execute("select supervise.schedule_sweep()")
        else:
            _run(db, step)
    return step


def _run(db: Connection, step: Migration) -> None:
    import psycopg

    try:
        db.execute(recorded(step).encode())
    except psycopg.OperationalError:  # no fault of the step
        raise
    except psycopg.Error as error:
        raise StoreError(f"cannot run step {step.name}, nothing of it is left: {_said(error)}") from error


@contextmanager
def _nobody_else(db: Connection) -> Iterator[None]:
    """A transaction in which nobody else migrates. All that it sets ends with it: behind a pooler the next one may run
    in another session."""
    from psycopg.errors import LockNotAvailable

    with db.transaction():
        db.execute("select set_config('lock_timeout', %s, true)", (WAIT,))
        try:
            db.execute("select pg_advisory_xact_lock(%s)", (OTHERS,))
        except LockNotAvailable as error:
            raise StoreError("somebody else migrates this database: wait for them, then run it again") from error
        yield


def sweeps_itself(db: Connection) -> bool:
    """Whether the database looks for silent hosts though none lives to do it."""
    job = "select from cron.job where jobname = 'supervise-sweep' and active"
    has_cron = db.execute("select to_regclass('cron.job') as found").fetchone() != {"found": None}
    return has_cron and db.execute(job).fetchone() is not None


def _words(error: psycopg.Error) -> str:
    from psycopg import errors

    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn | errors.UndefinedFunction):
        return f"its tables are not those of this version: run `supervise db migrate` ({_said(error)})"
    if isinstance(error, errors.LockNotAvailable):
        return "somebody else holds its tables: wait for them, then run it again"
    return _said(error)


def _said(error: psycopg.Error) -> str:
    return error.diag.message_primary or " ".join(str(error).split())
