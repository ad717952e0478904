"""What an install would do, as a value: files, enablement, who must stop, who runs something older. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from supervise import __version__
from supervise.errors import SuperviseError
from supervise.manifest import Manifest, RunMark, outdated, run_mark
from supervise.marker import SHARED, edited, marker, version_key
from supervise.model import (
    AgentSpec,
    AlertTarget,
    Instant,
    Phase,
    Process,
    ReconcilerSettings,
    Scope,
    SupabaseTarget,
    UnitFile,
    UnitState,
)
from supervise.places import Places
from supervise.platforms.systemd.units import DAEMON, RECONCILER, SCANNER, started_unit, timer_name, unit_name

TARGET = "supervise.target"
UP = (Phase.ACTIVE, Phase.STARTING, Phase.RESTARTING, Phase.STOPPING)


class Kind(StrEnum):
    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file. `edited`: somebody changed it by hand since we wrote it, and loses that change."""

    kind: Kind
    path: Path
    before: str | None
    after: str | None
    agent: str | None
    edited: bool = False

    def diff(self) -> Iterator[str]:
        """The lines of a unified diff, without the marker line, which changes whenever anything does."""
        before = (self.before or "").splitlines()[1:]
        after = (self.after or "").splitlines()[1:]
        lines = difflib.unified_diff(before, after, str(self.path), str(self.path), lineterm="", n=2)
        yield from lines


