"""The metrics, as a parser of their format reads them."""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from supervise import __version__
from supervise.model import Beat, Findings, Hold, Lock, Reason, Schedule, Source, Status, StatusRow
from supervise.reconcile import metrics as module
from supervise.reconcile.daemon import Daemon
from supervise.reconcile.disk import Disk
from supervise.reconcile.metrics import OPENMETRICS, Collected, Metrics, Seen, look
from supervise.reconcile.tally import Tally
from tests.cli.reconciler import HOSTILE
from tests.nouns import NOON, after, alive, copy, places_in, row, seconds, spec
from tests.reconcile.rig import HOST, Clock, in_a_loop

Found = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def seen(*rows: StatusRow, **changes: Any) -> Seen:
    plain: dict[str, Any] = {
        "at": NOON,
        "since": NOON,
        "rows": {one.name: one for one in rows},
        "specs": {one.name: spec(one.name) for one in rows},
        "held": frozenset(),
        "heartbeats": {},
        "outside": {},
        "view_age": seconds(0.25),
        "scan_age": seconds(0.5),
        "platform_up": True,
        "store_up": True,
        "outbox": 0,
        "lost": 0,
        "damaged": 0,
        "refused": {},
        "alerts": {},
        "tally": Tally(),
    }
    return Seen(**{**plain, **changes})


def told(given: Seen) -> Found:
    text = generate_latest(Collected(given)).decode()
    return samples(text_string_to_metric_families(text))


def samples(families: Any) -> Found:
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def of(found: Found, name: str, **labels: str) -> float:
    return found[f"supervise_{name}", frozenset(labels.items())]


SMA = {"agent": "sma", "project": "trading"}


# --- Agents -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "up"),
    [
        ({"pid": 7}, 1),
        ({"pid": 7, "status": Status.WARNING}, 1),
        ({"status": Status.STOPPED}, 0),
        ({"status": Status.STOPPED, "observed_status": Status.RUNNING, "pid": 7}, 1),
    ],
)
def test_an_agent_is_up_while_its_process_runs_whatever_is_shown_of_it(changes: dict[str, Any], up: float) -> None:
    assert of(told(seen(row(**changes))), "agent_up", **SMA) == up


def test_of_an_agent_that_cannot_be_seen_nobody_says_that_it_is_down() -> None:
    assert math.isnan(of(told(seen(row(status=Status.UNKNOWN))), "agent_up", **SMA))


def test_a_job_is_neither_up_nor_down() -> None:
    job = spec(schedule=Schedule(("daily",)))
    found = told(seen(row(), specs={"sma": job}))
    assert not [name for name, _ in found if name == "supervise_agent_up"]
    assert of(found, "agent_info", **SMA, title="Sma", unit="agent@sma.service", platform="systemd", kind="job") == 1


def test_one_status_is_1_and_all_others_are_0() -> None:
    found = told(seen(row(status=Status.WARNING, reason=Reason.LATE)))
    assert {one: of(found, "agent_status", **SMA, status=one.value) for one in Status} == {
        one: float(one is Status.WARNING) for one in Status
    }
    assert of(found, "agent_reason", **SMA, reason="Late") == 1


def test_what_an_agent_takes_and_how_it_is_are_numbers() -> None:
    lock = Lock(Status.WARNING, 50, "maintenance", "ada", NOON)
    one = row(pid=7, health=85, restarts=3, started_at=NOON, memory=1024, cpu=0.25, tasks=4, outdated=True, lock=lock)
    found = told(
        seen(one, heartbeats={"sma": seconds(2.5)}, held=frozenset({"sma"}), outside={"sma": 2}),
    )
    assert {
        name: of(found, f"agent_{name}", **SMA)
        for name in (
            "health_score",
            "restarts_total",
            "heartbeat_age_seconds",
            "start_time_seconds",
            "memory_bytes",
            "cpu_cores",
            "tasks",
            "outdated",
            "locked",
            "held",
            "processes_outside",
        )
    } == {
        "health_score": 85,
        "restarts_total": 3,
        "heartbeat_age_seconds": 2.5,
        "start_time_seconds": NOON.timestamp(),
        "memory_bytes": 1024,
        "cpu_cores": 0.25,
        "tasks": 4,
        "outdated": 1,
        "locked": 1,
        "held": 1,
        "processes_outside": 2,
    }


def test_what_nobody_has_seen_is_not_told_or_no_number() -> None:
    found = told(seen(row(memory=1024, started_at=NOON), scan_age=None, view_age=None, outbox=None))
    names = {name for name, _ in found}
    assert names.isdisjoint(
        {f"supervise_agent_{one}" for one in ("memory_bytes", "heartbeat_age_seconds", "start_time_seconds")}
    )
    assert math.isnan(of(found, "agent_processes_outside", **SMA))
    assert all(math.isnan(of(found, name)) for name in ("scan_age_seconds", "view_age_seconds", "outbox_depth"))


def test_foreign_text_is_inert_and_bounded() -> None:
    text = generate_latest(Collected(seen(row(title=f'{HOSTILE}"\\' + "x" * 1000)))).decode()
    assert "\x1b" not in text
    (info,) = [one for one in text_string_to_metric_families(text) if one.name == "supervise_agent_info"]
    assert len(info.samples[0].labels["title"]) == 200
    assert info.samples[0].labels["title"].startswith("␛]0;owned")


# --- Ourselves --------------------------------------------------------------------------------------------------------


