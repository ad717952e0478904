"""The reconciler and its agents in numbers, for Prometheus.

Everybody may ask: they are made anew once a second at most, in a thread, so that nobody's curiosity holds a pass up.
prometheus-client is imported by the first who asks.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

from supervise import __version__
from supervise.model import AgentSpec, Source, Status, StatusRow
from supervise.reconcile.tally import BOUNDS, Tally
from supervise.stores import ItemKind
from supervise.text import shown

if TYPE_CHECKING:
    from prometheus_client import Metric

    from supervise.reconcile.daemon import Daemon
    from supervise.stores.supabase.flusher import State

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
"""The one of the two formats that must be asked for."""
FRESH = timedelta(seconds=1)
LONGEST_TITLE = 200
NOT_KNOWN = math.nan
"""What is not known is no number: neither 0 nor missing."""

Labels = list[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """All that is told of, at one moment."""

    at: datetime
    since: datetime
    rows: Mapping[str, StatusRow]
    specs: Mapping[str, AgentSpec]
    held: frozenset[str]
    heartbeats: Mapping[str, timedelta]
    """How long ago the last sign of life was."""
    outside: Mapping[str, int]
    """How many processes run an agent's command outside of its unit."""
    view_age: timedelta | None
    scan_age: timedelta | None
    platform_up: bool
    store_up: bool
    outbox: int | None
    lost: int
    damaged: int
    refused: Mapping[str, int]
    alerts: Mapping[str, bool]
    """Whether each target takes what it is sent."""
    tally: Tally
    replica: State | None = None
    """How copying to Supabase goes; None where nothing is copied."""


