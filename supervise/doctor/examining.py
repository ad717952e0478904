"""Runs all checks at once, each in a thread of its own: none waits for another, breaks it, or is waited for for ever.

The threads are daemons: one that hangs on a dead disk must not keep the command from ending.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import replace

from supervise.doctor.checks import CHECKS, Check
from supervise.doctor.findings import Finding, Severity, needs_root
from supervise.doctor.installation import Installation

BROKEN = "This is a mistake in the check itself; please report it."


def examine(there: Installation, checks: Iterable[Check] = CHECKS) -> list[Finding]:
    """What all checks that apply have found, in their order. Where nothing is installed nothing is an error yet."""
    scope = there.places.scope
    works = [_Work(check, there) for check in checks if scope in check.scopes and (check.of_host or not there.empty)]
    found = [one for work in works for one in work.findings()]
    return [_softened(one) for one in found] if there.empty else found


class _Work:
    """One check on its way."""

    def __init__(self, check: Check, there: Installation) -> None:
        self._check = check
        self._there = there
        self._found: list[Finding] = []
        self._end = time.monotonic() + check.limit.total_seconds()
        self._thread = threading.Thread(target=self._run, name=check.name, daemon=True)
        self._thread.start()

    def findings(self) -> list[Finding]:
        """What it has found by the end of its time."""
        self._thread.join(max(0.0, self._end - time.monotonic()))
        ended = not self._thread.is_alive()
        found, check = list(self._found), self._check
        if not ended:
            text = f"It did not end within {check.limit.total_seconds():g} s, so not all is known."
            found.append(Finding(check.name, Severity.WARNING, text, "Look again; something it asks does not answer."))
        if self._there.unseen and check.of_projects:
            found.append(needs_root(check.name, "What is installed"))
        return found or [Finding(check.name, Severity.OK, check.well)]

    def _run(self) -> None:
        try:
            for finding in self._check.look(self._there):
                self._found.append(finding)  # one by one: what was found before it breaks stays
        except PermissionError as error:
            if self._there.uid == 0:
                self._found.append(_broken(self._check, error))
            else:
                self._found.append(needs_root(self._check.name, f'"{error.filename}"' if error.filename else "Not all"))
        except Exception as error:
            self._found.append(_broken(self._check, error))


def _broken(check: Check, error: Exception) -> Finding:
    text = f"The check broke off, so not all is known: {type(error).__name__}: {error}."
    return Finding(check.name, Severity.WARNING, text, BROKEN)


def _softened(finding: Finding) -> Finding:
    return replace(finding, severity=Severity.WARNING) if finding.severity is Severity.ERROR else finding
