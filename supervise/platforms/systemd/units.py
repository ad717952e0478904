"""AgentSpec → systemd's files: one self-sufficient drop-in per agent, a timer per job, and the few that all share.

Pure: it decides what stands in the files and writes none of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace

from supervise import __version__
from supervise.marker import IN_SCRIPTS, digest, stamped
from supervise.model import (
    FOREVER,
    AgentSpec,
    Notify,
    Probe,
    ProbeKind,
    ProbeRole,
    RestartPolicy,
    Scope,
    UnitFile,
)
from supervise.places import Places
from supervise.platforms.systemd import hardening
from supervise.platforms.systemd.directives import (
    Directive,
    assignment,
    command,
    glob_free,
    rest_of_line,
    span,
    yes_no,
)
from supervise.templating import fill, static

SECTIONS = ("Unit", "Service", "Timer", "Install")
DROP_IN = "50-supervise.conf"
RECONCILER = "supervise-reconciler.service"
SOCKETS = ("supervise-reconciler.socket", "supervise-agent.socket")
SCANNER = ("supervise-scan.socket", "supervise-scan.service")
"""The scan service of the system scope. The reconciler pulls it in and takes it down with itself."""
DAEMON = (*SOCKETS, RECONCILER)
"""The units of our own daemon; a beat would start it again, so its sockets are stopped first and started first."""
AGENTS_GROUP = "supervise-agents"
PYTHON = sys.executable
SHARED_UNITS = ("agent@.service", "supervise.slice", "supervise-wave@.target")
PROBES = {ProbeRole.READY: "agent-ready", ProbeRole.LIVE: "agent-probe"}
RESTARTS = {RestartPolicy.ALWAYS: "always", RestartPolicy.ON_FAILURE: "on-failure", RestartPolicy.NEVER: "no"}
BACKOFF_SINCE = 254
"""systemd.service(5): RestartSteps= came with version 254; older ones ignore it with a warning."""


def units(specs: Iterable[AgentSpec], *, places: Places, version: int) -> Iterator[UnitFile]:
    """Every file that these agents need, the shared ones first."""
    specs = tuple(specs)
    yield from shared_files(places)
    for project in sorted({spec.project for spec in specs}):
        yield kept_loaded(project, [spec for spec in specs if spec.project == project], places=places)
    for spec in specs:
        yield drop_in(spec, places=places, version=version)
        if spec.schedule:
            yield timer(spec, places=places)
        yield from probe_units(spec, places=places, version=version)


def unit_name(name: str) -> str:
    return f"agent@{name}.service"


def timer_name(name: str) -> str:
    return f"agent@{name}.timer"


def run_unit(name: str) -> str:
    """Where `supervise run` puts the agent."""
    return f"agent-run-{name}.scope"


def probe_unit(name: str, role: ProbeRole) -> str:
    """What runs the command of an agent's probe."""
    return f"{PROBES[role]}@{name}.service"


def is_probe(unit: str) -> bool:
    return unit.partition("@")[0] in PROBES.values()


def command_probes(spec: AgentSpec) -> Iterator[tuple[ProbeRole, Probe]]:
    """Those probes that are commands, and so have a unit."""
    for role, probe in ((ProbeRole.READY, spec.ready), (ProbeRole.LIVE, spec.live)):
        if probe and probe.kind is ProbeKind.COMMAND:
            yield role, probe


def started_unit(spec: AgentSpec) -> str:
    """What is enabled and started: a job's timer, anybody else's service."""
    return timer_name(spec.name) if spec.schedule else unit_name(spec.name)


# --- Files ------------------------------------------------------------------------------------------------------------


