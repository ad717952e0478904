"""What people and programs may ask of the reconciler over the control socket: one function an operation.

Reading is for everybody. Whoever acts is named in the timeline: by the kernel, or (root only) by their own word, since
`sudo` hides who it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from supervise import __version__, serial
from supervise.control.server import Request, Send
from supervise.decide.events import told_of_host
from supervise.decide.presets import BALANCED
from supervise.errors import SuperviseError, UsageError
from supervise.manager import SETTLE, Manager, Result
from supervise.model import Event, Instant, IntentKind, Lock, Status, StatusRow
from supervise.observe.listing import listed, plain
from supervise.observe.probes import Probed
from supervise.reconcile import presets
from supervise.reconcile.live import Live
from supervise.reconcile.readiness import readiness
from supervise.stores import EventQuery

if TYPE_CHECKING:
    from supervise.reconcile.daemon import Daemon
    from supervise.reconcile.reconciler import Reconciler

OWN_STATE = 2.0
"""Seconds between two words about ourselves to who watches."""
MOST_EVENTS, MOST_FOR_OTHERS = 10_000, 1000
"""Events in one answer, for root and for everybody else: who does not read their answers costs us memory."""
LONGEST_LOCK = timedelta(hours=24)
"""For everybody but root."""
LOCKABLE = (Status.RUNNING, Status.WARNING, Status.ERROR, Status.STOPPED)
LONGEST_REASON = 500
LONGEST_REPAIR = 30.0
"""Seconds for what a fix sets going to come to its end."""
LONGEST_SETTLE = 3600
LONGEST_READY = 3600
NEED_SOMEBODY = (Status.WARNING, Status.ERROR, Status.UNKNOWN)
VERBS = ("start", "stop", "restart", "hold", "release")

Operation = Callable[["Daemon", Request, Send], Awaitable[Any]]


async def answer(daemon: Daemon, request: Request, send: Send) -> Any:
    """The result of one request. Raises SuperviseError."""
    operation = OPERATIONS.get(request.op)
    if operation is None:
        raise UsageError(f'there is no operation "{request.op}"; there are: {", ".join(OPERATIONS)}')
    return await operation(daemon, request, send)


# --- Reading ---------------------------------------------------------------------------------------------------------


async def _whoami(daemon: Daemon, request: Request, send: Send) -> Any:
    return {"name": request.peer.name, "uid": request.peer.uid, "may_act": request.peer.may_act}


async def _info(daemon: Daemon, request: Request, send: Send) -> Any:
    return info(daemon)


async def _rows(daemon: Daemon, request: Request, send: Send) -> Any:
    """The rows, of a disk that was looked at just now: what an editor has just saved is seen."""
    await daemon.look()
    names = request.args.get("names")
    rows = daemon.reconciler.rows
    chosen = list(rows.values()) if names is None else [rows[name] for name in _words(request, "names") if name in rows]
    probes = {row.name: probed_json(found) for row in chosen if (found := daemon.reconciler.answers(row.name))}
    return {"reconciler": info(daemon), "rows": [row_json(row) for row in chosen], "probes": probes}


async def _metrics(daemon: Daemon, request: Request, send: Send) -> Any:
    """How we and the agents are in numbers, as Prometheus reads them."""
    text, _ = await daemon.metrics.text()
    return text.decode()


async def _events(daemon: Daemon, request: Request, send: Send) -> Any:
    limit = request.args.get("limit", 100)
    most = MOST_EVENTS if request.peer.uid == 0 else MOST_FOR_OTHERS
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= most:
        raise UsageError(f'"limit" is a number from 1 to {most}')
    name = request.args.get("name")
    if not isinstance(name, str | None):
        raise UsageError('"name" is the name of an agent')
    query = EventQuery(name, _moment(request, "since"), _moment(request, "until"), limit)
    return [event_json(event) for event in await daemon.writer.events(query)]


async def _watch(daemon: Daemon, request: Request, send: Send) -> Any:
    """The rows as they are, then each that changes; events too, if wanted; and now and then how we are ourselves.

    Never ends by itself.
    """
    names = frozenset(_words(request, "names")) if request.args.get("names") is not None else None
    with Live.listening(daemon.reconciler) as live:
        rows = daemon.reconciler.rows.values()
        first = [row_json(row) for row in rows if names is None or row.name in names]
        await send({"reconciler": info(daemon), "rows": first})
        telling = asyncio.ensure_future(_tell_how_we_are(daemon, send))
        try:
            async for kind, value in live:
                if kind == "row" and (names is None or value.name in names):
                    await send({"row": row_json(value)})
                elif kind == "event" and request.args.get("events") and (names is None or value.name in names):
                    await send({"event": event_json(value)})
                elif kind == "forget":
                    await send({"forget": value})
        finally:
            telling.cancel()


async def _tell_how_we_are(daemon: Daemon, send: Send) -> None:
    with suppress(ConnectionError):  # the stream itself ends by that
        while True:
            await asyncio.sleep(OWN_STATE)
            await send({"reconciler": info(daemon)})


async def _ready(daemon: Daemon, request: Request, send: Send) -> Any:
    """Why agents did not become ready in the lives that are named, once that is known or the time is over."""
    lives = request.args.get("lives")
    if not isinstance(lives, dict) or not all(isinstance(life, str) for life in lives.values()):
        raise UsageError('"lives" names the life of each agent that is waited for')
    seconds = request.args.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_READY:
        raise UsageError(f'"seconds" is how long to wait, up to {LONGEST_READY}')
    return await readiness(daemon.reconciler, lives, patience=timedelta(seconds=seconds))


# --- Acting ----------------------------------------------------------------------------------------------------------


async def _order(daemon: Daemon, request: Request, send: Send) -> Any:
    """Somebody who needs us for nothing else tells what they are about to do."""
    request.require_right_to_act()
    what = _one_of(request, "what", (*VERBS, "adopt"))
    kind = None if request.args.get("kind") is None else IntentKind(_one_of(request, "kind", tuple(IntentKind)))
    names = _words(request, "names")
    daemon.reconciler.order(what, names, kind=kind, by=_actor(request), reason=_reason(request))


async def _lock(daemon: Daemon, request: Request, send: Send) -> Any:
    request.require_right_to_act()
    lasts = request.args.get("seconds", LONGEST_LOCK.total_seconds())
    health = request.args.get("health", 0)
    if isinstance(lasts, bool) or not isinstance(lasts, int | float) or not 0 < lasts < 10 * 365 * 86400:
        raise UsageError('"seconds" is how long the lock lasts')
    if isinstance(health, bool) or not isinstance(health, int) or not 0 <= health <= 100:
        raise UsageError('"health" is a number from 0 to 100')
    if request.peer.uid != 0 and timedelta(seconds=lasts) > LONGEST_LOCK:
        raise UsageError("a lock lasts 24 h at most, unless root makes it")
    if not (reason := _reason(request)).strip():
        raise UsageError("a lock needs a reason, for whoever finds it")
    status = Status(_one_of(request, "status", LOCKABLE))
    until = (daemon.reconciler.clock().wall + timedelta(seconds=lasts)).replace(microsecond=0)
    by = _actor(request)
    daemon.reconciler.lock(_known(daemon, request), Lock(status, health, reason, by, until), by=by)


async def _unlock(daemon: Daemon, request: Request, send: Send) -> Any:
    request.require_right_to_act()
    names = _known(daemon, request)
    locked = [name for name in names if daemon.reconciler.rows[name].lock]
    daemon.reconciler.lock(locked, None, by=_actor(request))
    there = daemon.replicating.locked_there(names)
    return {"locked": locked, "in_table": {name: until.isoformat() for name, until in there.items()}}


async def _act(daemon: Daemon, request: Request, send: Send) -> Any:
    """A verb on agents, carried out with the rights of the reconciler for a peer that may ask for it."""
    request.require_right_to_act()
    verb = _one_of(request, "verb", VERBS)
    results = await carried_out(
        daemon,
        verb,
        _words(request, "names"),
        by=_actor(request),
        reason=_reason(request),
        settle=_seconds(request, "settle", SETTLE),
        batch=_batch(request),
        pause=_seconds(request, "pause", timedelta()),
        only_running=bool(request.args.get("only_running")),
    )
    return [{**asdict(one), "code": int(one.code)} for one in results]


async def carried_out(
    daemon: Daemon,
    verb: str,
    names: Sequence[str],
    *,
    by: str,
    reason: str = "",
    settle: timedelta = SETTLE,
    batch: int | None = None,
    pause: timedelta = timedelta(),
    only_running: bool = False,
) -> list[Result]:
    """What became of each agent. Raises SuperviseError."""
    platform = daemon.following.platform
    if platform is None:
        raise SuperviseError(f"cannot {verb} anything: the service manager cannot be asked now")
    manager = Manager(
        daemon.places,
        daemon.reconciler.disk.manifests,
        platform,
        inform=_Inside(daemon, by, reason),
        look=daemon.scanning.fresh,
    )
    specs = [spec for spec in manager.specs if spec.name in names]
    if missing := set(names) - {spec.name for spec in specs}:
        raise UsageError(f"no such agent: {', '.join(sorted(missing))}")
    results: list[Result] = []
    match verb:
        case "start":
            results = await manager.start(specs, tell=_quiet, settle=settle)
        case "stop":
            results = await manager.stop(specs, tell=_quiet)
        case "restart":
            results = await manager.restart(
                specs, tell=_quiet, batch=batch, pause=pause, settle=settle, only_running=only_running
            )
        case "hold":
            results = await manager.hold(specs, reason=reason, by=by, tell=_quiet)
        case "release":
            results = await manager.release(specs, tell=_quiet)
    return results


@dataclass(frozen=True, slots=True)
class _Inside:
    """What a manager inside of the daemon has to tell it, in the name of who asked."""

    daemon: Daemon
    by: str
    reason: str

    async def order(self, what: str, names: Sequence[str], *, kind: IntentKind | None = None, reason: str = "") -> None:
        self.daemon.reconciler.order(what, names, kind=kind, by=self.by, reason=reason or self.reason)

    async def look(self, pids: Sequence[int] = ()) -> None:
        await self.daemon.look()

    async def ready(self, lives: Mapping[str, str], *, patience: timedelta) -> Mapping[str, str] | None:
        return await readiness(self.daemon.reconciler, lives, patience=patience)


async def _look(daemon: Daemon, request: Request, send: Send) -> Any:
    """Look at the disk and, for who may act, at everything else now: after an install, a hold, a release."""
    for pid in request.args.get("pids", ()) if request.peer.may_act else ():
        daemon.scanning.suspect(int(pid))
    await daemon.look(everything=request.peer.may_act)
    return info(daemon)


async def _fix(daemon: Daemon, request: Request, send: Send) -> Any:
    """One full pass now, over what is seen now; gives all that it changed, the ends of what it did included."""
    request.require_right_to_act()
    reconciler = daemon.reconciler
    reconciler.tell(told_of_host("Fix", "A full pass was asked for.", now=reconciler.clock(), by=_actor(request)))
    told: list[Event] = []

    def listen(rows: Mapping[str, StatusRow], events: Collection[Event], forgotten: Collection[str]) -> None:
        told.extend(events)

    reconciler.listeners.append(listen)
    try:
        await daemon.look(everything=True)
        reconciler.run_pass()
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_REPAIR):
                while reconciler.acting:
                    await asyncio.sleep(0.05)
    finally:
        reconciler.listeners.remove(listen)
    return {
        "agents": len(reconciler.disk.specs),
        "events": list(map(event_json, told)),
        "troubles": _troubles(daemon),
        "remaining": remaining(reconciler.rows.values()),
    }


def _troubles(daemon: Daemon) -> list[str]:
    """What it could not look at."""
    reconciler = daemon.reconciler
    return [
        *reconciler.disk.damaged.values(),
        *(["the service manager cannot be asked"] if reconciler.facts.unseen_since is not None else []),
        *(["processes cannot be seen"] if reconciler.facts.blind else []),
    ]


def remaining(rows: Iterable[StatusRow]) -> list[dict[str, str]]:
    """Agents that are not well though all was done that we may do, whatever a lock shows."""
    return [
        {"name": row.name, "reason": row.observed_reason.value, "message": row.message}
        for row in rows
        if row.observed_status in NEED_SOMEBODY
    ]


async def _ps(daemon: Daemon, request: Request, send: Send) -> Any:
    """Every process of these agents, as it was last seen."""
    reconciler, names = daemon.reconciler, {*_words(request, "names")}
    if reconciler.findings is None:
        raise SuperviseError("cannot list processes: they cannot be seen (`supervise doctor`)")
    phases = {name: state.phase for name, state in reconciler.states.items()}
    return [plain(row) for row in listed(reconciler.findings, phases) if names & {*row.agents}]


async def _reload(daemon: Daemon, request: Request, send: Send) -> Any:
    """Read everything anew, as SIGHUP does, and say what changed."""
    request.require_right_to_act()
    found = daemon.reload()
    return {"found": found, "damaged": dict(daemon.reconciler.disk.damaged)}


async def _retry(daemon: Daemon, request: Request, send: Send) -> Any:
    """Send once more what the replica has refused; gives how much that is."""
    request.require_right_to_act()
    if daemon.replicating.state is None:
        raise SuperviseError("nothing is copied anywhere: no Supabase is configured (`supabase:` in agents.yaml)")
    count = await asyncio.to_thread(daemon.writer.consult, lambda store: store.retry())
    daemon.replicating.wake()
    return count


async def _dead_letters(daemon: Daemon, request: Request, send: Send) -> Any:
    """What the replica has refused, and why."""
    found = await asyncio.to_thread(daemon.writer.consult, lambda store: store.dead_letters())
    return [serial.to_plain(one) for one in found]


# --- Presets ---------------------------------------------------------------------------------------------------------


async def _presets(daemon: Daemon, request: Request, send: Send) -> Any:
    return presets.info(daemon.reconciler)


async def _preset_save(daemon: Daemon, request: Request, send: Send) -> Any:
    request.require_right_to_act()
    weights = request.args.get("weights")
    if not isinstance(weights, dict):
        raise UsageError('"weights" is an object: {"restarts": 20}')
    base = _text(request, "base", BALANCED)
    return await presets.save(daemon.reconciler, _text(request, "name"), weights, base=base, by=_actor(request))


async def _preset_delete(daemon: Daemon, request: Request, send: Send) -> Any:
    request.require_right_to_act()
    return await presets.delete(daemon.reconciler, _text(request, "name"), by=_actor(request))


async def _preset_use(daemon: Daemon, request: Request, send: Send) -> Any:
    request.require_right_to_act()
    whose = {key: _words(request, key) if key in request.args else [] for key in ("agents", "tags")}
    return await presets.use(daemon.reconciler, _text(request, "name"), **whose, by=_actor(request))


OPERATIONS: Mapping[str, Operation] = {
    "whoami": _whoami,
    "info": _info,
    "rows": _rows,
    "events": _events,
    "metrics": _metrics,
    "watch": _watch,
    "ps": _ps,
    "ready": _ready,
    "look": _look,
    "fix": _fix,
    "reload": _reload,
    "order": _order,
    "lock": _lock,
    "unlock": _unlock,
    "act": _act,
    "replica-retry": _retry,
    "dead-letters": _dead_letters,
    "presets": _presets,
    "preset-save": _preset_save,
    "preset-delete": _preset_delete,
    "preset-use": _preset_use,
}


# --- How things are said ---------------------------------------------------------------------------------------------


def info(daemon: Daemon) -> dict[str, Any]:
    """What is to be known of the reconciler itself: how fresh its view is, and what troubles it."""
    reconciler = daemon.reconciler
    now = reconciler.clock()
    seen = reconciler.view_of
    host = daemon.host_status(now)
    trouble = daemon.writer.trouble
    unseen = reconciler.facts.unseen_since
    return {
        "version": __version__,
        "pid": daemon.pid,
        "host": reconciler.facts.name,
        "platform": host.platform,
        "boot": host.boot,
        "message": host.message,
        "since": daemon.since.isoformat(),
        "at": now.wall.isoformat(),
        "view_age": None if seen is None else (now.monotonic - seen.monotonic).total_seconds(),
        "platform_unseen": None if unseen is None else (now.monotonic - unseen).total_seconds(),
        "store": None
        if trouble is None
        else {"why": trouble.why, "since": trouble.since.isoformat(), "lost": trouble.lost},
        "processes": _processes(reconciler, now),
        "damaged": dict(reconciler.disk.damaged),
        "agents": len(reconciler.disk.specs),
        "projects": {one.project: one.version for one in reconciler.disk.manifests},
        "unasked": {name: why for name, why in reconciler.unasked()},
        "refused_beats": dict(daemon.refused),
        "alerts": daemon.alerts_info(),
        "supabase": daemon.replicating.info(),
    }


def _processes(reconciler: Reconciler, now: Instant) -> dict[str, Any]:
    """How old our view of processes is; `unseen`: there is none any more; `doubts`: PIDs that may be an agent's."""
    found = reconciler.findings
    at = found.at if found else None
    return {
        "view_age": None if at is None else (now.monotonic - at).total_seconds(),
        "unseen": reconciler.facts.blind,
        "complete": found.complete if found else None,
        "doubts": [doubt.process.id.pid for doubt in found.doubts] if found else [],
    }


