"""Config → AgentSpecs, complete: paths absolute, owners looked up, commands resolved, instances and waves laid out.

Looks at this host and changes nothing. All problems are collected and raised at once, each at its place in the file.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from supervise.config import Config
from supervise.errors import ConfigError, Problem
from supervise.fitting import Fitting, Host
from supervise.fitting_alerts import alert_warnings
from supervise.fitting_supabase import supabase_warnings
from supervise.model import (
    AgentSpec,
    Dependency,
)

WAVE_SIZE = 50
"""Agents that a boot starts at once: a fully hardened start takes 0.16 s of the manager's time."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What should be on this host. `previews`: the next runs of each job, for people."""

    specs: tuple[AgentSpec, ...]
    warnings: tuple[Problem, ...]
    previews: Mapping[str, tuple[str, ...]]


def desired(config: Config, host: Host) -> Desired:
    """Raises ConfigError with everything that does not fit this host."""
    here = {name: one for name, one in config.agents.items() if one.enabled and placed_here(one.hosts, host)}
    fitting = Fitting(config, host, frozenset(here))
    specs = [spec for name, settings in here.items() for spec in fitting.specs(name, settings)]
    fitting.refuse_equal_titles(specs)
    errors = [problem for problem in fitting.problems if not problem.warning]
    if errors:
        raise ConfigError(errors)
    warnings = (
        *(problem for problem in fitting.problems if problem.warning),
        *alert_warnings(config, host.scope),
        *supabase_warnings(config, host.scope),
    )
    return Desired(in_waves(specs), (*config.warnings, *warnings), fitting.previews)


def placed_here(hosts: Sequence[str] | None, host: Host) -> bool:
    """Whether `hosts:` names this one, by name, glob or `tag:`."""
    if hosts is None:
        return True
    tags = {f"tag:{tag}" for tag in host.tags}
    return any(wanted in tags or fnmatch.fnmatchcase(host.name, wanted) for wanted in hosts)


def host_tags(file: Path = Path("/etc/supervise/tags")) -> tuple[str, ...]:
    """The tags of this machine, which `hosts: [tag:…]` refers to: words in one file, or SUPERVISE_HOST_TAGS."""
    written = os.environ.get("SUPERVISE_HOST_TAGS")
    text = written if written is not None else (file.read_text(encoding="utf-8") if file.is_file() else "")
    return tuple(text.split())


def in_waves(specs: Sequence[AgentSpec]) -> tuple[AgentSpec, ...]:
    """The specs by name, each with its wave: those that nothing depends on last, a few dozen in each."""
    depths = _depths({spec.name: tuple(_agents_named(spec.depends_on)) for spec in specs})
    booting = sorted(
        (one for one in specs if one.auto_start and not one.schedule), key=lambda one: (depths[one.name], one.name)
    )
    waves = max(1, -(-len(booting) // WAVE_SIZE))
    wave = {spec.name: index // WAVE_SIZE for index, spec in enumerate(booting)}
    laid = (replace(spec, wave=wave[spec.name], waves=waves) if spec.name in wave else spec for spec in specs)
    return tuple(sorted(laid, key=lambda spec: (spec.base, spec.instance or 0)))


def _agents_named(dependencies: Iterable[Dependency]) -> Iterator[str]:
    for dependency in dependencies:
        if found := re.fullmatch(r"agent@(.+)\.service", dependency.unit):
            yield found[1]


def _depths(needs: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """How many agents deep each one stands on others. The config has no circles."""
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            depths[name] = 0
            depths[name] = 1 + max((depth(one) for one in needs.get(name, ())), default=-1)
        return depths[name]

    for name in needs:
        depth(name)
    return depths
