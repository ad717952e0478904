"""What `plan`, `install`, `apply` and `uninstall` share: a session for a file or a project, and how a plan is shown."""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from supervise.cli.output import is_verbose, local
from supervise.cli.wanted import Wanted, print_warnings
from supervise.control.informing import ByControl
from supervise.errors import SuperviseError, UsageError
from supervise.fitting_alerts import alert_targets, reconciler_settings
from supervise.fitting_supabase import supabase_target
from supervise.install.disk import read_disk
from supervise.install.plan import FileChange, Kind, Plan, Target
from supervise.install.privilege import privileged
from supervise.install.session import Session, open_platform
from supervise.manager import Manager, Result, asker
from supervise.manifest import Manifest
from supervise.model import Process
from supervise.places import Places, places
from supervise.text import masked, shown

SIGNS = {Kind.ADD: ("+", "green"), Kind.CHANGE: ("~", "yellow"), Kind.REMOVE: ("-", "red")}
LINE_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
MANY = 12
"""More added or removed files than this are listed by name only, unless -v."""


@asynccontextmanager
async def session_for(found: Wanted, *, moved: bool = False) -> AsyncIterator[Session]:
    """The session that brings this host in line with a file."""
    target = Target(
        project=found.config.project,
        source=found.config.file,
        scope=found.places.scope,
        specs=found.desired.specs,
        files=found.files,
        moved=moved,
        alerts=alert_targets(found.config),
        reconciler=reconciler_settings(found.config),
        supabase=supabase_target(found.config),
    )
    async with _session(target, found.places) as session:
        yield session


@asynccontextmanager
async def removal_of(project: str, there: Places) -> AsyncIterator[tuple[Session, Manifest]]:
    """The session that removes a project. Raises SuperviseError when it is not installed."""
    manifest = _installed(project, there)
    target = Target(project, manifest.source, there.scope, (), (), remove=True)
    async with _session(target, there) as session:
        yield session, manifest


def _installed(project: str, there: Places) -> Manifest:
    """One without agents where a killed install or uninstall has left no manifest, only a journal to finish."""
    disk = read_disk(there, ())
    if project in disk.manifests:
        return disk.manifests[project]
    if project in disk.unsettled:
        return Manifest(project, Path(), there.scope, "systemd", "", agents=(), runs={})
    known = ", ".join(disk.manifests) or "none"
    raise SuperviseError(f'project "{project}" is not installed in {there.scope.value} scope (installed: {known})')


@asynccontextmanager
async def _session(target: Target, there: Places) -> AsyncIterator[Session]:
    platform = await open_platform(there)
    try:
        yield Session(target, there, platform)
    finally:
        if platform:
            await platform.__aexit__(None, None, None)


def manager_of(session: Session, plan: Plan) -> Manager:
    """The verbs on what the session has just installed."""
    assert session.platform is not None
    assert plan.manifest is not None
    inform = ByControl(session.places.control, by=asker())
    return Manager(session.places, [plan.manifest], session.platform, inform=inform)


def refuse_root(found: Wanted, *, allowed: bool) -> None:
    """Privilege must be asked for twice: in the file and at the install."""
    needs = list(privileged(found.desired.specs))
    if needs and not allowed:
        listed = "\n".join(f"  {name}: {shown(why)}" for name, why in needs)
        raise UsageError(f"cannot install without --allow-root, since this would run with privilege:\n{listed}")


# --- Showing a plan ---------------------------------------------------------------------------------------------------


def show_plan(plan: Plan, found: Wanted | None) -> None:
    """The plan for people: files with their differences, then who is touched, then what to know."""
    if found:
        print_warnings(found.desired.warnings)
    if plan.empty:
        click.echo(f"{plan.project}: nothing to change")
    else:
        counts = {kind: sum(change.kind is kind for change in plan.changes) for kind in Kind}
        click.secho(
            f"{plan.project}: {counts[Kind.ADD]} files to add, {counts[Kind.CHANGE]} to change, "
            f"{counts[Kind.REMOVE]} to remove",
            bold=True,
        )
    for change in plan.changes:
        _show_change(change, whole=change.kind is Kind.CHANGE or is_verbose() or _count(plan, change.kind) <= MANY)
    for line in _consequences(plan):
        click.echo(line)
    for name, processes in sorted(plan.outside.items()):
        for process in processes:
            click.secho(f"runs already, outside its unit: {name}: {describe(process)}", fg="yellow")
    for note in plan.notes:
        click.secho(f"note: {shown(note)}", fg="yellow")
    for line in _foreign(found):
        click.echo(line)


