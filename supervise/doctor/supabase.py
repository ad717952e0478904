"""The copies in Supabase: they get there, with a key that can be read, and nothing was refused."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from supervise.doctor.findings import Finding, Severity, needs_root
from supervise.doctor.installation import Installation
from supervise.doctor.reading import blocked_at, cannot_read, is_seen
from supervise.doctor.remedies import shell
from supervise.fitting_alerts import DAEMON
from supervise.text import counted

CHECK = "supabase"
SOON = timedelta(days=7)
RETRY = ("supervise", "db", "retry")
TO_BE_PUT_RIGHT = "Put that right; nothing is lost meanwhile, and it is tried again by itself."
PASSING = "See that it can be reached from here; nothing is lost meanwhile."


def supabase(there: Installation) -> Iterator[Finding]:
    files = {one.supabase.key_file for one in there.manifests if one.supabase and one.supabase.key_file}
    for file in sorted(files):
        yield from _file(there, file)
    if found := (there.info or {}).get("supabase"):
        yield from _copies(there, found)


def _copies(there: Installation, found: dict[str, Any]) -> Iterator[Finding]:
    if found["superseded"]:
        text = "Another store writes the rows of this host to Supabase, so this one does not: is this machine a clone?"
        advice = "Give one of the two another host name and restart its reconciler; or let one of them be."
        yield Finding(CHECK, Severity.ERROR, text, advice)
    elif found["why"]:
        text = (
            f"Supabase is behind by {counted(found['behind'], 'row')} since {_local(found['since'])}: {found['why']}."
        )
        yield Finding(CHECK, Severity.WARNING, text, PASSING if found["kind"] in ("away", "slow") else TO_BE_PUT_RIGHT)
    elif found["last_ok"]:
        waiting = f"all but {counted(found['behind'], 'item')}" if found["behind"] else "all of ours"
        yield Finding(CHECK, Severity.OK, f"{found['where']} has {waiting}.")
    for name, why in found["tables"].items():
        text = f"The table {name}, which `supabase: {{tables: …}}` names, does not take our rows: {why}."
        yield Finding(
            CHECK, Severity.WARNING, text, "Put that right; it is tried again by itself, and all else gets there."
        )
    for what, why in found["beside"].items():
        text = f"In Supabase {what}: {why}."
        yield Finding(CHECK, Severity.WARNING, text, "Put that right; it is tried again by itself.")
    if found["dead"]:
        text = f"Supabase refuses {counted(found['dead'], 'item')}, set aside meanwhile{_first(found)}."
        advice = "Once that is put right, send them again."
        yield Finding(CHECK, Severity.WARNING, text, advice, shell(there, RETRY))
    if found["dropped"]:
        text = f"{counted(found['dropped'], 'item')} of history waited too long for Supabase and will not be sent."
        yield Finding(CHECK, Severity.NOTE, text, "Nothing is to be done: this host has them.")
    if found["conflict"]:
        yield Finding(CHECK, Severity.WARNING, f"{found['conflict']}.", "Write the same one in all projects.")
    if found["expires"] and (left := datetime.fromisoformat(found["expires"]) - there.at.wall) < SOON:
        text = f"The key for Supabase expires in {counted(max(left.days, 0), 'day')} ({found['expires'][:10]})."
        yield Finding(CHECK, Severity.WARNING, text, "Make a new one (`supervise db host-key`) and put it in its file.")


def _local(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}"


def _first(found: dict[str, Any]) -> str:
    return "".join(f", the last one a {one['kind']} of {one['name']}: {one['error']}" for one in found["letters"][-1:])


def _file(there: Installation, file: Path) -> Iterator[Finding]:
    if not is_seen(file):
        yield needs_root(CHECK, f'"{file}"')
    elif not file.is_file():
        yield Finding(CHECK, Severity.WARNING, f'Nothing is copied: there is no key in "{file}".', "Write it.")
    elif stat.S_IMODE(file.stat().st_mode) & stat.S_IROTH:
        text = f'The key for Supabase in "{file}" can be read by everybody.'
        yield Finding(CHECK, Severity.WARNING, text, "Close it, and make a new one.", _close(there, file))
    elif there.daemon and (why := cannot_read(file, there.daemon)):
        text = f"Nothing is copied: {why}."
        if blocked_at(file.parent, there.daemon):
            yield Finding(CHECK, Severity.WARNING, text, f"Move the file to where {there.daemon.name} may read.")
        else:
            advice = "Let the reconciler, and nobody else, read it."
            yield Finding(CHECK, Severity.WARNING, text, advice, _close(there, file))


def _close(there: Installation, file: Path) -> str:
    if not there.system:
        return shell(there, ("chmod", "600", file))
    return shell(there, ("chgrp", DAEMON, file), ("chmod", "640", file))
