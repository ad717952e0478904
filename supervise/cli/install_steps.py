"""The steps of an install for `install` and `apply`: carry out, then start and restart, then say what was done."""

from __future__ import annotations

from collections.abc import Callable

import click

from supervise.cli.installing import describe, manager_of
from supervise.cli.output import counter, hinted, print_result, progress
from supervise.errors import ExitCode
from supervise.install.apply import Applied
from supervise.install.plan import Plan
from supervise.install.session import Session
from supervise.manager import Result, exit_code
from supervise.text import counted, shown


async def carry_out(
    session: Session, *, start: bool, restart: bool, agreed: Callable[[Plan], bool] | None = None
) -> int:
    """Gives the exit code: partly, when some unit would not stop or some agent not start."""
    plan, applied = await session.install(progress, agreed)
    _say_what_was_done(plan, applied)
    results: list[Result] = []
    if restart and plan.restart:
        results += await _restart(session, plan)
    elif plan.restart:
        older = ", ".join(plan.restart)
        click.echo(hinted(f"runs something older until it is restarted: {older} (`supervise install --restart`)"))
    if start:
        results += await _start(session, plan)
    else:
        _name_copies(plan)
    if applied and applied.kept:
        return ExitCode.PARTLY
    return exit_code([result for result in results if not result.ok] + [result for result in results if result.ok])


def _say_what_was_done(plan: Plan, applied: Applied | None) -> None:
    if applied is None:
        click.echo(f"{plan.project}: nothing to change")
        return
    for unit, why in applied.kept.items():
        click.secho(f"✗ {unit} would not stop, so its files stay: {shown(why)}", fg="red", err=True)
    if applied.daemon:
        click.secho(f"! the reconciler does not run: {shown(applied.daemon)}", fg="yellow", err=True)
    added, gone = len(plan.agents_added), len(plan.stop)
    what = [f"{counted(applied.files, 'file')} written or removed"]
    what += [f"{counted(added, 'agent')} added"] if added else []
    what += [f"{counted(gone, 'unit')} stopped and removed"] if gone else []
    click.secho(f"✓ {plan.project}: {', '.join(what)}", fg="green")


async def _start(session: Session, plan: Plan) -> list[Result]:
    manager = manager_of(session, plan)
    specs = [spec for spec in manager.specs if spec.name in plan.start]
    if not specs:
        return []
    progress(f"starting {counted(len(specs), 'agent')}")
    return await manager.start(specs, tell=print_result, count=counter("started"))


async def _restart(session: Session, plan: Plan) -> list[Result]:
    manager = manager_of(session, plan)
    specs = [spec for spec in manager.specs if spec.name in plan.restart]
    progress(f"restarting {counted(len(specs), 'agent')}")
    return await manager.restart(specs, tell=print_result, count=counter("restarted"))


def _name_copies(plan: Plan) -> None:
    for name, processes in plan.outside.items():
        for process in processes:
            click.secho(f"! {name} runs outside its unit: {describe(process)}", fg="yellow", err=True)
