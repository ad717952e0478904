"""The verbs on installed agents: start, stop, restart, hold and the rest. The public Python API; the CLI only prints.

Never twice: nothing here starts an agent before a complete process scan has shown that no copy of it runs elsewhere.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from supervise import clock
from supervise.control.informing import ByControl, Inform
from supervise.decide import copies, decide
from supervise.errors import ExitCode, SuperviseError
from supervise.exits import ending
from supervise.guard import DOWN, UP, obstacles
from supervise.holds import read_holds, remove_hold, write_hold
from supervise.manifest import Manifest, manifests, of_project
from supervise.marker import edited
from supervise.model import (
    FOREVER,
    Action,
    ActionKind,
    AgentSpec,
    Cause,
    Findings,
    Hold,
    HostFacts,
    IntentKind,
    LogLine,
    LogQuery,
    Observation,
    Outcome,
    Phase,
    Process,
    RestartPolicy,
    Scope,
    StatusRow,
    UnitState,
    World,
)
from supervise.observe.ending import end
from supervise.observe.match import look
from supervise.places import Places
from supervise.platforms import Platform
from supervise.platforms.systemd.platform import Systemd
from supervise.platforms.systemd.units import DROP_IN, run_unit, started_unit, timer_name, unit_name

RUNNING = (*UP, Phase.RESTARTING, Phase.STOPPING)
LONGEST_REASON = 500
SETTLE = timedelta(seconds=1)
"""How long a started agent must stay up before it counts as ready; its ready probe may take longer."""
LONGEST_WAIT = timedelta(hours=1)
STOP_BEGINS, STOP_PAUSE = 20, timedelta(milliseconds=10)
"""How often, and after which pause each, it is asked whether a stop has begun."""
DEATH_LOOKS, DEATH_PAUSE = 10, timedelta(milliseconds=100)
"""How often, and after which pause each, it is looked again whether what was killed is gone."""
KILLED = "at once (`force-stop`)"

T = TypeVar("T")
Progress = Callable[["Result"], None]
Count = Callable[[int, int], None]
"""Told of long work as it goes: so many done, of so many."""


def nothing_counted(done: int, total: int) -> None:
    """For work that nobody watches."""


Look = Callable[[], Awaitable[Findings]]
"""Whose processes run where, by a look that begins now. It knows all agents, since one process may fit several."""


def looking_for(everyone: Sequence[AgentSpec]) -> Look:
    """Looks with the rights of this process: what others run may remain in doubt."""

    async def here() -> Findings:
        return look(everyone)

    return here


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one agent under one verb. `acted`: False where it was left as it was."""

    name: str
    ok: bool
    text: str
    code: ExitCode = ExitCode.OK
    acted: bool = True


class Verbs(Protocol):
    """What can be done with installed agents, by whatever way."""

    specs: tuple[AgentSpec, ...]

    async def start(
        self,
        specs: Sequence[AgentSpec],
        *,
        replace_copies: bool = False,
        settle: timedelta = SETTLE,
        tell: Progress,
        count: Count = nothing_counted,
    ) -> list[Result]: ...

    async def stop(
        self, specs: Sequence[AgentSpec], *, tell: Progress, kill: bool = False, count: Count = nothing_counted
    ) -> list[Result]: ...

    async def restart(
        self,
        specs: Sequence[AgentSpec],
        *,
        tell: Progress,
        batch: int | None = None,
        pause: timedelta = timedelta(),
        settle: timedelta = SETTLE,
        only_running: bool = False,
        count: Count = nothing_counted,
    ) -> list[Result]: ...

    async def hold(
        self, specs: Sequence[AgentSpec], *, reason: str, by: str | None = None, tell: Progress
    ) -> list[Result]: ...

    async def release(self, specs: Sequence[AgentSpec], *, tell: Progress) -> list[Result]: ...


@dataclass(frozen=True, slots=True)
class View:
    """The rows of some agents at one moment, with what they were judged from."""

    rows: Mapping[str, StatusRow]
    states: Mapping[str, UnitState]
    at: datetime