def row_json(row: StatusRow) -> dict[str, Any]:
    """A row for readers: times in UTC, no memory of ours."""
    said: dict[str, Any] = serial.to_plain(row)
    del said["past"]
    return said


def probed_json(probed: Probed) -> dict[str, Any]:
    """What the probes of an agent have answered in its present life."""
    said: dict[str, Any] = serial.to_plain(probed)
    return said


def event_json(event: Event) -> dict[str, Any]:
    said: dict[str, Any] = serial.to_plain(event)
    return said


# --- Arguments -------------------------------------------------------------------------------------------------------


def _words(request: Request, key: str) -> list[str]:
    given = request.args.get(key)
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise UsageError(f'"{key}" is a list of names')
    return given


def _text(request: Request, key: str, otherwise: str | None = None) -> str:
    given = request.args.get(key, otherwise)
    if not isinstance(given, str):
        raise UsageError(f'"{key}" is a text')
    return given


def _known(daemon: Daemon, request: Request) -> list[str]:
    names = _words(request, "names")
    if missing := sorted({*names} - daemon.reconciler.rows.keys()):
        raise UsageError(f"no such agent: {', '.join(missing)}")
    return names


def _one_of(request: Request, key: str, words: Iterable[str]) -> str:
    given, known = request.args.get(key), [str(word) for word in words]
    if given not in known:
        raise UsageError(f'"{key}" is one of {", ".join(known)}')
    return str(given)


