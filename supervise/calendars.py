"""Calendar expressions, judged by systemd itself: `systemd-analyze calendar` needs no booted systemd."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from supervise.analyze import analyze

ZONE = re.compile(r"UTC|[A-Z][A-Za-z]+(/[A-Za-z0-9_+-]+)+|[A-Z]{3,4}\d?[A-Z]{0,3}")
WEEKDAYS = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*", re.IGNORECASE)
NEXT = re.compile(r"^\s*(?:Next elapse|Iteration #\d+|Iter\. #\d+): (.+)$", re.MULTILINE)
NORMALIZED = re.compile(r"^\s*Normalized form: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Calendar:
    """An expression with its zone, and the next moments it names, in systemd's words."""

    expression: str
    next_runs: tuple[str, ...]


def with_zone(expression: str) -> str:
    """The expression in UTC unless it names a zone (systemd's default is the machine's local time)."""
    last = expression.split()[-1] if expression.split() else ""
    named = ZONE.fullmatch(last) and not WEEKDAYS.fullmatch(last)
    return expression if named else f"{expression} UTC"


def calendars(expressions: Sequence[str], *, runs: int = 3) -> tuple[Calendar, ...]:
    """Raises ValueError with systemd's own complaint about the first expression that it does not take."""
    return tuple(_calendar(with_zone(expression), runs) for expression in expressions)


def _calendar(expression: str, runs: int) -> Calendar:
    done = analyze("calendar", f"--iterations={runs}", "--", expression)
    if done.returncode:
        raise ValueError(f"systemd does not understand the calendar expression: {done.stderr.strip()}")
    return Calendar(expression, tuple(run for run in NEXT.findall(done.stdout) if run != "never"))
