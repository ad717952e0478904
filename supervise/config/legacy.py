"""The older layout: `config/environments/<environment>.yaml`, and older names of keys in any file.

| older | now |
|---|---|
| `start_command` | `command` |
| `timeout` | `probes.live.timeout` |
| `health_check_interval` | `probes.live.interval` |
| `health_endpoint` | `probes.live.http`, `/health` if unwritten and the agent has a `url` |

Bare numbers are seconds, as everywhere. In the older layout paths start at the folder that holds `config/`, and the
other top-level keys of the file belong to somebody else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from supervise.config.nodes import Loc, Node, Scalar, dotted
from supervise.config.top import File
from supervise.errors import Problem

FOLDER = ("config", "environments")
RENAMED: dict[str, tuple[str, ...]] = {
    "start_command": ("command",),
    "timeout": ("probes", "live", "timeout"),
    "health_check_interval": ("probes", "live", "interval"),
    "health_endpoint": ("probes", "live", "http"),
}
_PROBE_KEYS = frozenset(RENAMED) - {"start_command"}


def is_older(file: Path) -> bool:
    """Whether this file is one of `config/environments/`."""
    return file.parent.parts[-2:] == FOLDER


def folder(file: Path) -> Path:
    """Where relative paths of this file start."""
    return file.parent.parent.parent if is_older(file) else file.parent


def translated(root: Node) -> tuple[Node, list[Problem]]:
    """The tree with today's names, and where a key stands under both names."""
    problems: list[Problem] = []
    top = dict(root.map())
    if "defaults" in top:
        top["defaults"] = _agent(top["defaults"], ("defaults",), problems, default_probe=False)
    if "agents" in top:
        agents = {name: _agent(node, ("agents", name), problems) for name, node in top["agents"].map().items()}
        top["agents"] = top["agents"].with_value(agents) if agents else top["agents"]
    return root.with_value(top) if top else root, problems


def _agent(node: Node, loc: Loc, problems: list[Problem], *, default_probe: bool = True) -> Node:
    older = [key for key in RENAMED if key in node.map()]
    if not older:
        return node
    children = {key: child for key, child in node.map().items() if key not in RENAMED}
    agent = node.with_value(children)
    for key in older:
        value, new = node.map()[key], RENAMED[key]
        if agent.at(new) is not None and value.key is not None:
            text = f"this is the older name of '{'.'.join(new)}', which is written too; keep one of them"
            problems.append(Problem(value.key, dotted((*loc, key)), text))
        else:
            agent = _put(agent, new, value)
    live = agent.at(("probes", "live"))
    if not default_probe or live is None or not _PROBE_KEYS & set(older):
        return agent
    if "url" in agent.map() and not {"http", "tcp", "command"} & set(live.map()):
        return _put(agent, ("probes", "live", "http"), replace(live, value=Scalar("/health")))
    return agent


def _put(node: Node, path: tuple[str, ...], value: Node) -> Node:
    """`node` with `value` at `path`; the maps on the way are made where the value stands."""
    if not path:
        return value
    child = node.map().get(path[0]) or Node({}, value.mark, value.key)
    if len(path) > 1 and not isinstance(child.value, dict):
        return node
    return node.with_value({**node.map(), path[0]: _put(child, path[1:], value)})


def without_strangers(root: Node, file: Path) -> tuple[Node, list[Problem]]:
    """In the older layout: the tree without other people's top-level keys, and a warning for each of them."""
    if not is_older(file):
        return root, []
    ours = {key: child for key, child in root.map().items() if key in File.model_fields}
    return root.with_value(ours) if root.map() else root, list(_warnings(root))


def _warnings(root: Node) -> Iterator[Problem]:
    for key, child in root.map().items():
        if key not in File.model_fields:
            yield Problem(child.key or child.mark, dotted((key,)), "not a key of supervise; left alone", warning=True)
