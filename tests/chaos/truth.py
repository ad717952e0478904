"""What may be said of an agent, given what is true of it. Pure, and written from the documents, not from the code.

A row has to say one of the words that fit, the PID, phase and restarts that systemd has, and to name every copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.chaos.crew import Kind
from tests.chaos.facts import Facts, Process
from tests.chaos.limits import DRIFT, HEARTBEAT, HIDDEN, ROW, SILENCE, WATCHDOG, seconds

Row = Mapping[str, Any]
Word = tuple[str, str]
DOWN = ("inactive", "failed")
OWN_EXITS = range(200, 246)
"""systemd.exec(5): with these systemd itself ends where it cannot execute the program."""
ENDINGS = {
    "success": ("warning", "Exited"),
    "watchdog": ("error", "WatchdogExpired"),
    "timeout": ("error", "StartTimeout"),
    "protocol": ("error", "StartTimeout"),
    "oom-kill": ("error", "OutOfMemory"),
}
CRASHED = ("error", "Crashed")
DUPLICATE, HIDDEN_PROCESS = ("warning", "DuplicateProcess"), ("warning", "HiddenProcess")
AS_WANTED, DRIFTED = ("running", "AsWanted"), ("warning", "Drift")
STOPPED, QUARANTINED = ("stopped", "StoppedByOperator"), ("error", "Quarantined")
LOOPING, LATE, SILENT = ("error", "CrashLooping"), ("warning", "Late"), ("error", "Silent")
HELD, HELD_IN_VAIN = ("stopped", "Held"), ("error", "Held")
BY_SCAN = {"DuplicateProcess", "HiddenProcess", "OrphanProcess"}


@dataclass(frozen=True, slots=True)
class Known:
    """What the oracle knows besides what can be looked at."""

    kind: Kind
    stopped: bool | None = False
    """A person has stopped it and not started it since; None: that is under way, or cannot be told."""
    silent: tuple[float, float] | None = None
    """Its last sign of life that counts lies between these moments; None: it gives signs."""
    may_loop: bool = False
    """It has died so often, or was given up before: it may be taken out of service."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something untrue in a row, and by which limit it must have ended."""

    text: str
    limit: str = ROW


def complaints(row: Row, facts: Facts, known: Known, *, wall: float) -> tuple[Complaint, ...]:
    """All that is untrue in a row. `wall`: the time of day at the end of the look."""
    return tuple(_complaints(row, facts, known, wall))


def words(facts: Facts, known: Known) -> frozenset[Word]:
    """The words of which one must be said."""
    return frozenset(BY_PHASE[facts.unit.phase](facts, known))


def overdue(facts: Facts, known: Known) -> bool:
    """Whether it hangs for longer than its watchdog, and so cannot be running any more."""
    watchdog, pinged = known.kind.watchdog, facts.unit.pinged
    if known.silent is None or facts.unit.phase != "active":
        return False
    return bool(watchdog and pinged and facts.end - pinged > watchdog)


def _complaints(row: Row, facts: Facts, known: Known, wall: float) -> Iterator[Complaint]:
    said, fitting = (row["status"], row["reason"]), words(facts, known)
    if overdue(facts, known):
        yield Complaint(f"says {'/'.join(said)}, but its watchdog has expired", WATCHDOG)
    elif said not in fitting:
        told = " or ".join(sorted("/".join(word) for word in fitting)) or "nothing that is known"
        yield Complaint(f"says {'/'.join(said)}, true is {told}", _limit(said, fitting))
    pid = facts.unit.pid or None
    if row["pid"] != pid:
        yield Complaint(f"says PID {row['pid']}, true is {pid}")
    if row["phase"] != facts.unit.phase:
        yield Complaint(f"says phase {row['phase']}, true is {facts.unit.phase}")
    if facts.unit.phase == "active" and row["restarts"] != facts.unit.restarts:
        yield Complaint(f"counts {row['restarts']} restarts, true are {facts.unit.restarts}")
    if said in (DUPLICATE, HIDDEN_PROCESS):
        yield from _copies(row["message"], facts.outside)
    if said == AS_WANTED and known.kind.beats and known.silent is None:
        yield from _heartbeat(row, facts, wall)


