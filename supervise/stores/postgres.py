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
            yield db
    except psycopg.Error as error:
        raise StoreError(f"cannot work with the database: {_words(error)}") from error


def applied(db: Connection) -> Mapping[int, str]:
    """The checksums of the steps that it has run, by number."""
    if db.execute("select to_regclass('public.supervise_migrations') as found").fetchone() == {"found": None}:
        return {}
    found = db.execute("select number, checksum from public.supervise_migrations").fetchall()
    return {one["number"]: one["checksum"] for one in found}


def migrate(db: Connection, tell: Callable[[Migration], None], notice: Callable[[str], None]) -> None:
    """Run what is missing, a transaction for each step; `tell` hears of each, `notice` what the database remarks."""
    db.add_notice_handler(lambda said: notice(said.message_primary or "") if said.severity == "WARNING" else None)
    db.execute("select pg_advisory_lock(%s)", (OTHERS,))
    db.execute("select set_config('lock_timeout', %s, false)", (WAIT,))
    try:
        for step in missing(steps(), applied(db)):
            with db.transaction():
                db.execute(recorded(step).encode())
            tell(step)
        db.execute("select supervise.schedule_sweep()")
    finally:
        db.execute("select pg_advisory_unlock(%s)", (OTHERS,))


def sweeps_itself(db: Connection) -> bool:
    """Whether the database looks for silent hosts though none lives to do it."""
    job = "select from cron.job where jobname = 'supervise-sweep' and active"
    has_cron = db.execute("select to_regclass('cron.job') as found").fetchone() != {"found": None}
    return has_cron and db.execute(job).fetchone() is not None


def _words(error: psycopg.Error) -> str:
    return error.diag.message_primary or " ".join(str(error).split())
