"""What is told, as a value, and its words: plain text, the body of a webhook, the body of a Slack-compatible one. Pure.

Titles, messages and addresses are foreign: nothing of them may leave here that has not passed `shown`, and nothing that
could mention somebody or become a link where people chat.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from supervise.model import AgentSpec, Instant, Status, StatusRow
from supervise.text import shown

NAMED = 20
"""Of more agents than this a message names the first ones and counts the rest."""
LONGEST_TEXT = 3900
"""Characters of a whole text: Slack wants at most 4,000, and Mattermost cuts there."""
LONGEST_NAME, LONGEST_WORDS, LONGEST_DETAIL = 80, 200, 1000
RANK = {Status.WARNING: 1, Status.UNKNOWN: 1, Status.ERROR: 2}
"""How bad a status is; who is not here is in no trouble."""


class MessageKind(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Subject:
    """An agent that a message is about. `since`: when its trouble began, also once that is over."""

    name: str
    title: str
    project: str
    status: Status
    reason: str
    message: str
    since: datetime
    health: int
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one target. `agents`: the worst; `total`, `reasons`: of all that it is about."""

    id: str
    target: str
    kind: MessageKind
    host: str
    at: datetime
    agents: tuple[Subject, ...] = ()
    total: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)


def subject(row: StatusRow, spec: AgentSpec, *, since: datetime) -> Subject:
    return Subject(
        row.name, row.title, row.project, row.status, row.reason.value, row.message, since, row.health, spec.url
    )


def message(kind: MessageKind, target: str, about: Iterable[Subject], *, now: Instant, host: str) -> Message:
    """One message about all of them, the worst first. The same message at the same moment has the same id."""
    ordered = sorted(about, key=lambda one: (-RANK.get(one.status, 0), one.name))
    names = ",".join(one.name for one in ordered)
    told = f"{host} {target} {kind} {now.wall} {now.boot} {now.monotonic} {names}"
    return Message(
        id=f"msg_{sha256(told.encode(errors='replace')).hexdigest()[:24]}",
        target=target,
        kind=kind,
        host=host,
        at=now.wall,
        agents=tuple(ordered[:NAMED]),
        total=len(ordered),
        reasons=dict(Counter(one.reason for one in ordered).most_common()),
    )


def trial(target: str, *, now: Instant, host: str) -> Message:
    """A message that only shows whether messages arrive."""
    return message(MessageKind.TEST, target, (), now=now, host=host)


# --- Words ------------------------------------------------------------------------------------------------------------

Quote = Callable[[str, int], str]
"""Makes so many characters of a foreign text fit to stand in ours."""


def text(told: Message) -> str:
    """A heading and a line for each agent that is named."""
    return _text(told, lambda foreign, limit: shown(foreign, limit=limit))


def _text(told: Message, quote: Quote) -> str:
    lines = [_heading(told, quote)]
    room = LONGEST_TEXT - len(lines[0]) - len(_rest(told, 0))
    for agent in told.agents:
        line = _line(told, agent, quote)
        room -= len(line) + 1
        if room < 0:
            break
        lines.append(line)
    named = len(lines) - 1
    return "\n".join((*lines, _rest(told, named)) if named < told.total else lines)


def _heading(told: Message, quote: Quote) -> str:
    host = quote(told.host, LONGEST_NAME)
    if told.kind is MessageKind.TEST:
        return f"{host}: a test of the alerts; nothing is wrong"
    agents = "1 agent" if told.total == 1 else f"{told.total} agents"
    state = "in trouble" if told.kind is MessageKind.FIRING else "out of trouble"
    return f"{host}: {agents} {state}{_counts(told) if told.total > NAMED else ''}"


def _counts(told: Message) -> str:
    return " (" + ", ".join(f"{count} {reason}" for reason, count in told.reasons.items()) + ")"


def _line(told: Message, agent: Subject, quote: Quote) -> str:
    name = quote(agent.name, LONGEST_NAME)
    who = name if agent.title == agent.name else f"{quote(agent.title, LONGEST_NAME)} ({name})"
    why = f": {quote(agent.message, LONGEST_WORDS)}" if agent.message else ""
    since = agent.since.strftime("%Y-%m-%d %H:%M:%S UTC")
    span = f"since {since}" if told.kind is MessageKind.FIRING else f"it was in trouble since {since}"
    return f"- {who}: {agent.status}, {agent.reason}{why} ({span})"


def _rest(told: Message, named: int) -> str:
    return f"and {told.total - named} more"


# --- Bodies -----------------------------------------------------------------------------------------------------------


def webhook_body(told: Message) -> bytes:
    """Version 1 of what a webhook gets. `summary` is there where not all agents are named."""
    body: dict[str, Any] = {
        "version": 1,
        "id": told.id,
        "kind": told.kind,
        "host": shown(told.host),
        "at": told.at.isoformat(),
        "agents": [dict(_fields(agent)) for agent in told.agents],
        "text": text(told),
    }
    if told.total > len(told.agents):
        body["summary"] = {"total": told.total, "reasons": told.reasons}
    return json.dumps(body, ensure_ascii=False).encode()


def _fields(agent: Subject) -> Iterator[tuple[str, object]]:
    yield "name", shown(agent.name)
    yield "title", shown(agent.title, limit=LONGEST_WORDS)
    yield "project", shown(agent.project)
    yield "status", agent.status
    yield "reason", agent.reason
    yield "message", shown(agent.message, limit=LONGEST_DETAIL)
    yield "since", agent.since.isoformat()
    yield "health", agent.health
    if agent.url:
        yield "url", shown(agent.url)


def slack_body(told: Message) -> bytes:
    """What Slack, and what understands its incoming webhooks, shows as it is written here."""
    return json.dumps({"text": _text(told, slack_quoted)}, ensure_ascii=False).encode()


def slack_quoted(foreign: str, limit: int) -> str:
    """A foreign text as a code span, in which nothing is bold and nobody is meant.

    Besides the three characters that Slack asks to be escaped: Slack links addresses in code too, and ignores `parse`
    of incoming webhooks; and others who take this format know a bare `@channel`. So both are respelled.
    """
    safe = shown(foreign, limit=limit).replace("`", "\N{MODIFIER LETTER GRAVE ACCENT}")
    safe = safe.replace("@", "\N{FULLWIDTH COMMERCIAL AT}").replace("://", ":\N{DIVISION SLASH}\N{DIVISION SLASH}")
    safe = safe.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"`{safe}`" if safe.strip() else "(nothing)"
