"""The manifests: whole, of no newer version, readable by the reconciler, and written by nobody but root."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from supervise import __version__
from supervise.access import stranger_who_writes
from supervise.doctor.findings import Finding, Severity, needs_root
from supervise.doctor.installation import Installation
from supervise.doctor.looking import daemon_user
from supervise.doctor.reading import cannot_read
from supervise.doctor.remedies import restart_daemon, shell, supervise
from supervise.marker import version_key
from supervise.model import Scope

CHECK = "manifests"
LET_IT_LOOK = "Let it look; it reads anew what was written since, not what was opened, so start it anew."


def manifests(there: Installation) -> Iterator[Finding]:
    if there.unseen:
        yield needs_root(CHECK, f'"{there.places.manifests}"')
    yield from _folders(there)
    for project, why in there.damaged.items():
        yield _damaged(there, project, why)
    for manifest in there.manifests:
        if version_key(manifest.version) > version_key(__version__):
            yield Finding(
                CHECK,
                Severity.WARNING,
                f"Project {manifest.project} was installed by supervise {manifest.version}, "
                f"which is newer than this {__version__}.",
                f"Use version {manifest.version} or later on this host.",
            )
    yield from _files(there)


def _folders(there: Installation) -> Iterator[Finding]:
    """Before the files: what cannot be entered hides all of them from the reconciler."""
    for folder in (there.places.manifests.parent, there.places.manifests):
        if there.daemon and folder.is_dir() and (why := cannot_read(folder, there.daemon)):
            text = f"The reconciler cannot see what is installed: {why}."
            command = shell(there, ("chmod", "a+rx", there.places.manifests.parent, there.places.manifests))
            yield Finding(CHECK, Severity.ERROR, text, LET_IT_LOOK, f"{command} && {restart_daemon(there)}")
            return


def _files(there: Installation) -> Iterator[Finding]:
    owner = daemon_user(Scope.USER, 0 if there.system else there.uid)
    for project in (*(one.project for one in there.manifests), *there.damaged):
        file = there.places.manifest(project)
        if there.daemon and not _hidden(there) and (why := cannot_read(file, there.daemon)):
            command = f"{shell(there, ('chmod', 'a+r', file))} && {restart_daemon(there)}"
            text = f"The reconciler cannot read a manifest: {why}."
            yield Finding(CHECK, Severity.ERROR, text, LET_IT_LOOK, command)
        if owner and there.system and (why := stranger_who_writes(file, owner)):
            commands = (("chown", "root:", file.parent, file), ("chmod", "go-w", file.parent, file))
            yield Finding(
                CHECK,
                Severity.ERROR,
                f"Others than root decide what the reconciler believes: {why}.",
                "Take that right away.",
                shell(there, *commands),
            )


def _hidden(there: Installation) -> bool:
    folder = there.places.manifests
    return there.daemon is None or cannot_read(folder, there.daemon) is not None


def _damaged(there: Installation, project: str, why: str) -> Finding:
    said = _loosely(there.places.manifest(project))
    version = said.get("version")
    if isinstance(version, str) and version_key(version) > version_key(__version__):
        text = (
            f"Project {project} was installed by supervise {version}, and this {__version__} cannot read its manifest."
        )
        return Finding(CHECK, Severity.ERROR, text, f"Use version {version} or later on this host.")
    source = said.get("source")
    words = supervise(there, "install", "-f", source) if isinstance(source, str) and Path(source).is_file() else None
    advice = "Install anew." if words else "Run `supervise install` in the folder of its agents.yaml."
    text = f"The manifest of project {project} is damaged: its agents run on, but no command knows them ({why})."
    return Finding(CHECK, Severity.ERROR, text, advice, shell(there, words) if words else "")


def _loosely(file: Path) -> dict[str, object]:
    """What can be made out of a file that is no valid manifest: source and version stand near its beginning."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    try:
        said = json.loads(text)
        return said if isinstance(said, dict) else {}
    except ValueError:
        pass
    found: dict[str, object] = {}
    for line in text.splitlines()[:10]:
        try:
            found |= json.loads(f"{{{line.strip().rstrip(',')}}}")
        except ValueError:  # not a line of its own that says one thing
            continue
    return found
