"""The nouns of `supervise`: frozen values and enums, nothing else. Imports nothing of ours and does no I/O.

Times are aware UTC `datetime`; lengths of time are `timedelta`, `FOREVER` standing for systemd's `infinity`;
sizes are bytes. `None` in something observed means *could not be seen*, never *no*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

FOREVER = timedelta.max


# --- What should be ---------------------------------------------------------------------------------------------------


class Scope(StrEnum):
    """Whose service manager: the machine's, or one user's own."""

    SYSTEM = "system"
    USER = "user"


class Notify(StrEnum):
    """How an agent tells its manager that it lives (`notify:`)."""

    AUTO = "auto"
    ALWAYS = "true"
    NEVER = "false"


class NotifyAccess(StrEnum):
    """Which processes of the agent may speak to the manager (`notify_access:`)."""

    MAIN = "main"
    ALL = "all"


class RestartPolicy(StrEnum):
    """When the manager starts a dead agent again (`restart.policy:`)."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


class Hardening(StrEnum):
    """How far the agent is fenced in (`hardening:`)."""

    NONE = "none"
    STANDARD = "standard"
    STRICT = "strict"


class HiddenPolicy(StrEnum):
    """What happens to an agent's processes outside its unit (`hidden:`)."""

    REPORT = "report"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many within so long: `5 in 15min`, `1000/30s`."""

    count: int
    interval: timedelta


@dataclass(frozen=True, slots=True)
class Restart:
    policy: RestartPolicy = RestartPolicy.ALWAYS
    delay: timedelta = timedelta(seconds=2)
    burst: int = 5
    window: timedelta = timedelta(seconds=60)
    loop: Rate | None = Rate(5, timedelta(minutes=15))


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The retries after a manager has given up: `first`, then times `factor`, up to `max`; forgotten after `settle`."""

    first: timedelta = timedelta(minutes=1)
    factor: float = 2.0
    max: timedelta = timedelta(minutes=30)
    settle: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Dependency:
    """A unit that is started first. `required`: without it this agent does not start, and stops with it."""

    unit: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Secret:
    """A file that the manager hands to the agent as a credential."""

    name: str
    path: Path
    encrypted: bool = False


class ProbeKind(StrEnum):
    HTTP = "http"
    TCP = "tcp"
    COMMAND = "command"


class ProbeRole(StrEnum):
    """What a probe asks: whether the start is over, or whether the agent still lives."""

    READY = "ready"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Probe:
    """A question from outside. `target`: a whole URL, `host:port`, or the words of a command.

    `needed_paths`: folders that a command must be able to read even where homes are hidden.
    """

    kind: ProbeKind
    target: tuple[str, ...]
    expect: str | None = None
    interval: timedelta = timedelta(seconds=10)
    timeout: timedelta = timedelta(seconds=5)
    failures: int = 3
    needed_paths: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one agent: one of its probes."""

    name: str
    role: ProbeRole
    probe: Probe


@dataclass(frozen=True, slots=True)
class HeartbeatLimits:
    """Ages of the last sign of life. `written`: the user asked for it, so a sign is expected from the start."""

    late_after: timedelta
    silent_after: timedelta
    written: bool = False


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits in systemd's own notation (`512M`, `50%`, `infinity`); None leaves the manager's default."""

    memory: str | None = None
    memory_high: str | None = None
    cpu: str | None = None
    tasks: str | None = None
    open_files: str | None = None
    io_weight: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """What makes an agent a job. `calendars` are systemd calendar expressions with their zone written out."""

    calendars: tuple[str, ...]
    deadline: timedelta | None = None
    max_runtime: timedelta = FOREVER
    catch_up: bool = False


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent (or one instance of it), complete: every default filled in, every path absolute."""

    name: str
    base: str
    title: str
    project: str
    scope: Scope
    command: tuple[str, ...]
    working_directory: Path
    instance: int | None = None
    before_start: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    environment_files: tuple[Path, ...] = ()
    secrets: tuple[Secret, ...] = ()
    user: str | None = None
    group: str | None = None
    dynamic_user: bool = False
    auto_start: bool = True
    notify: Notify = Notify.AUTO
    notify_access: NotifyAccess = NotifyAccess.MAIN
    watchdog: timedelta | None = timedelta(seconds=30)
    startup_timeout: timedelta = timedelta(seconds=90)
    stop_timeout: timedelta = timedelta(seconds=10)
    stop_signal: str = "SIGTERM"
    restart: Restart = Restart()
    quarantine: Quarantine | None = Quarantine()
    depends_on: tuple[Dependency, ...] = ()
    url: str | None = None
    ready: Probe | None = None
    live: Probe | None = None
    heartbeat: HeartbeatLimits = HeartbeatLimits(timedelta(minutes=1), timedelta(minutes=5))
    max_idle: timedelta | None = None
    resources: Resources = Resources()
    hardening: Hardening = Hardening.STANDARD
    writable_paths: tuple[Path, ...] = ()
    needed_paths: tuple[Path, ...] = ()
    """Folders that the agent must be able to read even where homes are hidden: its code and its interpreter."""
    hidden: HiddenPolicy = HiddenPolicy.REPORT
    single: bool = True
    schedule: Schedule | None = None
    renamed_from: str | None = None
    tags: tuple[str, ...] = ()
    log_rate: Rate = Rate(1000, timedelta(seconds=30))
    systemd: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    wave: int = 0
    """Which group at boot it starts in, counted from 0: a few dozen at a time, dependencies first."""
    waves: int = 1
    """How many groups its project has."""


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A file that somebody may write: rendered, whole, with its marker line."""

    path: Path
    content: str
    agent: str | None = None
    mode: int = 0o644


