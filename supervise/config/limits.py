"""Limits of resources. They are judged by systemd's rules and kept in its notation."""

from __future__ import annotations

import re

from supervise.config.leaf import shortened
from supervise.config.nodes import Scalar
from supervise.config.sizes import size


def percent(text: str, *, most: float | None) -> bool:
    """Whether `text` is a percentage above 0 that systemd can hold (two decimals)."""
    match = re.fullmatch(r"([0-9]{1,7}(?:\.[0-9]{1,2})?)%", text)
    return match is not None and float(match[1]) > 0 and (most is None or float(match[1]) <= most)


def memory_limit(text: Scalar) -> str:
    if text == "infinity" or percent(text, most=100):
        return str(text)
    if text.endswith("%"):
        raise ValueError(f"'{shortened(text)}' is not a share of memory: write 1% to 100%")
    if size(text) < 1:
        raise ValueError("must be more than 0: write 512M, 50% or infinity")
    return str(text)


def cpu_limit(text: Scalar) -> str:
    if not percent(text, most=None):
        raise ValueError(f"'{shortened(text)}' is not a share of a processor: write 50% (200% is two whole ones)")
    return str(text)


def tasks_limit(text: Scalar) -> str:
    if text == "infinity" or percent(text, most=100) or (re.fullmatch(r"[0-9]{1,9}", text) and int(text) > 0):
        return str(text)
    raise ValueError(f"'{shortened(text)}' is not a number of tasks: write 100, 10% or infinity")


def files_limit(text: Scalar) -> str:
    """`N`, `SOFT:HARD`, or infinity in either place."""
    parts = text.split(":")
    if len(parts) > 2 or not all(re.fullmatch(r"infinity|[1-9][0-9]{0,9}", part) for part in parts):
        raise ValueError(f"'{shortened(text)}' is not a number of files: write 4096, 1024:4096 or infinity")
    soft, hard = parts[0], parts[-1]
    if hard != "infinity" and (soft == "infinity" or int(soft) > int(hard)):
        raise ValueError(f"the soft limit {soft} is above the hard limit {hard}")
    return str(text)
