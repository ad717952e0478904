"""Empties the outbox into Supabase: rows in their newest state, events and samples in their order, each exactly once.

Nothing leaves the outbox before the other side has it, and all that is sent may be sent again. One tick is one call for
all rows, and one each for events and samples that wait. While the other side is away, one small call asks for it.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import random
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from supervise.clock import now
from supervise.errors import StoreError
from supervise.model import Event, Lock, StatusRow, TableMap
from supervise.stores import Change, DeadLetter, ItemKind, OutboxItem, Renamed, Sample
from supervise.stores.sqlite import Sqlite
from supervise.stores.supabase.faults import Fault, Kind
from supervise.stores.supabase.fronts import LOST, Front
from supervise.stores.supabase.pace import LONGEST, UNTIL_REPAIRED, pause
from supervise.stores.supabase.wire import (
    Json,
    Report,
    event_json,
    host_json,
    lock_of,
    report_of,
    row_json,
    sample_json,
)

TICK = 5.0
"""Seconds between two reports."""
SWEEP = 15.0
"""Seconds between two looks at hosts that say nothing any more: within 90 s everybody knows."""
PRUNE = 3600.0
"""Seconds between two deletions of history there that is older than here."""
PRUNED = 2000
"""Events, and samples, that go at once."""
BATCH, SMALLEST_BATCH = 500, 10
EVERYTHING = 3600.0
"""Seconds after which all rows are sent anew, whatever became of them there."""
RETRY = 60.0
"""Seconds until what fails beside the rows is tried again."""
MOST_COMMANDS = 10
SILENT = 150.0
"""After so many seconds without a word another writer of our rows is gone: each writes once a minute at least."""
STORE_RETRY = 1.0
COUNT = 1.0
"""Seconds between two counts of what waits, while much of it is sent."""
LETTERS = 3
ABOUT_HOST = "what is said of this host is refused"
NOTE = "removed: {}"
"""Under which the store keeps what a table of others has still to be told."""

log = logging.getLogger(__name__)
T = TypeVar("T")


class Calls(Protocol):
    """The other side. Every call may raise Fault."""

    def call(self, function: str, **arguments: Any) -> Any: ...

    def find(self, table: str, columns: str, **equal: str) -> list[Any]: ...

    def upsert(self, table: str, rows: Sequence[Mapping[str, Any]], *, key: str) -> None: ...

    def amend(self, table: str, values: Mapping[str, Any], *, key: str, among: Sequence[Any]) -> None: ...

    def close(self) -> None: ...


class Ask(Protocol):
    """Puts a question to the store in the thread that owns it. Raises StoreError."""

    def __call__(self, question: Callable[[Sqlite], T]) -> T: ...


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody wants of an agent through the table."""

    id: int
    name: str
    kind: str
    actor: str


