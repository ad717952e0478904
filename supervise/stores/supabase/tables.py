"""A row as a table of somebody else's wants it: their columns, their words. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from supervise.model import Status, StatusRow, TableMap
from supervise.stores.rows import row_values, stamp
from supervise.stores.supabase.wire import finite


def mapped(table: TableMap, row: StatusRow) -> dict[str, Any]:
    """Every row has the same keys. A word of ours that they have none for stays as it is."""
    values = finite(row_values(row))
    words = {column: table.words.get(str(values[column]), values[column]) for column in ("status", "observed_status")}
    return {theirs: {**values, **words}[ours] for ours, theirs in table.columns.items()}


def unknown(table: TableMap, reason: str, message: str, *, at: datetime) -> dict[str, Any]:
    """What becomes of a row about which nobody can tell any more; what was observed stays."""
    status = Status.UNKNOWN.value
    values = {
        "status": table.words.get(status, status),
        "reason": reason,
        "message": message,
        "health": 0,
        "since": stamp(at),
        "updated_at": stamp(at),
    }
    return {theirs: values[ours] for ours, theirs in table.columns.items() if ours in values and theirs != table.key}
