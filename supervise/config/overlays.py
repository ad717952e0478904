"""One tree laid over another: maps merge deeply, anything else replaces what was there, and null removes a key.

The same rule joins `agents.yaml` with `agents.<environment>.yaml`, and `defaults` with each agent.
"""

from __future__ import annotations

from supervise.config.nodes import Node


def merge(base: Node, over: Node) -> Node:
    """`over` laid over `base`. A null in `over` that finds nothing to remove stays, so that it can be reported."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    merged = dict(base.value)
    for key, child in over.value.items():
        if key not in merged:
            merged[key] = child
        elif child.value is None:
            del merged[key]
        else:
            merged[key] = merge(merged[key], child)
    return base.with_value(merged)


def inherited(defaults: Node, agent: Node) -> Node:
    """An agent with `defaults` under it. Defaults that only tune a probe do not make one where none is written."""
    merged = merge(defaults, agent) if isinstance(defaults.value, dict) else agent
    probes = merged.child("probes")
    if probes is None or not isinstance(probes.value, dict):
        return merged
    real = {which: probe for which, probe in probes.value.items() if _asks(probe) or agent.at(("probes", which))}
    return merged.with_value({**merged.map(), "probes": probes.with_value(dict(real))})


def _asks(probe: Node) -> bool:
    return not isinstance(probe.value, dict) or not {"http", "tcp", "command"}.isdisjoint(probe.value)
