"""What a check has found: how bad it is, one sentence that says so, one that says what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

FEW = 6
"""More names than this are counted, not listed."""


class Severity(StrEnum):
    """`NOTE`: worth knowing. `WARNING`: something does not work as described. `ERROR`: something does not work."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


WORST_FIRST = (Severity.ERROR, Severity.WARNING, Severity.NOTE, Severity.OK)


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` says what to do in words; `command` does it, or shows more, as it stands."""

    check: str
    severity: Severity
    text: str
    advice: str = ""
    command: str = ""


def needs_root(check: str, what: str, command: str = "sudo supervise doctor") -> Finding:
    """Nothing is known of it, since this user may not look."""
    return Finding(check, Severity.NOTE, f"{what} cannot be looked at: that needs root.", "Look as root.", command)


def listed(names: Iterable[str]) -> str:
    """`a, b, c`, or the first few and how many more."""
    every: Sequence[str] = tuple(names)
    if len(every) <= FEW:
        return ", ".join(every)
    return f"{', '.join(every[:FEW])} and {len(every) - FEW} more"


def sentence(words: str) -> str:
    """What somebody else said, as a sentence of its own."""
    text = words.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('?', '!')) else '.'}"


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Bad ones first; within that as they came."""
    return sorted(findings, key=lambda one: WORST_FIRST.index(one.severity))