class Manager:
    """The agents of one scope and the platform that runs them. Made by `managing`."""

    def __init__(
        self,
        places: Places,
        installed: Sequence[Manifest],
        platform: Platform,
        *,
        inform: Inform | None = None,
        look: Look | None = None,
    ) -> None:
        self.places = places
        self._inform = inform
        self.manifests = tuple(installed)
        self.specs = tuple(spec for manifest in installed for spec in manifest.agents)
        self.platform = platform
        self._look = look or looking_for(self.specs)

    async def status(self, specs: Sequence[AgentSpec]) -> View:
        """One judged row for each agent, from the platform and one process scan."""
        snapshot = await self.platform.snapshot([spec.name for spec in specs])
        seen = await self._look()
        states = {name: replace(state, edited=self._edited(name)) for name, state in snapshot.states.items()}
        observed = {
            spec.name: Observation(
                unit=states[spec.name],
                inside=frozenset(one.id for one in seen.inside.get(spec.name, ())),
                foreground=frozenset(one.id for one in seen.foreground.get(spec.name, ())),
                foreground_since=seen.foreground_since(spec.name),
                outside=seen.outside.get(spec.name, ()),
            )
            for spec in specs
        }
        world = World(
            desired={spec.name: spec for spec in specs},
            observed=observed,
            holds=read_holds(self.places),
            marks={
                name: mark.since
                for manifest in self.manifests
                for name, mark in manifest.runs.items()
                if mark.boot == snapshot.at.boot
            },
            host=HostFacts(),
        )
        rows = decide(world, now=snapshot.at).rows
        return View(rows, states, snapshot.at.wall)

    async def start(
        self,
        specs: Sequence[AgentSpec],
        *,
        replace_copies: bool = False,
        settle: timedelta = SETTLE,
        tell: Progress,
        count: Count = nothing_counted,
    ) -> list[Result]:
        """Start what does not run. A copy outside its unit blocks its agent, unless `replace_copies` ends it first."""
        snapshot = await self.platform.snapshot([spec.name for spec in specs], endings=False)
        blocked = await self._blocked(specs, replace_copies=replace_copies, states=snapshot.states)
        free = [spec for spec in specs if spec.name not in blocked]
        await self.tell_of("start", [spec for spec in free if not _runs(spec, snapshot.states)], IntentKind.START)
        await self._tell_of_refused("start", specs, blocked)
        for result in blocked.values():
            tell(result)
        started = await _counted([self._start(spec, snapshot.states[spec.name]) for spec in free], count)
        results = await self._settled(started, settle)
        for result in results:
            tell(result)
        return [*blocked.values(), *results]

    async def stop(
        self,
        specs: Sequence[AgentSpec],
        *,
        tell: Progress,
        kill: bool = False,
        count: Count = nothing_counted,
    ) -> list[Result]:
        """Stop, a job's timer too. `kill`: without asking (SIGKILL), copies outside the unit too."""
        await self.tell_of("stop", specs, IntentKind.STOP, reason=KILLED if kill else "")
        return await self._stop_all(specs, tell=tell, kill=kill, count=count)

    async def _stop_all(
        self, specs: Sequence[AgentSpec], *, tell: Progress, kill: bool = False, count: Count = nothing_counted
    ) -> list[Result]:
        snapshot = await self.platform.snapshot([spec.name for spec in specs], endings=False)
        seen = await self._look()
        work = [
            self._stop(
                spec,
                snapshot.states[spec.name],
                seen.outside.get(spec.name, ()),
                in_foreground=spec.name in seen.foreground,
                left_behind=spec.name in seen.inside,
                kill=kill,
            )
            for spec in specs
        ]
        results = await _counted(work, count)
        if kill:
            seen = await self._look_for_the_killed(results)
            results = [_left(result, seen) for result in results]  # also what even SIGKILL did not end
        for result in results:
            tell(result)
        return results

    async def _look_for_the_killed(self, results: Sequence[Result]) -> Findings:
        """What lives on. A busy machine takes a moment over a SIGKILL, so what is left is looked for again."""
        seen = await self._look()
        for _ in range(DEATH_LOOKS):
            if not any(_living(one.name, seen) for one in results):
                break
            await asyncio.sleep(DEATH_PAUSE.total_seconds())
            seen = await self._look()
        return seen

    async def restart(
        self,
        specs: Sequence[AgentSpec],
        *,
        tell: Progress,
        batch: int | None = None,
        pause: timedelta = timedelta(),
        settle: timedelta = SETTLE,
        only_running: bool = False,
        count: Count = nothing_counted,
    ) -> list[Result]:
        """Restart batch by batch, each only after the one before is ready; the first failure halts the rest."""
        if only_running:
            states = (await self.platform.snapshot([spec.name for spec in specs], endings=False)).states
            specs = [spec for spec in specs if states[spec.name].phase in RUNNING or states[spec.name].timer_active]
        size = batch or max(len(specs), 1)
        results: list[Result] = []
        for begin in range(0, len(specs), size):
            if begin and pause:
                await asyncio.sleep(pause.total_seconds())
            results += await self._restart_batch(specs[begin : begin + size], settle, tell)
            count(len(results), len(specs))
            if any(not result.ok for result in results):
                rest = [
                    Result(spec.name, False, "not restarted: halted after a failure", ExitCode.PARTLY)
                    for spec in specs[begin + size :]
                ]
                for result in rest:
                    tell(result)
                return results + rest
        return results

    async def hold(
        self, specs: Sequence[AgentSpec], *, reason: str, by: str | None = None, tell: Progress
    ) -> list[Result]:
        """Forbid to run, then stop. The hold is there first, so nothing starts in between."""
        at = clock.now().wall
        for spec in specs:
            write_hold(self.places, Hold(spec.name, reason, by or asker(), at))
        await self.tell_of("hold", specs, IntentKind.STOP, reason=reason)
        silent: list[Result] = await self._stop_all(specs, tell=lambda _: None)
        results = [
            Result(one.name, True, "held") if one.ok else replace(one, text=f"held, but {one.text}") for one in silent
        ]
        for result in results:
            tell(result)
        return results

    async def release(self, specs: Sequence[AgentSpec], *, tell: Progress) -> list[Result]:
        """Take holds back. Starts nothing."""
        await self.tell_of("release", specs)
        results = []
        for spec in specs:
            was = remove_hold(self.places, spec.name)
            text = f"released; `supervise start {spec.name}` starts it" if was else "was not held"
            results.append(Result(spec.name, True, text))
            tell(results[-1])
        await self.look()
        return results

    async def _tell_of_refused(self, what: str, specs: Sequence[AgentSpec], blocked: Mapping[str, Result]) -> None:
        """Who is refused for a copy is wanted all the same, and started once that has ended; who is held is not."""
        held = read_holds(self.places)
        for spec in specs:
            if spec.name in blocked and spec.name not in held:
                reason = f"refused: {blocked[spec.name].text}"
                await self.tell_of(what, [spec], IntentKind.START, reason=reason)

    async def processes(self) -> Findings:
        """Whose processes run where, now."""
        return await self._look()

    async def look(self, pids: Sequence[int] = ()) -> None:
        """Have the reconciler see at once what has changed on disk, or where these processes are."""
        if self._inform:
            await self._inform.look(pids)

    async def why_not_beside(self, spec: AgentSpec) -> str | None:
        """Why this agent may not be run by hand now: it runs somewhere, or is held."""
        states = (await self.platform.snapshot([spec.name])).states
        state = states[spec.name]
        if state.phase in RUNNING:
            pid = f" (PID {state.pid})" if state.pid else ""
            return f"its unit is {state.phase.value}{pid}; `supervise stop {spec.name}` first"
        blocked = await self._blocked([spec], replace_copies=False, states=states)
        return blocked[spec.name].text if spec.name in blocked else None

    def logs(self, query: LogQuery) -> AsyncIterator[LogLine]:
        return self.platform.logs(query)

    async def tell_of(
        self, what: str, specs: Sequence[AgentSpec], kind: IntentKind | None = None, *, reason: str = ""
    ) -> None:
        """The reconciler remembers what a person wants, and who it was."""
        if self._inform and specs:
            await self._inform.order(what, [spec.name for spec in specs], kind=kind, reason=reason[:LONGEST_REASON])

    # --- Steps --------------------------------------------------------------------------------------------------------

    async def _blocked(
        self, specs: Sequence[AgentSpec], *, replace_copies: bool, states: Mapping[str, UnitState]
    ) -> dict[str, Result]:
        """The agents that may not start. With `replace_copies` the copies in the way are ended here."""
        seen = await self._look()
        if not seen.complete and self.places.scope is Scope.SYSTEM:
            raise SuperviseError(
                "cannot start anything: not all processes of this machine can be seen (hidepid?), so a copy may run"
            )
        if doubtful := [spec.name for spec in specs if spec.name in seen.inside and states[spec.name].phase in DOWN]:
            states = {**states, **(await self.platform.snapshot(doubtful, endings=False)).states}  # started meanwhile?
        by_name = {spec.name: spec for spec in specs}
        blocked: dict[str, Result] = {}
        for name, why in obstacles(specs, seen, holds=read_holds(self.places), states=states).items():
            if not (replace_copies and why.removable and await _end_all(why.removable, by_name[name])):
                blocked[name] = replace(_failed(name, why.text), acted=False)
        return blocked

    async def _start(self, spec: AgentSpec, state: UnitState) -> tuple[AgentSpec, Result]:
        if state.phase in UP and not spec.schedule:
            return spec, Result(spec.name, True, f"runs already (PID {state.pid})", acted=False)
        if spec.schedule and state.timer_active:
            return spec, Result(spec.name, True, "its timer runs already", acted=False)
        waits = state.phase is Phase.RESTARTING and not spec.schedule  # a start would wait as long, up to restart.delay
        kind = ActionKind.RESTART if waits else ActionKind.RESET_AND_START
        outcome = await self.platform.perform(Action(kind, spec.name, started_unit(spec), "asked for"))
        if not outcome.ok:
            return spec, _failed(spec.name, outcome.detail)
        return spec, Result(spec.name, True, "started" if not spec.schedule else "its timer runs")

    async def _settled(self, started: Iterable[tuple[AgentSpec, Result]], settle: timedelta) -> list[Result]:
        """The results, with those overturned whose agent did not stay up for `settle`."""
        pairs = list(started)
        fresh = [
            spec
            for spec, result in pairs
            if result.ok and not spec.schedule and result.text in ("started", "restarted")
        ]
        if not fresh:
            return [await self._explained(spec, result) for spec, result in pairs]
        before = (await self.platform.snapshot([spec.name for spec in fresh])).states
        await asyncio.sleep(settle.total_seconds())
        after = (await self.platform.snapshot([spec.name for spec in fresh])).states
        results = [
            await self._explained(spec, _judged(spec, result, before.get(spec.name), after.get(spec.name)))
            for spec, result in pairs
        ]
        return await self._once_ready(results, [spec for spec in fresh if spec.ready], after)

    async def _once_ready(
        self, results: Sequence[Result], probed: Sequence[AgentSpec], states: Mapping[str, UnitState]
    ) -> list[Result]:
        """The results once the ready probes have spoken, where somebody asks them."""
        up = {result.name for result in results if result.ok}
        waited = [spec for spec in probed if spec.name in up]
        lives = {spec.name: life for spec in waited if (life := states[spec.name].incarnation)}
        if not (lives and self._inform):
            return list(results)
        said = await self._inform.ready(lives, patience=min(max(map(_patience, waited)), LONGEST_WAIT)) or {}
        return [
            _failed(one.name, f"{one.text}, but it is not ready: {why}") if (why := said.get(one.name)) else one
            for one in results
        ]

    async def _explained(self, spec: AgentSpec, result: Result) -> Result:
        """A failure with what the unit says of its own end."""
        if result.ok or spec.schedule:
            return result
        state = (await self.platform.snapshot([spec.name])).states[spec.name]
        told = state.cause and state.exit and not result.text.startswith("cannot ")
        return replace(result, text=f"{result.text}: it {ending(state)}" if told else result.text)

    async def _stop(
        self,
        spec: AgentSpec,
        state: UnitState,
        found: tuple[Process, ...],
        *,
        in_foreground: bool,
        left_behind: bool,
        kill: bool,
    ) -> Result:
        units = [timer_name(spec.name)] if state.timer_active else []
        units += [unit_name(spec.name)] if state.phase in RUNNING or (kill and left_behind) else []
        units += [run_unit(spec.name)] if in_foreground else []
        if kill and found:
            await _end_all(found, replace(spec, stop_timeout=timedelta()))
        left = "" if kill or not found else f"; a copy still runs outside its unit: {copies(found)}"
        for unit in units:
            outcome = await self._stop_unit(spec, unit, kill=kill)
            if not outcome.ok and "not loaded" not in outcome.detail:
                return _failed(spec.name, outcome.detail)
        if left:
            return _failed(spec.name, f"{'stopped' if units else 'was not running'}{left}")
        stopped = units or (kill and found)
        return Result(spec.name, True, *(("stopped",) if stopped else ("was not running", ExitCode.NOT_RUNNING)))

    async def _stop_unit(self, spec: AgentSpec, unit: str, *, kill: bool) -> Outcome:
        stopping = asyncio.ensure_future(self.platform.perform(Action(ActionKind.STOP, spec.name, unit, "asked for")))
        if kill and not unit.endswith(".timer"):
            await self._until_stopping(spec.name)  # else what we kill seems to have died by itself
            await self.platform.perform(Action(ActionKind.KILL, spec.name, unit, "asked for"))
        return await stopping

    async def _until_stopping(self, name: str) -> None:
        """A stop has been asked for: wait until it has begun, but not for long."""
        for _ in range(STOP_BEGINS):
            await asyncio.sleep(STOP_PAUSE.total_seconds())
            if (await self.platform.snapshot([name], endings=False)).states[name].phase not in UP:
                return

    async def _restart_batch(self, specs: Sequence[AgentSpec], settle: timedelta, tell: Progress) -> list[Result]:
        snapshot = await self.platform.snapshot([spec.name for spec in specs], endings=False)
        blocked = await self._blocked(specs, replace_copies=False, states=snapshot.states)
        free = [spec for spec in specs if spec.name not in blocked]
        await self.tell_of("restart", free, IntentKind.START)
        await self._tell_of_refused("restart", specs, blocked)
        done = await asyncio.gather(*(self._restart(spec) for spec in free))
        results = [*blocked.values(), *(await self._settled(done, settle))]
        for result in results:
            tell(result)
        return results

    async def _restart(self, spec: AgentSpec) -> tuple[AgentSpec, Result]:
        outcome = await self.platform.perform(Action(ActionKind.RESTART, spec.name, started_unit(spec), "asked for"))
        done = "its timer was restarted" if spec.schedule else "restarted"
        return spec, Result(spec.name, True, done) if outcome.ok else _failed(spec.name, outcome.detail)

    def _edited(self, name: str) -> bool:
        try:
            content = (self.places.units / f"{unit_name(name)}.d" / DROP_IN).read_text(
                encoding="utf-8", errors="surrogateescape"
            )
        except OSError:
            return True  # gone, though the manifest has it
        return edited(content)


