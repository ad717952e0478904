"""What agents take of the machine, from their control groups: pure parsers, and a meter that reads version 1 and 2.

On version 1 (and hybrid) a unit has a group only with the controllers that something asked for, cpuacct seldom among
them: what is missing is summed up over the processes of its own group. What cannot be read is None, never 0.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from supervise.clock import now
from supervise.model import Instant, Usage
from supervise.observe.cgroups import below, container
from supervise.observe.scan import PROC, TICKS

CGROUPS = Path("/sys/fs/cgroup")
LIMITS = timedelta(minutes=1)
"""How often limits are read again: they seldom change, and 500 agents are 1,500 files."""
UNLIMITED = 1 << 62
"""From here on a limit is none: version 1 writes the greatest multiple of a page instead of `max`."""
SECOND = 1_000_000_000
PAGE = os.sysconf("SC_PAGE_SIZE")
CHUNK = 1 << 14
GONE = (FileNotFoundError, ProcessLookupError, NotADirectoryError)

Read = Callable[[str, str], str | None]
"""The text of a file of the group, by controller and name; None where there is none."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a group may take; None where it has no limit."""

    memory: int | None = None
    tasks: int | None = None
    cpu: int | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """What a group counts. `cpu` is in nanoseconds; of `periods` with a CPU limit it was held back in `held`.

    `summed`: `cpu` is a sum over processes, which misses those that ended.
    """

    cpu: int | None = None
    memory: int | None = None
    tasks: int | None = None
    periods: int | None = None
    held: int | None = None
    summed: bool = False


@dataclass(frozen=True, slots=True)
class Life:
    """One life of an agent: its unit, and the main process, whose control group is asked for (systemd does not signal
    it)."""

    incarnation: str
    unit: str
    pid: int


@dataclass(frozen=True, slots=True)
class _Look:
    life: Life
    at: timedelta
    group: str | None
    limits: Limits
    limits_at: timedelta
    counters: Counters


class Meter:
    """Remembers the last look, by agent: shares are since then. Its files never block, but a look takes a while."""

    def __init__(self, root: Path = CGROUPS, proc: Path = PROC, clock: Callable[[], Instant] = now) -> None:
        self._root = str(root)
        self._proc = str(proc)
        self._clock = clock
        self._version = VERSION_2 if (root / "cgroup.controllers").exists() else VERSION_1
        self._container = container(systemds_path(_text(f"{proc}/self/cgroup")) or "")
        self._last: dict[str, _Look] = {}

    def look(self, lives: Mapping[str, Life], only: Collection[str] | None = None) -> dict[str, Usage]:
        """What each takes now, or each of `only`; who does not live any more is forgotten."""
        before = self._last
        wanted = lives.keys() if only is None else lives.keys() & {*only}
        looks = {name: self._look(lives[name], before.get(name)) for name in wanted}
        self._last = {name: look for name, look in before.items() if name in lives} | looks
        return {name: _usage(before.get(name), look) for name, look in looks.items()}

    def _look(self, life: Life, before: _Look | None) -> _Look:
        at = self._clock().monotonic
        same = before if before and before.life == life else None
        group = (same.group if same else None) or self._group(life)
        if group is None:
            return _Look(life, at, None, Limits(), at, Counters())
        read = partial(self._read, group)
        known = same if same and at - same.limits_at < LIMITS else None
        limits = known.limits if known else self._version.limits(read)
        counters = self._version.counters(read, limits)
        if life.unit.endswith(".scope"):  # what its processes had taken before they came is counted where they were
            counters = replace(counters, memory=None)
        if None in (counters.cpu, counters.memory, counters.tasks):
            processes = self._processes(read("systemd", "cgroup.procs") or "", memory=counters.memory is None)
            counters = completed(counters, processes)
        return _Look(life, at, group, limits, known.limits_at if known else at, counters)

    def _read(self, group: str, controller: str, name: str) -> str | None:
        return _text(f"{self._root}{self._version.folder(controller)}{group}/{name}")

    def _group(self, life: Life) -> str | None:
        """The unit's control group, as it is called below the root; None where its main process is not in it."""
        path = below(systemds_path(_text(f"{self._proc}/{life.pid}/cgroup")) or "", self._container)
        head, unit, _ = f"{path}/".partition(f"/{life.unit}/")
        return f"{head}/{life.unit}" if unit else None

    def _processes(self, pids: str, *, memory: bool) -> list[Counters] | None:
        """One by one, if wanted with their memory; None where they are hidden from us."""
        try:
            return list(self._each(pids, ("stat", "statm") if memory else ("stat",)))
        except PermissionError:
            return None

    def _each(self, pids: str, files: Sequence[str]) -> Iterator[Counters]:
        for pid in pids.split():
            texts = [text for name in files if (text := _text(f"{self._proc}/{pid}/{name}", hidden=True))]
            if len(texts) == len(files):  # else it has just ended
                yield process(*texts)


def _usage(before: _Look | None, look: _Look) -> Usage:
    same = before if before and before.life == look.life else None
    counters = look.counters
    return Usage(
        look.life.incarnation,
        cpu=cpu_share(same.counters, counters, look.at - same.at) if same else None,
        memory=counters.memory,
        tasks=counters.tasks,
        memory_limit=look.limits.memory,
        tasks_limit=look.limits.tasks,
        throttled=held_share(same.counters, counters) if same else None,
    )