def _seconds(request: Request, key: str, otherwise: timedelta) -> timedelta:
    given = request.args.get(key)
    if given is None:
        return otherwise
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= LONGEST_SETTLE:
        raise UsageError(f'"{key}" is a number of seconds up to {LONGEST_SETTLE}')
    return timedelta(seconds=given)


def _batch(request: Request) -> int | None:
    given = request.args.get("batch")
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
        raise UsageError('"batch" is a number of agents, at least 1')  # not all at once, which nobody asked for
    return given


def _reason(request: Request) -> str:
    given = request.args.get("reason", "")
    if not isinstance(given, str) or len(given) > LONGEST_REASON:
        raise UsageError(f'"reason" is a text of at most {LONGEST_REASON} characters')
    return given


def _actor(request: Request) -> str:
    claimed = request.args.get("by")
    if request.peer.uid == 0 and isinstance(claimed, str) and 0 < len(claimed) <= 64:
        return claimed
    return request.peer.name


def _moment(request: Request, key: str) -> datetime | None:
    given = request.args.get(key)
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
        in_utc = moment.astimezone(UTC)  # not every moment of the first and last day has one
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f'"{key}" is a time such as 2026-03-01T12:00:00+00:00') from error
    if moment.tzinfo is None:
        raise UsageError(f'"{key}" needs its offset from UTC')
    return in_utc


def _quiet(result: Result) -> None:
    """Results are sent when all are there."""
