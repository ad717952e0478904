"""The replica beside the daemon: a thread of its own that nothing waits for, and what people do in the table.

Where no Supabase is configured there is no thread, nothing is kept for it, and nothing of it is imported.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from supervise.decide.events import told_of_host
from supervise.errors import SuperviseError
from supervise.model import Lock, Scope, SupabaseTarget
from supervise.stores import Change
from supervise.stores.supabase.keys import SETTINGS, URL, Where, access, is_file, settings

if TYPE_CHECKING:
    from supervise.reconcile.daemon import Daemon
    from supervise.stores.supabase.flusher import Calls, Command, Flusher, State

LOOK = 5.0
"""Seconds between two looks at whether, and where, copies are wanted."""
LAST_CHANCE = 2.0
"""Seconds for what is still to be sent when the daemon ends; the rest is kept for the next one."""
NOTE = "supabase-locks"
"""The key of the note with the locks that were made in the table."""
VERBS = ("start", "stop", "restart")
VIA = "{} via Supabase"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where copies go. `conflict`: other projects want them elsewhere."""

    target: SupabaseTarget | None
    where: Where
    conflict: str = ""


class Replicating:
    """Lives as long as the daemon, in its loop."""

    def __init__(self, daemon: Daemon, environ: Mapping[str, str], *, settings: Path = SETTINGS) -> None:
        self._daemon = daemon
        self._environ = environ
        self._settings = settings
        self._locks: dict[str, dict[str, Any]] = {}
        self._wanted: Wanted | None = None
        self._looked = False
        self._thread: Worker | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def remember(self, notes: Mapping[str, str]) -> None:
        """The locks that the daemon before this one had already heard of."""
        try:
            found = json.loads(notes.get(NOTE, "{}"))
        except ValueError:  # damaged: then each lock is heard of once more
            found = None
        locks = found.items() if isinstance(found, dict) else ()
        self._locks = {name: lock for name, lock in locks if isinstance(lock, dict)}

    async def run(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(LOOK)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._thread:
            await asyncio.to_thread(self._thread.end, LAST_CHANCE)

    def wake(self) -> None:
        """There is something to be sent at once."""
        if self._thread:
            self._thread.wake()

    @property
    def state(self) -> State | None:
        """How it goes; None where no Supabase is configured."""
        return self._thread.state if self._thread else None

    def info(self) -> dict[str, Any] | None:
        """For `status`, `doctor` and whoever watches."""
        state = self.state
        if state is None:
            return None
        return {
            "where": state.where,
            "why": state.why,
            "kind": state.kind.value if state.kind else None,
            "since": state.since.isoformat() if state.since else None,
            "last_ok": state.last_ok.isoformat() if state.last_ok else None,
            "behind": state.behind,
            "dead": state.dead,
            "letters": [{"kind": one.kind.value, "name": one.name, "error": one.error} for one in state.letters],
            "dropped": state.dropped,
            "superseded": state.superseded,
            "expires": state.expires.isoformat() if state.expires else None,
            "corrected": state.corrected,
            "sent": dict(state.sent),
            "tables": dict(state.tables),
            "beside": dict(state.beside),
            "conflict": self._wanted.conflict if self._wanted else "",
        }

    def troubles(self) -> list[str]:
        """In words that do not change from one second to the next."""
        state = self.state
        if state is None:
            return []
        other = ["another store writes the rows of this host to Supabase, so this one does not"]
        return [
            *([f"Supabase: {state.why}"] if state.why else []),
            *(other if state.superseded else []),
            *(f"Supabase: the table {name} does not take our rows: {why}" for name, why in state.tables.items()),
            *(f"Supabase: {what}: {why}" for what, why in state.beside.items()),
            *([self._wanted.conflict] if self._wanted and self._wanted.conflict else []),
        ]

    # --- Whether and where --------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        wanted = self._found()
        if self._looked and wanted == self._wanted and (wanted is None) == (self._thread is None):
            return
        self._looked = True
        if wanted and not await asyncio.to_thread(_is_configured, wanted):
            wanted = None
        before, self._wanted = self._thread, wanted
        self._daemon.writer.replicate(wanted is not None)
        self._thread = Worker(self, wanted, self._locks, after=before) if wanted else None
        if before:
            before.let_go()

    def _found(self) -> Wanted | None:
        """What the manifests and the environment say; None where neither says anything."""
        manifests = self._daemon.reconciler.disk.manifests
        targets = [(one.project, one.supabase) for one in manifests if one.supabase]
        scope = self._daemon.places.scope
        folders = tuple(dict.fromkeys(one.source.parent for one in manifests)) if scope is Scope.USER else ()
        where = Where(scope, self._environ, folders, self._settings)
        if not targets:
            return Wanted(None, where) if _may_be_set(where) else None
        project, target = targets[0]
        others = [name for name, other in targets[1:] if other != target]
        conflict = f"{', '.join(others)} name another Supabase than {project}, whose is used" if others else ""
        return Wanted(target, where, conflict)

    @property
    def host(self) -> str:
        """As whom we write. A user's own reconciler is another one than the machine's."""
        facts = self._daemon.reconciler.facts
        return f"{facts.user}@{facts.name}" if facts.user else facts.name

    # --- What people do there -----------------------------------------------------------------------------------------

    def locked(self, name: str, lock: Lock | None, said: Mapping[str, Any], locks: Mapping[str, Any]) -> None:
        """An agent was locked in the table, or is not any more."""
        self._locks = dict(locks)
        self._daemon.writer.commit(Change(notes={NOTE: json.dumps(self._locks)}))
        reconciler = self._daemon.reconciler
        row = reconciler.rows.get(name)
        by = VIA.format((lock.by if lock else said.get("by")) or "somebody")
        if row is None:
            return
        if lock:
            reconciler.lock((name,), replace(lock, by=by), by=by)
        elif row.lock and row.lock.by == by:  # one that was made here since is another one
            reconciler.lock((name,), None, by=by)

    def locked_there(self, names: Iterable[str]) -> dict[str, datetime]:
        """Until when the table shows a lock of these agents, whatever was taken back here: a host writes none there."""
        if self._thread is None:
            return {}
        from supervise.stores.supabase.wire import lock_of

        now = self._daemon.reconciler.clock().wall
        found = {name: lock_of(self._locks.get(name), now) for name in names}
        return {name: lock.until for name, lock in found.items() if lock and lock.until > now}

    def cloned(self, instance: str) -> None:
        text = "Another store wrote the rows of this host to Supabase until now; this one writes them from here on."
        self._daemon.reconciler.tell(told_of_host("ReplicaTakenOver", text, now=self._daemon.reconciler.clock()))

    def commanded(self, command: Command) -> None:
        task = asyncio.ensure_future(self._obey(command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _obey(self, command: Command) -> None:
        from supervise.stores.supabase.flusher import Done

        try:
            ok, detail = await self._carried_out(command)
        except SuperviseError as error:
            ok, detail = False, str(error)
        except Exception:
            log.exception("cannot carry out a command of the table")
            ok, detail = False, "the reconciler has a bug; its log says more"
        if self._thread:
            self._thread.flusher.finished.append(Done(command.id, ok, detail))
            self._thread.wake()

    async def _carried_out(self, command: Command) -> tuple[bool, str]:
        from supervise.reconcile.orders import carried_out

        if refusal := self._refusal(command):
            return False, refusal
        by = VIA.format(command.actor or "somebody")[:255]
        (result,) = await carried_out(self._daemon, command.kind, [command.name], by=by)
        return result.ok, result.text

    def _refusal(self, command: Command) -> str | None:
        """Why it is not obeyed."""
        if command.kind not in VERBS:
            return f"{command.kind} is none of {', '.join(VERBS)}"
        spec = self._daemon.reconciler.disk.specs.get(command.name)
        if spec is None:
            return f"this host has no agent {command.name}"
        if not any(one.project == spec.project and one.reconciler.remote_control for one in self._manifests()):
            return f"{spec.project} takes no commands from the table (reconciler: remote_control)"
        return None

    def _manifests(self) -> Any:
        return self._daemon.reconciler.disk.manifests


class Worker:
    """The thread. It ends with the daemon, whatever it waits for."""

    def __init__(
        self, of: Replicating, wanted: Wanted, locks: Mapping[str, dict[str, Any]], *, after: Worker | None
    ) -> None:
        from supervise.stores.supabase.flusher import Flusher, Hooks

        self._of = of
        self._wanted = wanted
        self._loop = asyncio.get_running_loop()
        self._after = after
        self._closing = False
        self._last_words = False
        self._woken = Event()
        self._where: dict[str, Any] = {}
        hooks = Hooks(
            locked=lambda name, lock, said: self._tell(of.locked, name, lock, said, dict(self.flusher.locks)),
            commanded=lambda command: self._tell(of.commanded, command),
            cloned=lambda instance: self._tell(of.cloned, instance),
        )
        tables = wanted.target.tables if wanted.target else ()
        self.flusher: Flusher = Flusher(
            of._daemon.writer.consult,
            self._reached,
            host=of.host,
            hooks=hooks,
            tables=tables,
            keep=of._daemon.retention,
            locks=locks,
        )
        self._thread = Thread(target=self._work, name="supabase", daemon=True)
        self._thread.start()

    @property
    def state(self) -> State:
        return replace(self.flusher.state, **self._where)

    def wake(self) -> None:
        self._woken.set()

    def let_go(self) -> None:
        """End soon, without last words."""
        self._closing = True
        self._woken.set()

    def end(self, patience: float) -> None:
        """Say last words where somebody listens, and end; waits so many seconds for that."""
        self._last_words = not self.flusher.state.why
        self.let_go()
        self._thread.join(patience)

    def _work(self) -> None:
        if self._after:
            self._after._thread.join()  # two at once would take each other for a clone
            self._after = None
        while not self._closing:
            try:
                wait = self.flusher.tick()
            except Exception as error:  # a bug of ours must not end the copies for ever
                self.flusher.stumbled(error)
                wait = LOOK
            self._woken.wait(wait)
            self._woken.clear()
        if self._last_words:
            self.flusher.tick()
        self.flusher.close()

    def _reached(self) -> Calls:
        from supervise.stores.supabase.client import Client
        from supervise.stores.supabase.faults import Fault, Kind

        try:
            found = access(self._wanted.target, self._wanted.where)
        except SuperviseError as error:
            raise Fault(Kind.REFUSED, str(error).removeprefix("cannot copy to Supabase: ")) from error
        if found is None:
            raise Fault(Kind.REFUSED, "its address is not known any more")
        if found.url != self._where.get("where"):
            written = self._wanted.target and self._wanted.target.url
            log.info("rows are copied to %s%s", found.url, "" if written else f", {_said_by(self._wanted.where)}")
        self._where = {"where": found.url, "expires": found.expires}
        return Client(found)

    def _tell(self, whom: Any, *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(whom, *arguments)
        except RuntimeError:  # the loop is closed: the next daemon hears of it
            return


def _may_be_set(where: Where) -> bool:
    """Whether anything besides the manifest could say where Supabase is: a look that costs nothing."""
    if where.scope is Scope.SYSTEM:
        return is_file(where.settings)
    return bool(where.environ.get(URL)) or any(is_file(folder / ".env") for folder in where.folders)


def _said_by(where: Where) -> str:
    """Who says so where no manifest does."""
    return f'as "{where.settings}" says' if where.scope is Scope.SYSTEM else "as SUPABASE_URL or a .env file says"


def _is_configured(wanted: Wanted) -> bool:
    """Whether there is an address. What cannot be read is told by who needs it."""
    if wanted.target and wanted.target.url:
        return True
    try:
        return bool(settings(wanted.where).get(URL))
    except SuperviseError:
        return True
