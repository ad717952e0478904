"""The oracle's eyes: `/proc` of the lab as the kernel shows it, and `systemctl show`, asked through a shell inside.

It reads and never writes. A look is not of one moment: it carries when it began and when it ended.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.crew import ELSEWHERE, PLANTED, Member
from tests.chaos.facts import Facts, Process, Unit
from tests.lab import Lab

HOLDS = "/var/lib/supervise/hold"
TICKS = os.sysconf("SC_CLK_TCK")
SLEPT = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
"""Processes are dated by the clock that counts through suspends."""
YOUNG = 5.0
"""Seconds in which a new process may still become another program or be put into another control group: on a machine
that has no time, between fork(2) and execve(2) there may be some."""
END = "--- end of answer ---"
PROPERTIES = (
    "ActiveExitTimestampMonotonic",
    "ActiveState",
    "ExecMainCode",
    "ExecMainExitTimestampMonotonic",
    "ExecMainStartTimestampMonotonic",
    "ExecMainStatus",
    "Id",
    "Job",
    "MainPID",
    "NRestarts",
    "NeedDaemonReload",
    "Result",
    "StateChangeTimestampMonotonic",
    "SubState",
    "WatchdogTimestampMonotonic",
    "WatchdogUSec",
)
UNARMED = ("0", "infinity")
MAKERS = frozenset({"supervise-reconciler.service", "supervise-scan.service", "dbus.service"})
"""With systemd itself they make rows true."""
UNIT = re.compile(r"[^/]+\.(?:service|scope)")


def drop_in(name: str) -> str:
    return f"/etc/systemd/system/agent@{name}.service.d/50-supervise.conf"


class Shell:
    """A shell inside the lab that stays, since entering it anew for each question costs more than the question."""

    def __init__(self, lab: Lab) -> None:
        self._shell = lab.popen("sh", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, command: str) -> str:
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.write(f"{command}; echo; echo '{END}'\n")
        self._shell.stdin.flush()
        lines = iter(self._shell.stdout.readline, "")
        found: list[str] = []
        for line in lines:
            if line.rstrip("\n") == END:
                return "".join(found)
            found.append(line)
        raise RuntimeError("the shell inside the lab has ended")

    def close(self) -> None:
        self._shell.kill()
        self._shell.communicate()


@dataclass(frozen=True, slots=True)
class Census:
    """Who runs in the lab, by agent: in its unit, and outside of it with its command line."""

    inside: Mapping[str, tuple[Process, ...]]
    outside: Mapping[str, tuple[Process, ...]]
    elsewhere: tuple[Process, ...]
    """Those with some agent's command line in a directory that is no agent's."""
    waited: Mapping[tuple[int, float], float]
    """Of those that make rows true: the seconds that each has waited for a processor in its life."""


class Look:
    """Looks at the agents of one lab."""

    def __init__(self, lab: Lab, members: Sequence[Member]) -> None:
        self.members = {one.name: one for one in members}
        self._by_argv = {one.argv: one.name for one in members}
        self._by_unit = {one.unit: one.name for one in members}
        self._shell = Shell(lab)
        self._proc = os.open(lab.path("/proc"), os.O_RDONLY | os.O_DIRECTORY)
        self._known: dict[tuple[int, float], Process] = {}
        self._holds = lab.path(HOLDS)
        self._drop_ins = {name: lab.path(drop_in(name)) for name in self.members}
        self._installed = {name: path.read_bytes() for name, path in self._drop_ins.items()}

    def close(self) -> None:
        self._shell.close()
        os.close(self._proc)

    def census(self) -> Census:
        inside: defaultdict[str, list[Process]] = defaultdict(list)
        outside: defaultdict[str, list[Process]] = defaultdict(list)
        elsewhere, waited = [], {}
        for one in self._processes():
            if one.pid == 1 or one.unit in MAKERS:
                waited[one.life] = self._waited(one.pid)
            if name := self._by_unit.get(one.unit):
                inside[name].append(one)
            elif name := self._by_argv.get(one.argv):
                if one.directory == ELSEWHERE:
                    elsewhere.append(one)
                else:
                    outside[name].append(one)
        return Census(
            {name: tuple(found) for name, found in inside.items()},
            {name: tuple(found) for name, found in outside.items()},
            tuple(elsewhere),
            waited,
        )

    def facts(self, names: Collection[str], census: Census, *, begin: float) -> Iterator[tuple[str, Facts]]:
        units = self._units([self.members[name].unit for name in names])
        end = time.monotonic()
        for name in names:
            unit = units[self.members[name].unit]
            held, edited = self._held(name), self._edited(name)
            outside = census.outside.get(name, ())
            marks = (unit.changed, unit.started, unit.exited, held or 0, edited or 0, *(one.started for one in outside))
            yield (
                name,
                Facts(begin, end, unit, census.inside.get(name, ()), outside, held, edited, moments=marks),
            )

    # --- systemd ------------------------------------------------------------------------------------------------------

    def _units(self, units: Sequence[str]) -> dict[str, Unit]:
        if not units:
            return {}
        chosen = ",".join(PROPERTIES)
        told = self._shell.ask(f"systemctl show -p {chosen} {' '.join(units)}")
        return dict(parsed(told))

    # --- Disk ---------------------------------------------------------------------------------------------------------

    def _held(self, name: str) -> float | None:
        try:
            return _monotonic((self._holds / name).stat().st_ctime)
        except OSError:
            return None

    def _edited(self, name: str) -> float | None:
        path: Path = self._drop_ins[name]
        if path.read_bytes() == self._installed[name]:
            return None
        return _monotonic(path.stat().st_ctime)

    # --- /proc --------------------------------------------------------------------------------------------------------

    def _processes(self) -> list[Process]:
        found = {}
        for entry in os.listdir(self._proc):
            if entry.isdecimal() and (process := self._process(entry)):
                found[process.life] = process
        self._known = found
        return list(found.values())

    def _process(self, pid: str) -> Process | None:
        """None for one that is gone, a zombie, or without a command line."""
        try:
            state, started = _state_and_start(self._read(pid, "stat"))
            if state in "ZX":
                return None
            known = self._known.get((int(pid), started))
            if known and time.monotonic() - started > YOUNG:
                return known
            argv = tuple(self._read(pid, "cmdline").removesuffix("\0").split("\0"))
            return Process(
                int(pid),
                started,
                state,
                os.stat(pid, dir_fd=self._proc).st_uid,
                argv,
                os.readlink(f"{pid}/cwd", dir_fd=self._proc),
                _unit_of(self._read(pid, "cgroup")),
            )
        except (FileNotFoundError, ProcessLookupError):
            return None

    def _waited(self, pid: int) -> float:
        """proc(5): the second figure of schedstat, in nanoseconds; that of the main thread."""
        try:
            return int(self._read(str(pid), "schedstat").split()[1]) / 1e9
        except (FileNotFoundError, ProcessLookupError):
            return 0.0

    def _read(self, pid: str, what: str) -> str:
        descriptor = os.open(f"{pid}/{what}", os.O_RDONLY, dir_fd=self._proc)
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
            return file.read()


def parsed(told: str) -> Iterator[tuple[str, Unit]]:
    """The answer of `systemctl show` to several units."""
    for block in told.strip().split("\n\n"):
        said = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        yield (
            said["Id"],
            Unit(
                active=said["ActiveState"],
                sub=said["SubState"],
                pid=int(said["MainPID"]),
                job=said.get("Job", "") not in ("", "0"),
                result=said["Result"],
                code=int(said["ExecMainCode"]),
                status=int(said["ExecMainStatus"]),
                restarts=int(said["NRestarts"]),
                started=_seconds(said["ExecMainStartTimestampMonotonic"]),
                exited=_seconds(said["ExecMainExitTimestampMonotonic"]),
                left_active=_seconds(said["ActiveExitTimestampMonotonic"]),
                changed=_seconds(said["StateChangeTimestampMonotonic"]),
                pinged=0.0 if said["WatchdogUSec"] in UNARMED else _seconds(said["WatchdogTimestampMonotonic"]),
                stale=said["NeedDaemonReload"] == "yes",
            ),
        )


def _seconds(microseconds: str) -> float:
    return int(microseconds) / 1e6


def _monotonic(wall: float) -> float:
    return time.monotonic() - (time.time() - wall)


def _state_and_start(stat: str) -> tuple[str, float]:
    fields = stat[stat.rindex(")") + 2 :].split()
    return fields[0], int(fields[19]) / TICKS - SLEPT


def _unit_of(cgroups: str) -> str:
    """systemd's own hierarchy (`name=systemd`), or the only one."""
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("name=systemd", ""):
            found = UNIT.findall(path)
            if found:
                return str(found[-1])
    return ""


def planted(census: Census) -> frozenset[str]:
    """The units of copies that live now."""
    everyone = itertools.chain(census.elsewhere, *census.outside.values())
    return frozenset(one.unit for one in everyone if one.unit.startswith(PLANTED))


def lives(processes: Iterable[Process]) -> frozenset[tuple[int, float]]:
    return frozenset(one.life for one in processes)