def shared_files(places: Places) -> Iterator[UnitFile]:
    """The files of no project. They carry our version, and only a newer one replaces them."""
    for name in SHARED_UNITS:
        yield UnitFile(places.units / name, stamped(static(name), version=__version__))
    target = fill("systemd/supervise.target.j2", boot_target=places.boot_target)
    yield UnitFile(places.units / "supervise.target", stamped(target, version=__version__))
    yield from daemon_files(places)
    if places.sysusers and places.tmpfiles and places.polkit:
        yield UnitFile(places.sysusers, stamped(static("supervise.sysusers"), version=__version__))
        yield UnitFile(places.tmpfiles, stamped(static("supervise.tmpfiles"), version=__version__))
        rules = stamped(static("supervise.rules"), version=__version__, comment=IN_SCRIPTS)
        yield UnitFile(places.polkit, rules)


def daemon_files(places: Places) -> Iterator[UnitFile]:
    """The reconciler and its two sockets. It is run by the interpreter that installs it."""
    system = places.scope is Scope.SYSTEM
    asked = ("-m", "supervise", "reconcile") if system else ("-m", "supervise", "reconcile", "--user")
    contexts: dict[str, dict[str, object]] = {
        RECONCILER: {"command": command((PYTHON, "-P", *asked)), "boot_target": places.boot_target},
        SOCKETS[0]: {"path": rest_of_line(places.control)},
        SOCKETS[1]: {"path": rest_of_line(places.agent_socket)},
    }
    if system:
        scanner = command((PYTHON, "-P", "-m", "supervise.scanner"))
        contexts |= {SCANNER[0]: {"path": rest_of_line(places.scan_socket)}, SCANNER[1]: {"command": scanner}}
    for name, context in contexts.items():
        body = fill(f"systemd/{name}.j2", system=system, **context)
        yield UnitFile(places.units / name, stamped(body, version=__version__))


def kept_loaded(project: str, specs: Iterable[AgentSpec], *, places: Places) -> UnitFile:
    """What `supervise.target` comes after. systemd forgets a unit that is down and that nothing refers to, and with it
    how it ended; named here, also those that do not start at boot are remembered while any agent runs."""
    after = tuple(_manager("Unit", "After", unit_name(spec.name), "") for spec in specs)
    body = fill(
        "systemd/unit.j2",
        comment=f"The agents of project {project}: named here, systemd remembers how they ended.",
        sections=[("Unit", after)],
    )
    return UnitFile(places.units / "supervise.target.d" / f"{project}.conf", stamped(body, project=project))


def drop_in(spec: AgentSpec, *, places: Places, version: int) -> UnitFile:
    directives = service_directives(spec, places=places, version=version)
    return _file(spec, f"{unit_name(spec.name)}.d/{DROP_IN}", directives, places)


def timer(spec: AgentSpec, *, places: Places) -> UnitFile:
    return _file(spec, timer_name(spec.name), timer_directives(spec, places=places), places)


def probe_units(spec: AgentSpec, *, places: Places, version: int) -> Iterator[UnitFile]:
    """A unit for each probe that is a command."""
    for role, probe in command_probes(spec):
        directives = probe_directives(spec, role, probe, places=places, version=version)
        yield _file(spec, probe_unit(spec.name, role), directives, places)


def _file(spec: AgentSpec, name: str, directives: tuple[Directive, ...], places: Places) -> UnitFile:
    sections = [(section, [one for one in directives if one.section == section]) for section in SECTIONS]
    body = fill(
        "systemd/unit.j2",
        comment=f"Written by `supervise install` for project {spec.project}; the next one undoes changes made by hand.",
        sections=[(section, found) for section, found in sections if found],
    )
    run = digest(f"{one.section}.{one.name}={one.value}" for one in directives if one.at_exec)
    return UnitFile(places.units / name, stamped(body, project=spec.project, agent=spec.name, run=run), spec.name)


# --- Directives of an agent -------------------------------------------------------------------------------------------


def service_directives(spec: AgentSpec, *, places: Places, version: int) -> tuple[Directive, ...]:
    """All that stands in an agent's drop-in, in order. The user's own `systemd:` comes last: it has the last word."""
    return (
        *_unit(spec, places),
        *_process(spec, places),
        *_signs_of_life(spec),
        *_restarts(spec, version),
        *_resources(spec),
        *_log(spec),
        *hardening.directives(spec, version=version),
        *_install(),
        *_raw(spec, ("Unit", "Service", "Install") if not spec.schedule else ("Unit", "Service")),
    )


