"""One line of a unit file as a value, and the exact quoting that systemd's parsers undo. Pure.

The rules are those of systemd.syntax(7) and systemd.service(5) "Command lines"; each is proven by a round trip through
a real systemd in `tests/e2e/test_nasty_strings.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from supervise.model import FOREVER

PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
"""Words that mean the same to systemd with and without quotes."""

UNSPEAKABLE = re.compile("[\"'\\\\\x01-\x1f\x7f]")
"""What systemd takes in no name of a program, however it is quoted: "Executable name contains special characters"."""

GO_BETWEEN = ("/usr/bin/nice", "-n", "0", "--")
"""A program that takes any name, changes nothing and makes way for the one it names: the PID stays the same."""

ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "%": "%%"}


@dataclass(frozen=True, slots=True)
class Directive:
    """`[section] name=value`.

    `why` says in a few words what it is for. `at_exec`: it takes effect only when the process is started, so changing
    it asks for a restart; otherwise a reload is enough. `costs`: what a program may no longer do (hardening).
    """

    section: str
    name: str
    value: str
    why: str = ""
    at_exec: bool = True
    costs: str = ""


def word(text: str) -> str:
    """One word of a list or an assignment: quoted where it must be, specifiers doubled."""
    if PLAIN.fullmatch(text):
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def words(texts: Iterable[str]) -> str:
    return " ".join(word(text) for text in texts)


def command(argv: Iterable[str]) -> str:
    """A command line. With a `$` anywhere, the `:` prefix switches off systemd's own expansion of variables."""
    argv = tuple(argv)
    if UNSPEAKABLE.search(argv[0]):
        argv = GO_BETWEEN + argv
    prefix = ":" if any("$" in argument for argument in argv) else ""
    return prefix + words(argv)


def assignment(name: str, value: str) -> str:
    """One `Environment=` value."""
    return word(f"{name}={value}")


def rest_of_line(text: str | Path) -> str:
    """A value that systemd takes to the end of the line, unquoted (`Description=`, `WorkingDirectory=`).

    A backslash at its end would swallow the next line; a blank after it keeps the two apart, and is dropped.
    """
    value = str(text).replace("%", "%%")
    return f"{value} " if value.endswith("\\") else value


def glob_free(path: Path) -> str:
    """A path for a directive that expands globs (`EnvironmentFile=`)."""
    return rest_of_line(no_glob(path))


def no_glob(path: Path) -> str:
    """A path that glob(7) finds under its own name only."""
    return re.sub(r"([\[\]*?\\])", r"\\\1", str(path))


def span(length: timedelta) -> str:
    """A length of time, in seconds as far as it is whole."""
    if length == FOREVER:
        return "infinity"
    microseconds = length // timedelta(microseconds=1)
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{microseconds}us" if rest else f"{seconds}s"


def yes_no(value: bool) -> str:
    return "yes" if value else "no"


def _escaped(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    return f"\\x{ord(character):02x}" if ord(character) < 32 or ord(character) == 127 else character
