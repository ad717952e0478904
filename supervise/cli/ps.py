"""`supervise ps`: every process of every agent, wherever it runs, and what it is there."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from supervise.cli.options import Choice, agents_arguments, json_option

if TYPE_CHECKING:
    from supervise.model import AgentSpec

HEADS = ("PID", "CLASS", "AGENT", "USER", "AGE", "MEMORY", "COMMAND")
STYLES = {"managed": None, "foreground": "cyan", "ambiguous": "magenta", "unknown": "magenta"}
ODD = "yellow"
LONGEST_COMMAND = 100
MOST_NAMES = 3


@click.command()
@agents_arguments
@json_option
def command(choice: Choice, as_json: bool) -> int:
    """List every process of every agent, wherever it runs.

    Also those outside of units, left behind by one, or of which nobody can tell whose they are: class, user, age,
    memory, and why. Root sees them itself; others are told by the reconciler.
    """
    from supervise.cli.output import hinted, print_json, utc_now
    from supervise.cli.scopes import scope_of, warn_of_damage
    from supervise.errors import ExitCode
    from supervise.manifest import manifests, of_project
    from supervise.places import places
    from supervise.processes import processes
    from supervise.selection import select

    there = places(scope_of(choice.as_user), os.environ, uid=os.getuid())
    warn_of_damage(there)
    specs = [spec for one in of_project(manifests(there), choice.project) for spec in one.agents]
    everyone = choice.everyone or choice.unsaid
    chosen = specs if not specs and everyone else select(specs, choice.agents, everyone=everyone, tags=choice.tags)
    found = asyncio.run(processes(there, [spec.name for spec in chosen]))
    if as_json:
        print_json(found)
    elif found:
        click.echo(table(found, utc_now(), {spec.name: spec for spec in specs}))
    else:
        click.echo(hinted(nothing(chosen, everyone=everyone)))
    return ExitCode.OK


def nothing(chosen: Sequence[AgentSpec], *, everyone: bool) -> str:
    """What is said where there is no process to be listed."""
    if not chosen:
        return "No agent is installed here (`supervise install`)."
    return f"No process of {'an agent' if everyone else _named([spec.name for spec in chosen])} runs."


def table(found: Sequence[dict[str, Any]], now: datetime, specs: Mapping[str, AgentSpec]) -> str:
    """One line each, and below it why, where that is no matter of course."""
    from supervise.cli.output import hinted
    from supervise.text import columns

    cells = [HEADS, *(_cells(one, now) for one in found)]
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    lines = [click.style(_line(HEADS, widths), dim=True)]
    for one, row in zip(found, cells[1:], strict=True):
        style = STYLES.get(one["class"], ODD)
        lines.append(click.style(_line(row, widths), fg=style))
        if one["class"] != "managed":
            spec = specs.get(one["agents"][0])
            left = why_left_alone(one, spec) if spec else None
            lines.append(click.style(f"{'':{widths[0]}}  {hinted(_why(one))}{f'; {left}' if left else ''}", dim=True))
    return "\n".join(lines)


def why_left_alone(one: dict[str, Any], spec: AgentSpec) -> str | None:
    """Why a copy still runs though its agent says `hidden: stop`: only those of the agent's own user are ended."""
    from supervise.model import HiddenPolicy
    from supervise.text import shown

    if spec.hidden is not HiddenPolicy.STOP or one["class"] not in ("hidden", "duplicate"):
        return None
    if spec.user in (None, one["user"], str(one["uid"])):
        return None
    return (
        f"`hidden: stop` does not end what runs as another user ({shown(one['user']) or one['uid']}, not {spec.user})"
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    from supervise.text import columns

    padded = [cell + " " * (width - columns(cell)) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(padded).rstrip()


def _cells(one: dict[str, Any], now: datetime) -> tuple[str, ...]:
    from supervise.cli.output import age, size
    from supervise.text import masked, shown

    return (
        str(one["pid"]),
        one["class"],
        _named(one["agents"]),
        shown(one["user"]) or str(one["uid"]),
        age(datetime.fromisoformat(one["started_at"]), now).removesuffix(" ago"),
        "–" if one["memory"] is None else size(one["memory"]),
        shown(shlex.join(masked(one["command"])), limit=LONGEST_COMMAND),
    )


def _named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _why(one: dict[str, Any]) -> str:
    from supervise.text import shown

    where = f"; in {shown(one['directory'])}" if one["directory"] and not one["unit"] else ""
    what = {
        "hidden": "`supervise adopt PID` takes it over, `supervise start NAME --replace` ends it",
        "duplicate": "`kill PID` ends it",
        "orphan": "`supervise force-stop NAME` ends it",
        "ambiguous": "it keeps them from starting; end it by hand",
        "unknown": "it keeps them from starting; `sudo supervise ps` sees more",
    }.get(one["class"], "")
    advice = what.replace("PID", str(one["pid"])).replace("NAME", one["agents"][0])
    return f"{one['why']}{where}{f'; {advice}' if advice else ''}"
