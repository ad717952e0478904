"""`supervise presets`: what is shown, what is asked of the reconciler, and how its answers read."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest

from supervise.cli.options import complete_part, complete_preset
from supervise.control.server import Denied, Request, Send
from supervise.decide.presets import BALANCED, BUILT_IN, PARTS
from supervise.errors import ExitCode, UsageError
from supervise.places import Places
from tests.cli.shell import Answer, Supervise
from tests.reconcile.served import served

USUAL = BUILT_IN[BALANCED]
NIGHT = {**USUAL, "restarts": 12.5}
FOUND: dict[str, Any] = {
    "presets": [
        {"name": "balanced", "built_in": True, "weights": USUAL, "used_by": ["the host"]},
        {"name": "night", "built_in": False, "weights": NIGHT, "used_by": []},
    ],
    "agents": {"sma": "balanced"},
}


@pytest.mark.parametrize("words", [("presets",), ("presets", "list", "--user")])
def test_all_are_shown_with_what_each_part_weighs_and_who_uses_them(
    supervise: Supervise, there: Places, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervise.cli.reconciler.scope_of", lambda as_user: there.scope)
    with served(there.control, presets=FOUND):
        answer = supervise(*words)
    lines = [line.split() for line in answer.out.splitlines()]
    assert lines == [
        ["preset", *PARTS, "used", "by"],
        ["balanced", "60", "30", "30", "30", "20", "100", "the", "host"],
        ["night", "60", "30", "12.5", "30", "20", "100"],
    ]


def test_programs_get_them_as_they_are(supervise: Supervise, there: Places) -> None:
    with served(there.control, presets=FOUND):
        assert json.loads(supervise("presets", "list", "--user", "--json").out) == FOUND
        assert json.loads(supervise("presets", "show", "night", "--user", "--json").out) == FOUND["presets"][1]


def test_one_is_shown_with_what_each_part_is_about(supervise: Supervise, there: Places) -> None:
    with served(there.control, presets=FOUND):
        lines = supervise("presets", "show", "night", "--user").out.splitlines()
        built_in = supervise("presets", "show", "balanced", "--user").out
    assert lines[0] == "night"
    assert lines[3] == f"  restarts    12.5  {PARTS['restarts']}"
    assert lines[-1] == "  used by    nobody"
    assert built_in.splitlines()[0] == "balanced (built in)"


def test_one_that_there_is_not_is_not_shown(supervise: Supervise, there: Places) -> None:
    with served(there.control, presets=FOUND):
        answer = supervise("presets", "show", "nigth", "--user")
    why = 'there is no preset "nigth"; did you mean "night"? the presets are balanced, night'
    assert answer == Answer(ExitCode.USAGE, "", f"supervise: {why}\n")


def test_a_preset_is_saved_from_another_and_says_what_it_was(supervise: Supervise, there: Places) -> None:
    said = "trouble=60 heartbeat=30 restarts=12.5 probes=30 pressure=20 report=100"
    with served(there.control, **{"preset-save": {"weights": NIGHT, "before": None}}) as other:
        answer = supervise("presets", "save", "--user", "night", "restarts=12.5", "--from", "aggressive")
    assert answer == Answer(ExitCode.OK, f"✓ night: {said}\n", "")
    args = {"name": "night", "weights": {"restarts": 12.5}, "base": "aggressive", "by": "alice"}
    assert other.asked[0].args == args
    with served(there.control, **{"preset-save": {"weights": NIGHT, "before": USUAL}}):
        again = supervise("presets", "save", "--user", "night", "restarts=12.5")
    assert again.out.endswith("; before: trouble=60 heartbeat=30 restarts=30 probes=30 pressure=20 report=100\n")


@pytest.mark.parametrize("word", ["restarts", "restarts="])
def test_a_part_without_points_is_asked_for_them(supervise: Supervise, there: Places, word: str) -> None:
    with served(there.control) as other:
        answer = supervise("presets", "save", "--user", "night", word)
    said = 'supervise: "restarts" needs its points, as in restarts=20\n'
    assert (answer, other.asked) == (Answer(ExitCode.USAGE, "", said), [])


def test_what_is_no_weight_is_left_to_the_reconciler_to_refuse(supervise: Supervise, there: Places) -> None:
    refusal = UsageError('"restarts" weighs 0 to 100 points, not lots')
    with served(there.control, **{"preset-save": refusal}) as other:
        answer = supervise("presets", "save", "--user", "night", "restarts=lots")
    assert answer == Answer(ExitCode.USAGE, "", f"supervise: {refusal}\n")
    assert other.asked[0].args["weights"] == {"restarts": "lots"}


def test_agents_are_chosen_by_names_titles_and_globs(supervise: Supervise, there: Places) -> None:
    with served(there.control, **{"preset-use": {"sma": "night", "sma_slow": "night", "feed": "balanced"}}) as other:
        answer = supervise("presets", "use", "--user", "night", "sma*", "--tag", "web")
    assert answer.out == "✓ sma: scored by night\n✓ sma_slow: scored by night\n✓ tag web: scored by night\n"
    assert other.asked[0].args == {"name": "night", "agents": ["sma", "sma_slow"], "tags": ["web"], "by": "alice"}


def test_without_agents_and_tags_the_host_is_meant(supervise: Supervise, there: Places) -> None:
    with served(there.control, **{"preset-use": {"sma": "night"}}) as other:
        assert supervise("presets", "use", "--user", "night").out == "✓ the host: scored by night\n"
        assert supervise("presets", "use", "--user", "default").out == "✓ the host: scored as is usual\n"
    assert other.asked[0].args == {"name": "night", "agents": [], "tags": [], "by": "alice"}


def test_an_agent_that_there_is_not_is_named_and_nothing_asked(supervise: Supervise, there: Places) -> None:
    with served(there.control) as other:
        answer = supervise("presets", "use", "--user", "night", "nobody")
    assert (answer.code, other.asked) == (ExitCode.NO_SUCH_AGENT, [])


def test_what_was_deleted_can_be_typed_in_again(supervise: Supervise, there: Places) -> None:
    with served(there.control, **{"preset-delete": {"before": NIGHT}}):
        answer = supervise("presets", "delete", "--user", "night")
    said = "trouble=60 heartbeat=30 restarts=12.5 probes=30 pressure=20 report=100"
    assert answer == Answer(ExitCode.OK, f"✓ night: deleted; it was {said}\n", "")


@pytest.mark.parametrize("words", [("save", "night", "restarts=1"), ("use", "night"), ("delete", "night")])
def test_who_may_only_read_is_told_so(supervise: Supervise, there: Places, words: tuple[str, ...]) -> None:
    op = f"preset-{words[0]}"
    with served(there.control, **{op: Denied(f"bob may read here but not {op}")}):
        answer = supervise("presets", *words, "--user")
    assert answer == Answer(ExitCode.FAILED, "", f"supervise: bob may read here but not {op}\n")


def test_without_a_reconciler_those_that_are_built_in_are_known(supervise: Supervise, there: Places) -> None:
    answer = supervise("presets", "list", "--user")
    assert [line.split()[0] for line in answer.out.splitlines()[1:]] == list(BUILT_IN)
    assert answer.code == ExitCode.OK
    assert answer.err.startswith("! only those that are built in: cannot reach the reconciler")
    assert supervise("presets", "show", "balanced", "--user").out.endswith("  used by    –\n")
    assert supervise("presets", "show", "night", "--user").code == ExitCode.USAGE
    assert supervise("presets", "use", "night", "--user").code == ExitCode.UNREACHABLE


# --- Completion -------------------------------------------------------------------------------------------------------


def completed(incomplete: str) -> list[str]:
    return complete_preset(click.Context(click.Command("x")), click.Argument(["name"]), incomplete)


def test_presets_are_completed_with_ones_own(supervise: Supervise, there: Places) -> None:
    assert completed("") == list(BUILT_IN)
    with served(there.control, presets=FOUND):
        assert completed("n") == ["night"]
        assert completed("") == [*BUILT_IN, "night"]


def test_a_reconciler_that_answers_strangely_completes_nothing(supervise: Supervise, there: Places) -> None:
    async def late(request: Request, send: Send) -> Any:
        return {"presets": "?"}

    with served(there.control, presets=late):
        assert completed("n") == []


def test_parts_are_completed_up_to_their_number() -> None:
    found = complete_part(click.Context(click.Command("x")), click.Argument(["weights"]), "re")
    assert found == ["restarts=", "report="]
