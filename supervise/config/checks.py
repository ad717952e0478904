"""What can only be judged by looking at several keys of one agent together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

from supervise.config.agent import AgentSettings
from supervise.config.nodes import Loc
from supervise.config.sections import ProbeSettings
from supervise.config.settings import Places
from supervise.config.sizes import size
from supervise.errors import Problem
from supervise.model import Notify, NotifyAccess
from supervise.spans import span_text
from supervise.text import secret_looking

_OPTION = re.compile(r"--?(?P<option>[A-Za-z][A-Za-z0-9_.-]*)(=.*)?|(?P<variable>[A-Za-z_][A-Za-z0-9_]*)=.*", re.DOTALL)
_SET_BY_SYSTEM = re.compile(
    "SUPERVISE_(?!REVISION$).*|WATCHDOG_.*|LISTEN_.*|NOTIFY_SOCKET|CREDENTIALS_DIRECTORY|INVOCATION_ID|JOURNAL_STREAM"
)
"""All that begins with our name but the revision of an agent's code, which its owner may tell."""
_RESENT = timedelta(seconds=5)
"""So seldom the agents' library tells the reconciler of what has not changed."""
_ONLY_WITH_SCHEDULE = ("deadline", "max_runtime", "catch_up")


def agent_problems(places: Places, loc: Loc, agent: AgentSettings) -> Iterator[Problem]:
    """Everything wrong or doubtful in one agent (or in `defaults`, as far as that can be wrong alone)."""
    yield from _environment(places, loc, agent)
    yield from _plain_secrets(places, loc, agent)
    yield from _memory(places, loc, agent)
    yield from _accounts(places, loc, agent)
    yield from _empty_hosts(places, loc, agent)
    if loc[0] == "agents":
        yield from _command(places, loc, agent)
        yield from _schedule(places, loc, agent)
        yield from _probes(places, loc, agent)
        yield from _heartbeat(places, loc, agent)
        yield from _doubts(places, loc, agent)


def _command(places: Places, loc: Loc, agent: AgentSettings) -> Iterator[Problem]:
    if not agent.enabled or places.given(*loc, "command"):
        return
    if places.root.at((*loc, "command")) is None or places.given_itself("defaults", "command"):
        yield places.problem("'command' is missing; write what to run, or enabled: false", *loc, at_key=True)


def _environment(places: Places, loc: Loc, agent: AgentSettings) -> Iterator[Problem]:
    for name in agent.environment:
        if _SET_BY_SYSTEM.fullmatch(name):
            yield places.problem("this variable is set by the system", *loc, "environment", name, at_key=True)


def _plain_secrets(places: Places, loc: Loc, agent: AgentSettings) -> Iterator[Problem]:
    allowed = {_same(name) for name in agent.allow_plain}
    for name in agent.environment:
        if secret_looking(name) and _same(name) not in allowed:
            yield places.problem(_secret_text(name), *loc, "environment", name, at_key=True)
    for key, words in _commands(agent).items():
        for index, word in enumerate(words):
            match = _OPTION.fullmatch(word)
            name = (match["option"] or match["variable"]) if match else ""
            if secret_looking(name) and _same(name) not in allowed:
                yield _at_word(places, _secret_text(name), *loc, *key, index)


def _commands(agent: AgentSettings) -> Mapping[Loc, tuple[str, ...]]:
    ready, live = agent.probes.ready, agent.probes.live
    return {
        ("command",): agent.command,
        ("before_start",): agent.before_start,
        ("probes", "ready", "command"): (ready.command if ready else None) or (),
        ("probes", "live", "command"): (live.command if live else None) or (),
    }


def _at_word(places: Places, text: str, *loc: str | int) -> Problem:
    """A problem of one word of a command, which may be written as one text."""
    return places.problem(text, *(loc if places.written(*loc) else loc[:-1]))


def _same(name: str) -> str:
    return name.strip("-").upper().replace("-", "_")


def _secret_text(name: str) -> str:
    variable = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").upper()
    return (
        f"'{name}' looks like a secret, and everybody on this machine could read it; "
        f"write secrets: {{{variable}: file:PATH}}, or allow_plain: [{name}] if it is none"
    )


def _memory(places: Places, loc: Loc, agent: AgentSettings) -> Iterator[Problem]:
    high, most = agent.resources.memory_high, agent.resources.memory
    sizes = [limit for limit in (high, most) if limit and limit != "infinity" and not limit.endswith("%")]
    if len(sizes) == 2 and size(sizes[0]) > size(sizes[1]):
        yield places.problem(f"memory_high {high} is above memory {most}", *loc, "resources", "memory_high")


def _accounts(places: Places, loc: Loc, agent: AgentSettings) -> Iterator[Problem]:
    for key in ("user", "group"):
        if agent.dynamic_user and getattr(agent, key) is not None:
            yield places.problem(f"'{key}' and dynamic_user exclude each other", *loc, key)


def _empty_hosts(places: Places, loc: Loc, agent: AgentSettings) -> Iterator[Problem]:
    if agent.hosts == ():
        yield places.problem("no host is named; remove the key for all hosts, or write enabled: false", *loc, "hosts")


def _schedule(places: Places, loc: Loc, agent: AgentSettings) -> Iterator[Problem]:
    for key in _ONLY_WITH_SCHEDULE:
        if places.given_itself(*loc, key) and not places.given(*loc, "schedule"):
            yield places.problem(f"'{key}' goes only with 'schedule'", *loc, key, at_key=True)


def _probes(places: Places, loc: Loc, agent: AgentSettings) -> Iterator[Problem]:
    for which, probe in (("ready", agent.probes.ready), ("live", agent.probes.live)):
        if probe is not None:
            yield from _probe(places, (*loc, "probes", which), probe, has_url=places.given(*loc, "url"))


def _probe(places: Places, loc: Loc, probe: ProbeSettings, *, has_url: bool) -> Iterator[Problem]:
    ways = [way for way in ("http", "tcp", "command") if places.given(*loc, way)]
    if len(ways) != 1:
        found = f"not {' and '.join(ways)}" if ways else "and none is written"
        yield places.problem(f"exactly one of http, tcp and command is wanted, {found}", *loc, at_key=True)
    if probe.expect is not None and "http" not in ways:
        yield places.problem("'expect' goes only with http", *loc, "expect", at_key=True)
    if probe.http and probe.http.startswith("/") and not has_url:
        text = "a path wants the agent's 'url'; write url: http://localhost:8000, or a whole URL here"
        yield places.problem(text, *loc, "http")


def _heartbeat(places: Places, loc: Loc, agent: AgentSettings) -> Iterator[Problem]:
    limits = agent.heartbeat_limits
    if limits.written and limits.late_after >= limits.silent_after:
        late, silent = span_text(limits.late_after), span_text(limits.silent_after)
        text = f"late_after ({late}) must be shorter than silent_after ({silent})"
        yield places.problem(text, *loc, "heartbeat", at_key=True)
    elif limits.written and limits.late_after <= _RESENT:
        every = span_text(_RESENT)
        text = f"an agent that is well may be late: what has not changed, its library tells every {every}"
        yield places.problem(text, *loc, "heartbeat", warning=True)


def _doubts(places: Places, loc: Loc, agent: AgentSettings) -> Iterator[Problem]:
    if agent.notify is Notify.NEVER and agent.notify_access is NotifyAccess.ALL:
        text = "without effect: notify is false"
        yield places.problem(text, *loc, "notify_access", warning=True)
    if agent.instances and agent.instances > 1 and agent.url:
        text = f"all {agent.instances} instances share this address"
        yield places.problem(text, *loc, "url", warning=True)
