"""Spans and batch sizes as options write them."""

from __future__ import annotations

from datetime import timedelta

from supervise.errors import UsageError
from supervise.spans import span


def length(text: str) -> timedelta:
    """`2s`, `1min 30s`: a span as in agents.yaml. Raises UsageError."""
    try:
        return span(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


def batch_size(text: str | None, total: int) -> int | None:
    """`5` or `20%` of all, at least one. Raises UsageError."""
    if text is None:
        return None
    number = text.removesuffix("%")
    if not number.isdigit() or int(number) == 0:
        raise UsageError(f'"{text}" is not a batch: write a number of agents, or a part of them like 20%')
    return max(1, total * int(number) // 100) if text.endswith("%") else int(number)
