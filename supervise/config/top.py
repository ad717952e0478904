"""The top level of `agents.yaml` around its agents: the project, Supabase, the reconciler, the web page, the alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from supervise.config.agent import AgentSettings
from supervise.config.leaf import Leaf, Section
from supervise.config.secrets import SecretSource
from supervise.config.texts import pattern
from supervise.config.types import (
    AgentName,
    Delay,
    Endpoint,
    FiniteSpan,
    Line,
    PathText,
    Secret,
    SecretOnly,
    Slug,
    Span,
    Switch,
    Tag,
    Url,
    VariableName,
    Webhook,
    Word,
    number,
    words,
)
from supervise.endpoints import is_loopback, public
from supervise.model import Status, StatusRow

EMAIL = pattern(r"[^@\s]+@[^@\s]+", "is not an e-mail address")
Email = Annotated[str, Leaf(EMAIL, "an e-mail address", {"type": "string"})]
Emails = Annotated[
    tuple[Email, ...],
    BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
TABLES = ("agent_status",)
COLUMNS = tuple(sorted({"agent_name", *(one.name for one in fields(StatusRow))} - {"title", "lock", "past"}))
READ_BY_ALL = ("agent_name", "status", "health", "last_heartbeat", "last_error", "last_activity", "updated_at")
"""The columns that front ends made for a table of this kind know."""
LoopName = Annotated[
    str, Leaf(pattern(r"[a-z][a-z0-9_]*", "is not the name of an interval: small letters and _"), "a name")
]


def _one_of(names: tuple[str, ...], sentence: str) -> Leaf:
    expression = "|".join(names)
    return Leaf(pattern(expression, sentence), "a name", {"type": "string", "pattern": f"^({expression})$"})


TableName = Annotated[str, _one_of(TABLES, f"is not one of our tables: {', '.join(TABLES)}")]
Table = Annotated[
    str,
    Leaf(
        pattern(r"([A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,62}", "is not the name of a table"),
        "the name of a table",
        {"type": "string"},
    ),
]


ColumnName = Annotated[
    str,
    Leaf(
        pattern(r"[A-Za-z_][A-Za-z0-9_]{0,62}", "is not the name of a column"),
        "the name of a column",
        {"type": "string"},
    ),
]
OurColumn = Annotated[str, _one_of(COLUMNS, f"is not one of our columns: {', '.join(COLUMNS)}")]
StatusWord = Annotated[str, _one_of(tuple(Status), f"is not one of our words: {', '.join(Status)}")]


class TableSettings(Section):
    """A table of somebody else's that gets our rows too."""

    table: Table
    """Its name; `schema.name` where that is not public."""
    key: ColumnName | None = None
    """Its column that tells rows apart; the one for `agent_name` if unwritten."""
    columns: Mapping[OurColumn, ColumnName] = Field(default_factory=lambda: {one: one for one in READ_BY_ALL})
    """Its columns by ours."""
    words: Mapping[StatusWord, Line] = Field(default_factory=dict)
    """Its words by our status."""

    @model_validator(mode="after")
    def tells_rows_apart(self) -> TableSettings:
        if self.key is None and "agent_name" not in self.columns:
            raise ValueError("'columns' needs agent_name, or 'key' the column that tells rows apart")
        if self.key is not None and self.key not in self.columns.values():
            raise ValueError(f"'key' is {self.key!r}, which 'columns' fills with nothing")
        return self


TABLE_SCHEMA = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]})
NamedTable = Annotated[
    TableSettings, BeforeValidator(lambda given: {"table": given} if isinstance(given, str) else given), TABLE_SCHEMA
]


class SupabaseSettings(Section):
    url: Url | None = None
    """https://PROJECT.supabase.co"""
    key: Secret | None = None
    """Where the service key is kept: `file:PATH` or `encrypted:PATH`."""
    publishable_key: Word | None = None
    """Beside a key of this host alone (`supervise db host-key`); everybody may know it."""
    tables: Mapping[TableName, NamedTable] = Field(default_factory=dict)
    """Tables of others that are filled too: the name, or `table`, `columns`, `key` and `words`."""


class Retention(Section):
    events: FiniteSpan | None = None
    """How long events are kept."""
    samples: FiniteSpan | None = None
    """How long samples are kept."""


def _retention(given: object) -> object:
    """One time span stands for all."""
    return {"events": given, "samples": given} if isinstance(given, str) else given


_SPAN = {"type": ["string", "number"]}
RETENTION_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            _SPAN,
            {"type": "object", "properties": {"events": _SPAN, "samples": _SPAN}, "additionalProperties": False},
        ]
    }
)


