"""`supervise uninstall`: stop a project's agents and remove exactly what was installed of it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from supervise.cli.options import project_option, user_option
from supervise.errors import ExitCode

if TYPE_CHECKING:
    from supervise.manifest import Manifest
    from supervise.places import Places


@click.command()
@click.option("-f", "--file", type=click.Path(path_type=Path, dir_okay=False), help="The agents.yaml of the project.")
@project_option
@user_option
@click.option("--purge", is_flag=True, help="Its holds too and, with the last project, all state.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(file: Path | None, project: str | None, as_user: bool, purge: bool, yes: bool) -> int:
    """Stop a project's agents and remove what was installed of it.

    Nothing of other projects is touched; your agents.yaml and your programs stay. What will not stop keeps its files.
    Processes that run outside of units, or were left behind by one, are not ended; they are named.
    """
    from supervise.cli.installing import default_project, removal_of, scope_places, show_plan
    from supervise.cli.output import agree, progress
    from supervise.cli.scopes import acting_scope
    from supervise.text import counted, shown

    there = scope_places(acting_scope(as_user))
    name = default_project(file, project)
    if purge and not any(there.manifests.glob("*.json")):
        _remove_state(there)
        click.secho("✓ removed what was left of the state", fg="green")
        return ExitCode.OK

    async def removed() -> int:
        async with removal_of(name, there) as (session, manifest):
            plan = await session.plan()
            show_plan(plan, None)
            if not yes:
                agree(f"Stop and remove the {counted(len(manifest.agents), 'agent')} of {name}?")
            _, applied = await session.install(progress)
        _name_what_runs_on(there, manifest)
        kept = applied.kept if applied else {}
        for unit, why in kept.items():
            click.secho(f"✗ {unit} would not stop, so its files stay: {shown(why)}", fg="red", err=True)
        if purge and not kept:
            _purge(there, manifest)
        done = f"removed {counted(applied.files, 'file')}" if applied else "finished what was interrupted"
        click.secho(f"✓ {name}: {done}", fg="green")
        return ExitCode.PARTLY if kept else ExitCode.OK

    return asyncio.run(removed())


def _name_what_runs_on(there: Places, manifest: Manifest) -> None:
    """Nobody watches these processes any more, so whoever uninstalls must know of them."""
    from supervise.cli.installing import describe
    from supervise.cli.output import print_warning
    from supervise.manifest import manifests
    from supervise.observe.match import look

    others = [spec for one in manifests(there) if one.project != manifest.project for spec in one.agents]
    seen = look([*manifest.agents, *others])
    for spec in manifest.agents:
        for places in (seen.inside, seen.foreground, seen.outside):
            for one in places.get(spec.name, ()):
                print_warning(f"{spec.name}: this runs on, and nobody watches it: {describe(one)}")
        for doubt in seen.doubtful(spec.name):
            print_warning(f"{spec.name}: this may be a copy of it, and runs on: {describe(doubt.process)}")


def _purge(there: Places, manifest: Manifest) -> None:
    from supervise.holds import remove_hold
    from supervise.platforms.systemd.units import timer_name

    for spec in manifest.agents:
        remove_hold(there, spec.name)
        (there.stamps / f"stamp-{timer_name(spec.name)}").unlink(missing_ok=True)
    if not any(there.manifests.glob("*.json")):
        _remove_state(there)


def _remove_state(there: Places) -> None:
    for folder in (there.state, there.runtime, there.manifests.parent):
        shutil.rmtree(folder, ignore_errors=True)
