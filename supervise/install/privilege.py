"""Which agents would run with more rights than an ordinary user. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from supervise.model import AgentSpec, Scope

ELEVATING = frozenset(
    {
        "AmbientCapabilities",
        "CapabilityBoundingSet",
        "User",
        "Group",
        "SupplementaryGroups",
        "PermissionsStartOnly",
        "NoNewPrivileges",
        "RootDirectory",
        "BindPaths",
        "DeviceAllow",
        "Delegate",
        "OpenFile",
        "PAMName",
    }
)
"""Directives of the raw `systemd:` map that can widen what a process may do."""
FULL_RIGHTS = ("+", "!")
"""systemd.service(5): prefixes of a command line that lift its user and its sandbox."""


def privileged(specs: Iterable[AgentSpec]) -> Iterator[tuple[str, str]]:
    """(agent, why) for each; system scope only, a user's own manager can give nobody more than the user has."""
    for spec in specs:
        if spec.scope is Scope.USER:
            continue
        if spec.user in ("root", "0") or (spec.user is None and not spec.dynamic_user):
            yield spec.name, f"runs as root: {' '.join(spec.command)}"
        if spec.group in ("root", "0"):
            yield spec.name, "runs in group root"
        for name, values in sorted(spec.systemd.get("Service", {}).items()):
            for value in values:
                if name in ELEVATING or (name.startswith("Exec") and value.lstrip("@-:").startswith(FULL_RIGHTS)):
                    yield spec.name, f"systemd: sets {name}={value}"
