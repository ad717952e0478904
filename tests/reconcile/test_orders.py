"""What may be asked over the control socket: by whom, with which arguments, and in whose name it is told."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from supervise import __version__
from supervise.control.server import Denied, Peer, Request
from supervise.errors import SuperviseError, UsageError
from supervise.holds import read_holds
from supervise.model import (
    Action,
    ActionKind,
    Event,
    EventKind,
    Findings,
    HostStatus,
    Instant,
    IntentKind,
    Outcome,
    Phase,
    ProbeResult,
    ProbeRole,
    Reason,
    Status,
)
from supervise.places import Places
from supervise.reconcile.daemon import Daemon
from supervise.reconcile.orders import OPERATIONS, answer
from supervise.reconcile.readiness import NOT_TOLD
from supervise.reconcile.reconciler import Told
from supervise.stores import EventQuery
from supervise.stores.writer import Trouble
from tests.install.machine import Machine
from tests.nouns import NOON, NOW, after, alive, copy, dead, minutes, seconds, spec
from tests.reconcile.rig import HOST, Rig, in_a_loop, until

ROOT = Peer(1, 0, frozenset())
OWNER = Peer(2, 4242, frozenset())
"""May act, and is not root: who runs the reconciler."""
STRANGER = Peer(3, 4343, frozenset())
LOCK: dict[str, Any] = {
    "names": ["sma"],
    "status": "warning",
    "health": 40,
    "seconds": 60,
    "reason": "migration",
}


class Archive:
    """A store that remembers what it was asked."""

    def __init__(self) -> None:
        self.trouble: Trouble | None = None
        self.asked: list[EventQuery] = []
        self.kept: tuple[Event, ...] = ()

    async def events(self, query: EventQuery) -> Sequence[Event]:
        self.asked.append(query)
        return self.kept


class Following:
    def __init__(self, platform: Machine | None) -> None:
        self.platform = platform


class Nothing:
    """A replica that is not configured."""

    state = None

    def info(self) -> None:
        return None

    def locked_there(self, names: Sequence[str]) -> dict[str, Any]:
        return {}


class Desk:
    """What the operations need of a daemon."""

    def __init__(self, folder: Path) -> None:
        self.rig = Rig(folder, spec(), spec("feed"))
        self.reconciler = self.rig.reconciler
        self.places: Places = self.reconciler.places
        self.writer = Archive()
        self.replicating = Nothing()
        self.machine = Machine(self.places)
        self.following = Following(self.machine)
        self.pid = 99
        self.since = NOON
        self.refused: Counter[str] = Counter({"too many": 2})
        self.looks: list[bool] = []
        self.scanning = self
        self.listeners: list[Told] = []

    async def look(self, *, everything: bool = False) -> None:
        self.looks.append(everything)

    def reload(self) -> str:
        self.looks.append(True)
        return "2 agents of 1 project; nothing has changed"

    def host_status(self, now: Instant) -> HostStatus:
        return HostStatus("systemd", "1.0", now.boot, NOON, 2, "the store cannot be written: full")

    async def fresh(self) -> Findings:
        return Findings()

    def alerts_info(self) -> Mapping[str, Any]:
        return {"slack": {"failing": False}}

    async def ask(self, op: str, peer: Peer = ROOT, **args: Any) -> Any:
        """The result, as it goes over a socket."""
        self.sent: list[Any] = []

        async def send(item: Any) -> None:
            self.sent.append(json.loads(json.dumps(item)))

        return json.loads(json.dumps(await answer(cast(Daemon, self), Request(op, args, peer), send)))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Two agents that run, and a reconciler that runs as 4242. No such user has a name."""
    monkeypatch.setattr(os, "getuid", lambda: OWNER.uid)
    made = Desk(tmp_path)
    seen = {"sma": alive(), "feed": alive(name="feed", pid=8)}
    made.reconciler.take_all(seen)
    made.listeners = list(made.reconciler.listeners)
    return made


def running(desk: Desk) -> None:
    """Their first rows; what was told of them is forgotten."""
    desk.reconciler.run_pass()
    desk.rig.take()


def orders(desk: Desk) -> list[tuple[str, str, str, str]]:
    return [(one.name, one.reason, one.message, one.by) for one in desk.rig.events if one.kind is EventKind.ORDER]