def _count(plan: Plan, kind: Kind) -> int:
    return sum(change.kind is kind for change in plan.changes)


def _show_change(change: FileChange, *, whole: bool) -> None:
    sign, colour = SIGNS[change.kind]
    hint = "  (edited by hand; that edit will be lost)" if change.edited else ""
    click.secho(f"{sign} {change.path}{hint}", fg=colour)
    if not whole:
        return
    for line in change.diff():
        if not line.startswith(("---", "+++")):
            click.secho(f"    {shown(line)}", fg=LINE_COLOURS.get(line[:1]))


def _consequences(plan: Plan) -> Iterator[str]:
    if plan.interrupted:
        yield "an install was interrupted; this one finishes it first"
    for verb, units in (
        ("enables at boot", plan.enable),
        ("no longer starts at boot", plan.disable),
        ("stops, since it is removed", plan.stop),
    ):
        if units:
            yield f"{verb}: {_listed(units)}"
    for name, why in plan.restart.items():
        yield f"with --restart: restarts {name} ({shown(why)})"
    starts = [name for name in plan.start if name not in plan.outside]
    if starts:
        yield f"with --start: starts {_listed(starts)}"
    if plan.manifest_changes and not plan.changes:
        yield "writes the manifest anew"


def _listed(names: Sequence[str]) -> str:
    few = names if is_verbose() else names[:MANY]
    rest = f" and {len(names) - len(few)} more" if len(few) < len(names) else ""
    return f"{', '.join(few)}{rest}"


def _foreign(found: Wanted | None) -> Iterator[str]:
    """What came from elsewhere than the file, and what gets privilege: said last, so that it is read."""
    if found is None:
        return
    for key, name in found.config.from_environment:
        yield f"from the environment: {key} (${{{name}}})"
    for agent, why in privileged(found.desired.specs):
        yield click.style(f"with privilege: {agent}: {shown(why)}", fg="red", bold=True)


def describe(process: Process) -> str:
    """A process as a person looks for it: PID, user, since when, command, where."""
    where = f" in {process.directory}" if process.directory else ""
    return shown(
        f"PID {process.id.pid} of {user_name(process.uid)} since {local(process.started_at)}: "
        f"{shlex.join(masked(process.argv))}{where}"
    )


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def plan_json(plan: Plan, found: Wanted | None) -> dict[str, Any]:
    """The plan for programs."""
    return {
        "project": plan.project,
        "pending": plan.pending,
        "files": [
            {
                "kind": one.kind,
                "path": one.path,
                "agent": one.agent,
                "edited_by_hand": one.edited,
                "diff": list(one.diff()),
            }
            for one in plan.changes
        ],
        "enable": plan.enable,
        "disable": plan.disable,
        "stop": plan.stop,
        "restart": plan.restart,
        "start": plan.start,
        "outside": {name: [_process_json(one) for one in processes] for name, processes in plan.outside.items()},
        "notes": plan.notes,
        "interrupted": plan.interrupted,
        "from_environment": found.config.from_environment if found else (),
        "privileged": list(privileged(found.desired.specs)) if found else [],
    }


def _process_json(process: Process) -> dict[str, Any]:
    return {
        "pid": process.id.pid,
        "user": user_name(process.uid),
        "since": process.started_at,
        "command": masked(process.argv),
        "directory": process.directory,
    }


def nothing_failed(results: list[Result]) -> bool:
    return all(result.ok for result in results)


def scope_places(scope: Any) -> Places:
    return places(scope, os.environ, uid=os.getuid())


def default_project(file: Path | None, project: str | None) -> str:
    """For `uninstall`: the project named, else the one of the file."""
    if project:
        return project
    from supervise.config import find, load

    return load(file or find(Path.cwd()), environ=os.environ).project
