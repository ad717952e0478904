"""What people ask of the database that all hosts share: which hosts there are, whose an agent is, what is to go.

A host's session ends with whatever row is taken from it (a trigger sees to that where it is deleted): it opens a new
one at its next report, and sends all that is its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from supervise.errors import NoSuchAgent, SuperviseError, UsageError
from supervise.stores.tokens import LONGEST, host_token
from supervise.text import shown

if TYPE_CHECKING:
    from supervise.stores.postgres import Connection

LONGEST_HOST = 255
BATCH = 5000
"""Rows that are deleted at a time."""
OF_HOST = ("agent_status", "agent_events", "agent_samples", "host_status", "supervise_commands", "supervise_host_keys")
"""Where a host's rows stand."""


@dataclass(frozen=True, slots=True)
class Host:
    """One host as the database knows it. `seen_at`: None where it never wrote; `keys`: those that are valid."""

    host: str
    seen_at: datetime | None
    silent: bool
    agents: int
    version: str
    message: str
    keys: int
    key_expires_at: datetime | None


def hosts(db: Connection) -> Sequence[Host]:
    found = db.execute(
        """select h.host, s.seen_at, coalesce(s.silent, true) as silent, h.agents, coalesce(t.version, '') as version,
             coalesce(t.message, '') as message, coalesce(k.keys, 0) as keys, k.key_expires_at
           from (select host, count(name)::int as agents from (
                   select host, name from public.agent_status where host <> ''
                   union all select host, null from public.supervise_sessions
                   union all select host, null from public.supervise_host_keys
                   union all select host, null from public.host_status) every group by host) h
           left join public.supervise_sessions s on s.host = h.host
           left join public.host_status t on t.host = h.host
           left join (
             select host, count(*)::int as keys, max(expires_at) as key_expires_at from public.supervise_host_keys
             where revoked_at is null and expires_at > now() group by host) k on k.host = h.host
           order by h.host"""
    )
    return [Host(**one) for one in found]


def new_key(db: Connection, host: str, *, days: int, secret: str) -> tuple[str, datetime]:
    """A token with which to write as this host, and when it ends."""
    if not 0 < len(host) <= LONGEST_HOST or not host.isprintable() or host != host.strip():
        raise UsageError(f'"{shown(host)}" is no name of a host: write it as `hostname` prints it there')
    if days > LONGEST.days:
        raise UsageError(f"a host key lasts {LONGEST.days} days at most")
    kid = uuid.uuid4().hex
    made = db.execute(
        """insert into public.supervise_host_keys (kid, host, expires_at)
           values (%s, %s, now() + make_interval(days => %s))
           returning created_at, expires_at""",
        (kid, host, days),
    ).fetchone()
    assert made is not None
    token = host_token(host, kid, secret=secret, issued=made["created_at"], expires=made["expires_at"])
    return token, made["expires_at"]


def revoke(db: Connection, host: str) -> int:
    """How many keys were valid until now."""
    return db.execute(
        """update public.supervise_host_keys set revoked_at = now()
           where host = %s and revoked_at is null and expires_at > now()""",
        (host,),
    ).rowcount


def forget_host(db: Connection, host: str) -> None:
    """All that is known of it, its keys too. Raises SuperviseError where nothing is, or others' tables refer to it."""
    with _unless_referred_to(f'forget host "{host}"'), db.transaction():
        gone = db.execute("delete from public.supervise_sessions where host = %s", (host,)).rowcount
        for table in OF_HOST:
            gone += db.execute(f"delete from public.{table} where host = %s", (host,)).rowcount  # noqa: S608 our own words
    if not gone:
        raise SuperviseError(f'cannot forget host "{host}": nothing is known of it')


def disown(db: Connection, word: str, host: str | None) -> tuple[str, str]:
    """Make an agent nobody's, for the next host that has one of its title; gives its host and title until now."""
    with _unless_referred_to(f'disown "{word}"'), db.transaction():
        found = _one(db, word, host)
        if not found["host"]:
            raise SuperviseError(f'cannot disown "{word}": it belongs to no host already')
        said = f"It belongs to no host since it was taken from {found['host']}."
        db.execute("select supervise.disown(%s, %s, %s)", (found["host"], found["name"], said))
        db.execute("update public.supervise_sessions set epoch = -abs(epoch) where host = %(host)s", found)
    return found["host"], found["agent_name"]


def forget_agent(db: Connection, word: str, host: str | None) -> tuple[str, str]:
    """Its row, its events and its history; gives its host and title."""
    with _unless_referred_to(f'forget "{word}"'), db.transaction():
        found = _one(db, word, host)
        for table in ("agent_status", "agent_events", "agent_samples"):
            db.execute(f"delete from public.{table} where host = %(host)s and name = %(name)s", found)  # noqa: S608
    return found["host"], found["agent_name"]


def prune(db: Connection, events_before: datetime, samples_before: datetime) -> tuple[int, int]:
    """Delete what is older, in batches for which nobody has to wait; gives how many events and samples."""
    events = samples = 0
    while True:
        gone: dict[str, Any] | None = db.execute(
            "select public.prune_history(%s, %s, %s) as gone", (events_before, samples_before, BATCH)
        ).fetchone()
        assert gone is not None
        events += gone["gone"]["events"]
        samples += gone["gone"]["samples"]
        if max(gone["gone"].values()) < BATCH:
            return events, samples


@contextmanager
def _unless_referred_to(doing: str) -> Iterator[None]:
    """Around a transaction, as some references are looked at only as it ends."""
    from psycopg.errors import ForeignKeyViolation

    try:
        yield
    except ForeignKeyViolation as error:
        raise SuperviseError(
            f'cannot {doing}: rows of the table "{error.diag.table_name}" refer to it: delete those first'
        ) from error


def _one(db: Connection, word: str, host: str | None) -> dict[str, Any]:
    """The one agent that a name or title means."""
    found = db.execute(
        """select host, name, agent_name from public.agent_status
           where (name = %(word)s or agent_name = %(word)s) and (%(host)s::text is null or host = %(host)s)
           order by host for update""",
        {"word": word, "host": host},
    ).fetchall()
    if not found:
        where = f' of host "{host}"' if host else ""
        raise NoSuchAgent(f'there is no agent "{word}"{where} in the database')
    if len(found) > 1:
        names = ", ".join(one["host"] or "nobody" for one in found)
        raise UsageError(f'"{word}" is an agent of several hosts ({names}): say which with --host')
    return found[0]