@dataclass(frozen=True, slots=True)
class Done:
    id: int
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class State:
    """How it goes. `why` is empty while it goes well; `behind` counts rows, events and samples."""

    where: str = ""
    why: str = ""
    kind: Kind | None = None
    since: datetime | None = None
    last_ok: datetime | None = None
    behind: int = 0
    dead: int = 0
    letters: tuple[DeadLetter, ...] = ()
    """The newest of those that are dead."""
    dropped: int = 0
    superseded: bool = False
    expires: datetime | None = None
    """When its key does."""
    sent: Mapping[str, int] = field(default_factory=dict)
    """What the other side took since we began, by kind."""
    corrected: int = 0
    """Rows that somebody else had written."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """Why tables of others do not take our rows, of those that do not."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """What else fails, and why: our rows and events get there all the same."""


def _nothing(*_: object) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Hooks:
    """Whom to tell, from the flusher's own thread. `locked`: an agent is locked in the table, or (None) not any more,
    after it was locked as the last argument says."""

    locked: Callable[[str, Lock | None, Json], None] = _nothing
    commanded: Callable[[Command], None] = _nothing
    cloned: Callable[[str], None] = _nothing


class Flusher:
    """Belongs to one thread, which calls `tick` again and again. `state` may be read by others."""

    def __init__(
        self,
        ask: Ask,
        reach: Callable[[], Calls],
        *,
        host: str,
        hooks: Hooks = Hooks(),
        tables: Sequence[TableMap] = (),
        keep: Callable[[], tuple[timedelta, timedelta]] | None = None,
        locks: Mapping[str, Json] | None = None,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random,
    ) -> None:
        self.state = State()
        self.finished: list[Done] = []
        """Commands whose end the other side has still to hear of; others append to it."""
        self.locks: dict[str, Json] = dict(locks or {})
        """The locks in the table as they last stood there: only a new one counts, so that a person may take it back."""
        self.fronts = tuple(map(Front, tables))
        self._ask = ask
        self._reach = reach
        self._host = host
        self._hooks = hooks
        self._keep = keep
        """How long events and samples are kept."""
        self._clock = clock
        self._draw = draw
        self._calls: Calls | None = None
        self._epoch: int | None = None
        self._instance = ""
        self._marks: tuple[str, ...] = (_mark(),)
        """Of the next report, and of the newest that was answered."""
        self._batch = BATCH
        self._failures = 0
        self._retain_at = -math.inf
        """When rows of agents that are no more are taken away once more."""
        self._noted: dict[str, str | None] = {}
        self._counted = self._corrected = -math.inf
        self._swept = self._pruned = -math.inf
        self._all_sent = 0.0
        self._other: tuple[object, float] | None = None
        """The last sign of whoever writes our rows now, and when we saw it."""

    def tick(self) -> float:
        """Exchange what there is; gives the seconds until the next tick. Raises nothing."""
        try:
            more = self._exchange()
            if not more or self._clock() - self._counted >= COUNT:
                self._count()
        except StoreError:  # told where the store is written
            return STORE_RETRY
        except Fault as fault:
            return self._failed(fault)
        self._succeeded()
        return 0.0 if more else TICK

    def stumbled(self, error: Exception) -> None:
        """A bug of ours ended a tick. Its text may hold anything, and stays in the log."""
        why = f"the replica has a bug ({type(error).__name__}); the reconciler's log says more"
        if why != self.state.why:
            log.error("cannot copy to Supabase: the replica has a bug; it goes on", exc_info=error)
        since = self.state.since or now().wall
        self.state = replace(self.state, why=why, kind=Kind.REFUSED, since=since)

    def close(self) -> None:
        calls, self._calls = self._calls, None
        if calls:
            calls.close()

    # --- A tick -------------------------------------------------------------------------------------------------------

    def _exchange(self) -> bool:
        """Whether there is more to send at once."""
        if self._calls is None:
            self._calls = self._reach()
        calls = self._calls
        if self.state.superseded and not self._is_gone(calls):
            return False
        if self._epoch is None or self._ask(lambda store: store.instance) != self._instance:
            self._open_session(calls)
        else:
            if self._failures and self._settle(self._report(calls, {}, None), {}):
                return True
            if self._clock() >= self._retain_at:  # not at once: a store that is new gets its rows in these seconds
                self._retain(calls)
            if self._clock() - self._all_sent >= EVERYTHING:
                self._ask(lambda store: store.resend())
                self._all_sent = self._clock()
        again = self._send_rows(calls)
        if self.state.superseded:
            return False
        more = [self._append(calls, kind) for kind in (ItemKind.EVENT, ItemKind.SAMPLE)]
        self._finish(calls)
        self._prune(calls)
        self._sweep(calls)
        self._fill_fronts(calls)
        return again or any(more)

    def _open_session(self, calls: Calls) -> None:
        self._instance = self._ask(lambda store: store.instance)
        said = calls.call("open_session", host=self._host, instance=self._instance)
        epoch = said.get("epoch") if isinstance(said, dict) else None
        if not isinstance(epoch, int) or isinstance(epoch, bool):
            raise Fault(Kind.REFUSED, "its answer to open_session is not one of this version's")
        if said.get("cloned_by"):
            self._hooks.cloned(str(said["cloned_by"]))
        self._ask(lambda store: store.begin_epoch(epoch))
        self._epoch = epoch
        self._marks = (_mark(),)
        self._all_sent = self._clock()
        self._retain_at = -math.inf
        self.state = replace(self.state, superseded=False)
        self._other = None
        self._recall(calls)

    # --- Rows ---------------------------------------------------------------------------------------------------------

    def _send_rows(self, calls: Calls) -> bool:
        renames, items = self._ask(lambda store: (store.renames(), store.pending(self._batch, ItemKind.ROW)))
        self._rename(calls, renames)
        if gone := [one.id for one in items if one.content is None]:
            self._retain(calls)
            self._ask(lambda store: store.acknowledge(gone))
        fresh = {one.name: one for one in items if one.content is not None}
        host = self._ask(lambda store: store.host_status())
        host_row = host_json(*host) if host else None
        try:
            again = self._settle(self._report(calls, fresh, host_row), fresh)
        except Fault as fault:
            if fault.kind is not Kind.UNFIT:
                raise
            again = self._send_apart(calls, fresh, host_row)
        else:
            self._works(ABOUT_HOST)
        return again or len(items) >= self._batch

    def _send_apart(self, calls: Calls, fresh: Mapping[str, OutboxItem], host_row: Json | None) -> bool:
        """Something of a report is unfit: the rows in halves, then what is said of the host."""

        def send(some: Sequence[OutboxItem]) -> bool:
            chosen = {one.name: one for one in some}
            return self._settle(self._report(calls, chosen, None), chosen)

        again = self._in_halves(tuple(fresh.values()), send) if fresh else send(())
        if host_row and self._epoch is not None and not self.state.superseded:
            with self._beside(ABOUT_HOST):
                self._report(calls, {}, host_row)
        return again

    def _retain(self, calls: Calls) -> None:
        """Rows of agents that are no more go. What holds them there, such as somebody's reference, holds up no copy."""
        renames, names = self._ask(lambda store: (store.renames(), store.names()))
        self._rename(calls, renames)
        for front in self.fronts:
            front.keep(names)
        self._note_removed()
        self._retain_at = self._clock() + RETRY
        with self._beside("rows of agents that are no more stay there"):
            calls.call("retain_agents", host=self._host, epoch=self._epoch, names=list(names))
            self._retain_at = self._clock() + EVERYTHING

    def _rename(self, calls: Calls, renames: Sequence[Renamed]) -> None:
        """Before anything goes there under the new names: rows and history follow."""
        for one in renames:
            if not self._renamed(calls, one):
                return  # the next session tells it

    def _renamed(self, calls: Calls, one: Renamed) -> bool:
        """Whether that is done with. What is refused is: another agent may soon have the old name."""
        more = True
        try:
            while more:
                said = calls.call("rename_agent", host=self._host, epoch=self._epoch, was=one.was, name=one.name)
                if not isinstance(said, dict) or not said.get("known"):
                    return False
                more = said.get("more") is True
        except Fault as fault:
            if fault.passes:
                raise
            log.warning("the history of %s stays under its old name %s: %s", one.name, one.was, fault)
        self._ask(lambda store: store.end_rename(one.id))
        return True

    def _report(self, calls: Calls, fresh: Mapping[str, OutboxItem], host_row: Json | None) -> Report:
        rows = [row_json(_row(one), one.id) for one in fresh.values()]
        marks = list(self._marks)
        said = calls.call(
            "report_status", host=self._host, epoch=self._epoch, rows=rows, host_row=host_row, marks=marks
        )
        try:
            report = report_of(said)
        except ValueError as error:
            raise Fault(Kind.REFUSED, f"its answer is not one of this version's: {error}") from error
        self._marks = _mark(), marks[0]
        return report

    def _settle(self, report: Report, fresh: Mapping[str, OutboxItem]) -> bool:
        """Take an answer in; whether there is something to be put right at once."""
        if report.superseded:
            self._step_back()
            return False
        if report.shared:
            log.warning("a copy of this machine writes in the session of this one; a new session begins")
            self._hooks.cloned(self._instance)
            self._epoch = None
            return True
        if report.unknown_session:
            log.warning("Supabase knows nothing of our session any more; all rows are sent anew")
            self._epoch = None
            return True
        taken = [fresh[one.name].id for one in report.answers if one.applied and one.name in fresh]
        if taken:
            self._ask(lambda store: store.acknowledge(taken))
            self._took(ItemKind.ROW, len(taken))
            self._pass_on(report, fresh)
        self._note_locks({one.name: one.lock for one in report.answers if one.lock})
        again = self._correct(report)
        if report.commands and self._calls:
            self._claim(self._calls)
        return again

    def _correct(self, report: Report) -> bool:
        """What somebody else has written over ours is written anew; whether at once, which is once in a tick: whoever
        writes there again and again must not have us run after them."""
        beyond = sorted(
            one.name for one in report.answers if one.number and one.number > (self._epoch or 0, self._seq())
        )
        if beyond:
            log.warning("somebody claims to be newer than we are about %s; a new epoch begins", _some(beyond))
            self._epoch = None
            return self._may_hurry()
        names = [one.name for one in report.answers if one.foreign]
        corrected = self._ask(lambda store: store.resend(names)) if names else 0
        if corrected:
            log.warning("somebody else has written to the rows of %s; they are put right", _some(names))
            self.state = replace(self.state, corrected=self.state.corrected + corrected)
        return corrected > 0 and self._may_hurry()

    def _may_hurry(self) -> bool:
        before, self._corrected = self._corrected, self._clock()
        return self._corrected - before >= TICK

    def _seq(self) -> int:
        return self._ask(lambda store: store.seq)

    def _note_locks(self, locks: Mapping[str, Json]) -> None:
        """Each answer names all that are locked there. Only what is new counts: a person may take one back here."""
        before, self.locks = self.locks, dict(locks)
        for name in before.keys() - locks.keys():
            self._hooks.locked(name, None, before[name])
        for name, lock in locks.items():
            if lock != before.get(name):
                self._hooks.locked(name, lock_of(lock, now().wall), lock)

    # --- Tables of others ---------------------------------------------------------------------------------------------

    def _pass_on(self, report: Report, fresh: Mapping[str, OutboxItem]) -> None:
        """What was taken is for them too, under the title that the table shows: no other row has it."""
        taken = [(one, _row(fresh[one.name])) for one in report.answers if one.applied and one.name in fresh]
        for front in self.fronts:
            front.take(replace(row, title=one.title or row.title) for one, row in taken)

    def _fill_fronts(self, calls: Calls) -> None:
        for front in self.fronts:
            front.send(calls, self._clock)
        self._note_removed()
        self.state = replace(self.state, tables={front.name: front.why for front in self.fronts if front.why})

    def _look_for_lost(self, calls: Calls) -> None:
        """Nobody but those that live can tell the tables of others."""
        found = [
            row for why in LOST if self.fronts for row in calls.find("agent_status", self._told_apart(), reason=why)
        ]
        for front in self.fronts:
            front.lose(row for row in found if row["host"] != self._host)

    def _recall(self, calls: Calls) -> None:
        self._noted = {}
        if self.fronts:
            before = calls.find("agent_status", self._told_apart(), host=self._host)
            notes = self._ask(lambda store: store.load()).notes
            for front in self.fronts:
                front.recall(before, _noted(notes.get(NOTE.format(front.name), "")))

    def _note_removed(self) -> None:
        """Whom tables of others have still to be told of outlives us: once the main table has no such row, nothing else
        says so."""
        removed = {NOTE.format(front.name): sorted(front.removed, key=str) for front in self.fronts}
        notes = {key: json.dumps(keys) if keys else None for key, keys in removed.items()}
        if notes != self._noted:
            self._ask(lambda store: store.commit(Change(notes=notes), now=now().wall))
            self._noted = notes

    def _told_apart(self) -> str:
        """The columns by which rows are told apart here and there."""
        return ",".join(sorted({"host", "name", "reason", *(front.by for front in self.fronts)}))

    # --- Events and samples -------------------------------------------------------------------------------------------

    def _append(self, calls: Calls, kind: ItemKind) -> bool:
        """The oldest that wait; whether there are more."""
        items = self._ask(lambda store: store.pending(self._batch, kind))
        if items:
            self._in_halves(items, lambda some: self._send(calls, kind, some))
        return len(items) >= self._batch

    def _send(self, calls: Calls, kind: ItemKind, items: Sequence[OutboxItem]) -> bool:
        function = "append_events" if kind is ItemKind.EVENT else "append_samples"
        said = calls.call(function, host=self._host, rows=[_json(one.content) for one in items])
        if not isinstance(said, dict) or "taken" not in said:
            raise Fault(Kind.REFUSED, f"its answer to {function} is not one of this version's")
        self._ask(lambda store: store.acknowledge([one.id for one in items]))
        self._took(kind, len(items))
        return False

    def _in_halves(self, items: Sequence[OutboxItem], send: Callable[[Sequence[OutboxItem]], bool]) -> bool:
        """Where something of it is unfit, send it in halves until that stands alone, and set it aside."""
        try:
            return send(items)
        except Fault as fault:
            if fault.kind is not Kind.UNFIT:
                raise
            if len(items) > 1:
                middle = len(items) // 2
                return self._in_halves(items[:middle], send) | self._in_halves(items[middle:], send)
            self._bury(items[0], f"{fault} ({fault.code})" if fault.code else str(fault))
            return False

    def _bury(self, item: OutboxItem, why: str) -> None:
        log.warning("%s %s of %s is refused and set aside: %s", item.kind.value, item.id, item.name, why)
        self._ask(lambda store: store.bury([item.id], why))

    # --- Others -------------------------------------------------------------------------------------------------------

    def _claim(self, calls: Calls) -> None:
        said = calls.call("claim_commands", host=self._host, most=MOST_COMMANDS)
        for one in said if isinstance(said, list) else ():
            self._hooks.commanded(Command(one["id"], str(one["name"]), str(one["kind"]), str(one["actor"])))

    def _finish(self, calls: Calls) -> None:
        while self.finished:
            done = self.finished[0]
            try:
                calls.call("finish_command", host=self._host, id=done.id, ok=done.ok, detail=done.detail)
            except Fault as fault:
                if fault.passes:
                    raise
                log.warning("the end of command %s cannot be told: %s", done.id, fault)  # who asked sees it expire
            self.finished.pop(0)

    def _sweep(self, calls: Calls) -> None:
        clock = self._clock()
        if clock - self._swept >= SWEEP:
            self._swept = clock
            with self._beside("hosts that are silent cannot be looked for"):  # another does it, or the database itself
                calls.call("sweep_silent_hosts")
                self._look_for_lost(calls)

    def _prune(self, calls: Calls) -> None:
        clock = self._clock()
        if self._keep is None or clock - self._pruned < PRUNE:
            return
        self._pruned = clock - PRUNE + RETRY
        events, samples = (span.total_seconds() for span in self._keep())
        with self._beside("old history cannot be deleted"):  # `supervise db prune` does it too
            gone = calls.call("retain_history", host=self._host, events=events, samples=samples, most=PRUNED)
            more = isinstance(gone, dict) and PRUNED in gone.values()
            self._pruned = -math.inf if more else clock  # more is for the next tick

    @contextmanager
    def _beside(self, what: str) -> Iterator[None]:
        """Should that fail, it must not hold our rows and events up. Raises what passes by itself."""
        try:
            yield
        except Fault as fault:
            if fault.passes:
                raise
            if self.state.beside.get(what) != str(fault):
                log.warning("%s: %s", what, fault)
            self.state = replace(self.state, beside={**self.state.beside, what: str(fault)})
        else:
            self._works(what)

    def _works(self, what: str) -> None:
        if what in self.state.beside:
            beside = {other: why for other, why in self.state.beside.items() if other != what}
            self.state = replace(self.state, beside=beside)

    def _step_back(self) -> None:
        """Another store writes under our name: two that wrote the same rows would say now this, now that."""
        log.error("another store writes the rows of host %s; this one stops until that is silent", self._host)
        self.state = replace(self.state, superseded=True)
        self._other = None

    def _is_gone(self, calls: Calls) -> bool:
        """Whether whoever took our place has said nothing for so long, by our clock alone."""
        sign = calls.find("host_status", "epoch,seq,updated_at", host=self._host)
        clock = self._clock()
        if self._other is None or self._other[0] != sign:
            self._other = sign, clock
        if clock - self._other[1] < SILENT:
            return False
        self._epoch = None
        return True

    # --- How it goes --------------------------------------------------------------------------------------------------

    def _failed(self, fault: Fault) -> float:
        if fault.kind is Kind.SLOW:
            self._batch = max(SMALLEST_BATCH, self._batch // 2)
        if fault.kind is Kind.REFUSED:
            self.close()  # whoever puts it right may have written another key
        self._failures += 1
        if str(fault) != self.state.why:
            log.warning("cannot copy to Supabase: %s", fault)
        since = self.state.since or now().wall
        self.state = replace(self.state, why=str(fault), kind=fault.kind, since=since)
        self._count_quietly()
        longest = UNTIL_REPAIRED if fault.kind is Kind.REFUSED else LONGEST
        return pause(self._failures, draw=self._draw(), longest=longest, wish=fault.retry_after)

    def _succeeded(self) -> None:
        if self.state.why:
            log.info("Supabase takes copies again")
        self._failures = 0
        self._batch = min(BATCH, self._batch * 2)
        self.state = replace(self.state, why="", kind=None, since=None, last_ok=now().wall)

    def _count_quietly(self) -> None:
        try:
            self._count()
        except StoreError:  # told where the store is written
            return

    def _count(self) -> None:
        def counted(store: Sqlite) -> dict[str, Any]:
            letters = tuple(store.dead_letters(LETTERS))
            return {"behind": store.depth(), "dead": store.dead(), "letters": letters, "dropped": store.dropped}

        self.state = replace(self.state, **self._ask(counted))
        self._counted = self._clock()

    def _took(self, kind: ItemKind, count: int) -> None:
        sent = {**self.state.sent, kind.value: self.state.sent.get(kind.value, 0) + count}
        self.state = replace(self.state, sent=sent)


def _noted(text: str) -> list[Any]:
    """Nothing, where it is damaged."""
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [one for one in found if isinstance(one, str | int | float)] if isinstance(found, list) else []


def _mark() -> str:
    return uuid4().hex


def _row(item: OutboxItem) -> StatusRow:
    assert isinstance(item.content, StatusRow)
    return item.content


def _json(content: StatusRow | Event | Sample | None) -> Json:
    if isinstance(content, Event):
        return event_json(content)
    assert isinstance(content, Sample)
    return sample_json(content)


def _some(names: Sequence[str] | set[str]) -> str:
    first = sorted(names)[:5]
    return ", ".join(first) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
