"""What a failed call means for what was to be sent: try again, have a person look, or set this one item aside. Pure.

Codes count by family and never by their message: PostgREST words them otherwise in each version.
"""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum

from supervise.errors import SuperviseError
from supervise.text import shown


class Kind(StrEnum):
    AWAY = "away"
    """It passes by itself."""
    SLOW = "slow"
    """As `AWAY`; and less at once may get through."""
    REFUSED = "refused"
    """The key or the tables are wrong: nothing gets through until a person has put that right, and nothing is lost."""
    UNFIT = "unfit"
    """Something of what was sent, and would be refused for ever."""


class Fault(SuperviseError):
    """A call that failed. The text is for people, and holds no secret."""

    def __init__(self, kind: Kind, text: str, *, code: str = "", retry_after: timedelta | None = None) -> None:
        self.kind = kind
        self.code = code
        self.retry_after = retry_after
        super().__init__(shown(" ".join(text.split()), limit=300))

    @property
    def passes(self) -> bool:
        """By itself."""
        return self.kind in (Kind.AWAY, Kind.SLOW)


PASSING = frozenset({400, 408, 425, 429})
"""Statuses that pass, besides all of 5xx. PostgREST answers a bare 400 while its database is killed."""
CODES: tuple[tuple[str, Kind], ...] = (
    (r"57014|PGRST003", Kind.SLOW),  # a statement, or the wait for a connection, took too long
    (r"PGRST00\d|08...|40001|40P01|53...|57P..|55P03|25006", Kind.AWAY),
    (r"22...|23...|54...|P0001|PGRST1\d\d", Kind.UNFIT),
    (r"28...|42501|PGRST3\d\d", Kind.REFUSED),
    (r"3F000|42...|PGRST2\d\d", Kind.REFUSED),
)
"""SQLSTATE classes (PostgreSQL, appendix A) and PostgREST's groups of errors; the first that fits counts."""
KEY = re.compile(r"28...|PGRST3\d\d")
SCHEMA = re.compile(r"3F000|42(?!501)...|PGRST2\d\d")
MIGRATE = "its tables are not those of this version (`supervise db status`)"


def of_answer(status: int, code: str, said: str, *, retry_after: timedelta | None = None) -> Fault:
    """`code`: of the body, where it is one of PostgREST's or PostgreSQL's."""
    kind = next((kind for pattern, kind in CODES if re.fullmatch(pattern, code)), None) or _by_status(status)
    return Fault(kind, _words(status, code, said), code=code or str(status), retry_after=retry_after)


def _by_status(status: int) -> Kind:
    if status in (504, 524):
        return Kind.SLOW
    if status in PASSING or status >= 500:
        return Kind.AWAY
    return Kind.UNFIT if status == 413 else Kind.REFUSED


def _words(status: int, code: str, said: str) -> str:
    if status == 401 or KEY.fullmatch(code):
        return f"the key is refused: {said or status}"
    if code == "42501" or status == 403:
        return f"the key may not do this: {said or status}"
    if SCHEMA.fullmatch(code):
        return f"{MIGRATE}: {said or code}"
    if status == 429:
        return "it asks us to slow down (429)"
    if 300 <= status < 400:
        return f"it answers with a redirect ({status}); is the address right?"
    return f"{said} ({code or status})" if said else f"it answers {status}"


def no_supabase(kind: str) -> Fault:
    """A good answer of another kind than JSON: a login page, or somebody else's server."""
    return Fault(Kind.REFUSED, f"what answers there is no Supabase: it sends {kind or 'nothing'} and not JSON")


def of_transport(name: str, text: str, *, host: str) -> Fault:
    """Nobody answered, or not to the end: `name` is that of httpx's exception."""
    text = re.sub(r"^\[Errno -?\d+\] ", "", text)
    if name == "ConnectTimeout":
        return Fault(Kind.AWAY, f"no connection to {host} in time")
    if name == "PoolTimeout":
        return Fault(Kind.AWAY, "no free connection in time")
    if name.endswith("Timeout"):
        return Fault(Kind.SLOW, "no answer in time")
    if name in ("UnsupportedProtocol", "InvalidURL", "LocalProtocolError"):
        return Fault(Kind.REFUSED, f"{host} cannot be asked: {text or name}")
    if "certificate" in text.lower():
        return Fault(Kind.REFUSED, f"{host} cannot be trusted: {text}")
    if re.search(r"name resolution|name or service|nodename|no address", text, re.IGNORECASE):
        return Fault(Kind.AWAY, f"{host} is not found: {_small(text)}")
    return Fault(Kind.AWAY, _small(text) or name)


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]
