"""The agents of a run: several kinds that differ in how they live, die and are started again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

OWNER, STRANGER = "ops", "stranger"
PLANTED = "copy-"
"""How the units begin in which copies are planted."""
FOLDER, ELSEWHERE = f"/home/{OWNER}/chaos", "/srv/elsewhere"
SHELL = "trap 'exit 0' USR1; trap 'exit 3' USR2; while :; do sleep 0.5 & wait; done"
PATIENT = {"first": "2s", "factor": 2, "max": "4s", "settle": "5s"}
DEFAULTS: Mapping[str, Any] = {
    "user": OWNER,
    "stop_timeout": "2s",
    "restart": {"delay": "500ms", "burst": 1000, "loop": "off"},
    "quarantine": PATIENT,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to be an agent. `settings` go into `agents.yaml` as they are; the rest is what the oracle knows of it."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    mode: str = "plain"
    """How it runs: `plain` and `beats` are those of `program.py`, `shell` is a shell."""
    policy: str = "always"
    watchdog: float | None = None
    """Seconds of silence after which its manager kills it."""
    late_after: float | None = None
    silent_after: float | None = None
    """Seconds of silence after which it is warned of, and restarted by the reconciler."""
    loop: int | None = None
    """So many deaths and it is taken out of service."""
    ends_copies: bool = False
    """Copies of its own user are ended."""
    loose: bool = False
    """Its children stay when it is stopped."""

    @property
    def beats(self) -> bool:
        return self.mode == "beats"


KINDS = (
    Kind("plain"),
    Kind("beats", {"watchdog": "2s"}, mode="beats", watchdog=2),
    Kind("shell", mode="shell"),
    Kind("notify", {"watchdog": "2s", "notify": True}, mode="beats", watchdog=2),
    Kind("fragile", {"restart": {"delay": "100ms", "burst": 3, "window": "30s"}}),
    Kind("plain"),
    Kind(
        "silent",
        {"watchdog": "off", "heartbeat": {"late_after": "7s", "silent_after": "11s"}},
        mode="beats",
        late_after=7,
        silent_after=11,
    ),
    Kind("beats", {"watchdog": "2s"}, mode="beats", watchdog=2),
    Kind("looping", {"restart": {"delay": "200ms", "loop": "3 in 1min"}}, loop=3),
    Kind("once", {"restart": {"policy": "on-failure", "delay": "300ms"}}, policy="on-failure"),
    Kind("never", {"restart": {"policy": "never"}}, policy="never"),
    Kind("guarded", {"hidden": "stop"}, ends_copies=True),
    Kind("loose", {"systemd": {"Service": {"KillMode": "process"}}}, loose=True),
)


@dataclass(frozen=True, slots=True)
class Member:
    """One agent of a run."""

    name: str
    kind: Kind

    @property
    def unit(self) -> str:
        return f"agent@{self.name}.service"

    @property
    def copy(self) -> str:
        return f"{PLANTED}{self.name}.service"

    @property
    def argv(self) -> tuple[str, ...]:
        """Its command line, as the kernel shows it too."""
        if self.kind.mode == "shell":
            return ("/bin/sh", "-c", SHELL, self.name)
        return ("/usr/bin/python3", "agent.py", self.name, self.kind.mode)


def crew(size: int, *, kinds: Sequence[Kind] = KINDS) -> tuple[Member, ...]:
    return tuple(Member(f"{kind.name}_{number}", kind) for number, kind in enumerate(islice(cycle(kinds), size)))


def agents_yaml(members: Sequence[Member]) -> dict[str, Any]:
    agents = {one.name: {**one.kind.settings, "command": list(one.argv)} for one in members}
    return {"project": "chaos", "defaults": DEFAULTS, "agents": agents}