# --- Who --------------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_an_operation_that_there_is_not_is_answered_with_those_that_there_are(desk: Desk) -> None:
    with pytest.raises(UsageError) as refused:
        await desk.ask("dance")
    assert all(name in str(refused.value) for name in OPERATIONS)


@in_a_loop
async def test_everybody_is_told_who_they_are_and_whether_they_may_act(desk: Desk) -> None:
    assert await desk.ask("whoami", OWNER) == {"name": "uid 4242", "uid": 4242, "may_act": True}
    assert (await desk.ask("whoami", STRANGER))["may_act"] is False


@pytest.mark.parametrize(
    "op", ["order", "lock", "unlock", "act", "reload", "preset-save", "preset-use", "preset-delete"]
)
@in_a_loop
async def test_who_may_only_read_cannot_act_and_nothing_happens(desk: Desk, op: str) -> None:
    running(desk)
    args = {**LOCK, "what": "stop", "verb": "stop"}
    with pytest.raises(Denied, match="uid 4343 may read here but not"):
        await desk.ask(op, STRANGER, **args)
    assert (desk.rig.told, desk.machine.orders) == ([], [])


@pytest.mark.parametrize(
    ("peer", "claimed", "named"),
    [
        (ROOT, "alice", "alice"),
        (ROOT, None, "root"),
        (ROOT, "", "root"),
        (ROOT, 7, "root"),
        (ROOT, "x" * 65, "root"),
        (OWNER, "alice", "uid 4242"),
        (OWNER, None, "uid 4242"),
    ],
)
@in_a_loop
async def test_root_may_say_who_it_is_and_others_are_named_by_the_kernel(
    desk: Desk, peer: Peer, claimed: Any, named: str
) -> None:
    running(desk)
    await desk.ask("order", peer, what="stop", names=["sma"], kind="stop", by=claimed)
    assert orders(desk) == [("sma", "stop", "", named)]
    assert desk.reconciler.intents["sma"].by == named
    await desk.ask("lock", peer, **LOCK, by=claimed)
    lock = desk.reconciler.rows["sma"].lock
    assert lock
    assert lock.by == named


# --- Arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "args", "key"),
    [
        ("rows", {"names": "sma"}, "names"),
        ("rows", {"names": [1]}, "names"),
        ("watch", {"names": {}}, "names"),
        ("events", {"limit": 0}, "limit"),
        ("events", {"limit": 10_001}, "limit"),
        ("events", {"limit": "5"}, "limit"),
        ("events", {"limit": True}, "limit"),
        ("events", {"name": ["sma"]}, "name"),
        ("events", {"since": "yesterday"}, "since"),
        ("events", {"since": 5}, "since"),
        ("events", {"until": "2026-03-01T12:00:00"}, "until"),
        ("events", {"until": "0001-01-01T00:00:00+14:00"}, "until"),
        ("order", {"what": "dance", "names": []}, "what"),
        ("order", {"names": []}, "what"),
        ("order", {"what": "stop", "names": [], "kind": "maybe"}, "kind"),
        ("order", {"what": "stop"}, "names"),
        ("order", {"what": "stop", "names": ["sma"], "reason": 5}, "reason"),
        ("order", {"what": "stop", "names": ["sma"], "reason": "x" * 501}, "reason"),
        ("lock", {**LOCK, "seconds": 0}, "seconds"),
        ("lock", {**LOCK, "seconds": -1}, "seconds"),
        ("lock", {**LOCK, "seconds": True}, "seconds"),
        ("lock", {**LOCK, "seconds": float("nan")}, "seconds"),
        ("lock", {**LOCK, "seconds": float("inf")}, "seconds"),
        ("lock", {**LOCK, "health": 101}, "health"),
        ("lock", {**LOCK, "health": -1}, "health"),
        ("lock", {**LOCK, "health": 1.5}, "health"),
        ("lock", {**LOCK, "status": "starting"}, "status"),
        ("lock", {**LOCK, "status": "unknown"}, "status"),
        ("lock", {**LOCK, "reason": None}, "reason"),
        ("unlock", {}, "names"),
        ("ready", {"seconds": 1}, "lives"),
        ("ready", {"lives": ["sma"], "seconds": 1}, "lives"),
        ("ready", {"lives": {"sma": 1}, "seconds": 1}, "lives"),
        ("ready", {"lives": {}}, "seconds"),
        ("ready", {"lives": {}, "seconds": True}, "seconds"),
        ("ready", {"lives": {}, "seconds": -1}, "seconds"),
        ("ready", {"lives": {}, "seconds": 3601}, "seconds"),
        ("act", {"verb": "kill", "names": []}, "verb"),
        ("act", {"verb": "stop", "names": "sma"}, "names"),
        ("act", {"verb": "start", "names": ["sma"], "settle": -1}, "settle"),
        ("act", {"verb": "start", "names": ["sma"], "settle": "1s"}, "settle"),
        ("act", {"verb": "restart", "names": ["sma"], "pause": 1e9}, "pause"),
        ("act", {"verb": "restart", "names": ["sma"], "batch": 0}, "batch"),
        ("act", {"verb": "restart", "names": ["sma"], "batch": "2"}, "batch"),
        ("act", {"verb": "restart", "names": ["sma"], "batch": True}, "batch"),
        ("preset-save", {"name": "night"}, "weights"),
        ("preset-save", {"name": "night", "weights": ["restarts"]}, "weights"),
        ("preset-save", {"name": 7, "weights": {}}, "name"),
        ("preset-save", {"name": "night", "weights": {}, "base": 7}, "base"),
        ("preset-save", {"name": "night", "weights": {"restarts": 101}}, "restarts"),
        ("preset-save", {"name": "balanced", "weights": {}}, "balanced"),
        ("preset-delete", {}, "name"),
        ("preset-delete", {"name": "balanced"}, "balanced"),
        ("preset-use", {"name": "balanced", "agents": "sma"}, "agents"),
        ("preset-use", {"name": "balanced", "tags": [7]}, "tags"),
    ],
)
@in_a_loop
async def test_an_argument_that_makes_no_sense_is_named_and_nothing_happens(
    desk: Desk, op: str, args: dict[str, Any], key: str
) -> None:
    running(desk)
    with pytest.raises(UsageError, match=f'^"{key}"'):
        await desk.ask(op, **args)
    assert (desk.rig.told, desk.machine.orders, desk.writer.asked) == ([], [], [])


