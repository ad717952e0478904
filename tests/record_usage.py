"""Records what the kernel says of agents that take what they were made to take, as test cases for `observe/usage.py`.

Run by `scripts/record --usage` inside the lab (control groups version 1) or a virtual machine (version 2); prints one
JSON object: agent → {expect, unit, pid, looks: [{at, files}]}. `expect` is what the agent was made to take, as ranges.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNITS = Path("/run/systemd/system")
CGROUPS = Path("/sys/fs/cgroup")
MIB = 1024 * 1024
IN_MEMORY = 0 if (CGROUPS / "cgroup.controllers").exists() else 64 * MIB
"""What the file of `idle` takes: the disk of the lab is a tmpfs, so there it is no cache that could be given up."""
FILES = (
    *("cpuacct.usage", "cpu.stat", "cpu.cfs_quota_us", "memory.usage_in_bytes", "memory.stat", "memory.limit_in_bytes"),
    *("memory.current", "memory.max", "pids.current", "pids.max", "cgroup.procs"),
)
BETWEEN = 3.0
"""Seconds between the two looks."""


@dataclass(frozen=True)
class Case:
    """A program, its limits, and within what bounds the figures must then be."""

    program: str
    settings: str
    expect: dict[str, Any]


CASES = {
    "busy": Case(
        f"x = bytearray({50 * MIB})\nwhile True: pass",
        "MemoryMax=200M\nCPUQuota=20%\nTasksMax=30",
        {
            "cpu": [0.12, 0.28],
            "memory": [50 * MIB, 62 * MIB],
            "tasks": [1, 1],
            "memory_limit": [200 * MIB, 200 * MIB],
            "tasks_limit": [30, 30],
            "throttled": [0.7, 1.0],
        },
    ),
    "idle": Case(
        f"""import mmap, os, threading, time
x = bytearray({20 * MIB})
open("/var/tmp/cached", "wb").write(bytes({64 * MIB}))
open("/var/tmp/cached", "rb").read()
threading.Thread(target=time.sleep, args=(1000,)).start()
os.fork()
time.sleep(1000)""",
        "",
        {
            "cpu": [0.0, 0.05],
            "memory": [IN_MEMORY + 20 * MIB, IN_MEMORY + 45 * MIB],
            "tasks": [3, 3],
            "throttled": None,
            "memory_limit": None,
        },
    ),
}


def main() -> None:
    for name, case in CASES.items():
        (UNITS / f"{name}.py").write_text(case.program)
        (UNITS / f"agent@{name}.service").write_text(
            f"[Service]\nSlice=supervise.slice\nExecStart=/usr/bin/python3 {UNITS}/{name}.py\n{case.settings}\n"
        )
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "start", *(f"agent@{name}" for name in CASES)], check=True)
    time.sleep(2 * BETWEEN)  # until all have taken what they take
    looks: dict[str, list[Any]] = {name: [] for name in CASES}
    for _ in range(2):
        for name in CASES:
            looks[name].append({"at": time.monotonic(), "files": files(name)})
        time.sleep(BETWEEN)
    found = {
        name: {"expect": case.expect, "unit": f"agent@{name}.service", "pid": main_pid(name), "looks": looks[name]}
        for name, case in CASES.items()
    }
    print(json.dumps(found, indent=1, sort_keys=True))


def main_pid(name: str) -> int:
    return int(subprocess.check_output(["systemctl", "show", "--value", "-p", "MainPID", f"agent@{name}"]))


def files(name: str) -> dict[str, str]:
    """All that may be read of one agent, by path."""
    membership = Path(f"/proc/{main_pid(name)}/cgroup")
    found = {str(membership): membership.read_text()}
    for line in found[str(membership)].splitlines():
        _, controllers, path = line.split(":", 2)
        found |= read(CGROUPS / re.sub("^name=", "", controllers) / path.lstrip("/"))
    for pid in {pid for path, text in found.items() if path.endswith("cgroup.procs") for pid in text.split()}:
        found |= {f"/proc/{pid}/{one}": Path(f"/proc/{pid}/{one}").read_text() for one in ("stat", "statm")}
    return found


def read(group: Path) -> dict[str, str]:
    if group.name.startswith("agent@"):
        return {str(group / one): (group / one).read_text() for one in FILES if (group / one).exists()}
    return {}


if __name__ == "__main__":
    main()
