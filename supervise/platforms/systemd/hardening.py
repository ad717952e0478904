"""How far an agent is fenced in: its `hardening:` level → directives of [Service]. Pure.

What a scope or a version cannot do is left out, and named by `left_out`: a directive that is silently without effect
would be a lie. The directives themselves stand in `hardening_rules.py`; here are the choice among them, and the paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from supervise.model import AgentSpec, Notify, Scope
from supervise.places import SYSTEM
from supervise.platforms.systemd.directives import Directive, word
from supervise.platforms.systemd.hardening_rules import NEEDS_PRIVATE_USERS, RULES, STANDARD, STRICT, Rule

HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 (the folders themselves are meant)
SYSTEM_TREES = (Path("/usr"), Path("/boot"), Path("/efi"), Path("/etc"))
"""What ProtectSystem=full makes read-only."""
EVERYTHING = (Path("/"),)


def directives(spec: AgentSpec, *, version: int) -> tuple[Directive, ...]:
    """What fences this agent in, in a fixed order. `version`: of the systemd that will read it."""
    rules = (rule for rule in _rules(spec) if _absence(rule, spec, version) is None)
    return (*(_directive(rule.name, rule.value, rule.why, rule.costs) for rule in rules), *_paths(spec))


def left_out(spec: AgentSpec, *, version: int) -> tuple[tuple[str, str], ...]:
    """What this level should have and this agent does not get: the directive, and why."""
    absent = ((rule.name, _absence(rule, spec, version)) for rule in _rules(spec))
    return (*((name, why) for name, why in absent if why), *_shown_whole(spec))


def _rules(spec: AgentSpec) -> Iterator[Rule]:
    return (rule for rule in RULES if spec.hardening in rule.levels and (_user_scope(spec) or not rule.user_only))


def _absence(rule: Rule, spec: AgentSpec, version: int) -> str | None:
    """Why this agent cannot have this rule; None when it can."""
    if rule.since > version:
        return f"systemd {version} does not know it ({rule.since} does)"
    if not _user_scope(spec):
        return None
    if rule.missing:
        return rule.missing
    return NEEDS_PRIVATE_USERS if rule.privileged and spec.hardening is STANDARD else None


# --- Paths ------------------------------------------------------------------------------------------------------------
# Each path has to exist, else the start ends with 226/NAMESPACE and a line that names it: better than a program that
# finds its folder read-only. Only paths of ours carry the `-` that forgives it.


def _paths(spec: AgentSpec) -> Iterator[Directive]:
    """What may be written, and what is shown although its surroundings are hidden."""
    hidden, read_only = _hidden(spec), _read_only(spec)
    shown_writable = [path for path in _writable(spec) if _below(path, hidden)]
    for path in _writable(spec):
        if path in shown_writable:
            yield _directive("BindPaths", _bound(path), "shown, and writable")
        elif _below(path, read_only):
            yield _directive("ReadWritePaths", word(str(path)), "writable")
    for path in _shown(spec):
        if not _below(path, shown_writable):  # where both are bound, systemd lets the read-only one win
            yield _directive("BindReadOnlyPaths", _bound(path), "its own files, shown")
    if read_only == EVERYTHING:
        yield from _ours(spec)


def _ours(spec: AgentSpec) -> Iterator[Directive]:
    """What signs of life and the claim need in a read-only world."""
    yield _directive("ReadWritePaths", f"-{SYSTEM.claims}", "where it claims to be the only copy")
    if not _user_scope(spec):
        return
    if spec.notify is not Notify.NEVER:
        yield _directive("BindReadOnlyPaths", "%t/systemd/notify", "where it says that it is ready and alive")
    # Made at each start, shown and writable in spite of ProtectHome=; kept, since all agents share it.
    yield _directive("RuntimeDirectory", "supervise", "where it beats, and claims to be the only copy")
    yield _directive("RuntimeDirectoryPreserve", "yes", "… which the others go on using")


def _hidden(spec: AgentSpec) -> tuple[Path, ...]:
    if spec.hardening is STRICT:
        return HOMES + TEMPORARY
    return TEMPORARY if _dynamic(spec) else ()


def _read_only(spec: AgentSpec) -> tuple[Path, ...]:
    """DynamicUser= implies ProtectSystem=strict and PrivateTmp=, whatever else is written."""
    if spec.hardening is STRICT or _dynamic(spec):
        return EVERYTHING
    return SYSTEM_TREES if spec.hardening is STANDARD and not _user_scope(spec) else ()


def _writable(spec: AgentSpec) -> tuple[Path, ...]:
    """All but `strict` let a program write beside itself; one that runs in `/` does not get the machine for that."""
    beside = () if spec.hardening is STRICT or spec.working_directory in EVERYTHING else (spec.working_directory,)
    return tuple(dict.fromkeys((*spec.writable_paths, *beside)))


def _shown(spec: AgentSpec) -> tuple[Path, ...]:
    """The outermost folders of its own that would be hidden."""
    hidden = _hidden(spec)
    own = sorted({path for path in (spec.working_directory, *spec.needed_paths) if _below(path, hidden)})
    return tuple(path for path in own if not _below(path.parent, own))


def _shown_whole(spec: AgentSpec) -> Iterator[tuple[str, str]]:
    """Where showing an agent its own files shows it a whole home, or everybody's /tmp."""
    paths = dict.fromkeys((*_shown(spec), *(path for path in _writable(spec) if _below(path, _hidden(spec)))))
    for path in paths:
        if path in TEMPORARY:
            yield "PrivateTmp", f"it runs in {path} itself, so all of it stays visible"
        elif path in HOMES or path.parent == Path("/home"):
            yield "ProtectHome", f"it needs {path} itself, so all of it stays visible"


def _below(path: Path, trees: Iterable[Path]) -> bool:
    """At a tree's root or deeper."""
    return any(path.is_relative_to(tree) for tree in trees)


def _bound(path: Path) -> str:
    """A path for Bind…Paths=, where a colon outside of quotes parts source and destination."""
    text = word(str(path))
    return text if text.startswith('"') or ":" not in text else f'"{text}"'


def _user_scope(spec: AgentSpec) -> bool:
    return spec.scope is Scope.USER


def _dynamic(spec: AgentSpec) -> bool:
    return spec.dynamic_user and not _user_scope(spec)


def _directive(name: str, value: str, why: str, costs: str = "") -> Directive:
    return Directive("Service", name, value, why, costs=costs)