def _copies(message: str, outside: tuple[Process, ...]) -> Iterator[Complaint]:
    """Each copy is named, and nothing else is called one."""
    named = {int(part.split()[0].rstrip(".;,)")) for part in message.split("PID ")[1:]}
    true = {one.pid for one in outside}
    for pid in sorted(true - named):
        yield Complaint(f"does not name the copy with PID {pid}", HIDDEN)
    for pid in sorted(named - true):
        yield Complaint(f"calls PID {pid} a copy, which is none", HIDDEN)


def _heartbeat(row: Row, facts: Facts, wall: float) -> Iterator[Complaint]:
    if facts.unit.phase != "active" or facts.end - facts.unit.started < seconds(HEARTBEAT):
        return
    last = row["last_heartbeat"]
    age = wall - datetime.fromisoformat(last).timestamp() if last else None
    if age is None or not -1 <= age <= seconds(HEARTBEAT):
        yield Complaint(f"says its last heartbeat was {last}, but it beats", HEARTBEAT)


def _limit(said: Word, fitting: frozenset[Word]) -> str:
    """By when what is said must have become what fits."""
    reasons = {said[1], *(reason for _, reason in fitting)}
    if reasons & BY_SCAN or {said, *fitting} == {HELD, HELD_IN_VAIN}:
        return HIDDEN
    if "Drift" in reasons:
        return DRIFT
    return SILENCE if reasons & {"Late", "Silent"} else ROW


# --- By phase --------------------------------------------------------------------------------------------------------


def _active(facts: Facts, known: Known) -> Iterator[Word]:
    if facts.held is not None:
        yield from (("stopping", "Held"), ("error", "Held"))
    elif facts.outside:
        yield DUPLICATE
    else:
        yield from _running(facts, known)
        if known.may_loop:
            yield LOOPING


def _running(facts: Facts, known: Known) -> Iterator[Word]:
    usual = DRIFTED if facts.edited is not None or facts.unit.stale else AS_WANTED
    late, silent = known.kind.late_after, known.kind.silent_after
    if known.silent is None or late is None or silent is None:
        yield usual
        return
    least, most = (facts.end - moment for moment in reversed(known.silent))
    if least < late:
        yield usual
    if most >= late and least < silent:
        yield LATE
    if most >= silent:
        yield SILENT


def _restarting(facts: Facts, known: Known) -> Iterator[Word]:
    if facts.held is not None:
        yield from (("stopping", "Held"), ("error", "Held"))
    elif facts.outside:
        yield HIDDEN_PROCESS
    else:
        yield _ending(facts)
        if known.may_loop:
            yield LOOPING


def _down(facts: Facts, known: Known) -> Iterator[Word]:
    if facts.outside:
        yield HELD_IN_VAIN if facts.held is not None else HIDDEN_PROCESS
    elif facts.held is not None:
        yield HELD_IN_VAIN if facts.inside else HELD
    elif facts.inside:
        yield ("warning", "OrphanProcess")
    else:
        if known.stopped is not False:
            yield STOPPED
        if not known.stopped:
            yield from _down_by_itself(facts, known)


def _down_by_itself(facts: Facts, known: Known) -> Iterator[Word]:
    """It was not stopped by a person, as far as is known."""
    if facts.unit.phase == "failed":
        yield QUARANTINED if known.kind.policy != "never" else _ending(facts)
        return
    if known.may_loop:
        yield QUARANTINED
    if known.kind.policy != "always" and facts.unit.result == "success":
        yield ("stopped", "ExitedCleanly")


def _starting(facts: Facts, known: Known) -> Iterator[Word]:
    if facts.held is not None:
        yield from (("stopping", "Held"), ("error", "Held"))
    else:
        yield ("starting", "Starting")


def _stopping(facts: Facts, known: Known) -> Iterator[Word]:
    yield ("stopping", "Held") if facts.held is not None else ("stopping", "Stopping")


def _queued(facts: Facts, known: Known) -> Iterator[Word]:
    yield ("stopped", "Held") if facts.held is not None else ("starting", "Queued")


def _ending(facts: Facts) -> Word:
    if facts.unit.code == 1 and facts.unit.status in OWN_EXITS:
        return ("error", "ExecFailed")
    return ENDINGS.get(facts.unit.result, CRASHED)


BY_PHASE: Mapping[str, Callable[[Facts, Known], Iterator[Word]]] = {
    "active": _active,
    "restarting": _restarting,
    "inactive": _down,
    "failed": _down,
    "starting": _starting,
    "stopping": _stopping,
    "queued": _queued,
}