# --- Time -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on every clock. Ages are taken from `monotonic` within one `boot`, else from `wall`.

    `monotonic` and `boottime` count from the start of the machine, the second also through suspends.
    """

    wall: datetime
    monotonic: timedelta
    boottime: timedelta
    boot: str


# --- What is ----------------------------------------------------------------------------------------------------------


class Phase(StrEnum):
    """What the platform says of a unit."""

    ABSENT = "absent"
    INACTIVE = "inactive"
    QUEUED = "queued"
    STARTING = "starting"
    ACTIVE = "active"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    FAILED = "failed"


class Cause(StrEnum):
    """How the last process of a unit ended, or why none was made."""

    CLEAN = "clean"
    EXIT_CODE = "exit-code"
    SIGNAL = "signal"
    CORE_DUMP = "core-dump"
    WATCHDOG = "watchdog"
    OUT_OF_MEMORY = "oom-kill"
    START_TIMEOUT = "timeout"
    NO_READINESS = "protocol"
    EXEC_FAILED = "exec"
    RESOURCES = "resources"
    CONDITION = "condition"
    ASSERTION = "assertion"
    DEPENDENCY = "dependency"


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that cannot be mistaken for a later one: `started` is field 22 of `/proc/PID/stat`, in clock ticks."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: its code, or the number of the signal that killed it."""

    code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class UnitState:
    """One agent unit as its platform reports it.

    `by_request`: it is down because somebody asked; `gave_up`: it is down because the manager stopped trying.
    Both are None while it is up, or where the platform does not tell. `incarnation` names one life of the unit.
    """

    name: str
    unit: str
    phase: Phase
    pid: int | None = None
    incarnation: str | None = None
    since: datetime | None = None
    started_at: datetime | None = None
    started_monotonic: timedelta | None = None
    left_active: datetime | None = None
    """When it last ceased to be active, by whatever way."""
    ended_at: datetime | None = None
    ended_monotonic: timedelta | None = None
    cause: Cause | None = None
    exit: Exit | None = None
    before_start: bool = False
    """`exit` is that of `before_start`: the agent itself was not reached."""
    by_request: bool | None = None
    gave_up: bool | None = None
    restarts: int = 0
    status_text: str = ""
    watchdog: timedelta | None = None
    last_ping: timedelta | None = None
    """When it last pinged its manager, on the monotonic clock."""
    enabled: bool | None = None
    masked: bool = False
    needs_reload: bool = False
    edited: bool = False
    job: bool = False
    """The manager is about to change it: an active unit that has one is being stopped or restarted."""
    next_run: datetime | None = None
    """For a job: when its timer fires next."""
    timer_active: bool | None = None
    cgroup: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All agent units at one moment. `complete` is false where some could not be asked."""

    states: Mapping[str, UnitState]
    at: Instant
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Lost:
    """Changes may have been missed: take a snapshot before believing anything."""

    why: str


Change = UnitState | Lost


@dataclass(frozen=True, slots=True)
class Process:
    """One process as `/proc` shows it. `executable` and `directory` are None where we may not look."""

    id: ProcessId
    parent: int
    uid: int
    argv: tuple[str, ...]
    executable: Path | None
    directory: Path | None
    cgroup: str
    started_at: datetime
    user: str = ""
    """The user's name, where the uid has one."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A process that may be an agent's, and nobody can tell: it fits several (`names`), or cannot be inspected.

    It blocks their start, since it may be a copy, and is never acted on.
    """

    process: Process
    names: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Findings:
    """Whose processes run where. `complete`: nobody's were hidden from the look that began at `at` (monotonic).

    `outside`: running an agent's command outside of every unit; `inside`: in its unit's control group; `foreground`:
    under `supervise run`.
    """

    outside: Mapping[str, tuple[Process, ...]] = field(default_factory=dict)
    inside: Mapping[str, tuple[Process, ...]] = field(default_factory=dict)
    foreground: Mapping[str, tuple[Process, ...]] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()
    complete: bool = True
    at: timedelta | None = None

    def foreground_since(self, name: str) -> datetime | None:
        """When the first process of those in the foreground was started: that with the lowest PID."""
        ones = self.foreground.get(name)
        return min(ones, key=lambda one: one.id.pid).started_at if ones else None

    def doubtful(self, name: str) -> tuple[Doubt, ...]:
        """Processes of which nobody can tell whether they are this agent's."""
        return tuple(doubt for doubt in self.doubts if name in doubt.names)


