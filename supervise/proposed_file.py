"""The text of a first `agents.yaml`: it must be right as it stands, teach a little, and never hold a secret. Pure.

The file is a text and no dump, because its comments are half of its use; single values are quoted by PyYAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import yaml

from supervise.proposed import Proposal, slug, unique
from supervise.text import UNSAFE, secret_looking, shown

HEAD = """\
# yaml-language-server: $schema=./agents.schema.json
version: 1
project: {project}

# Any key of an agent; an agent's own value wins.
defaults:
  watchdog: 30s  # an agent that has sent signs of life and then is silent for so long is restarted; off: never

"""
FOUND = """\
# What looked like agents. Remove what is none, then ask: supervise check
agents:
"""
FIRST = """\
    auto_start: true  # start at boot; false: only when somebody says `supervise start`
    # secrets:  # keys and passwords stay in files of their own, never in `environment` or `command`
    #   API_KEY: file:/etc/{project}/api_key
"""
NOTHING = """\
# Nothing here looked like an agent: put your own command in place of this example, then ask: supervise check
agents: {{}}
# agents:
#   my_agent:
#     title: My Agent
#     command: [python, my_agent.py]  # run as it is, by no shell; `python` is the one of .venv if there is one
#     auto_start: true  # start at boot; false: only when somebody says `supervise start`
#     secrets:  # keys and passwords stay in files of their own, never in `environment` or `command`
#       API_KEY: file:/etc/{project}/api_key
"""
PLAIN = re.compile(
    r"(?:\.{0,2}/|--?|\.)?[A-Za-z_][A-Za-z0-9_/.@+-]*(?: [A-Za-z0-9_]+)*|\.\.?(?:/\.\.)*(?:/[A-Za-z_][A-Za-z0-9_/.-]*)?"
)
NO_TEXT = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", ".inf", ".nan"})
VALUE = r"""(?:'[^']*'|"[^"]*"|[^\s'"])+"""
NAMED_VALUE = re.compile(
    rf"""(?P<option>--?[A-Za-z_][\w-]*)(?:=|\s+(?!-)){VALUE}|(?P<name>[A-Za-z_][\w-]*)["']?\s*[:=]\s*{VALUE}"""
)
SECRET_VALUE = re.compile(
    r"""\S*(?: [a-z][a-z0-9+.-]*://[^/\s@]*:[^/\s@]+@ | \bBearer\s+ | \beyJ[\w-]{8,}\.
        | \b(?:sk-|gh[pousr]_|github_pat_|glpat-|xox[a-z]-|AKIA|sb_secret_)\w )\S*""",
    re.VERBOSE | re.IGNORECASE,
)
"""What is a secret whatever its name: passwords in URLs, tokens with the prefixes of well-known services."""


def agents_yaml(project: str, proposals: Iterable[Proposal], *, folder: Path) -> str:
    """`folder`: where the file will stand; paths in it are written relative to it."""
    name = slug(project)
    agents = unique(proposals)
    head = HEAD.format(project=_scalar(name))
    if not agents:
        return head + NOTHING.format(project=name)
    blocks = ["\n".join(_agent(one, folder)) + "\n" for one in agents]
    blocks[0] += FIRST.format(project=name)
    return head + FOUND + "\n".join(blocks)


def _agent(one: Proposal, folder: Path) -> Iterator[str]:
    words, secrets = without_secrets(one.command)
    yield f"  # {shown(one.comment, limit=150)}"
    yield f"  {one.name}:"
    yield f"    title: {_scalar(one.title)}"
    yield from (
        f"    # left out, it looked like a secret; give it by  secrets: {{{name}: file:PATH}}" for name in secrets
    )
    yield f"    command: [{', '.join(_scalar(word) for word in words)}]"
    if one.working_directory != folder:
        yield f"    working_directory: {_scalar(_relative(one.working_directory, folder))}"


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _scalar(text: str) -> str:
    """The text as a YAML value that every reader takes for a text, and `${` in it for itself."""
    literal = text.replace("${", "$${")
    if PLAIN.fullmatch(literal) and literal.lower() not in NO_TEXT:
        return literal
    readable = UNSAFE.search(literal) is None
    return yaml.dump(literal, default_style='"', allow_unicode=readable, width=float("inf")).strip()


# --- Secrets ----------------------------------------------------------------------------------------------------------


def without_secrets(words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words without what looks like a secret, and the names under which to give them instead."""
    kept: list[str] = list(words[:1])
    names: list[str] = []
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if word.startswith("-") and "=" not in word and _is_secret(word):
            names.append(word)
            del rest[: bool(rest and not rest[0].startswith("--"))]
            continue
        left, found = _censored(word)
        names += found
        if not found or re.search(r"\s", left.strip()):
            kept.append(left)
        elif not found[0] and kept[1:] and kept[-1].startswith("-"):
            names[-1] = kept.pop()  # an option whose value was the secret
    return tuple(kept), tuple(dict.fromkeys(_variable(name) for name in names))


def _censored(text: str) -> tuple[str, list[str]]:
    """A word, which may be a whole command line or code, without secrets, and their names, empty where none."""
    names: list[str] = []
    at = 0
    while found := NAMED_VALUE.search(text, at):
        name = found["option"] or found["name"]
        at = found.start()
        if _is_secret(name):
            names.append(name)
            text = text[:at] + text[found.end() :]
        else:
            at += len(name)  # there may be another name in its value: --json={"password": …}
    left, removed = SECRET_VALUE.subn("", text)
    return left, [*names, *[""] * removed]


def _is_secret(name: str) -> bool:
    return secret_looking(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name))


def _variable(name: str) -> str:
    """The name of a secret that is written as an option: `--api-key` → `API_KEY`."""
    return slug(name).upper() if name.strip("-") else "SECRET"
