"""What the commands on the file share: agents.yaml read, fitted to this host and rendered."""

from __future__ import annotations

import os
import pwd
import re
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from supervise.cli.output import problem_line
from supervise.config import Config, find, load
from supervise.desired import Desired, desired, host_tags
from supervise.errors import ConfigError, Problem
from supervise.fitting import Host
from supervise.install.plan import conflicts
from supervise.manifest import Manifest, manifests
from supervise.model import Scope, UnitFile
from supervise.places import SYSTEM, Places, places
from supervise.render import render

OLDEST_SUPPORTED = 252
"""Debian 12's systemd; assumed where none is installed to be asked."""


@dataclass(frozen=True, slots=True)
class Wanted:
    config: Config
    desired: Desired
    files: tuple[UnitFile, ...]
    places: Places
    version: int


def wanted(file: Path | None, environment: str | None, scope: Scope, *, version: int | None = None) -> Wanted:
    """Raises ConfigError with all problems of the file, on this host and against the other projects here."""
    there = places(scope, os.environ, uid=os.getuid())
    found = file if file else find(Path.cwd(), environment=environment)
    config = load(found, environment=environment, environ=os.environ)
    fitted = desired(config, this_host(scope))
    if problems := _conflicts(config, fitted, there):
        raise ConfigError(problems)
    known = version or systemd_version()
    return Wanted(config, fitted, render(fitted.specs, places=there, version=known), there, known)


def this_host(scope: Scope) -> Host:
    user = pwd.getpwuid(os.getuid()).pw_name if scope is Scope.USER else None
    return Host(scope, socket.gethostname(), host_tags(), user)


def systemd_version() -> int:
    try:
        said = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return OLDEST_SUPPORTED
    found = re.match(r"systemd (\d+)", said)
    return int(found[1]) if found else OLDEST_SUPPORTED


def print_warnings(warnings: Sequence[Problem]) -> None:
    for warning in warnings:
        click.secho(problem_line(warning), fg="yellow", err=True)


def _conflicts(config: Config, fitted: Desired, there: Places) -> list[Problem]:
    others = [*manifests(there), *(manifests(SYSTEM) if there.scope is Scope.USER else ())]
    return [
        config.problem(f"{text}{_way_out(config, other)}", "agents", agent, *((key,) if key else ()))
        for agent, key, text, other in conflicts(fitted.specs, config.project, others)
    ]


def _way_out(config: Config, other: Manifest) -> str:
    """What to do when the other project is this very one under its former name."""
    if other.source.exists() and other.source != config.file:
        return ""
    return (
        f"; if this is that project, write `project: {other.project}` and install with --moved, "
        f"or `supervise uninstall -p {other.project}` first"
    )
