"""Changes that wait come to the same as if each had been written at once; what is too much is dropped and counted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from supervise.stores import Change, EventQuery, Memory
from supervise.stores.backlog import LIMIT, Backlog, Newest
from tests.nouns import NOON
from tests.stores.nouns import event, host_status, hosts, intent, opened, row, sample, setting

NAMES = st.sampled_from("abc")
number = count()


@st.composite
def changes(draw: st.DrawFn) -> Change:
    once = next(number)
    return Change(
        rows={name: row(name, pid=once, title=f"{name}{once}") for name in draw(st.sets(NAMES))},
        events=tuple(event(f"{once}{name}", name) for name in draw(st.sets(NAMES))),
        samples=tuple(sample(name, once) for name in draw(st.sets(NAMES))),
        intents=tuple(intent(name) for name in draw(st.sets(NAMES))),
        forget=tuple(draw(st.sets(NAMES))),
        renamed=draw(st.one_of(st.just({}), st.dictionaries(NAMES, NAMES, max_size=2))),
        notes=draw(st.dictionaries(NAMES, st.none() | st.just(str(once)))),
        host=draw(st.none() | st.just(host_status(str(once)))),
        settings=tuple(setting(name, draw(st.none() | st.just(str(once)))) for name in draw(st.sets(NAMES))),
    )


def written(each: Sequence[Change]) -> tuple[object, ...]:
    with TemporaryDirectory() as folder:
        store = opened(Path(folder))
        for change in each:
            store.commit(change, now=NOON)
        memory = store.load()
        histories = [
            store.history(name, NOON.min.replace(tzinfo=NOON.tzinfo), NOON.replace(year=9000)) for name in "abc"
        ]
        found = (store.events(EventQuery(limit=1000)), [[one.at for one in each] for each in histories])
        store.close()
        said = [one["message"] for one in hosts(Path(folder))]
    return ((memory, said), *found)


@settings(max_examples=40, deadline=None)
@given(st.lists(changes(), max_size=6))
def test_put_together_they_write_the_same(each: list[Change]) -> None:
    assert written(Backlog(each).changes()) == written(each)


@settings(max_examples=40, deadline=None)
@given(st.lists(changes(), max_size=6))
def test_a_file_that_is_written_anew_has_all_that_is_no_history_of_the_lost_one(each: list[Change]) -> None:
    newest = Newest(Memory())
    for change in each:
        newest.add(change)
    assert written([newest.change()])[0] == written(each)[0]


def test_of_rows_only_the_newest_is_kept() -> None:
    backlog = Backlog(Change(rows={"sma": row(pid=pid)}) for pid in range(1000))
    (kept,) = backlog.changes()
    assert kept.rows == {"sma": row(pid=999)}


def test_the_oldest_events_go_first_and_are_counted() -> None:
    backlog = Backlog()
    lost = [backlog.add(Change(events=tuple(event(f"{turn}-{one}") for one in range(LIMIT // 4)))) for turn in range(4)]
    lost.append(backlog.add(Change(renamed={"ema": "sma"}, events=(event("last"), event("very last")))))
    assert lost == [0, 0, 0, 0, 2]
    found = [one.id for one in backlog.events()]
    assert len(found) == LIMIT
    assert (found[0], found[-1]) == ("0-2", "very last")


def test_samples_do_not_crowd_events_out() -> None:
    backlog = Backlog([Change(events=(event(),))])
    assert backlog.add(Change(samples=tuple(sample(minutes=one) for one in range(LIMIT + 5)))) == 5
    assert [one.id for one in backlog.events()] == ["e1"]
    assert len(list(backlog.samples())) == LIMIT
