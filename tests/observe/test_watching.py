"""Findings from look to look: matched again only where something changed, and told to others as differences."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from supervise.model import Doubt, Findings, HiddenPolicy, Process
from supervise.observe.cgroups import UnitKind
from supervise.observe.match import SEVERAL, UNSEEN, Matcher, Place
from supervise.observe.permission import why_not_end
from supervise.observe.watching import LINKS_HOLD, Watching
from supervise.observe.wire import LONGEST_WORD, MOST_WORDS, applied, difference, differing
from tests.nouns import copy, seconds, spec
from tests.observe.test_census import proc, rewrite
from tests.observe.test_scan import record

__all__ = ["proc"]
HERE = Path("/srv/trading")
SMA = spec(command=("/usr/bin/python3", "sma.py"))
ARGV = b"python3\0sma.py\0"
INSIDE = "/supervise.slice/agent@sma.service"


def start(proc: Path, pid: int, **changes: object) -> None:
    record(proc, pid, **{"argv": ARGV, "cwd": str(HERE), **changes})  # type: ignore[arg-type]


def looking(proc: Path) -> Watching:
    watching = Watching(proc)
    watching.seek([SMA])
    return watching


def outside(watching: Watching, **how: object) -> list[int]:
    found = watching.look(at=seconds(1), **how)  # type: ignore[arg-type]
    return [one.id.pid for one in found.outside.get("sma", ())]


def test_each_look_tells_of_now(proc: Path) -> None:
    watching = looking(proc)
    start(proc, 20)
    start(proc, 21, cgroup=INSIDE)
    found = watching.look(at=seconds(5))
    assert [one.id.pid for one in found.outside["sma"]] == [20]
    assert [one.id.pid for one in found.inside["sma"]] == [21]
    assert (found.at, found.complete) == (seconds(5), True)


def test_who_is_sought_later_is_found_among_those_already_known(proc: Path) -> None:
    watching = Watching(proc)
    start(proc, 20)
    assert outside(watching) == []
    watching.seek([SMA])
    assert outside(watching) == [20]


def test_what_becomes_a_copy_is_found_and_what_ceases_to_be_one_is_not(proc: Path) -> None:
    watching = looking(proc)
    start(proc, 20, argv=b"sh\0-c\0x\0")
    assert outside(watching) == []
    rewrite(proc, 20, argv=ARGV, cwd=str(HERE))
    assert outside(watching) == [20]
    rewrite(proc, 20, argv=ARGV, cwd=str(HERE), cgroup=INSIDE)
    assert outside(watching) == []


def test_what_did_not_change_is_not_matched_again(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(proc, 20)
    watching = looking(proc)
    matched: list[int] = []
    plain = Matcher.place

    def noting(self: Matcher, process: Process) -> Place:
        matched.append(process.id.pid)
        return plain(self, process)

    monkeypatch.setattr(Matcher, "place", noting)
    for _ in range(LINKS_HOLD):
        assert outside(watching) == [20]
    assert matched.count(20) == 1
    assert outside(watching) == [20]
    assert matched.count(20) == 2  # links may lead elsewhere by now


# --- Told to others ---------------------------------------------------------------------------------------------------

SEEN = replace(copy(), executable=Path("/usr/bin/python3"), argv=("a", "b\udcff"))
ONE = Findings(
    outside={"sma": (SEEN,)},
    inside={"sma": (copy(1),), "feed": (copy(2), copy(3))},
    foreground={"feed": (copy(4),)},
    doubts=(Doubt(copy(5, directory=None), ("sma", "feed"), UNSEEN),),
    at=seconds(7),
)
CASES = [
    Findings(),
    ONE,
    replace(ONE, outside={}, complete=False),
    replace(ONE, inside={"feed": (copy(2),)}, doubts=(Doubt(copy(5), ("sma",), SEVERAL),)),
    replace(ONE, foreground={}, doubts=(), at=None),
]


@pytest.mark.parametrize("after", CASES)
@pytest.mark.parametrize("before", CASES)
def test_what_is_told_makes_the_one_of_the_other(before: Findings, after: Findings) -> None:
    assert applied(before, json.loads(json.dumps(difference(before, after)))) == after


def test_of_what_is_the_same_nothing_is_told() -> None:
    later = replace(ONE, at=seconds(8))
    assert difference(ONE, later) == {"at": 8.0, "complete": True}
    assert differing(ONE, later) == frozenset()


def test_whom_a_change_concerns() -> None:
    assert differing(ONE, replace(ONE, inside={"feed": (copy(2),)})) == {"sma", "feed"}
    assert differing(ONE, replace(ONE, outside={})) == {"sma"}
    assert differing(ONE, replace(ONE, foreground={})) == {"feed"}


def test_of_a_long_command_line_only_the_beginning_is_told() -> None:
    long = copy(argv=("x" * 10_000,) * 1000)
    told = difference(Findings(), Findings(outside={"sma": (long,)}))["outside"]["sma"][0]["argv"]
    assert (len(told), len(told[0])) == (MOST_WORDS, LONGEST_WORD)


# --- Whom one may end -------------------------------------------------------------------------------------------------

ENDS = spec(hidden=HiddenPolicy.STOP)
MINE = copy(uid=1000)
FITS = Place(agents=("sma",))


@pytest.mark.parametrize(
    ("agent", "place", "uid", "why"),
    [
        (ENDS, FITS, 1000, None),
        (ENDS, Place((UnitKind.SERVICE, "sma")), None, None),
        (ENDS, FITS, 1001, "another user (trader)"),
        (ENDS, FITS, None, "another user"),
        (spec(), FITS, 1000, "does not say hidden: stop"),
        (spec(), Place((UnitKind.SERVICE, "sma")), 1000, "does not say hidden: stop"),
        (ENDS, Place(), 1000, "not certain"),
        (ENDS, Place(agents=("feed",)), 1000, "not certain"),
        (ENDS, Place(agents=("sma", "feed"), why=SEVERAL), 1000, "not certain"),
        (ENDS, Place(agents=("sma",), why=UNSEEN), 1000, "not certain"),
        (ENDS, Place((UnitKind.SERVICE, "feed")), 1000, "not certain"),
        (ENDS, Place((UnitKind.RUN, "sma")), 1000, "not certain"),
    ],
)
def test_only_a_certain_copy_of_the_agents_own_user_may_be_ended(
    agent: object, place: Place, uid: int | None, why: str | None
) -> None:
    found = why_not_end(agent, MINE, place, uid=uid)  # type: ignore[arg-type]
    assert found is None if why is None else found is not None and why in found