@dataclass(frozen=True, slots=True)
class Target:
    """What a project wants on this host. No specs and `remove`: nothing any more."""

    project: str
    source: Path
    scope: Scope
    specs: tuple[AgentSpec, ...]
    files: tuple[UnitFile, ...]
    remove: bool = False
    moved: bool = False
    alerts: tuple[AlertTarget, ...] = ()
    reconciler: ReconcilerSettings = field(default_factory=ReconcilerSettings)
    supabase: SupabaseTarget | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """`files`: content of each file that is ours or stands where we want to write. `beside`: drop-ins made by hand.

    `unsettled`: by project the units which an unfinished install was about to enable or disable.
    """

    files: Mapping[Path, str]
    beside: tuple[Path, ...]
    enabled: frozenset[str]
    masked: frozenset[str]
    target_enabled: bool
    manifests: Mapping[str, Manifest]
    interrupted: bool
    unsettled: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Projects whose manifest is damaged, and how."""
    lingers: bool = True
    """Whether the agents outlive their user's logout."""
    daemon_enabled: frozenset[str] = frozenset()
    """Units of our own daemon that a boot starts."""
    unseen: frozenset[Path] = frozenset()
    """Where whoever plans may not look: what is there neither is missing nor differs."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What runs while we plan."""

    states: Mapping[str, UnitState]
    outside: Mapping[str, tuple[Process, ...]]
    at: Instant
    kept_down: frozenset[str] = frozenset()
    """Agents that nobody may start now: held, or running in the foreground."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The difference between wish and disk. `empty` when there is none.

    `stop`: units that end because they are removed. `restart`: agents that run something older, with what changed.
    `start`: agents that start at boot and do not run now. `notes`: what the user should know and we leave alone.
    """

    project: str
    changes: tuple[FileChange, ...] = ()
    enable: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    restart: Mapping[str, str] = field(default_factory=dict)
    start: tuple[str, ...] = ()
    outside: Mapping[str, tuple[Process, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    manifest: Manifest | None = None
    manifest_changes: bool = False
    interrupted: bool = False

    @property
    def empty(self) -> bool:
        return not (self.changes or self.enable or self.disable or self.manifest_changes or self.interrupted)

    @property
    def daemon_changes(self) -> bool:
        """Whether our own daemon comes, goes, or must be started anew."""
        return any(change.path.name in (*DAEMON, *SCANNER) for change in self.changes)

    @property
    def last(self) -> bool:
        """Whether nothing of ours is left on this host afterwards."""
        return any(change.kind is Kind.REMOVE and change.path.name == RECONCILER for change in self.changes)

    @property
    def pending(self) -> bool:
        """Whether the host is not yet as the file says: files, or agents that run something older."""
        return not self.empty or bool(self.restart)

    @property
    def agents_added(self) -> tuple[str, ...]:
        return tuple(
            one.agent for one in self.changes if one.kind is Kind.ADD and one.agent and one.path.suffix == ".conf"
        )


def plan(target: Target, disk: Disk, seen: Seen, *, places: Places) -> Plan:
    """Raises SuperviseError where something on this host is in the way."""
    _refuse_strangers(target, disk)
    _refuse_other_source(target, disk)
    old = disk.manifests.get(target.project)
    changes = tuple(_changes(target, disk))
    enable, disable = _enablement(target, old, disk)
    manifest = _manifest(target, old, disk, seen)
    return Plan(
        project=target.project,
        changes=changes,
        enable=enable,
        disable=disable,
        stop=tuple(_stops(target, changes, disk, seen)),
        restart=dict(_restarts(target, changes, old, seen)),
        start=tuple(spec.name for spec in target.specs if _should_run(spec, seen)),
        outside={name: found for name, found in seen.outside.items() if found},
        notes=tuple(_notes(target, old, disk, places)),
        manifest=manifest,
        manifest_changes=not manifest.same_as(old) if manifest else old is not None,
        interrupted=disk.interrupted,
    )


def conflicts(
    specs: Iterable[AgentSpec], project: str, others: Iterable[Manifest]
) -> Iterator[tuple[str, str, str, Manifest]]:
    """(agent's key in the file, its key, text, the other project) for each name or title that is taken on this host."""
    taken: dict[str, tuple[AgentSpec, Manifest]] = {}
    for other in others:
        if other.project != project:
            for spec in other.agents:
                taken |= {word: (spec, other) for word in (spec.base, spec.name, spec.title)}
    for spec in specs:
        for key, word in (("", spec.name), ("title", spec.title)):
            if word in taken and not (key and spec.title == spec.name):
                there, other = taken[word]
                what = "title" if key else "name"
                yield (
                    spec.base,
                    key,
                    f'the {what} "{word}" is taken by agent "{there.name}" of project "{other.project}" '
                    f"({other.source}); names and titles are unique on a host",
                    other,
                )


# --- Files ------------------------------------------------------------------------------------------------------------


def _refuse_strangers(target: Target, disk: Disk) -> None:
    for file in target.files:
        content = disk.files.get(file.path)
        if content is None:
            continue
        found = marker(content)
        if found is None:
            raise SuperviseError(f'cannot write "{file.path}": a file is there that is not ours; move it away first')
        if found.project not in (target.project, SHARED):
            raise SuperviseError(f'cannot write "{file.path}": it belongs to project "{found.project}"')


def _refuse_other_source(target: Target, disk: Disk) -> None:
    """Two folders of one name must not take turns in overwriting each other."""
    old = disk.manifests.get(target.project)
    if old and not target.remove and not target.moved and old.source != target.source and old.source.exists():
        raise SuperviseError(
            f'cannot install project "{target.project}" from {target.source}: it is installed from {old.source}; '
            "give one of them another `project:`, or pass --moved if this file replaces that one"
        )


def _changes(target: Target, disk: Disk) -> Iterator[FileChange]:
    wanted = {file.path: file for file in target.files}
    for path, file in wanted.items():
        if path in disk.unseen:
            continue
        before = disk.files.get(path)
        if before is None:
            yield FileChange(Kind.ADD, path, None, file.content, file.agent)
        elif before != file.content and not _newer(before):
            yield FileChange(Kind.CHANGE, path, before, file.content, file.agent, edited(before))
    gone = [path for path, before in disk.files.items() if path not in wanted and _ours_to_remove(before, target, disk)]
    for path in sorted(gone, key=lambda path: _turn(path, disk.files[path])):
        before = disk.files[path]
        yield FileChange(Kind.REMOVE, path, before, None, _agent(before), edited(before))


def _turn(path: Path, content: str) -> int:
    """When a file goes: what names agents before them, the template that they stand on after them."""
    found = marker(content)
    if found and found.project == SHARED:
        return 2
    return 1 if path.parent.name.startswith("agent@") else 0


def _agent(content: str) -> str | None:
    """Whose file it is; None for a shared one."""
    found = marker(content)
    return found.agent if found and found.agent != SHARED else None


def _newer(content: str) -> bool:
    """Shared files move forward only: another project may have been installed by a later version."""
    found = marker(content)
    return found is not None and found.version != SHARED and version_key(found.version) > version_key(__version__)


def _ours_to_remove(content: str, target: Target, disk: Disk) -> bool:
    found = marker(content)
    if found is None:
        return False
    return found.project == target.project or (found.project == SHARED and _is_last(target, disk))


def _is_last(target: Target, disk: Disk) -> bool:
    """Whether nothing of ours is left on this host afterwards."""
    return target.remove and not {*disk.manifests, *disk.unreadable} - {target.project}


# --- Enablement -------------------------------------------------------------------------------------------------------


def _enablement(target: Target, old: Manifest | None, disk: Disk) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to enable and disable: only what is new or whose `auto_start` changed, so an operator's own choice stays."""
    before = {started_unit(spec): spec for spec in old.agents} if old else {}
    now = {started_unit(spec): spec for spec in target.specs}
    unsettled = disk.unsettled.get(target.project, frozenset())
    decided = {
        unit: spec.auto_start for unit, spec in now.items() if unit in unsettled or _decided(before.get(unit), spec)
    }
    enable = [unit for unit, auto_start in decided.items() if auto_start]
    disable = [unit for unit, auto_start in decided.items() if not auto_start]
    gone = [unit for unit in {**before, **dict.fromkeys(unsettled - {TARGET, *DAEMON})} if unit not in now]
    if _is_last(target, disk):
        gone.append(TARGET)
        gone += DAEMON
    elif not target.remove:
        if not disk.target_enabled and (not disk.manifests or TARGET in unsettled):
            enable.append(TARGET)
        enable += [unit for unit in DAEMON if unit in unsettled or _is_new(unit, target, disk)]
    there = disk.enabled | disk.daemon_enabled | ({TARGET} if disk.target_enabled else set())
    return tuple(unit for unit in enable if unit not in there), tuple(
        unit for unit in (*disable, *gone) if unit in there
    )


def _is_new(unit: str, target: Target, disk: Disk) -> bool:
    """Whether a unit of our daemon comes onto this host now. Later it is the operator's to disable it."""
    return any(file.path.name == unit and file.path not in disk.files for file in target.files)


def _decided(before: AgentSpec | None, spec: AgentSpec) -> bool:
    return before is None or before.auto_start != spec.auto_start


# --- What runs --------------------------------------------------------------------------------------------------------


def _stops(target: Target, changes: Sequence[FileChange], disk: Disk, seen: Seen) -> Iterator[str]:
    """Units whose file goes, and the service of an agent that has become a job."""
    for change in changes:
        if change.kind is Kind.REMOVE and change.agent:
            yield unit_of(change.path)
    became_job = {change.agent for change in changes if change.kind is Kind.ADD and change.path.suffix == ".timer"}
    for spec in target.specs:
        if spec.name in became_job and _phase(seen, spec.name) in UP:
            yield unit_name(spec.name)
    if _is_last(target, disk):
        yield TARGET


def unit_of(path: Path) -> str:
    """The unit that a file makes, or adds to."""
    return path.parent.name.removesuffix(".d") if path.suffix == ".conf" else path.name


def _restarts(
    target: Target, changes: Sequence[FileChange], old: Manifest | None, seen: Seen
) -> Iterator[tuple[str, str]]:
    by_agent = {
        change.agent: change for change in changes if change.kind is Kind.CHANGE and change.path.suffix == ".conf"
    }
    for spec in target.specs:
        if spec.schedule or _phase(seen, spec.name) not in UP:
            continue
        change = by_agent.get(spec.name)
        if change and _run(change.before) != _run(change.after):
            yield spec.name, ", ".join(_changed_directives(change)) or "its command"
        elif old and spec.name in old.runs and outdated(old.runs[spec.name], seen.states[spec.name], boot=seen.at.boot):
            yield spec.name, "was started before the last install"


def _run(content: str | None) -> str | None:
    found = marker(content or "")
    return found.run if found else None


def _changed_directives(change: FileChange) -> Iterator[str]:
    before, after = (set((content or "").splitlines()[1:]) for content in (change.before, change.after))
    lines = sorted(line for line in before ^ after if "=" in line and not line.startswith("#"))
    yield from dict.fromkeys(line.partition("=")[0] for line in lines)


def _should_run(spec: AgentSpec, seen: Seen) -> bool:
    """Started by `install --start`: what boots by itself, does not run, and is not held down by a person's stop."""
    if spec.name in seen.kept_down:
        return False
    if spec.schedule:
        state = seen.states.get(spec.name)
        return spec.auto_start and not (state and state.timer_active)
    return spec.auto_start and _phase(seen, spec.name) not in UP


def _phase(seen: Seen, name: str) -> Phase:
    state = seen.states.get(name)
    return state.phase if state else Phase.ABSENT


# --- The rest ---------------------------------------------------------------------------------------------------------


def _notes(target: Target, old: Manifest | None, disk: Disk, places: Places) -> Iterator[str]:
    known = {started_unit(spec): spec for spec in old.agents} if old else {}
    for spec in target.specs:
        unit = started_unit(spec)
        if spec.auto_start and unit in known and known[unit].auto_start and unit not in disk.enabled:
            yield f"{spec.name}: disabled by hand (`systemctl disable {unit}`); left so"
        if not spec.auto_start and unit in known and not known[unit].auto_start and unit in disk.enabled:
            yield f"{spec.name}: enabled by hand (`systemctl enable {unit}`); left so"
        if unit in disk.masked or unit_name(spec.name) in disk.masked:
            yield f"{spec.name}: masked by hand; it does not start until `systemctl unmask {unit_name(spec.name)}`"
    ours = {f"{unit_name(spec.name)}.d" for spec in target.specs} | {
        f"{timer_name(spec.name)}.d" for spec in target.specs
    }
    for path in disk.beside:
        if path.parent.name in ours:
            yield f'also in force, made by hand: "{path}"'
    if disk.manifests and not disk.target_enabled and not target.remove:
        yield (
            f"supervise.target is not enabled for {places.boot_target}: nothing starts at boot "
            "(`systemctl enable supervise.target`)"
        )
    if not disk.lingers and not target.remove:
        yield "its agents end when you log out, and do not start at boot: `loginctl enable-linger` keeps them"
    if unseen := sorted(str(file.path) for file in target.files if file.path in disk.unseen):
        yield f"cannot be seen without root: {', '.join(unseen)}"
    yield from (why for project, why in disk.unreadable.items() if project != target.project)
    for change in disk.files.values():
        if _newer(change):
            yield "the shared files were written by a newer version of supervise; left so"
            return


def _manifest(target: Target, old: Manifest | None, disk: Disk, seen: Seen) -> Manifest | None:
    if target.remove:
        return None
    runs = {file.agent: _run(file.content) or "" for file in target.files if file.agent and file.path.suffix == ".conf"}
    known = old.runs if old else dict(_lost_marks(target, disk, seen))
    marks = {name: run_mark(run, known.get(name), seen.at) for name, run in runs.items()}
    return Manifest(
        project=target.project,
        source=target.source,
        scope=target.scope,
        platform="systemd",
        version=__version__,
        agents=target.specs,
        runs=marks,
        alerts=target.alerts,
        reconciler=target.reconciler,
        supabase=target.supabase,
    )


def _lost_marks(target: Target, disk: Disk, seen: Seen) -> Iterator[tuple[str, RunMark]]:
    """Where the manifest was lost: what is on disk has been there all along, as far as anybody can tell."""
    for file in target.files:
        if file.agent and file.path.suffix == ".conf" and (run := _run(disk.files.get(file.path))):
            yield file.agent, RunMark(run, seen.at.boot, timedelta())
