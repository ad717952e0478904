"""What keeps rows and events, and what gets copies of them: the two interfaces.

The store has one owner process, the reconciler. A replica may be away for as long as it likes: nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from supervise.model import Event, HostStatus, Intent, StatusRow

OF_HOST = "-"
"""The name under which stands what is set of the host and of no single agent."""
SettingKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a person has set of an agent or of the host (`OF_HOST`); without a value: what they have taken back."""

    name: str
    key: str
    value: str | None
    by: str
    at: datetime

    @property
    def of(self) -> SettingKey:
        return self.name, self.key


@dataclass(frozen=True, slots=True)
class Memory:
    """What a reconciler knows of before: the last rows and the newest intents by name, notes by key, and settings."""

    rows: Mapping[str, StatusRow] = field(default_factory=dict)
    intents: Mapping[str, Intent] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[SettingKey, Setting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """One point of an agent's history: every transition, and one each five minutes."""

    name: str
    at: datetime
    row: StatusRow


@dataclass(frozen=True, slots=True)
class Change:
    """What one pass, or one order of a person, has to write: all of it or nothing.

    `forget`: agents whose row and intent go (events, samples and settings stay). `renamed`: new name → old one; row,
    intent, events, samples and settings follow. `notes`: small texts of ours by key, None to remove one. `host`: None
    where nothing is to be written of it.
    """

    rows: Mapping[str, StatusRow] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    samples: tuple[Sample, ...] = ()
    intents: tuple[Intent, ...] = ()
    forget: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str | None] = field(default_factory=dict)
    host: HostStatus | None = None
    settings: tuple[Setting, ...] = ()


class ItemKind(StrEnum):
    ROW = "row"
    EVENT = "event"
    SAMPLE = "sample"


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """Something that a replica has not acknowledged yet; `id` makes sending it twice harmless.

    `content` is None for the row of an agent that was forgotten: there too it has to go.
    """

    id: int
    kind: ItemKind
    name: str
    content: StatusRow | Event | Sample | None


@dataclass(frozen=True, slots=True)
class Renamed:
    """An agent that had another name, which a replica has not heard of yet."""

    id: int
    was: str
    name: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Something that was refused and would be for ever, and why."""

    id: int
    kind: ItemKind
    name: str
    at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events: of one agent or all, in a span of time, the newest `limit`."""

    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 100


class Store(Protocol):
    """The local truth. One owner process; every `commit` is one transaction. All may raise StoreError."""

    def load(self) -> Memory: ...

    def commit(self, change: Change, *, now: datetime) -> None: ...

    def events(self, query: EventQuery) -> Sequence[Event]:
        """The newest that fit, oldest first."""

    def history(self, name: str, since: datetime, until: datetime) -> Sequence[Sample]: ...

    def prune(self, *, events_before: datetime, samples_before: datetime) -> int:
        """Delete what is older; gives how many."""

    def pending(self, limit: int, kind: ItemKind | None = None) -> Sequence[OutboxItem]: ...

    def depth(self) -> int:
        """How many items the replica does not have yet."""

    def acknowledge(self, ids: Sequence[int]) -> None: ...
