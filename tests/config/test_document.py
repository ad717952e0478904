"""The YAML that is read is text in a tree; whatever is hostile in it stops at the parser."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from supervise.config import document, load
from supervise.config.document import parse
from supervise.config.nodes import plain
from supervise.errors import ConfigError
from tests.config.loading import agent, loaded, mistakes

FILE = Path("/agents.yaml")


def data(text: str) -> object:
    node, problems = parse(text, FILE)
    assert problems == []
    return plain(node)


def problems(text: str) -> list[str]:
    return [f"{each.mark.line}:{each.mark.column} {each.text}" for each in parse(text, FILE)[1]]


def test_scalars_keep_the_text_that_was_written() -> None:
    written = "{a: 1.10, b: 0644, c: 12:30:00, d: no, e: 1_000, f: 0x1F, g: 2001-01-01, h: .inf, i: TRUE}"
    assert data(written) == {
        "a": "1.10",
        "b": "0644",
        "c": "12:30:00",
        "d": "no",
        "e": "1_000",
        "f": "0x1F",
        "g": "2001-01-01",
        "h": ".inf",
        "i": "TRUE",
    }


def test_only_plain_words_are_null() -> None:
    node, _ = parse("[~, null, 'null', '', !!str null]", FILE)
    assert plain(node) == [None, None, "null", "", "null"]


def test_anchors_and_merge_keys_work_and_own_keys_win() -> None:
    written = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {y: 5, <<: [*a, *b]}\nd: *a\n"
    assert data(written) == {
        "a": {"x": "1", "y": "2"},
        "b": {"y": "3", "z": "4"},
        "c": {"x": "1", "y": "5", "z": "4"},
        "d": {"x": "1", "y": "2"},
    }


def test_the_first_of_several_merged_maps_wins() -> None:
    assert data("a: &a {x: 1}\nb: &b {x: 2}\nc: {<<: [*a, *b]}\n")["c"] == {"x": "1"}  # type: ignore[index]


def test_an_anchor_may_be_defined_again() -> None:
    assert data("[&a 1, *a, &a 2, *a]") == ["1", "1", "2", "2"]


def test_a_merged_value_is_marked_where_it_was_written(tmp_path: Path) -> None:
    text = "agents:\n  a: &a\n    command: x\n    watchdog: soon\n  b:\n    <<: *a\n"
    assert [each.split(": ")[0] for each in mistakes(tmp_path, text)] == ["agents.yaml:4:15"]


def test_a_billion_laughs_are_stopped_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert problems("\n".join(lines)) == [
        "5:45 the document has more than 100,000 values once its aliases are expanded"
    ]


def test_a_billion_merges_are_stopped_at_once() -> None:
    keys = ", ".join(f"k{n}: x" for n in range(1000))
    lines = [f"a: &a {{{keys}}}", *(f"b{n}: {{<<: *a}}" for n in range(200))]
    assert "more than 100,000 values" in problems("\n".join(lines))[0]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}"), ("- ", "")])
def test_depth_is_limited_to_50(opening: str, closing: str) -> None:
    assert parse(opening * 50 + "x" + closing * 50, FILE)[1] == []
    assert "nested deeper than 50 levels" in problems(opening * 51 + "x" + closing * 51)[0]


def test_depth_that_aliases_add_up_is_limited_too() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 60))]
    assert problems("\n".join(lines)) == ["50:12 nested deeper than 50 levels"]


def test_half_a_million_brackets_are_refused_quickly() -> None:
    assert "nested deeper" in problems("[" * 500_000)[0]


def test_a_file_above_one_megabyte_is_refused(tmp_path: Path) -> None:
    text = "agents: {a: {command: x}}\n"
    assert mistakes(tmp_path, text + "#" * (1_000_000 - len(text))) == []
    assert mistakes(tmp_path, text + "#" * (1_000_001 - len(text))) == [
        "agents.yaml:1:1: the file is larger than 1,000,000 bytes"
    ]


def test_text_that_is_not_utf_8_is_refused_at_its_place(tmp_path: Path) -> None:
    file = tmp_path / "agents.yaml"
    file.write_bytes("agents:\n  a: {command: é".encode() + b"\xff}\n")
    with pytest.raises(ConfigError, match=r"agents.yaml:2:17: this is not UTF-8 text"):
        load(file, environ={})


def test_a_byte_order_mark_is_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, "\ufeffagents: {a: {command: x}}").agents["a"].command == ("x",)


def test_windows_line_ends_are_line_ends(tmp_path: Path) -> None:
    (tmp_path / "agents.yaml").write_bytes(b"agents:\r\n  a:\r\n    command: x y\r\n")
    assert load(tmp_path / "agents.yaml", environ={}).agents["a"].command == ("x", "y")


def test_a_control_character_is_refused_at_its_place() -> None:
    assert problems("a: b\nc: \x01")[0].startswith("2:4 a control character")


@pytest.mark.parametrize("tag", ["!!python/name:os.system", "!!int", "!!binary", "!env", "!include"])
def test_tags_are_refused(tag: str) -> None:
    assert problems(f"a: {tag} x")[0].startswith("1:4 the tag")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.yaml:1:1: cannot read this file: No such file"):
        load(tmp_path / "nowhere.yaml", environ={})


def test_the_slow_loader_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &a [1.10, 'x', ~]\nb: {<<: {c: d}, e: *a}\n"
    fast = parse(text, FILE)
    monkeypatch.setattr(document, "_LOADER", yaml.SafeLoader)
    assert parse(text, FILE) == fast


NASTY = [
    "",
    " ",
    " both ",
    "'",
    '"',
    "\\",
    "a\\",
    "%i %h %%",
    "$HOME",
    "$$",
    "$",
    "a\nb",
    "\t",
    "é ü 漢",
    "🚀",
    "@x",
    "-x",
    ":x",
    "+x",
    "!x",
    "; rm -rf /",
    "a=b",
    "*",
    "~",
    "null",
    "true",
    "no",
    "1.10",
    "0644",
    "{}",
    "[]",
    "#x",
    "\u202e",
    "\x1b[2J",
    "\x7f",
    "\r",
    "`id`",
    "$(id)",
    "&&",
    "|",
    "\u2028",
    "\ufeff",
]


def quoted(text: str) -> str:
    """`text` in YAML's double quotes."""
    return '"' + "".join(f"\\U{ord(character):08X}" for character in text) + '"'


@pytest.mark.parametrize("text", NASTY)
def test_nasty_text_arrives_byte_for_byte(text: str, tmp_path: Path) -> None:
    written = agent(tmp_path, f"command: [x, {quoted(text)}]\nenvironment: {{A: {quoted(text)}}}")
    assert written.command == ("x", text)
    assert written.environment == {"A": text}
    assert type(written.command[1]) is str


def test_the_brace_of_a_variable_arrives_when_it_is_written_with_two_dollars(tmp_path: Path) -> None:
    assert agent(tmp_path, 'command: [x, "$${X}", "$$${X}", "$${", "$$"]').command == ("x", "${X}", "$${X}", "${", "$$")