class ReconcilerSettings(Section):
    intervals: Mapping[LoopName, Span] = Field(default_factory=dict)
    """How often it does what."""
    retention: Annotated[Retention, BeforeValidator(_retention), RETENTION_SCHEMA] = Retention()
    """How long history is kept: one time span, or one for `events` and one for `samples`."""
    remote_control: Switch = False
    """Whether agents may be started and stopped through Supabase."""
    metrics_listen: Endpoint | None = None
    """HOST:PORT where Prometheus asks; unwritten, nowhere."""
    metrics_public: Switch = False
    """Whether others than this machine may ask there; no password is asked."""

    @model_validator(mode="after")
    def is_public_only_if_that_is_written(self) -> ReconcilerSettings:
        if self.metrics_listen and not self.metrics_public and not is_loopback(self.metrics_listen):
            raise ValueError(
                f"metrics_listen: {public(self.metrics_listen)}; write metrics_public: true if that is meant"
            )
        return self


class WebSettings(Section):
    listen: Endpoint = "127.0.0.1:8787"
    """HOST:PORT of the dashboard."""
    base_url: Url | None = None
    """The address that people see, behind a proxy."""
    token_file: PathText | None = None
    """The file with the token that is asked for."""
    tls_cert: PathText | None = None
    """The certificate; goes together with `tls_key`."""
    tls_key: PathText | None = None
    """The key of the certificate."""
    behind_proxy: Switch = False
    """Whether a proxy in front tells who is asking."""

    @model_validator(mode="after")
    def has_both_halves_of_tls(self) -> WebSettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go only together")
        return self


def _unsealed(source: str | SecretSource) -> str | SecretSource:
    """Agents get sealed files opened by their manager; nobody opens one for the reconciler."""
    if isinstance(source, SecretSource) and source.kind == "encrypted":
        raise ValueError("the reconciler reads plain files: write file:PATH")
    return source


PLAIN_FILE = WithJsonSchema({"type": "string", "pattern": r"^file:|\$\{"})
PlainWebhook = Annotated[Webhook, AfterValidator(_unsealed)]
PlainSecret = Annotated[Secret, AfterValidator(_unsealed), PLAIN_FILE]
PlainSecretOnly = Annotated[SecretOnly, AfterValidator(_unsealed), PLAIN_FILE]


class Severity(StrEnum):
    WARNING = "warning"
    ERROR = "error"


class Alert(Section):
    """Whom to tell, and about what. Exactly one of webhook, slack, email and apprise."""

    WAYS: ClassVar[tuple[str, ...]] = ("webhook", "slack", "email", "apprise")

    webhook: PlainWebhook | None = None
    """The URL, or `file:PATH` of a file that holds it."""
    slack: PlainSecretOnly | None = None
    """`file:PATH` of a file with the webhook's URL, which is itself a secret."""
    email: Emails | None = None
    """An address, or a list."""
    apprise: PlainSecretOnly | None = None
    """`file:PATH` of a file with Apprise URLs."""
    smtp: Endpoint | None = None
    """With email: HOST:PORT of the mail server."""
    sender: Email | None = None
    """With email: the address that it comes from."""
    secret: PlainSecret | None = None
    """`file:PATH` of the key that signs a webhook, or of the mail server's password."""
    hold_down: Delay = timedelta(seconds=30)
    """A trouble that is over sooner is not told."""
    repeat: FiniteSpan | None = None
    """Told again after so long, while the trouble lasts."""
    resolved: Switch = True
    """Also told when it is over."""
    min_status: Annotated[Severity, words(Severity)] = Severity.ERROR
    """From this status on: warning, error."""
    agents: tuple[AgentName, ...] = ()
    """Only about these agents."""
    tags: tuple[Tag, ...] = ()
    """Only about agents with one of these tags."""

    @model_validator(mode="after")
    def goes_one_way(self) -> Alert:
        ways = [way for way in self.WAYS if getattr(self, way) is not None]
        if len(ways) != 1:
            found = f"not {' and '.join(ways)}" if ways else "and none is written"
            raise ValueError(f"exactly one of {', '.join(self.WAYS)} is wanted, {found}")
        if self.email is None and (self.smtp is not None or self.sender is not None):
            raise ValueError("'smtp' and 'sender' go only with email")
        return self


class File(Section):
    """The description of a project's agents."""

    version: Annotated[int, number(1, 1)] = 1
    """The version of this layout: 1."""
    project: Slug | None = None
    """The project's name; the folder's if unwritten."""
    vars: Mapping[VariableName, Word] = Field(default_factory=dict)
    """What `${NAME}` stands for in values."""
    defaults: AgentSettings = AgentSettings()
    """Any key of an agent; an agent's own value wins, maps merge."""
    agents: Mapping[AgentName, AgentSettings] = Field(default_factory=dict)
    """The agents by name."""
    supabase: SupabaseSettings = SupabaseSettings()
    """Where the table is copied to."""
    reconciler: ReconcilerSettings = ReconcilerSettings()
    """How the daemon works."""
    web: WebSettings = WebSettings()
    """The dashboard."""
    alerts: tuple[Alert, ...] = ()
    """Whom to tell."""
