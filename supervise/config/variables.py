"""`${NAME}` and `${NAME:-default}` in values: from `vars:`, then from the environment of the caller.

`$${` stands for a literal `${`; nothing else is touched. As in a shell, `:-` also replaces an empty value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from supervise.config.nodes import Loc, Node, Scalar, dotted
from supervise.config.texts import unusable
from supervise.errors import Mark, Problem

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\})?")


class _Wrong(Exception):
    """A reference that cannot be expanded; the text says why, and is empty if that was told already."""


@dataclass
class Variables:
    """What names stand for, and what was found wrong or taken from the environment on the way."""

    texts: Mapping[str, str]
    environ: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    from_environment: list[tuple[str, str]] = field(default_factory=list)
    unknown: set[Mark] = field(default_factory=set)
    """Places whose value could not be found out, so that nothing else can be said about them."""
    _known: dict[str, str] = field(default_factory=dict)
    _broken: set[str] = field(default_factory=set)
    _open: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, root: Node, environ: Mapping[str, str]) -> Variables:
        """The variables of a file, with what is wrong among themselves."""
        nodes = root.map()["vars"].map() if "vars" in root.map() else {}
        variables = cls({name: node.value for name, node in nodes.items() if isinstance(node.value, Scalar)}, environ)
        for name in variables.texts:
            try:
                variables._variable(name)
            except _Wrong as wrong:
                variables._broken.add(name)
                variables._refuse(wrong, nodes[name].mark, ("vars", name))
        return variables

    def everywhere(self, root: Node) -> Node:
        """The whole file with its references replaced; `vars` itself stays as written."""
        top = {key: child if key == "vars" else self.expanded(child, (key,)) for key, child in root.map().items()}
        return root.with_value(top)

    def expanded(self, node: Node, loc: Loc) -> Node:
        """`node` with every reference in its values replaced; branches without one are shared, not copied."""
        if isinstance(node.value, dict):
            children = {key: self.expanded(child, (*loc, key)) for key, child in node.value.items()}
            same = all(children[key] is child for key, child in node.value.items())
            return node if same else node.with_value(children)
        if isinstance(node.value, list):
            items = [self.expanded(child, (*loc, index)) for index, child in enumerate(node.value)]
            same = all(new is old for new, old in zip(items, node.value, strict=True))
            return node if same else node.with_value(items)
        if isinstance(node.value, Scalar) and "${" in node.value:
            return self._scalar(node, node.value, loc)
        return node

    def _scalar(self, node: Node, text: str, loc: Loc) -> Node:
        """Text with its references replaced. It counts as plain, so that a quoted `"${N}"` may be a number."""
        try:
            return node.with_value(Scalar(self._text(text, dotted(loc)), plain=True))
        except _Wrong as wrong:
            self._refuse(wrong, node.mark, loc)
            return node

    def _refuse(self, wrong: _Wrong, mark: Mark, loc: Loc) -> None:
        self.unknown.add(mark)
        if str(wrong):
            self.problems.append(Problem(mark, dotted(loc), str(wrong)))

    def _text(self, text: str, key: str) -> str:
        return _REFERENCE.sub(lambda match: self._replacement(match, key), text)

    def _replacement(self, match: re.Match[str], key: str) -> str:
        if match[0] == "$${":
            return "${"
        name, default = match["name"], match["default"]
        if name is None:
            raise _Wrong("'${' wants a name and a '}', such as ${NAME} or ${NAME:-default}; write $${ for a literal ${")
        value = self._value(name, key)
        if value is None and default is None:
            raise _Wrong(f"'{name}' is neither in 'vars' nor in the environment; set it, or write ${{{name}:-default}}")
        return value or default or ""

    def _value(self, name: str, key: str) -> str | None:
        if name in self.texts:
            return self._variable(name)
        if name not in self.environ:
            return None
        if wrong := unusable(self.environ[name]):
            raise _Wrong(f"the environment variable '{name}' cannot be used: {wrong}")
        if (key, name) not in self.from_environment:
            self.from_environment.append((key, name))
        return self.environ[name]

    def _variable(self, name: str) -> str:
        """A name of `vars:`, which may itself refer to others."""
        if name in self._broken:
            raise _Wrong
        if name in self._open:
            raise _Wrong(f"the 'vars' go in a circle: {' → '.join([*self._open[self._open.index(name) :], name])}")
        if name not in self._known:
            self._open.append(name)
            try:
                self._known[name] = self._text(self.texts[name], f"vars.{name}")
            finally:
                self._open.pop()
        return self._known[name]
