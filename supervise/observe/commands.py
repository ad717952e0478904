"""What a command line runs: the script, module or program behind interpreters, their options and `env`. Pure.

`python -u run.py --fast`, `/srv/.venv/bin/python3 run.py --fast` and `env A=1 python -X dev run.py --fast` are the
same. Options of CPython: `python --help-all`, `_PyOS_GetOpt` (Python/getopt.c).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

INTERPRETERS = {
    "python": re.compile(r"(?:python|pypy)w?[0-9.]*t?d?m?(?:-dbg)?(?:\.exe)?"),
    "shell": re.compile(r"(?:ba|da|z|k|mk|a|fi)?sh[0-9.]*"),
    "node": re.compile(r"node(?:js)?[0-9.]*"),
    "ruby": re.compile(r"ruby[0-9.]*"),
    "perl": re.compile(r"perl[0-9.]*"),
    "php": re.compile(r"php[0-9.]*"),
}
PYTHON_VALUES = frozenset("WX")
PYTHON_LONG_VALUES = frozenset({"--check-hash-based-pycs", "--jit"})
OPAQUE = {"shell": frozenset("coOs")}
"""Short options after which the first plain word is no script: a command line with one is compared word by word."""
OPAQUE_ELSEWHERE = frozenset("eEprIMCcnxR")
OPAQUE_LONG = frozenset({"--eval", "--print", "--require", "--import", "--loader", "--init-file", "--rcfile", "--run"})
ENV_VALUES = frozenset("uCa")
ENV_LONG_VALUES = frozenset({"--unset", "--chdir", "--argv0"})
LAUNCHERS = {"nohup": "", "setsid": "", "nice": "n", "ionice": "cnpPu", "stdbuf": "ioe"}
"""Programs that become the command which they start, with their short options that take a value."""


class Kind(StrEnum):
    """What the target of a command is."""

    SCRIPT = "script"
    MODULE = "module"
    CODE = "code"
    STDIN = "stdin"
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class Command:
    """`target` is the script's or program's path as it was written, the module's name, or the code itself.

    `interpreter` is the family that runs a script (`python`, `shell` …), empty for a program.
    """

    kind: Kind
    target: str
    arguments: tuple[str, ...]
    interpreter: str = ""


def command(argv: Sequence[str], *, program: str = "") -> Command:
    """What the words run. `program`: the executable if the kernel told it, which counts more than the first word."""
    words = tuple(argv)
    if basename(program or words[0]) in ("env", "coreutils") and basename(words[0]) == "env":
        words, program = without_env(words), ""
    program = program or words[0]
    family = interpreter(program)
    if family == "python":
        return _python(words[1:])
    return _script(family, program, words[1:]) if family else Command(Kind.PROGRAM, program, words[1:])


def wanted(words: Sequence[str]) -> Command:
    """What an agent's configured command runs, once `env`, `nohup` and other launchers have become it."""
    rest = tuple(words)
    while len(rest) > 1:
        name = basename(rest[0])
        shorter = without_env(rest) if name == "env" else _without_launcher(rest) if name in LAUNCHERS else rest
        if shorter == rest:
            break
        rest = shorter
    return command(rest)


def interpreter(program: str) -> str:
    """The family of an interpreter's path or name; empty for any other program."""
    name = basename(program).removeprefix("-")  # login shells call themselves `-bash`
    return next((family for family, names in INTERPRETERS.items() if names.fullmatch(name)), "")


def basename(path: str) -> str:
    return path.rpartition("/")[2]


def without_env(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words after `env`, its options and its assignments; unchanged when `env` would start nothing."""
    rest = list(words[1:])
    while rest and rest[0].startswith("-") and rest[0] != "--":
        option = rest.pop(0)
        split = _split_string(option, rest)
        if split is not None:
            rest = split
        elif option in ENV_LONG_VALUES or (not option.startswith("--") and option[-1] in ENV_VALUES):
            del rest[:1]
    if rest[:1] == ["--"]:
        del rest[0]
    while rest and "=" in rest[0]:
        del rest[0]
    return tuple(rest) or words


def _split_string(option: str, rest: list[str]) -> list[str] | None:
    """The words that `env -S "python -u x.py"` puts in the place of the option; None for any other option."""
    attached = re.fullmatch(r"(?:-[iv0]*S|--split-string=)(?P<text>.*)", option, re.DOTALL)
    if not attached and option != "--split-string":
        return None
    text, after = (attached["text"], rest) if attached and attached["text"] else (" ".join(rest[:1]), rest[1:])
    try:
        return [*shlex.split(text), *after]
    except ValueError:
        return [text, *after]


def _without_launcher(words: tuple[str, ...]) -> tuple[str, ...]:
    values = LAUNCHERS[basename(words[0])]
    rest = list(words[1:])
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break
        if len(option) == 2 and option[1] in values:
            del rest[:1]
    return tuple(rest) or words


def _python(words: tuple[str, ...]) -> Command:
    """Python's own reading of its command line: the first plain word, `-c` or `-m` ends its options."""
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "-":
            return Command(Kind.STDIN, "", words[at:], "python")
        if word == "--":
            break
        if not word.startswith("-"):
            return Command(Kind.SCRIPT, word, words[at:], "python")
        if word.startswith("--"):
            at += word in PYTHON_LONG_VALUES
            continue
        letter, value = _first_valued(word[1:])
        if letter in PYTHON_VALUES:
            at += not value
        elif letter:
            kind = Kind.CODE if letter == "c" else Kind.MODULE
            rest = words[at:] if value else words[at + 1 :]
            return Command(kind, value or "".join(words[at : at + 1]), rest, "python")
    if at < len(words):
        return Command(Kind.SCRIPT, words[at], words[at + 1 :], "python")
    return Command(Kind.STDIN, "", (), "python")


def _first_valued(letters: str) -> tuple[str, str]:
    """The first of combined short options that takes a value, and what is attached to it: `um`, `uBWerror`."""
    for at, letter in enumerate(letters):
        if letter in "cm" or letter in PYTHON_VALUES:
            return letter, letters[at + 1 :]
    return "", ""


def _script(family: str, program: str, words: tuple[str, ...]) -> Command:
    """The script of an interpreter whose options we do not know one by one; a program where that is unsafe."""
    opaque = OPAQUE.get(family, OPAQUE_ELSEWHERE)
    for at, word in enumerate(words):
        if word == "--" and words[at + 1 :]:
            return Command(Kind.SCRIPT, words[at + 1], words[at + 2 :], family)
        if not word.startswith("-"):
            return Command(Kind.SCRIPT, word, words[at + 1 :], family)
        if word in OPAQUE_LONG or word in ("-", "--") or (word[1] != "-" and not opaque.isdisjoint(word)):
            break
    return Command(Kind.PROGRAM, program, words)
