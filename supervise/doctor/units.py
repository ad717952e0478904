"""Our files where systemd reads them: all there, as we wrote them, of a project that exists, and no half install."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from supervise.doctor.findings import Finding, Severity, listed
from supervise.doctor.installation import Installation
from supervise.doctor.reading import disk_of
from supervise.doctor.remedies import install, install_any, shell, systemctl
from supervise.errors import SuperviseError
from supervise.install.disk import staged_files
from supervise.install.plan import Disk
from supervise.manifest import Manifest
from supervise.marker import SHARED, edited, marker
from supervise.places import Places
from supervise.platforms.systemd.units import (
    DROP_IN,
    command_probes,
    probe_unit,
    shared_files,
    started_unit,
    timer_name,
    unit_name,
)

CHECK = "units"
LOCKS = Path("/proc/locks")


def units(there: Installation) -> Iterator[Finding]:
    try:
        disk = disk_of(there)
    except SuperviseError as error:
        command = shell(there, ("rm", there.places.journal)) + (f" && {one}" if (one := install_any(there)) else "")
        yield Finding(CHECK, Severity.ERROR, f"No install can begin: {error}.", "Remove it and install again.", command)
        return
    yield from _unfinished(there)
    yield from _absent(there, disk)
    yield from _changed(there, disk)
    yield from _of_nobody(there, disk)


def expected(manifest: Manifest, places: Places) -> set[Path]:
    """Where the files of a project stand that are its own."""
    found = {places.units / "supervise.target.d" / f"{manifest.project}.conf"}
    for spec in manifest.agents:
        found.add(places.units / f"{unit_name(spec.name)}.d" / DROP_IN)
        if spec.schedule:
            found.add(places.units / timer_name(spec.name))
        found |= {places.units / probe_unit(spec.name, role) for role, _ in command_probes(spec)}
    return found


# --- Unfinished -------------------------------------------------------------------------------------------------------


def _unfinished(there: Installation) -> Iterator[Finding]:
    staged = list(staged_files(there.places))
    if not staged and not there.places.journal.exists():
        return
    if install_runs(there.places.lock):
        yield Finding(CHECK, Severity.NOTE, "An install runs at this moment.", "Look again when it is done.")
        return
    what = "has only begun" if staged and not there.places.journal.exists() else "has not ended"
    yield Finding(
        CHECK,
        Severity.WARNING,
        f"An install was interrupted: it {what} ({len(staged)} files wait to be put in place).",
        "The next install finishes it.",
        install_any(there),
    )


def install_runs(lock: Path, locks: Path = LOCKS) -> bool:
    """Whether somebody holds the lock, seen without touching it: a try to take it could make another fail."""
    try:
        inode = lock.stat().st_ino
        held = locks.read_text(encoding="ascii")
    except OSError:
        return False
    return any(line.split()[-3].rpartition(":")[2] == str(inode) for line in held.splitlines() if "FLOCK" in line)


# --- Missing and changed ----------------------------------------------------------------------------------------------


def _absent(there: Installation, disk: Disk) -> Iterator[Finding]:
    for manifest in there.manifests:
        wanted = expected(manifest, there.places)
        yield from _strangers(there, manifest, wanted & set(disk.beside))
        if gone := wanted - {*disk.files, *disk.beside}:
            yield _missing(there, f"of project {manifest.project}", gone, shell(there, install(there, manifest)))
    if there.manifests:
        wanted = _shared(there.places)
        yield from _strangers(there, there.manifests[0], wanted & set(disk.beside))
        if gone := wanted - {*disk.files, *disk.beside}:
            yield _missing(there, "that all projects share", gone, install_any(there))


def _shared(places: Places) -> set[Path]:
    """But for the rule of polkit, which has a check of its own."""
    return {file.path for file in shared_files(places)} - {places.polkit}


def _missing(there: Installation, whose: str, gone: set[Path], command: str) -> Finding:
    names = listed(_short(path, there.places) for path in sorted(gone))
    return Finding(CHECK, Severity.ERROR, f"Files {whose} are gone: {names}.", "Install again.", command)


def _strangers(there: Installation, manifest: Manifest, found: set[Path]) -> Iterator[Finding]:
    for path in sorted(found):
        commands = (("mv", path, path.with_name(f"{path.name}.old")), install(there, manifest))
        yield Finding(
            CHECK,
            Severity.ERROR,
            f'"{path}" is not ours any more: its first line was changed, so no install will replace it.',
            "Move it away and install again.",
            shell(there, *commands),
        )


def _changed(there: Installation, disk: Disk) -> Iterator[Finding]:
    changed = {path for path, content in disk.files.items() if edited(content) and path != there.places.polkit}
    shared = {path for path in changed if _project(disk, path) == SHARED}
    for manifest in there.manifests:
        if mine := {path for path in changed if _project(disk, path) == manifest.project}:
            yield _edited(there, mine, shell(there, install(there, manifest)))
    if shared:
        yield _edited(there, shared, install_any(there))


def _edited(there: Installation, paths: set[Path], command: str) -> Finding:
    names = listed(_short(path, there.places) for path in sorted(paths))
    advice = "The next install writes it anew; what shall stay belongs into agents.yaml or into a drop-in beside it."
    return Finding(CHECK, Severity.WARNING, f"Changed by hand: {names}.", advice, command)


def _project(disk: Disk, path: Path) -> str:
    found = marker(disk.files[path])
    return found.project if found else ""


# --- Of nobody --------------------------------------------------------------------------------------------------------


def _of_nobody(there: Installation, disk: Disk) -> Iterator[Finding]:
    if there.unseen:
        return
    known = {manifest.project: expected(manifest, there.places) for manifest in there.manifests}
    lost = [
        path
        for path, content in disk.files.items()
        if (found := marker(content))
        and found.project not in (SHARED, *there.damaged)
        and path not in known.get(found.project, set())
    ]
    if lost:
        yield Finding(
            CHECK,
            Severity.WARNING,
            f"Files of ours belong to no agent that is installed: {listed(_short(one, there.places) for one in lost)}.",
            "Install the project that they come from, or take them away.",
            shell(there, *_taking_away(there, lost)),
        )
    installed = {started_unit(spec) for manifest in there.manifests for spec in manifest.agents}
    dangling = disk.enabled - installed - {path.parent.name.removesuffix(".d") for path in lost}
    if dangling and not there.damaged:
        command = shell(there, systemctl(there, "disable", *sorted(dangling)))
        text = f"Started at boot, though it is no agent that is installed: {listed(sorted(dangling))}."
        yield Finding(CHECK, Severity.NOTE, text, "Disable it, if that is not wanted.", command)


def _taking_away(there: Installation, lost: list[Path]) -> Iterator[tuple[str | Path, ...]]:
    running = {path.parent.name.removesuffix(".d") for path in lost if path.name == DROP_IN}
    running |= {path.name for path in lost if path.suffix == ".timer"}
    if running:
        yield tuple(systemctl(there, "disable", "--now", *sorted(running)))
    yield ("rm", *lost)
    yield tuple(systemctl(there, "daemon-reload"))


def _short(path: Path, places: Places) -> str:
    return str(path.relative_to(places.units)) if path.is_relative_to(places.units) else str(path)
