"""The local store: one SQLite file with one owner. What a commit writes is there whole or not at all.

A row that is damaged, or that no column takes, is left out and counted; it never costs the others anything.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from supervise.clock import now
from supervise.errors import StoreError
from supervise.model import Event, HostStatus, StatusRow
from supervise.stores import Change, DeadLetter, EventQuery, ItemKind, Memory, OutboxItem, Renamed, Sample
from supervise.stores.database import applied, connect, migrate, refuse_damage, told, transaction
from supervise.stores.file import MAGIC, made_private, owned, size_of
from supervise.stores.migrations import migrations, missing
from supervise.stores.rows import (
    EVENT,
    HOST,
    INTENT_COLUMNS,
    ROW_COLUMNS,
    SAMPLE_COLUMNS,
    SETTING,
    UNREADABLE,
    UNSTORABLE,
    Found,
    Values,
    event_of,
    event_values,
    host_of,
    host_values,
    intent_of,
    intent_values,
    letter_of,
    past_text,
    row_of,
    row_values,
    sample_of,
    sample_values,
    setting_of,
    setting_values,
    stamp,
)

SMALL = 64 * 1024 * 1024
"""A file below this size is looked through at each opening: it takes less than a second."""
LONGEST_NAME = 80
UNFIT = (*UNREADABLE, sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
"""What a single row raises that its table does not take. SQLite takes back that statement and no more."""

BY_NAME = ("agent_status", "agent_memory", "agent_intents")
NAMED = (*BY_NAME, "agent_events", "agent_samples", "agent_settings", "outbox", "dead_letters")
HOSTED = (*NAMED, "host_status", "renames")

T = TypeVar("T")


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"insert into {table} ({', '.join(columns)}) values ({', '.join(f':{one}' for one in columns)})"  # noqa: S608


def _upsert(table: str, columns: Sequence[str], key: Sequence[str] = ("host", "name")) -> str:
    changes = ", ".join(f"{one} = excluded.{one}" for one in columns if one not in key)
    return f"{_insert(table, columns)} on conflict ({', '.join(key)}) do update set {changes}"


PUT_ROW = _upsert("agent_status", ("host", *ROW_COLUMNS, "epoch", "seq"))
PUT_PAST = _upsert("agent_memory", ("host", "name", "past"))
PUT_INTENT = _upsert("agent_intents", ("host", *INTENT_COLUMNS))
PUT_HOST = _upsert("host_status", ("host", *HOST, "epoch", "seq"), key=("host",))
PUT_SETTING = _upsert("agent_settings", ("host", *SETTING, "updated_at"), key=("host", "name", "key"))
DROP_SETTING = "delete from agent_settings where host = :host and name = :name and key = :key"
PUT_EVENT = _insert("agent_events", ("host", *EVENT)) + " on conflict (id) do nothing"
PUT_SAMPLE = _insert("agent_samples", ("host", *SAMPLE_COLUMNS)).replace("insert", "insert or replace", 1)
PUT_RENAME = _insert("renames", ("host", "was", "name"))
PUT_ITEM = _insert("outbox", ("id", "host", "kind", "name", "at", "event"))
YIELD_TITLE = """update agent_status set agent_name = substr(agent_name, 1, 400) || ' (' || name || ')'
  where agent_name = :agent_name and name <> :name"""
ROWS = """select s.*, m.past from agent_status s left join agent_memory m on m.host = s.host and m.name = s.name
  where s.host = :host"""
SAMPLES = """select s.*, a.agent_name, a.project, a.unit, a.platform from agent_samples s
  left join agent_status a on a.host = s.host and a.name = s.name where s.host = :host and s.name = :name"""


NEXT = "select * from outbox where host = :host order by kind <> 'row', id limit :most"
NEXT_OF_KIND = "select * from outbox where host = :host and kind = :kind order by id limit :most"
DROP_OLD = "delete from outbox where host = :host and kind <> 'row' and at < :before"
DROP_MANY = """delete from outbox where id in (select id from (
    select o.id, sum(400 + coalesce(length(e.message) + length(e.reason) + length(e.by), 0)) over (order by o.id desc)
      as size from outbox o left join agent_events e on e.id = o.event where o.host = :host and o.kind <> 'row')
  where size > :largest)"""
"""All other columns of an event come to some 400 bytes, and so does a sample."""


class Sqlite:
    """The store of one host. Belongs to the thread that opened it.

    `skipped` counts rows that were left out, `seq` what was written: one for each row (the host's too), and while it
    `replicates` one for each event and sample. The number of an outbox item is the `seq` of what it is about.
    """

    def __init__(
        self, path: Path, db: sqlite3.Connection, *, host: str, replicate: bool | None = None, file: int = -1
    ) -> None:
        self.path = path
        self.skipped = 0
        self._db = db
        self._host = host
        self._file = file
        self._log: os.stat_result | None = None
        self._opened = ExitStack()
        self.seq = int(self._meta("seq") or 0)
        self.epoch = int(self._meta("epoch") or 0)
        self.replicates = self._meta("replicate") == "1" if replicate is None else replicate

    @classmethod
    def open(cls, path: Path, *, host: str, replicate: bool | None = None, check: bool = False) -> Sqlite:
        """Own the file, make its tables or bring them up to date. Raises StoreError, `corrupt` where it is damaged.

        `replicate`: as it was last told by `replicate`, if None.

        `check`: look for damage also where the size of the file speaks against it.
        """
        with ExitStack() as stack, told("open", path):
            stack.enter_context(owned(path))
            unclean = size_of(_wal(path)) > 0
            file = stack.enter_context(made_private(path))
            size = os.fstat(file).st_size
            db = connect(str(path))
            stack.callback(db.close)
            if size and (check or unclean or size < SMALL):
                refuse_damage(db)
            migrate(db, path, migrations())
            store = cls(path, db, host=host, replicate=replicate, file=file)
            store._adopt()
            store._log = _wal(path).stat()
            store._opened = stack.pop_all()
            return store

    def close(self) -> None:
        """Give the file up. Closing twice is harmless."""
        with told("close", self.path), self._opened:
            moved = self._moved()
            self._db.close()
            if moved:
                self._clear_away()

    def _moved(self) -> bool:
        """Whether the path leads to another file than ours by now, or to none."""
        try:
            return not os.path.samestat(self.path.stat(), os.fstat(self._file))
        except OSError:
            return True

    def _clear_away(self) -> None:
        """SQLite leaves the log of a file that was moved, and would play it back into the next one of that name."""
        log = _wal(self.path)
        if self._log and log.exists() and os.path.samestat(log.stat(), self._log):
            log.unlink()

    def intact(self) -> bool:
        """Whether the path still leads to our file, and that begins as it must. Cheap; no proof that all is well."""
        try:
            return not self._moved() and os.pread(self._file, len(MAGIC), 0) == MAGIC
        except OSError:
            return False

    def verify(self) -> None:
        """Look for damage on the disk itself: what this connection holds in memory hides it. Raises StoreError."""
        if size_of(self.path) < SMALL:
            with told("read", self.path):
                db = connect(str(self.path))
                try:
                    refuse_damage(db)
                finally:
                    db.close()

    # --- Reading ------------------------------------------------------------------------------------------------------

    def load(self) -> Memory:
        host = {"host": self._host}
        with told("read", self.path):
            rows = self._read(row_of, ROWS, host)
            intents = self._read(intent_of, "select * from agent_intents where host = :host", host)
            notes = dict(self._db.execute("select key, value from notes").fetchall())
            settings = self._read(setting_of, "select * from agent_settings where host = :host", host)
        return Memory(
            {row.name: row for row in rows},
            {intent.name: intent for intent in intents},
            notes,
            {setting.of: setting for setting in settings},
        )

    def events(self, query: EventQuery) -> Sequence[Event]:
        """The newest that fit, oldest first; both ends of the span belong to it."""
        conditions = {
            "name = :name": query.name,
            "at >= :since": query.since and stamp(query.since),
            "at <= :until": query.until and stamp(query.until),
        }
        wanted = " and ".join(["host = :host", *(text for text, value in conditions.items() if value is not None)])
        values = {text.rpartition(":")[2]: value for text, value in conditions.items()}
        with told("read", self.path):
            newest_first = self._read(
                event_of,
                f"select * from agent_events where {wanted} order by at desc, rowid desc limit :limit",  # noqa: S608
                {**values, "host": self._host, "limit": max(0, query.limit)},
            )
        return tuple(reversed(newest_first))

    def history(self, name: str, since: datetime, until: datetime) -> Sequence[Sample]:
        """Oldest first, both ends included. Each row has what a sample keeps (`rows.SAMPLE`)."""
        span = {"host": self._host, "name": name, "since": stamp(since), "until": stamp(until)}
        with told("read", self.path):
            return self._read(sample_of, f"{SAMPLES} and s.at between :since and :until order by s.at", span)

    def _read(self, make: Callable[[Found], T], sql: str, values: Values | tuple[Any, ...]) -> Sequence[T]:
        made = []
        for found in self._db.execute(sql, values):
            try:
                made.append(make(found))
            except UNREADABLE:  # one damaged row, or a word of a newer version, must not hide the others
                self.skipped += 1
        return tuple(made)

    # --- Writing ------------------------------------------------------------------------------------------------------

    def commit(self, change: Change, *, now: datetime) -> None:
        self.commit_all((change,), now=now)

    def commit_all(self, changes: Sequence[Change], *, now: datetime) -> None:
        """Several changes in their order, in one transaction."""
        with self._transaction("write to"):
            before = self.seq
            for change in changes:
                self._apply(change, stamp(now))
            if self.seq != before:
                self._set_meta("seq", str(self.seq))

    def _apply(self, change: Change, now: str) -> None:
        self._rename({new: old for new, old in change.renamed.items() if 0 < len(new) <= LONGEST_NAME and new != old})
        for name in change.forget:
            self._forget(name)
        for row in change.rows.values():
            with self._excused():
                self._put_row(row, now)
        if change.host:
            with self._excused():
                self._put_host(change.host, now)
        for intent in change.intents:
            with self._excused():
                self._db.execute(PUT_INTENT, {"host": self._host, **intent_values(intent)})
        for key, value in change.notes.items():
            with self._excused():
                self._put_note(key, value)
        for setting in change.settings:
            with self._excused():
                sql = DROP_SETTING if setting.value is None else PUT_SETTING
                self._db.execute(sql, {"host": self._host, **setting_values(setting)})
        for event in change.events:
            with self._excused():
                self._put_event(event)
        for sample in change.samples:
            with self._excused():
                self._put_sample(sample)

    def _put_row(self, row: StatusRow, now: str) -> None:
        values = row_values(row)
        values |= {"host": self._host, "epoch": self.epoch, "seq": self.seq + 1}
        values["updated_at"] = values["updated_at"] or now
        past = past_text(row)
        self._db.execute(YIELD_TITLE, values)  # whoever had the title is about to be told another, or is gone
        self._db.execute(PUT_ROW, values)
        self._db.execute(PUT_PAST, {"host": self._host, "name": values["name"], "past": past})
        self.seq += 1
        if self.replicates:
            self._unsend(values["name"])
            self._send(ItemKind.ROW, values["name"], values["updated_at"])

    def _put_host(self, status: HostStatus, now: str) -> None:
        values = {**host_values(status), "host": self._host, "epoch": self.epoch, "seq": self.seq + 1}
        self._db.execute(PUT_HOST, {**values, "updated_at": values["updated_at"] or now})
        self.seq += 1

    def _put_event(self, event: Event) -> None:
        values = {"host": self._host, **event_values(event)}
        if self._db.execute(PUT_EVENT, values).rowcount == 1 and self.replicates:
            self.seq += 1
            self._send(ItemKind.EVENT, values["name"], values["at"], values["id"])

    def _put_sample(self, sample: Sample) -> None:
        values = {"host": self._host, **sample_values(sample)}
        self._db.execute(PUT_SAMPLE, values)
        if self.replicates:
            self.seq += 1
            self._send(ItemKind.SAMPLE, values["name"], values["at"])

    def _put_note(self, key: str, value: str | None) -> None:
        if value is None:
            self._db.execute("delete from notes where key = ?", (key,))
        else:
            self._db.execute("insert or replace into notes (key, value) values (?, ?)", (key, value))

    def _forget(self, name: str) -> None:
        for table in BY_NAME:
            self._db.execute(f"delete from {table} where host = ? and name = ?", (self._host, name))  # noqa: S608
        self._unsend(name)
        self._send_end(name)

    def _rename(self, renamed: Mapping[str, str]) -> None:
        """All at once, so that two may swap names. What stands under a new name gives way to what comes."""
        for old, new in _moves(renamed):
            self._move(old, new)
            if self.replicates:
                with self._excused():
                    self._db.execute(PUT_RENAME, {"host": self._host, "was": old, "name": new})
        for old in set(renamed.values()) - renamed.keys():
            self._send_end(old)

    def _move(self, old: str, new: str) -> None:
        names = {"old": old, "new": new, "host": self._host}
        if self._db.execute("select 1 from agent_status where host = :host and name = :old", names).fetchone():
            self._unsend(new)
        for table in NAMED:
            if table in BY_NAME:
                self._db.execute(
                    f"delete from {table} where host = :host and name = :new"  # noqa: S608
                    f" and exists (select 1 from {table} where host = :host and name = :old)",
                    names,
                )
            self._db.execute(f"update or replace {table} set name = :new where host = :host and name = :old", names)  # noqa: S608

    def prune(self, *, events_before: datetime, samples_before: datetime) -> int:
        """Delete what is older, sent or not; gives how many events and samples."""
        with self._transaction("prune"):
            old = {"host": self._host, "events": stamp(events_before), "samples": stamp(samples_before)}
            events = self._db.execute("delete from agent_events where host = :host and at < :events", old).rowcount
            samples = sum(self._prune_samples({**old, "name": name}) for name in self._sampled())
            self._db.execute(
                "delete from outbox where host = :host"
                " and (kind = 'event' and at < :events or kind = 'sample' and at < :samples)",
                old,
            )
        return events + samples

    def _prune_samples(self, old: Values) -> int:
        sql = "delete from agent_samples where host = :host and name = :name and at < :samples"
        return self._db.execute(sql, old).rowcount

    def _sampled(self) -> Iterator[str]:
        """Who has samples, one step in the index for each: there is none by time, and millions of rows to look at."""
        name = ""
        while True:
            sql = "select min(name) from agent_samples where host = ? and name > ?"
            name = self._db.execute(sql, (self._host, name)).fetchone()[0]
            if name is None:
                return
            yield name

    # --- The outbox ---------------------------------------------------------------------------------------------------

    def pending(self, limit: int, kind: ItemKind | None = None) -> Sequence[OutboxItem]:
        """Of one kind, or rows first: a row says how an agent is, an event how it was. What cannot be read becomes a
        dead letter."""
        items = []
        with self._transaction("read"):
            asked = {"host": self._host, "kind": kind and kind.value, "most": max(0, limit)}
            for found in self._db.execute(NEXT_OF_KIND if kind else NEXT, asked).fetchall():
                try:
                    content = self._content(found)
                except UNREADABLE as error:
                    self._bury(found, str(error))
                    continue
                if content is None and found["kind"] != ItemKind.ROW:  # pruned meanwhile
                    self._db.execute("delete from outbox where id = ?", (found["id"],))
                else:
                    items.append(OutboxItem(found["id"], ItemKind(found["kind"]), found["name"], content))
        return tuple(items)

    def depth(self, kind: ItemKind | None = None) -> int:
        """How much the replica does not have yet."""
        sql = "select count(*) from outbox where host = ? and kind = coalesce(?, kind)"
        with told("read", self.path):
            (found,) = self._db.execute(sql, (self._host, kind and kind.value)).fetchone()
        return int(found)

    def acknowledge(self, ids: Sequence[int]) -> None:
        """The replica has these. A row that has changed since has another number, and stays."""
        with self._transaction("write to"):
            self._db.executemany("delete from outbox where id = ?", [(one,) for one in ids])

    def renames(self) -> Sequence[Renamed]:
        """What the replica has to hear before any row, in this order."""
        sql = "select id, was, name from renames where host = ? order by id"
        with told("read", self.path):
            return tuple(Renamed(**found) for found in self._db.execute(sql, (self._host,)))

    def end_rename(self, id: int) -> None:
        """The replica has heard of it, or never will."""
        with self._transaction("write to"):
            self._db.execute("delete from renames where id = ?", (id,))

    def resend(self, names: Sequence[str] | None = None) -> int:
        """The replica has these rows (None: any row) otherwise than we, or not at all: they count as written anew."""
        with self._transaction("write to"):
            known = self.names()
            chosen = known if names is None else [name for name in names if name in known]
            for name in chosen:
                self.seq += 1
                values = {"host": self._host, "name": name, "epoch": self.epoch, "seq": self.seq}
                sql = "update agent_status set epoch = :epoch, seq = :seq where host = :host and name = :name"
                found = self._db.execute(f"{sql} returning updated_at", values).fetchone()
                self._unsend(name)
                self._send(ItemKind.ROW, name, found["updated_at"])
            self._set_meta("seq", str(self.seq))
        return len(chosen)

    def names(self) -> Sequence[str]:
        """Whoever has a row."""
        sql = "select name from agent_status where host = ? order by name"
        with told("read", self.path):
            return tuple(found["name"] for found in self._db.execute(sql, (self._host,)))

    def begin_epoch(self, epoch: int) -> None:
        """The replica has given us a new number, and every row goes there anew under it."""
        with self._transaction("write to"):
            self._set_meta("epoch", str(epoch))
        self.epoch = epoch
        self.resend()

    def replicate(self, wanted: bool) -> int:
        """Whether what is written is kept for a replica, from now on and after the next opening; gives how much waited
        that is not sent any more."""
        if wanted == self.replicates:
            return 0
        left = 0
        with self._transaction("write to"):
            self._set_meta("replicate", "1" if wanted else "0")
            if not wanted:
                left = self._db.execute("delete from outbox where host = ?", (self._host,)).rowcount
                self._db.execute("delete from renames where host = ?", (self._host,))
        self.replicates = wanted
        return left

    @property
    def instance(self) -> str:
        """What tells this file from another one of the same host, made with it."""
        if not (found := self._meta("instance")):
            found = uuid.uuid4().hex
            with self._transaction("write to"):
                self._set_meta("instance", found)
        return found

    def host_status(self) -> tuple[HostStatus, int] | None:
        """What was last written of the host, and its number."""
        with told("read", self.path):
            found = self._db.execute("select * from host_status where host = ?", (self._host,)).fetchone()
        return (host_of(found), int(found["seq"])) if found else None

    # --- What is not sent ---------------------------------------------------------------------------------------------

    def bury(self, ids: Sequence[int], why: str) -> None:
        """The replica would refuse these for ever."""
        with self._transaction("write to"):
            for one in ids:
                for found in self._db.execute("select * from outbox where id = ?", (one,)).fetchall():
                    self._bury(found, why)

    def dead_letters(self, limit: int = 100) -> Sequence[DeadLetter]:
        """The newest, oldest first."""
        with told("read", self.path):
            sql = "select * from dead_letters where host = ? order by id desc limit ?"
            newest_first = self._read(letter_of, sql, (self._host, limit))
        return tuple(reversed(newest_first))

    def dead(self) -> int:
        """How many dead letters there are."""
        with told("read", self.path):
            (found,) = self._db.execute("select count(*) from dead_letters where host = ?", (self._host,)).fetchone()
        return int(found)

    def retry(self) -> int:
        """Dead letters are sent once more; gives how many. Of a row its newest state alone is of interest."""
        columns = "id, host, kind, name, at, event"
        with self._transaction("write to"):
            found = self._db.execute("delete from dead_letters where host = ? returning *", (self._host,)).fetchall()
            sql = f"insert or ignore into outbox ({columns}) values (:id, :host, :kind, :name, :at, :event)"  # noqa: S608
            self._db.executemany(sql, [dict(one) for one in found if one["kind"] != ItemKind.ROW])
        rows = {one["name"] for one in found if one["kind"] == ItemKind.ROW}
        if rows:
            self.resend(sorted(rows))
        return len(found)

    def shorten(self, *, before: datetime, largest: int) -> int:
        """Events and samples that wait too long for the replica, or that are more bytes than that (about), are not sent
        any more, oldest first; gives how many. They stay here."""
        limits = {"host": self._host, "before": stamp(before), "largest": largest}
        with self._transaction("write to"):
            dropped = self._db.execute(DROP_OLD, limits).rowcount + self._db.execute(DROP_MANY, limits).rowcount
            if dropped:
                self._set_meta("dropped", str(self.dropped + dropped))
        return dropped

    @property
    def dropped(self) -> int:
        """How many events and samples were never sent, since this file was made."""
        return int(self._meta("dropped") or 0)

    # --- Steps --------------------------------------------------------------------------------------------------------

    def _content(self, item: Found) -> StatusRow | Event | Sample | None:
        values = dict(item)
        make, sql = CONTENT[ItemKind(item["kind"])]
        found = self._db.execute(sql, values).fetchone()
        return make(found) if found else None

    def _bury(self, item: Found, why: str) -> None:
        """Of a row only the newest is of interest, and so of its letters."""
        self.skipped += 1
        columns = ("id", "host", "kind", "name", "at", "event", "error")
        if item["kind"] == ItemKind.ROW:
            sql = "delete from dead_letters where host = ? and kind = 'row' and name = ?"
            self._db.execute(sql, (item["host"], item["name"]))
        values = {**item, "error": UNSTORABLE.sub("\ufffd", why)[:500]}
        self._db.execute(_insert("dead_letters", columns).replace("insert", "insert or replace", 1), values)
        self._db.execute("delete from outbox where id = ?", (item["id"],))

    def _send(self, kind: ItemKind, name: str, at: str, event: str | None = None) -> None:
        item = {"id": self.seq, "host": self._host, "kind": kind.value, "name": name, "at": at, "event": event}
        self._db.execute(PUT_ITEM, item)

    def _send_end(self, name: str) -> None:
        """There is no row of this name any more."""
        if self.replicates and 0 < len(name) <= LONGEST_NAME:
            self.seq += 1
            self._send(ItemKind.ROW, name, stamp(now().wall))

    def _unsend(self, name: str) -> None:
        self._db.execute("delete from outbox where host = ? and name = ? and kind = 'row'", (self._host, name))

    # --- Within -------------------------------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """The store is this machine's whatever it is called now: what stands under an old host name is ours."""
        if self._meta("host") == self._host:
            return
        with self._transaction("open"):
            for table in HOSTED:
                sql = f"update or replace {table} set host = :host where host <> :host"  # noqa: S608
                self._db.execute(sql, {"host": self._host})
            self._set_meta("host", self._host)

    def _meta(self, key: str) -> str | None:
        found = self._db.execute("select value from meta where key = ?", (key,)).fetchone()
        return found and str(found["value"])

    def _set_meta(self, key: str, value: str) -> None:
        self._db.execute("insert or replace into meta (key, value) values (?, ?)", (key, value))

    @contextmanager
    def _excused(self) -> Iterator[None]:
        try:
            yield
        except UNFIT:  # the same row would be refused for ever, and everything else with it
            self.skipped += 1

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[None]:
        before = self.seq
        try:
            with told(doing, self.path), transaction(self._db):
                yield
        except BaseException:
            self.seq = before
            raise


CONTENT: Mapping[ItemKind, tuple[Callable[[Found], StatusRow | Event | Sample], str]] = {
    ItemKind.ROW: (row_of, f"{ROWS} and s.name = :name"),
    ItemKind.EVENT: (event_of, "select * from agent_events where id = :event"),
    ItemKind.SAMPLE: (sample_of, f"{SAMPLES} and s.at = :at"),
}


def _moves(renamed: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """From which name to which, one after the other; by names that nobody has where one is needed while it is taken."""
    if renamed.keys().isdisjoint(renamed.values()):
        return [(old, new) for new, old in renamed.items()]
    aside = [f"~{number}" for number in range(len(renamed))]
    return [*zip(renamed.values(), aside, strict=True), *zip(aside, renamed, strict=True)]


def look(path: Path, *, host: str) -> Memory:
    """What a store says that cannot be opened for writing: a full or read-only disk must not make us forget.

    Only where nobody owns it and its last owner closed it in peace: else its file alone is not the truth.
    """
    with ExitStack() as stack, told("read", path):
        stack.enter_context(owned(path, to_write=False))
        if size_of(_wal(path)):
            raise StoreError("its last owner was killed")
        db = connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1")
        stack.callback(db.close)
        refuse_damage(db)
        if missing(migrations(), applied(db)):
            raise StoreError("it is of an older version")
        return Sqlite(path, db, host=host).load()


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
