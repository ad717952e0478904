"""What agents take, from recorded control groups of both versions, and from the processes of this machine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from supervise.model import Usage
from supervise.observe.scan import TICKS
from supervise.observe.usage import (
    PAGE,
    SECOND,
    Counters,
    Life,
    Meter,
    completed,
    cpu_share,
    field,
    held_share,
    limit,
    number,
    process,
    systemds_path,
    without_cache,
)
from tests.nouns import seconds
from tests.observe.running import eventually, running
from tests.reconcile.rig import Clock

FIXTURES = Path(__file__).parents[1] / "fixtures/cgroups"
AGENTS = [(file.stem, name) for file in sorted(FIXTURES.glob("*.json")) for name in json.loads(file.read_text())]
LIFE = Life("a", "agent@sma.service", 42)
GROUP = "/supervise.slice/agent@sma.service"
SCOPE = "agent-run-sma.scope"
STAT = "42 (a ) b) R 1 42 42 0 -1 0 1 2 3 4 {0} 20 30 40 20 0 {1} 0 99 0 0"
PROCESS = {"/proc/42/stat": STAT.format(10, 2), "/proc/42/statm": "900 500 100 1 0 1 0\n"}
HYBRID = {
    "/proc/42/cgroup": f"9:name=systemd:{GROUP}\n2:cpuacct:/\n0::{GROUP}\n",
    f"/sys/fs/cgroup/systemd{GROUP}/cgroup.procs": "42\n",
    **PROCESS,
}
UNIFIED = {
    "/proc/42/cgroup": f"0::{GROUP}\n",
    "/sys/fs/cgroup/cgroup.controllers": "cpu memory pids\n",
    f"/sys/fs/cgroup{GROUP}/cpu.stat": "usage_usec 5000000\nnr_periods 0\nnr_throttled 0\n",
    f"/sys/fs/cgroup{GROUP}/memory.current": "7000\n",
    f"/sys/fs/cgroup{GROUP}/memory.stat": "anon 5000\ninactive_file 2000\n",
    f"/sys/fs/cgroup{GROUP}/pids.current": "3\n",
}


class Recorded:
    """A machine made of files, and a meter that reads it."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self.folder = folder
        self.clock = Clock()
        self.write(files)
        self.meter = Meter(folder / "sys/fs/cgroup", folder / "proc", self.clock)

    def write(self, files: Mapping[str, str]) -> None:
        for path, text in files.items():
            file = self.folder / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def look(self, life: Life = LIFE, *, after: float = 10) -> Usage:
        self.clock.go_on(seconds(after))
        return self.meter.look({"sma": life})["sma"]


@pytest.mark.parametrize(("version", "name"), AGENTS)
def test_a_recorded_agent_takes_what_it_was_made_to_take(version: str, name: str, tmp_path: Path) -> None:
    recorded = json.loads((FIXTURES / f"{version}.json").read_text())[name]
    first, second = recorded["looks"]
    controllers = {"/sys/fs/cgroup/cgroup.controllers": ""} if version == "version_2" else {}
    machine = Recorded(tmp_path, {**first["files"], **controllers})
    life = Life("a", recorded["unit"], recorded["pid"])
    at_first = machine.look(life)
    machine.write(second["files"])
    found = machine.look(life, after=second["at"] - first["at"])

    assert at_first.cpu is None
    assert at_first.throttled is None
    assert at_first.tasks == found.tasks
    for key, bounds in recorded["expect"].items():
        seen = getattr(found, key)
        assert seen is None if bounds is None else bounds[0] <= seen <= bounds[1], (key, seen)


def test_both_versions_were_recorded() -> None:
    assert {version for version, _ in AGENTS} == {"version_1", "version_2"}


# --- What has no control group ----------------------------------------------------------------------------------------


def test_what_no_group_counts_is_summed_up_over_its_processes(tmp_path: Path) -> None:
    machine = Recorded(tmp_path, HYBRID)
    assert machine.look() == Usage("a", memory=400 * PAGE, tasks=2)
    machine.write({"/proc/42/stat": STAT.format(10 + TICKS, 5)})
    assert machine.look(after=4) == Usage("a", cpu=0.25, memory=400 * PAGE, tasks=5)


def test_a_process_that_has_just_ended_is_left_out(tmp_path: Path) -> None:
    machine = Recorded(tmp_path, {**HYBRID, f"/sys/fs/cgroup/systemd{GROUP}/cgroup.procs": "42\n43\n"})
    assert machine.look().tasks == 2


