"""The other side in memory: it does with rows what the functions of the schema do, and fails when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from supervise.stores.supabase.faults import Fault, Kind
from tests.stores.nouns import HOST


@dataclass
class There:
    """`failing`: what each call raises; `unfit`: whether an item would be refused; `lost`: no answer arrives."""

    epoch: int = 0
    writes: str = ""
    """The instance whose session is the newest."""
    mark: str | None = None
    """Of the newest report in it."""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    """Titles that agents of another host have."""
    touched: set[str] = field(default_factory=set)
    locks: dict[str, dict[str, Any]] = field(default_factory=dict)
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    arrived: int = 0
    old: int = 0
    """Events that are kept no longer."""
    kept: tuple[float, float] | None = None
    """How long events and samples are to be kept, in seconds."""
    commands: list[dict[str, Any]] = field(default_factory=list)
    finished: list[tuple[int, bool, str]] = field(default_factory=list)
    mirrored: dict[str, dict[str, Any]] = field(default_factory=dict)
    closed_table: Fault | None = None
    """What a table of somebody else's raises."""
    failing: Exception | None = None
    unfit: Callable[[Mapping[str, Any]], bool] = lambda item: False
    lost: bool = False
    broken: set[str] = field(default_factory=set)
    """Functions that it does not have."""
    hangs: Event | None = None
    """Each call waits for it."""
    log: list[str] = field(default_factory=list)
    closed: int = 0

    def call(self, function: str, **arguments: Any) -> Any:
        self.log.append(function)
        if self.hangs:
            self.hangs.wait()
        if self.failing:
            raise self.failing
        if function in self.broken:
            raise Fault(Kind.REFUSED, f"there is no {function}", code="PGRST202")
        host_row = arguments.get("host_row")
        if any(self.unfit(item) for item in (*arguments.get("rows", ()), *([host_row] if host_row else []))):
            raise Fault(Kind.UNFIT, "a value is out of range", code="22003")
        answer = getattr(self, function)(**arguments)
        if self.lost:
            raise Fault(Kind.AWAY, "the connection was cut")
        return answer

    def close(self) -> None:
        self.closed += 1

    def find(self, table: str, columns: str, **equal: str) -> list[Any]:
        self.log.append("find")
        if table == "agent_status":
            rows = [{"host": "", **row} for row in self.rows.values()]
            return [row for row in rows if all(row.get(column) == value for column, value in equal.items())]
        return [self.hosts.get(equal["host"])]

    def upsert(self, table: str, rows: Sequence[Mapping[str, Any]], *, key: str) -> None:
        self.log.append(table)
        if self.closed_table:
            raise self.closed_table
        if any(self.unfit(row) for row in rows):
            raise Fault(Kind.UNFIT, "it violates a check constraint", code="23514")
        self.mirrored.update({row[key]: dict(row) for row in rows})

    def amend(self, table: str, values: Mapping[str, Any], *, key: str, among: Sequence[Any]) -> None:
        self.log.append(f"{table}: {len(among)}")
        if self.closed_table:
            raise self.closed_table
        if self.unfit(values):
            raise Fault(Kind.UNFIT, "it violates a check constraint", code="23514")
        for one in among:
            self.mirrored[one].update(values)

    # --- The functions ---

    def open_session(self, host: str, instance: str) -> Any:
        self.epoch += 1
        self.mark = None
        before, self.writes = self.writes, instance
        return {"epoch": self.epoch, **({"cloned_by": before} if before not in ("", instance) else {})}

    def report_status(self, host: str, epoch: int, rows: list[Any], host_row: Any, marks: list[str]) -> Any:
        if epoch != self.epoch:
            superseded = epoch < self.epoch
            return {"rows": [], "superseded": superseded, "unknown_session": not superseded, "commands": 0}
        shared = self.mark not in (None, *marks)
        self.mark = self.mark if shared else marks[0]
        for row in rows:
            self._put(row, epoch)
        if host_row:
            self.hosts[host] = {**host_row, "epoch": epoch}
        names = {row["name"] for row in rows}
        answers = [self._answer(name, names) for name in sorted(names | self.touched | self.locks.keys())]
        return {"rows": answers, "superseded": False, "commands": len(self.commands), "shared": shared}

    def retain_agents(self, host: str, epoch: int, names: list[str]) -> Any:
        gone = self.rows.keys() - set(names)
        for name in gone:
            del self.rows[name]
        self.touched -= gone
        return {"gone": len(gone)}

    def rename_agent(self, host: str, epoch: int, was: str, name: str) -> Any:
        if epoch == self.epoch and was in self.rows:
            self.rows[name] = {**self.rows.pop(was), "name": name, "epoch": 0}
        return {"known": epoch == self.epoch, "more": False}

    def retain_history(self, host: str, events: float, samples: float, most: int) -> Any:
        gone = min(self.old, most)
        self.old -= gone
        self.kept = events, samples
        return {"events": gone, "samples": 0}

    def append_events(self, host: str, rows: list[Any]) -> Any:
        self.arrived += len(rows)
        return self._append(self.events, {row["id"]: row for row in rows})

    def append_samples(self, host: str, rows: list[Any]) -> Any:
        return self._append(self.samples, {(row["name"], row["at"]): row for row in rows})

    def sweep_silent_hosts(self) -> Any:
        return {"hosts": []}

    def claim_commands(self, host: str, most: int) -> Any:
        claimed, self.commands = self.commands[:most], self.commands[most:]
        return claimed

    def finish_command(self, host: str, id: int, ok: bool, detail: str) -> Any:
        self.finished.append((id, ok, detail))
        return {"finished": True}

    # --- What others do there ---

    def overwrite(self, name: str, **changes: Any) -> None:
        self.rows[name].update(changes)
        self.touched.add(name)

    # --- Within ---

    def _put(self, row: Any, epoch: int) -> None:
        stored = self.rows.get(row["name"])
        if stored is None or (epoch, row["seq"]) > (stored["epoch"], stored["seq"]):
            title = f"{row['agent_name']} @{HOST}" if row["agent_name"] in self.taken else row["agent_name"]
            self.rows[row["name"]] = {**row, "host": HOST, "agent_name": title, "epoch": epoch}
            self.touched.discard(row["name"])

    def _answer(self, name: str, sent: set[str]) -> Any:
        row = self.rows[name]
        return {
            "name": name,
            "applied": name in sent and row["epoch"] == self.epoch,
            "row": row if name in self.touched else None,
            "lock": self.locks.get(name),
            "title": row.get("agent_name"),
        }

    def _append(self, table: dict[Any, Any], new: dict[Any, Any]) -> Any:
        before = len(table)
        table.update({key: value for key, value in new.items() if key not in table})
        return {"taken": len(table) - before}