def timer_directives(spec: AgentSpec, *, places: Places) -> tuple[Directive, ...]:
    schedule = spec.schedule
    assert schedule is not None
    return (
        _manager("Unit", "Description", rest_of_line(f"Schedule of {spec.title}"), "what people see"),
        _manager("Unit", "PartOf", "supervise.target", "stops with all agents"),
        _not_held(spec, places),
        *(_manager("Timer", "OnCalendar", rest_of_line(when), "when it runs") for when in schedule.calendars),
        _manager(
            "Timer",
            "Persistent",
            yes_no(schedule.catch_up),
            "whether a run missed while the machine was off is made up",
        ),
        _manager("Timer", "AccuracySec", "1s", "not up to a minute late, as timers are by default"),
        _manager("Timer", "Unit", unit_name(spec.name), "what it starts"),
        *_install(),
        *_raw(spec, ("Timer", "Install")),
    )


def _unit(spec: AgentSpec, places: Places) -> Iterator[Directive]:
    yield _manager("Unit", "Description", rest_of_line(spec.title), "what people see")
    yield _manager("Unit", "PartOf", "supervise.target", "stops with all agents")
    yield from _order(spec)
    yield _not_held(spec, places)
    if spec.schedule:
        yield _manager("Unit", "StartLimitIntervalSec", "0", "its timer, or a person, may start it however often")
    else:
        yield _manager("Unit", "StartLimitIntervalSec", span(spec.restart.window), "the window of restart.burst")
        yield _manager(
            "Unit", "StartLimitBurst", str(spec.restart.burst), "so many starts in it, then systemd gives up"
        )


def _order(spec: AgentSpec) -> Iterator[Directive]:
    if spec.scope is Scope.SYSTEM:
        yield _manager("Unit", "Wants", "network-online.target", "agents talk to the network")
        yield _manager("Unit", "After", "network-online.target", "… and find it up at boot")
    for dependency in spec.depends_on:
        verb = "Requires" if dependency.required else "Wants"
        yield _manager("Unit", verb, dependency.unit, "depends_on: started with this one")
        yield _manager("Unit", "After", dependency.unit, "depends_on: … and before it")
    if spec.waves > 1:
        yield _manager("Unit", "Before", f"supervise-wave@{spec.wave}.target", "its wave at boot")
        yield _manager("Unit", "Wants", f"supervise-wave@{spec.wave}.target", "its wave at boot")
    if spec.wave > 0:
        yield _manager("Unit", "After", f"supervise-wave@{spec.wave - 1}.target", "the wave before it")


def _not_held(spec: AgentSpec, places: Places) -> Directive:
    path = rest_of_line(places.hold(spec.name))
    return _manager("Unit", "AssertPathExists", f"!{path}", "`supervise hold` keeps it from starting")


def _process(spec: AgentSpec, places: Places) -> Iterator[Directive]:
    yield _at_exec("Type", "notify" if spec.notify is Notify.ALWAYS else "exec", "when systemd calls it started")
    yield _at_exec("Slice", "supervise.slice", "the cgroup of all agents")
    yield _at_exec("WorkingDirectory", rest_of_line(spec.working_directory), "where it runs")
    if spec.before_start:
        yield _at_exec("ExecStartPre", command(spec.before_start), "before_start")
    yield _at_exec("ExecStart", command(spec.command), "the agent, as the unit's main process and without a shell")
    yield from _surroundings(spec, places)


