"""The store for a daemon that must go on whatever becomes of its disk: nothing here raises or makes it wait.

One thread owns the store. What cannot be written now is kept in memory, written later, and said so (`trouble`); a file
that is damaged, deleted or replaced is made anew from memory.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Condition, Thread
from typing import TypeVar

from supervise.clock import now
from supervise.errors import StoreError
from supervise.model import Event, EventKind
from supervise.stores import Change, EventQuery, Memory, Sample
from supervise.stores.backlog import Backlog, Newest
from supervise.stores.file import set_aside
from supervise.stores.sqlite import Sqlite, look
from supervise.text import counted

FIRST_RETRY = 1.0
"""Seconds. Also the least between two attempts, however many commits come."""
RETRY = 5.0
IDLE_CHECK = 5.0
"""Seconds between two looks at whether the file is still there, where nothing is written."""
THOROUGH_CHECK = 600.0
PATIENCE = 5.0
"""Seconds to wait for a disk that does not answer."""
OURSELVES = "supervise"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trouble:
    """The store cannot be written. `lost`: events and samples that there was no room for in memory."""

    why: str
    since: datetime
    lost: int = 0


class Writer:
    """The store of one host, for one event loop. `start` first; after `close` everything is answered with nothing."""

    def __init__(self, path: Path, *, host: str, replicate: bool | None = None) -> None:
        self._path = path
        self._host = host
        self._replicate = replicate
        self._thread = Thread(target=self._work, name="store", daemon=True)
        # Shared between the thread and the loop, and touched under this lock only, which nobody holds while he waits.
        self._wake = Condition()
        self._questions: deque[tuple[Callable[[], object], Future[object]]] = deque()
        self._waiting = Backlog()
        self._writing = Backlog()
        self._promised: list[asyncio.Future[bool]] = []
        self._newest = Newest(Memory())
        self._trouble: Trouble | None = None
        self._lost = 0
        self._closing = False
        self._ended: Future[None] = Future()
        # The thread's own.
        self._store: Sqlite | None = None
        self._damaged = False
        self._begun = False
        self._afresh = False
        self._failures = 0
        self._tried = self._checked = self._verified = 0.0

    # --- The loop's side ----------------------------------------------------------------------------------------------

    @property
    def trouble(self) -> Trouble | None:
        """Why the store cannot be written, and since when; None while it can."""
        with self._wake:
            return self._trouble and replace(self._trouble, lost=self._lost)

    async def start(self) -> Memory:
        """What the store remembers: nothing, and `trouble` says why, where it cannot be read."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return await self._ask(self._begin, Memory(), patiently=True)

    def commit(self, change: Change) -> asyncio.Future[bool]:
        """True once it is written; False as soon as it is clear that it is not now, and is kept in memory instead."""
        promise: asyncio.Future[bool] = self._loop.create_future()
        change = _dated(change)
        with self._wake:
            if self._closing:
                promise.set_result(False)
                return promise
            self._newest.add(change)
            self._lost += self._waiting.add(change)
            self._promised.append(promise)
            self._wake.notify()
        overdue = self._loop.call_later(PATIENCE, _keep, [promise], False)
        promise.add_done_callback(lambda _: overdue.cancel())
        return promise

    async def events(self, query: EventQuery) -> Sequence[Event]:
        """The newest that fit, oldest first: those of the file and those that wait for it."""
        nothing: Sequence[Event] = ()
        with self._wake:  # before the file is read: what is written in between is then in both, not in neither
            kept = [one for one in (*self._writing.events(), *self._waiting.events()) if _fits(one, query)]
        found = await self._ask(lambda: self._from_file(lambda store: store.events(query), nothing), nothing)
        once = {one.id: one for one in (*found, *kept)}
        in_order = sorted(once.values(), key=lambda one: one.at)
        return tuple(in_order[-query.limit :]) if query.limit > 0 else ()

    async def history(self, name: str, since: datetime, until: datetime) -> Sequence[Sample]:
        """Oldest first, both ends included: those of the file and those that wait for it."""
        nothing: Sequence[Sample] = ()
        with self._wake:
            every = (*self._writing.samples(), *self._waiting.samples())
        kept = [one for one in every if one.name == name and since <= one.at <= until]
        found = await self._ask(
            lambda: self._from_file(lambda store: store.history(name, since, until), nothing), nothing
        )
        once = {one.at: one for one in (*found, *kept)}
        return tuple(once[at] for at in sorted(once))

    async def prune(self, *, events_before: datetime, samples_before: datetime) -> int:
        return await self._ask(
            lambda: self._from_file(
                lambda store: store.prune(events_before=events_before, samples_before=samples_before), 0
            ),
            0,
            patiently=True,
        )

    async def outbox_depth(self) -> int | None:
        """How much the replica does not have yet; None where nobody can tell now."""
        unknown: int | None = None
        return await self._ask(lambda: self._from_file(lambda store: store.depth(), unknown), unknown)

    def consult(self, question: Callable[[Sqlite], T]) -> T:
        """For other threads than the loop's, which may wait: what a question to the store gives. Raises StoreError."""
        future: Future[object] = Future()
        with self._wake:
            if self._closing:
                raise StoreError("cannot ask the store: it was closed")
            self._questions.append((lambda: question(self._opened()), future))
            self._wake.notify()
        try:
            return future.result(PATIENCE)  # type: ignore[return-value]  # what the question returned
        except TimeoutError as error:
            future.cancel()
            raise StoreError("cannot ask the store: its disk does not answer") from error

    def replicate(self, wanted: bool) -> None:
        """Whether what is written from now on is also kept for a replica; until told, as it was when it last ran."""
        with self._wake:
            self._replicate = wanted

    async def close(self) -> None:
        """Write what waits, if that works now, and give the file up."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            await asyncio.wait([asyncio.wrap_future(self._ended)], timeout=PATIENCE)

    async def _ask(self, question: Callable[[], T], otherwise: T, *, patiently: bool = False) -> T:
        """The thread's answer; `otherwise` where it gives none in time."""
        future: Future[object] = Future()
        with self._wake:
            if self._closing:
                return otherwise
            self._questions.append((question, future))
            self._wake.notify()
        try:
            async with asyncio.timeout(None if patiently else PATIENCE):
                answer = await asyncio.wrap_future(future)
        except (TimeoutError, StoreError):
            return otherwise
        except Exception:
            logging.getLogger(__name__).exception("the store has a bug; its reader gets nothing")
            return otherwise
        return answer  # type: ignore[return-value]  # what the question returned

    # --- The thread's side --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(self._called, timeout=self._until_next())
                closing = self._closing
                question = self._questions.popleft() if self._questions else None
            self._turn(last=closing)
            if question:
                _answer(*question)
            elif closing:
                break
        self._give_up()

    def _called(self) -> bool:
        return bool(self._questions or self._promised or self._closing)

    def _until_next(self) -> float | None:
        if not self._begun:
            return None
        if self._damaged and not self._trouble:
            return 0.0
        due = self._tried + self._pause() if self._trouble else self._checked + IDLE_CHECK
        return max(0.0, due - time.monotonic())

    def _pause(self) -> float:
        return FIRST_RETRY if self._failures <= 1 else RETRY

    def _turn(self, *, last: bool = False) -> None:
        """Write what waits, if it is time to try; keep every promise either way."""
        with self._wake:
            promised, self._promised = self._promised, []
        done = self._write() if self._begun and self._due(hurry=bool(promised), last=last) else False
        if promised:
            self._tell(promised, done)

    def _due(self, *, hurry: bool, last: bool) -> bool:
        if self._trouble:
            return last or time.monotonic() - self._tried >= (FIRST_RETRY if hurry else self._pause())
        return bool(self._waiting) or self._damaged or self._lost_sight()

    def _lost_sight(self) -> bool:
        """Whether the file is not what it was. Its bytes on the disk are looked through now and then."""
        clock = time.monotonic()
        if clock < self._checked + IDLE_CHECK:
            return False
        self._checked = clock
        if self._store is None or not self._store.intact():
            return True
        if clock >= self._verified + THOROUGH_CHECK:
            self._verified = clock
            self._from_file(Sqlite.verify, None)
        return self._damaged

    def _write(self) -> bool:
        """Whether all that waited is written."""
        self._tried = time.monotonic()
        with self._wake:
            self._writing, self._waiting = self._waiting, Backlog()
        try:
            try:
                self._commit()
            except StoreError as error:
                if not error.corrupt:
                    raise
                self._damaged = True
                self._commit()  # into a new file
        except Exception as error:
            if not isinstance(error, StoreError):  # a bug of ours must not stop those who watch agents
                logging.getLogger(__name__).exception("the store has a bug; what waits is kept in memory")
            self._failed(error)
            return False
        self._succeeded()
        return True

    def _commit(self) -> None:
        store = self._ready()
        with self._wake:
            changes = self._writing.changes()
            replicate = self._replicate
            if self._afresh:
                changes = (*changes, self._newest.change())
        if replicate is not None and (left := store.replicate(replicate)):
            waited = counted(left, "row")
            logging.getLogger(__name__).warning(
                "Supabase is not wanted any more; %s that waited for it stay here", waited
            )
        store.commit_all(changes, now=now().wall)
        self._afresh = False

    def _failed(self, error: Exception) -> None:
        with self._wake:
            newer = self._waiting
            self._waiting, self._writing = self._writing, Backlog()
            for change in newer.changes():
                self._lost += self._waiting.add(change)
            self._failures += 1
            self._trouble = Trouble(str(error), self._trouble.since if self._trouble else now().wall)

    def _succeeded(self) -> None:
        with self._wake:
            self._writing = Backlog()
            trouble, lost = self._trouble, self._lost
            self._trouble, self._failures, self._lost = None, 0, 0
        if lost and trouble:
            self._note(
                "EventsLost", f"{lost} events and samples were lost since {trouble.since:%H:%M:%S}Z: {trouble.why}"
            )

    def _ready(self) -> Sqlite:
        """The store, open, with its file in its place. Raises StoreError."""
        if self._store and not self._damaged and self._store.intact():
            return self._store
        if self._store and not os.path.exists(self._path):  # noqa: PTH110  # which never raises
            self._note("StoreGone", f'The store "{self._path}" was gone; what is known is written anew.')
        self._let_go()
        if self._damaged:
            self._put_aside()
        self._store = self._open(check=True)
        self._afresh = True
        self._checked = self._verified = time.monotonic()
        return self._store

    def _open(self, *, check: bool = False) -> Sqlite:
        try:
            return Sqlite.open(self._path, host=self._host, replicate=self._replicate, check=check)
        except StoreError as error:
            if not error.corrupt:
                raise
        self._put_aside()
        return Sqlite.open(self._path, host=self._host, replicate=self._replicate)

    def _put_aside(self) -> None:
        aside = set_aside(self._path, now=now().wall)
        self._damaged = False
        self._note("StoreDamaged", f'The store was damaged. What is left of it lies in "{aside}"; a new one was made.')

    def _begin(self) -> Memory:
        try:
            self._store = self._open()
            memory = self._store.load()
        except StoreError as error:
            memory = self._glimpse()
            self._tried = time.monotonic()
            self._failed(error)
        with self._wake:
            self._newest = Newest(memory)
        self._checked = self._verified = time.monotonic()
        self._begun = True
        return memory

    def _glimpse(self) -> Memory:
        try:
            return look(self._path, host=self._host)
        except StoreError:  # `trouble` tells already why the store cannot be opened
            return Memory()

    def _opened(self) -> Sqlite:
        """For questions that change something: only what can be written now is true."""
        if self._store is None or self._trouble:
            raise StoreError("cannot ask the store: it cannot be written now")
        return self._store

    def _from_file(self, read: Callable[[Sqlite], T], otherwise: T) -> T:
        if self._store is None:
            return otherwise
        try:
            return read(self._store)
        except StoreError as error:  # told by the next attempt to write, which comes at once where it is damaged
            self._damaged |= error.corrupt
            return otherwise

    def _note(self, reason: str, message: str) -> None:
        """What became of the store is an event of the host, written with what comes next."""
        logging.getLogger(__name__).warning("%s", message)
        event = Event(uuid.uuid4().hex, "", now().wall, EventKind.HOST, None, None, reason, message, OURSELVES)
        with self._wake:
            self._lost += self._waiting.add(Change(events=(event,)))

    def _let_go(self) -> None:
        store, self._store = self._store, None
        if store:
            try:
                store.close()
            except StoreError:  # it was of no use any more
                logging.getLogger(__name__).warning("cannot close %s in peace", self._path)

    def _give_up(self) -> None:
        self._let_go()
        with self._wake:
            promised, self._promised = self._promised, []
            questions, self._questions = self._questions, deque()
        self._tell(promised, False)
        for _, future in questions:
            if future.set_running_or_notify_cancel():
                future.set_exception(StoreError("cannot read the store: it was closed"))
        self._ended.set_result(None)

    def _tell(self, promised: Sequence[asyncio.Future[bool]], done: bool) -> None:
        try:
            self._loop.call_soon_threadsafe(_keep, promised, done)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return


def _keep(promised: Sequence[asyncio.Future[bool]], done: bool) -> None:
    for promise in promised:
        if not promise.done():
            promise.set_result(done)


def _answer(question: Callable[[], object], future: Future[object]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(question())
    except Exception as error:
        future.set_exception(error)


def _dated(change: Change) -> Change:
    """Rows that do not say when they were made were made now, not when the disk takes them."""
    moment = now().wall
    rows = {name: row if row.updated_at else replace(row, updated_at=moment) for name, row in change.rows.items()}
    host = change.host if change.host is None or change.host.updated_at else replace(change.host, updated_at=moment)
    return replace(change, rows=rows, host=host)


def _fits(event: Event, query: EventQuery) -> bool:
    return (
        query.name in (None, event.name)
        and (query.since is None or query.since <= event.at)
        and (query.until is None or event.at <= query.until)
    )
