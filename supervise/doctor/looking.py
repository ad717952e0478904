"""Looks at an installation once, for all checks: manifests, systemd and the reconciler, none waited for for long.

Systemd is asked first: a question to the reconciler's socket would start one that is down, and hide that it was.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any

from supervise import clock
from supervise.access import Identity, identity
from supervise.control.client import Refused, Unreachable, connect
from supervise.doctor.installation import Installation, Pending, Systemd
from supervise.errors import PlatformError, SuperviseError
from supervise.fitting_alerts import DAEMON
from supervise.manifest import Manifest, manifests, unreadable
from supervise.model import Scope
from supervise.places import Places
from supervise.platforms.systemd.bus import MANAGER, MANAGER_PATH, UNIT, Bus
from supervise.platforms.systemd.platform import object_path
from supervise.platforms.systemd.states import moment
from supervise.platforms.systemd.units import RECONCILER, SOCKETS
from supervise.platforms.systemd.watch import SERVICE

PATIENCE = 3.0
"""Seconds for systemd, and again for the reconciler."""
DOWN = ("inactive", "failed")


def look(places: Places, *, uid: int, pending: Pending) -> Installation:
    installed: tuple[Manifest, ...] = ()
    damaged: Mapping[str, str] = {}
    unseen = False
    try:
        installed, damaged = tuple(manifests(places)), unreadable(places)
        unseen = places.manifests.is_dir() and not os.access(places.manifests, os.R_OK | os.X_OK)
    except PermissionError:
        unseen = True
    systemd, unreachable = asyncio.run(_systemd(places.scope))
    info, seconds, silence = asyncio.run(_reconciler(places, systemd))
    return Installation(
        places=places,
        uid=uid,
        at=clock.now(),
        daemon=daemon_user(places.scope, uid),
        pending=pending,
        manifests=installed,
        damaged=damaged,
        unseen=unseen,
        info=info,
        seconds=seconds,
        silence=silence,
        systemd=systemd,
        unreachable=unreachable,
    )


def daemon_user(scope: Scope, uid: int) -> Identity | None:
    """Whom the reconciler of this scope runs as, if there is such a user."""
    try:
        return identity(DAEMON if scope is Scope.SYSTEM else str(uid))
    except KeyError:
        return None


async def _systemd(scope: Scope) -> tuple[Systemd | None, str]:
    try:
        async with asyncio.timeout(PATIENCE):
            return await _asked(scope), ""
    except TimeoutError:
        return None, f"systemd did not answer within {PATIENCE:g} s"
    except PlatformError as error:
        return None, str(error)


async def _asked(scope: Scope) -> Systemd:
    begin = time.monotonic()
    bus = await Bus.connect(scope)
    try:
        version = await bus.property(MANAGER_PATH, MANAGER, "Version")
        seconds = time.monotonic() - begin
        state = await bus.property(MANAGER_PATH, MANAGER, "SystemState")
        loaded = await bus.property(MANAGER_PATH, MANAGER, "UnitsLoadTimestamp")
        units = {name: await bus.all_properties(object_path(name), UNIT) for name in (*SOCKETS, RECONCILER)}
        units[RECONCILER] |= await bus.all_properties(object_path(RECONCILER), SERVICE)
    finally:
        bus.close()
    return Systemd(str(version), str(state), seconds, moment(loaded), units)


async def _reconciler(places: Places, systemd: Systemd | None) -> tuple[Mapping[str, Any] | None, float | None, str]:
    if systemd and _would_be_started(systemd):
        return None, None, "it does not run"
    begin = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE), connect(places.control) as control:
            info = await control.ask("info", patience=PATIENCE)
            return info, time.monotonic() - begin, ""
    except TimeoutError:
        return None, None, f"it did not answer within {PATIENCE:g} s"
    except (Unreachable, Refused, SuperviseError, ValueError) as error:
        return None, None, str(error)


def _would_be_started(systemd: Systemd) -> bool:
    """Whether systemd listens for a reconciler that is down."""
    states = {name: one.get("ActiveState") for name, one in systemd.units.items()}
    return states.get(RECONCILER) in DOWN and states.get(SOCKETS[0]) == "active"