def _surroundings(spec: AgentSpec, places: Places) -> Iterator[Directive]:
    """Whom it runs as, and what it finds in its environment."""
    yield from _identity(spec)
    for name, value in sorted(environment(spec, places).items()):
        yield _at_exec("Environment", assignment(name, value), "a setting that any local user can read")
    for file in spec.environment_files:
        yield _at_exec("EnvironmentFile", glob_free(file), "settings read at each start")
    for secret in spec.secrets:
        name = "LoadCredentialEncrypted" if secret.encrypted else "LoadCredential"
        value = f"{secret.name}:{rest_of_line(secret.path)}"
        yield _at_exec(name, value, "a secret, given as a file that only the agent can read")


def environment(spec: AgentSpec, places: Places) -> dict[str, str]:
    """What the unit sets; the user's own values win, our names are reserved."""
    ours = {"SUPERVISE_AGENT": spec.name, "SUPERVISE_AGENT_SOCKET": str(places.agent_socket)}
    if not spec.single:
        ours["SUPERVISE_SINGLE"] = "0"
    if spec.instance is not None:
        ours["SUPERVISE_INSTANCE"] = str(spec.instance)
    if spec.notify is Notify.AUTO and spec.watchdog and not spec.schedule:
        ours["SUPERVISE_WATCHDOG_USEC"] = str(round(spec.watchdog.total_seconds() * 1_000_000))
    return {"PYTHONUNBUFFERED": "1", **spec.environment, **ours}


def _identity(spec: AgentSpec) -> Iterator[Directive]:
    if spec.scope is Scope.USER:
        return
    if spec.dynamic_user:
        yield _at_exec("DynamicUser", "yes", "a user made for this run")
    if spec.user:
        yield _at_exec("User", spec.user, "whom it runs as")
    if spec.group:
        yield _at_exec("Group", spec.group, "whom it runs as")
    yield _at_exec("SupplementaryGroups", AGENTS_GROUP, "may tell the reconciler how it is")


def _signs_of_life(spec: AgentSpec) -> Iterator[Directive]:
    access = "none" if spec.notify is Notify.NEVER else spec.notify_access.value
    yield _at_exec(
        "NotifyAccess", access, "who may speak for it: a child could keep the watchdog of a hung parent alive"
    )
    if spec.notify is Notify.ALWAYS and spec.watchdog:
        yield _at_exec("WatchdogSec", span(spec.watchdog), "without a ping for so long it is killed and restarted")


def _restarts(spec: AgentSpec, version: int) -> Iterator[Directive]:
    yield _service("TimeoutStartSec", span(spec.startup_timeout), "startup_timeout")
    yield _service("TimeoutStopSec", span(spec.stop_timeout), "stop_timeout, then SIGKILL")
    yield _service("TimeoutAbortSec", "5s", "a hung process that ignores the watchdog's SIGABRT is killed so soon")
    yield _service("KillSignal", spec.stop_signal, "stop_signal")
    yield _service("OOMPolicy", "stop", "when the kernel kills a part of it for memory, the whole is restarted")
    if spec.schedule:
        yield _service("Restart", "no", "a job runs when its timer says so")
        if spec.schedule.max_runtime != FOREVER:
            yield _at_exec("RuntimeMaxSec", span(spec.schedule.max_runtime), "max_runtime, then it is stopped")
        return
    yield _service("Restart", RESTARTS[spec.restart.policy], "restart.policy")
    yield _service("RestartSec", span(spec.restart.delay), "restart.delay")
    if version >= BACKOFF_SINCE and spec.restart.policy is not RestartPolicy.NEVER:
        slowest = max(spec.restart.delay, spec.restart.window / max(spec.restart.burst, 1))
        yield _service("RestartSteps", str(spec.restart.burst), "each restart waits longer")
        yield _service("RestartMaxDelaySec", span(slowest), "… up to so long")


