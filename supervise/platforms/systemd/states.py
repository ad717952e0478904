"""What systemd's D-Bus properties of a unit mean: a pure parser from property maps to UnitState.

`Result` and `NRestarts` alone do not tell a stop from a crash; the order of the timestamps does (measured on 252, see
`tests/fixtures/systemd/`). Every recorded answer there is a test case.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from supervise.model import Cause, Exit, Phase, UnitState

Properties = Mapping[str, Any]

PHASES = {
    "active": Phase.ACTIVE,
    "reloading": Phase.ACTIVE,
    "activating": Phase.STARTING,
    "deactivating": Phase.STOPPING,
    "failed": Phase.FAILED,
    "inactive": Phase.INACTIVE,
    "maintenance": Phase.INACTIVE,
}
CAUSES = {
    "exit-code": Cause.EXIT_CODE,
    "signal": Cause.SIGNAL,
    "core-dump": Cause.CORE_DUMP,
    "watchdog": Cause.WATCHDOG,
    "oom-kill": Cause.OUT_OF_MEMORY,
    "timeout": Cause.START_TIMEOUT,
    "protocol": Cause.NO_READINESS,
    "resources": Cause.RESOURCES,
    "exec-condition": Cause.CONDITION,
}
CLD_EXITED = 1
NEVER = 2**64 - 1
OWN_EXIT_CODES = range(200, 246)
"""systemd.exec(5) "Process Exit Codes": what systemd itself exits with when it cannot execute the program."""
DOWN = (Phase.INACTIVE, Phase.FAILED)
USED = frozenset(
    {
        "ActiveExitTimestamp",
        "ActiveExitTimestampMonotonic",
        "ActiveState",
        "AssertResult",
        "AssertTimestamp",
        "ConditionResult",
        "ConditionTimestamp",
        "ControlGroup",
        "ExecMainCode",
        "ExecMainExitTimestamp",
        "ExecMainExitTimestampMonotonic",
        "ExecMainPID",
        "ExecMainStartTimestamp",
        "ExecMainStartTimestampMonotonic",
        "ExecMainStatus",
        "ExecStartPre",
        "InactiveEnterTimestampMonotonic",
        "InvocationID",
        "JobType",
        "LoadState",
        "MainPID",
        "NRestarts",
        "NeedDaemonReload",
        "Restart",
        "RestartUSec",
        "Result",
        "StateChangeTimestamp",
        "StatusText",
        "SubState",
        "WatchdogTimestampMonotonic",
        "WatchdogUSec",
    }
)
"""The properties that count here, of the 300 that a service has: nobody need keep the others."""
START_LIMIT = "start-limit-hit"
"""What a manager that gave up writes over the result `success`, and over no other."""
REFUSED_BY_DEPENDENCY = "RefusedByDependency"
"""Not a property of systemd's: the watch writes it down when a start job ended with the result `dependency`."""


def unit_state(name: str, unit: str, properties: Properties, *, boot: str) -> UnitState:
    """One service's state from its merged properties (interfaces Unit and Service, variants unpacked).

    Absent properties count as zero, as systemd reports them for a unit that has never run.
    """
    phase = phase_of(properties)
    by_request, gave_up = _ending(properties, phase)
    pid = properties.get("MainPID", 0) or None
    return UnitState(
        name=name,
        unit=unit,
        phase=phase,
        pid=pid,
        incarnation=_incarnation(properties, boot),
        since=moment(properties.get("StateChangeTimestamp", 0)) or moment(properties.get("ExecMainStartTimestamp", 0)),
        started_at=moment(properties.get("ExecMainStartTimestamp", 0)),
        started_monotonic=length(properties.get("ExecMainStartTimestampMonotonic", 0)),
        left_active=moment(properties.get("ActiveExitTimestamp", 0)),
        ended_at=None if pid else moment(properties.get("ExecMainExitTimestamp", 0)),
        ended_monotonic=None if pid else length(properties.get("ExecMainExitTimestampMonotonic", 0)),
        cause=_cause(properties, phase),
        exit=_exit(properties) if not pid else None,
        before_start=not pid and not _main_exit(properties) and _before_start(properties)[0] > 0,
        by_request=by_request,
        gave_up=gave_up,
        restarts=properties.get("NRestarts", 0),
        status_text=properties.get("StatusText", ""),
        watchdog=length(properties.get("WatchdogUSec", 0)),
        last_ping=length(properties.get("WatchdogTimestampMonotonic", 0)),
        masked=properties.get("LoadState") == "masked",
        needs_reload=properties.get("NeedDaemonReload", False),
        job=bool(properties.get("JobType")),
        cgroup=properties.get("ControlGroup") or None,
    )


