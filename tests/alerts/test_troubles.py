"""Who is told what, and when: nobody too early, nobody twice, everybody of the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervise.alerts.messages import Message, MessageKind
from supervise.alerts.notes import from_note, to_note
from supervise.alerts.troubles import GAP, AlertState, advance
from supervise.model import AgentSpec, AlertKind, AlertTarget, Instant, Reason, Status, StatusRow
from tests.nouns import NOON, spec

SECOND = timedelta(seconds=1)
R, W, E = Status.RUNNING, Status.WARNING, Status.ERROR
STOPPED, STARTING, STOPPING, UNKNOWN = Status.STOPPED, Status.STARTING, Status.STOPPING, Status.UNKNOWN
WORDS = {
    "r": R,
    "w": W,
    "e": E,
    "s": STOPPED,
    "+": STARTING,
    "-": STOPPING,
    "?": UNKNOWN,
}


def target(id: str = "trading/a", **changes: Any) -> AlertTarget:
    return AlertTarget(id, AlertKind.WEBHOOK, url="https://example.org/hook", **changes)


def row(name: str, status: Status, **changes: Any) -> StatusRow:
    plain: dict[str, Any] = {
        "name": name,
        "title": name.title(),
        "project": "trading",
        "unit": f"agent@{name}.service",
        "platform": "systemd",
        "phase": None,
        "status": status,
        "reason": Reason.CRASHED if status is E else Reason.AS_WANTED,
        "message": f"{name} is {status}",
        "since": NOON,
        "observed_status": status,
        "observed_reason": Reason.AS_WANTED,
    }
    return StatusRow(**{**plain, **changes})


def at(seconds: float, boot: str = "boot-1") -> Instant:
    moment = timedelta(seconds=seconds)
    return Instant(NOON + moment, moment, moment, boot)


class Story:
    """Alerts followed through time, as a daemon would: every pass its memory goes through the note and back."""

    def __init__(self, *targets: AlertTarget, agents: Iterable[AgentSpec] = (spec("sma"),), project: str = "trading"):
        self.targets: Mapping[str, Sequence[AlertTarget]] = {project: targets or (target(),)}
        self.specs = {one.name: one for one in agents}
        self.state = AlertState()
        self.told: list[tuple[float, Message]] = []
        self.wake_at: timedelta | None = None

    def look(self, seconds: float, boot: str = "boot-1", **statuses: Status) -> tuple[Message, ...]:
        return self.see(at(seconds, boot), {name: row(name, status) for name, status in statuses.items()})

    def see(self, now: Instant, rows: Mapping[str, StatusRow]) -> tuple[Message, ...]:
        self.state, messages, self.wake_at = advance(
            from_note(to_note(self.state)).state, rows, self.targets, now=now, specs=self.specs, host="alpha"
        )
        self.told += [(now.monotonic.total_seconds(), one) for one in messages]
        return messages

    def kinds(self) -> list[tuple[float, str]]:
        return [(when, one.kind.value) for when, one in self.told]


def names(message: Message) -> list[str]:
    return [one.name for one in message.agents]


# --- One agent, second by second --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ("e" * 60, [(30, "firing")]),
        ("e" * 30 + "r", []),
        ("r" * 9 + "e" * 40, [(39, "firing")]),
        ("e" * 40 + "r" * 40, [(30, "firing"), (70, "resolved")]),
        ("e" * 40 + "s" * 40, [(30, "firing"), (70, "resolved")]),
        ("e" * 40 + "w" * 40, [(30, "firing"), (70, "resolved")]),
        ("w" * 90, []),
        ("?" * 90, []),
        ("s" * 30 + "+" * 60 + "r" * 9, []),
        # Crash loops: the first has hardly time to be bad, the second hardly to be well.
        ("e+rrrrrrrrrrrrrr" * 6, [(32, "firing")]),
        ("e" + "+" * 60 + "e" + "+" * 60, [(61, "firing")]),
        ("eer" * 30, [(30, "firing")]),
        # One crash is over after it was well for as long as the hold-down, so the next one begins anew.
        (("e" + "r" * 31) * 4, []),
        (("e" + "r" * 28) * 3, [(58, "firing")]),
        # Starting, stopping and not being seen is not being well.
        ("e" * 31 + "r" * 20 + "+" * 20 + "r" * 31, [(30, "firing"), (101, "resolved")]),
        ("e" * 31 + "?" * 90, [(30, "firing")]),
        ("e" * 31 + "-" * 90, [(30, "firing")]),
        ("e" * 31 + "r" * 29 + "e" * 90, [(30, "firing")]),
        ("e" * 31 + "r" * 31 + "e" * 31, [(30, "firing"), (61, "resolved"), (92, "firing")]),
    ],
)
def test_errors_are_told_when_they_last(seen: str, told: list[tuple[float, str]]) -> None:
    story = Story()
    for second, word in enumerate(seen):
        story.look(second, sma=WORDS[word])
    assert story.kinds() == told


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ("w" * 40, [(30, "firing")]),
        ("?" * 40, [(30, "firing")]),
        ("w" * 15 + "e" * 90, [(30, "firing")]),
        ("e" * 40 + "w" * 60 + "e" * 60, [(30, "firing")]),
        ("w" * 40 + "e" * 40, [(30, "firing"), (70, "firing")]),
        ("w" * 40 + "e" * 29 + "w" * 40, [(30, "firing")]),
        ("w" * 40 + "ew" * 40, [(30, "firing"), (70, "firing")]),
        ("w" * 40 + "e" * 5 + "w" * 60 + "e" * 5 + "w" * 60, [(30, "firing")]),
        ("w" * 40 + "e" * 40 + "w" * 60 + "e" * 60 + "r" * 31, [(30, "firing"), (70, "firing"), (230, "resolved")]),
    ],
)
def test_who_hears_of_warnings_hears_again_when_it_gets_worse(seen: str, told: list[tuple[float, str]]) -> None:
    story = Story(target(min_status=W))
    for second, word in enumerate(seen):
        story.look(second, sma=WORDS[word])
    assert story.kinds() == told


def test_without_a_hold_down_an_error_is_told_at_once_and_over_after_ten_seconds() -> None:
    story = Story(target(hold_down=timedelta()))
    for second, word in enumerate("rre" + "r" * 5 + "e" + "r" * 20):
        story.look(second, sma=WORDS[word])
    assert story.kinds() == [(2, "firing"), (19, "resolved")]


def test_it_is_told_again_while_it_lasts_and_not_while_it_is_just_well() -> None:
    story = Story(target(repeat=60 * SECOND))
    for second, word in enumerate("e" * 80 + "r" * 20 + "e" * 60):
        story.look(second, sma=WORDS[word])
    assert story.kinds() == [(30, "firing"), (100, "firing")]


def test_being_told_again_of_a_warning_makes_the_error_before_it_no_news() -> None:
    story = Story(target(repeat=60 * SECOND, min_status=W))
    for second, word in enumerate("e" * 40 + "w" * 60 + "e" * 60):
        story.look(second, sma=WORDS[word])
    assert story.kinds() == [(30, "firing"), (90, "firing"), (150, "firing")]


def test_the_end_is_not_told_to_who_does_not_want_it() -> None:
    story = Story(target(resolved=False))
    for second, word in enumerate("e" * 31 + "r" * 31 + "e" * 31):
        story.look(second, sma=WORDS[word])
    assert story.kinds() == [(30, "firing"), (92, "firing")]


def test_another_reason_is_no_other_trouble() -> None:
    story = Story()
    for second in range(90):
        reason = Reason.CRASHED if second < 45 else Reason.QUARANTINED
        story.see(at(second), {"sma": row("sma", E, reason=reason)})
    assert story.kinds() == [(30, "firing")]


def test_a_lock_silences_since_the_shown_status_counts() -> None:
    story = Story()
    for second in range(90):
        story.see(at(second), {"sma": row("sma", R, observed_status=E, observed_reason=Reason.CRASHED)})
    assert story.kinds() == []


# --- What a message says ----------------------------------------------------------------------------------------------


def test_a_message_says_what_the_row_says_and_since_when() -> None:
    story = Story(agents=(spec("sma", url="http://localhost:8000"),))
    story.see(at(0), {"sma": row("sma", E, since=NOON - 5 * SECOND, health=20)})
    (firing,) = story.see(at(30), {"sma": row("sma", E, since=NOON + 29 * SECOND, health=10, message="exited with 1")})
    (agent,) = firing.agents
    assert (firing.host, firing.target, firing.at, firing.total) == ("alpha", "trading/a", NOON + 30 * SECOND, 1)
    assert (agent.title, agent.status, agent.reason, agent.message) == ("Sma", E, "Crashed", "exited with 1")
    assert (agent.since, agent.health, agent.url) == (NOON - 5 * SECOND, 10, "http://localhost:8000")


def test_each_message_has_an_id_of_its_own() -> None:
    story = Story(target(repeat=11 * SECOND), target("trading/b", repeat=11 * SECOND))
    for second in range(100):
        story.look(second, sma=E)
    assert len({message.id for _, message in story.told}) == len(story.told) == 14


# --- Several at once --------------------------------------------------------------------------------------------------


def test_what_is_due_together_goes_together_the_worst_first() -> None:
    story = Story(target(min_status=W), agents=map(spec, ("a", "b", "c")))
    story.look(0, a=W, b=E, c=E)
    (firing,) = story.look(30, a=W, b=E, c=E)
    assert names(firing) == ["b", "c", "a"]


def test_what_comes_due_soon_after_a_message_waits_and_goes_together() -> None:
    story = Story(agents=map(spec, ("a", "b", "c", "d")))
    for second in range(60):
        story.look(second, a=E, b=E if second >= 1 else R, c=E if second >= 9 else R, d=E if second >= 15 else R)
    assert [(when, names(message)) for when, message in story.told] == [(30, ["a"]), (40, ["b", "c"]), (50, ["d"])]


def test_a_trouble_that_ends_while_it_waits_is_not_told() -> None:
    story = Story(agents=map(spec, ("a", "b")))
    for second in range(60):
        story.look(second, a=E, b=E if 3 <= second < 37 else R)
    assert [(when, names(message)) for when, message in story.told] == [(30, ["a"])]


def test_ends_go_together_too() -> None:
    story = Story(agents=map(spec, ("a", "b")))
    for second in range(100):
        story.look(second, a=E if second < 40 else R, b=E if second < 45 else R)
    assert [(when, message.kind.value, names(message)) for when, message in story.told] == [
        (30, "firing", ["a", "b"]),
        (70, "resolved", ["a"]),
        (80, "resolved", ["b"]),
    ]


def test_of_a_mass_the_first_are_named_and_all_are_counted() -> None:
    many = [f"a{number:03}" for number in range(50)]
    story = Story(agents=map(spec, many))
    rows = {name: row(name, E, reason=Reason.SILENT if name < "a010" else Reason.CRASHED) for name in many}
    story.see(at(0), rows)
    (firing,) = story.see(at(30), rows)
    assert names(firing) == many[:20]
    assert (firing.total, firing.reasons) == (50, {"Crashed": 40, "Silent": 10})


# --- Who hears of whom ------------------------------------------------------------------------------------------------

FLEET = (
    spec("scanner.1", base="scanner", tags=("feed",)),
    spec("scanner.2", base="scanner", tags=("feed", "slow")),
    spec("sma", tags=("slow",)),
    spec("other", project="web", tags=("feed",)),
)


@pytest.mark.parametrize(
    ("wanted", "heard"),
    [
        ({}, ["scanner.1", "scanner.2", "sma"]),
        ({"agents": ("scanner",)}, ["scanner.1", "scanner.2"]),
        ({"agents": ("scanner.2", "sma")}, ["scanner.2", "sma"]),
        ({"tags": ("slow",)}, ["scanner.2", "sma"]),
        ({"tags": ("slow", "feed")}, ["scanner.1", "scanner.2", "sma"]),
        ({"agents": ("scanner",), "tags": ("slow",)}, ["scanner.2"]),
        ({"agents": ("other",)}, []),
    ],
    ids=str,
)
def test_a_target_hears_of_its_projects_agents_that_it_asks_for(wanted: dict[str, Any], heard: list[str]) -> None:
    story = Story(target(hold_down=timedelta(), **wanted), agents=FLEET)
    messages = story.see(at(0), {one.name: row(one.name, E) for one in FLEET})
    assert [name for message in messages for name in names(message)] == heard


def test_targets_do_not_wait_for_each_other() -> None:
    story = Story(target(), target("trading/b", hold_down=3 * SECOND))
    for second in range(40):
        story.look(second, sma=E)
    assert [(when, message.target) for when, message in story.told] == [(3, "trading/b"), (30, "trading/a")]


# --- What goes, what stays --------------------------------------------------------------------------------------------


def test_a_removed_agent_ends_silently_and_begins_anew_when_it_is_back() -> None:
    story = Story()
    for second in range(100):
        story.specs = {} if second == 50 else {"sma": spec("sma")}
        story.look(second, sma=E)
    assert story.kinds() == [(30, "firing"), (81, "firing")]


def test_a_removed_target_ends_silently() -> None:
    story = Story()
    story.look(0, sma=E)
    story.look(30, sma=E)
    story.targets = {}
    story.look(31, sma=R)
    assert (story.kinds(), story.state.targets, story.wake_at) == ([(30, "firing")], {}, None)


def test_an_agent_that_is_not_looked_at_yet_keeps_what_was_told() -> None:
    story = Story()
    for second in range(121):
        story.look(second, **({} if 40 <= second < 90 else {"sma": E if second < 90 else R}))
    assert story.kinds() == [(30, "firing"), (120, "resolved")]


def test_an_agent_that_was_well_again_and_is_not_looked_at_any_more_is_not_told_of() -> None:
    story = Story()
    for second in range(100):
        story.look(second, **({"sma": E if second < 40 else R} if second < 60 else {}))
    assert (story.kinds(), story.wake_at) == ([(30, "firing")], None)


@pytest.mark.parametrize("after", [E, R])
def test_after_a_boot_what_was_told_stays_told_and_ages_start_anew(after: Status) -> None:
    story = Story()
    for second in range(1000, 1040):
        story.look(second, sma=E)
    for second in range(5, 90):
        story.look(second, "boot-2", sma=after)
    assert story.kinds() == [(1030, "firing"), *([(35, "resolved")] if after is R else [])]


def test_after_a_boot_the_time_to_be_told_again_starts_anew() -> None:
    story = Story(target(repeat=60 * SECOND))
    for second in range(1000, 1080):
        story.look(second, sma=E)
    for second in range(5, 100):
        story.look(second, "boot-2", sma=E)
    assert story.kinds() == [(1030, "firing"), (65, "firing")]


def test_after_a_boot_an_untold_trouble_must_last_again() -> None:
    story = Story()
    story.look(1000, sma=E)
    for second in range(5, 90):
        story.look(second, "boot-2", sma=E)
    assert story.kinds() == [(35, "firing")]


@pytest.mark.parametrize("note", [None, "", "{", "[]", '{"state": 1}', '{"state": {"boot": "x", "targets": {"a": 1}}}'])
def test_a_memory_that_cannot_be_read_is_an_empty_one(note: str | None) -> None:
    assert from_note(note).state == AlertState()


def test_messages_that_did_not_arrive_are_kept_beside_it() -> None:
    story = Story(agents=(spec("sma", url="http://x"),))
    story.look(0, sma=E)
    messages = story.look(30, sma=E)
    kept = from_note(to_note(story.state, messages))
    assert (kept.state, kept.unsent) == (story.state, messages)


# --- When to ask again ------------------------------------------------------------------------------------------------


def test_it_says_when_to_ask_again() -> None:
    story = Story(target(repeat=100 * SECOND))

    def wake(seconds: float, status: Status) -> float | None:
        story.look(seconds, sma=status)
        return story.wake_at.total_seconds() if story.wake_at is not None else None

    assert wake(0, R) is None
    assert wake(1, E) == 31
    assert wake(5, R) is None
    assert wake(6, E) == 31
    assert wake(31, E) == 131
    assert wake(40, R) == 70
    assert wake(69, STARTING) is None
    assert wake(70, R) == 100
    assert wake(100, R) is None
    assert story.kinds() == [(31, "firing"), (100, "resolved")]


# --- Whatever happens -------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 1, 4, 9, 10, 11, 29, 30, 31, 100]),
        st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(Status), min_size=1),
        st.sampled_from(["same", "same", "same", "same", "boot"]),
    ),
    min_size=1,
    max_size=40,
)
TARGETS = st.builds(
    target,
    hold_down=st.sampled_from([timedelta(), 3 * SECOND, 30 * SECOND]),
    min_status=st.sampled_from([W, E]),
    resolved=st.booleans(),
)
BAD = {W: {W, E, UNKNOWN}, E: {E}}


@settings(max_examples=300)
@given(TARGETS, STEPS)
def test_nobody_is_told_too_early_or_twice_and_every_end_has_its_beginning(
    wanted: AlertTarget, steps: Sequence[tuple[float, Mapping[str, Status], str]]
) -> None:
    story = Story(wanted, agents=map(spec, ("a", "b", "c")))
    statuses = dict.fromkeys(("a", "b", "c"), R)
    clock, boot = 0.0, 0
    told_of: dict[str, list[Status]] = {}
    bad_since: dict[str, float] = {}
    last: float | None = None
    for pause, changes, what in steps:
        if what == "boot":
            clock, boot, last, bad_since = 0.0, boot + 1, None, dict.fromkeys(bad_since, 0.0)
        clock += pause
        statuses |= changes
        for name, status in statuses.items():
            if status in BAD[wanted.min_status]:
                bad_since.setdefault(name, clock)
        for message in story.look(clock, f"boot-{boot}", **statuses):
            assert last in (None, clock) or clock - last >= GAP.total_seconds()
            last = clock
            assert len(set(names(message))) == message.total > 0
            for agent in message.agents:
                assert agent.status is statuses[agent.name]
                if message.kind is MessageKind.FIRING:
                    assert agent.status in BAD[wanted.min_status]
                    assert clock - bad_since[agent.name] >= wanted.hold_down.total_seconds()
                    told = told_of.setdefault(agent.name, [])
                    assert not told or not wanted.resolved or (agent.status is E and E not in told)
                    told.append(agent.status)
                else:
                    assert wanted.resolved
                    assert agent.status not in BAD[wanted.min_status]
                    del told_of[agent.name]
                    del bad_since[agent.name]


@given(TARGETS, STEPS, st.floats(0, 1))
def test_before_it_wants_to_be_asked_again_it_has_nothing_to_say(
    wanted: AlertTarget, steps: Sequence[tuple[float, Mapping[str, Status], str]], part: float
) -> None:
    story = Story(replace(wanted, repeat=40 * SECOND), agents=map(spec, ("a", "b", "c")))
    statuses = dict.fromkeys(("a", "b", "c"), R)
    clock = 0.0
    for pause, changes, _ in steps:
        statuses |= changes
        clock += pause
        story.look(clock, **statuses)
        if story.wake_at is None:
            continue
        wake = story.wake_at.total_seconds()
        assert wake > clock
        early = clock + (wake - clock) * part * 0.99
        assert story.look(early, **statuses) == ()
        assert story.look(wake, **statuses) != ()
        clock = wake
