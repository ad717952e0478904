"""`supervise presets`: how much each part of the health may cost, under names, and who is scored by which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from supervise.cli.options import (
    complete_agent,
    complete_choice,
    complete_part,
    complete_preset,
    json_option,
    tags_option,
    user_option,
)
from supervise.errors import UsageError

NAME = click.argument("name", shell_complete=complete_preset)
WIDTH = 9
"""Columns of a weight, as wide as the longest part."""


@click.group(invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Show and change how health is scored.

    A preset says how many points each part of the health can cost at most. Everybody is scored by `balanced` unless
    another one was chosen for the host, for a tag or for an agent.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_presets)


@command.command("list")
@user_option
@json_option
def list_presets(as_user: bool = False, as_json: bool = False) -> None:
    """Show all presets, and who uses them."""
    from supervise.cli.output import print_json
    from supervise.decide.presets import PARTS
    from supervise.text import shown

    found = _found(as_user)
    if as_json:
        print_json(found)
        return
    width = max(len(one["name"]) for one in found["presets"])
    click.secho(f"{'preset':<{width}}  {'  '.join(f'{part:>{WIDTH}}' for part in PARTS)}  used by", dim=True)
    for one in found["presets"]:
        weights = "  ".join(f"{one['weights'][part]:>{WIDTH}g}" for part in PARTS)
        click.echo(f"{one['name']:<{width}}  {weights}  {shown(_users(one))}".rstrip())


@command.command("show")
@NAME
@user_option
@json_option
def show(name: str, as_user: bool, as_json: bool) -> None:
    """Show one preset: what each part can cost, and for what."""
    from supervise.cli.output import print_json
    from supervise.decide.presets import PARTS, unknown
    from supervise.text import shown

    presets = {one["name"]: one for one in _found(as_user)["presets"]}
    if name not in presets:
        raise unknown(name, presets)
    found = presets[name]
    if as_json:
        print_json(found)
        return
    click.secho(f"{name}{' (built in)' if found['built_in'] else ''}", bold=True)
    for part, why in PARTS.items():
        click.echo(f"  {part:<{WIDTH}}  {found['weights'][part]:>5g}  {why}")
    click.echo(f"  used by    {shown(_users(found) or 'nobody')}")


@command.command("save")
@NAME
@click.argument("weights", nargs=-1, required=True, metavar="PART=POINTS…", shell_complete=complete_part)
@click.option(
    "--from",
    "base",
    default="balanced",
    show_default=True,
    metavar="PRESET",
    shell_complete=complete_preset,
    help="What the parts weigh that are not given.",
)
@user_option
def save(name: str, weights: tuple[str, ...], base: str, as_user: bool) -> None:
    """Make a preset, or change one of your own."""
    from supervise.cli.reconciler import asked
    from supervise.decide.presets import said

    found = asked(as_user, "preset-save", name=name, weights=dict(map(_weight, weights)), base=base)
    before = f"; before: {said(found['before'])}" if found["before"] else ""
    click.echo(f"✓ {name}: {said(found['weights'])}{before}")


@command.command("use")
@click.argument("name", metavar="PRESET", shell_complete=complete_choice)
@click.argument("agents", nargs=-1, metavar="[AGENT]…", shell_complete=complete_agent)
@tags_option
@user_option
def use(name: str, agents: tuple[str, ...], tags: tuple[str, ...], as_user: bool) -> None:
    """Score the host, or these agents, by a preset.

    AGENT is a name, a title or a glob; without any, and without --tag, the host is meant. An agent's own choice comes
    before that of its tags, and that before the host's. `default` takes a choice back.
    """
    from supervise.cli.reconciler import asked, names_of
    from supervise.text import shown

    names = names_of(agents, as_user) if agents else []
    found: Mapping[str, str] = asked(as_user, "preset-use", name=name, agents=names, tags=list(tags))
    for one in names:
        click.echo(f"✓ {shown(one)}: scored by {found[one]}")
    for tag in tags:
        click.echo(f"✓ tag {shown(tag)}: {_chosen(name)}")
    if not (names or tags):
        click.echo(f"✓ the host: {_chosen(name)}")


@command.command("delete")
@NAME
@user_option
def delete(name: str, as_user: bool) -> None:
    """Delete a preset of your own that nobody uses."""
    from supervise.cli.reconciler import asked
    from supervise.decide.presets import said

    found = asked(as_user, "preset-delete", name=name)
    click.echo(f"✓ {name}: deleted; it was {said(found['before'])}")


def _found(as_user: bool) -> Mapping[str, Any]:
    """All presets, or where nobody can be asked those that are built in; `used_by` is None then."""
    from supervise.cli.output import print_warning
    from supervise.cli.reconciler import asked
    from supervise.control.client import Unreachable
    from supervise.decide.presets import BUILT_IN
    from supervise.errors import NoSuchAgent

    try:
        found: Mapping[str, Any] = asked(as_user, "presets")
    except (Unreachable, NoSuchAgent) as error:
        print_warning(f"only those that are built in: {error}")
        built_in = {"built_in": True, "used_by": None}
        return {"presets": [{"name": name, "weights": weights, **built_in} for name, weights in BUILT_IN.items()]}
    return found


def _users(preset: Mapping[str, Any]) -> str:
    return "–" if preset["used_by"] is None else ", ".join(preset["used_by"])


def _chosen(name: str) -> str:
    from supervise.decide.presets import INHERITED

    return "scored as is usual" if name == INHERITED else f"scored by {name}"


def _weight(word: str) -> tuple[str, Any]:
    part, _, weight = word.partition("=")
    if not weight:
        raise UsageError(f'"{part}" needs its points, as in {part}=20')
    try:
        return part, float(weight)
    except ValueError:
        return part, weight
