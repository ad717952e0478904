"""What must be so when all is over: nobody is lost, every fault is in the timeline, and the timeline is whole."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chaos.board import question
from tests.chaos.history import Act, History
from tests.chaos.limits import DRIFT, EVENT, HIDDEN, ROW, seconds
from tests.chaos.oracle import Oracle

if TYPE_CHECKING:
    from tests.chaos.run import Run

Event = Mapping[str, Any]
CHANGES = ("status", "death")
MOST = 10_000
TRACELESS = {"copy": HIDDEN, "copy_of_stranger": HIDDEN, "edit": DRIFT, "hold": ROW}
"""Faults of which nothing, or only the order, is left once they are undone: who was away cannot know. And how long it
takes to see them."""
EARLIER = 1.0
"""So many seconds before a fault its event may be dated: the clocks are read one after the other."""


def check(run: Run, path: Path, *, since: float) -> None:
    """Everything that can only be seen at the end."""
    now = time.monotonic()
    for name, why in run.not_well().items():
        run.oracle.find("lost", name, now, f"{run.quiet:.0f} s after the last fault it does not run: {why}")
    for begin, end in run.away():
        run.oracle.find("away", "", begin, f"nobody answered for {end - begin:.1f} s")
    if run.board.info.get("store"):
        run.oracle.find("store", "", now, f"the store is in trouble still: {run.board.info['store']}")
    for name, history in run.histories.items():
        told = question(path, "events", name=name, limit=MOST, since=datetime.fromtimestamp(since, UTC).isoformat())
        deafened = [act.end or act.begin for act in run.host if act.deafens]
        check_events(run.oracle, history, told, excused=excused(run.host), deafened=deafened, away=[*run.board.away])


def check_events(
    oracle: Oracle,
    history: History,
    told: Sequence[Event],
    *,
    excused: Sequence[tuple[float, float]] = (),
    deafened: Sequence[float] = (),
    away: Sequence[tuple[float, float | None]] = (),
) -> None:
    """That each fault has left its event, and that every change follows from the one before.

    `excused`: when events may be lost. `deafened`: the moments since when silence counts anew. `away`: when nobody
    answered.
    """
    name = history.member.name
    owed = [act for act in history.acts if act.leaves and not act.void and not act.uncertain]
    for act in owed:
        hangs = act.hang or _hung(act, history)
        if not (
            _left(act, told, deafened if hangs else ())
            or _within(excused, act.begin)
            or _unseen(act, away, history.acts)
        ):
            near = [_words(one) for one in told if abs(_moment(one["at"]) - act.begin) < seconds(EVENT)]
            text = f"{act.fault} #{act.step} is not in the timeline, which has: {'; '.join(near) or 'nothing'}"
            oracle.find("no event", name, act.begin, text)
    for before, after in pairwise(one for one in told if one["kind"] in CHANGES):
        if after["before"] != before["after"] and not _within(excused, _moment(after["at"])):
            oracle.find("broken timeline", name, _moment(after["at"]), f"{_words(before)}, and then {_words(after)}")
    twice = [event for event, count in Counter(one["id"] for one in told).items() if count > 1]
    for event in twice:
        oracle.find("broken timeline", name, time.monotonic(), f"event {event} is there twice")


def excused(host: Sequence[Act]) -> list[tuple[float, float]]:
    """When events may be lost: what could not be written went with the reconciler that was killed on a full disk."""
    full = [(act.begin, act.over or act.begin) for act in host if act.fault == "full_disk"]
    kills = [act.begin for act in host if act.fault == "kill_reconciler"]
    return [(begin - 1, kill + 1) for begin, end in full for kill in kills if begin <= kill <= end + 12]


def _left(act: Act, told: Sequence[Event], deafened: Sequence[float]) -> bool:
    begin, end = act.begin - EARLIER, (act.end or act.begin) + seconds(EVENT)
    for moment in sorted(deafened):
        if begin <= moment <= end:
            end = moment + seconds(EVENT)
    return any(begin <= _moment(one["at"]) <= end and _tells_of(act, one) for one in told)


def _tells_of(act: Act, event: Event) -> bool:
    """Its reason or kind does; or that it starts though it ran, so that it must have ended."""
    began_anew = event["before"] in ("running", "warning") and event["after"] == "starting"
    return event["reason"] in act.leaves or event["kind"] in act.leaves or (act.ends and began_anew)


def _unseen(act: Act, away: Sequence[tuple[float, float | None]], acts: Sequence[Act]) -> bool:
    """Whether it has left no trace, and nobody was there for long enough at a stretch while it lasted; or it came when
    nobody was there in place of another, so that the status is the same as before."""
    if act.fault not in TRACELESS or act.over is None:
        return False
    late = seconds(TRACELESS[act.fault])
    absence = next((one for one in away if one[0] <= act.begin <= (one[1] or act.over)), None)
    overs = [one.over for one in acts if one.fault in TRACELESS and one is not act and one.over is not None]
    if absence and any(absence[0] - late <= over <= act.begin for over in overs):
        return True
    stretches = [act.begin, *(moment for span in away for moment in span if moment is not None), act.over]
    inside = sorted(min(max(moment, act.begin), act.over) for moment in stretches)
    there = [
        end - begin
        for begin, end in pairwise(inside)
        if not any(gone <= begin and (back is None or back >= end) for gone, back in away)
    ]
    return max(there, default=0.0) < late


def _hung(act: Act, history: History) -> bool:
    """Whether it was done to a life that hung already, which obeys nobody until silence ends it."""
    since = max((life.end for life in history.lives if life.end <= act.begin), default=0.0)
    return any(one.hang and not one.void and since <= one.begin <= act.begin for one in history.acts)


def _words(event: Event) -> str:
    return f"{event['before']} → {event['after']} ({event['reason']})"


def _within(spans: Sequence[tuple[float, float]], moment: float) -> bool:
    return any(begin <= moment <= end for begin, end in spans)


def _moment(at: str) -> float:
    """On the monotonic clock."""
    return datetime.fromisoformat(at).timestamp() - time.time() + time.monotonic()
