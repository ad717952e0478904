"""Carries a plan out so that it may be killed at any moment: whatever systemd loads is whole and is either old or new.

First every new content is written beside its place and forced to disk; running out of space here changes nothing.
Then a journal says what remains; then files are renamed and removed. The next install finishes what a journal still
lists, or throws away what was only staged. The manifest comes last.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from supervise.clock import now
from supervise.errors import PlatformError, SuperviseError
from supervise.install.disk import STAGED, staged_files
from supervise.install.journal import Journal, read_journal, to_json
from supervise.install.plan import TARGET, FileChange, Kind, Plan, unit_of
from supervise.manifest import Manifest, RunMark, run_mark
from supervise.manifest import to_json as manifest_json
from supervise.model import Action, ActionKind, Scope
from supervise.observe.scan import scan
from supervise.places import Places
from supervise.platforms import Platform, UnitChanges
from supervise.platforms.systemd.enablement import daemon_enabled, enabled_units, target_enabled
from supervise.platforms.systemd.units import DAEMON, RECONCILER, SCANNER, SOCKETS, is_probe

Report = Callable[[str], None]
SLICE = "supervise.slice"
STOPS = 5
"""So many requests to stop a unit may be overtaken by a start before we leave it alone."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done. `kept`: units that would not stop, so their files stay; `unit` → why. `daemon`: why our own
    daemon does not run, though it should."""

    files: int
    reloaded: bool
    kept: dict[str, str]
    daemon: str = ""


async def apply(plan: Plan, platform: Platform, *, places: Places, old: Manifest | None, report: Report) -> Applied:
    """Raises SuperviseError; what it had begun is then either undone, or finished by the next install."""
    changes = list(plan.changes)
    stage(changes, report)
    try:
        kept = await _stop(plan, platform, report)
        if plan.last and not kept:
            await _stop_daemon(platform)
            await _stop_empty_slice(platform)
        kept |= await _stop_all([unit for unit in plan.stop if is_probe(unit)], platform)  # nobody asks any more
    except BaseException:
        discard_staged(places)
        raise
    kept_agents = {unit.partition("@")[2].rpartition(".")[0] for unit in kept}
    spared = {None, *kept_agents} if kept else set()  # its own files, and the shared ones that its unit needs
    changes = [change for change in changes if not (change.kind is Kind.REMOVE and change.agent in spared)]
    disable = tuple(unit for unit in plan.disable if not kept or unit not in (*kept, TARGET, *DAEMON))
    if changes or plan.enable or disable:
        write_journal(places, Journal(plan.project, tuple(changes), plan.enable, disable))
    if disable:
        await platform.apply(UnitChanges(disable=disable))  # while their files are there
    commit(changes)
    _make_users_and_folders(places, changes)
    reload = bool(changes or plan.enable or disable)
    if reload:
        report("systemd reads the units anew")
        await platform.apply(UnitChanges(enable=plan.enable, reload=True, forget=_gone(changes)))
        await _stop_all(_agents(plan.stop, but=kept), platform)  # the reconciler may have started one since
    _write_manifest(plan, places, old, kept_agents)
    starts_daemon = (plan.daemon_changes or plan.interrupted) and not plan.last and (places.units / RECONCILER).exists()
    daemon = await _start_daemon(platform, places, report, anew=plan.daemon_changes) if starts_daemon else ""
    places.journal.unlink(missing_ok=True)
    return Applied(len(changes), reload, kept, daemon)


async def recover(platform: Platform, places: Places, report: Report) -> None:
    """Finish, or undo, what a killed install left behind."""
    if found := read_journal(places):
        report("finishing an install that was interrupted")
        on = enabled_units(places) | daemon_enabled(places) | ({TARGET} if target_enabled(places) else set())
        if still := tuple(unit for unit in found.disable if unit in on):
            await platform.apply(UnitChanges(disable=still))
        commit(found.changes)
        _make_users_and_folders(places, found.changes)
        await platform.apply(UnitChanges(reload=True, forget=_gone(found.changes)))
        if found.enable or found.disable:
            write_journal(places, replace(found, changes=()))  # for the plan that follows
        else:
            places.journal.unlink()
    discard_staged(places)


def stage(changes: Iterable[FileChange], report: Report) -> None:
    """Write every new content beside its place. On any failure nothing is left and nothing was changed."""
    written: list[Path] = []
    try:
        for change in changes:
            if change.after is not None:
                change.path.parent.mkdir(parents=True, exist_ok=True)
                written.append(_staged(change.path))
                _write_through(written[-1], change.after)
    except OSError as error:
        for path in written:
            _discard(path)
            _remove_if_empty(path.parent)
        raise SuperviseError(
            f'cannot write "{error.filename or written[-1]}": {error.strerror}; nothing was changed'
        ) from error
    if written:
        report("wrote all files, putting them in place")


def discard_staged(places: Places) -> None:
    for path in [*staged_files(places)]:
        path.unlink(missing_ok=True)
        _remove_if_empty(path.parent)


def commit(changes: Iterable[FileChange]) -> None:
    """Put staged files in place and remove what goes. May be repeated: what is done already is passed over."""
    folders = set()
    for change in changes:
        folders.add(change.path.parent)
        if change.kind is Kind.REMOVE:
            change.path.unlink(missing_ok=True)
        elif _staged(change.path).exists():
            _staged(change.path).rename(change.path)
    for folder in sorted(folders):
        if not _remove_if_empty(folder):
            _sync_folder(folder)


# --- Steps ------------------------------------------------------------------------------------------------------------


async def _stop(plan: Plan, platform: Platform, report: Report) -> dict[str, str]:
    """Stop what is removed. A unit that will not stop keeps its files, lest its process be without a unit."""
    if agents := _agents(plan.stop):
        report("stopping what is removed")
    kept = await _stop_all(agents, platform)
    if not kept and TARGET in plan.stop:
        await _why_it_runs_on(TARGET, platform)  # it holds no process; without its file it would linger on
    return kept


def _agents(units: Iterable[str], *, but: Collection[str] = ()) -> list[str]:
    return [unit for unit in units if unit != TARGET and not is_probe(unit) and unit not in but]


async def _stop_all(units: Sequence[str], platform: Platform) -> dict[str, str]:
    """Those that run on, and why."""
    reasons = await asyncio.gather(*(_why_it_runs_on(unit, platform) for unit in units))
    return {unit: why for unit, why in zip(units, reasons, strict=True) if why}


async def _stop_daemon(platform: Platform) -> None:
    """The sockets first, lest a beat start it again. One that will not stop ends without its files."""
    for unit in (*SOCKETS, RECONCILER, *SCANNER):
        await _why_it_runs_on(unit, platform)


async def _stop_empty_slice(platform: Platform) -> None:
    """Without its file it would linger on. Its stop would end what is in it, such as a process that was adopted."""
    if not any(SLICE in one.cgroup.split("/") for one in scan().processes):
        await _why_it_runs_on(SLICE, platform)


async def _start_daemon(platform: Platform, places: Places, report: Report, *, anew: bool) -> str:
    """Start our own daemon, `anew` if it runs. Agents need it for nothing: that it does not start fails no install."""
    report("starting the reconciler")
    kind = ActionKind.RESTART if anew else ActionKind.START
    scanner = SCANNER[1:] if places.scope is Scope.SYSTEM else ()
    turns = [(unit, ActionKind.START) for unit in SOCKETS] + [(unit, kind) for unit in (*scanner, RECONCILER)]
    problems = []
    for unit, how in turns:
        outcome = await platform.perform(Action(how, unit, unit, "installed"))
        if not outcome.ok:
            problems.append(f"{unit}: {outcome.detail} (`journalctl -u {unit}` says why)")
    return "; ".join(problems)


async def _why_it_runs_on(unit: str, platform: Platform) -> str | None:
    """A stop that a start overtook, as that of a crash loop, is asked for again."""
    try:
        for _ in range(STOPS):
            outcome = await platform.perform(Action(ActionKind.STOP, unit, unit, "removed from the project"))
            if not outcome.overtaken:
                break
    except PlatformError as error:
        return str(error)
    return None if outcome.ok or "not loaded" in outcome.detail else outcome.detail


def _gone(changes: Iterable[FileChange]) -> tuple[str, ...]:
    """The units of agents that are no more; one that has failed would be listed for ever."""
    units = {unit_of(change.path) for change in changes if change.kind is Kind.REMOVE}
    return tuple(sorted(unit for unit in units if "@" in unit and "@." not in unit))  # no template fails


def _make_users_and_folders(places: Places, changes: Iterable[FileChange]) -> None:
    written = {change.path for change in changes if change.kind is not Kind.REMOVE}
    for path, command in ((places.sysusers, ["systemd-sysusers"]), (places.tmpfiles, ["systemd-tmpfiles", "--create"])):
        if path in written:
            done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
            if done.returncode:
                raise SuperviseError(f"cannot make the users and folders of {path}: {done.stderr.strip()}")
    places.holds.mkdir(parents=True, exist_ok=True)
    if places.polkit in written:
        # polkitd has no folder to watch before the first rule comes, and its own units may be absent: both are harmless
        subprocess.run(["systemctl", "try-restart", "polkit.service"], capture_output=True, check=False)


def write_journal(places: Places, journal: Journal) -> None:
    _replace_file(places.journal, to_json(journal))


def _write_manifest(plan: Plan, places: Places, old: Manifest | None, kept: Collection[str]) -> None:
    """After the reload, so that `since` is never before systemd knew the new units."""
    file = places.manifest(plan.project)
    manifest = plan.manifest
    wanted = {spec.name for spec in manifest.agents} if manifest else set()
    stays = tuple(spec for spec in (old.agents if old else ()) if spec.name in kept and spec.name not in wanted)
    if manifest is None and old and stays:
        manifest = replace(old, agents=())
    if manifest is None:
        file.unlink(missing_ok=True)
    elif plan.manifest_changes or stays:
        places.manifests.mkdir(parents=True, exist_ok=True)
        for folder in (places.manifests.parent, places.manifests):
            folder.chmod(folder.stat().st_mode | 0o055)  # the reconciler, who is not root, reads them
        marks = {name: _since_now(mark, old, name) for name, mark in manifest.runs.items()}
        agents = tuple(sorted((*manifest.agents, *stays), key=lambda spec: spec.name)) if stays else manifest.agents
        _replace_file(file, manifest_json(replace(manifest, agents=agents, runs=marks)))


def _since_now(mark: RunMark, old: Manifest | None, name: str) -> RunMark:
    """A new digest counts from now on; an old one, or one of a lost manifest (since 0), as before."""
    if not mark.since or (old and old.runs.get(name) == mark):
        return mark
    return run_mark(mark.run, None, now())


# --- Files ------------------------------------------------------------------------------------------------------------


def _staged(path: Path) -> Path:
    return path.with_name(f".{path.name}{STAGED}")


def _replace_file(path: Path, content: str) -> None:
    """Write a whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = _staged(path)
    try:
        _write_through(staged, content)
        staged.rename(path)
    except OSError as error:
        _discard(staged)
        raise SuperviseError(f'cannot write "{path}": {error.strerror}; the next install goes on from here') from error
    _sync_folder(path.parent)


def _discard(path: Path) -> None:
    with suppress(OSError):  # a disk that has become read-only refuses even this; the next install throws it away
        path.unlink()


def _write_through(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_empty(folder: Path) -> bool:
    """Only the drop-in folders are ours to remove."""
    if not (folder.name.endswith(".d") and folder.name.startswith(("agent@", "supervise."))):
        return False
    try:
        folder.rmdir()
    except OSError:  # not empty, or gone
        return not folder.exists()
    return True
