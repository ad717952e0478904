"""Whose process it is: which ones run an agent's command outside every agent unit, which ones live in its unit.

Paths are followed by `resolve` and environments read by `environ`, the only looks at the machine. What cannot be seen
is never guessed: such a process is a doubt, and so is one that fits several agents.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from supervise.model import AgentSpec, Doubt, Findings, Process
from supervise.observe import scan
from supervise.observe.cgroups import UnitKind, agent_unit, container, own_manager
from supervise.observe.commands import Command, Kind, basename, command, interpreter, wanted

Resolve = Callable[[str], str]
Environ = Callable[[Process], Mapping[str, str] | None]
Key = tuple[str | None, str, Kind, str, tuple[str, ...]]
"""Directory (None: any), interpreter, kind, last part of the target, arguments."""

PATHS = (Kind.SCRIPT, Kind.PROGRAM)
ANY = "*"
"""The interpreter of a script that names its own (`#!`)."""
UNSEEN = "it cannot be inspected"
SEVERAL = "it fits several agents"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process belongs: in an agent's unit of some kind, or (None) to the agents whose command it runs."""

    unit: tuple[UnitKind, str] | None = None
    agents: tuple[str, ...] = ()
    why: str = ""
    """Why nobody can tell whether it is one of theirs."""


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What one agent runs. `written` is the target's path before links are followed."""

    name: str
    directory: str
    kind: Kind
    written: str
    target: str
    interpreter: str
    arguments: tuple[str, ...]

    def places(self) -> Iterator[Key]:
        for name in {basename(self.written), basename(self.target)} if self.kind in PATHS else {self.target}:
            for directory in (self.directory, None):
                yield directory, self.interpreter, self.kind, name, self.arguments


class Matcher:
    """Knows some agents' commands. Links are followed once, so make a new one now and then."""

    def __init__(
        self, specs: Iterable[AgentSpec], *, resolve: Resolve = os.path.realpath, environ: Environ = scan.environment
    ) -> None:
        self._resolve = cache(resolve)
        self._environ = environ
        self._environments: dict[str, Mapping[str, str]] = {}
        self._index: defaultdict[Key, list[_Wanted]] = defaultdict(list)
        self._manager: str | None = None
        """Whose units count: those of the agents' scope. Where there are no agents, nobody's."""
        for spec in specs:
            self._manager = own_manager(spec.scope, os.getuid())
            self._environments[spec.name] = _told_apart_by(spec)
            for one in _wanted(spec, self._resolve):
                for key in one.places():
                    self._index[key].append(one)
        self._directories = {key[0] for key in self._index}

    def place(self, process: Process) -> Place:
        if container(process.cgroup):
            return NOWHERE
        if self._manager is not None and (unit := agent_unit(process.cgroup, self._manager)):
            return Place(unit)
        if not process.argv:
            return NOWHERE
        names = tuple(_owners(process, self._index, self._directories, self._resolve))
        if not names:
            return NOWHERE
        if process.executable is None or process.directory is None:
            return Place(agents=names, why=UNSEEN)
        if len(names) > 1:
            names = self._by_environment(process, names)
        return Place(agents=names, why=SEVERAL if len(names) > 1 else "")

    def _by_environment(self, process: Process, names: tuple[str, ...]) -> tuple[str, ...]:
        """The one of several agents with this command whose settings the process was started with; else all."""
        environ = self._environ(process)
        if environ is None:
            return names
        fitting = [name for name in names if self._environments[name].items() <= environ.items()]
        best = [name for name in fitting if all(self._has_more(name, other) for other in fitting if other != name)]
        return tuple(best) if len(best) == 1 else names

    def _has_more(self, name: str, other: str) -> bool:
        return self._environments[name].items() > self._environments[other].items()


def find(
    specs: Iterable[AgentSpec],
    processes: Iterable[Process],
    *,
    resolve: Resolve = os.path.realpath,
    environ: Environ = scan.environment,
) -> Findings:
    """Whose these processes are."""
    matcher = Matcher(specs, resolve=resolve, environ=environ)
    return findings((process, matcher.place(process)) for process in processes)


