"""Our nouns as plain data or JSON, and back: enums by value, times as RFC 3339, lengths of time as ISO 8601.

What cannot be read raises ValueError, which says where. The library comes lazily, and takes a tenth of the memory of
the one with which `supervise.config` also explains a user's mistakes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from msgspec.json import Decoder


def to_plain(value: object) -> Any:
    """As `json` writes it. Halves of surrogate pairs stay as they are."""
    import msgspec

    return msgspec.to_builtins(value, enc_hook=str)


def to_json(value: object, *, indent: int = -1) -> str:
    """Compact, or indented by so many spaces. Raises UnicodeEncodeError for halves of surrogate pairs."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=indent).decode()


def of_plain(kind: Any, said: object) -> Any:
    """A value of this kind."""
    import msgspec

    return msgspec.convert(said, kind, dec_hook=_of_text)


def of_json(kind: Any, text: str) -> Any:
    """A value of this kind."""
    try:
        return _decoder(kind).decode(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


@cache
def _decoder(kind: Any) -> Decoder[Any]:
    from msgspec.json import Decoder

    return Decoder(kind, dec_hook=_of_text)


def _of_text(kind: type, said: Any) -> Any:
    """What the library knows nothing of; by NotImplementedError it is told that we do not either."""
    if kind is Path:
        return Path(said)
    raise NotImplementedError(kind)