@pytest.mark.parametrize(("op", "args"), [("lock", LOCK), ("unlock", {}), ("act", {"verb": "stop"})])
@in_a_loop
async def test_agents_that_there_are_not_are_all_named_and_nothing_happens(
    desk: Desk, op: str, args: dict[str, Any]
) -> None:
    running(desk)
    with pytest.raises(UsageError, match=r"^no such agent: nobody, zoe$"):
        await desk.ask(op, **{**args, "names": ["zoe", "sma", "nobody"]})
    assert (desk.rig.told, desk.machine.orders) == ([], [])


# --- Reading ----------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_rows_are_those_of_a_disk_looked_at_now_and_without_our_memory(desk: Desk) -> None:
    running(desk)
    said = await desk.ask("rows", STRANGER)
    assert desk.looks == [False]
    assert [one["name"] for one in said["rows"]] == ["sma", "feed"]
    assert all("past" not in one for one in said["rows"])
    assert said["rows"][0]["since"].endswith(("Z", "+00:00"))
    said = await desk.ask("rows", STRANGER, names=["feed", "nobody"])
    assert [one["name"] for one in said["rows"]] == ["feed"]
    assert (await desk.ask("rows", STRANGER, names=[]))["rows"] == []


@in_a_loop
async def test_processes_are_listed_for_everybody_of_those_agents_that_are_asked_for(desk: Desk) -> None:
    with pytest.raises(SuperviseError, match="they cannot be seen"):
        await desk.ask("ps", STRANGER, names=["sma"])
    found = Findings(inside={"sma": (copy(1),), "feed": (copy(2),)}, outside={"sma": (copy(3),)}, at=NOW.monotonic)
    desk.reconciler.take_findings(found, ())
    rows = await desk.ask("ps", STRANGER, names=["sma"])
    assert [(one["pid"], one["class"]) for one in rows] == [(1, "managed"), (3, "duplicate")]


@in_a_loop
async def test_a_fix_looks_at_everything_and_tells_all_that_it_changed_until_it_is_done(desk: Desk) -> None:
    running(desk)
    desk.reconciler.take_state(dead(phase=Phase.FAILED, gave_up=True))
    desk.reconciler.acting.add("feed")
    fixing = asyncio.ensure_future(desk.ask("fix", OWNER))
    await until(lambda: desk.looks == [True])
    await asyncio.sleep(0)
    assert not fixing.done()
    desk.reconciler.concluded(Action(ActionKind.STOP, "feed", "agent@feed.service", "Held"), Outcome(True))
    done = await fixing
    assert (done["agents"], done["troubles"]) == (2, [])
    assert [(one["name"], one["reason"]) for one in done["events"]] == [("sma", "Quarantined"), ("feed", "Held")]
    asked = [one for one in desk.rig.events if one.reason == "Fix"]
    assert [(one.name, one.by) for one in asked] == [("", "uid 4242")]
    assert desk.reconciler.listeners == desk.listeners


