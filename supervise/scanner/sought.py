"""The agents to look for, as the manifests name them: only what tells their processes from others.

The manifests are read with the standard library alone. One that cannot be read keeps what it said before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervise.model import AgentSpec, HiddenPolicy, Scope

Stamp = tuple[tuple[str, int, int], ...]


class Sought:
    """The agents of all manifests of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp: Stamp | None = None
        self._by_file: dict[str, tuple[AgentSpec, ...]] = {}

    @property
    def specs(self) -> tuple[AgentSpec, ...]:
        return tuple(spec for name in sorted(self._by_file) for spec in self._by_file[name])

    def changed(self) -> bool:
        """Whether something else is sought since this was last asked."""
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self._by_file = {name: self._read(name) for name, _, _ in stamp}
        return True

    def _stamp_now(self) -> Stamp:
        try:
            found = sorted(self._folder.glob("*.json"))
            return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_ino) for file in found)
        except OSError:  # somebody is replacing one: the next look tells
            return self._stamp or ()

    def _read(self, name: str) -> tuple[AgentSpec, ...]:
        try:
            said = json.loads((self._folder / name).read_bytes())
            return tuple(map(spec, said["agents"]))
        except (OSError, ValueError, KeyError, TypeError):
            return self._by_file.get(name, ())


def spec(said: Mapping[str, Any]) -> AgentSpec:
    """An agent's spec with what matters here; all else stands at its default."""
    return AgentSpec(
        name=said["name"],
        base=said["base"],
        title=said["title"],
        project=said["project"],
        scope=Scope(said["scope"]),
        command=tuple(said["command"]),
        working_directory=Path(said["working_directory"]),
        instance=said["instance"],
        environment=said["environment"],
        user=said["user"],
        hidden=HiddenPolicy(said["hidden"]),
    )
