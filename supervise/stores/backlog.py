"""What is kept in memory for a store that cannot be written now, and to write its file anew. Pure, and bounded.

Rows, intents, notes, settings, the host: the newest of each name. Events, samples: so many; then the oldest go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TypeVar

from supervise.model import Event, HostStatus, Intent, StatusRow
from supervise.stores import Change, Memory, Sample, Setting, SettingKey

LIMIT = 10_000

T = TypeVar("T", StatusRow, Intent)
E = TypeVar("E", Event, Sample)


@dataclass(slots=True)
class _Run:
    """Changes that come to the same as one: all but a renaming, which may only come first."""

    renamed: dict[str, str]
    forget: dict[str, None] = field(default_factory=dict)
    rows: dict[str, StatusRow] = field(default_factory=dict)
    intents: dict[str, Intent] = field(default_factory=dict)
    notes: dict[str, str | None] = field(default_factory=dict)
    events: deque[Event] = field(default_factory=deque)
    samples: deque[Sample] = field(default_factory=deque)
    host: HostStatus | None = None
    settings: dict[SettingKey, Setting] = field(default_factory=dict)

    def add(self, change: Change) -> None:
        for name in change.forget:
            self.forget[name] = None
            self.rows.pop(name, None)
            self.intents.pop(name, None)
        self.rows.update(change.rows)
        self.intents.update((intent.name, intent) for intent in change.intents)
        self.notes.update(change.notes)
        self.events.extend(change.events)
        self.samples.extend(change.samples)
        self.host = change.host or self.host
        self.settings.update((setting.of, setting) for setting in change.settings)

    def change(self) -> Change:
        return Change(
            rows=self.rows,
            events=tuple(self.events),
            samples=tuple(self.samples),
            intents=tuple(self.intents.values()),
            forget=tuple(self.forget),
            renamed=self.renamed,
            notes=self.notes,
            host=self.host,
            settings=tuple(self.settings.values()),
        )


class Backlog:
    """Changes in their order, put together as far as that keeps what they mean."""

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self._runs: list[_Run] = []
        for change in changes:
            self.add(change)

    def __bool__(self) -> bool:
        return bool(self._runs)

    def add(self, change: Change) -> int:
        """Gives how many events and samples there was no room for any more."""
        if change.renamed or not self._runs:
            self._runs.append(_Run(dict(change.renamed)))
        self._runs[-1].add(change)
        return _shorten([run.events for run in self._runs]) + _shorten([run.samples for run in self._runs])

    def changes(self) -> tuple[Change, ...]:
        return tuple(run.change() for run in self._runs)

    def events(self) -> Iterator[Event]:
        return chain.from_iterable(run.events for run in self._runs)

    def samples(self) -> Iterator[Sample]:
        return chain.from_iterable(run.samples for run in self._runs)


def _shorten(queues: Sequence[deque[E]]) -> int:
    over = max(0, sum(len(queue) for queue in queues) - LIMIT)
    for _ in range(over):
        next(queue for queue in queues if queue).popleft()
    return over


class Newest:
    """The newest row, intent, note and setting of each name, and of the host: what a lost file is written anew from."""

    def __init__(self, memory: Memory) -> None:
        self._rows = dict(memory.rows)
        self._intents = dict(memory.intents)
        self._notes: dict[str, str] = dict(memory.notes)
        self._host: HostStatus | None = None
        self._settings = dict(memory.settings)

    def add(self, change: Change) -> None:
        self._rename(change)
        for name in change.forget:
            self._rows.pop(name, None)
            self._intents.pop(name, None)
        self._rows.update(change.rows)
        self._intents.update((intent.name, intent) for intent in change.intents)
        for key, value in change.notes.items():
            if value is None:
                self._notes.pop(key, None)
            else:
                self._notes[key] = value
        self._host = change.host or self._host
        for setting in change.settings:
            self._settings.pop(setting.of, None)
            if setting.value is not None:
                self._settings[setting.of] = setting

    def change(self) -> Change:
        intents = tuple(self._intents.values())
        settings = tuple(self._settings.values())
        return Change(
            rows=dict(self._rows), intents=intents, notes=dict(self._notes), host=self._host, settings=settings
        )

    def _rename(self, change: Change) -> None:
        moves = [(new, old) for new, old in change.renamed.items() if new != old]
        rows = {new: self._rows.pop(old) for new, old in moves if old in self._rows}
        intents = {new: self._intents.pop(old) for new, old in moves if old in self._intents}
        new_names = {old: new for new, old in reversed(moves)}
        moved = [self._settings.pop(one.of) for one in tuple(self._settings.values()) if one.name in new_names]
        self._settings.update((one.of, one) for one in (replace(one, name=new_names[one.name]) for one in moved))
        self._rows.update((new, _named(row, new)) for new, row in rows.items())
        self._intents.update((new, _named(intent, new)) for new, intent in intents.items())


def _named(noun: T, name: str) -> T:
    return replace(noun, name=name)
