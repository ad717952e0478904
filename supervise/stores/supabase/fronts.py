"""Tables of somebody else's that get our rows too, in their columns and words.

They come last in a tick, and get a few calls and seconds of it. One that is slow, locked or closed to us is owed what
it does not take, asked again after a while, and holds nothing else up. Whatever became of our rows there, they are
given anew each minute.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from supervise.clock import now
from supervise.model import StatusRow, TableMap
from supervise.stores.supabase.faults import Fault, Kind
from supervise.stores.supabase.tables import mapped, unknown

ANEW = 60.0
"""Seconds after which all rows are given anew."""
FIRST, LONGEST = 5.0, 60.0
"""Seconds: the bounds of the pause after it did not take what it was given."""
CALLS, SECONDS = 20, 1.0
"""What one tick has for rows of ours, and again for those about which nobody can tell any more."""
BATCH = 500
SEVERAL = 5
"""After so many rows that are refused one after another it is the table that takes none."""
ADDRESS = 4000
"""Characters of an address that name rows, as they are sent: many servers take 8 KiB for all of it."""
REMOVED, SILENT, DISOWNED = "Removed", "HostSilent", "Disowned"
LOST = SILENT, DISOWNED
"""Why a row of the main table may be about an agent of which nobody tells us any more."""
MESSAGES = {
    REMOVED: "Its host has no such agent any more.",
    SILENT: "Its host is silent.",
    DISOWNED: "It is no host's any more.",
}
NO_TABLE = frozenset({"404", "42P01", "PGRST205"})
MISSING = "there is no such table, or its schema is not exposed (Supabase: API settings)"

log = logging.getLogger(__name__)


class Fills(Protocol):
    """What is asked of the other side. Both may raise Fault."""

    def upsert(self, table: str, rows: Sequence[Mapping[str, Any]], *, key: str) -> None: ...

    def amend(self, table: str, values: Mapping[str, Any], *, key: str, among: Sequence[Any]) -> None: ...


class Front:
    """One such table, and what it has still to be told. No row of it is ever deleted."""

    def __init__(self, table: TableMap) -> None:
        self.name = table.table
        self.why = ""
        """What it said when it did not take the last of it."""
        self.by = next(ours for ours, theirs in table.columns.items() if theirs == table.key)
        """Our column that tells its rows apart."""
        self.removed: set[Any] = set()
        """Rows of agents that are no more, which it has still to hear."""
        self._table = table
        self._keys: dict[str, Any] = {}
        """The row there of each of our agents."""
        self._rows: dict[Any, dict[str, Any]] = {}
        """What is to stand there of them."""
        self._owed: dict[Any, None] = {}
        """Which of these, in this order."""
        self._refused: dict[Any, Fault] = {}
        """Rows that are unfit: they go alone and after all others."""
        self._lost: dict[Any, str] = {}
        """Rows of others about which nobody can tell any more, as of this moment, and why."""
        self._ended: set[Any] = set()
        """Those that have heard it."""
        self._unended: Fault | None = None
        self._batch = BATCH
        self._pause = FIRST
        self._told = ""
        """The code of what the log says already."""
        self._again = self._end_again = self._given = -math.inf

    def recall(self, rows: Iterable[Mapping[str, Any]], removed: Iterable[Any]) -> None:
        """Our rows as the main table has them from before: who is no more among them is still to be told, and so are
        those who had gone from it already."""
        for row in rows:
            self._keys.setdefault(row["name"], row[self.by])
        self.removed.update(set(removed) - set(self._keys.values()))

    def take(self, rows: Iterable[StatusRow]) -> None:
        """The newest of our rows, titled as in the main table."""
        for row in rows:
            values = mapped(self._table, row)
            key = values[self._table.key]
            before = self._keys.get(row.name, key)
            self._keys[row.name] = key
            self._rows[key] = values
            self._owed[key] = None
            self.removed.discard(key)
            self._ended.discard(key)
            if before != key:
                self._remove(before)

    def keep(self, names: Collection[str]) -> None:
        """We have no other agents than these."""
        for name in self._keys.keys() - set(names):
            self._remove(self._keys.pop(name))

    def lose(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """All rows of others about which nobody can tell now. Who is back writes there within a minute."""
        ours = set(self._keys.values())
        lost = {row[self.by]: row["reason"] for row in rows if row[self.by] not in ours}
        self._ended &= lost.keys()
        self._lost = {key: reason for key, reason in lost.items() if key not in self._ended}
        if not (self._lost or self.removed):
            self._unended = None

    def send(self, calls: Fills, clock: Callable[[], float]) -> None:
        """As much as may go now. Raises nothing of the other side's."""
        lost, self._lost = self._lost, {}  # a moment later one of them may be back
        if clock() < self._again:
            return
        if clock() - self._given >= ANEW:
            self._given = clock()
            self._owed.update(dict.fromkeys(self._rows))
        fault = _tried(lambda: self._fill(calls, _turns(clock)))
        if clock() >= self._end_again and (fault is None or fault.kind is Kind.UNFIT):
            fault = _tried(lambda: self._end(calls, lost, _turns(clock))) or fault
            self._end_again = clock() + ANEW if self._unended else -math.inf
        if fault:
            if fault.kind is Kind.SLOW:
                self._batch = max(1, self._batch // 2)
            self._again = clock() + self._pause
            self._pause = min(self._pause * 2, LONGEST)
        else:
            self._pause = FIRST
        self._tell(fault or self._unended or next(iter(self._refused.values()), None))

    def _fill(self, calls: Fills, turns: Iterator[None]) -> None:
        """In smaller parts where something is unfit, until that stands alone."""
        refused = 0
        for _ in turns:
            keys = [key for key in self._owed if key not in self._refused][: self._batch]
            if not keys:
                return self._retry(calls, turns)
            if not (fault := self._put(calls, keys)):
                self._batch = min(BATCH, self._batch * 2)
                refused = 0
            elif len(keys) > 1:
                self._batch = len(keys) // 2
            elif (refused := refused + 1) == SEVERAL:
                raise fault
        return None

    def _retry(self, calls: Fills, turns: Iterator[None]) -> None:
        """What was unfit before, until something still is."""
        most = 1
        for _ in turns:
            keys = [key for key in self._owed if key in self._refused][:most]
            if not keys or (self._put(calls, keys) and len(keys) == 1):
                return
            most = 1 if self._refused.keys() & keys else most * 2

    def _put(self, calls: Fills, keys: Sequence[Any]) -> Fault | None:
        """What speaks against one of them."""
        try:
            calls.upsert(self.name, [self._rows[key] for key in keys], key=self._table.key)
        except Fault as fault:
            if fault.kind is not Kind.UNFIT:
                raise
            if len(keys) == 1:
                self._set_aside(keys[0], fault)
            return fault
        for key in keys:
            del self._owed[key]
            self._refused.pop(key, None)
        return None

    def _set_aside(self, key: Any, fault: Fault) -> None:
        """Until it changes, or all rows are given anew: then it comes last."""
        del self._owed[key]
        if key not in self._refused or self._refused[key].code != fault.code:
            self._refused[key] = fault  # else it says the same of other values

    def _end(self, calls: Fills, lost: Mapping[Any, str], turns: Iterator[None]) -> None:
        """Where something is unfit, in halves, as far as there are turns."""
        work = [(some, REMOVED) for some in parts(self.removed)]
        for reason in LOST:
            work += [(some, reason) for some in parts(key for key, why in lost.items() if why == reason)]
        self._unended = None if work else self._unended
        for (keys, reason), _ in zip(work, turns, strict=False):
            try:
                self._amend(calls, keys, reason)
            except Fault as fault:
                if fault.kind is not Kind.UNFIT:
                    raise
                self._unended = fault
                middle = len(keys) // 2
                work += [(some, reason) for some in (keys[:middle], keys[middle:]) if middle]
            else:
                self.removed.difference_update(keys)
                self._ended.update(keys if reason in LOST else ())

    def _amend(self, calls: Fills, keys: Sequence[Any], reason: str) -> None:
        if values := unknown(self._table, reason, MESSAGES[reason], at=now().wall):
            calls.amend(self.name, values, key=self._table.key, among=keys)

    def _remove(self, key: Any) -> None:
        """Unless another of our agents has it now."""
        if key not in self._keys.values():
            for of_ours in (self._rows, self._owed, self._refused):
                of_ours.pop(key, None)
            self.removed.add(key)

    def _tell(self, fault: Fault | None) -> None:
        self.why = (MISSING if fault.code in NO_TABLE else str(fault)) if fault else ""
        code = fault.code or self.why if fault else ""
        if fault and code != self._told:
            log.warning("the table %s does not take our rows: %s", self.name, self.why)
        self._told = code


def _turns(clock: Callable[[], float]) -> Iterator[None]:
    """One at least."""
    end = clock() + SECONDS
    for number in range(CALLS):
        if number and clock() >= end:
            return
        yield


def _tried(step: Callable[[], None]) -> Fault | None:
    try:
        step()
    except Fault as fault:
        return fault
    return None


def parts(keys: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """As many at once as an address takes."""
    part: list[Any] = []
    room = ADDRESS
    for key in sorted(keys, key=str):
        size = len(quote(f'"{key}",', safe=""))
        if part and size > room:
            yield tuple(part)
            part, room = [], ADDRESS
        part.append(key)
        room -= size
    if part:
        yield tuple(part)
