"""How a process ended, in words: exit codes, signals and systemd's own codes decoded. Pure."""

from __future__ import annotations

import signal

from supervise.model import Cause, Exit, UnitState

SYSTEMD_CODES = {
    200: ("CHDIR", "cannot enter the working directory"),
    202: ("FDS", "cannot prepare its file descriptors"),
    203: ("EXEC", "cannot execute the program"),
    204: ("MEMORY", "out of memory before it was executed"),
    205: ("LIMITS", "cannot set its resource limits"),
    208: ("STDIN", "cannot set up its standard input"),
    209: ("STDOUT", "cannot set up its standard output"),
    210: ("CHROOT", "cannot change its root directory"),
    214: ("SETSCHEDULER", "cannot set its scheduling"),
    216: ("GROUP", "cannot become its group"),
    217: ("USER", "cannot become its user"),
    218: ("CAPABILITIES", "cannot drop its capabilities"),
    219: ("CGROUP", "cannot enter its cgroup"),
    226: ("NAMESPACE", "cannot make its file system view"),
    227: ("NO_NEW_PRIVILEGES", "cannot give up new privileges"),
    228: ("SECCOMP", "cannot filter its system calls"),
    231: ("APPARMOR", "cannot enter its AppArmor profile"),
    232: ("ADDRESS_FAMILIES", "cannot restrict its address families"),
    233: ("RUNTIME_DIRECTORY", "cannot make its runtime directory"),
    238: ("STATE_DIRECTORY", "cannot make its state directory"),
    241: ("CONFIGURATION_DIRECTORY", "cannot make its configuration directory"),
    243: ("CREDENTIALS", "cannot hand over its secrets"),
    245: ("BPF", "cannot set up its network filter"),
}
"""systemd.exec(5), "Process Exit Codes"."""


def ending(state: UnitState) -> str:
    """One clause on how the last process of a unit ended: "was killed by SIGKILL", "exited with code 3"."""
    if state.before_start and state.cause is Cause.START_TIMEOUT:
        return "did not come up in time: its before_start took longer than startup_timeout"
    if state.before_start:
        return f"was not started, since its before_start {described(state.exit)}"
    match state.cause:
        case Cause.WATCHDOG if _asked_for_it(state):
            return f"asked its watchdog to end it ({described(state.exit)})"
        case Cause.WATCHDOG if state.watchdog:
            length = f"{state.watchdog.total_seconds():g} s"
            return f"sent no ping for {length} and was killed by its watchdog ({described(state.exit)})"
        case Cause.WATCHDOG:  # it armed its own, and nobody knows for how long
            return f"was ended by its watchdog ({described(state.exit).removeprefix('was ')})"
        case Cause.OUT_OF_MEMORY:
            return "ran out of memory and was killed by the kernel"
        case Cause.START_TIMEOUT:
            return (
                "did not stop within stop_timeout and was killed"
                if state.by_request
                else "did not come up within startup_timeout"
            )
        case Cause.NO_READINESS:
            return "ended before it said that it was ready (notify: true needs READY=1)"
        case Cause.ASSERTION:
            return "may not start: it is held, or an assertion of its unit does not hold"
        case Cause.CONDITION:
            return "did not start: a condition of its unit does not hold"
        case Cause.RESOURCES:
            return "could not be started for lack of resources"
    return described(state.exit)


def described(exit: Exit | None) -> str:
    if exit is None:
        return "has not run"
    if exit.signal is not None:
        return f"was killed by {_signal_name(exit.signal)}"
    if exit.code in SYSTEMD_CODES:
        name, why = SYSTEMD_CODES[exit.code or 0]
        return f"could not be started: {why} ({exit.code}/{name})"
    return f"exited with code {exit.code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _asked_for_it(state: UnitState) -> bool:
    """Whether its watchdog cannot have run out by itself: it was pinged, or started, too short a time before."""
    if state.ended_monotonic is None or state.started_monotonic is None or state.watchdog is None:
        return False
    sign = max(state.started_monotonic, state.last_ping or state.started_monotonic)
    return state.ended_monotonic - sign < state.watchdog * 0.9