@asynccontextmanager
async def managing(places: Places, *, project: str | None = None) -> AsyncIterator[Manager]:
    """The manager of one scope's agents, connected. Raises NoSuchAgent for a project that is not installed, and
    PlatformError where there is no systemd to ask."""
    everything = list(manifests(places))
    installed = of_project(everything, project)
    everyone = [spec for manifest in everything for spec in manifest.agents]
    async with Systemd(places) as platform:
        inform = ByControl(places.control, by=asker())
        yield Manager(places, installed, platform, inform=inform, look=looking_for(everyone))


def exit_code(results: Sequence[Result]) -> ExitCode:
    """One code for many results: all well, all failed in the same way, or partly."""
    bad = [result for result in results if not result.ok]
    if not bad:
        codes = {result.code for result in results}
        return codes.pop() if len(codes) == 1 else ExitCode.OK
    if len(bad) < len(results):
        return ExitCode.PARTLY
    return ExitCode.FAILED


def asker() -> str:
    """Who gives the order, behind `sudo` too."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


async def _counted(work: Sequence[Coroutine[Any, Any, T]], count: Count) -> list[T]:
    """All of the work at once, counting what is done; results in the order of the work."""
    done = 0

    async def one(coroutine: Coroutine[Any, Any, T]) -> T:
        nonlocal done
        result = await coroutine
        done += 1
        count(done, len(work))
        return result

    return list(await asyncio.gather(*map(one, work)))


async def _end_all(processes: Iterable[Process], spec: AgentSpec) -> bool:
    ended = await asyncio.gather(*(end(process, grace=spec.stop_timeout) for process in processes))
    return all(ended)


def _runs(spec: AgentSpec, states: Mapping[str, UnitState]) -> bool:
    """Whether a start has nothing to do."""
    state = states[spec.name]
    return bool(state.timer_active) if spec.schedule else state.phase in UP


def _judged(spec: AgentSpec, result: Result, before: UnitState | None, after: UnitState | None) -> Result:
    if before is None or after is None or not result.ok:
        return result
    if after.phase is Phase.ACTIVE and after.incarnation == before.incarnation:
        return replace(result, text=f"{result.text} (PID {after.pid})")
    if after.phase is Phase.INACTIVE and after.cause is Cause.CLEAN and spec.restart.policy is not RestartPolicy.ALWAYS:
        return replace(result, text=f"{result.text}, and it {ending(after)}")
    return _failed(result.name, f"{result.text}, but it did not stay up")


def _left(result: Result, seen: Findings) -> Result:
    if left := _living(result.name, seen):
        pids = ", ".join(str(one.id.pid) for one in left)
        return _failed(result.name, f"cannot be killed: PID {pids} {'lives' if len(left) == 1 else 'live'} on")
    if result.ok and (doubts := seen.doubtful(result.name)):
        processes = copies(tuple(doubt.process for doubt in doubts))
        return _failed(result.name, f"{result.text}, but this may be a copy of it: {processes} ({doubts[0].why})")
    return result


def _living(name: str, seen: Findings) -> Sequence[Process]:
    return (*seen.inside.get(name, ()), *seen.outside.get(name, ()))


def _patience(spec: AgentSpec) -> timedelta:
    """Within this time its ready probe has said yes, or it counts as never ready."""
    if spec.ready is None or spec.startup_timeout == FOREVER:
        return LONGEST_WAIT
    return spec.startup_timeout + spec.ready.interval + spec.ready.timeout + SETTLE


def _failed(name: str, text: str) -> Result:
    return Result(name, False, text, ExitCode.FAILED)
