"""AgentSpec → UnitFiles, for whichever platform. Pure: the same specs give the same bytes, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterable

from supervise.model import AgentSpec, UnitFile
from supervise.places import Places
from supervise.platforms.systemd import hardening, units
from supervise.platforms.systemd.directives import Directive


def render(specs: Iterable[AgentSpec], *, places: Places, version: int) -> tuple[UnitFile, ...]:
    """Every file of these agents and the shared ones, by path."""
    return tuple(sorted(units.units(specs, places=places, version=version), key=lambda file: str(file.path)))


def explain(spec: AgentSpec, *, places: Places, version: int) -> tuple[Directive, ...]:
    """Each directive of an agent with what it is for and what it costs."""
    return units.service_directives(spec, places=places, version=version)


def left_out(spec: AgentSpec, *, version: int) -> tuple[tuple[str, str], ...]:
    """(directive, why) of the hardening that this scope or version cannot do."""
    return hardening.left_out(spec, version=version)
