"""The verbs by a reconciler that acts for an operator: asked as they are meant, and never a wrong word on failure."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from supervise import operator as module
from supervise.control.client import Refused, Unreachable
from supervise.control.server import Denied, Request, Send
from supervise.errors import ExitCode, SuperviseError, UsageError
from supervise.manager import Result
from supervise.manifest import to_json
from supervise.operator import Operator, operating
from supervise.places import Places
from tests.nouns import places_in, spec
from tests.reconcile.rig import manifest_of
from tests.reconcile.served import served

NEEDS_ROOT = UsageError("this needs root")
ME = {"name": "alice", "uid": 1000, "may_act": True}
Verb = Callable[[Operator, Callable[[Result], None]], Awaitable[list[Result]]]


@pytest.fixture
def there() -> Iterator[Places]:
    """With two projects of one agent each."""
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        found = places_in(Path(folder))
        found.manifests.mkdir(parents=True)
        for project, name in (("trading", "sma"), ("web", "page")):
            one = manifest_of(spec(name, project=project))
            found.manifest(project).write_text(to_json(one))
        yield found


def operate(there: Places, verb: Verb, *, project: str | None = None) -> tuple[list[Result], list[Result]]:
    """(the results, what was told)"""
    told: list[Result] = []

    async def done() -> list[Result]:
        async with operating(there, otherwise=NEEDS_ROOT, project=project) as operator:
            return await verb(operator, told.append)

    return asyncio.run(done()), told


async def start(operator: Operator, tell: Callable[[Result], None]) -> list[Result]:
    return await operator.start(operator.specs, tell=tell)


def said(name: str = "sma", **changes: Any) -> dict[str, Any]:
    return {"name": name, "ok": True, "text": "started", "code": 0, **changes}


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        (start, {"verb": "start", "settle": 1.0}),
        (lambda one, tell: one.stop(one.specs, tell=tell), {"verb": "stop"}),
        (
            lambda one, tell: one.restart(
                one.specs, tell=tell, batch=2, pause=timedelta(seconds=3), settle=timedelta(), only_running=True
            ),
            {"verb": "restart", "batch": 2, "pause": 3.0, "settle": 0.0, "only_running": True},
        ),
        (lambda one, tell: one.hold(one.specs, reason="why", tell=tell), {"verb": "hold", "reason": "why"}),
        (lambda one, tell: one.release(one.specs, tell=tell), {"verb": "release"}),
    ],
    ids=["start", "stop", "restart", "hold", "release"],
)
def test_a_verb_goes_to_the_reconciler_with_all_that_was_said(there: Places, verb: Verb, args: dict[str, Any]) -> None:
    answer = [said(), said("page", ok=False, text="it is held", code=1)]
    with served(there.control, whoami=ME, act=answer) as other:
        results, told = operate(there, verb)
    assert results == told == [Result("sma", True, "started"), Result("page", False, "it is held", ExitCode.FAILED)]
    assert [one.op for one in other.asked] == ["whoami", "act"]
    assert other.asked[1].args == {"names": ["sma", "page"], **args}


def test_only_agents_of_the_wanted_project_are_chosen_from(there: Places) -> None:
    with served(there.control, whoami=ME, act=[]) as other:
        operate(there, start, project="web")
    assert other.asked[1].args["names"] == ["page"]


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        (lambda one, tell: one.start(one.specs, replace_copies=True, tell=tell), "which takes root"),
        (lambda one, tell: one.stop(one.specs, kill=True, tell=tell), "to kill takes root"),
    ],
)
def test_what_ends_processes_outside_of_units_takes_root(there: Places, verb: Verb, words: str) -> None:
    with served(there.control, whoami=ME) as other, pytest.raises(UsageError, match=words):
        operate(there, verb)
    assert [one.op for one in other.asked] == ["whoami"]


def test_where_no_reconciler_answers_the_advice_is_the_old_one(there: Places) -> None:
    with pytest.raises(UsageError) as refused:
        operate(there, start)
    assert refused.value is NEEDS_ROOT


@pytest.mark.parametrize("answers", [{"whoami": {**ME, "may_act": False}}, {"whoami": ME, "act": Denied("no right")}])
def test_who_is_no_operator_is_told_what_is_needed(there: Places, answers: dict[str, Any]) -> None:
    with served(there.control, **answers), pytest.raises(UsageError) as refused:
        operate(there, start)
    assert refused.value is NEEDS_ROOT


def test_why_the_reconciler_could_not_is_said_as_it_says_it(there: Places) -> None:
    refusal = SuperviseError("cannot start anything: the service manager cannot be asked now")
    with served(there.control, whoami=ME, act=refusal), pytest.raises(Refused, match="cannot be asked now"):
        operate(there, start)


def test_a_reconciler_that_goes_away_in_the_middle_is_not_mistaken_for_one_that_was_not_there(there: Places) -> None:
    async def never(request: Request, send: Send) -> Any:
        other.close()
        await asyncio.Event().wait()

    with (
        served(there.control, whoami=ME, act=never) as other,
        pytest.raises(Unreachable, match="closed the connection"),
    ):
        operate(there, start)


def test_one_that_takes_too_long_is_not_either(there: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.02)

    async def never(request: Request, send: Send) -> Any:
        await asyncio.Event().wait()

    with served(there.control, whoami=ME, act=never), pytest.raises(Unreachable, match="did not answer within"):
        operate(there, start)
