"""Whether a process outside of its agent's unit may be ended by us: only where the user said `hidden: stop`. Pure."""

from __future__ import annotations

from supervise.model import AgentSpec, HiddenPolicy, Process
from supervise.observe.cgroups import UnitKind
from supervise.observe.match import Place


def why_not_end(spec: AgentSpec, process: Process, place: Place, *, uid: int | None) -> str | None:
    """What speaks against it; None where nothing does. `uid`: the agent's user, None where nobody knows it.

    What was left in the unit's control group is the agent's whoever it runs as; a copy elsewhere must be of its user.
    """
    if spec.hidden is not HiddenPolicy.STOP:
        return "its agent does not say hidden: stop"
    if place.unit == (UnitKind.SERVICE, spec.name):
        return None
    if place.unit or place.why or place.agents != (spec.name,):
        return "it is not certain that it is a copy of the agent"
    if uid is None or process.uid != uid:
        return f"it runs as another user ({process.user or process.uid})"
    return None