def test_a_group_is_preferred_to_its_processes(tmp_path: Path) -> None:
    counted = {
        f"/sys/fs/cgroup/memory{GROUP}/memory.usage_in_bytes": "9000\n",
        f"/sys/fs/cgroup/memory{GROUP}/memory.stat": "inactive_file 7\ntotal_inactive_file 1000\n",
        f"/sys/fs/cgroup/cpuacct{GROUP}/cpuacct.usage": f"{SECOND}\n",
    }
    machine = Recorded(tmp_path, {**HYBRID, **counted})
    assert (machine.look().memory, machine.look().cpu) == (8000, 0.0)
    machine.write({f"/sys/fs/cgroup/cpuacct{GROUP}/cpuacct.usage": f"{6 * SECOND}\n"})
    assert machine.look().cpu == 0.5


@pytest.mark.parametrize("files", [HYBRID, UNIFIED])
def test_what_an_adopted_process_took_before_it_came_counts_too(files: Mapping[str, str], tmp_path: Path) -> None:
    nothing = {
        f"/sys/fs/cgroup{folder}{GROUP}/{name}": text
        for folder, name, text in (
            ("/memory", "memory.usage_in_bytes", "0\n"),
            ("/memory", "memory.stat", "total_inactive_file 0\n"),
            ("", "memory.current", "0\n"),
            ("", "cgroup.procs", "42\n"),
        )
    }
    moved = {path: text.replace(LIFE.unit, SCOPE) for path, text in {**files, **PROCESS, **nothing}.items()}
    machine = Recorded(tmp_path, {path.replace(LIFE.unit, SCOPE): text for path, text in moved.items()})
    assert machine.look(Life("a", SCOPE, 42)).memory == 400 * PAGE


def test_processes_that_are_hidden_from_us_are_no_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = {f"/sys/fs/cgroup/systemd{GROUP}/cgroup.procs": "42\n43\n", "/proc/43/stat": STAT.format(10, 2)}
    machine = Recorded(tmp_path, {**HYBRID, **two})
    really = os.open

    def refused(path: str, *args: Any, **named: Any) -> int:
        if "/proc/43/" in path:
            raise PermissionError(path)
        return really(path, *args, **named)

    monkeypatch.setattr(os, "open", refused)
    assert machine.look() == Usage("a")


def test_a_group_without_processes_is_no_zero(tmp_path: Path) -> None:
    assert Recorded(tmp_path, {**HYBRID, f"/sys/fs/cgroup/systemd{GROUP}/cgroup.procs": ""}).look() == Usage("a")


@pytest.mark.parametrize("membership", ["", "0::/user.slice\n", f"0::{GROUP}x\n", "nonsense"])
def test_a_main_process_outside_of_its_unit_tells_nothing(membership: str, tmp_path: Path) -> None:
    machine = Recorded(tmp_path, {**UNIFIED, "/proc/42/cgroup": membership})
    assert machine.look() == Usage("a")
    machine.write({"/proc/42/cgroup": f"0::{GROUP}/deeper\n"})
    assert machine.look().memory == 5000


def test_inside_a_container_its_own_part_of_the_path_is_not_looked_for(tmp_path: Path) -> None:
    above = "/docker/1234"
    paths = {"/proc/self/cgroup": f"0::{above}/init.scope\n", "/proc/42/cgroup": f"0::{above}{GROUP}\n"}
    assert Recorded(tmp_path, {**UNIFIED, **paths}).look().memory == 5000


# --- Shares -----------------------------------------------------------------------------------------------------------


def test_a_share_is_since_the_last_look_at_the_same_life(tmp_path: Path) -> None:
    machine = Recorded(tmp_path, UNIFIED)
    assert machine.look().cpu is None
    machine.write({f"/sys/fs/cgroup{GROUP}/cpu.stat": "usage_usec 20000000\nnr_periods 40\nnr_throttled 10\n"})
    found = machine.look()
    assert (found.cpu, found.throttled) == (1.5, 0.25)
    another = machine.look(Life("b", LIFE.unit, 42))
    assert (another.incarnation, another.cpu, another.throttled) == ("b", None, None)


def test_whoever_was_not_asked_about_is_forgotten(tmp_path: Path) -> None:
    machine = Recorded(tmp_path, UNIFIED)
    machine.look()
    assert machine.meter.look({}) == {}
    assert machine.look().cpu is None


def test_limits_are_read_again_after_a_minute_and_for_a_new_life(tmp_path: Path) -> None:
    machine = Recorded(tmp_path, UNIFIED)
    assert machine.look().memory_limit is None
    machine.write({f"/sys/fs/cgroup{GROUP}/memory.max": "9000\n"})
    assert machine.look(after=59).memory_limit is None
    assert machine.look(after=1).memory_limit == 9000
    machine.write({f"/sys/fs/cgroup{GROUP}/memory.max": "8000\n"})
    assert machine.look(Life("b", LIFE.unit, 42), after=1).memory_limit == 8000


