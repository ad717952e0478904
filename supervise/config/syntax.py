"""What the YAML parser stumbled over, in words for people, at the place that they have to look at."""

from __future__ import annotations

from pathlib import Path

import yaml

from supervise.errors import Mark, Problem


def place(file: Path, text: str, position: int) -> Mark:
    before = text[:position]
    return Mark(file, before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1)


def syntax_problem(error: yaml.YAMLError, text: str, file: Path) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        position = next((at for at, character in enumerate(text) if _unprintable(character)), 0)
        return Problem(place(file, text, position), "", "a control character; write it as an escape in double quotes")
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return Problem(Mark(file, 1, 1), "", f"this is not YAML: {error}")
    here = Mark(file, mark.line + 1, mark.column + 1)
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: mark.column + 1]:
        return Problem(Mark(file, here.line, line.index("\t") + 1), "", "a tab; YAML is indented with blanks only")
    context = f" {error.context}" if error.context else ""
    return Problem(here, "", f"this is not YAML: {error.problem}{context}")


def _unprintable(character: str) -> bool:
    """What YAML does not allow unescaped (https://yaml.org/spec/1.2.2/#51-character-set)."""
    return (
        character in "\ufffe\uffff" or (character < " " and character not in "\t\n\r") or "\x7f" <= character < "\xa0"
    )
