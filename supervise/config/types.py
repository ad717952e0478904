"""The kinds of single values that `agents.yaml` knows: Python type, parser, what it wants, what editors are told."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from supervise.config.leaf import Leaf
from supervise.config.limits import cpu_limit, files_limit, memory_limit, tasks_limit
from supervise.config.numbers import factor, length, or_off, rate, switch, whole
from supervise.config.secrets import SecretSource, secret_only, secret_source, webhook
from supervise.config.texts import (
    AGENT_NAME,
    agent_name,
    calendar,
    choice,
    endpoint,
    line,
    path,
    pattern,
    probe_url,
    signal_name,
    url,
    word,
)
from supervise.model import Rate

VARIABLE = {"type": "string", "pattern": r"\$\{"}
"""For editors: a value that is only known when `${NAME}` is expanded."""

_TEXT = {"type": ["string", "number", "boolean"]}
_SPAN = {"type": ["string", "number"], "examples": ["30s", "1min 30s", "infinity"]}
_SPAN_OR_OFF = {"type": ["string", "number"], "examples": ["30s", "1min 30s", "off"]}


def words(enum: type[StrEnum]) -> Leaf:
    """The leaf of an enum."""
    spelt = [member.value for member in enum]
    allowed: list[object] = [{"true": True, "false": False}.get(word, word) for word in spelt]
    return Leaf(choice(enum), f"one of {', '.join(spelt)}", {"anyOf": [{"enum": allowed}, VARIABLE]})


def number(low: int, high: int) -> Leaf:
    """The leaf of a whole number within bounds."""
    bounds = {"type": "integer", "minimum": low, "maximum": high}
    return Leaf(whole(low, high), "a whole number", {"anyOf": [bounds, VARIABLE]})


Word = Annotated[str, Leaf(word, "text", _TEXT)]
Line = Annotated[str, Leaf(line, "text", _TEXT)]
PathText = Annotated[str, Leaf(path, "a path", {"type": "string", "minLength": 1})]
Url = Annotated[str, Leaf(url, "a URL", {"type": "string", "examples": ["http://localhost:8000"]})]
ProbeUrl = Annotated[str, Leaf(probe_url, "a path or a URL", {"type": "string", "examples": ["/health"]})]
Endpoint = Annotated[str, Leaf(endpoint, "HOST:PORT", {"type": "string", "examples": ["localhost:8000"]})]
Switch = Annotated[bool, Leaf(switch, "true or false", {"anyOf": [{"type": "boolean"}, VARIABLE]})]
Span = Annotated[timedelta, Leaf(length(), "a time span such as 30s", _SPAN)]
FiniteSpan = Annotated[timedelta, Leaf(length(forever=False), "a time span such as 30s", _SPAN)]
Delay = Annotated[timedelta, Leaf(length(zero=True, forever=False), "a time span such as 2s", _SPAN)]
SpanOrOff = Annotated[
    timedelta | None, Leaf(or_off(length(forever=False)), "a time span such as 30s, or off", _SPAN_OR_OFF)
]
RateText = Annotated[Rate, Leaf(rate, "a rate such as 1000/30s", {"type": "string"})]
RateOrOff = Annotated[Rate | None, Leaf(or_off(rate), "a rate such as 5 in 15min, or off", {"type": "string"})]
Factor = Annotated[float, Leaf(factor, "a number", {"anyOf": [{"type": "number", "minimum": 1}, VARIABLE]})]
Signal = Annotated[str, Leaf(signal_name, "a signal such as SIGTERM", {"type": ["string", "integer"]})]
Calendar = Annotated[str, Leaf(calendar, "a calendar expression", {"type": "string"})]
Memory = Annotated[str, Leaf(memory_limit, "a size such as 512M", {"type": ["string", "integer"]})]
Cpu = Annotated[str, Leaf(cpu_limit, "a percentage such as 50%", {"type": "string"})]
Tasks = Annotated[str, Leaf(tasks_limit, "a number", {"type": ["string", "integer"]})]
OpenFiles = Annotated[str, Leaf(files_limit, "a number", {"type": ["string", "integer"]})]
Secret = Annotated[
    SecretSource,
    Leaf(secret_source, "file:PATH or encrypted:PATH", {"type": "string", "pattern": r"^(file|encrypted):|\$\{"}),
]
SecretOnly = Annotated[
    SecretSource,
    Leaf(secret_only, "file:PATH or encrypted:PATH", {"type": "string", "pattern": r"^(file|encrypted):|\$\{"}),
]
Webhook = Annotated[str | SecretSource, Leaf(webhook, "a URL or file:PATH", {"type": "string"})]
AgentName = Annotated[
    str,
    Leaf(
        agent_name,
        "a name",
        {"type": "string", "pattern": f"^{AGENT_NAME}$"},
    ),
]
Slug = Annotated[
    str,
    Leaf(
        pattern(r"[a-z][a-z0-9_-]{0,50}", "is not a project's name: small letters, digits, _ and -, a letter first"),
        "a name",
        {"type": "string", "pattern": r"^[a-z][a-z0-9_-]{0,50}$|\$\{"},
    ),
]
Account = Annotated[
    str,
    Leaf(
        pattern(r"[A-Za-z_][A-Za-z0-9_.@-]{0,200}\$?|[0-9]{1,10}", "is not the name or number of an account"),
        "the name of an account",
        {"type": ["string", "integer"]},
    ),
]
Tag = Annotated[
    str,
    Leaf(
        pattern(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,50}", "is not a tag: letters, digits, _ - and ."),
        "a tag",
        {"type": ["string", "number"]},
    ),
]
HostPattern = Annotated[
    str,
    Leaf(
        pattern(r"(tag:)?[A-Za-z0-9*?\[\]!_.-]{1,255}", "is not a host name, a glob of one, or tag:NAME"),
        "a host name",
        {"type": "string"},
    ),
]
VariableName = Annotated[
    str,
    Leaf(
        pattern(r"[A-Za-z_][A-Za-z0-9_]*", "is not a name of a variable: letters, digits and _, no digit first"),
        "a name",
        {"type": "string"},
    ),
]
SecretName = Annotated[
    str,
    Leaf(
        pattern(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}", "is not a name of a secret: letters, digits, _ - and ."),
        "a name",
        {"type": "string"},
    ),
]
