"""Alerts: they get through, and the reconciler can read the files that they need, and nobody else."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from supervise.doctor.findings import Finding, Severity, needs_root
from supervise.doctor.installation import Installation
from supervise.doctor.reading import blocked_at, cannot_read, is_seen
from supervise.doctor.remedies import shell
from supervise.fitting_alerts import DAEMON
from supervise.model import AlertTarget

CHECK = "alerts"
DENIED = os.strerror(errno.EACCES)


def alerts(there: Installation) -> Iterator[Finding]:
    targets = {target.id: target for manifest in there.manifests for target in manifest.alerts}
    told: set[Path] = set()
    for target in targets.values():
        for file in _files(target):
            if file not in told:
                told.add(file)
                yield from _file(there, target, file)
    for name, one in (there.info or {}).get("alerts", {}).items():
        if one.get("failing"):
            yield _failing(there, name, targets.get(name), one.get("last_error") or "it fails")
        if one.get("dropped"):
            text = f"{one['dropped']} alerts to {_named(name, targets.get(name))} were dropped."
            yield Finding(
                CHECK, Severity.NOTE, text, "It was away for too long; nothing is to be done once it answers."
            )


def _failing(there: Installation, name: str, target: AlertTarget | None, why: str) -> Finding:
    text = f"Nobody is told by {_named(name, target)}: {why}."
    unreadable = next((file for file in (_files(target) if target else ()) if f'"{file}"' in why), None)
    if unreadable is None:
        return Finding(CHECK, Severity.WARNING, text, "See that its address is right and can be reached from here.")
    if DENIED not in why:
        return Finding(CHECK, Severity.WARNING, text, f'See what is in "{unreadable}".')
    return Finding(
        CHECK, Severity.WARNING, text, "The file cannot be read: let the reconciler do so.", _close(there, unreadable)
    )


def _named(name: str, target: AlertTarget | None) -> str:
    """The way and the address as the file has it; what stands behind a `?`, or before an `@`, may be secret."""
    if target is None:
        return name
    if target.url_file:
        return f'{target.kind.value} (address in "{target.url_file}")'
    parts = urlsplit(target.url or "")
    return f"{target.kind.value} {parts.netloc.rpartition('@')[2]}{parts.path}"


def _files(target: AlertTarget) -> tuple[Path, ...]:
    return tuple(file for file in (target.url_file, target.secret_file) if file)


def _file(there: Installation, target: AlertTarget, file: Path) -> Iterator[Finding]:
    name = _named(target.id, target)
    if not is_seen(file):
        yield needs_root(CHECK, f'"{file}"')
        return
    if not file.is_file():
        text = f'Alerts to {name} are not sent: there is no file "{file}".'
        yield Finding(CHECK, Severity.WARNING, text, "Write it.")
        return
    if stat.S_IMODE(file.stat().st_mode) & stat.S_IROTH:
        text = f'The secret "{file}" of alerts to {name} can be read by everybody.'
        yield Finding(CHECK, Severity.WARNING, text, "Close it.", _close(there, file))
    elif there.daemon and (why := cannot_read(file, there.daemon)):
        text = f"Alerts to {name} are not sent: {why}."
        if blocked_at(file.parent, there.daemon):
            yield Finding(CHECK, Severity.WARNING, text, f"Move the file to where {there.daemon.name} may read.")
            return
        yield Finding(
            CHECK, Severity.WARNING, text, "Let the reconciler, and nobody else, read it.", _close(there, file)
        )


def _close(there: Installation, file: Path) -> str:
    if not there.system:
        return shell(there, ("chmod", "600", file))
    return shell(there, ("chgrp", DAEMON, file), ("chmod", "640", file))
