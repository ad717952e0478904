"""Which process is adopted, and for whom; the moving itself is shown on a real systemd."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from supervise.adopting import Adoption, adopt, chosen, family, foreign
from supervise.errors import NoSuchAgent, SuperviseError, UsageError
from supervise.model import Doubt, Findings
from supervise.platforms.systemd.platform import Systemd
from tests.nouns import copy, spec
from tests.test_manager import Heard, manager

SPECS = (spec("sma"), spec("feed"), spec("twins"))
EITHER = Doubt(copy(7), ("feed", "sma"), "it fits several agents")
FOUND = Findings(
    outside={"sma": (copy(1),), "twins": (copy(2), copy(3))},
    inside={"feed": (copy(5),)},
    foreground={"twins": (copy(6),)},
    doubts=(EITHER,),
)


@pytest.mark.parametrize(
    ("what", "name", "agent", "pid"),
    [
        ("sma", None, "sma", 1),
        ("Sma", None, "sma", 1),
        ("1", None, "sma", 1),
        ("1", "sma", "sma", 1),
        ("3", None, "twins", 3),
        ("7", "feed", "feed", 7),
        ("7", "sma", "sma", 7),
    ],
)
def test_it_is_meant_by_pid_or_by_the_agent_of_which_one_copy_runs(
    what: str, name: str | None, agent: str, pid: int
) -> None:
    found = chosen(what, SPECS, FOUND, name=name)
    assert (found.spec.name, found.process.id.pid) == (agent, pid)


@pytest.mark.parametrize(
    ("what", "name", "error", "words"),
    [
        ("twins", None, UsageError, "2 processes run twins: PID 2"),
        ("feed", None, SuperviseError, "no process of it runs outside of its unit"),
        ("smaa", None, NoSuchAgent, "sma"),
        ("99", None, SuperviseError, "PID 99"),
        ("5", None, SuperviseError, "it runs as feed already, in its unit"),
        ("6", None, SuperviseError, "it runs as twins already, adopted already, or begun by `supervise run`"),
        ("7", None, UsageError, "PID 7 fits feed, sma: say which with --as NAME"),
        ("99", None, SuperviseError, "it runs no agent's command outside of units"),
        ("1", "feed", SuperviseError, "cannot adopt PID 1 as feed: it fits sma"),
        ("1", "nobody", NoSuchAgent, 'there is no agent "nobody"'),
    ],
)
def test_what_cannot_be_meant_is_told_with_what_to_do(
    what: str, name: str | None, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as raised:
        chosen(what, SPECS, FOUND, name=name)
    assert type(raised.value) is error


def test_beside_one_that_is_adopted_none_is_and_nothing_is_told_of_it(tmp_path: Path) -> None:
    heard = Heard()
    verbs = manager(tmp_path, heard, Findings(outside={"sma": (copy(2),)}, foreground={"sma": (copy(1),)}))
    with pytest.raises(SuperviseError, match=r"PID 1 runs as sma already, in agent-run-sma\.scope") as raised:
        asyncio.run(adopt(verbs, cast(Systemd, verbs.platform), "2", warn=pytest.fail))
    assert "`kill 2` ends it, `supervise stop sma` ends the first one" in str(raised.value)
    assert heard.orders == []


def test_whose_it_is_is_told_where_it_is_not_the_agents_own_users() -> None:
    told = foreign(Adoption(spec(), copy(7, user="ada")))
    assert told == "PID 7 runs as ada, not as trader as the unit of sma would"
    assert foreign(Adoption(spec(), copy(7, user="", uid=1001))) is not None
    for own in (Adoption(spec(), copy()), Adoption(spec(user="1000"), copy()), Adoption(spec(user=None), copy())):
        assert foreign(own) is None


def test_children_and_their_children_come_along_and_nobody_else() -> None:
    everybody = [replace(copy(pid), parent=parent) for pid, parent in ((2, 1), (3, 2), (4, 1), (5, 9), (1, 0), (6, 3))]
    assert sorted(family(1, everybody)) == [1, 2, 3, 4, 6]
    assert list(family(9, [])) == [9]
