"""How long a row may be untrue: the one table of it. What is longer than `ROW` is a threshold that the rules themselves
have, with the reason why; the report prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """So many seconds. `why` is for the reader of the report."""

    seconds: float
    why: str


ROW, HIDDEN, DRIFT, SILENCE = "row", "hidden", "drift", "silence"
WATCHDOG, HEARTBEAT, AWAY, QUARANTINE, EVENT, QUIET = "watchdog", "heartbeat", "away", "quarantine", "event", "quiet"
LIMITS: Mapping[str, Limit] = {
    ROW: Limit(2.0, "whatever systemd or a person does"),
    HIDDEN: Limit(3.0, "a process outside of its unit is found by a scan"),
    DRIFT: Limit(4.0, "unit files are looked at every 2 s"),
    WATCHDOG: Limit(0.3, "beyond the agent's watchdog, from its last beat on; killing it may take 5 s more"),
    SILENCE: Limit(
        1.5,
        "beyond late_after and silent_after; silence counts from a flood or a restart of the reconciler on, if later",
    ),
    HEARTBEAT: Limit(8.0, "last_heartbeat of an agent that beats is renewed every 5 s if nothing else is new"),
    AWAY: Limit(
        5.0, "from a kill of the reconciler until it answers again: systemd waits 0.3 s, the rest is its start"
    ),
    QUARANTINE: Limit(
        12.0,
        "what was given up is down until its next try: 2 s, then 4 s, each up to a fifth longer, and that may fail too",
    ),
    EVENT: Limit(20.0, "from a fault until its event: a hang takes its limit, a stop its timeout"),
    QUIET: Limit(60.0, "after the last fault, until all run as wished and nothing is told any more"),
}


def seconds(name: str) -> float:
    return LIMITS[name].seconds
