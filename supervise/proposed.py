"""An agent that `supervise init` proposes, and the names which agents may have. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

NAME_LENGTH = 51
MOST_CHARACTERS = 4096
COMMON = frozenset({"main", "app", "run", "agent", "bot", "start", "server", "cli", "worker", "index", "__main__"})
"""Names of scripts that say nothing: their folder's name says more."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """`command` may begin with a bare `python`, or with a path relative to `working_directory`, which is absolute."""

    name: str
    title: str
    command: tuple[str, ...]
    working_directory: Path
    comment: str


def proposal(named_after: str, command: tuple[str, ...], working_directory: Path, comment: str) -> Proposal:
    name = slug(named_after)
    return Proposal(name, titled(name), command, working_directory, comment)


def telling(stem: str, folder: Path) -> str:
    """What to name an agent after: its script, or the folder of a script whose name says nothing."""
    return folder.name if stem in COMMON and folder.name else stem


def slug(text: str) -> str:
    """A valid agent name that resembles the text."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower())
    name = "_".join(words) or "agent"
    return (name if name[0].isalpha() else f"agent_{name}")[:NAME_LENGTH].rstrip("_")


def titled(name: str) -> str:
    return name.replace("_", " ").title()


def unique(proposals: Iterable[Proposal]) -> tuple[Proposal, ...]:
    """The same proposals; later ones of a name get `_2`, `_3` …, and their titles follow."""
    taken: set[str] = set()
    named: list[Proposal] = []
    for one in proposals:
        name = _free(one.name, taken)
        taken.add(name)
        named.append(one if name == one.name else replace(one, name=name, title=titled(name)))
    return tuple(named)


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name[: NAME_LENGTH - len(f'_{number}')]}_{number}"
    return free


def sayable(one: Proposal) -> bool:
    """Whether it can stand in a file: words of bytes that are no UTF-8 cannot, and nobody wants a whole page."""
    words = "".join((*one.command, str(one.working_directory)))
    return len(words) <= MOST_CHARACTERS and not any("\ud800" <= character <= "\udfff" for character in words)
