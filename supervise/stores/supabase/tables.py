"""A row as a table of somebody else's wants it: their columns, their words. Pure."""

from __future__ import annotations

from typing import Any

from supervise.model import StatusRow, TableMap
from supervise.stores.rows import row_values
from supervise.stores.supabase.wire import finite


def mapped(table: TableMap, row: StatusRow) -> dict[str, Any]:
    """Every row has the same keys. A word of ours that they have none for stays as it is."""
    values = finite(row_values(row))
    words = {column: table.words.get(str(values[column]), values[column]) for column in ("status", "observed_status")}
    return {theirs: {**values, **words}[ours] for ours, theirs in table.columns.items()}
