"""Commands that act, by who calls them: root and owners through the platform, operators through the reconciler."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from supervise.cli import acting
from supervise.control.server import Request, Send
from supervise.errors import ExitCode, SuperviseError
from supervise.manifest import to_json
from supervise.places import Places
from tests.cli.shell import Answer, Supervise
from tests.nouns import places_in, spec
from tests.reconcile.rig import manifest_of
from tests.reconcile.served import served

OPERATOR = {"name": "alice", "uid": 1000, "may_act": True}


@pytest.fixture
def machine_wide(supervise: Supervise, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """Two agents of the machine, and a caller who is not root."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with TemporaryDirectory(prefix="s") as folder:
        there = places_in(Path(folder))
        there.manifests.mkdir(parents=True)
        there.manifest("trading").write_text(to_json(manifest_of(spec(), spec("feed"))))
        monkeypatch.setattr(acting, "SYSTEM", there)
        yield there


def result(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "ok": True, "text": "stopped", "code": 0, **changes}


def test_an_operator_has_the_reconciler_act_and_sees_what_became_of_each(
    supervise: Supervise, machine_wide: Places
) -> None:
    answers = [result("sma"), result("feed", ok=False, text="it does not \x1b[2Jend", code=1)]
    with served(machine_wide.control, whoami=OPERATOR, act=answers) as other:
        answer = supervise("stop", "--all")
    assert answer == Answer(ExitCode.PARTLY, "✓ sma: stopped\n", "✗ feed: it does not ␛[2Jend\n")
    assert other.asked[1].args == {"verb": "stop", "names": ["sma", "feed"]}


def test_an_operators_exit_code_is_that_of_the_verb(supervise: Supervise, machine_wide: Places) -> None:
    down = result("sma", text="was not running", code=int(ExitCode.NOT_RUNNING))
    with served(machine_wide.control, whoami=OPERATOR, act=[down]):
        assert supervise("stop", "sma").code == ExitCode.NOT_RUNNING
        assert supervise("stop", "smaa").code == ExitCode.NO_SUCH_AGENT


@pytest.mark.parametrize("answers", [None, {"whoami": {**OPERATOR, "may_act": False}}])
def test_who_is_no_operator_or_has_no_reconciler_is_told_of_root_and_user(
    supervise: Supervise, machine_wide: Places, answers: dict[str, Any] | None
) -> None:
    if answers is None:
        answer = supervise("stop", "sma")
    else:
        with served(machine_wide.control, **answers) as other:
            answer = supervise("stop", "sma")
        assert [one.op for one in other.asked] == ["whoami"]
    assert answer.code == ExitCode.USAGE
    assert (
        "`sudo supervise stop sma`, or `supervise stop sma --user` for agents of your own, or as a member of"
        in answer.err
    )
    assert "supervise-operators while the reconciler runs" in answer.err


def test_to_kill_an_operator_is_not_sent_for(supervise: Supervise, machine_wide: Places) -> None:
    answer = supervise("force-stop", "sma")
    assert answer.code == ExitCode.USAGE
    assert "`sudo supervise force-stop sma`, or `supervise force-stop sma --user`" in answer.err
    assert "supervise-operators" not in answer.err
    with served(machine_wide.control, whoami=OPERATOR):
        told = supervise("force-stop", "sma", "--yes")
    assert (told.code, told.err) == (
        ExitCode.USAGE,
        "supervise: to kill takes root; an operator can `supervise stop`\n",
    )


@pytest.mark.parametrize(("answer", "code"), [("", ExitCode.USAGE), ("n\n", ExitCode.FAILED)])
def test_where_nobody_answers_a_question_nothing_is_done_and_the_way_without_is_named(
    supervise: Supervise, machine_wide: Places, monkeypatch: pytest.MonkeyPatch, answer: str, code: ExitCode
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(answer))
    with served(machine_wide.control, whoami=OPERATOR) as other:
        told = supervise("force-stop", "sma")
    assert told.code == code
    assert told.err.startswith("supervise: ")
    assert ("--yes" in told.err) is (code == ExitCode.USAGE)
    assert [one.op for one in other.asked] == ["whoami"]


def test_the_command_in_the_advice_can_be_copied_whatever_its_words_are(
    supervise: Supervise, machine_wide: Places
) -> None:
    answer = supervise("hold", "sma*", "--reason", "bob's holidays")
    line = re.search(r"`sudo (.+?)`", answer.err)
    assert line
    assert shlex.split(line[1]) == ["supervise", "hold", "sma*", "--reason", "bob's holidays"]


def test_what_no_operator_may_do_is_not_offered_to_them(
    supervise: Supervise, machine_wide: Places, tmp_path: Path
) -> None:
    answer = supervise("install", "-f", str(tmp_path / "agents.yaml"))
    assert answer.code == ExitCode.USAGE
    assert "this needs root: " in answer.err
    assert "supervise-operators" not in answer.err


def test_who_releases_and_starts_is_not_advised_to_start(supervise: Supervise, machine_wide: Places) -> None:
    async def act(request: Request, send: Send) -> Any:
        released = request.args["verb"] == "release"
        return [result("sma", text="released; `supervise start sma` starts it" if released else "started (PID 7)")]

    with served(machine_wide.control, whoami=OPERATOR, act=act):
        alone = supervise("release", "sma")
        both = supervise("release", "sma", "--start")
    assert alone.out == "✓ sma: released; `supervise start sma` starts it\n"
    assert both.out == "✓ sma: released\n✓ sma: started (PID 7)\n"


def test_what_the_reconciler_cannot_do_is_said_in_its_words(supervise: Supervise, machine_wide: Places) -> None:
    refusal = SuperviseError("cannot stop anything: the service manager cannot be asked now")
    with served(machine_wide.control, whoami=OPERATOR, act=refusal):
        assert supervise("stop", "sma") == Answer(ExitCode.FAILED, "", f"supervise: {refusal}\n")


def test_an_operator_cannot_do_what_takes_root(supervise: Supervise, machine_wide: Places) -> None:
    with served(machine_wide.control, whoami=OPERATOR) as other:
        answer = supervise("start", "sma", "--replace")
    assert answer.code == ExitCode.USAGE
    assert "--replace ends processes outside of units, which takes root" in answer.err
    assert [one.op for one in other.asked] == ["whoami"]


def test_root_who_says_user_has_not_the_reconciler_act_on_the_machine_instead(
    supervise: Supervise, machine_wide: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with served(machine_wide.control, whoami=OPERATOR, act=[result("sma")]) as other:
        answer = supervise("stop", "--user", "sma")
    assert (answer.code, other.asked) == (ExitCode.USAGE, [])