def _resources(spec: AgentSpec) -> Iterator[Directive]:
    """Limits of the cgroup bite from the next reload on (measured on 252); those of the process at its next start."""
    limits = spec.resources
    table = (
        ("MemoryMax", limits.memory, "resources.memory"),
        ("MemoryHigh", limits.memory_high, "resources.memory_high"),
        ("CPUQuota", limits.cpu, "resources.cpu"),
        ("TasksMax", limits.tasks, "resources.tasks"),
        ("IOWeight", limits.io_weight, "resources.io_weight"),
    )
    for name, value, why in table:
        if value is not None:
            yield _service(name, str(value), why)
    if limits.open_files is not None:
        yield _at_exec("LimitNOFILE", limits.open_files, "resources.open_files")
    yield _at_exec("LimitCORE", "0", "no core dump at each watchdog kill")


def _log(spec: AgentSpec) -> Iterator[Directive]:
    yield _at_exec("SyslogIdentifier", rest_of_line(spec.name), "its name in the journal")
    yield _at_exec("LogRateLimitIntervalSec", span(spec.log_rate.interval), "logs.rate_limit")
    yield _at_exec("LogRateLimitBurst", str(spec.log_rate.count), "logs.rate_limit")


# --- Directives of a probe --------------------------------------------------------------------------------------------


def probe_directives(
    spec: AgentSpec, role: ProbeRole, probe: Probe, *, places: Places, version: int
) -> tuple[Directive, ...]:
    """A command that runs once, as the agent's user, in its surroundings and its sandbox. It speaks for nobody."""
    needed = (*spec.needed_paths, *probe.needed_paths)
    inside = replace(spec, notify=Notify.NEVER, user=spec.user or _dynamic_user(spec), needed_paths=needed)
    whose = rest_of_line(f"Whether {spec.title} {'lives' if role is ProbeRole.LIVE else 'is ready'}")
    return (
        _manager("Unit", "Description", whose, "what people see"),
        _manager("Unit", "StartLimitIntervalSec", "0", "it may be asked however often"),
        _manager("Unit", "JoinsNamespaceOf", unit_name(spec.name), "sees the agent's own /tmp, where it has one"),
        _at_exec("Type", "oneshot", "it runs once each time"),
        _at_exec("Slice", "supervise.slice", "the cgroup of all agents"),
        _at_exec("WorkingDirectory", rest_of_line(spec.working_directory), "where the agent runs"),
        _at_exec("ExecStart", command(probe.target), f"probes.{role.value}.command"),
        *_surroundings(inside, places),
        *_signs_of_life(inside),
        _service("TimeoutStartSec", span(probe.timeout), f"probes.{role.value}.timeout"),
        _service("TimeoutStartFailureMode", "kill", "… and then it is killed at once"),
        _service("TimeoutStopSec", "1s", "what it has left behind ends so soon"),
        _at_exec("LimitCORE", "0", "no core dump each time"),
        _at_exec("SyslogIdentifier", rest_of_line(f"{spec.name}-{role.value}"), "its name in the journal"),
        _at_exec("SyslogLevel", "notice", "so that what it says is kept …"),
        _at_exec("LogLevelMax", "notice", "… and that it was asked once more is not"),
        *hardening.directives(inside, version=version),
    )


def _dynamic_user(spec: AgentSpec) -> str | None:
    """What systemd calls the user that it makes for the agent: after its unit, up to the @ (systemd.exec(5))."""
    return unit_name(spec.name).partition("@")[0] if spec.dynamic_user else None


def _install() -> Iterator[Directive]:
    yield _manager("Install", "WantedBy", "supervise.target", "what starts it at boot, if it is enabled")


def _raw(spec: AgentSpec, sections: tuple[str, ...]) -> Iterator[Directive]:
    for section in sections:
        for name, values in sorted(spec.systemd.get(section, {}).items()):
            for value in values:
                yield Directive(section, name, value, "systemd: of agents.yaml", at_exec=section == "Service")


def _manager(section: str, name: str, value: str, why: str) -> Directive:
    return Directive(section, name, value, why, at_exec=False)


def _service(name: str, value: str, why: str) -> Directive:
    """A directive of [Service] that systemd obeys from the next reload on."""
    return Directive("Service", name, value, why, at_exec=False)


def _at_exec(name: str, value: str, why: str) -> Directive:
    return Directive("Service", name, value, why)
