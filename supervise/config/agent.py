"""One agent as a user writes it: a field per key of the table in the documentation, with the defaults of that table.

What depends on other keys or on other agents is judged in `checks.py`; what depends on the disk, nowhere here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from supervise import model
from supervise.config.commands import Command
from supervise.config.leaf import Leaf, Section
from supervise.config.sections import (
    Dependency,
    DirectiveLine,
    HeartbeatSettings,
    LogSettings,
    Probes,
    QuarantineField,
    ResourcesField,
    RestartField,
)
from supervise.config.texts import pattern
from supervise.config.types import (
    Account,
    AgentName,
    Calendar,
    HostPattern,
    Line,
    PathText,
    Secret,
    SecretName,
    Signal,
    Span,
    SpanOrOff,
    Switch,
    Tag,
    Url,
    VariableName,
    Word,
    number,
    words,
)
from supervise.model import FOREVER, Hardening, HiddenPolicy, Notify, NotifyAccess

SECONDS = timedelta(seconds=1)


def _listed(given: object) -> object:
    """A single value where a list may stand."""
    return [given] if isinstance(given, str) else given


def _one_or_many(item: Mapping[str, object]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [dict(item), {"type": "array", "items": dict(item)}]})


_TEXT: Mapping[str, object] = {"type": ["string", "number", "boolean"]}
PathOrPaths = Annotated[tuple[PathText, ...], BeforeValidator(_listed), _one_or_many({"type": "string"})]
Calendars = Annotated[tuple[Calendar, ...], BeforeValidator(_listed), _one_or_many({"type": "string"})]
DirectiveLines = Annotated[tuple[DirectiveLine, ...], BeforeValidator(_listed), _one_or_many(_TEXT)]
UnitSection = Annotated[
    str,
    Leaf(
        pattern("Unit|Service|Install|Timer", "is not one of Unit, Service, Install, Timer"),
        "the section of a unit",
        {"type": "string", "pattern": "^(Unit|Service|Install|Timer)$"},
    ),
]
DirectiveName = Annotated[
    str,
    Leaf(
        pattern("[A-Za-z0-9]+", "is not the name of a directive: letters and digits, such as LimitNOFILE"),
        "the name of a directive",
        {"type": "string", "pattern": "^[A-Za-z0-9]+$"},
    ),
]


class AgentSettings(Section):
    """One long-running program, or one that runs at certain times (with `schedule`)."""

    title: Line | None = None
    """What people see; its name if unwritten. `{host}` and `{instance}` expand."""
    command: Command = ()
    """The program and its arguments: a list, or one text split by shell rules. Never run by a shell."""
    python: PathText | None = None
    """The interpreter or virtual environment for this agent; `.venv` in the working directory if there."""
    working_directory: PathText = "."
    """Where it runs, relative to this file."""
    environment: Mapping[VariableName, Word] = Field(default_factory=dict)
    """Plain settings. Every local user can read them: passwords and keys belong under `secrets`."""
    environment_file: PathOrPaths = ()
    """Files with NAME=value lines, relative to this file."""
    allow_plain: tuple[Word, ...] = ()
    """Names that look like secrets and are none."""
    secrets: Mapping[SecretName, Secret] = Field(default_factory=dict)
    """NAME: `file:PATH` or `encrypted:PATH`; handed over as a credential."""
    user: Account | None = None
    """The account it runs as; the owner of the working directory if unwritten."""
    group: Account | None = None
    """The group it runs as; the user's own if unwritten."""
    dynamic_user: Switch = False
    """Run as an account that exists only while it runs."""
    enabled: Switch = True
    """false: not installed on this host."""
    auto_start: Switch = True
    """Started when the machine boots."""
    notify: Annotated[Notify, words(Notify)] = Notify.AUTO
    """auto: it may use the agent library; true: it must say that it is ready; false: it never says anything."""
    notify_access: Annotated[NotifyAccess, words(NotifyAccess)] = NotifyAccess.MAIN
    """all: its children may speak for it."""
    watchdog: SpanOrOff = 30 * SECONDS
    """Killed and started again after so long without a sign of life, once it has given one; `off` for never."""
    startup_timeout: Span = 90 * SECONDS
    """How long a start may take."""
    stop_timeout: Span = 10 * SECONDS
    """How long it may take to end before it is killed."""
    stop_signal: Signal = "SIGTERM"
    """The signal that asks it to end."""
    restart: RestartField = model.Restart()
    """What the service manager does when it dies."""
    quarantine: QuarantineField = model.Quarantine()
    """The retries after the service manager has given up; `off` for none."""
    depends_on: tuple[Dependency, ...] = ()
    """Agents or units that start first; `{name: required}` if it cannot do without."""
    url: Url | None = None
    """Where it answers; base of the paths of its probes, shown in the dashboard."""
    probes: Probes = Probes()
    """Questions from outside."""
    heartbeat: HeartbeatSettings | None = None
    """Written: a sign of life is expected from the start."""
    max_idle: SpanOrOff = None
    """A warning after so long without reported activity."""
    resources: ResourcesField = model.Resources()
    """Limits."""
    hardening: Annotated[Hardening, words(Hardening)] = Hardening.STANDARD
    """How far it is fenced in: none, standard, strict."""
    writable_paths: tuple[PathText, ...] = ()
    """Where it may write in spite of that, relative to its working directory."""
    hidden: Annotated[HiddenPolicy, words(HiddenPolicy)] = HiddenPolicy.REPORT
    """What to do with copies of it that run outside its unit: report, stop."""
    single: Switch = True
    """The agent library refuses to run a second copy on this host."""
    instances: Annotated[int, number(1, 500)] | None = None
    """So many copies, named NAME.1, NAME.2 …"""
    schedule: Calendars = ()
    """Runs at these times and ends by itself: a systemd calendar expression or a list; UTC unless a zone is written."""
    deadline: SpanOrOff = None
    """With schedule: a warning if a run takes longer."""
    max_runtime: Span = FOREVER
    """With schedule: a run is killed after so long."""
    catch_up: Switch = False
    """With schedule: a run that was missed while the machine was off is made up for."""
    before_start: Command = ()
    """A command that runs first, as the agent's user."""
    renamed_from: AgentName | None = None
    """Its former name, whose history it takes over."""
    hosts: tuple[HostPattern, ...] | None = None
    """Where it runs: host names, globs, `tag:NAME`; everywhere if unwritten."""
    tags: tuple[Tag, ...] = ()
    """For grouping in commands and in the dashboard."""
    logs: LogSettings = LogSettings()
    """How much it may log."""
    systemd: Mapping[UnitSection, Mapping[DirectiveName, DirectiveLines]] = Field(default_factory=dict)
    """Raw directives: section, directive, value or list of values. The last resort."""

    @property
    def heartbeat_limits(self) -> model.HeartbeatLimits:
        """The ages at which it is late and silent, complete."""
        return (self.heartbeat or HeartbeatSettings()).limits(self.watchdog, written=self.heartbeat is not None)
