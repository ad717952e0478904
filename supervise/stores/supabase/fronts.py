"""Tables of somebody else's that get our rows too, in their columns and words.

They come last in a tick. One that is slow, locked or closed to us is owed what it does not take, asked again after a
while, and holds nothing else up.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from supervise.clock import now
from supervise.model import StatusRow, TableMap
from supervise.stores.supabase.faults import Fault, Kind
from supervise.stores.supabase.tables import mapped, unknown

FIRST, LONGEST = 5.0, 60.0
"""Seconds: the bounds of the pause after it did not take what it was given."""
BATCH, SMALLEST_BATCH = 500, 10
NAMED = 20
"""Rows that one address names at most: it may not be long."""
REMOVED, SILENT = "Removed", "HostSilent"
MESSAGES = {REMOVED: "Its host has no such agent any more.", SILENT: "Its host is silent."}

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
        self._table = table
        self._keys: dict[str, Any] = {}
        """The row there of each of our agents."""
        self._owed: dict[Any, dict[str, Any]] = {}
        self._refused: dict[Any, Fault] = {}
        """Rows that are unfit: they wait until they change, and all others get there."""
        self._removed: set[Any] = set()
        self._silent: dict[Any, bool] = {}
        """Rows of hosts that are silent, and whether that was told."""
        self._batch = BATCH
        self._pause = FIRST
        self._again = -math.inf

    def recall(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Our rows as the main table has them from before: who is no more among them is still to be told."""
        for row in rows:
            self._keys.setdefault(row["name"], row[self.by])

    def take(self, rows: Iterable[StatusRow]) -> None:
        """The newest of our rows, titled as in the main table."""
        for row in rows:
            values = mapped(self._table, row)
            key = values[self._table.key]
            before = self._keys.get(row.name, key)
            self._keys[row.name] = key
            self._owed[key] = values
            self._removed.discard(key)
            self._silent.pop(key, None)
            if before != key:
                self._remove(before)

    def keep(self, names: Collection[str]) -> None:
        """We have no other agents than these."""
        for name in self._keys.keys() - set(names):
            self._remove(self._keys.pop(name))

    def silenced(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """All rows of others that are silent now. Who is back has written there."""
        keys = {row[self.by] for row in rows} - set(self._keys.values())
        self._silent = {key: self._silent.get(key, False) for key in keys}

    def send(self, calls: Fills, clock: Callable[[], float]) -> None:
        """As much as may go now. Raises nothing of the other side's."""
        if clock() < self._again or not (self._owed or self._removed or not all(self._silent.values())):
            return
        try:
            self._fill(calls)
            self._end(calls)
        except Fault as fault:
            self._tell(fault)
            if fault.kind is Kind.SLOW:
                self._batch = max(SMALLEST_BATCH, self._batch // 2)
            self._again = clock() + self._pause
            self._pause = min(self._pause * 2, LONGEST)
        else:
            self._tell(next(iter(self._refused.values()), None))
            self._pause = FIRST
            self._batch = min(BATCH, self._batch * 2)

    def _fill(self, calls: Fills) -> None:
        rows = dict(islice(self._owed.items(), self._batch))
        if rows:
            self._put(calls, tuple(rows))
            if rows.keys() <= self._refused.keys():
                raise next(iter(self._refused.values()))

    def _put(self, calls: Fills, keys: Sequence[Any]) -> None:
        """Where something of it is unfit, in halves until that stands alone."""
        middle = len(keys) // 2
        try:
            calls.upsert(self.name, [self._owed[key] for key in keys], key=self._table.key)
        except Fault as fault:
            if fault.kind is not Kind.UNFIT:
                raise
            if middle:
                self._put(calls, keys[:middle])
                self._put(calls, keys[middle:])
                return
            self._refused[keys[0]] = fault
        else:
            self._refused = {key: fault for key, fault in self._refused.items() if key not in keys}
        for key in keys:
            del self._owed[key]

    def _end(self, calls: Fills) -> None:
        for some in _parts(self._removed):
            self._amend(calls, some, REMOVED)
            self._removed.difference_update(some)
        for some in _parts(key for key, told in self._silent.items() if not told):
            self._amend(calls, some, SILENT)
            self._silent.update(dict.fromkeys(some, True))

    def _amend(self, calls: Fills, keys: Sequence[Any], reason: str) -> None:
        if values := unknown(self._table, reason, MESSAGES[reason], at=now().wall):
            calls.amend(self.name, values, key=self._table.key, among=keys)

    def _remove(self, key: Any) -> None:
        """Unless another of our agents has it now."""
        if key not in self._keys.values():
            self._owed.pop(key, None)
            self._refused.pop(key, None)
            self._removed.add(key)

    def _tell(self, fault: Fault | None) -> None:
        why = str(fault) if fault else ""
        if why and why != self.why:
            log.warning("the table %s does not take our rows: %s", self.name, fault)
        self.why = why


def _parts(keys: Iterable[Any]) -> Sequence[tuple[Any, ...]]:
    every = sorted(keys, key=str)
    return [tuple(every[start : start + NAMED]) for start in range(0, len(every), NAMED)]