@pytest.mark.parametrize(
    ("before", "now", "passed", "share"),
    [
        (Counters(cpu=0), Counters(cpu=SECOND), 2, 0.5),
        (Counters(cpu=0), Counters(cpu=0), 2, 0.0),
        (Counters(cpu=5), Counters(cpu=4), 2, None),
        (Counters(cpu=0), Counters(cpu=SECOND), 0, None),
        (Counters(), Counters(cpu=SECOND), 2, None),
        (Counters(cpu=0), Counters(), 2, None),
        (Counters(cpu=0), Counters(cpu=SECOND, summed=True), 2, None),
    ],
)
def test_a_share_is_none_where_two_looks_cannot_be_compared(
    before: Counters, now: Counters, passed: float, share: float | None
) -> None:
    assert cpu_share(before, now, timedelta(seconds=passed)) == share


@pytest.mark.parametrize(
    ("before", "now", "share"),
    [((10, 2), (30, 12), 0.5), ((10, 2), (10, 2), None), ((None, None), (10, 2), None), ((0, 0), (None, None), None)],
)
def test_a_share_of_periods_needs_periods(before: Any, now: Any, share: float | None) -> None:
    assert held_share(*(Counters(periods=one[0], held=one[1]) for one in (before, now))) == share


# --- What is in the files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"), [("12\n", 12), ("max\n", None), ("-1\n", None), ("", None), (None, None), ("0\n", 0)]
)
def test_a_number_is_one_or_nothing(text: str | None, found: int | None) -> None:
    assert number(text) == found


@pytest.mark.parametrize(("text", "found"), [("512\n", 512), ("9223372036854771712\n", None), ("max\n", None)])
def test_the_greatest_number_of_version_1_is_no_limit(text: str, found: int | None) -> None:
    assert limit(text) == found


def test_a_field_is_found_by_its_whole_name() -> None:
    assert field("total_x 1\nx 2\n", "x") == 2
    assert field("x 2", "x") == 2
    assert field("x y\n", "x") is None
    assert field(None, "x") is None


@pytest.mark.parametrize(
    ("used", "stat", "memory"), [("9\n", None, 9), ("9\n", "inactive_file 12\n", 0), (None, "inactive_file 1\n", None)]
)
def test_memory_is_never_less_than_nothing_and_never_made_up(used: str | None, stat: str | None, memory: Any) -> None:
    assert without_cache(used, stat) == memory


def test_the_hierarchy_of_systemd_is_the_one_that_counts() -> None:
    assert systemds_path("4:memory:/m\n1:name=systemd:/s\n0::/u\n") == "/s"
    assert systemds_path("0::/u:with:colons\n") == "/u:with:colons"
    assert systemds_path("4:memory:/m\n") is None


def test_a_process_with_a_strange_name_is_understood() -> None:
    found = process(STAT.format(10, 2), "900 500 100 1 0 1 0\n")
    assert found == Counters(cpu=100 * SECOND // TICKS, memory=400 * PAGE, tasks=2)


def test_only_what_is_missing_is_summed_up() -> None:
    each = [Counters(cpu=1, memory=2, tasks=3)] * 2
    assert completed(Counters(memory=7), each) == Counters(cpu=2, memory=7, tasks=6, summed=True)
    assert completed(Counters(cpu=7), each) == Counters(cpu=7, memory=4, tasks=6)
    assert completed(Counters(cpu=7), None) == Counters(cpu=7)


# --- This machine -----------------------------------------------------------------------------------------------------


def test_a_real_process_that_spins_is_seen_to_spin(tmp_path: Path) -> None:
    """Its group is made of files, the process is real."""
    with running(tmp_path) as programs:
        pid = programs.start(sys.executable, "-c", f"x = bytearray({32 << 20})\nwhile True: pass").pid
        machine = Recorded(tmp_path, {f"/sys/fs/cgroup/systemd{GROUP}/cgroup.procs": f"{pid}\n"})
        machine.write({f"/proc/{pid}/cgroup": f"1:name=systemd:{GROUP}\n"})
        for name in ("stat", "statm"):
            (tmp_path / f"proc/{pid}/{name}").symlink_to(f"/proc/{pid}/{name}")
        life = Life("a", LIFE.unit, pid)
        assert eventually(lambda: (machine.look(life).memory or 0) >= 32 << 20)
        assert eventually(lambda: (machine.look(life, after=0.001).cpu or 0) > 0)
        assert machine.look(life).tasks == 1
