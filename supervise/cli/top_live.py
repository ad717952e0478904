"""`top` as it runs: follows the rows, reads keys, draws, has done what was ordered, until somebody has had enough."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from supervise.cli.output import utc_now
from supervise.cli.status_view import json_rows
from supervise.cli.top_keys import Keys
from supervise.cli.top_state import Order, Pane, Quit, State, Verb, pressed, settled, visible
from supervise.cli.top_terminal import Terminal
from supervise.cli.top_view import FOOT, HEAD, Scene, frame, plain
from supervise.errors import NoSuchAgent, SuperviseError
from supervise.hints import for_scope
from supervise.logs import read_journal
from supervise.manager import Result, Verbs
from supervise.model import AgentSpec, LogLine, LogQuery
from supervise.overview import Overview, following, overview
from supervise.places import Places
from supervise.platforms.systemd.units import run_unit, timer_name, unit_name

REDRAW = 1.0
"""Seconds after which ages are drawn anew though nothing has changed."""
AT_ONCE = 0.05
"""Seconds between two drawings at least."""
ESCAPE = 0.05
"""Seconds after which an ESC was the key itself."""
ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGQUIT: 131}
"""What ends us, with the exit code that a shell expects."""
LOGS = 500
"""Lines of logs that are kept."""

Opening = Callable[[], AbstractAsyncContextManager[Verbs]]


class Top:
    """One run. `specs`: None for all that are installed, also later."""

    def __init__(
        self, there: Places, specs: Sequence[AgentSpec] | None, opening: Opening, terminal: Terminal, state: State
    ) -> None:
        self._there = there
        self._specs = specs
        self._opening = opening
        self._terminal = terminal
        self._state = state
        self._view = Overview({}, utc_now())
        self._names: list[str] = []
        self._keys = Keys()
        self._woken = asyncio.Event()
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._working: dict[Order, asyncio.Task[None]] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """What is ordered of one agent is done in the order of the keys."""
        self._warned = False
        self._logs: deque[LogLine] = deque(maxlen=LOGS)
        self._complaint = ""
        self._log_reader: asyncio.Task[None] | None = None
        self._log_of: str | None = None

    async def run(self) -> int:
        """Gives the exit code. Raises what keeps it from following."""
        loop = asyncio.get_running_loop()
        for number, code in ENDS.items():
            loop.add_signal_handler(number, self._end, code)
        loop.add_signal_handler(signal.SIGWINCH, self._woken.set)
        loop.add_signal_handler(signal.SIGTSTP, self._stop)
        loop.add_reader(self._terminal.input, self._read)
        tasks: list[asyncio.Task[Any]] = [asyncio.ensure_future(one) for one in (self._follow(), self._draw_on())]
        try:
            await asyncio.wait((self._ended, *tasks), return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
            return self._ended.result()
        finally:
            loop.remove_reader(self._terminal.input)
            await _cancelled(*tasks, *self._working.values(), *([self._log_reader] if self._log_reader else []))

    # --- What comes in ------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        async for view in following(self._there, self._specs):
            self._view = view
            self._woken.set()

    def _read(self) -> None:
        try:
            content = os.read(self._terminal.input, 4096)
        except OSError:
            content = b""
        if not content:  # the terminal has gone
            self._end(ENDS[signal.SIGHUP])
            return
        self._take(self._keys.read(content))
        if self._keys.waits:
            asyncio.get_running_loop().call_later(ESCAPE, lambda: self._take(self._keys.flush()))

    def _take(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._state, wish = pressed(self._state, key, self._visible())
            self._settle()
            if isinstance(wish, Quit):
                self._leave()
            elif wish:
                self._begin(wish)
        self._tend_logs()
        self._woken.set()

    def _stop(self) -> None:
        self._terminal.stop()
        self._woken.set()

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    def _leave(self) -> None:
        """At once, unless something is still being done: then at the second time."""
        if self._working and not self._warned:
            self._warned = True
            self._state = replace(self._state, notice=f"still at work: {self._at_work()}; q again leaves it alone")
        else:
            self._end(0)

    # --- What is shown ------------------------------------------------------------------------------------------------

    async def _draw_on(self) -> None:
        while True:
            self._draw()
            await asyncio.sleep(AT_ONCE)
            with suppress(TimeoutError):
                async with asyncio.timeout(REDRAW):
                    await self._woken.wait()
            self._woken.clear()

    def _draw(self) -> None:
        width, height = self._terminal.size
        self._state = replace(self._state, page=max(height - HEAD - FOOT - 1, 1))
        self._settle()
        self._terminal.show(frame(self._state, self._scene(), width, height))

    def _scene(self) -> Scene:
        return Scene(
            rows=list(self._view.rows.values()),
            visible=self._visible(),
            info=self._view.reconciler,
            notes=self._view.notes,
            scope=self._there.scope,
            at=self._view.at,
            now=utc_now(),
            logs=tuple(self._logs),
            complaint=self._complaint,
            working=[self._at_work()] if self._working and not self._warned else [],
        )

    def _visible(self) -> Sequence[Any]:
        return visible(list(self._view.rows.values()), self._state)

    def _settle(self) -> None:
        rows = self._visible()
        self._state = settled(self._state, rows, self._names)
        self._names = [row.name for row in rows]

    # --- What is done -------------------------------------------------------------------------------------------------

    def _begin(self, order: Order) -> None:
        if order not in self._working:
            self._working[order] = asyncio.ensure_future(self._carry_out(order))

    async def _carry_out(self, order: Order) -> None:
        try:
            async with self._turns[order.name], self._opening() as verbs:
                results = await _done(verbs, order)
            notice = "; ".join(f"{'✓' if one.ok else '✗'} {one.name}: {one.text}" for one in results)
        except (SuperviseError, OSError) as error:
            notice = f"✗ {error}"
        finally:
            self._working.pop(order, None)
            self._warned = self._warned and bool(self._working)
        self._state = replace(self._state, notice=for_scope(notice, self._there.scope))
        self._woken.set()

    def _at_work(self) -> str:
        return ", ".join(f"{order.verb} {order.name}" for order in self._working)

    # --- Logs ---------------------------------------------------------------------------------------------------------

    def _tend_logs(self) -> None:
        """Read the logs of whom they are wanted of, and of nobody else."""
        wanted = self._state.selected if self._state.pane is Pane.LOGS else None
        if wanted == self._log_of:
            return
        if self._log_reader:
            self._log_reader.cancel()
        self._log_of, self._log_reader = wanted, None
        self._logs.clear()
        self._complaint = ""
        if wanted:
            self._log_reader = asyncio.ensure_future(self._read_logs(wanted))

    async def _read_logs(self, name: str) -> None:
        query = LogQuery((unit_name(name), timer_name(name), run_unit(name)), lines=LOGS, follow=True)
        try:
            async with aclosing(read_journal(query, scope=self._there.scope)) as lines:  # type: ignore[type-var]
                async for line in lines:
                    self._logs.append(line)
                    self._woken.set()
        except (SuperviseError, OSError) as error:
            self._complaint = str(error)
            self._woken.set()


async def _done(verbs: Verbs, order: Order) -> list[Result]:
    specs = [spec for spec in verbs.specs if spec.name == order.name]
    if not specs:
        raise NoSuchAgent(f'"{order.name}" is not installed any more')
    does: dict[Verb, Callable[[], Coroutine[Any, Any, list[Result]]]] = {
        Verb.START: lambda: verbs.start(specs, tell=_quiet),
        Verb.STOP: lambda: verbs.stop(specs, tell=_quiet),
        Verb.RESTART: lambda: verbs.restart(specs, tell=_quiet),
        Verb.HOLD: lambda: verbs.hold(specs, reason=order.reason, tell=_quiet),
        Verb.RELEASE: lambda: verbs.release(specs, tell=_quiet),
    }
    return await does[order.verb]()


def _quiet(result: Result) -> None:
    """Results are shown when all are there."""


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# --- Without a terminal -----------------------------------------------------------------------------------------------


async def repeated(
    there: Places,
    specs: Sequence[AgentSpec] | None,
    installed: Callable[[], Sequence[AgentSpec]],
    state: State,
    *,
    delay: float,
    times: int | None,
    tell: Callable[[str], None],
    as_json: bool,
) -> None:
    """The table again and again, as text or one JSON object a line."""
    told = 0
    while True:
        chosen = installed() if specs is None else specs
        view = await overview(there, chosen)
        rows = visible(list(view.rows.values()), state)
        tell(_json(view, rows, chosen, utc_now()) if as_json else plain(rows, _scene_of(view, rows)))
        told += 1
        if told == times:
            return
        await asyncio.sleep(delay)


def _scene_of(view: Overview, rows: Sequence[Any]) -> Scene:
    return Scene(list(view.rows.values()), rows, view.reconciler, view.at, utc_now(), view.notes, view.scope)


def _json(view: Overview, rows: Sequence[Any], specs: Sequence[AgentSpec], now: datetime) -> str:
    return json_rows(now, view, rows, {spec.name: spec for spec in specs})
