"""How the unit of a command probe has ended, from systemd's properties of it. Pure.

A command that systemd could not execute says nothing of the agent: it is not a no.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervise.exits import described
from supervise.model import Exit, Outcome
from supervise.platforms.systemd.states import CLD_EXITED, OWN_EXIT_CODES

LATE = "it did not end in time"
UNMADE = {
    "resources": "it could not be started for lack of resources",
    "oom-kill": "it ran out of memory",
    "start-limit-hit": "it was started too often",
}


def ended(service: Mapping[str, Any]) -> Outcome:
    """`service`: properties of the interface Service of a unit that has failed."""
    result, code, status = (service.get(name, 0) for name in ("Result", "ExecMainCode", "ExecMainStatus"))
    if result in UNMADE:
        return Outcome(False, UNMADE[result], unmade=True)
    if result == "timeout":
        return Outcome(False, LATE)
    exit = Exit(code=status) if code == CLD_EXITED else Exit(signal=status)
    return Outcome(False, described(exit), unmade=exit.code in OWN_EXIT_CODES)
