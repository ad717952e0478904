"""What somebody changed beside us: masked, disabled, drop-ins by hand, files not read anew, processes not restarted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from supervise.doctor.findings import Finding, Severity, listed
from supervise.doctor.installation import Installation
from supervise.doctor.reading import disk_of
from supervise.doctor.remedies import shell, supervise, systemctl
from supervise.errors import PlatformError, SuperviseError
from supervise.install.plan import TARGET, Disk
from supervise.manifest import Manifest, outdated
from supervise.model import AgentSpec, Snapshot
from supervise.places import Places
from supervise.platforms.systemd.platform import Systemd
from supervise.platforms.systemd.units import started_unit, timer_name, unit_name

CHECK = "drift"


def drift(there: Installation) -> Iterator[Finding]:
    try:
        disk = disk_of(there)
    except SuperviseError:  # told by the check of units
        return
    specs = [spec for manifest in there.manifests for spec in manifest.agents]
    yield from _boot(there, specs, disk)
    yield from _by_hand(there, specs, disk)
    if there.systemd is None:
        yield Finding(CHECK, Severity.NOTE, "What runs cannot be compared with what is installed: no systemd answers.")
        yield from _masked(there, {unit for spec in specs for unit in _units(spec) if unit in disk.masked})
        return
    try:
        snapshot, stale = asyncio.run(_asked(there, specs))
    except PlatformError as error:
        yield Finding(CHECK, Severity.NOTE, f"What runs cannot be compared with what is installed: {error}.")
        return
    also = {unit_name(name) for name, state in snapshot.states.items() if state.masked}
    yield from _masked(there, {unit for spec in specs for unit in _units(spec) if unit in {*disk.masked, *also}})
    if stale:
        command = shell(there, systemctl(there, "daemon-reload"))
        text = f"Changed on disk since systemd read it: {listed(stale)}."
        yield Finding(CHECK, Severity.WARNING, text, "Have it read them anew.", command)
    yield from old(there, there.manifests, snapshot)


def _units(spec: AgentSpec) -> tuple[str, ...]:
    return (unit_name(spec.name), timer_name(spec.name)) if spec.schedule else (unit_name(spec.name),)


def _masked(there: Installation, units: set[str]) -> Iterator[Finding]:
    if units:
        command = shell(there, systemctl(there, "unmask", *sorted(units)))
        text = f"Masked by hand, so it does not start: {listed(sorted(units))}."
        yield Finding(
            CHECK, Severity.WARNING, text, "Let it start again; `supervise hold` is the way to forbid.", command
        )


def _boot(there: Installation, specs: list[AgentSpec], disk: Disk) -> Iterator[Finding]:
    if specs and not disk.target_enabled:
        yield Finding(
            CHECK,
            Severity.WARNING,
            f"No agent starts at boot: {TARGET} is not enabled.",
            "Enable it.",
            shell(there, systemctl(there, "enable", TARGET)),
        )
    units = {started_unit(spec): spec.auto_start for spec in specs}
    off = sorted(unit for unit, wanted in units.items() if wanted and unit not in disk.enabled)
    on = sorted(unit for unit, wanted in units.items() if not wanted and unit in disk.enabled)
    for found, is_now, verb in ((off, "does not start at boot", "enable"), (on, "starts at boot", "disable")):
        if found:
            command = shell(there, systemctl(there, verb, *found))
            text = f"By hand, and otherwise than in its file, it {is_now}: {listed(found)}."
            yield Finding(CHECK, Severity.NOTE, text, "It is left so; this is the way back.", command)


def _by_hand(there: Installation, specs: list[AgentSpec], disk: Disk) -> Iterator[Finding]:
    ours = {f"{unit}.d" for spec in specs for unit in (unit_name(spec.name), timer_name(spec.name))}
    found = sorted(str(path) for path in disk.beside if path.parent.name in ours)
    if found:
        text = f"In force beside what we wrote: {listed(found)}."
        yield Finding(CHECK, Severity.NOTE, text, "It stays over every install; what it says, agents.yaml can say too.")


def old(there: Installation, manifests: tuple[Manifest, ...], snapshot: Snapshot) -> Iterator[Finding]:
    """Agents which run something older than what is installed."""
    names = [
        name
        for manifest in manifests
        for name, mark in manifest.runs.items()
        if (state := snapshot.states.get(name)) and state.pid and outdated(mark, state, boot=snapshot.at.boot)
    ]
    if names:
        command = shell(there, supervise(there, "restart", *names))
        text = f"Runs something older than what is installed: {listed(names)}."
        yield Finding(CHECK, Severity.NOTE, text, "Restart it when that suits.", command)


async def _asked(there: Installation, specs: list[AgentSpec]) -> tuple[Snapshot, list[str]]:
    """What runs, and which units systemd would read otherwise now. The latter is dear to ask, so of those only whose
    files are newer than its last reading."""
    since = there.systemd.loaded_at if there.systemd else None
    touched = [spec.name for spec in specs if newer(spec, there.places, since)]
    async with Systemd(there.places) as platform:
        snapshot = await platform.snapshot([spec.name for spec in specs], endings=False)
        stale = await platform.needing_reload(touched)
    return snapshot, sorted(map(unit_name, stale))


def newer(spec: AgentSpec, places: Places, since: datetime | None) -> bool:
    """Whether anything that makes the agent's unit was written since then."""
    folder = places.units / f"{unit_name(spec.name)}.d"
    paths = (places.units / "agent@.service", folder, *(folder.glob("*.conf") if folder.is_dir() else ()))
    return since is None or any(_written(path) >= since.timestamp() for path in paths)


def _written(path: Path) -> float:
    """0 where it is not there; a file that was moved here keeps its older time, but its folder does not."""
    try:
        status = path.stat()
    except OSError:
        return 0
    return max(status.st_mtime, status.st_ctime)
