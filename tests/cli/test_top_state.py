"""What keys make of the screen, and what they have done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from supervise.cli.top import SORTS
from supervise.cli.top_state import (
    LONGEST_INPUT,
    Order,
    Pane,
    Prompt,
    Quit,
    Sort,
    State,
    Verb,
    Wish,
    pressed,
    settled,
    visible,
)
from supervise.model import Reason, Source, Status, StatusRow
from tests.nouns import NOON, minutes, row

ROWS = [row(name) for name in ("alpha", "beta", "delta", "gamma")]
AT_BETA = State(selected="beta", page=2)


def after(*keys: str, state: State = AT_BETA, rows: list[StatusRow] = ROWS) -> tuple[State, list[Wish]]:
    """The state after these keys, and all that they wished for."""
    wishes = []
    for key in keys:
        state, wish = pressed(state, key, visible(rows, state))
        wishes += [wish] if wish else []
    return state, wishes


# --- Choosing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "selected"),
    [
        (["down"], "delta"),
        (["j", "j", "j", "j"], "gamma"),
        (["up", "up"], "alpha"),
        (["k"], "alpha"),
        (["pagedown"], "gamma"),
        (["end", "pageup"], "beta"),
        (["G", "g"], "alpha"),
        (["home"], "alpha"),
        (["x", "\x00", "paste:G"], "beta"),
    ],
)
def test_keys_move_among_the_rows_and_stop_at_their_ends(keys: list[str], selected: str) -> None:
    assert after(*keys)[0].selected == selected


def test_nobody_is_chosen_where_there_is_nobody() -> None:
    state, wishes = after("down", "s", "l", "r", state=State(), rows=[])
    assert (state, wishes) == (State(), [])


@pytest.mark.parametrize(
    ("left", "selected"),
    [(["alpha", "beta"], "beta"), (["alpha", "delta", "gamma"], "delta"), (["alpha"], "alpha"), ([], "beta")],
)
def test_who_is_chosen_stays_so_and_a_neighbour_is_when_it_is_gone(left: list[str], selected: str) -> None:
    rows = [row(name) for name in left]
    assert settled(AT_BETA, rows, [one.name for one in ROWS]).selected == selected


def test_the_first_is_chosen_at_first() -> None:
    assert settled(State(), ROWS, []).selected == "alpha"


# --- Orders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "verb"), [("s", Verb.START), ("u", Verb.RELEASE)])
def test_what_takes_nothing_away_is_done_at_once(key: str, verb: Verb) -> None:
    assert after(key)[1] == [Order(verb, "beta")]


@pytest.mark.parametrize(("key", "verb"), [("t", Verb.STOP), ("r", Verb.RESTART)])
def test_a_stop_and_a_restart_need_a_yes(key: str, verb: Verb) -> None:
    assert after(key)[1] == []
    assert after(key, "y")[1] == after(key, "Y")[1] == [Order(verb, "beta")]
    for no in ("n", "esc", "enter", key, "paste:y"):
        assert after(key, no) == (AT_BETA, [])


def test_a_yes_means_the_agent_that_was_asked_about() -> None:
    asked, _ = after("t")
    assert after("y", state=replace(asked, selected="gamma"))[1] == [Order(Verb.STOP, "beta")]


def test_a_hold_asks_for_its_reason() -> None:
    assert after("h", *"no  go", "backspace", "!", "enter")[1] == [Order(Verb.HOLD, "beta", "no  g!")]
    assert after("h", "a", "clear", "paste:the exchange\nsleeps", "enter")[1] == [
        Order(Verb.HOLD, "beta", "the exchange␊sleeps")
    ]


def test_nothing_is_held_without_a_reason_or_after_all() -> None:
    state, wishes = after("h", " ", "enter")
    assert (wishes, state.prompt) == ([], None)
    assert state.notice.startswith("not held: say why")
    assert after("h", "x", "esc") == (AT_BETA, [])


def test_while_a_reason_is_typed_no_letter_is_an_order() -> None:
    state, wishes = after("h", *"start q /")
    assert (wishes, state.prompt) == ([], Prompt("start q /", Order(Verb.HOLD, "beta")))


def test_a_reason_has_an_end() -> None:
    state, _ = after("h", f"paste:{'x' * 10_000}")
    assert state.prompt
    assert len(state.prompt.text) == LONGEST_INPUT


# --- Filter and order -------------------------------------------------------------------------------------------------


def test_a_filter_works_while_it_is_typed_and_escape_ends_it() -> None:
    state, _ = after("/", "l", "t")
    assert [one.name for one in visible(ROWS, state)] == ["delta"]
    kept, _ = after("enter", state=state)
    assert (kept.filter, kept.prompt) == ("lt", None)
    assert after("/", "esc", state=kept)[0].filter == ""
    assert after("esc", state=kept)[0].filter == ""


@pytest.mark.parametrize("words", ["SMA", "slow sma", "bot", "held", "stopp", "trading", "by ada", "sma_slow held"])
def test_every_word_must_stand_somewhere_in_the_row(words: str) -> None:
    held = row("sma_slow", title="Slow Bot", status=Status.STOPPED, reason=Reason.HELD, message="Held by ada.")
    assert visible([held], State(filter=words)) == [held]
    assert visible([held], State(filter=f"{words} nowhere")) == []


def test_bad_ones_come_first() -> None:
    rows = [row("a"), row("b", status=Status.STOPPED), row("c", status=Status.ERROR), row("d", status=Status.WARNING)]
    assert [one.name for one in visible(rows, State())] == ["c", "d", "b", "a"]


@pytest.mark.parametrize(
    ("sort", "field", "values", "ordered"),
    [
        (Sort.HEALTH, "health", (90, 10, 50), "bca"),
        (Sort.CPU, "cpu", (0.1, None, 0.5), "cab"),
        (Sort.MEMORY, "memory", (None, 10, 20), "cba"),
        (Sort.RESTARTS, "restarts", (1, 3, 2), "bca"),
        (Sort.BEAT, "last_heartbeat", (NOON, NOON - minutes(1), None), "bac"),
        (Sort.UPTIME, "started_at", (NOON, NOON - minutes(1), NOON - minutes(2)), "cba"),
    ],
)
def test_what_matters_most_comes_first_and_what_nobody_knows_last(
    sort: Sort, field: str, values: tuple[Any, ...], ordered: str
) -> None:
    rows = [row(name, pid=7, source=Source.BEAT, **{field: value}) for name, value in zip("abc", values, strict=True)]
    assert "".join(one.name for one in visible(rows, State(sort=sort))) == ordered
    unknown = ordered[len([value for value in values if value is not None]) :]
    turned = "".join(one.name for one in visible(rows, State(sort=sort, reverse=True)))
    assert turned == ordered.removesuffix(unknown)[::-1] + unknown


def test_an_agent_that_is_down_has_no_uptime() -> None:
    rows = [row("a", started_at=NOON - minutes(9)), row("b", pid=7, started_at=NOON)]
    assert [one.name for one in visible(rows, State(sort=Sort.UPTIME))] == ["b", "a"]


def test_o_goes_through_all_orders_and_turns_them() -> None:
    state, seen = State(), []
    for _ in Sort:
        seen.append(state.sort)
        state, _ = after("o", state=state)
    assert (seen, state.sort) == (list(Sort), Sort.STATUS)
    assert after("O", state=state)[0].reverse
    assert not after("O", "o", state=state)[0].reverse


def test_the_command_line_knows_every_order() -> None:
    assert tuple(one.value for one in Sort) == SORTS


# --- Panes ------------------------------------------------------------------------------------------------------------


def test_q_leaves_a_pane_first_and_then_the_screen() -> None:
    for key, pane in (("?", Pane.HELP), ("f1", Pane.HELP), ("l", Pane.LOGS), ("enter", Pane.LOGS)):
        state, _ = after(key)
        assert state.pane is pane
        assert after("q", state=state) == (AT_BETA, [])
        assert after("esc", state=state) == (AT_BETA, [])
    assert after("q")[1] == after("Q")[1] == [Quit()]


def test_no_letter_is_an_order_while_logs_or_help_are_read() -> None:
    for key in ("?", "l"):
        state, _ = after(key)
        assert after("s", "t", "r", "h", "u", "y", "/", "o", state=state) == (state, [])


def test_logs_are_moved_up_and_no_further_down_than_their_end() -> None:
    state, _ = after("l", "up", "pageup")
    assert state.scrolled == 3
    assert after("pagedown", "down", "down", state=state)[0].scrolled == 0
    assert after("q", state=state)[0].scrolled == 0


def test_news_goes_with_the_next_key() -> None:
    assert after("down", state=replace(AT_BETA, notice="✓ beta: stopped"))[0].notice == ""