@in_a_loop
async def test_a_fix_says_what_it_could_not_look_at(desk: Desk) -> None:
    desk.reconciler.lose_sight()
    desk.reconciler.take_findings(Findings(), ())
    desk.reconciler.take_findings(None, ())
    done = await desk.ask("fix")
    assert done["troubles"] == ["the service manager cannot be asked", "processes cannot be seen"]


@in_a_loop
async def test_a_fix_names_who_is_not_well_though_nothing_more_can_be_done(desk: Desk) -> None:
    running(desk)
    assert (await desk.ask("fix"))["remaining"] == []
    desk.reconciler.take_findings(Findings(inside={"sma": (copy(7),)}, outside={"sma": (copy(8),)}), ())
    await desk.ask("fix")
    again = await desk.ask("fix")
    assert again["events"] == []
    assert [(one["name"], one["reason"]) for one in again["remaining"]] == [("sma", "DuplicateProcess")]
    assert "PID 8" in again["remaining"][0]["message"]


@in_a_loop
async def test_a_fix_is_not_for_everybody(desk: Desk) -> None:
    with pytest.raises(Denied, match="may read here but not fix"):
        await desk.ask("fix", STRANGER)


@in_a_loop
async def test_with_the_rows_come_the_answers_of_their_probes_in_this_life(desk: Desk) -> None:
    running(desk)
    assert (await desk.ask("rows", STRANGER))["probes"] == {}
    no = ProbeResult(False, "connection refused", NOW, "refused")
    desk.reconciler.take_answer("sma", "boot-1/a", ProbeRole.LIVE, no)
    said = (await desk.ask("rows", STRANGER, names=["sma"]))["probes"]["sma"]
    assert (said["failed"], said["live"]["detail"], said["ready"]) == (1, "connection refused", None)
    assert (await desk.ask("rows", STRANGER, names=["feed"]))["probes"] == {}
    assert (await desk.ask("info", STRANGER))["unasked"] == {}
    desk.reconciler.take_answer("sma", "boot-1/a", ProbeRole.LIVE, "httpx is not installed")
    assert (await desk.ask("info", STRANGER))["unasked"] == {"sma": "httpx is not installed"}
    desk.reconciler.take_state(alive("b"))
    assert (await desk.ask("rows", STRANGER))["probes"] == {}
    assert (await desk.ask("info", STRANGER))["unasked"] == {}


@in_a_loop
async def test_whether_agents_are_ready_is_answered_once_it_is_known(desk: Desk) -> None:
    running(desk)
    assert await desk.ask("ready", STRANGER, lives={"sma": "boot-1/a"}, seconds=5) == {"sma": ""}
    assert await desk.ask("ready", STRANGER, lives={"sma": "boot-1/b"}, seconds=0) == {"sma": NOT_TOLD}


@in_a_loop
async def test_who_may_act_has_everything_looked_at_and_others_the_disk(desk: Desk) -> None:
    for peer in (STRANGER, OWNER):
        await desk.ask("look", peer)
    assert desk.looks == [False, True]


@in_a_loop
async def test_who_may_act_may_have_everything_read_anew_and_learns_what_was_found(desk: Desk) -> None:
    desk.rig.install(spec(), spec("feed"), damaged={"office": "cannot read it"})
    told = await desk.ask("reload", OWNER)
    assert desk.looks == [True]
    assert told == {"found": "2 agents of 1 project; nothing has changed", "damaged": {"office": "cannot read it"}}


@in_a_loop
async def test_events_are_asked_of_the_store_as_they_were_asked_for_here(desk: Desk) -> None:
    desk.writer.kept = (Event("1", "sma", NOON, EventKind.ORDER, None, None, "stop", "holidays", "alice"),)
    said = await desk.ask("events", STRANGER, name="sma", since="2026-03-01T13:00:00+01:00", limit=1000)
    assert [(one["kind"], one["by"], one["before"]) for one in said] == [("order", "alice", None)]
    await desk.ask("events", STRANGER)
    assert desk.writer.asked == [EventQuery("sma", NOON, None, 1000), EventQuery(None, None, None, 100)]


