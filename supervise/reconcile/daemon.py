"""The daemon: the reconciler with its store, its sockets, its platform and its rhythm, from start to end.

It owns no agent: it may be killed at any moment, and nothing stops, nothing doubles. When it is back it asks for all.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import Counter
from collections.abc import Collection, MutableMapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from supervise import __version__, clock
from supervise.control.server import Request, Send, Server
from supervise.errors import PlatformError, StoreError
from supervise.model import Findings, HostStatus, Instant, ReconcilerSettings, Scope, Status
from supervise.notify import Notify
from supervise.observe.beats import Beats
from supervise.observe.cgroups import own_manager
from supervise.places import Places
from supervise.reconcile import disk, journaling, orders
from supervise.reconcile.acting import Acting
from supervise.reconcile.alerting import Alerting
from supervise.reconcile.believing import Believing
from supervise.reconcile.following import SOONEST_PING, Following
from supervise.reconcile.host import STOPPED, troubles
from supervise.reconcile.metering import Metering
from supervise.reconcile.metrics import Metrics
from supervise.reconcile.probing import Probing
from supervise.reconcile.reconciler import Reconciler
from supervise.reconcile.reloading import found_anew
from supervise.reconcile.replicating import Replicating
from supervise.reconcile.revisions import Revisions
from supervise.reconcile.scanning import Asked, Here, Scanning
from supervise.reconcile.scraping import Scraping
from supervise.reconcile.sockets import sockets
from supervise.stores import Change, Sample
from supervise.stores.writer import Trouble, Writer

log = logging.getLogger(__name__)
TICK = 0.25
"""Seconds between two looks at what is due."""
FIRST_LOOK = 5.0
"""Seconds in which a platform that can be asked at all has answered."""
DISK = timedelta(seconds=2)
SOONEST_LOOK = timedelta(milliseconds=50)
"""However often we are asked, the disk is looked at no more often than this."""
REQUIREMENTS = timedelta(seconds=2)
FULL_PASS = timedelta(seconds=10)
SIGNS = timedelta(seconds=1)
"""How often it is written down what agents say and that they live, if nothing else is new of them …"""
SIGNS_AT_ONCE = 100
"""… and of how many at most, so that beats cost the same from some hundred agents on."""
FEEDING = timedelta(seconds=1)
"""How often our own watchdog is fed, and its manager told how the agents are."""
CHECK = timedelta(minutes=1)
"""How often systemd is asked whether its units are as it has signalled."""
RESYNC = timedelta(minutes=10)
"""How often it is asked about everything, which takes a millisecond for each agent."""
HOST = timedelta(minutes=1)
"""How often it is written down that nothing is new of the host."""
SAMPLES = timedelta(minutes=5)
PRUNING = timedelta(hours=1)
UNSENT, MOST_UNSENT = timedelta(days=7), 1 << 30
"""How long, and how many bytes of, events and samples wait for Supabase."""
SCRAPING = timedelta(seconds=5)
"""How often we try again to listen where we cannot."""
STALL = timedelta(seconds=5)
"""A tick that comes so late was not late by itself: the machine, or this process, stood still."""
RESUME = timedelta(seconds=2)
"""So much more on the clock that counts through suspends means that there was one."""
GATHER = 0.02
"""Seconds in which beats are gathered once they come faster than that: to wake up costs more than to read one. After a
flood too, which bounds what it can cost."""
FLOOD_TOLD = timedelta(minutes=1)


class Daemon:
    """One reconciler. `run` it; it ends on SIGTERM or SIGINT."""

    def __init__(
        self,
        places: Places,
        *,
        host: str,
        environ: MutableMapping[str, str] = os.environ,
        metrics_listen: str | None = None,
    ) -> None:
        self.places = places
        self.pid = os.getpid()
        self.since = clock.now().wall
        self._on_terminal = os.isatty(0)
        self.refused: Counter[str] = Counter()
        self.notify = Notify()
        self.writer = Writer(places.store, host=host)
        self._control, agent = sockets(places, environ)
        self.scanning = self._eyes()
        self.acting = Acting(lambda: self.following.platform, self.scanning)
        self.reconciler = Reconciler(
            places, host=host, clock=clock.now, commit=self.writer.commit, start=self.acting.start
        )
        self.acting.reconciler = self.reconciler
        self.following = Following(places, self.reconciler)
        self.believing = Believing(self.reconciler, self.following)
        self.alerting = Alerting(self.reconciler, self.writer.commit)
        self.replicating = Replicating(self, environ)
        self.metering = Metering(self.reconciler)
        self.revisions = Revisions(self.reconciler)
        self.probing = Probing(self.reconciler, lambda: self.following.platform, clock=clock.now)
        self.metrics = Metrics(self)
        self._scraping = Scraping(self.metrics.text)
        self._metrics_listen = metrics_listen
        self._server = Server(self._answer)
        manager = own_manager(places.scope, os.getuid())
        self._beats = Beats(agent, main=self.reconciler.mains.get, stranger=self.scanning.suspect, manager=manager)
        self._heard_at = 0.0
        self._flood_told: timedelta | None = None
        self._trouble: Trouble | None = None
        self._host: HostStatus | None = None
        self._last: dict[str, timedelta] = {}
        self._touched: set[str] = set()
        """Agents whose files changed, and of whom systemd has not been asked yet whether it has read that."""

    async def run(self) -> None:
        """Until somebody asks it to end."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # so far there is nothing to be read again
        memory = await self.writer.start()
        self.reconciler.remember(memory)
        self.reconciler.lose_sight()  # until a first look: what is remembered is not what is, and a beat is no look
        self._look_at_disk()
        loop.add_signal_handler(signal.SIGHUP, self._hung_up, ended)
        self.alerting.remember(memory.notes)
        self.replicating.remember(memory.notes)
        self.reconciler.listeners += [journaling.tell, self.alerting.heard]
        self.reconciler.listen()
        await self._server.start(self._control)
        self._listen_to_agents(loop)
        works = (
            self.following.run(),
            self.scanning.run(),
            self._rhythm(),
            self._questions(),
            self.alerting.run(),
            self.replicating.run(),
            self.metering.run(),
            self.revisions.run(),
            self._probe(),
        )
        tasks = [asyncio.ensure_future(work) for work in works]
        stop = asyncio.ensure_future(ended.wait())
        await asyncio.wait((stop, *tasks), return_when=asyncio.FIRST_COMPLETED)
        self.notify.stopping()
        for task in (stop, *tasks):
            task.cancel()
        await asyncio.wait(tasks)
        self.acting.close()
        self.believing.close()
        self._scraping.close()
        await self._server.close()
        await self.alerting.close()
        await self.writer.commit(Change(host=replace(self.host_status(clock.now()), message=STOPPED)))
        await self.replicating.close()
        await self.writer.close()
        for task in tasks:
            if not task.cancelled() and (error := task.exception()):
                raise error

    async def _probe(self) -> None:
        await self.following.seen.wait()  # who runs as the row remembers is no news, and yet to be asked
        await self.probing.run()

    def _eyes(self) -> Scanning:
        """Of other users' processes only the scan service may know; our own we see ourselves."""
        if self.places.scope is Scope.SYSTEM:
            return Asked(self.places.scan_socket, self._take_findings)
        return Here(lambda: self.reconciler.disk.specs.values(), self._take_findings)

    def _take_findings(self, found: Findings | None, concerned: Collection[str]) -> None:
        self.believing.take(found, concerned)

    # --- What others ask for ------------------------------------------------------------------------------------------

    async def look(self, *, everything: bool = False) -> None:
        """Look at the disk now, and (`everything`) ask the platform about all."""
        if everything or self._is_due("look", SOONEST_LOOK, clock.now()):
            self._look_at_disk()
            await self.revisions.look_soon()
        if everything:
            with suppress(PlatformError):
                await self.following.resync()
            with suppress(PlatformError):  # what cannot be seen is said elsewhere
                await self.scanning.fresh()
            await self.believing.settled()

    def reload(self) -> str:
        """Read everything anew, whatever the disk's stamps say; gives what changed. A manifest that is damaged leaves
        its project as it was."""
        before = self.reconciler.disk
        with self.notify.reloading():
            self._look_at_disk(anew=True)
        self._last.pop("resync", None)
        found = found_anew(before, self.reconciler.disk)
        log.info("reloaded: %s", found)
        return found

    def _hung_up(self, ended: asyncio.Event) -> None:
        """SIGHUP means to reload, but where the terminal that it was started from has gone."""
        if self._on_terminal and not os.isatty(0):
            ended.set()
        else:
            self.reload()

    def alerts_info(self) -> Any:
        return self.alerting.info()

    def host_status(self, now: Instant) -> HostStatus:
        """How this host is, and what troubles us."""
        facts, disk = self.reconciler.facts, self.reconciler.disk
        found = [
            *troubles(facts, disk, self.writer.trouble, self.alerts_info(), now=now),
            *self._scraping.troubles.values(),
            *self.replicating.troubles(),
        ]
        return HostStatus(facts.platform, __version__, now.boot, self.since, len(disk.specs), "; ".join(found))

    def refused_beats(self) -> Counter[str]:
        """By why, since we began."""
        return self.refused + self._beats.refused.counts

    def _endpoints(self) -> set[str]:
        """Where somebody wants to scrape us."""
        written = {one.reconciler.metrics_listen for one in self.reconciler.disk.manifests}
        return {one for one in (*written, self._metrics_listen) if one}

    async def _answer(self, request: Request, send: Send) -> Any:
        return await orders.answer(self, request, send)

    # --- Rhythm -------------------------------------------------------------------------------------------------------

    async def _rhythm(self) -> None:
        """Everything that time alone brings about."""
        with suppress(TimeoutError):  # then nobody knows how the agents are, and that has to be said too
            async with asyncio.timeout(FIRST_LOOK):
                await self.following.seen.wait()
        self.notify.ready()
        before = clock.now()
        while True:
            await asyncio.sleep(TICK)
            now = clock.now()
            self._notice_gaps(before, now)
            before = now
            self._tell_of_store()
            if self._is_due("scraping", SCRAPING, now):
                await self._scraping.listen(self._endpoints())
            self._tell_of_host(now)
            self._tick(now)
            if self._is_due("feeding", FEEDING, now):
                self.notify.passed(self._summary())

    def _tick(self, now: Instant) -> None:
        reconciler = self.reconciler
        if self._is_due("disk", DISK, now):
            self._look_at_disk()
        names = reconciler.due(now.monotonic)
        if self._is_due("signs", SIGNS, now):
            names |= reconciler.owed(SIGNS_AT_ONCE)
        if self._is_due("pass", FULL_PASS, now):
            reconciler.run_pass()
        elif names:
            reconciler.run_pass(names)
        if self._is_due("samples", SAMPLES, now):
            rows = reconciler.rows.items()
            self.writer.commit(Change(samples=tuple(Sample(name, now.wall, row) for name, row in rows)))
        reconciler.forget_main_processes(now.monotonic)

    async def _questions(self) -> None:
        """What is asked of systemd and of the store. They may take their time: nothing else waits for their answers."""
        await self.following.seen.wait()
        while True:
            await asyncio.sleep(TICK)
            now = clock.now()
            try:
                await self._ask(now)
            except PlatformError as error:
                log.warning("%s", error)
                continue
            if self.following.platform:
                self.reconciler.view_of = now

    async def _ask(self, now: Instant) -> None:
        following, touched = self.following, set(self._touched)
        await following.look_at_drift(touched)
        self._touched -= touched
        if self._is_due("requirements", REQUIREMENTS, now):
            touched |= await following.look_at_requirements()
        if self._is_due("pings", SOONEST_PING, now):
            touched |= await following.look_at_pings(now.monotonic)
        if self._is_due("check", CHECK, now):
            await following.check()
        if self._is_due("resync", RESYNC, now):
            await following.resync()
        elif touched:
            self.reconciler.run_pass(touched)
        if self._is_due("pruning", PRUNING, now):
            await self._prune(now)

    def _is_due(self, what: str, every: timedelta, now: Instant) -> bool:
        last = self._last.get(what)
        if last is not None and now.monotonic - last < every:
            return False
        self._last[what] = now.monotonic
        return True

    def _notice_gaps(self, before: Instant, now: Instant) -> None:
        """A machine that stood still, or slept: the silence of its agents meanwhile says nothing, nor do their noes."""
        slept = (now.boottime - now.monotonic) - (before.boottime - before.monotonic)
        passed = now.monotonic - before.monotonic
        if slept > RESUME:
            text = f"The machine slept for {slept.total_seconds():.0f} s; silence before that counts for nothing."
            self.reconciler.forgive_failures()
            self.reconciler.disturbed("Resumed", text)
        elif passed > STALL + timedelta(seconds=TICK):
            text = f"Nothing ran for {passed.total_seconds():.0f} s; silence before that counts for nothing."
            self.reconciler.forgive_failures()
            self.reconciler.disturbed("Stalled", text)

    def _look_at_disk(self, *, anew: bool = False) -> None:
        """Take over what changed on disk, and decide about the agents whom that concerns."""
        damaged = self.reconciler.disk.damaged
        look = disk.look_anew if anew else disk.look
        found, touched = look(self.places, self.reconciler.disk)
        self._touched |= touched
        if found is self.reconciler.disk:
            return
        whole = found.specs != self.reconciler.disk.specs
        self.reconciler.take_disk(found)
        self.probing.look_again()
        for project, why in found.damaged.items():
            if project not in damaged:
                log.error("%s", why)
        if self.following.seen.is_set():
            self.reconciler.run_pass(None if whole else touched)
            if whole:
                self._last.pop("resync", None)  # at once: new agents have units that nobody has asked about

    def retention(self) -> tuple[timedelta, timedelta]:
        """How long events and samples are kept."""
        settings = [one.reconciler for one in self.reconciler.disk.manifests] or [ReconcilerSettings()]
        return max(one.events_for for one in settings), max(one.samples_for for one in settings)

    async def _prune(self, now: Instant) -> None:
        events_for, samples_for = self.retention()
        await self.writer.prune(events_before=_ago(events_for, now), samples_before=_ago(samples_for, now))
        if self.replicating.state:
            before = _ago(UNSENT, now)
            with suppress(StoreError):  # told where it is written
                await asyncio.to_thread(
                    self.writer.consult, lambda store: store.shorten(before=before, largest=MOST_UNSENT)
                )

    def _tell_of_store(self) -> None:
        """Once when it cannot be written any more, and once when it can again."""
        before, self._trouble = self._trouble, self.writer.trouble
        self.reconciler.take_memory(lasts=self._trouble is None)
        if self._trouble and not before:
            log.error("%s; until that works again all is kept in memory", self._trouble.why)
        elif before and not self._trouble:
            log.warning("the store is written again; it was not since %s", f"{before.since:%Y-%m-%d %H:%M:%S} UTC")

    def _tell_of_host(self, now: Instant) -> None:
        """When something is new, and each minute, so that others see that this host lives."""
        if not self._is_due("trouble", SIGNS, now):
            return
        status = self.host_status(now)
        if self._is_due("host", HOST, now) or status != self._host:
            self._host = status
            self.writer.commit(Change(host=replace(status, updated_at=now.wall)))

    def _summary(self) -> str:
        counts = Counter(row.status for row in self.reconciler.rows.values())
        told = [f"{counts[status]} {status.value}" for status in Status if counts[status]]
        trouble = self.writer.trouble
        return f"{len(self.reconciler.rows)} agents: {', '.join(told) or 'none'}" + (
            f"; the store cannot be written: {trouble.why}" if trouble else ""
        )

    # --- Beats --------------------------------------------------------------------------------------------------------

    def _listen_to_agents(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_reader(self._beats.socket, self._heard, loop)

    def _heard(self, loop: asyncio.AbstractEventLoop) -> None:
        """Something has come. Where it comes thick and fast, it is waited for no more but looked for."""
        before, self._heard_at = self._heard_at, loop.time()
        flooded = self._hear()
        if flooded or self._heard_at - before < GATHER:
            loop.remove_reader(self._beats.socket)
            loop.call_later(GATHER, self._look_for_beats, loop)

    def _look_for_beats(self, loop: asyncio.AbstractEventLoop) -> None:
        """Until once nothing has come meanwhile."""
        before = self._beats.taken
        self._hear()
        if self._beats.taken == before:
            self._listen_to_agents(loop)
        else:
            loop.call_later(GATHER, self._look_for_beats, loop)

    def _hear(self) -> bool:
        """Take what has come; whether it was a flood."""
        now = clock.now()
        said, flooded = self._beats.read(now)
        news = {one.name for one in said if self.reconciler.take_beat(one.name, one.beat)}
        self.reconciler.tally.beats += len(said)
        if news:
            self.reconciler.run_pass(news)
        if flooded:
            self._notice_flood(now)
        return flooded

    def _notice_flood(self, now: Instant) -> None:
        """Beats may have been lost, so nobody's silence counts; told once a minute, with the loudest sender."""
        refused = self._beats.take_refused()
        self.refused.update(refused.counts)
        if self._flood_told is not None and now.monotonic - self._flood_told < FLOOD_TOLD:
            self.reconciler.disturb(now)
            return
        self._flood_told = now.monotonic
        loudest = ", ".join(f"{count} from PID {pid}" for pid, count in refused.senders.most_common(3))
        text = f"The agent socket is flooded, so beats may be lost; refused: {loudest or 'none'}."
        self.reconciler.disturbed("AgentSocketFlooded", text)


def _ago(length: timedelta, now: Instant) -> datetime:
    """So long before now, or where the calendar begins: somebody may keep things for thousands of years."""
    try:
        return now.wall - length
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
