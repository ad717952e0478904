"""One trial as it runs: started where it was down, watched, stopped again; each change is told as it comes."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import click

from supervise.cli.output import MARKS, plain, utc_now
from supervise.control.client import Unreachable
from supervise.errors import ExitCode, SuperviseError
from supervise.logs import read_journal, stamp
from supervise.manager import Result, Verbs
from supervise.model import AgentSpec, LogLine, LogQuery, Phase, Reason, Status, StatusRow
from supervise.overview import Overview, following
from supervise.places import Places
from supervise.platforms.systemd.units import run_unit, unit_name
from supervise.text import shown
from supervise.trial import Kind, News, Trial, failed, is_hopeless, seen, verdict

DOWN = (Phase.ABSENT, Phase.INACTIVE, Phase.FAILED)
TRIED_AGAIN = (Reason.QUARANTINED, Reason.NOT_RUNNING, Reason.DEPENDENCY_FAILED, Reason.DEPENDENCY_STOPPED)
"""Why an agent is down that the reconciler starts again: but after a stop it leaves it to people."""
LAST_LINES = 8
EARLY, LATE = timedelta(milliseconds=50), timedelta(milliseconds=300)
"""The journal may date the first words of a process before its start, and the last ones after its end."""
WARNING = 4
"""Lines of the log from this priority on are trouble."""
FIRST_LOOK = 10.0
"""Seconds in which somebody must be able to say how the agent is."""
ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}

Opening = Callable[[], AbstractAsyncContextManager[Verbs]]


class Trying:
    """One run. `tell` prints a line."""

    def __init__(
        self, there: Places, spec: AgentSpec, duration: timedelta, tell: Callable[[str], None], *, as_json: bool
    ):
        self._there = there
        self._spec = spec
        self._duration = duration
        self._say = tell
        self._as_json = as_json
        self._trial = Trial(spec.name, utc_now())
        self._before: StatusRow | None = None
        self._looked = asyncio.Event()
        self._over = asyncio.Event()
        self._began = asyncio.get_running_loop().time()
        self._ended_by: int | None = None
        self._started = False
        """By us: nothing else is ours to stop."""

    async def run(self, opening: Opening, *, keep: bool) -> int:
        """Gives the exit code. Raises what keeps it from beginning."""
        loop = asyncio.get_running_loop()
        for number, code in ENDS.items():
            loop.add_signal_handler(number, self._end, code)
        following = asyncio.ensure_future(self._follow())
        tasks = [following, asyncio.ensure_future(self._read_log())]
        start: asyncio.Task[None] | None = None
        try:
            await self._first_look(following)
            self._begin()
            if _is_down(self._trial.row):
                start = self._starting(opening)
                tasks.append(start)
            await self._wait(following)
            now = self._now()
        finally:
            for number in ENDS:
                loop.remove_signal_handler(number)  # from here on Ctrl-C means it
            for task in tasks:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
        if start and isinstance(done[-1], SuperviseError):
            raise done[-1]  # we may not start it
        stopped = await self._stop(opening) if self._started and not keep else None
        return await self._judge(now, stopped)

    async def _first_look(self, following: asyncio.Task[None]) -> None:
        looking = asyncio.ensure_future(self._looked.wait())
        await asyncio.wait((looking, following), timeout=FIRST_LOOK, return_when=asyncio.FIRST_COMPLETED)
        looking.cancel()
        if following.done():
            following.result()
        if not self._looked.is_set():
            raise Unreachable(f'cannot try "{self._spec.name}": nobody says how it is')

    def _begin(self) -> None:
        """What was seen so far is how it was before."""
        began = utc_now()
        self._before = self._trial.row
        self._trial = Trial(self._spec.name, began, self._trial.row, came_up=began if self._trial.came_up else None)
        self._began = asyncio.get_running_loop().time()

    def _starting(self, opening: Opening) -> asyncio.Task[None]:
        task = asyncio.ensure_future(self._start(opening))
        task.add_done_callback(self._notice)
        return task

    def _notice(self, start: asyncio.Task[None]) -> None:
        if not start.cancelled() and start.exception():
            self._over.set()

    async def _start(self, opening: Opening) -> None:
        async with opening() as verbs:
            self._tell("start", "its unit does not run, so it is started")
            self._started = True  # also where nobody waits for the answer
            results = await verbs.start(_same(verbs, self._spec), tell=_quiet)
        self._started = any(result.acted for result in results)
        for result in results:
            if not result.ok:
                self._tell("start", result.text)
                self._trial = failed(self._trial, f"it could not be started: {result.text}")
                self._over.set()

    async def _wait(self, following: asyncio.Task[None]) -> None:
        """Until the time is over, nothing more can come, or somebody has seen enough."""
        over = asyncio.ensure_future(self._over.wait())
        length = self._duration.total_seconds()
        await asyncio.wait((over, following), timeout=length, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if following.done() and not following.cancelled() and (error := following.exception()):
            self._trial = failed(self._trial, f"it could not be watched any longer: {error}")

    async def _stop(self, opening: Opening) -> bool:
        """Whether it is down again, as it was before."""
        try:
            async with opening() as verbs:
                results = await verbs.stop(_same(verbs, self._spec), tell=_quiet)
        except SuperviseError as error:
            self._tell("stop", f"it runs on: {error}")
            return False
        ok = all(result.ok for result in results)
        self._tell("stop", self._left() if ok else "; ".join(one.text for one in results))
        return ok

    def _left(self) -> str:
        """How it is now, beside how it was."""
        before = self._before
        if before is None or before.observed_reason not in TRIED_AGAIN:
            return "stopped again, as it was before"
        name, was = self._spec.name, before.observed_reason
        return f"stopped, and stays so: it was {was}, but is not tried again any more (`supervise start {name}`)"

    async def _judge(self, now: datetime, stopped: bool | None) -> int:
        found = verdict(self._trial, now=now, duration=self._duration)
        words = [] if found.ok else await self._last_words()
        if self._as_json:
            last_lines = [{"at": line.at, "text": line.text} for line in words]
            self._say(_line({"kind": "verdict", **asdict(found), "stopped": stopped, "last_lines": last_lines}))
        else:
            self._show(words)
            for remark in found.remarks:
                self._say(click.style(f"! {shown(remark)}", fg="yellow"))
            sign = click.style("✓", fg="green") if found.ok else click.style("✗", fg="red")
            self._say(f"{sign} {shown(found.name)}: {shown(found.text)}")
        if self._ended_by and not found.complete:
            return self._ended_by
        return ExitCode.OK if found.ok else ExitCode.FAILED

    async def _last_words(self) -> list[LogLine]:
        """What the agent itself wrote last in the last life that came to an end."""
        life = self._trial.ended
        if life is None:
            return []
        since, until = stamp(life.began - EARLY) if life.began else None, stamp(life.ended + LATE)
        query = LogQuery((unit_name(self._spec.name),), LAST_LINES, since=since, until=until, by_manager=False)
        try:
            async with aclosing(read_journal(query, scope=self._there.scope)) as lines:  # type: ignore[type-var]
                return [line async for line in lines]
        except (OSError, SuperviseError):  # said already, by who reads it as it is written
            return []

    def _show(self, words: Sequence[LogLine]) -> None:
        if words:
            self._say(click.style("last lines before its end:", bold=True))
        for line in words:
            self._say(f"  {line.at.astimezone():%H:%M:%S} {shown(line.text)}")

    # --- What comes ---------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        async for view in following(self._there, [self._spec]):
            self._look(view)

    def _look(self, view: Overview) -> None:
        row = view.rows.get(self._spec.name)
        if row is None:
            return
        self._trial, news = seen(self._trial, row, now=self._now())
        for one in news:
            self._report(one)
        self._looked.set()
        if is_hopeless(self._trial):
            self._over.set()

    async def _read_log(self) -> None:
        """Lines of trouble, from now on. Who may not read them is told so once."""
        query = LogQuery((unit_name(self._spec.name), run_unit(self._spec.name)), 0, follow=True, priority=WARNING)
        with suppress(OSError):  # without journalctl there are none
            try:
                async with aclosing(read_journal(query, scope=self._there.scope)) as lines:  # type: ignore[type-var]
                    async for line in lines:
                        self._tell("log", line.text, line=line)
            except SuperviseError as error:
                self._tell("log", str(error))

    def _now(self) -> datetime:
        """On the clock of the rows, and by one that nobody sets."""
        return self._trial.began + timedelta(seconds=asyncio.get_running_loop().time() - self._began)

    def _end(self, code: int) -> None:
        self._ended_by = code
        self._over.set()

    # --- How it is said -----------------------------------------------------------------------------------------------

    def _report(self, news: News) -> None:
        row = self._trial.row
        assert row is not None
        if self._as_json:
            told = {"status": row.observed_status, "reason": row.observed_reason, "message": row.message}
            extra = {"pid": row.pid, "restarts": row.restarts, "health": row.health}
            self._say(_line({"at": utc_now(), "kind": news.kind, "text": news.text, **told, **extra}))
        else:
            self._print(news.kind, news.text, MARKS[row.observed_status][1] if news.kind is Kind.STATUS else None)

    def _tell(self, kind: str, text: str, *, line: LogLine | None = None) -> None:
        if self._as_json:
            extra = {"priority": line.priority, "by_manager": line.by_manager} if line else {}
            self._say(_line({"at": line.at if line else utc_now(), "kind": kind, "text": text, **extra}))
        else:
            self._print(kind, text, "red" if line and line.priority < WARNING else "yellow" if line else "cyan")

    def _print(self, kind: str, text: str, colour: str | None) -> None:
        """`  1.2 s  status     running, AsWanted: It runs as wanted.`"""
        after = (self._now() - self._trial.began).total_seconds()
        stamp = click.style(f"{after:6.1f} s", dim=True)
        self._say(f"{stamp}  {kind:<9}  {click.style(shown(text), fg=colour)}")


def _is_down(row: StatusRow | None) -> bool:
    """Whether it runs neither as a unit nor in the foreground, adopted or by `supervise run`."""
    return row is not None and row.phase in DOWN and row.observed_status is not Status.RUNNING


def _same(verbs: Verbs, spec: AgentSpec) -> Sequence[AgentSpec]:
    """The agent as who acts knows it."""
    return [one for one in verbs.specs if one.name == spec.name]


def _line(said: dict[str, Any]) -> str:
    return json.dumps(plain(said), ensure_ascii=False)


def _quiet(result: Result) -> None:
    """Told when all are there."""