def test_the_reconciler_tells_how_it_is() -> None:
    found = told(
        seen(store_up=False, platform_up=False, lost=3, damaged=1, outbox=12, alerts={"slack": False, "hook": True})
    )
    assert of(found, "build_info", version=__version__) == 1
    assert (of(found, "store_up"), of(found, "platform_up"), of(found, "store_lost_items")) == (0, 0, 3)
    assert (of(found, "manifests_damaged"), of(found, "outbox_depth")) == (1, 12)
    assert (of(found, "alert_target_up", target="slack"), of(found, "alert_target_up", target="hook")) == (0, 1)
    assert of(found, "reconciler_start_time_seconds") == NOON.timestamp()
    assert (of(found, "view_age_seconds"), of(found, "scan_age_seconds")) == (0.25, 0.5)


def test_passes_are_a_histogram_and_what_was_done_are_counters() -> None:
    tally = Tally()
    for length in (0.0004, 0.004, 0.004, 60):
        tally.passed(seconds(length), everyone=True)
    tally.beats = 9
    found = told(seen(tally=tally, refused={"too many": 2}))
    buckets = {
        le: of(found, "reconcile_duration_seconds_bucket", agents="all", le=le) for le in ("0.001", "0.005", "+Inf")
    }
    assert buckets == {"0.001": 1, "0.005": 3, "+Inf": 4}
    assert of(found, "reconcile_duration_seconds_count", agents="all") == 4
    assert of(found, "reconcile_duration_seconds_sum", agents="all") == pytest.approx(60.0084)
    assert of(found, "reconcile_duration_seconds_count", agents="some") == 0
    assert (of(found, "beats_total"), of(found, "beats_refused_total", reason="too many")) == (9, 2)
    assert of(found, "events_total", kind="death") == 0
    assert of(found, "actions_total", action="restart", result="done") == 0


# --- From a daemon ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def resting() -> AsyncIterator[Daemon]:
    """A daemon that does nothing by itself, with a clock that is set by hand."""
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        daemon = Daemon(places_in(Path(folder)), host=HOST, environ={})
        daemon.reconciler.clock = Clock()
        await daemon.writer.start()
        try:
            yield daemon
        finally:
            await daemon.writer.close()
            daemon._control.close()
            daemon._beats.socket.close()


@in_a_loop
async def test_all_is_of_one_moment_and_copied() -> None:
    async with resting() as daemon:
        reconciler = daemon.reconciler
        reconciler.rows["sma"] = row(source=Source.BEAT)
        reconciler.beats["sma"] = Beat(after(seconds(-3)), 7)
        reconciler.states["sma"] = alive(last_ping=after(seconds(-2)).monotonic)
        reconciler.findings = Findings(outside={"sma": (copy(),)}, at=after(seconds(-1)).monotonic)
        reconciler.view_of = after(seconds(-0.5))
        daemon.refused["too many"] = 2
        daemon._beats.refused.counts["malformed"] = 1
        found = await look(daemon)
        reconciler.rows.clear()
        assert found.rows.keys() == {"sma"}
        assert found.heartbeats == {"sma": seconds(2)}
        assert (found.outside, found.scan_age, found.view_age) == ({"sma": 1}, seconds(1), seconds(0.5))
        assert found.refused == {"too many": 2, "malformed": 1}
        assert (found.outbox, found.store_up, found.platform_up) == (0, True, True)


@in_a_loop
async def test_who_never_beat_has_no_heartbeat_to_grow_old() -> None:
    async with resting() as daemon:
        daemon.reconciler.rows["sma"] = row(source=Source.OBSERVED, last_heartbeat=NOON)
        daemon.reconciler.states["sma"] = alive()
        assert (await look(daemon)).heartbeats == {}


@in_a_loop
async def test_however_many_ask_the_text_is_made_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    real = module.look

    async def counted(daemon: Daemon) -> Seen:
        nonlocal made
        made += 1
        return await real(daemon)

    monkeypatch.setattr(module, "look", counted)
    async with resting() as daemon:
        clock = daemon.reconciler.clock
        assert isinstance(clock, Clock)
        metrics = Metrics(daemon)
        texts = await asyncio.gather(*(metrics.text("*/*;q=0.1") for _ in range(50)))
        assert (made, len(set(texts))) == (1, 1)
        clock.go_on(seconds(0.9))
        await metrics.text()
        assert made == 1
        clock.go_on(seconds(0.1))
        await metrics.text()
        assert made == 2


@in_a_loop
async def test_who_wants_openmetrics_gets_it_and_everybody_else_the_plain_format() -> None:
    async with resting() as daemon:
        daemon.reconciler.rows["sma"] = row()
        plain, kind = await daemon.metrics.text("text/html, */*")
        assert kind.startswith("text/plain; version=0.0.4")
        assert of(samples(text_string_to_metric_families(plain.decode())), "agent_health_score", **SMA) == 0
        text, kind = await daemon.metrics.text(f"{OPENMETRICS},text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
        assert kind.startswith("application/openmetrics-text; version=1.0.0")
        families = parsed_openmetrics(text.decode())  # type: ignore[no-untyped-call]
        assert of(samples(families), "agent_health_score", **SMA) == 0
        assert len(daemon.metrics._made) == 2


@in_a_loop
async def test_a_hold_is_told() -> None:
    async with resting() as daemon:
        daemon.reconciler.disk = Disk(holds={"sma": Hold("sma", "not now", "ada", NOON)})
        assert (await look(daemon)).held == {"sma"}