def findings(
    placed: Iterable[tuple[Process, Place]], *, complete: bool = True, at: timedelta | None = None
) -> Findings:
    outside: defaultdict[str, list[Process]] = defaultdict(list)
    units: dict[UnitKind, defaultdict[str, list[Process]]] = {kind: defaultdict(list) for kind in UnitKind}
    doubts = []
    for process, place in placed:
        if place.unit:
            units[place.unit[0]][place.unit[1]].append(process)
        elif place.why:
            doubts.append(Doubt(process, place.agents, place.why))
        elif place.agents:
            outside[place.agents[0]].append(process)
    return Findings(
        outside=_frozen(outside),
        inside=_frozen(units[UnitKind.SERVICE]),
        foreground=_frozen(units[UnitKind.RUN]),
        doubts=tuple(doubts),
        complete=complete,
        at=at,
    )


def look(specs: Collection[AgentSpec]) -> Findings:
    """Whose processes run where, at this moment, by one scan of our own."""
    seen = scan.scan()
    matcher = Matcher(specs)
    return findings(((one, matcher.place(one)) for one in seen.processes), complete=seen.complete)


def _frozen(found: Mapping[str, list[Process]]) -> dict[str, tuple[Process, ...]]:
    return {name: tuple(sorted(ones, key=lambda one: one.id.pid)) for name, ones in found.items()}


def _told_apart_by(spec: AgentSpec) -> Mapping[str, str]:
    """The settings by which agents with one command differ; an instance's number is one."""
    number = {} if spec.instance is None else {"SUPERVISE_INSTANCE": str(spec.instance)}
    return {**spec.environment, **number}


def _wanted(spec: AgentSpec, resolve: Resolve) -> Iterator[_Wanted]:
    """What the spec runs; a program may turn out to be a script, which the kernel hands to the interpreter it names."""
    runs = wanted(_plain_interpreter(spec.command, resolve))
    directory = resolve(str(spec.working_directory))
    on_disk = runs.kind is Kind.SCRIPT or (runs.kind is Kind.PROGRAM and "/" in runs.target)
    written = _joined(directory, runs.target) if on_disk else runs.target
    target = resolve(written) if on_disk else written
    yield _Wanted(spec.name, directory, runs.kind, written, target, runs.interpreter, runs.arguments)
    if runs.kind is Kind.PROGRAM:
        yield _Wanted(spec.name, directory, Kind.SCRIPT, written, target, ANY, runs.arguments)


def _plain_interpreter(words: tuple[str, ...], resolve: Resolve) -> tuple[str, ...]:
    """The command with a link of another name to an interpreter (`agent-python` → `python3.11`) followed."""
    if interpreter(words[0]):
        return words
    program = resolve(words[0])
    return (program, *words[1:]) if interpreter(program) else words


def _owners(
    process: Process, index: Mapping[Key, list[_Wanted]], directories: set[str | None], resolve: Resolve
) -> Iterator[str]:
    directory = str(process.directory) if process.directory else None
    if directory not in directories:
        return
    runs = command(process.argv, program=str(process.executable or ""))
    candidates = {
        (one.name, one.written): one
        for name in _names(runs, directory, resolve)
        for family in (runs.interpreter, ANY)
        for one in index.get((directory, family, runs.kind, name, runs.arguments), ())
    }
    yield from {one.name: None for one in candidates.values() if _fits(one, process, runs, resolve)}


def _names(runs: Command, directory: str | None, resolve: Resolve) -> set[str]:
    """The names under which a process's target may be known: as it was written, and with links followed."""
    if runs.kind not in PATHS:
        return {runs.target}
    written = basename(runs.target)
    if "/" not in runs.target and (directory is None or runs.kind is Kind.PROGRAM):
        return {written}
    return {written, basename(resolve(_joined(directory or "", runs.target)))}


def _fits(one: _Wanted, process: Process, runs: Command, resolve: Resolve) -> bool:
    """Whether the paths agree too. A directory that cannot be seen is taken to be the agent's."""
    if runs.kind not in PATHS:
        return True
    if runs.kind is Kind.PROGRAM and "/" not in runs.target:
        return True  # found on the PATH of a process that we may not look into
    if "/" not in one.written:
        return True  # to be found on the agent's own PATH, which only its manager knows
    path = _joined(str(process.directory or one.directory), runs.target)
    return path == one.written or resolve(path) == one.target


def _joined(directory: str, path: str) -> str:
    return path if path.startswith("/") else f"{directory}/{path}"
