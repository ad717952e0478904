"""The machine's clock: kept right by somebody, and nothing of ours comes from the future."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from supervise.control.client import Refused, Unreachable, connect
from supervise.doctor.findings import Finding, Severity, listed
from supervise.doctor.installation import Installation
from supervise.doctor.remedies import install, shell

CHECK = "clock"
BEFORE_US = datetime(2025, 1, 1, tzinfo=UTC)
"""No right clock shows less."""
SLACK = timedelta(minutes=5)
PATIENCE = 2.0


def clock(there: Installation) -> Iterator[Finding]:
    if there.at.wall < BEFORE_US:
        text = f"The machine's clock is wrong: it says {there.at.wall:%Y-%m-%d %H:%M}."
        yield Finding(CHECK, Severity.ERROR, text, "Have it set.", shell(there, ("timedatectl", "set-ntp", "true")))
    yield from _future(there)
    yield from synchronised(there, timedatectl())


def _future(there: Installation) -> Iterator[Finding]:
    late = [one for one in there.manifests if _written(there, one.project) > there.at.wall + SLACK]
    late += [
        one
        for one in there.manifests
        if one not in late
        and any(mark.boot == there.at.boot and mark.since > there.at.monotonic for mark in one.runs.values())
    ]
    if late:
        text = f"Installed in the future, by this clock: {listed(one.project for one in late)}."
        advice = "Set the clock; if it is right, install again."
        yield Finding(CHECK, Severity.WARNING, text, advice, shell(there, install(there, late[0])))
    newest = asyncio.run(_newest_event(there)) if there.info else None
    if newest and newest > there.at.wall + SLACK:
        text = f"The newest event is of {newest:%Y-%m-%d %H:%M} UTC, which is still to come."
        yield Finding(CHECK, Severity.WARNING, text, "The clock was set back; see whether it is right.", "timedatectl")


def _written(there: Installation, project: str) -> datetime:
    try:
        return datetime.fromtimestamp(there.places.manifest(project).stat().st_mtime, UTC)
    except OSError:
        return datetime.fromtimestamp(0, UTC)


async def _newest_event(there: Installation) -> datetime | None:
    try:
        async with asyncio.timeout(PATIENCE), connect(there.places.control) as control:
            found = await control.ask("events", limit=1)
    except (TimeoutError, Unreachable, Refused):
        return None
    return datetime.fromisoformat(found[-1]["at"]) if found else None


def timedatectl() -> dict[str, str] | None:
    """What it shows; None where it is not there, or nobody answers it."""
    if not shutil.which("timedatectl"):
        return None
    try:
        done = subprocess.run(
            ["timedatectl", "show"], capture_output=True, text=True, check=False, timeout=PATIENCE, env={"LANG": "C"}
        )
    except subprocess.TimeoutExpired:
        return None
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line) or None


def synchronised(there: Installation, said: dict[str, str] | None) -> Iterator[Finding]:
    if said is None:
        text = "Whether the clock is kept right cannot be asked (timedatectl)."
        yield Finding(CHECK, Severity.NOTE, text, "See whether something sets it.")
    elif said.get("NTPSynchronized") == "yes":
        yield Finding(CHECK, Severity.OK, "The clock is synchronised.")
    elif said.get("CanNTP") == "no":
        text = "Nothing that systemd knows of keeps the clock right."
        yield Finding(CHECK, Severity.NOTE, text, "In a container the host does it; elsewhere install a time service.")
    else:
        command = shell(there, ("timedatectl", "set-ntp", "true")) if said.get("NTP") == "no" else "timedatectl status"
        text = "The clock is not synchronised."
        yield Finding(CHECK, Severity.NOTE, text, "Times of events may be wrong; have it synchronised.", command)
