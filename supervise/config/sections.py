"""The maps inside of an agent: `restart`, `quarantine`, `probes`, `heartbeat`, `resources`, `logs`, `depends_on`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from supervise import model
from supervise.config.commands import Command
from supervise.config.leaf import Leaf, Section, WrittenAs, WrittenSection, kind
from supervise.config.types import (
    Cpu,
    Delay,
    Endpoint,
    Factor,
    FiniteSpan,
    Line,
    Memory,
    OpenFiles,
    ProbeUrl,
    RateOrOff,
    RateText,
    Tasks,
    number,
    words,
)
from supervise.model import RestartPolicy


class RestartForm(WrittenSection):
    policy: Annotated[RestartPolicy, words(RestartPolicy)] = RestartPolicy.ALWAYS
    """When the service manager starts it again: always, on-failure, never."""
    delay: Delay = timedelta(seconds=2)
    """How long it waits before that."""
    burst: Annotated[int, number(1, 10_000)] = 5
    """So many starts within `window`, then the manager gives up."""
    window: FiniteSpan = timedelta(seconds=60)
    """See `burst`."""
    loop: RateOrOff = model.Rate(5, timedelta(minutes=15))
    """So many deaths within so long are a crash loop: `5 in 15min`, or `off`."""

    def meaning(self) -> model.Restart:
        return model.Restart(self.policy, self.delay, self.burst, self.window, self.loop)


class QuarantineForm(WrittenSection):
    first: FiniteSpan = timedelta(minutes=1)
    """The first retry after the manager has given up."""
    factor: Factor = 2.0
    """Every further wait is so many times longer."""
    max: FiniteSpan = timedelta(minutes=30)
    """The longest wait."""
    settle: FiniteSpan = timedelta(minutes=10)
    """After running for so long all is forgotten."""

    @model_validator(mode="after")
    def rises(self) -> QuarantineForm:
        if self.first > self.max:
            raise ValueError("'first' must not be longer than 'max'")
        return self

    def meaning(self) -> model.Quarantine:
        return model.Quarantine(self.first, self.factor, self.max, self.settle)


class ProbeSettings(Section):
    """A question from outside, with exactly one of http, tcp and command."""

    http: ProbeUrl | None = None
    """A URL, or a path below the agent's `url`; 2xx and 3xx are good."""
    tcp: Endpoint | None = None
    """HOST:PORT that must accept a connection."""
    command: Command | None = None
    """A command that must exit with 0; it runs as the agent's user in its sandbox."""
    expect: Line | None = None
    """With http: the status, or a text that the answer must contain."""
    interval: FiniteSpan = timedelta(seconds=10)
    """How often it is asked."""
    timeout: FiniteSpan = timedelta(seconds=5)
    """How long it may take to answer."""
    failures: Annotated[int, number(1, 1000)] = 3
    """So many failures in a row count."""


class Probes(Section):
    ready: ProbeSettings | None = None
    """Answers when the agent is ready after a start."""
    live: ProbeSettings | None = None
    """Answers as long as the agent lives; it is restarted if it does not."""


class HeartbeatSettings(Section):
    late_after: FiniteSpan | None = None
    """Without a sign of life for so long it is late; max(1min, watchdog) if unwritten."""
    silent_after: FiniteSpan | None = None
    """Without a sign of life for so long it is restarted; max(5min, 2 × watchdog) if unwritten."""

    def limits(self, watchdog: timedelta | None, *, written: bool = True) -> model.HeartbeatLimits:
        """Both limits, the unwritten ones from the watchdog."""
        beat = watchdog or timedelta()
        late = self.late_after or max(timedelta(minutes=1), beat)
        return model.HeartbeatLimits(late, self.silent_after or max(timedelta(minutes=5), 2 * beat), written)


class ResourcesForm(WrittenSection):
    memory: Memory | None = None
    """Killed above this: `512M` (steps of 1024), `50%` of the machine, `infinity`."""
    memory_high: Memory | None = None
    """Slowed down above this."""
    cpu: Cpu | None = None
    """`50%` is half of one processor, `200%` two whole ones."""
    tasks: Tasks | None = None
    """Most processes and threads."""
    open_files: OpenFiles | None = None
    """Most open files: `4096`, or `1024:4096` for soft and hard limit."""
    io_weight: Annotated[int, number(1, 10_000)] | None = None
    """Its share of disk time; 100 is everybody's."""

    def meaning(self) -> model.Resources:
        return model.Resources(self.memory, self.memory_high, self.cpu, self.tasks, self.open_files, self.io_weight)


class LogSettings(Section):
    rate_limit: RateText = model.Rate(1000, timedelta(seconds=30))
    """Lines above this rate are dropped: `1000/30s`."""


# --- depends_on -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DependsOn:
    """An agent of this file, or a unit name. `required`: without it the agent does not start."""

    name: str
    required: bool = False


def _dependency(given: object) -> DependsOn:
    if isinstance(given, Mapping):
        if len(given) != 1 or list(given.values()) != ["required"]:
            raise ValueError(
                "a name, or a name with 'required', is wanted: write market_data or {market_data: required}"
            )
        return DependsOn(_dependency_name(next(iter(given))), required=True)
    if not isinstance(given, str):
        raise ValueError(f"the name of an agent or a unit is wanted, not {kind(given)}")
    return DependsOn(_dependency_name(given))


def _dependency_name(text: str) -> str:
    name = str(text)
    if not name or not all(
        character.isascii() and (character.isalnum() or character in ":-_.@\\") for character in name
    ):
        raise ValueError(f"{kind(text)} is not the name of an agent or a unit")
    return name


Dependency = Annotated[
    DependsOn,
    BeforeValidator(_dependency),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "maxProperties": 1,
                    "minProperties": 1,
                    "additionalProperties": {"const": "required"},
                },
            ]
        }
    ),
]

# --- systemd ----------------------------------------------------------------------------------------------------------


def _directive(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ValueError("the value of a directive is one line; write a list for several lines")
    return str(text)


DirectiveLine = Annotated[str, Leaf(_directive, "text", {"type": ["string", "number", "boolean"]})]

RestartField = Annotated[model.Restart, WrittenAs(RestartForm)]
QuarantineField = Annotated[model.Quarantine | None, WrittenAs(QuarantineForm, off=True)]
ResourcesField = Annotated[model.Resources, WrittenAs(ResourcesForm)]
