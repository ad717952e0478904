"""Presets as people change them: what is kept of it in the store, what is told of it, what follows from it.

Which preset an agent goes by, and what is refused, is decided elsewhere (`decide/presets.py`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from supervise.decide.events import order_event, told_of_host
from supervise.decide.presets import (
    BALANCED,
    BUILT_IN,
    INHERITED,
    Choices,
    chosen,
    deleted,
    said,
    saved,
    used_by,
    users,
    weighed,
)
from supervise.errors import UsageError
from supervise.stores import OF_HOST, Setting, SettingKey

if TYPE_CHECKING:
    from supervise.reconcile.reconciler import Reconciler

USED = "preset"
"""The key of a choice, of an agent or of the host …"""
OF_TAG = "preset of tag "
OWN = "own preset "
"""… and what keys begin with of a tag's choice, and of a preset that somebody has made. Both stand under the host."""


# --- What is kept -----------------------------------------------------------------------------------------------------


def read(settings: Mapping[SettingKey, Setting]) -> Choices:
    """The choices that were kept. What cannot be understood is as if it were not there."""
    own, tags, agents, host = {}, {}, {}, None
    for (name, key), setting in settings.items():
        value = setting.value or ""
        if name != OF_HOST and key == USED:
            agents[name] = value
        elif key == USED:
            host = value
        elif key.startswith(OF_TAG):
            tags[key.removeprefix(OF_TAG)] = value
        elif key.startswith(OWN):
            with suppress(ValueError, AttributeError, UsageError):
                own[key.removeprefix(OWN)] = weighed(json.loads(value), BUILT_IN[BALANCED])
    return Choices(own, host, tags, agents)


def kept(choices: Choices) -> dict[SettingKey, str]:
    """What is kept of them, by agent (or the host) and key."""
    return {
        **{(OF_HOST, f"{OWN}{name}"): json.dumps(weights) for name, weights in choices.own.items()},
        **{(OF_HOST, f"{OF_TAG}{tag}"): preset for tag, preset in choices.tags.items()},
        **{(name, USED): preset for name, preset in choices.agents.items()},
        **({(OF_HOST, USED): choices.host} if choices.host else {}),
    }


def changes(before: Choices, after: Choices, *, by: str, at: datetime) -> tuple[Setting, ...]:
    """What has to be written, or taken back, to keep the new ones."""
    old, new = kept(before), kept(after)
    differ = [of for of in {**old, **new} if old.get(of) != new.get(of)]
    return tuple(Setting(*of, new.get(of), by, at) for of in differ)


# --- What is asked for ------------------------------------------------------------------------------------------------


def info(reconciler: Reconciler) -> dict[str, Any]:
    """All presets with who uses them, and the one that each agent goes by."""
    choices, specs = reconciler.choices, reconciler.disk.specs
    presets = [
        {"name": name, "built_in": name in BUILT_IN, "weights": weights, "used_by": users(name, choices, specs)}
        for name, weights in choices.presets.items()
    ]
    return {"presets": presets, "agents": {name: used_by(spec, choices) for name, spec in specs.items()}}


async def save(reconciler: Reconciler, name: str, given: Mapping[str, object], *, base: str, by: str) -> dict[str, Any]:
    """Gives the weights as they are now, and what they were if there was such a preset. Raises UsageError."""
    choices = reconciler.choices
    weights = weighed(given, choices.weights(base))
    before = choices.own.get(name)
    after = saved(choices, name, weights)
    was = f"; before: {said(before)}" if before else ""
    await _change(reconciler, after, "PresetSaved", f"{name}: {said(weights)}{was}", by)
    return {"weights": weights, "before": before}


async def delete(reconciler: Reconciler, name: str, *, by: str) -> dict[str, Any]:
    """Gives what its weights were. Raises UsageError."""
    choices = reconciler.choices
    after = deleted(choices, name, reconciler.disk.specs)
    await _change(reconciler, after, "PresetDeleted", f"{name}: {said(choices.own[name])}", by)
    return {"before": choices.own[name]}


async def use(
    reconciler: Reconciler, name: str, *, agents: Collection[str], tags: Collection[str], by: str
) -> dict[str, str]:
    """Gives the preset that each agent goes by now. Raises UsageError."""
    specs = reconciler.disk.specs
    if missing := sorted({*agents} - specs.keys()):
        raise UsageError(f"no such agent: {', '.join(missing)}")
    if missing := sorted({*tags} - {tag for spec in specs.values() for tag in spec.tags}):
        raise UsageError(f"no agent has the tag {' or '.join(missing)}")
    after = chosen(reconciler.choices, name, agents=agents, tags=tags)
    what = "what is usual" if name == INHERITED else name
    whose = [f"tag {tag}" for tag in tags] or ([] if agents else ["the host"])
    text = f"{', '.join(whose)}: {what}" if whose else ""
    await _change(reconciler, after, "PresetUsed", text, by, agents={one: what for one in agents})
    return {one: used_by(spec, after) for one, spec in specs.items()}


async def _change(
    reconciler: Reconciler, after: Choices, what: str, text: str, by: str, *, agents: Mapping[str, str] | None = None
) -> None:
    """Take it over and tell of it; it is written when this returns, unless the store is in trouble."""
    now = reconciler.clock()
    events = [told_of_host(what, text, now=now, by=by)] if text else []
    for name, preset in (agents or {}).items():
        row = reconciler.rows.get(name)
        status = row.status if row else None
        events.append(order_event(name, "preset", by=by, reason=preset, now=now, status=status))
    settings = changes(reconciler.choices, after, by=by, at=now.wall)
    await reconciler.choose(after, settings, events)
