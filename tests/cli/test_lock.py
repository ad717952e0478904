"""`supervise lock` and `unlock`: whom they ask, in whose name, and what is said when it is done or cannot be."""

from __future__ import annotations

import pytest

from supervise.control.server import Denied
from supervise.errors import ExitCode, UsageError
from supervise.places import Places
from tests.cli.shell import Answer, Supervise
from tests.reconcile.served import served

LOCK = ("lock", "--user", "sma", "warning", "40", "--reason", "migration")


def test_a_lock_says_what_is_shown_for_how_long_and_how_it_ends(supervise: Supervise, there: Places) -> None:
    with served(there.control, lock=None) as other:
        answer = supervise(*LOCK)
    done = "✓ sma: shown as warning 40 for 2h; `supervise unlock --user sma` ends it\n"
    assert answer == Answer(ExitCode.OK, done, "")
    assert other.asked[0].args == {
        "names": ["sma"],
        "by": "alice",
        "status": "warning",
        "health": 40,
        "seconds": 7200.0,
        "reason": "migration",
    }


def test_a_word_may_mean_several_agents(supervise: Supervise, there: Places) -> None:
    unlocking = {"locked": ["sma"], "in_table": {"sma": "2026-11-28T12:00:00+00:00"}}
    with served(there.control, lock=None, unlock=unlocking) as other:
        locked = supervise("lock", "--user", "sma*", "stopped", "0", "--reason", "x", "--for", "1d")
        unlocked = supervise("unlock", "--user", "sma*")
    assert [one.args["names"] for one in other.asked] == [["sma", "sma_slow"]] * 2
    assert other.asked[0].args["seconds"] == 86400
    assert locked.out.count("for 1d; ") == 2
    assert (unlocked.code, unlocked.err) == (ExitCode.OK, "")
    shown, other_one, in_table = unlocked.out.splitlines()
    assert (shown, other_one) == ("✓ sma: shown as it is", "✓ sma_slow: was not locked")
    assert in_table.startswith("! sma: Supabase shows its lock until 2026-11-2")
    assert "lock_status = null" in in_table
    assert other.asked[1].args == {"names": ["sma", "sma_slow"], "by": "alice"}


@pytest.mark.parametrize("words", [LOCK, ("unlock", "--user", "sma")])
def test_without_a_reconciler_nothing_is_locked_and_the_advice_is_where_to_look(
    supervise: Supervise, there: Places, words: tuple[str, ...]
) -> None:
    answer = supervise(*words)
    assert (answer.code, answer.out) == (ExitCode.UNREACHABLE, "")
    assert "`systemctl --user status supervise-reconciler` tells how it is" in answer.err


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Denied("bob may read here but not lock"), ExitCode.FAILED),
        (UsageError("a lock lasts 24 h at most, unless root makes it"), ExitCode.USAGE),
    ],
)
def test_a_refusal_is_said_and_nothing_is_claimed(
    supervise: Supervise, there: Places, refusal: Exception, code: ExitCode
) -> None:
    with served(there.control, lock=refusal):
        assert supervise(*LOCK) == Answer(code, "", f"supervise: {refusal}\n")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["sma", "starting", "40", "--reason", "x"], ExitCode.USAGE, "'starting' is not one of"),
        (["sma", "warning", "101", "--reason", "x"], ExitCode.USAGE, "101 is not in the range"),
        (["sma", "warning", "40"], ExitCode.USAGE, "Missing option '--reason'"),
        (["sma", "warning", "40", "--reason", "x", "--for", "soon"], ExitCode.USAGE, "'soon' is not a time span"),
        (["smaa", "warning", "40", "--reason", "x"], ExitCode.NO_SUCH_AGENT, 'did you mean "sma"?'),
    ],
)
def test_what_makes_no_sense_is_said_before_anybody_is_asked(
    supervise: Supervise, there: Places, words: list[str], code: ExitCode, text: str
) -> None:
    with served(there.control, lock=None) as other:
        answer = supervise("lock", "--user", *words)
    assert (answer.code, other.asked) == (code, [])
    assert text in answer.err
