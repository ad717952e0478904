"""The unit of one agent as systemd treats it: lives, deaths, automatic starts (`Restart=always`) until it gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

from supervise.model import AgentSpec, Cause, Exit, Instant, Notify, Phase, UnitState
from tests.nouns import state

UP = (Phase.ACTIVE, Phase.STARTING)
BEGINNING, ENDING = 0.02, 0.05
"""Seconds that a start takes, and the end of an agent that listens."""
LOOKING = 0.01


class Surroundings(Protocol):
    """What a unit needs of its machine."""

    @property
    def clock(self) -> Callable[[], Instant]: ...
    def next_pid(self) -> int: ...
    def moved(self, unit: Unit) -> None: ...


class Unit:
    """`state` is what systemd shows; `hung_at`: since when its process does nothing any more; `deaths`: all of them."""

    def __init__(self, spec: AgentSpec, machine: Surroundings) -> None:
        self.spec = spec
        self.deaths = 0
        self._machine = machine
        self._timer: asyncio.TimerHandle | None = None
        self.forget()

    def forget(self) -> None:
        """As after a boot."""
        self._wait_no_more()
        self.state = state(Phase.INACTIVE, self.spec.name)
        self.hung_at: timedelta | None = None
        self._starts: list[timedelta] = []
        self._job = object()
        self._comes_back = False

    @property
    def now(self) -> Instant:
        return self._machine.clock()

    @property
    def runs(self) -> bool:
        return self.state.phase is Phase.ACTIVE

    def shown(self) -> UnitState:
        """Its state with its last ping, of which nobody is told."""
        return replace(self.state, last_ping=self.last_ping)

    @property
    def last_ping(self) -> timedelta | None:
        if self.state.watchdog is None or self.state.pid is None:
            return None
        return self.hung_at if self.hung_at is not None else self.now.monotonic

    # --- What is done to it -------------------------------------------------------------------------------------------

    async def do(self, what: str) -> str:
        """`start`, `stop` or `restart`, in the place of what was asked before; gives how that ends."""
        job = self._job = object()
        self._comes_back = what != "stop"
        if what != "start":
            self._stop()
        while self.state.phase is Phase.STOPPING:
            await asyncio.sleep(LOOKING)
        if self._job is not job:
            return "canceled"
        if what != "stop" and self.state.phase not in UP:
            self._begin(restarts=0)
        while self.state.phase is Phase.STARTING:
            await asyncio.sleep(LOOKING)
        return "done" if what == "stop" or self.runs else "failed"

    def reset(self) -> None:
        self._starts.clear()

    def dies(self, *, code: int = 3, cause: Cause = Cause.EXIT_CODE) -> None:
        if self.state.phase not in UP:
            return
        self.deaths += 1
        self._ends(Phase.RESTARTING, cause=cause if code else Cause.CLEAN, exit=Exit(code=code))
        self._later(self.spec.restart.delay.total_seconds(), lambda: self._begin(restarts=self.state.restarts + 1))

    def hangs(self) -> None:
        if self.state.pid is None or self.hung_at is not None:
            return
        self.hung_at, life = self.now.monotonic, self.state.incarnation
        if self.state.watchdog:
            length = self.state.watchdog.total_seconds()
            asyncio.get_running_loop().call_later(length, self._is_found_hung, life)

    # --- Steps --------------------------------------------------------------------------------------------------------

    def _begin(self, *, restarts: int) -> None:
        self._wait_no_more()
        now, limit = self.now, self.spec.restart
        self._starts = [at for at in self._starts if at > now.monotonic - limit.window]
        if len(self._starts) >= limit.burst:
            self._shows(phase=Phase.FAILED, by_request=False, gave_up=True)
            return
        self._starts.append(now.monotonic)
        self.hung_at, pid = None, self._machine.next_pid()
        self.state = state(Phase.STARTING, self.spec.name, left_active=self.state.left_active)
        self._shows(
            pid=pid,
            incarnation=f"{now.boot}/{pid}/{now.monotonic.total_seconds()}",
            started_at=now.wall,
            started_monotonic=now.monotonic,
            restarts=restarts,
            watchdog=self.spec.watchdog if self.spec.notify is Notify.ALWAYS else None,
        )
        self._later(BEGINNING, lambda: self._shows(phase=Phase.ACTIVE))

    def _stop(self) -> None:
        self._wait_no_more()
        if self.state.phase is Phase.RESTARTING:
            self._shows(phase=Phase.INACTIVE, by_request=True, gave_up=False, cause=Cause.CLEAN)
        elif self.state.phase in UP:
            self._shows(phase=Phase.STOPPING, left_active=self.now.wall)
        if self.state.phase is Phase.STOPPING:
            patience = self.spec.stop_timeout.total_seconds() if self.hung_at is not None else ENDING
            self._later(patience, self._is_down)

    def _is_down(self) -> None:
        if self._comes_back:
            self._ends(Phase.QUEUED, exit=Exit(signal=15))
        else:
            self._ends(Phase.INACTIVE, by_request=True, gave_up=False, cause=Cause.CLEAN, exit=Exit(signal=15))

    def _is_found_hung(self, life: str | None) -> None:
        if self.state.incarnation == life and self.hung_at is not None:
            self.dies(cause=Cause.WATCHDOG)

    def _ends(self, phase: Phase, **how: Any) -> None:
        now, self.hung_at = self.now, None
        left = {} if self.state.phase is Phase.STOPPING else {"left_active": now.wall}
        self._shows(phase=phase, pid=None, ended_at=now.wall, ended_monotonic=now.monotonic, **left, **how)

    def _shows(self, **changed: Any) -> None:
        self.state = replace(self.state, since=self.now.wall, **changed)
        self._machine.moved(self)

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, what)

    def _wait_no_more(self) -> None:
        if self._timer:
            self._timer.cancel()
