"""The YAML parser's events → nodes with marks, counting as it goes.

Scalars keep their source text (so `1.10`, `0644`, `12:30` and `no` stay what was written), duplicate keys are refused,
and hostile documents are stopped by their depth and by the number of values that their aliases would expand to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from supervise.config.nodes import Node, Scalar
from supervise.config.texts import unusable
from supervise.errors import Mark, Problem

MAX_DEPTH = 50
MAX_NODES = 100_000
NULLS = frozenset({"", "~", "null", "Null", "NULL"})
TAGS = frozenset({None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})

Content = yaml.ScalarEvent | yaml.CollectionStartEvent


class Refused(Exception):
    """The rest of the document cannot be read."""

    def __init__(self, mark: Mark, text: str) -> None:
        self.problem = Problem(mark, "", text)


@dataclass(frozen=True, slots=True)
class _Anchored:
    node: Node
    size: int
    height: int


class Builder:
    """Turns the parser's events into nodes, counting as it goes."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.anchors: dict[str, _Anchored | None] = {}
        self.nodes = 0
        self.deepest = 0
        self.events: Iterator[yaml.Event] = iter(())

    def document(self, events: Iterator[yaml.Event]) -> Node:
        self.events = events
        root = Node(None, Mark(self.file, 1, 1))
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise Refused(self.mark(event), "a second document begins here; only one is read")
                root = self.node(next(events), 0)
        return root

    def mark(self, event: yaml.Event) -> Mark:
        start = event.start_mark
        return Mark(self.file, start.line + 1, start.column + 1) if start else Mark(self.file, 1, 1)

    def node(self, event: yaml.Event, depth: int) -> Node:
        mark = self.mark(event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(str(event.anchor), mark, depth)
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent), event
        self.count(1, depth, mark)
        if event.tag not in TAGS:
            self.problems.append(Problem(mark, "", f"the tag {event.tag!r} is not allowed; write plain values"))
        return self.content(event, mark, depth) if event.anchor is None else self.anchored(event, mark, depth)

    def anchored(self, event: Content, mark: Mark, depth: int) -> Node:
        """A node that aliases may repeat: how many values it holds and how deep it goes counts again each time."""
        nodes, deepest = self.nodes, self.deepest
        self.deepest = depth
        name = str(event.anchor)
        self.anchors[name] = None
        node = self.content(event, mark, depth)
        self.anchors[name] = _Anchored(node, self.nodes - nodes + 1, self.deepest - depth)
        self.deepest = max(deepest, self.deepest)
        return node

    def content(self, event: Content, mark: Mark, depth: int) -> Node:
        if isinstance(event, yaml.MappingStartEvent):
            return Node(self.map(depth + 1), mark)
        if isinstance(event, yaml.SequenceStartEvent):
            return Node([self.node(item, depth + 1) for item in self.until(yaml.SequenceEndEvent)], mark)
        assert isinstance(event, yaml.ScalarEvent)
        plain = not event.style and event.tag is None
        if plain and event.value in NULLS:
            return Node(None, mark)
        return Node(self.scalar(event.value, mark, plain), mark)

    def scalar(self, text: str, mark: Mark, plain: bool) -> Scalar:
        if wrong := unusable(text):
            self.problems.append(Problem(mark, "", wrong))
            return Scalar("\ufffd", plain)
        return Scalar(text, plain)

    def until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        for event in self.events:
            if isinstance(event, end):
                return
            yield event

    def map(self, depth: int) -> dict[str, Node]:
        """The children by key; what `<<` brings in gives way to what is written here."""
        children: dict[str, Node] = {}
        merged: list[Node] = []
        for event in self.until(yaml.MappingEndEvent):
            mark = self.mark(event)
            self.node(event, depth)
            value = self.node(next(self.events), depth)
            if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and not event.style:
                merged += self.sources(value, mark)
            elif not isinstance(event, yaml.ScalarEvent):
                raise Refused(mark, "a key must be a single word")
            elif event.value in children:
                first = children[event.value].key
                text = f"the key {event.value!r} is written twice; the first is on line {first.line if first else 0}"
                self.problems.append(Problem(mark, "", text))
            else:
                children[event.value] = replace(value, key=mark)
        for source in merged:
            children = {**source.map(), **children}
        return children

    def sources(self, value: Node, mark: Mark) -> list[Node]:
        """The maps that `<<` names, the strongest first."""
        sources = value.value if isinstance(value.value, list) else [value]
        if not all(isinstance(source.value, dict) for source in sources):
            self.problems.append(Problem(mark, "", "'<<' wants a map or a list of maps, such as *defaults"))
            return []
        return sources

    def alias(self, anchor: str, mark: Mark, depth: int) -> Node:
        if anchor not in self.anchors:
            raise Refused(mark, f"there is no anchor '&{anchor}' above this place")
        anchored = self.anchors[anchor]
        if anchored is None:
            raise Refused(mark, f"'*{anchor}' stands inside of what it refers to")
        self.count(anchored.size, depth + anchored.height, mark)
        return anchored.node

    def count(self, nodes: int, depth: int, mark: Mark) -> None:
        self.nodes += nodes
        self.deepest = max(self.deepest, depth)
        if depth > MAX_DEPTH:
            raise Refused(mark, f"nested deeper than {MAX_DEPTH} levels")
        if self.nodes > MAX_NODES:
            raise Refused(mark, f"the document has more than {MAX_NODES:,} values once its aliases are expanded")