class Metrics:
    """The text for whoever scrapes, by what they accept."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._made: dict[str, tuple[timedelta, bytes, str]] = {}
        self._making = asyncio.Lock()

    async def text(self, accept: str = "") -> tuple[bytes, str]:
        """The exposition and its content type (https://prometheus.io/docs/instrumenting/exposition_formats/)."""
        from prometheus_client.exposition import choose_encoder

        encode, kind = choose_encoder(OPENMETRICS if OPENMETRICS.partition(";")[0] in accept else "")
        async with self._making:
            now = self._daemon.reconciler.clock().monotonic
            if kind not in self._made or now - self._made[kind][0] >= FRESH:
                seen = await look(self._daemon)
                self._made[kind] = now, await asyncio.to_thread(encode, Collected(seen)), kind
            return self._made[kind][1:]


class Collected:
    """Quacks like a registry of prometheus-client."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.process_collector import ProcessCollector

        yield from of_agents(self._seen)
        yield from of_ourselves(self._seen)
        yield from ProcessCollector(registry=None).collect()


async def look(daemon: Daemon) -> Seen:
    """Copies, made between two passes: what is told is of one moment."""
    outbox = await daemon.writer.outbox_depth()
    reconciler = daemon.reconciler
    now, seen, findings = reconciler.clock(), reconciler.view_of, reconciler.findings
    trouble = daemon.writer.trouble
    return Seen(
        at=now.wall,
        since=daemon.since,
        rows=dict(reconciler.rows),
        specs=reconciler.disk.specs,
        held=frozenset(reconciler.disk.holds),
        heartbeats=_heartbeats(daemon, now.monotonic),
        outside={name: len(found) for name, found in findings.outside.items()} if findings else {},
        view_age=now.monotonic - seen.monotonic if seen else None,
        scan_age=now.monotonic - findings.at if findings and findings.at is not None else None,
        platform_up=reconciler.facts.unseen_since is None,
        store_up=trouble is None,
        outbox=outbox,
        lost=trouble.lost if trouble else 0,
        damaged=len(reconciler.disk.damaged),
        refused=daemon.refused_beats(),
        alerts={name: not one["failing"] for name, one in daemon.alerts_info().items()},
        tally=reconciler.tally.copy(),
        replica=daemon.replicating.state,
    )


def _heartbeats(daemon: Daemon, now: timedelta) -> dict[str, timedelta]:
    """By the monotonic clock: a wall clock that is set makes nobody's heart older."""
    reconciler, ages = daemon.reconciler, {}
    for name, row in reconciler.rows.items():
        beat, state = reconciler.beats.get(name), reconciler.states.get(name)
        signs = [beat.at.monotonic] if beat else []
        signs += [state.last_ping] if state and state.last_ping is not None else []
        if row.source in (Source.BEAT, Source.PING) and signs:
            ages[name] = max(now - max(signs), timedelta())
    return ages


# --- Agents -----------------------------------------------------------------------------------------------------------


def of_agents(seen: Seen) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    def gauge(name: str, text: str, *labels: str) -> Any:
        return GaugeMetricFamily(f"supervise_agent_{name}", text, labels=("agent", "project", *labels))

    info = gauge("info", "What the agent is.", "title", "unit", "platform", "kind")
    up = gauge("up", "1 while the agent's process runs, 0 while none does, NaN while nobody can tell. Jobs have none.")
    status = gauge("status", "1 for the status that is shown of the agent, 0 for all others.", "status")
    reason = gauge("reason", "Why its status is what it is: always 1.", "reason")
    health = gauge("health_score", "Health from 0 to 100.")
    locked = gauge("locked", "1 while a person has fixed the status that is shown.")
    held = gauge("held", "1 while a person forbids the agent to run.")
    outdated = gauge("outdated", "1 while it runs something older than what is installed.")
    outside = gauge("processes_outside", "Processes that run the agent's command outside of its unit.")
    started = gauge("start_time_seconds", "When its process was started, since the Unix epoch.")
    heartbeat = gauge("heartbeat_age_seconds", "Time since its last beat or ping; only for agents that send any.")
    memory = gauge("memory_bytes", "Memory that it takes, without what the kernel would give up at once.")
    cpu = gauge("cpu_cores", "How many cores it has used since the look before.")
    tasks = gauge("tasks", "Its processes and threads.")
    restarts = CounterMetricFamily(
        "supervise_agent_restarts",
        "Restarts by the service manager since it was last started.",
        labels=("agent", "project"),
    )
    for name, row in seen.rows.items():
        of = [name, row.project]
        spec = seen.specs.get(name)
        job = spec is not None and spec.schedule is not None
        title = shown(row.title, limit=LONGEST_TITLE)
        info.add_metric([*of, title, row.unit, row.platform, "job" if job else "service"], 1)
        if not job:
            up.add_metric(of, NOT_KNOWN if row.observed_status is Status.UNKNOWN else float(row.pid is not None))
        for one in Status:
            status.add_metric([*of, one.value], float(row.status is one))
        reason.add_metric([*of, row.reason.value], 1)
        health.add_metric(of, row.health)
        locked.add_metric(of, float(row.lock is not None))
        held.add_metric(of, float(name in seen.held))
        outdated.add_metric(of, float(row.outdated))
        outside.add_metric(of, NOT_KNOWN if seen.scan_age is None else seen.outside.get(name, 0))
        restarts.add_metric(of, row.restarts)
        if name in seen.heartbeats:
            heartbeat.add_metric(of, seen.heartbeats[name].total_seconds())
        if row.pid and row.started_at:
            started.add_metric(of, row.started_at.timestamp())
        for metric, value in ((memory, row.memory), (cpu, row.cpu), (tasks, row.tasks)):
            if row.pid and value is not None:
                metric.add_metric(of, value)
    yield from (info, up, status, reason, health, locked, held, outdated, outside, started, heartbeat)
    yield from (memory, cpu, tasks, restarts)


# --- Ourselves --------------------------------------------------------------------------------------------------------


def of_ourselves(seen: Seen) -> Iterator[Metric]:
    return chain(_how_we_are(seen), _what_we_did(seen), _of_replica(seen.replica) if seen.replica else ())


def _how_we_are(seen: Seen) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    build = GaugeMetricFamily("supervise_build_info", "The version that runs: always 1.", labels=("version",))
    build.add_metric([__version__], 1)
    yield build
    numbers = (
        ("reconciler_start_time_seconds", "When the reconciler began, since the Unix epoch.", seen.since.timestamp()),
        ("view_age_seconds", "How old the reconciler's view of the agents is.", _seconds(seen.view_age)),
        ("scan_age_seconds", "How old its last look at all processes is.", _seconds(seen.scan_age)),
        ("platform_up", "1 while the service manager can be asked.", float(seen.platform_up)),
        ("store_up", "1 while the local store can be written.", float(seen.store_up)),
        ("store_lost_items", "Events and samples lost since the store can no longer be written.", seen.lost),
        (
            "outbox_depth",
            "Items that the replica does not have yet.",
            NOT_KNOWN if seen.outbox is None else seen.outbox,
        ),
        ("manifests_damaged", "Projects whose manifest cannot be read.", seen.damaged),
    )
    for name, text, value in numbers:
        yield GaugeMetricFamily(f"supervise_{name}", text, value=value)
    alerts = GaugeMetricFamily("supervise_alert_target_up", "1 while a target takes alerts.", labels=("target",))
    for target, up in sorted(seen.alerts.items()):
        alerts.add_metric([target], float(up))
    yield alerts


def _what_we_did(seen: Seen) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    tally = seen.tally
    passes = HistogramMetricFamily(
        "supervise_reconcile_duration_seconds", "Time that a pass over all or some agents takes.", labels=("agents",)
    )
    for which, durations in tally.passes.items():
        bounds = [*map(str, BOUNDS), "+Inf"]
        buckets = list(zip(bounds, accumulate(durations.counts), strict=True))
        passes.add_metric([which], buckets, durations.total.total_seconds())
    yield passes
    yield CounterMetricFamily("supervise_beats", "Beats that were heard.", value=tally.beats)
    refused = CounterMetricFamily("supervise_beats_refused", "Beats that were refused.", labels=("reason",))
    for why, count in sorted(seen.refused.items()):
        refused.add_metric([why], count)
    yield refused
    events = CounterMetricFamily("supervise_events", "Events in the timeline.", labels=("kind",))
    for kind, count in tally.events.items():
        events.add_metric([kind.value], count)
    yield events
    actions = CounterMetricFamily("supervise_actions", "What we did to agents.", labels=("action", "result"))
    for (action, result), count in tally.actions.items():
        actions.add_metric([action.value, result], count)
    yield actions


def _of_replica(state: State) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    up = not state.why and not state.superseded
    yield GaugeMetricFamily("supervise_replica_up", "1 while Supabase takes copies.", value=float(up))
    text = "Items that it refuses and that were set aside."
    yield GaugeMetricFamily("supervise_replica_dead_letters", text, value=state.dead)
    text = "Events and samples that waited too long for it, or were too many, and were never sent."
    yield CounterMetricFamily("supervise_replica_dropped", text, value=state.dropped)
    text = "Rows that somebody else had written there and that were put right."
    yield CounterMetricFamily("supervise_replica_corrected", text, value=state.corrected)
    sent = CounterMetricFamily("supervise_replica_sent", "Items that it took.", labels=("kind",))
    for kind in ItemKind:
        sent.add_metric([kind.value], state.sent.get(kind.value, 0))
    yield sent


def _seconds(length: timedelta | None) -> float:
    return NOT_KNOWN if length is None else length.total_seconds()
