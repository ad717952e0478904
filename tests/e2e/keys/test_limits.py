"""What an agent may use, write and log."""

from __future__ import annotations

import pytest

from supervise.model import Scope
from tests.e2e.keys.catalogue import MACHINE, OWN, shows
from tests.e2e.keys.fleet import Fleet
from tests.lab import eventually

pytestmark = pytest.mark.lab


@shows(
    "resources.memory",
    scopes=MACHINE,
    agents="""
  hungry: {resources: {memory: 40M}, command: /usr/bin/python3 probe.py eat=400}
""",
)
def test_who_takes_more_memory_is_killed(fleet: Fleet) -> None:
    fleet.comes_to("hungry", "ActiveState", "failed")
    assert fleet.show("hungry", "ExecMainStatus") == "9"
    assert fleet.said("hungry", "ate") == []


@shows(
    "resources.cpu",
    scopes=MACHINE,
    agents="""
  busy: {auto_start: false, resources: {cpu: 20%}, command: /usr/bin/python3 probe.py busy=1}
""",
)
def test_who_computes_all_the_time_gets_its_share(fleet: Fleet) -> None:
    fleet.supervise("start", "busy")  # now, since at first all of them start, and nobody gets more
    assert fleet.heard("busy", "busied")[0]["used"] < 0.4


@shows(
    "resources.tasks",
    scopes=MACHINE,
    agents="""
  crowded: {resources: {tasks: 5}, command: /usr/bin/python3 probe.py fork=20}
""",
)
def test_who_starts_too_many_processes_is_refused(fleet: Fleet) -> None:
    forked = fleet.heard("crowded", "forked")[0]
    assert (forked["children"], forked["error"]) == (4, "EAGAIN")


@shows(
    "resources.memory",
    "resources.cpu",
    "resources.tasks",
    scopes=OWN,
    agents="""
  limited: {resources: {memory: 40M, cpu: 20%, tasks: 5}}
""",
)
def test_the_users_own_manager_knows_the_limits(fleet: Fleet) -> None:
    """It enforces them only where it is given a part of the controllers, which cgroup v1 does not do."""
    assert fleet.show("limited", "MemoryMax") == str(40 << 20)
    assert fleet.show("limited", "CPUQuotaPerSecUSec") == "200ms"
    assert fleet.show("limited", "TasksMax") == "5"


@shows(
    "resources.open_files",
    agents="""
  closed: {resources: {open_files: "64:128"}}
""",
)
def test_open_files_are_limited_softly_and_hard(fleet: Fleet) -> None:
    assert fleet.facts("closed")["open_files"] == [64, 128]


@shows(
    "resources.memory_high",
    "resources.io_weight",
    agents="""
  weighed: {resources: {memory_high: 48M, io_weight: 300}}
""",
)
def test_what_this_kernel_does_not_enforce_is_known_to_the_manager(fleet: Fleet) -> None:
    assert fleet.show("weighed", "MemoryHigh") == str(48 << 20)
    assert fleet.show("weighed", "IOWeight") == "300"


@shows(
    "hardening",
    "writable_paths",
    agents="""
  bare:
    hardening: none
    command: /usr/bin/python3 probe.py write=/etc/keys/bare write=bare write=data/bare
  fenced:
    command: /usr/bin/python3 probe.py write=/etc/keys/fenced write=fenced write=data/fenced
  caged:
    hardening: strict
    writable_paths: [data, /run/said]
    command: /usr/bin/python3 probe.py write=/etc/keys/caged write=caged write=data/caged
""",
)
def test_each_level_of_hardening_takes_more_and_writable_paths_give_back(fleet: Fleet) -> None:
    etc = "EROFS" if fleet.scope is Scope.SYSTEM else "ok"  # a user's own manager cannot make it read-only
    assert _fence(fleet, "bare") == ("0", "ok", "ok", "ok")
    assert _fence(fleet, "fenced") == ("1", etc, "ok", "ok")
    assert _fence(fleet, "caged") == ("1", "EROFS", "EROFS", "ok")


@shows(
    "logs.rate_limit",
    scopes=MACHINE,
    agents="""
  flooding: {logs: {rate_limit: 20/1h}, command: /usr/bin/python3 probe.py flood=3000}
  telling: {command: /usr/bin/python3 probe.py flood=900}
""",
)
def test_a_flood_of_lines_is_cut(fleet: Fleet) -> None:
    fleet.heard("flooding", "flooded")
    fleet.heard("telling", "flooded")
    eventually(lambda: _lines(fleet, "telling") == 900, "all lines of the one that may")
    assert 20 <= _lines(fleet, "flooding") < 1000


@shows("logs.rate_limit", scopes=OWN)
def test_a_limit_that_a_user_s_manager_cannot_pass_on_is_named(fleet: Fleet) -> None:
    fleet.write("loud.yaml", fleet.file("  loud: {logs: {rate_limit: 20/1h}}", "loud"))
    done = fleet.supervise("check", "-f", f"{fleet.folder}/loud.yaml")
    assert "agents.loud.logs.rate_limit: has no effect with --user" in done.stderr


@shows(
    "systemd",
    agents="""
  nice: {systemd: {Service: {Nice: 5}, Unit: {Documentation: ["https://example.org/a", "https://example.org/b"]}}}
""",
)
def test_raw_directives_are_handed_on(fleet: Fleet) -> None:
    assert fleet.facts("nice")["nice"] == 5
    assert fleet.show("nice", "Documentation") == "https://example.org/a https://example.org/b"


def _fence(fleet: Fleet, name: str) -> tuple[str, ...]:
    wrote = fleet.heard(name, "wrote", times=3)
    return (fleet.facts(name)["no_new_privileges"], *(one["result"] for one in wrote))


def _lines(fleet: Fleet, name: str) -> int:
    return sum(line.startswith("line ") for line in fleet.journal(name))
