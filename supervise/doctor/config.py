"""The `agents.yaml` of each manifest: there, valid, and what it says now is what is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from supervise.doctor.findings import Finding, Severity, needs_root
from supervise.doctor.installation import Installation
from supervise.doctor.remedies import overlays, shell, supervise
from supervise.errors import ConfigError, SuperviseError
from supervise.install.plan import Plan
from supervise.manifest import Manifest

CHECK = "config"


def config(there: Installation) -> Iterator[Finding]:
    for manifest in there.manifests:
        try:
            yield from _one(there, manifest)
        except PermissionError:
            yield needs_root(CHECK, f'Project {manifest.project}: whether "{manifest.source}" is what is installed')


def _one(there: Installation, manifest: Manifest) -> Iterator[Finding]:
    project, source = f"Project {manifest.project}", manifest.source
    try:
        source.read_bytes()
    except FileNotFoundError:
        text = f'{project}: "{source}", from which it was installed, is gone.'
        away = shell(there, supervise(there, "uninstall", "-p", manifest.project))
        yield Finding(
            CHECK,
            Severity.WARNING,
            text,
            f"Put it back, install from where it is now with --moved, or take the project away (`{away}`).",
        )
        return
    except IsADirectoryError:
        yield Finding(CHECK, Severity.WARNING, f'{project}: "{source}" is a folder.', "Put the file back.")
        return
    try:
        plan = _nearest(there, source)
    except ConfigError as error:
        yield _invalid(there, manifest, error)
        return
    except SuperviseError as error:
        yield Finding(CHECK, Severity.WARNING, f"{project}: an install from {source} would fail: {error}.")
        return
    if plan.pending:
        hint = "; its overlay is not known: say `--env`, if it had one" if overlays(source) else ""
        yield Finding(
            CHECK,
            Severity.NOTE,
            f"{project}: pending changes: an install from {source} would change something{hint}.",
            "See what.",
            shell(there, supervise(there, "plan", "-f", source)),
        )


def _nearest(there: Installation, source: Path) -> Plan:
    """The plan from this file, or, where that would change something, from the first overlay that would not."""
    plain: Plan | SuperviseError
    try:
        plain = there.pending(source, None)
    except SuperviseError as error:
        plain = error
    if isinstance(plain, Plan) and not plain.pending:
        return plain
    for name in overlays(source):
        try:
            plan = there.pending(source, name)
        except SuperviseError:  # another overlay, or the plain file, speaks for the project
            continue
        if not plan.pending:
            return plan
    if isinstance(plain, SuperviseError):
        raise plain
    return plain


def _invalid(there: Installation, manifest: Manifest, error: ConfigError) -> Finding:
    first, count = error.problems[0], len(error.problems)
    more = f" (and {count - 1} more)" if count > 1 else ""
    text = f"Project {manifest.project}: its file is not valid, so what is installed stays as it is: {first}{more}."
    return Finding(
        CHECK,
        Severity.WARNING,
        text,
        "See all that is wrong and correct it.",
        shell(there, supervise(there, "check", "-f", manifest.source)),
    )
