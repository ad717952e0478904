"""A command as the words that a program is started with. No shell ever sees it, so shell syntax is refused, not run."""

from __future__ import annotations

import re
import shlex
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from supervise.config.leaf import kind
from supervise.config.types import Word

_QUOTED = re.compile(r"""\\[^\n]|'[^']*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_OPERATOR = re.compile(r"&&|\|\||>>|<<|\$\(|[|&;<>()`]")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def split(text: str) -> list[str]:
    """The words of `text` by POSIX shell rules; ValueError if it needs a shell to mean anything."""
    bare = _QUOTED.sub("_", text.strip())
    if operator := _OPERATOR.search(bare):
        raise ValueError(
            f"'{operator[0]}' would need a shell, and a command is never run by a shell; "
            "quote it, or write a list such as [sh, -c, '…']"
        )
    if "\n" in bare:
        raise ValueError("the command has several lines; write one line, or a list of words")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"the command cannot be split into words: {str(error).lower()}") from None
    if words and _ASSIGNMENT.match(words[0]):
        raise ValueError(f"'{words[0].partition('=')[0]}=' sets a variable; write it under 'environment'")
    return words


def _words(given: object) -> object:
    if isinstance(given, str):
        return split(given)
    if not isinstance(given, list):
        raise ValueError(f"a list of words or one text is wanted, not {kind(given)}")
    return given


def _startable(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words:
        raise ValueError("the command is empty")
    if not words[0].strip():
        raise ValueError("the first word of the command, the program, is empty")
    return words


Command = Annotated[
    tuple[Word, ...],
    BeforeValidator(_words),
    AfterValidator(_startable),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}},
            ]
        }
    ),
]