@pytest.mark.parametrize(("peer", "most"), [(ROOT, 10_000), (OWNER, 1000), (STRANGER, 1000)])
@in_a_loop
async def test_only_root_may_ask_for_more_than_a_thousand_events(desk: Desk, peer: Peer, most: int) -> None:
    await desk.ask("events", peer, limit=most)
    with pytest.raises(UsageError, match=f"from 1 to {most}$"):
        await desk.ask("events", peer, limit=most + 1)


@in_a_loop
async def test_of_itself_the_reconciler_says_how_fresh_its_view_is_and_what_troubles_it(desk: Desk) -> None:
    said = await desk.ask("info", STRANGER)
    assert (said["version"], said["host"], said["pid"], said["agents"]) == (__version__, HOST, 99, 2)
    assert (said["view_age"], said["platform_unseen"], said["store"]) == (None, None, None)
    desk.reconciler.view_of = NOW
    desk.reconciler.lose_sight()
    desk.rig.clock.go_on(seconds(7))
    desk.writer.trouble = Trouble("no space left", NOON, lost=3)
    desk.reconciler.take_disk(replace(desk.reconciler.disk, damaged={"web": "cannot read"}))
    said = await desk.ask("info", STRANGER)
    assert (said["view_age"], said["platform_unseen"]) == (7.0, 7.0)
    assert said["store"] == {"why": "no space left", "since": NOON.isoformat(), "lost": 3}
    assert (said["damaged"], said["projects"]) == ({"web": "cannot read"}, {"trading": "1.0"})
    assert (said["platform"], said["boot"]) == ("systemd", NOW.boot)
    assert said["message"] == "the store cannot be written: full"
    assert (said["refused_beats"], said["alerts"]) == ({"too many": 2}, {"slack": {"failing": False}})
    assert said["supabase"] is None


@in_a_loop
async def test_where_nothing_is_copied_there_is_nothing_to_send_again(desk: Desk) -> None:
    with pytest.raises(SuperviseError, match="no Supabase is configured"):
        await desk.ask("replica-retry")
    with pytest.raises(Denied):
        await desk.ask("replica-retry", STRANGER)


@in_a_loop
async def test_who_watches_gets_the_rows_then_what_changes_of_the_agents_that_they_named(desk: Desk) -> None:
    running(desk)
    watching = asyncio.ensure_future(desk.ask("watch", STRANGER, names=["sma"], events=True))
    await until(lambda: hasattr(desk, "sent") and desk.sent)
    assert [one["name"] for one in desk.sent[0]["rows"]] == ["sma"]
    assert desk.sent[0]["reconciler"]["host"] == HOST
    for name in ("feed", "sma"):
        desk.reconciler.order("restart", [name], by="alice")
        desk.reconciler.take_state(alive("b", name=name, pid=9, start=after(minutes(1))))
        desk.reconciler.run_pass({name})
    await until(lambda: any("row" in one for one in desk.sent))
    watching.cancel()
    await asyncio.wait([watching])
    assert {one["event"]["name"] for one in desk.sent if "event" in one} == {"sma"}
    assert {one["row"]["name"] for one in desk.sent if "row" in one} == {"sma"}
    assert len(desk.reconciler.listeners) == 1


@in_a_loop
async def test_who_did_not_ask_for_events_gets_none_of_them(desk: Desk) -> None:
    running(desk)
    watching = asyncio.ensure_future(desk.ask("watch", STRANGER))
    await until(lambda: hasattr(desk, "sent") and desk.sent)
    desk.reconciler.order("restart", ["sma"], by="alice")
    desk.rig.install(spec())
    desk.rig.see(alive("b", pid=9))
    await until(lambda: {"forget": "feed"} in desk.sent)
    watching.cancel()
    await asyncio.wait([watching])
    assert not any("event" in one for one in desk.sent)


