"""YAML text → a tree of nodes. It builds no objects, resolves no tags and follows no file: only text comes out."""

from __future__ import annotations

from pathlib import Path

import yaml

from supervise.config.builder import Builder, Refused
from supervise.config.nodes import Node
from supervise.config.syntax import place, syntax_problem
from supervise.errors import Mark, Problem

MAX_BYTES = 1_000_000

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(file: Path) -> tuple[Node, list[Problem]]:
    """The tree of a file, and its problems (the tree is what could be read of it)."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        return _nothing(file, f"cannot read this file: {error.strerror}")
    if len(data) > MAX_BYTES:
        return _nothing(file, f"the file is larger than {MAX_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig")
        return _nothing(file, "this is not UTF-8 text; save the file as UTF-8", place(file, before, len(before)))
    return parse(text, file)


def parse(text: str, file: Path) -> tuple[Node, list[Problem]]:
    builder = Builder(file)
    try:
        root = builder.document(yaml.parse(text, Loader=_LOADER))
    except Refused as refused:
        return Node(None, Mark(file, 1, 1)), [*builder.problems, refused.problem]
    except yaml.YAMLError as error:
        return Node(None, Mark(file, 1, 1)), [*builder.problems, syntax_problem(error, text, file)]
    return root, builder.problems


def _nothing(file: Path, text: str, mark: Mark | None = None) -> tuple[Node, list[Problem]]:
    start = Mark(file, 1, 1)
    return Node(None, start), [Problem(mark or start, "", text)]
