"""What hosts send, small: rows as the store would make them, and what they are answered."""

from __future__ import annotations

from typing import Any

from supervise.model import Status
from supervise.stores.rows import ROW_COLUMNS, event_values, row_values, sample_values
from tests.stores import nouns
from tests.supabase.stack import Api

LOCKS = ("lock_status", "lock_health", "lock_reason", "lock_by", "lock_until")


def row(name: str = "sma", seq: int = 1, **changes: Any) -> dict[str, Any]:
    """All columns of a row but host and epoch."""
    found = {**row_values(nouns.row(name)), "seq": seq, **changes}
    assert found.keys() == {*ROW_COLUMNS, "seq"}
    return found


def event(id_: str = "e1", **changes: Any) -> dict[str, Any]:
    return {**event_values(nouns.event(id_)), **changes}


def sample(name: str = "sma", minutes: float = 0, **changes: Any) -> dict[str, Any]:
    return {**sample_values(nouns.sample(name, minutes)), **changes}


def opened(api: Api, host: str = "ares", instance: str = "one", **asked: Any) -> int:
    """The epoch of a new session."""
    return int(api.rpc("open_session", host=host, instance=instance, **asked)["epoch"])


def report(api: Api, epoch: int, *rows: dict[str, Any], host: str = "ares", **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = api.rpc("report_status", host=host, epoch=epoch, rows=list(rows), **more)
    return answer


def taken(title: str = "SMA") -> dict[str, Any]:
    """What is answered of a row that is there now, as it was sent."""
    return {"name": "sma", "applied": True, "row": None, "lock": None, "title": title}


def stored(api: Api, **columns: str) -> list[dict[str, Any]]:
    """The table as anybody with the secret key reads it."""
    wanted = "".join(f"&{column}=eq.{value}" for column, value in columns.items())
    status, answer = api.call(f"agent_status?order=host,name{wanted}")
    assert status == 200, answer
    return list(answer)


RUNNING = Status.RUNNING.value
