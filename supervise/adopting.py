"""Adoption: a process that runs an agent's command outside of its unit is moved, alive, into a scope of the agent's.

Nothing is restarted for it. From then on it is no hidden process: `status` shows it as running, `stop` stops it. Only
root may move other users' processes, which is why no policy does this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from supervise.decide import copies
from supervise.errors import SuperviseError, UsageError
from supervise.holds import read_holds
from supervise.manager import Manager, Result
from supervise.model import AgentSpec, Findings, Phase, Process
from supervise.observe.scan import scan
from supervise.platforms.systemd.platform import Systemd
from supervise.platforms.systemd.units import run_unit
from supervise.selection import select

FREE = (Phase.ABSENT, Phase.INACTIVE, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class Adoption:
    """A process, and the agent that it is to be from now on."""

    spec: AgentSpec
    process: Process


def chosen(what: str, specs: Sequence[AgentSpec], found: Findings, *, name: str | None = None) -> Adoption:
    """What is meant by a PID, or by an agent's name where one copy of it runs. `name`: whose it is, where that is not
    clear. Raises SuperviseError with what to do."""
    by_name = {spec.name: spec for spec in specs}
    if what.isdecimal():
        return _of_pid(int(what), by_name, found, name)
    spec = select(specs, (what,))[0]
    outside = found.outside.get(spec.name, ())
    if len(outside) > 1:
        raise UsageError(f"{len(outside)} processes run {spec.name}: {copies(outside)}; adopt one by its PID")
    if not outside:
        raise SuperviseError(f"cannot adopt {spec.name}: no process of it runs outside of its unit (`supervise ps`)")
    return Adoption(spec, outside[0])


def _of_pid(pid: int, specs: Mapping[str, AgentSpec], found: Findings, name: str | None) -> Adoption:
    fitting = {agent: one for agent, one in _outside(found) if one.id.pid == pid}
    if not fitting:
        raise SuperviseError(f"cannot adopt PID {pid}: {_why_not(pid, found)} (`supervise ps`)")
    named = specs if name is None else {spec.name for spec in select(tuple(specs.values()), (name,))}
    meant = sorted(fitting.keys() & named)
    if not meant:
        raise SuperviseError(f"cannot adopt PID {pid} as {name}: it fits {', '.join(sorted(fitting))}")
    if len(meant) > 1:
        raise UsageError(f"PID {pid} fits {', '.join(meant)}: say which with --as NAME")
    return Adoption(specs[meant[0]], fitting[meant[0]])


def _why_not(pid: int, found: Findings) -> str:
    for places, where in (
        (found.foreground, "adopted already, or begun by `supervise run`"),
        (found.inside, "in its unit"),
    ):
        for name, processes in places.items():
            if pid in {one.id.pid for one in processes}:
                return f"it runs as {name} already, {where}"
    return "it runs no agent's command outside of units"


def foreign(adoption: Adoption) -> str | None:
    """Whose the process is, where it is not the agent's own user's: what it may do and write differs."""
    spec, process = adoption.spec, adoption.process
    user = process.user or str(process.uid)
    if spec.user is None or spec.user in (process.user, str(process.uid)):
        return None
    return f"PID {process.id.pid} runs as {user}, not as {spec.user} as the unit of {spec.name} would"


def _outside(found: Findings) -> Iterator[tuple[str, Process]]:
    for name, processes in found.outside.items():
        yield from ((name, one) for one in processes)
    for doubt in found.doubts:
        yield from ((name, doubt.process) for name in doubt.names)


async def adopt(
    manager: Manager, platform: Systemd, what: str, *, name: str | None = None, warn: Callable[[str], None]
) -> Result:
    """Move the process and its descendants. Raises SuperviseError where that is not right."""
    found = await manager.processes()
    adoption = chosen(what, manager.specs, found, name=name)
    spec, pid = adoption.spec, adoption.process.id.pid
    await _check(adoption, manager, found)
    if text := foreign(adoption):
        warn(text)
    await manager.tell_of("adopt", [spec], reason=f"PID {pid}")
    unit = run_unit(spec.name)
    moved = list(family(pid, scan().processes))
    await platform.adopt(unit, moved, description=f"{spec.title} (adopted)")
    await manager.look(moved)
    return Result(spec.name, True, f"PID {pid} runs in {unit} now; `supervise stop {spec.name}` stops it")


async def _check(adoption: Adoption, manager: Manager, found: Findings) -> None:
    spec, pid = adoption.spec, adoption.process.id.pid
    if hold := read_holds(manager.places).get(spec.name):
        raise SuperviseError(f"cannot adopt {spec.name}: it is held by {hold.by} (`supervise release {spec.name}`)")
    if first := found.foreground.get(spec.name):
        raise SuperviseError(
            f"cannot adopt PID {pid}: PID {first[0].id.pid} runs as {spec.name} already, in {run_unit(spec.name)}, so "
            f"this is a second copy; `kill {pid}` ends it, `supervise stop {spec.name}` ends the first one"
        )
    state = (await manager.platform.snapshot([spec.name], endings=False)).states[spec.name]
    if state.phase not in FREE:
        raise SuperviseError(
            f"cannot adopt {spec.name}: its unit is {state.phase.value}, so this is a second copy; `kill {pid}` ends it"
        )


def family(pid: int, processes: Sequence[Process]) -> Iterator[int]:
    """The process and its descendants."""
    yield pid
    for one in processes:
        if one.parent == pid:
            yield from family(one.id.pid, processes)
