"""Users and groups: ours are there, those of agents still are, and whoever looks may act."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator

from supervise.access import identity
from supervise.control import OPERATORS
from supervise.doctor.findings import Finding, Severity, listed
from supervise.doctor.installation import Installation
from supervise.doctor.remedies import install_any, shell
from supervise.fitting_alerts import DAEMON
from supervise.platforms.systemd.units import AGENTS_GROUP

CHECK = "accounts"


def accounts(there: Installation) -> Iterator[Finding]:
    absent = [] if there.daemon else [f"user {DAEMON}"]
    absent += [f"group {name}" for name in (AGENTS_GROUP, OPERATORS) if _group(name) is None]
    if absent:
        file = there.places.sysusers
        command = shell(there, ("systemd-sysusers", file)) if file and file.exists() else install_any(there)
        yield Finding(CHECK, Severity.ERROR, f"There is no {listed(absent)}.", "Make what is missing.", command)
    yield from _of_agents(there)
    if there.uid != 0 and (group := _group(OPERATORS)):
        yield from _operator(there, group, pwd.getpwuid(there.uid).pw_name)


def _of_agents(there: Installation) -> Iterator[Finding]:
    lost: dict[str, list[str]] = {}
    for spec in (spec for manifest in there.manifests for spec in manifest.agents):
        try:
            if spec.user:
                identity(spec.user, spec.group)
        except KeyError:
            lost.setdefault(f"{spec.user}{f':{spec.group}' if spec.group else ''}", []).append(spec.name)
    for who, names in lost.items():
        text = f"There is no {who} any more, so this cannot start again: {listed(names)}."
        yield Finding(CHECK, Severity.ERROR, text, "Make the account again, or write another `user:` and install.")


def _operator(there: Installation, group: grp.struct_group, me: str) -> Iterator[Finding]:
    if group.gr_gid in os.getgroups():
        yield Finding(CHECK, Severity.OK, f"{me} may act on agents without root.")
    elif me in group.gr_mem:
        text = f"{me} has come into group {OPERATORS}, and this session does not know it yet."
        yield Finding(CHECK, Severity.NOTE, text, "Log in again, or take a shell that knows it.", f"newgrp {OPERATORS}")
    else:
        command = shell(there, ("usermod", "-aG", OPERATORS, me))
        text = f"{me} is not in group {OPERATORS}, so to start and stop agents takes root."
        yield Finding(CHECK, Severity.NOTE, text, "Join it, if that is wanted, and log in again.", command)


def _group(name: str) -> grp.struct_group | None:
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None