class BeatStatus(StrEnum):
    """What an agent may say of itself. It can look worse than the OS shows it, never better."""

    RUNNING = "running"
    WARNING = "warning"
    ERROR = "error"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Beat:
    """What an agent last said of itself. `at` is the kernel's time of arrival.

    `changed`: since when `activity` or `progress` are what they are. `by_main`: the unit's main process said it; what
    its children say is a sign of life and no more.
    """

    at: Instant
    pid: int
    by_main: bool = True
    status: BeatStatus | None = None
    health: int | None = None
    activity: str | None = None
    error: str | None = None
    waiting: str | None = None
    progress: float | None = None
    changed: timedelta | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One answer to one probe; `network_error` names errors that a whole host may share.

    `detail` is a few words that stay the same while nothing changes.
    """

    ok: bool
    detail: str
    at: Instant
    network_error: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """A person has forbidden an agent to run."""

    name: str
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Ping:
    """When an agent last pinged its manager, on the monotonic clock, and within what time it must again."""

    at: timedelta | None
    watchdog: timedelta | None


@dataclass(frozen=True, slots=True)
class Requirement:
    """A unit without which the agent does not start: whether it is active, and when it last ceased to be."""

    active: bool
    left_active: datetime | None = None


@dataclass(frozen=True, slots=True)
class FileMark:
    """What tells a file from what stands there later, and when the file system last changed it (None: it is gone)."""

    mark: str
    changed: datetime | None


@dataclass(frozen=True, slots=True)
class OnDisk:
    """What an agent would be started with, as far as it can be seen. `at` is of the monotonic clock.

    `since`: since when `revision` is what it is; None where it is as old as the agent's settings. `files` by what
    people call them, such as `secret API_KEY`.
    """

    at: timedelta
    revision: str | None = None
    since: datetime | None = None
    files: Mapping[str, FileMark] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one life of a unit takes, and the most that it may take: None where it has no limit, or none was seen.

    `cpu` is the share of one core since the look before, `throttled` that of the scheduler's periods in which its CPU
    limit held it back. `memory` is in bytes, without cached files that the kernel would give up at once.
    """

    incarnation: str
    cpu: float | None = None
    memory: int | None = None
    tasks: int | None = None
    memory_limit: int | None = None
    tasks_limit: int | None = None
    throttled: float | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """All that was seen of one agent at one moment."""

    unit: UnitState | None = None
    inside: frozenset[ProcessId] | None = None
    outside: tuple[Process, ...] | None = None
    beat: Beat | None = None
    ready: ProbeResult | None = None
    live: ProbeResult | None = None
    failed_probes: int = 0
    """How often in a row `live` has failed."""
    foreground: frozenset[ProcessId] | None = None
    """Its processes under `supervise run`, or adopted."""
    foreground_since: datetime | None = None
    """When the first of them was started."""
    requirements: Mapping[str, Requirement] = field(default_factory=dict)
    """What it requires, as far as that could be asked."""
    acting: bool = False
    """Something that we asked the platform to do with it is not done yet."""
    usage: Usage | None = None
    """None: nobody has looked at this life yet."""


