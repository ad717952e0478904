"""Whose process it is: which ones run an agent's command outside every agent unit, which ones live in its unit. Pure.

Nothing is started while a copy runs outside, so where something cannot be seen (another user's directory) it is taken
to fit. Paths are followed by `resolve`, the only look at the disk.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from supervise.model import AgentSpec, Process, ProcessId
from supervise.observe.cgroups import UnitKind, agent_unit, container
from supervise.observe.commands import Command, Kind, basename, command, interpreter, wanted

Resolve = Callable[[str], str]
Key = tuple[str | None, str, Kind, str, tuple[str, ...]]
"""Directory (None: any), interpreter, kind, last part of the target, arguments."""

PATHS = (Kind.SCRIPT, Kind.PROGRAM)
ANY = "*"
"""The interpreter of a script that names its own (`#!`)."""


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


def outside(
    specs: Iterable[AgentSpec], processes: Iterable[Process], *, resolve: Resolve = os.path.realpath
) -> Mapping[str, tuple[Process, ...]]:
    """For every agent the processes that run its command outside every agent unit and container.

    A process that fits several agents stands under each of them.
    """
    followed = cache(resolve)
    copies: dict[str, list[Process]] = {}
    index: defaultdict[Key, list[_Wanted]] = defaultdict(list)
    for spec in specs:
        copies[spec.name] = []
        for one in _wanted(spec, followed):
            for key in one.places():
                index[key].append(one)
    directories = {key[0] for key in index}
    for process in processes:
        if _nobodys(process):
            continue
        for name in _owners(process, index, directories, followed):
            copies[name].append(process)
    return {name: tuple(found) for name, found in copies.items()}


def inside(processes: Iterable[Process], *, kind: UnitKind = UnitKind.SERVICE) -> Mapping[str, frozenset[ProcessId]]:
    """Agents by name, with the processes that live in their unit (or in their probe's or `run`'s, by `kind`)."""
    found: defaultdict[str, set[ProcessId]] = defaultdict(set)
    for process in processes:
        unit = agent_unit(process.cgroup)
        if unit and unit[0] is kind and not container(process.cgroup):
            found[unit[1]].add(process.id)
    return {name: frozenset(ids) for name, ids in found.items()}


def _nobodys(process: Process) -> bool:
    return not process.argv or agent_unit(process.cgroup) is not None or bool(container(process.cgroup))


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