# --- Locks ------------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_a_lock_fixes_what_is_shown_until_a_time_in_whole_seconds(desk: Desk) -> None:
    running(desk)
    await desk.ask("lock", OWNER, **{**LOCK, "seconds": 60.7})
    shown = desk.reconciler.rows["sma"]
    assert (shown.status, shown.health, shown.reason) == (Status.WARNING, 40, Reason.LOCKED)
    assert shown.lock
    assert shown.lock.until == NOON + timedelta(seconds=60)
    assert orders(desk)[0][1:] == ("lock", "warning 40 until 2026-03-01 12:01 UTC: migration", "uid 4242")
    assert await desk.ask("unlock", OWNER, names=["sma", "feed"]) == {"locked": ["sma"], "in_table": {}}
    assert desk.reconciler.rows["sma"].status is Status.RUNNING
    assert [one[:2] for one in orders(desk)] == [("sma", "lock"), ("sma", "unlock")]


@pytest.mark.parametrize(("peer", "allowed"), [(OWNER, False), (ROOT, True)])
@in_a_loop
async def test_only_root_may_lock_for_longer_than_a_day(desk: Desk, peer: Peer, allowed: bool) -> None:
    running(desk)
    day = 24 * 3600
    await desk.ask("lock", peer, **{**LOCK, "seconds": day})
    if allowed:
        await desk.ask("lock", peer, **{**LOCK, "seconds": 30 * day})
    else:
        with pytest.raises(UsageError, match="24 h at most"):
            await desk.ask("lock", peer, **{**LOCK, "seconds": day + 1})
    lock = desk.reconciler.rows["sma"].lock
    assert lock
    assert lock.until == NOON + timedelta(days=30 if allowed else 1)


@pytest.mark.parametrize("reason", ["", "  \n"])
@in_a_loop
async def test_a_lock_without_a_reason_is_refused(desk: Desk, reason: str) -> None:
    running(desk)
    with pytest.raises(UsageError, match="needs a reason"):
        await desk.ask("lock", **{**LOCK, "reason": reason})
    assert desk.reconciler.rows["sma"].lock is None


# --- Acting -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def at_work(desk: Desk) -> Desk:
    """With a machine on which both run, from files that are there."""
    desk.rig.install(spec(), spec("feed"))
    desk.places.units.mkdir(parents=True)
    (desk.places.units / "agent@.service").touch()
    desk.machine.running |= {"agent@sma.service", "agent@feed.service"}
    return desk


@in_a_loop
async def test_a_verb_is_told_in_the_name_of_who_asked_and_then_carried_out(at_work: Desk) -> None:
    running(at_work)
    said = await at_work.ask("act", OWNER, verb="stop", names=["sma"], reason="holidays")
    assert said == [{"name": "sma", "ok": True, "text": "stopped", "code": 0, "acted": True}]
    assert orders(at_work) == [("sma", "stop", "holidays", "uid 4242")]
    assert at_work.reconciler.intents["sma"].kind is IntentKind.STOP
    assert at_work.machine.orders == ["stop agent@sma.service"]


@in_a_loop
async def test_a_hold_is_a_file_an_order_and_a_stop_and_a_release_takes_only_the_file_back(at_work: Desk) -> None:
    running(at_work)
    await at_work.ask("act", OWNER, verb="hold", names=["feed"], reason="migration")
    hold = read_holds(at_work.places)["feed"]
    assert (hold.by, hold.reason) == ("uid 4242", "migration")
    assert at_work.machine.agents_up() == {"agent@sma.service"}
    await at_work.ask("act", OWNER, verb="release", names=["feed"])
    assert read_holds(at_work.places) == {}
    assert at_work.looks == [False]
    assert [one[:2] for one in orders(at_work)] == [("feed", "hold"), ("feed", "release")]


@in_a_loop
async def test_a_restart_goes_in_batches_of_the_size_that_was_asked_for(at_work: Desk) -> None:
    running(at_work)
    said = await at_work.ask("act", OWNER, verb="restart", names=["sma", "feed"], batch=1, settle=0)
    assert [(one["name"], one["ok"]) for one in said] == [("sma", True), ("feed", True)]
    asked = [[one.name for one in change.events if one.kind is EventKind.ORDER] for change in at_work.rig.changes]
    assert [names for names in asked if names] == [["sma"], ["feed"]]
    assert at_work.machine.orders == ["restart agent@sma.service", "restart agent@feed.service"]


@in_a_loop
async def test_without_a_platform_a_verb_fails_and_is_not_told_as_done(desk: Desk) -> None:
    running(desk)
    desk.following.platform = None
    with pytest.raises(SuperviseError, match="cannot stop anything: the service manager cannot be asked now"):
        await desk.ask("act", verb="stop", names=["sma"])
    assert desk.rig.told == []