# --- What is in the files (cgroups(7), and Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of Linux) -----------


def systemds_path(membership: str | None) -> str | None:
    """A process's group in the hierarchy of systemd, which comes first where there are several."""
    found = re.search(r"^\d+:(?:name=systemd)?:(.*)$", membership or "", re.MULTILINE)
    return found[1] if found else None


def limits_1(read: Read) -> Limits:
    return Limits(
        memory=limit(read("memory", "memory.limit_in_bytes")),
        tasks=limit(read("pids", "pids.max")),
        cpu=limit(read("cpu", "cpu.cfs_quota_us")),
    )


def counters_1(read: Read, limits: Limits) -> Counters:
    held = read("cpu", "cpu.stat") if limits.cpu else None
    return Counters(
        cpu=number(read("cpuacct", "cpuacct.usage")),
        memory=without_cache(read("memory", "memory.usage_in_bytes"), read("memory", "memory.stat")),
        tasks=number(read("pids", "pids.current")),
        periods=field(held, "nr_periods"),
        held=field(held, "nr_throttled"),
    )


def limits_2(read: Read) -> Limits:
    return Limits(memory=limit(read("memory", "memory.max")), tasks=limit(read("pids", "pids.max")))


def counters_2(read: Read, limits: Limits) -> Counters:
    stat = read("cpu", "cpu.stat")
    spent = field(stat, "usage_usec")
    return Counters(
        cpu=None if spent is None else spent * 1000,
        memory=without_cache(read("memory", "memory.current"), read("memory", "memory.stat")),
        tasks=number(read("pids", "pids.current")),
        periods=field(stat, "nr_periods"),
        held=field(stat, "nr_throttled"),
    )


@dataclass(frozen=True, slots=True)
class Version:
    """How one version of control groups is read. `folder`: where a controller has its groups."""

    folder: Callable[[str], str]
    limits: Callable[[Read], Limits]
    counters: Callable[[Read, Limits], Counters]


VERSION_1 = Version(lambda controller: f"/{controller}", limits_1, counters_1)
VERSION_2 = Version(lambda controller: "", limits_2, counters_2)


def process(stat: str, statm: str | None = None) -> Counters:
    """One process with its threads, and the time of its children that it has waited for; memory is what it shares with
    no file (proc(5))."""
    fields = stat[stat.rindex(")") + 2 :].split()
    ticks = sum(int(one) for one in fields[11:15])
    return Counters(cpu=ticks * SECOND // TICKS, memory=_unshared(statm) if statm else None, tasks=int(fields[17]))


def _unshared(statm: str) -> int:
    _, resident, shared, *_ = statm.split()
    return max(int(resident) - int(shared), 0) * PAGE


def completed(counters: Counters, processes: Sequence[Counters] | None) -> Counters:
    """The counters of a group, with sums over its processes for what it does not count."""
    if not processes:
        return counters
    return replace(
        counters,
        cpu=sum(one.cpu or 0 for one in processes) if counters.cpu is None else counters.cpu,
        memory=sum(one.memory or 0 for one in processes) if counters.memory is None else counters.memory,
        tasks=sum(one.tasks or 0 for one in processes) if counters.tasks is None else counters.tasks,
        summed=counters.cpu is None,
    )


def number(text: str | None) -> int | None:
    return int(text) if text and text.strip().isdecimal() else None


def limit(text: str | None) -> int | None:
    found = number(text)
    return found if found is not None and found < UNLIMITED else None


def field(text: str | None, name: str) -> int | None:
    """One of the lines `name number`."""
    _, line, rest = f"\n{text}".partition(f"\n{name} ")
    return number(rest.partition("\n")[0]) if line else None


def without_cache(used: str | None, stat: str | None) -> int | None:
    """The memory in use, but for pages of files that nobody has asked for lately: the kernel takes those back first."""
    taken = number(used)
    if taken is None:
        return None
    idle = field(stat, "total_inactive_file") or field(stat, "inactive_file") or 0
    return max(taken - idle, 0)


def cpu_share(before: Counters, now: Counters, passed: timedelta) -> float | None:
    """Of one core. None where it was counted otherwise before, or where a sum has lost a process that ended."""
    if before.cpu is None or now.cpu is None or before.summed is not now.summed or passed <= timedelta():
        return None
    spent = (now.cpu - before.cpu) / SECOND
    return round(spent / passed.total_seconds(), 4) if spent >= 0 else None


def held_share(before: Counters, now: Counters) -> float | None:
    """In how many of the periods since then it was held back; None where nothing limits it."""
    if None in (before.periods, before.held, now.periods, now.held):
        return None
    periods, held = now.periods - before.periods, now.held - before.held  # type: ignore[operator]
    return held / periods if periods > 0 else None


def _text(path: str, *, hidden: bool = False) -> str | None:
    """A small file, None where it cannot be read; with `hidden`, PermissionError where it is there but not for us."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = b"".join(iter(lambda: os.read(descriptor, CHUNK), b""))  # it may come page by page
        finally:
            os.close(descriptor)
    except GONE:
        return None
    except PermissionError:
        if hidden:
            raise
        return None
    except OSError:
        return None
    return content.decode("ascii", "replace")
