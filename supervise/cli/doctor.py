"""`supervise doctor`: what is wrong with this installation itself, bad first, each with a command that repairs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from supervise.cli.options import json_option, user_option
from supervise.errors import ExitCode

if TYPE_CHECKING:
    from supervise.doctor.findings import Finding
    from supervise.doctor.installation import Installation, Pending
    from supervise.model import Scope

MARKS = {"error": ("✗", "red"), "warning": ("!", "yellow"), "note": ("·", "cyan"), "ok": ("✓", "green")}
FIRST_RUN = """\
Nothing is installed {where} yet. To begin:
  supervise init                write an agents.yaml with proposals from this folder
  supervise check               say everything that is wrong with it
  {apply:<28}  install and start, after one question"""


@click.command()
@user_option
@json_option
@click.option("-v", "--verbose", is_flag=True, help="Say also what is well.")
def command(as_user: bool, as_json: bool, verbose: bool) -> int:
    """Say what is wrong with this installation, and what to do.

    It changes nothing. Exit code 1 when something does not work; warnings and notes alone are 0.
    """
    import os

    from supervise.cli.output import is_verbose, print_json, utc_now
    from supervise.cli.scopes import scope_of
    from supervise.doctor.examining import examine
    from supervise.doctor.findings import Severity, ordered
    from supervise.doctor.looking import look
    from supervise.places import places

    scope = scope_of(as_user)
    there = look(places(scope, os.environ, uid=os.getuid()), uid=os.geteuid(), pending=_pending(scope))
    found = ordered(examine(there))
    if as_json:
        print_json(
            {
                "at": utc_now(),
                "scope": scope,
                "installed": not there.empty,
                "versions": _versions(there),
                "findings": found,
            }
        )
    else:
        for line in screen(there, found, verbose=verbose or is_verbose()):
            click.echo(line)
    return ExitCode.FAILED if any(one.severity is Severity.ERROR for one in found) else ExitCode.OK


def _pending(scope: Scope) -> Pending:
    """What `plan` would say of a file; called in a thread that has no event loop."""
    import asyncio

    from supervise.cli.installing import session_for
    from supervise.cli.wanted import wanted
    from supervise.install.plan import Plan

    async def planned(file: Path, environment: str | None) -> Plan:
        async with session_for(wanted(file, environment, scope)) as session:
            return await session.plan()

    return lambda file, environment: asyncio.run(planned(file, environment))


def _versions(there: Installation) -> Mapping[str, str | None]:
    import platform

    from supervise import __version__
    from supervise.doctor.daemon import installed_version

    return {
        "supervise": __version__,
        "installed": installed_version(there),
        "reconciler": (there.info or {}).get("version"),
        "systemd": there.systemd.version if there.systemd else None,
        "python": platform.python_version(),
    }


# --- For people -------------------------------------------------------------------------------------------------------


def screen(there: Installation, findings: Sequence[Finding], *, verbose: bool) -> Iterator[str]:
    """The findings, bad first, what is well folded into one line; then versions."""
    from supervise.cli.output import hinted
    from supervise.text import shown

    if there.empty:
        yield first_run(there)
    told = [one for one in findings if verbose or one.severity != "ok"]
    width = max((len(one.check) for one in told), default=0)
    for one in told:
        sign, colour = MARKS[one.severity]
        yield f"{click.style(sign, fg=colour)} {one.check:<{width}}  {shown(hinted(one.text))}"
        for line in filter(None, (_advice(one), one.command and click.style(f"  {shown(one.command)}", bold=True))):
            yield f"  {'':<{width}}  {line}"
    yield click.style(_summary(findings), bold=True)
    versions = ", ".join(f"{name} {shown(version)}" for name, version in _versions(there).items() if version)
    yield click.style(versions, dim=True)


def first_run(there: Installation) -> str:
    where, apply = (
        ("for this machine", "sudo supervise apply") if there.system else ("for you", "supervise apply --user")
    )
    text = FIRST_RUN.format(where=where, apply="supervise apply" if there.uid == 0 else apply)
    return f"{text}\nAgents of your own, without root: the same with --user." if there.system and there.uid else text


def _advice(finding: Finding) -> str:
    from supervise.cli.output import hinted
    from supervise.text import shown

    advice = shown(hinted(finding.advice))
    return f"{advice.rstrip('.')}:" if advice and finding.command else advice


def _summary(findings: Iterable[Finding]) -> str:
    from supervise.text import counted

    every = list(findings)
    counts = [(word, sum(one.severity == word for one in every)) for word in ("error", "warning", "note")]
    bad = [counted(count, word) for word, count in counts if count]
    sound = {one.check for one in every} - {one.check for one in every if one.severity != "ok"}
    return f"{', '.join(bad) or 'nothing is wrong'}; {counted(len(sound), 'check')} found all well"