def moment(microseconds: int) -> datetime | None:
    """A wall-clock timestamp property; zero and `never` are None."""
    if not 0 < microseconds < NEVER:
        return None
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC) + timedelta(microseconds=microseconds % 1_000_000)


def length(microseconds: int) -> timedelta | None:
    """A length of time, or a timestamp of the monotonic clock; zero and `never` are None."""
    return timedelta(microseconds=microseconds) if 0 < microseconds < NEVER else None


def phase_of(properties: Properties) -> Phase:
    """From what `ListUnits` tells: LoadState, ActiveState, SubState, JobType."""
    phase = PHASES.get(properties.get("ActiveState", "inactive"), Phase.INACTIVE)
    if phase in DOWN and properties.get("LoadState") in ("not-found", "bad-setting", "error"):
        return Phase.ABSENT
    if phase is Phase.STARTING and properties.get("SubState", "").startswith("auto-restart"):
        return Phase.RESTARTING
    if phase in DOWN and properties.get("JobType") in ("start", "restart"):
        return Phase.QUEUED
    return phase


def _incarnation(properties: Properties, boot: str) -> str | None:
    """`boot/invocation/main PID/its start`: a bare PID identifies nothing."""
    invocation = bytes(properties.get("InvocationID", b"")).hex()
    started = properties.get("ExecMainStartTimestampMonotonic", 0)
    return f"{boot}/{invocation}/{properties.get('ExecMainPID', 0)}/{started}" if started else None


def invocation(state: UnitState) -> str | None:
    """The InvocationID of a state's life."""
    return state.incarnation.split("/")[1] if state.incarnation else None


def _exit(properties: Properties) -> Exit | None:
    if _main_exit(properties):
        return _decoded(properties.get("ExecMainCode", 0), properties.get("ExecMainStatus", 0))
    exited, code, status = _before_start(properties)
    return _decoded(code, status) if exited else None


def _decoded(code: int, status: int) -> Exit:
    return Exit(code=status) if code == CLD_EXITED else Exit(signal=status)


def _main_exit(properties: Properties) -> int:
    """When the main process ended, if it was the last one to be started."""
    exited: int = properties.get("ExecMainExitTimestampMonotonic", 0)
    return exited if exited >= _before_start(properties)[0] else 0


def _before_start(properties: Properties) -> tuple[int, int, int]:
    """When `before_start` ended (0: it has not run), and how: the last three fields of ExecStartPre's entries."""
    entries = properties.get("ExecStartPre") or ()
    return max(((entry[6], entry[8], entry[9]) for entry in entries), default=(0, 0, 0))


def _cause(properties: Properties, phase: Phase) -> Cause | None:
    if phase not in (*DOWN, Phase.RESTARTING):
        return None
    if not properties.get("AssertResult", True) and properties.get("AssertTimestamp", 1):
        return Cause.ASSERTION
    if not properties.get("ConditionResult", True) and properties.get("ConditionTimestamp", 1):
        return Cause.CONDITION
    if properties.get(REFUSED_BY_DEPENDENCY):
        return Cause.DEPENDENCY
    result = properties.get("Result", "success")
    if result == "exit-code" and properties.get("ExecMainStatus", 0) in OWN_EXIT_CODES:
        return Cause.EXEC_FAILED
    if result in ("success", START_LIMIT):
        return Cause.CLEAN if properties.get("ExecMainExitTimestampMonotonic", 0) else None
    return CAUSES.get(result, Cause.EXIT_CODE)


def _ending(properties: Properties, phase: Phase) -> tuple[bool | None, bool | None]:
    """(by request, given up) of a unit that is down.

    A requested stop leaves `active` first and its process ends afterwards; in a death the process ends first. A manager
    that gave up had waited RestartSec once more before it came to rest; less than that is a restart seen in the middle.
    """
    exited = _main_exit(properties)
    if phase not in DOWN or not (exited or _before_start(properties)[0]):
        return None, None
    restarts = properties.get("Restart", "no") != "no"
    if not exited:
        rested = properties.get("InactiveEnterTimestampMonotonic", 0) - _before_start(properties)[0]
        gave_up = restarts and rested >= properties.get("RestartUSec", 0)
        return restarts and not gave_up, gave_up
    if phase is Phase.INACTIVE and properties.get("Restart") == "always":
        return True, False
    if properties.get("Result") == START_LIMIT:
        return False, True
    begun = properties.get("ExecMainStartTimestampMonotonic", 0)
    left_first = begun <= properties.get("ActiveExitTimestampMonotonic", 0) < exited  # earlier: of a life before this
    if left_first and properties.get("Result") != "watchdog":
        return True, False
    rested = properties.get("InactiveEnterTimestampMonotonic", 0) - exited
    gave_up = phase is Phase.FAILED and restarts and rested >= properties.get("RestartUSec", 0)
    return False, gave_up