# --- What we say ------------------------------------------------------------------------------------------------------


class Status(StrEnum):
    """What people are told. Readers of the table have always known the first four."""

    RUNNING = "running"
    WARNING = "warning"
    ERROR = "error"
    STOPPED = "stopped"
    STARTING = "starting"
    STOPPING = "stopping"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """One word for machines; the order is that of the rules which give them (`decide.py`)."""

    NOT_OBSERVED = "NotObserved"
    UNMANAGED = "Unmanaged"
    HELD = "Held"
    HIDDEN_PROCESS = "HiddenProcess"
    ORPHAN_PROCESS = "OrphanProcess"
    NOT_INSTALLED = "NotInstalled"
    MASKED = "Masked"
    QUEUED = "Queued"
    STARTING = "Starting"
    STOPPING = "Stopping"
    WAITING = "Waiting"
    LAST_RUN_FAILED = "LastRunFailed"
    RUN_STOPPED = "RunStopped"
    RUN_MISSED = "RunMissed"
    RUN_SKIPPED = "RunSkipped"
    TIMER_STOPPED = "TimerStopped"
    DEPENDENCY_FAILED = "DependencyFailed"
    CONDITION_UNMET = "ConditionUnmet"
    DEPENDENCY_STOPPED = "DependencyStopped"
    STOPPED_BY_OPERATOR = "StoppedByOperator"
    QUARANTINED = "Quarantined"
    CRASH_LOOPING = "CrashLooping"
    CRASHED = "Crashed"
    WATCHDOG_EXPIRED = "WatchdogExpired"
    OUT_OF_MEMORY = "OutOfMemory"
    START_TIMEOUT = "StartTimeout"
    EXEC_FAILED = "ExecFailed"
    EXITED = "Exited"
    NOT_RUNNING = "NotRunning"
    EXITED_CLEANLY = "ExitedCleanly"
    NOT_STARTED = "NotStarted"
    SILENT = "Silent"
    PROBE_FAILING = "ProbeFailing"
    DUPLICATE_PROCESS = "DuplicateProcess"
    AGENT_ERROR = "AgentError"
    AGENT_WARNING = "AgentWarning"
    AGENT_WAITING = "AgentWaiting"
    LATE = "Late"
    IDLE = "Idle"
    OVERRAN = "Overran"
    DRIFT = "Drift"
    AS_WANTED = "AsWanted"
    LOCKED = "Locked"
    """Only shown, never observed."""


class Source(StrEnum):
    """Where `last_heartbeat` comes from."""

    BEAT = "beat"
    PING = "ping"
    OBSERVED = "observed"


SIGNS = (Source.BEAT, Source.PING)
"""What the agent has sent itself."""


FORCE_STOP = "force-stop: "
"""So begins the reason of a lock that `force-stop` has made. It ends before its time with the next life."""


@dataclass(frozen=True, slots=True)
class Lock:
    """A person has fixed the shown status until a time."""

    status: Status
    health: int
    reason: str
    by: str
    until: datetime


