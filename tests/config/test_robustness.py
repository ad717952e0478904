"""Whatever is in the file, the answer is a `Config` or a list of problems with places in this file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from supervise.config import AgentSettings, load
from supervise.config.top import File
from supervise.errors import ConfigError, Problem

KEYS = [
    *AgentSettings.model_fields,
    *File.model_fields,
    "start_command",
    "timeout",
    "http",
    "tcp",
    "memory",
    "a",
    "<<",
    '"\\e\\n"',
]
WORDS = [
    "",
    "x",
    "~",
    "5",
    "30s",
    "off",
    "true",
    "b",
    "512M",
    "/x",
    "${A}",
    "$${",
    "${",
    "file:x",
    "h:1",
    '"\\n"',
    "*a",
]
values = st.recursive(
    st.sampled_from(WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=4).map(
            lambda items: f"{{{', '.join(f'{key}: {value}' for key, value in items.items())}}}"
        ),
    ),
    max_leaves=8,
)
agents = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)


def written(keys: dict[str, str], indent: str = "    ") -> str:
    return "".join(f"{indent}{key}: {value}\n" for key, value in keys.items())


def survives(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "agents.yaml"
        file.write_text(text, encoding="utf-8")
        problems = told(file)
    lines = text.count("\n") + 2
    assert all(each.mark.file == file and 1 <= each.mark.line <= lines for each in problems)
    assert all(each.text and str(each).isprintable() for each in problems)


def told(file: Path) -> tuple[Problem, ...]:
    try:
        return load(file, environ={}).warnings
    except ConfigError as error:
        return error.problems


@settings(max_examples=150, deadline=None)
@given(agents, agents, agents)
def test_any_keys_with_any_values_give_an_answer(
    first: dict[str, str], second: dict[str, str], top: dict[str, str]
) -> None:
    text = f"agents:\n  a:\n    command: x\n{written(first)}  b:\n    title: B\n{written(second)}"
    survives(f"{text}defaults: {{watchdog: 5s}}\n{written(top, '')}")


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("agents: ab{}[]&*!|>'\"%@`#-?,\x1b\n\t~<\\0é"), max_size=60))
def test_any_text_gives_an_answer(text: str) -> None:
    survives(text)
