"""The manifest: what `install` made of an `agents.yaml`. Everything installed reads it; nobody else reads the YAML.

Written last and whole, so it is the record of the last *finished* install. Holds no secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from supervise import serial
from supervise.errors import NoSuchAgent, SuperviseError
from supervise.model import AgentSpec, AlertTarget, Instant, ReconcilerSettings, Scope, SupabaseTarget, UnitState
from supervise.places import Places


@dataclass(frozen=True, slots=True)
class RunMark:
    """What an agent would be started as, and since when that is on disk, on a clock that no step moves."""

    run: str
    boot: str
    since: timedelta


@dataclass(frozen=True, slots=True)
class Manifest:
    """One project on one host in one scope."""

    project: str
    source: Path
    scope: Scope
    platform: str
    version: str
    agents: tuple[AgentSpec, ...]
    runs: Mapping[str, RunMark]
    alerts: tuple[AlertTarget, ...] = ()
    reconciler: ReconcilerSettings = field(default_factory=ReconcilerSettings)
    supabase: SupabaseTarget | None = None

    def same_as(self, other: Manifest | None) -> bool:
        """Whether both say the same, apart from when each run digest came."""
        return other is not None and self._said() == other._said()

    def _said(self) -> tuple[object, ...]:
        runs = {name: mark.run for name, mark in self.runs.items()}
        whose = (self.project, self.source, self.scope, self.platform, self.version)
        return (*whose, self.agents, runs, self.alerts, self.reconciler, self.supabase)


def run_mark(run: str, previous: RunMark | None, now: Instant) -> RunMark:
    """The mark of a digest: the old one while the digest is the same."""
    return previous if previous and previous.run == run else RunMark(run, now.boot, now.monotonic)


def outdated(mark: RunMark, state: UnitState, *, boot: str) -> bool:
    """Whether the running process was started before what is on disk now. A process is always of this boot."""
    return mark.boot == boot and state.started_monotonic is not None and state.started_monotonic < mark.since


def to_json(manifest: Manifest) -> str:
    return serial.to_json(manifest, indent=1) + "\n"


def from_json(text: str, *, file: Path) -> Manifest:
    try:
        found: Manifest = serial.of_json(Manifest, text)
    except ValueError as error:
        raise _unreadable(file, str(error)) from error
    return found


def manifests(places: Places) -> Iterator[Manifest]:
    """All projects installed in one scope, by name. What cannot be read is left out; `unreadable` names it."""
    yield from read_manifests(places)[0]  # one damaged file must not stop everything else


def of_project(installed: Iterable[Manifest], project: str | None) -> tuple[Manifest, ...]:
    """The one that is named, or all. Raises NoSuchAgent where only others are installed."""
    found = tuple(installed)
    chosen = tuple(one for one in found if project in (None, one.project))
    if found and not chosen:
        others = ", ".join(dict.fromkeys(one.project for one in found))
        raise NoSuchAgent(f'there is no project "{project}"; installed: {others}')
    return chosen


def unreadable(places: Places) -> Mapping[str, str]:
    """Why each damaged manifest cannot be read, by project."""
    return read_manifests(places)[1]


def read_manifests(places: Places) -> tuple[tuple[Manifest, ...], Mapping[str, str]]:
    """What is whole, and why the rest is not, by project. Each file is read once: it is in one of the two."""
    found, reasons = [], {}
    for file in _files(places):
        try:
            found.append(_read(file))
        except FileNotFoundError:  # uninstalled this very moment
            continue
        except SuperviseError as error:
            reasons[file.stem] = str(error)
    return tuple(found), reasons


def hidden(places: Places) -> str | None:
    """Why nobody can tell what is installed: the folder of the manifests is there, and we may not look into it."""
    try:
        next(places.manifests.iterdir(), None)
    except PermissionError as error:
        return f"cannot read the manifests in {places.manifests}: {error.strerror}"
    except OSError:  # there is none: nothing is installed
        pass
    return None


def is_empty(places: Places) -> bool:
    """Whether nothing is installed in this scope, not even something damaged."""
    return not hidden(places) and not any(places.manifests.glob("*.json"))


def _files(places: Places) -> Iterator[Path]:
    if not hidden(places):
        yield from sorted(places.manifests.glob("*.json"))


def _read(file: Path) -> Manifest:
    try:
        return from_json(file.read_text(encoding="utf-8"), file=file)
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, str(error)) from error


def _unreadable(file: Path, why: str) -> SuperviseError:
    return SuperviseError(
        f'cannot read the manifest "{file}" ({why}); '
        "`supervise install` in the folder of its agents.yaml writes it anew"
    )