@dataclass(frozen=True, slots=True)
class HealthPart:
    """Points lost, by name, and why in a few words."""

    name: str
    lost: float
    why: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How an agent's unit last came to rest. systemd forgets it with the unit, so the row remembers."""

    by_request: bool | None
    gave_up: bool | None
    started_at: datetime | None
    started_monotonic: timedelta | None
    ended_at: datetime | None
    cause: Cause | None
    exit: Exit | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a life was started with, as far as that is known: the revision of its code, and the marks of its files."""

    incarnation: str
    revision: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Past:
    """What must be remembered of an agent to judge it later. Not for readers of the table.

    Every time here is of the monotonic clock of `boot`; with another boot all of it is void.
    """

    boot: str = ""
    deaths: tuple[timedelta, ...] = ()
    """Deaths that nobody asked for, since the last start by a person or by the quarantine. The newest is last."""
    counted: str | None = None
    """The incarnation whose death is the last of them."""
    restarted: tuple[timedelta, ...] = ()
    """Restarts of the last hour that nobody asked for, after deaths and by us, since a person last started it."""
    started: bool = False
    """The manager or a row has seen it started in this boot."""
    ending: Ending | None = None
    attempts: int = 0
    """Starts by us since it last ran well for long: what its backoff grows with."""
    retry_at: timedelta | None = None
    """Before this moment it is not started."""
    next_try: datetime | None = None
    """`retry_at` as people read it."""
    retry_life: str | None = None
    """The incarnation whose end it counts from."""
    not_before: timedelta | None = None
    """After something that we tried in vain: until then we try nothing more."""
    quarantined: bool = False
    """We keep it down until `retry_at`: its being stopped is our doing."""
    half_open: bool = False
    """It runs on probation after a quarantine: one death sends it back."""
    asked: bool = False
    """We have asked the manager to start it; the next incarnation is ours."""
    seen_since: timedelta | None = None
    """Since when `reason` of the row has been observed without a break."""
    beaten: str | None = None
    """The incarnation that has beaten."""
    blocked: str = ""
    """Why our last start did not come about."""
    stopped_with: str | None = None
    """The unit that it requires and was stopped together with."""
    put_down: str | None = None
    """The incarnation that a person has stopped: no later wish makes a crash of that."""
    left_alone: bool = False
    """That one went down by itself, or by us: no person wanted it, so this one is started with it again."""
    next_run: datetime | None = None
    """For a job: the run that its timer announced."""
    missed: datetime | None = None
    """For a job: the last announced run that did not take place."""
    skipped: bool = False
    """… since the one before it was still running."""
    loaded: Loaded | None = None
    """What its present life was started with; None until somebody has looked."""
    ready: str | None = None
    """The incarnation that is ready, as its probe said or as nobody could tell."""
    unready: str | None = None
    """The incarnation whose ready probe has said no, and not yet yes."""
    network_error: str | None = None
    """The network error with which its probe fails now."""


@dataclass(frozen=True, slots=True)
class StatusRow:
    """What is said of one agent, on one host: the row of `agent_status`."""

    name: str
    title: str
    project: str
    unit: str
    platform: str
    phase: Phase | None
    status: Status
    reason: Reason
    message: str
    since: datetime
    observed_status: Status
    observed_reason: Reason
    health: int = 0
    health_parts: tuple[HealthPart, ...] = ()
    pid: int | None = None
    incarnation: str | None = None
    boot: str | None = None
    started_at: datetime | None = None
    restarts: int = 0
    last_heartbeat: datetime | None = None
    source: Source | None = None
    last_error: str | None = None
    last_activity: str | None = None
    next_try: datetime | None = None
    lock: Lock | None = None
    outdated: bool = False
    outdated_by: tuple[str, ...] = ()
    """What has changed on disk since it was started: `settings`, `code`, `secret NAME`, `environment file PATH`."""
    cpu: float | None = None
    memory: int | None = None
    tasks: int | None = None
    revision: str | None = None
    updated_at: datetime | None = None
    past: Past = Past()


@dataclass(frozen=True, slots=True)
class HostStatus:
    """How a host and its reconciler are: a row of `host_status`. `message`: what troubles it; empty if nothing does."""

    platform: str
    version: str
    boot: str
    started_at: datetime
    agents: int
    message: str = ""
    updated_at: datetime | None = None


class ActionKind(StrEnum):
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    RESET_AND_START = "reset-and-start"
    KILL = "kill"
    END = "end"
    """End processes outside of the unit, as `hidden: stop` wants it."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that the platform is asked to do to one unit, and why."""

    kind: ActionKind
    name: str
    unit: str
    reason: str = ""
    processes: tuple[ProcessId, ...] = ()
    """For `END`: which ones."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an action. `denied`: we lack the right, so trying again is useless. `unmade`: it was not even
    asked for, since something was in the way. `overtaken`: a later request took its place."""

    ok: bool
    detail: str = ""
    denied: bool = False
    unmade: bool = False
    overtaken: bool = False


class EventKind(StrEnum):
    STATUS = "status"
    """What is said of an agent changed."""
    DEATH = "death"
    """It died, and was started again before its status could change."""
    ACTION = "action"
    """We did something to it."""
    ORDER = "order"
    """A person asked for something."""
    HOST = "host"
    """It concerns the host, and no single agent."""


@dataclass(frozen=True, slots=True)
class Event:
    """A change of status, or something done by a person or by us; written once.

    `at` is the operating system's time of the fact where it has one. `name` is empty where `kind` is HOST.
    """

    id: str
    name: str
    at: datetime
    kind: EventKind
    before: Status | None
    after: Status | None
    reason: str
    message: str
    by: str


