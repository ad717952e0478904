"""The words of a message: short, complete, and nothing foreign that could act where they are read."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervise.alerts.messages import (
    LONGEST_TEXT,
    Message,
    MessageKind,
    message,
    slack_body,
    slack_quoted,
    text,
    trial,
    webhook_body,
)
from supervise.model import Status
from supervise.text import UNSAFE
from tests.alerts.told import agent, firing
from tests.nouns import NOW

NASTY = "\x1b[31m<!channel> @here `*x*` <https://evil.example|click> & \u202etxt\n\ud800 "


def webhook(told: Message) -> dict[str, Any]:
    return dict(json.loads(webhook_body(told)))


def slack(told: Message) -> str:
    return str(json.loads(slack_body(told))["text"])


# --- Words ------------------------------------------------------------------------------------------------------------


def test_a_message_reads_as_a_heading_and_a_line_for_each_agent() -> None:
    told = firing(agent(), agent("feed", title="feed", status=Status.WARNING, reason="Late", message=""))
    assert text(told) == (
        "alpha: 2 agents in trouble\n"
        "- SMA Agent (sma): error, Crashed: exited with code 1 (since 2026-03-01 12:00:00 UTC)\n"
        "- feed: warning, Late (since 2026-03-01 12:00:00 UTC)"
    )


def test_the_end_reads_as_such() -> None:
    well = agent(status=Status.RUNNING, reason="AsWanted", message="")
    assert text(message(MessageKind.RESOLVED, "t", (well,), now=NOW, host="alpha")) == (
        "alpha: 1 agent out of trouble\n"
        "- SMA Agent (sma): running, AsWanted (it was in trouble since 2026-03-01 12:00:00 UTC)"
    )


def test_a_trial_names_nobody() -> None:
    told = trial("t", now=NOW, host="alpha")
    assert text(told) == "alpha: a test of the alerts; nothing is wrong"
    assert (webhook(told)["kind"], webhook(told)["agents"]) == ("test", [])


def test_a_mass_is_counted_and_its_first_are_named() -> None:
    told = firing(*(agent(f"a{n:02}", reason="Silent" if n < 3 else "Crashed") for n in range(30)))
    lines = text(told).splitlines()
    assert lines[0] == "alpha: 30 agents in trouble (27 Crashed, 3 Silent)"
    assert [line.split()[3] for line in lines[1:-1]] == [f"(a{n:02}):" for n in range(20)]
    assert lines[-1] == "and 10 more"


def test_a_text_that_would_be_too_long_names_fewer() -> None:
    told = firing(*(agent(f"a{n:02}", title="T" * 500, message="m" * 5000) for n in range(20)))
    said = text(told)
    named = said.count("\n- ")
    assert len(said) <= LONGEST_TEXT
    assert 5 < named < 20
    assert said.endswith(f"\nand {20 - named} more")


# --- A webhook --------------------------------------------------------------------------------------------------------


def test_a_webhook_gets_the_fields_of_version_one() -> None:
    told = firing(agent(url="http://localhost:8000"))
    assert webhook(told) == {
        "version": 1,
        "id": told.id,
        "kind": "firing",
        "host": "alpha",
        "at": "2026-03-01T12:00:00+00:00",
        "agents": [
            {
                "name": "sma",
                "title": "SMA Agent",
                "project": "trading",
                "status": "error",
                "reason": "Crashed",
                "message": "exited with code 1",
                "since": "2026-03-01T12:00:00+00:00",
                "health": 20,
                "url": "http://localhost:8000",
            }
        ],
        "text": text(told),
    }


def test_a_webhook_gets_the_counts_of_a_mass() -> None:
    body = webhook(firing(*(agent(f"a{n:02}") for n in range(30))))
    assert (len(body["agents"]), body["summary"]) == (20, {"total": 30, "reasons": {"Crashed": 30}})


# --- Foreign text -----------------------------------------------------------------------------------------------------


def strings(value: object) -> list[str]:
    """All texts in a JSON value."""
    if isinstance(value, dict):
        return [text for one in value.values() for text in strings(one)]
    if isinstance(value, list):
        return [text for one in value for text in strings(one)]
    return [value] if isinstance(value, str) else []


@given(st.text() | st.just(NASTY))
def test_nothing_foreign_acts_in_what_a_webhook_gets(foreign: str) -> None:
    told = firing(agent(name=foreign, title=foreign, project=foreign, message=foreign, url=foreign))
    for one in strings(webhook(replace(told, host=foreign))):
        assert not UNSAFE.search(one.replace("\n", "")), one


@given(st.text() | st.just(NASTY) | st.text("`<>&@!:/*_~|# \n", max_size=20))
def test_nothing_foreign_acts_in_slack(foreign: str) -> None:
    said = slack(replace(firing(agent(name=foreign, title=f"{foreign}.", message=foreign)), host=foreign))
    assert not re.search("[<>@]|://", said)
    assert not UNSAFE.search(said.replace("\n", ""))
    assert not re.search("&(?!(amp|lt|gt);)", said)
    outside = re.sub("`[^`\n]*`", "", said)
    assert re.fullmatch(r"[^`*_~|#]*", outside.replace("|", "")), outside
    assert outside.count("\n") == 1


@pytest.mark.parametrize(
    ("foreign", "quoted"),
    [
        ("SMA", "`SMA`"),
        ("<!channel> & <@U1>", "`&lt;!channel&gt; &amp; &lt;＠U1&gt;`"),
        ("a`b", "`aˋb`"),
        ("https://x.org/y", "`https:∕∕x.org/y`"),
        ("a\nb\x1b", "`a␊b␛`"),
        ("x" * 30, f"`{'x' * 19}…`"),
        ("", "(nothing)"),
        ("  ", "(nothing)"),
    ],
)
def test_slack_sees_foreign_text_as_code(foreign: str, quoted: str) -> None:
    assert slack_quoted(foreign, 20) == quoted


def test_slack_gets_no_more_than_it_shows() -> None:
    told = firing(*(agent(f"a{n:02}", title="&" * 500, message="<" * 5000) for n in range(30)))
    assert len(slack(told)) <= LONGEST_TEXT
    assert re.search(r"\nand \d+ more$", slack(told))


# --- Ids --------------------------------------------------------------------------------------------------------------


def test_an_id_says_which_message_it_is() -> None:
    others = [
        message(MessageKind.RESOLVED, "trading/a", (agent(),), now=NOW, host="alpha"),
        firing(target="trading/b"),
        firing(agent("feed")),
        message(MessageKind.FIRING, "trading/a", (agent(),), now=NOW, host="beta"),
        message(MessageKind.FIRING, "trading/a", (agent(),), now=replace(NOW, boot="boot-2"), host="alpha"),
    ]
    assert firing().id == firing().id
    assert len({one.id for one in (firing(), *others)}) == 6
    assert re.fullmatch("msg_[0-9a-f]{24}", firing().id)
