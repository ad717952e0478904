"""The tree of what a user wrote: every value with the place where it stands. Nothing here judges a value.

A tree is never changed in place, so aliases, overlays and defaults may share branches, and a mark always names the
file and line that a value really comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from supervise.errors import Mark

Loc = tuple[str | int, ...]


def dotted(loc: Loc) -> str:
    """`loc` for people: on one line and safe to print, whatever the keys are."""
    return "".join(character if character.isprintable() else "\ufffd" for character in ".".join(map(str, loc)))


class Scalar(str):
    """The text of a single value exactly as written. `plain`: without quotes, so it may be a number or true/false."""

    __slots__ = ("plain",)
    plain: bool

    def __new__(cls, text: str, plain: bool = True) -> Scalar:
        scalar = super().__new__(cls, text)
        scalar.plain = plain
        return scalar


Value = dict[str, "Node"] | list["Node"] | Scalar | None


@dataclass(frozen=True, slots=True)
class Node:
    """One value. `mark` is where it begins, `key` where its key is written (None in lists and for the whole file)."""

    value: Value
    mark: Mark
    key: Mark | None = None

    @property
    def place(self) -> Mark:
        """Where to point: at the value, but for a map or list that begins on a later line, at its key."""
        below = isinstance(self.value, dict | list) and self.key is not None and self.key.line != self.mark.line
        return self.key if below and self.key is not None else self.mark

    def child(self, part: str | int) -> Node | None:
        if isinstance(self.value, dict) and isinstance(part, str):
            return self.value.get(part)
        if isinstance(self.value, list) and isinstance(part, int) and 0 <= part < len(self.value):
            return self.value[part]
        return None

    def at(self, loc: Loc) -> Node | None:
        node: Node | None = self
        for part in loc:
            node = node.child(part) if node is not None else None
        return node

    def reach(self, loc: Loc) -> Loc:
        """The longest beginning of `loc` that exists."""
        while self.at(loc) is None:
            loc = loc[:-1]
        return loc

    def map(self) -> dict[str, Node]:
        """The children of a map; nothing for any other value."""
        return self.value if isinstance(self.value, dict) else {}

    def with_value(self, value: Value) -> Node:
        return Node(value, self.mark, self.key)


def plain(node: Node) -> object:
    """The bare data. Keys without a value are left out: `valueless` finds them."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items() if child.value is not None}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def valueless(node: Node, loc: Loc = ()) -> Iterator[Loc]:
    """The keys that are written without a value (or with null, where there was nothing to remove)."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            if child.value is None:
                yield (*loc, key)
            else:
                yield from valueless(child, (*loc, key))
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from valueless(child, (*loc, index))
