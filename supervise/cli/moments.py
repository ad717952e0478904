"""Moments as options write them: so long ago, or a time."""

from __future__ import annotations

from datetime import UTC, datetime

from supervise.config.spans import span
from supervise.errors import UsageError


def moment(text: str, now: datetime | None = None) -> datetime:
    """`2h` ago, or `2026-01-31T12:00` of this machine's time zone unless one is written. Raises UsageError."""
    try:
        return (now or datetime.now(UTC)) - span(text)
    except (ValueError, OverflowError):
        pass  # then it is a time
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f'"{text}" is neither a span such as 2h nor a time such as 2026-01-31T12:00') from error
