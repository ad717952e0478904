"""Fits one agent's settings to this host: paths made absolute, owners looked up, commands and files checked.

Looks at the host and changes nothing. What does not fit is gathered in `problems`, each at its place in the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from supervise.access import DYNAMIC, Identity, identity, obstacle, owner, stranger_who_writes
from supervise.calendars import calendars
from supervise.config import AgentSettings, Config
from supervise.config.sections import DependsOn, ProbeSettings
from supervise.errors import Problem
from supervise.model import (
    AgentSpec,
    Dependency,
    Probe,
    ProbeKind,
    Schedule,
    Scope,
    Secret,
)
from supervise.programs import CannotResolve, Program, resolve


@dataclass(frozen=True, slots=True)
class Host:
    """What of this machine decides about agents: its name and tags, and for `--user` who asks."""

    scope: Scope
    name: str
    tags: tuple[str, ...] = ()
    user: str | None = None


class Fitting:
    """The agents of one config on one host. Gathers problems, and for jobs their next runs, on the way."""

    def __init__(self, config: Config, host: Host, here: frozenset[str]) -> None:
        self.config = config
        self.host = host
        self.here = here
        self.problems: list[Problem] = []
        self.previews: dict[str, tuple[str, ...]] = {}

    def specs(self, name: str, settings: AgentSettings) -> Iterator[AgentSpec]:
        directory = self._directory(name, settings)
        who = self._identity(name, settings, directory) if directory else None
        program = self._program(name, settings, directory, who) if directory else None
        before = self._before_start(name, settings, directory) if directory else ()
        schedule = self._schedule(name, settings)
        ready, live = (
            self._probe(name, role, asked, settings, directory, who) if directory else None
            for role, asked in (("ready", settings.probes.ready), ("live", settings.probes.live))
        )
        dependencies = tuple(self._dependencies(name, settings))
        files = tuple(self._files(name, "environment_file", settings.environment_file))
        secrets = tuple(self._secrets(name, settings))
        self._log_limit(name)
        writable = tuple(self._writable(name, settings, directory)) if directory else ()
        if directory is None or program is None:
            return
        base = AgentSpec(
            name=name,
            base=name,
            title=settings.title or name,
            project=self.config.project,
            scope=self.host.scope,
            command=program.argv,
            working_directory=directory,
            before_start=before,
            environment=dict(settings.environment),
            environment_files=files,
            secrets=secrets,
            user=who.name if who and who is not DYNAMIC and self.host.scope is Scope.SYSTEM else None,
            group=settings.group if self.host.scope is Scope.SYSTEM else None,
            dynamic_user=settings.dynamic_user,
            auto_start=settings.auto_start,
            notify=settings.notify,
            notify_access=settings.notify_access,
            watchdog=settings.watchdog,
            startup_timeout=settings.startup_timeout,
            stop_timeout=settings.stop_timeout,
            stop_signal=settings.stop_signal,
            restart=settings.restart,
            quarantine=settings.quarantine,
            depends_on=dependencies,
            url=settings.url,
            ready=ready,
            live=live,
            heartbeat=settings.heartbeat_limits,
            max_idle=settings.max_idle,
            resources=settings.resources,
            hardening=settings.hardening,
            writable_paths=writable,
            needed_paths=program.needs,
            hidden=settings.hidden,
            single=settings.single,
            schedule=schedule,
            renamed_from=settings.renamed_from,
            tags=settings.tags,
            log_rate=settings.logs.rate_limit,
            systemd=dict(settings.systemd),
        )
        yield from self._instances(base, settings)

    def refuse_equal_titles(self, specs: Iterable[AgentSpec]) -> None:
        """Titles as they are once `{host}`, `{instance}` and the numbers of instances are in them."""
        taken: dict[str, str] = {}
        for spec in specs:
            if (other := taken.setdefault(spec.title, spec.name)) != spec.name:
                self._problem(f'the title "{spec.title}" is that of "{other}" too', spec.base, "title")

    def _instances(self, base: AgentSpec, settings: AgentSettings) -> Iterator[AgentSpec]:
        title = base.title.replace("{host}", self.host.name)
        if settings.instances is None:
            alone = " ".join(title.replace("{instance}", "").split()) if "{instance}" in title else title
            yield replace(base, title=alone)
            return
        for number in range(1, settings.instances + 1):
            own = title.replace("{instance}", str(number)) if "{instance}" in title else f"{title} #{number}"
            yield replace(base, name=f"{base.base}.{number}", instance=number, title=own)

    def _directory(self, name: str, settings: AgentSettings) -> Path | None:
        path = absolute(self.config.folder, settings.working_directory)
        if path.is_dir():
            return path
        why = "is not a folder" if path.exists() else "does not exist"
        self._problem(f'"{path}" {why}', name, "working_directory")
        return None

    def _identity(self, name: str, settings: AgentSettings, directory: Path) -> Identity | None:
        if self.host.scope is Scope.USER:
            return self._own_identity(name, settings)
        if settings.dynamic_user:
            return DYNAMIC
        user = settings.user or owner(directory)
        if user == "root" and not settings.user:
            self._problem(
                f'"{directory}" belongs to root, and an agent runs as root only if that is written: '
                "write `user: NAME`, `dynamic_user: true`, or `user: root`",
                name,
                "user",
            )
            return None
        if user == "nobody":
            self._warn(
                "others run as nobody too and may meddle with it; use an account of its own, or `dynamic_user`",
                name,
                "user",
            )
        return self._known(name, user, settings.group)

    def _own_identity(self, name: str, settings: AgentSettings) -> Identity | None:
        user = self.host.user or str(os.getuid())
        if settings.dynamic_user:
            self._problem("works in system scope only; with --user an agent runs as yourself", name, "dynamic_user")
        elif settings.user not in (None, user):
            self._problem(
                f"with --user an agent runs as yourself ({user}); remove it or install in system scope", name, "user"
            )
        elif settings.group:
            self._problem("works in system scope only", name, "group")
        return self._known(name, user, None)

    def _known(self, name: str, user: str, group: str | None) -> Identity | None:
        try:
            return identity(user, group)
        except KeyError:
            pass
        try:
            identity(user)
        except KeyError:
            self._problem(f'there is no user "{user}" on this host', name, "user")
        else:
            self._problem(f'there is no group "{group}" on this host', name, "group")
        return None

    def _program(self, name: str, settings: AgentSettings, directory: Path, who: Identity | None) -> Program | None:
        python = absolute(self.config.folder, settings.python) if settings.python else None
        if python and not python.exists():
            self._problem(f'"{python}" does not exist', name, "python")
            return None
        try:
            program = resolve(settings.command, directory=directory, python=python)
        except CannotResolve as error:
            self._problem(str(error), name, "command")
            return None
        if program.remark:
            self._warn(program.remark, name, "command")
        if who:
            self._executable(program, who, name, "command")
        return program

    def _executable(self, program: Program, who: Identity, name: str, *key: str) -> None:
        for path in program.executables:
            if why := obstacle(path, who):
                self._problem(f'cannot execute "{path}": {why}', name, *key)
                return
            if why := stranger_who_writes(path, who):
                self._problem(f'"{path}" could be replaced by others than {who.name} and root: {why}', name, *key)
                return

    def _before_start(self, name: str, settings: AgentSettings, directory: Path) -> tuple[str, ...]:
        if not settings.before_start:
            return ()
        python = absolute(self.config.folder, settings.python) if settings.python else None
        try:
            return resolve(settings.before_start, directory=directory, python=python).argv
        except CannotResolve as error:
            self._problem(str(error), name, "before_start")
            return ()

    def _probe(
        self,
        name: str,
        role: str,
        asked: ProbeSettings | None,
        settings: AgentSettings,
        directory: Path,
        who: Identity | None,
    ) -> Probe | None:
        if asked is None or not asked.command:
            return probe(asked, settings.url)
        key = ("probes", role, "command")
        python = absolute(self.config.folder, settings.python) if settings.python else None
        try:
            program = resolve(asked.command, directory=directory, python=python)
        except CannotResolve as error:
            self._problem(str(error), name, *key)
            return None
        if who:
            self._executable(program, who, name, *key)
        return replace(probe_of(ProbeKind.COMMAND, program.argv, asked), needed_paths=program.needs)

    def _schedule(self, name: str, settings: AgentSettings) -> Schedule | None:
        if not settings.schedule:
            return None
        try:
            found = calendars(settings.schedule)
        except ValueError as error:
            self._problem(str(error), name, "schedule")
            return None
        runs = {run for calendar in found for run in calendar.next_runs}
        if not any(calendar.next_runs for calendar in found):
            self._warn("it never runs again: all times that it names are past", name, "schedule")
        self.previews[name] = tuple(sorted(runs, key=lambda run: run.partition(" ")[2])[:3])  # after the weekday
        return Schedule(
            calendars=tuple(calendar.expression for calendar in found),
            deadline=settings.deadline,
            max_runtime=settings.max_runtime,
            catch_up=settings.catch_up,
        )

    def _dependencies(self, name: str, settings: AgentSettings) -> Iterator[Dependency]:
        for wanted in settings.depends_on:
            if wanted.name not in self.config.agents:
                yield Dependency(wanted.name, wanted.required)
            elif wanted.name in self.here:
                yield from (
                    Dependency(unit, wanted.required) for unit in _units_of(wanted, self.config.agents[wanted.name])
                )
            else:
                text = f'"{wanted.name}" is not installed on this host (`enabled`, `hosts`)'
                tell = self._problem if wanted.required else self._warn
                tell(text if wanted.required else f"{text}, so nothing waits for it", name, "depends_on")

    def _files(self, name: str, key: str, paths: Iterable[str]) -> Iterator[Path]:
        for index, text in enumerate(paths):
            path = absolute(self.config.folder, text)
            if self._readable(path, name, key, index):
                yield path

    def _writable(self, name: str, settings: AgentSettings, directory: Path) -> Iterator[Path]:
        for index, text in enumerate(settings.writable_paths):
            path = absolute(directory, text)
            if not path.exists():
                self._problem(f'"{path}" does not exist; make it first', name, "writable_paths", index)
            yield path

    def _secrets(self, name: str, settings: AgentSettings) -> Iterator[Secret]:
        for key, source in settings.secrets.items():
            path = absolute(self.config.folder, source.path)
            encrypted = source.kind == "encrypted"
            if encrypted and self.host.scope is Scope.USER:
                self._problem("encrypted secrets work in system scope only; use `file:`", name, "secrets", key)
            elif self._readable(path, name, "secrets", key):
                if not encrypted and path.stat().st_mode & 0o044:
                    self._warn(f'"{path}" can be read by others; `chmod 600` it', name, "secrets", key)
                yield Secret(key, path, encrypted)

    def _log_limit(self, name: str) -> None:
        """journald learns an agent's own limit from the machine's manager only (systemd's unit_export_state_files)."""
        if self.host.scope is Scope.USER and self.config.places.given("agents", name, "logs", "rate_limit"):
            self._warn("has no effect with --user: journald's own limit stays", name, "logs", "rate_limit")

    def _readable(self, path: Path, name: str, *key: str | int) -> bool:
        try:
            if path.is_file():
                return True
        except PermissionError:
            return True
        self._problem(f'there is no file "{path}"', name, *key)
        return False

    def _problem(self, text: str, agent: str, *key: str | int) -> None:
        self.problems.append(self.config.problem(text, "agents", agent, *key))

    def _warn(self, text: str, agent: str, *key: str | int) -> None:
        self.problems.append(self.config.problem(text, "agents", agent, *key, warning=True))


def _units_of(wanted: DependsOn, settings: AgentSettings) -> Iterator[str]:
    if settings.instances is None:
        yield f"agent@{wanted.name}.service"
    else:
        yield from (f"agent@{wanted.name}.{number}.service" for number in range(1, settings.instances + 1))


def absolute(base: Path, text: str) -> Path:
    """The path relative to `base`, `..` resolved by name only: links stay as the user wrote them."""
    return Path(os.path.normpath(base / text))


def probe(settings: ProbeSettings | None, url: str | None) -> Probe | None:
    """A probe over the network with its target complete: relative paths joined to the agent's `url`."""
    if settings is None:
        return None
    if settings.http is not None:
        target = settings.http if "://" in settings.http else f"{(url or '').rstrip('/')}/{settings.http.lstrip('/')}"
        return probe_of(ProbeKind.HTTP, (target,), settings)
    return probe_of(ProbeKind.TCP, (settings.tcp,), settings) if settings.tcp is not None else None


def probe_of(kind: ProbeKind, target: tuple[str, ...], settings: ProbeSettings) -> Probe:
    return Probe(kind, target, settings.expect, settings.interval, settings.timeout, settings.failures)