class IntentKind(StrEnum):
    START = "start"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Intent:
    """What a person last wanted of an agent. Ends with the boot; of an agent only the newest one counts.

    `monotonic` is the moment on the clock of `boot`, to be compared with when a unit was started.
    """

    kind: IntentKind
    name: str
    by: str
    at: datetime
    boot: str
    monotonic: timedelta
    reason: str = ""


# --- The decision -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What concerns all agents of the host at once. Times are of the monotonic clock.

    `disturbed`: the last stall or resume of the machine, or loss of beats: silence before it says nothing.
    `unseen_since`: since when the platform cannot be asked.
    """

    name: str = ""
    platform: str = "systemd"
    listening_since: timedelta | None = None
    disturbed: timedelta | None = None
    unseen_since: timedelta | None = None
    user: str | None = None
    """In user scope, whose agents these are."""
    may_act: bool = False
    """Whether there is a reconciler to carry actions out; a command only looks."""
    asks: bool = False
    """Whether somebody asks the agents' probes."""
    forgets: bool = False
    """Whether what is decided now cannot be written down."""
    blind: bool = False
    """Whether processes cannot be seen, so that what was found of them counts no more."""


@dataclass(frozen=True, slots=True)
class World:
    """All that a decision may look at."""

    desired: Mapping[str, AgentSpec]
    observed: Mapping[str, Observation]
    rows: Mapping[str, StatusRow] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    intents: Mapping[str, Intent] = field(default_factory=dict)
    marks: Mapping[str, timedelta] = field(default_factory=dict)
    """Since when what an agent would be started as is on disk, for those where that was in this boot."""
    on_disk: Mapping[str, OnDisk] = field(default_factory=dict)
    """What else it would be started with, for those at which somebody has looked."""
    settled: frozenset[str] = frozenset()
    """Agents that were installed before this boot: it should have started them."""
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What the parts of their health may cost, of agents for whom that is not the usual."""
    host: HostFacts = HostFacts()


@dataclass(frozen=True, slots=True)
class Decision:
    """What to write, what to do, whom to forget, and when to look at each again (on the monotonic clock)."""

    rows: Mapping[str, StatusRow]
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    forget: tuple[str, ...] = ()
    wakes: Mapping[str, timedelta] = field(default_factory=dict)


# --- Whom to tell -----------------------------------------------------------------------------------------------------


class AlertKind(StrEnum):
    WEBHOOK = "webhook"
    SLACK = "slack"


@dataclass(frozen=True, slots=True)
class AlertTarget:
    """Where troubles are told. `url` or the file that holds it; `secret`: the file of the key that signs."""

    id: str
    kind: AlertKind
    url: str | None = None
    url_file: Path | None = None
    secret_file: Path | None = None
    hold_down: timedelta = timedelta(seconds=30)
    repeat: timedelta | None = None
    resolved: bool = True
    min_status: Status = Status.ERROR
    agents: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReconcilerSettings:
    """How the daemon works for one project."""

    events_for: timedelta = timedelta(days=90)
    samples_for: timedelta = timedelta(days=30)
    remote_control: bool = False
    metrics_listen: str | None = None
    """HOST:PORT where Prometheus asks."""


@dataclass(frozen=True, slots=True)
class TableMap:
    """A table of somebody else's that gets our rows too. `columns`: theirs by ours; `words`: theirs by our status."""

    table: str
    key: str
    columns: Mapping[str, str]
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SupabaseTarget:
    """The tables elsewhere that get copies of ours. No secret: of the key only the file that holds it."""

    url: str | None = None
    key_file: Path | None = None
    publishable_key: str | None = None
    """Beside a key of this host alone; it may be public."""
    tables: tuple[TableMap, ...] = ()


# --- Logs -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines of which agents. `priority`: this syslog level (0-7) and worse."""

    units: tuple[str, ...]
    lines: int | None = None
    follow: bool = False
    since: str | None = None
    until: str | None = None
    grep: str | None = None
    priority: int | None = None
    by_manager: bool = True
    """Also what the manager said about them."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that an agent wrote, or that its manager wrote about it (`by_manager`)."""

    at: datetime
    name: str
    text: str
    priority: int = 6
    pid: int | None = None
    by_manager: bool = False
