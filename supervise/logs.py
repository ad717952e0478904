"""Agents' log lines out of the journal, by one `journalctl` whatever the number of agents.

A follower matches the slice, not the units: `journalctl -f -u` misses units that appear later, and the first lines of
new ones.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from supervise.errors import SuperviseError
from supervise.model import LogLine, LogQuery, Scope

FIELDS = "MESSAGE,PRIORITY,_PID,_SYSTEMD_UNIT,_SYSTEMD_USER_UNIT,UNIT,USER_UNIT"
AGENT_UNIT = re.compile(r"(?:agent@|agent-run-)(.+)\.(?:service|timer|scope)")
LONGEST_LINE = 16 * 1024 * 1024


def journal_command(query: LogQuery, *, scope: Scope) -> tuple[str, ...]:
    """The words of the `journalctl` that answers the query. A follower shows all since `since`, or only what comes."""
    options = ["journalctl", "--output=json", f"--output-fields={FIELDS}", "--no-pager", "--all"]
    if query.follow:
        options += ["--follow", "--no-tail" if query.since else "--lines=0"]
    elif query.lines is not None:
        options += [f"--lines={query.lines}", "--reverse"]
    for option, value in (
        ("since", query.since),
        ("until", query.until),
        ("grep", query.grep),
        ("priority", query.priority),
    ):
        if value is not None:
            options.append(f"--{option}={value}")
    return (*options, *_matches(query, scope))


def _matches(query: LogQuery, scope: Scope) -> Iterator[str]:
    ours, about, slice_ = (
        ("_SYSTEMD_UNIT", "UNIT", "_SYSTEMD_SLICE")
        if scope is Scope.SYSTEM
        else ("_SYSTEMD_USER_UNIT", "USER_UNIT", "_SYSTEMD_USER_SLICE")
    )
    if query.follow:
        yield f"{slice_}=supervise.slice"
    else:
        yield from (f"{ours}={unit}" for unit in query.units)
    if query.by_manager:
        yield "+"
        yield from (f"{about}={unit}" for unit in query.units)


def stamp(at: datetime) -> str:
    """A moment as `--since` and `--until` take it, to the microsecond."""
    return f"@{at.timestamp():.6f}"


async def read_journal(query: LogQuery, *, scope: Scope) -> AsyncIterator[LogLine]:
    """The lines of the query's units. Raises SuperviseError with journalctl's own words."""
    now = f"@{time.time():.6f}"
    if not query.follow or query.lines == 0:
        # `--follow --lines=0` beside a match misses all but the first line that fits (measured on 252)
        async for entry in _entries(replace(query, since=query.since or now) if query.follow else query, scope):
            yield log_line(entry)
        return
    # A line of the very moment is seen twice rather than not at all, and shown once.
    known = set()
    async for entry in _entries(replace(query, follow=False), scope):
        known.add(entry["__CURSOR"])
        yield log_line(entry)
    async for entry in _entries(replace(query, lines=None, since=now), scope):
        if entry["__CURSOR"] not in known:
            yield log_line(entry)


async def _entries(query: LogQuery, scope: Scope) -> AsyncIterator[dict[str, Any]]:
    """Entries in the order of time. The last N are read backwards: from the front `--lines` means the first after
    `--since`, and `--grep` would look at no more than these."""
    process = await asyncio.create_subprocess_exec(
        *journal_command(query, scope=scope),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LONGEST_LINE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        wanted = _wanted(process.stdout, query)
        if query.lines is not None and not query.follow:
            for entry in reversed([entry async for entry in wanted]):
                yield entry
        else:
            async for entry in wanted:
                yield entry
        complaint = (await process.stderr.read()).decode(errors="replace").strip()
        if await process.wait() not in (0, 1) or (process.returncode == 1 and complaint):
            raise SuperviseError(f"cannot read the journal: {complaint}")
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _wanted(raw: AsyncIterable[bytes], query: LogQuery) -> AsyncIterator[dict[str, Any]]:
    async for line in raw:
        entry = json.loads(line)
        if _unit(entry) in query.units:
            yield entry


def log_line(entry: dict[str, Any]) -> LogLine:
    """One line from one journal entry (systemd.journal-fields(7))."""
    unit = _unit(entry)
    found = AGENT_UNIT.fullmatch(unit)
    return LogLine(
        at=datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(entry["__REALTIME_TIMESTAMP"])),
        name=found[1] if found else unit,
        text=_text(entry.get("MESSAGE")),
        priority=int(entry.get("PRIORITY", 6)),
        pid=int(entry["_PID"]) if "_PID" in entry else None,
        by_manager=bool(_about(entry)),
    )


def _about(entry: dict[str, Any]) -> str:
    """The unit that its manager speaks of in this entry."""
    return str(entry.get("UNIT") or entry.get("USER_UNIT") or "")


def _unit(entry: dict[str, Any]) -> str:
    return _about(entry) or str(entry.get("_SYSTEMD_USER_UNIT") or entry.get("_SYSTEMD_UNIT") or "")


def _text(message: object) -> str:
    """journald gives bytes that are not UTF-8 as a list of numbers, several values as a list of strings."""
    if isinstance(message, str):
        return message
    if isinstance(message, list) and all(isinstance(one, int) for one in message):
        return bytes(message).decode(errors="replace")
    return "\n".join(map(str, message)) if isinstance(message, list) else ""
