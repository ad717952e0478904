"""`supervise render`: the units on standard output or in a folder, and why each line stands there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from supervise.cli.options import file_options, user_option

if TYPE_CHECKING:
    from supervise.cli.wanted import Wanted


@click.command()
@file_options
@user_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Write the files below this folder."
)
@click.option("--explain", is_flag=True, help="Say for each line what it is for, what it costs and what is left out.")
@click.option("--systemd-version", type=int, metavar="N", help="Render for this version; else for the one here.")
@click.argument("agents", nargs=-1, metavar="[AGENT]…")
def command(
    file: Path | None,
    environment: str | None,
    as_user: bool,
    output: Path | None,
    explain: bool,
    systemd_version: int | None,
    agents: tuple[str, ...],
) -> None:
    """Print the units that agents.yaml becomes.

    With AGENTs only theirs. The same input gives the same bytes; nothing of this host is changed.
    """
    from supervise.cli.output import progress
    from supervise.cli.scopes import scope_of
    from supervise.cli.wanted import print_warnings, wanted
    from supervise.selection import select
    from supervise.text import counted

    found = wanted(file, environment, scope_of(as_user), version=systemd_version)
    print_warnings(found.desired.warnings)
    specs = select(found.desired.specs, agents) if agents else found.desired.specs
    names = {spec.name for spec in specs}
    files = [one for one in found.files if not agents or one.agent in names]
    if explain:
        _explain(found, names)
    elif output:
        for one in files:
            target = output / one.path.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(one.content, encoding="utf-8")
        progress(f"wrote {counted(len(files), 'file')} below {output}")
    else:
        click.echo("\n".join(f"### {one.path}\n{one.content}" for one in files), nl=False)


def _explain(found: Wanted, names: set[str]) -> None:
    from supervise.render import explain, left_out
    from supervise.text import shown

    for spec in found.desired.specs:
        if spec.name not in names:
            continue
        click.secho(f"{spec.name} ({shown(spec.title)}), hardening {spec.hardening.value}", bold=True)
        for directive in explain(spec, places=found.places, version=found.version):
            click.echo(f"  [{directive.section}] {directive.name}={shown(directive.value)}")
            cost = f"; costs: {directive.costs}" if directive.costs else ""
            click.secho(f"      {directive.why}{cost}", dim=True)
        for name, why in left_out(spec, version=found.version):
            click.echo(f"  left out: {name}: {why}")
