"""`supervise check`: everything that is wrong, at once; nothing is run or written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from supervise.cli.options import file_options, json_option, user_option

if TYPE_CHECKING:
    from supervise.config import Config
    from supervise.errors import Problem


@click.command()
@file_options
@user_option
@json_option
def command(file: Path | None, environment: str | None, as_user: bool, as_json: bool) -> None:
    """Say everything that is wrong with agents.yaml, or that nothing is.

    Commands, users and folders are looked up on this host, and systemd's own verifier judges the rendered units.
    Exit code 7 when something is wrong.
    """
    from supervise.cli.output import print_json, short
    from supervise.cli.scopes import scope_of
    from supervise.cli.wanted import print_warnings, wanted
    from supervise.errors import ConfigError
    from supervise.install.verify import complaints
    from supervise.text import counted, masked, shown

    try:
        found = wanted(file, environment, scope_of(as_user))
        said = complaints(found.files, places=found.places)
        if said:
            raise ConfigError([_problem(found.config, line) for line in said])
    except ConfigError as error:
        if as_json:
            print_json({"ok": False, "problems": error.problems})
            raise SystemExit(error.exit_code) from None
        raise
    specs = found.desired.specs
    if as_json:
        print_json({"ok": True, "project": found.config.project, "problems": found.desired.warnings, "agents": specs})
        return
    print_warnings(found.desired.warnings)
    here = f"{counted(len(specs), 'agent')} on this host"
    click.echo(f"{short(found.config.file)} is good: project {found.config.project}, {here}")
    for spec in specs:
        who = "a dynamic user" if spec.dynamic_user else spec.user or "you"
        words = shown(shlex.join(masked(spec.command)))
        click.echo(f"  {spec.name} ({shown(spec.title)}): {words}, as {who} in {spec.working_directory}")
        for run in found.desired.previews.get(spec.base, ()):
            click.echo(f"    runs {run}")


def _problem(config: Config, line: str) -> Problem:
    """A complaint of systemd's, at the agent that it is about."""
    agent = re.search(r"agent@([a-z0-9_]+)", line)
    return config.problem(f"systemd does not take it: {line}", "agents", *((agent[1],) if agent else ()))
