"""Moments as options write them: so long ago, or a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from supervise.errors import UsageError
from supervise.spans import span

OF_TODAY = re.compile(r"\d\d:\d\d(:\d\d)?")


def moment(text: str, now: datetime | None = None) -> datetime:
    """`2h` ago, `12:30` of today, or `2026-01-31T12:00`, of this machine's time zone unless one is written.

    Raises UsageError.
    """
    try:
        return (now or datetime.now(UTC)) - span(text)
    except (ValueError, OverflowError):
        pass  # then it is a time
    today = (now or datetime.now(UTC)).astimezone()
    try:
        return datetime.fromisoformat(f"{today:%Y-%m-%d}T{text}" if OF_TODAY.fullmatch(text) else text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        why = "is neither a span such as 2h nor a time such as 12:30 or 2026-01-31T12:00"
        raise UsageError(f'"{text}" {why}') from error
