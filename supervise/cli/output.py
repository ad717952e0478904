"""How things look: marks of a status, ages, problem lines, JSON, progress. All foreign text passes `shown`."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from supervise.errors import Problem, SuperviseError, UsageError
from supervise.hints import for_scope
from supervise.model import Scope, Status
from supervise.text import shown

if TYPE_CHECKING:
    from supervise.manager import Result

MARKS = {
    Status.RUNNING: ("✓", "green"),
    Status.WARNING: ("!", "yellow"),
    Status.ERROR: ("✗", "red"),
    Status.STOPPED: ("○", "bright_black"),
    Status.STARTING: ("…", "cyan"),
    Status.STOPPING: ("…", "cyan"),
    Status.UNKNOWN: ("?", "magenta"),
}
FEW = 10
"""Work on fewer agents than this is done before a counter helps."""
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def mark(status: Status) -> str:
    sign, colour = MARKS[status]
    return click.style(f"{sign} {status.value}", fg=colour)


def age(then: datetime | None, now: datetime) -> str:
    """`2 min ago`, coarse as people speak."""
    if then is None:
        return "never"
    seconds = int((now - then).total_seconds())
    if seconds < 1:
        return "just now"
    return f"{duration(timedelta(seconds=seconds))} ago"


def duration(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    size, unit = next(((size, unit) for size, unit in UNITS if seconds >= size), (1, "s"))
    return f"{seconds // size} {unit}"


def size(number: int) -> str:
    """`118 MiB`; with a tenth below ten, as `1.2 GiB`."""
    unit, name = next(((unit, name) for unit, name in SIZES if number >= unit), (1, "B"))
    amount = number / unit
    return f"{amount:.1f} {name}" if amount < 10 and unit > 1 else f"{amount:.0f} {name}"


def percent(share: float) -> str:
    """Of one core: `3 %`, `250 %`; with a tenth below one."""
    return f"{100 * share:.1f} %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def local(then: datetime | None) -> str:
    return then.astimezone().strftime("%Y-%m-%d %H:%M:%S") if then else "–"


def problem_line(problem: Problem) -> str:
    """`agents.yaml:12:5: agents.x.restrat: …`, the file as seen from here."""
    mark = problem.mark
    where = f"{short(mark.file)}:{mark.line}:{mark.column}"
    kind = "warning: " if problem.warning else ""
    key = f"{problem.key}: " if problem.key else ""
    return shown(f"{where}: {kind}{key}{problem.text}")


def short(path: Path) -> str:
    """The path relative to the current folder, if it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def print_json(value: Any, *, lines: bool = False) -> None:
    """Any of our values as JSON: enums by value, times in UTC, lengths in seconds."""
    click.echo(json.dumps(plain(value), indent=None if lines else 2, ensure_ascii=False))


def plain(value: Any) -> Any:
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, timedelta_mode="float", fallback=str)


def print_result(result: Result) -> None:
    sign = click.style("✓", fg="green") if result.ok else click.style("✗", fg="red")
    click.echo(f"{sign} {shown(result.name)}: {shown(hinted(result.text))}", err=not result.ok)


def print_warning(text: str) -> None:
    click.secho(f"! {shown(hinted(text))}", fg="yellow", err=True)


def hinted(text: str) -> str:
    """The text, whose commands are for who gave this one: with `--user` if that was said."""
    return for_scope(text, Scope.USER if "--user" in sys.argv else Scope.SYSTEM)


def agree(question: str) -> None:
    """Ask for a yes. Anything else ends the command with nothing done; Ctrl-C does so at once, also inside asyncio."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if not click.confirm(question):
            raise SuperviseError("nothing was changed")
    except click.Abort as error:
        if not isinstance(error.__context__, EOFError):
            raise
        click.echo()  # the question stands in this line
        raise UsageError("nobody is there to answer, so nothing was changed; --yes says yes beforehand") from error
    finally:
        signal.signal(signal.SIGINT, before)


def progress(text: str) -> None:
    """One line of progress, on standard error, unless `-q`."""
    if not _is_quiet():
        click.secho(f"… {shown(text)}", err=True, dim=True)


def _is_quiet() -> bool:
    context = click.get_current_context(silent=True)
    return bool(context and (context.find_root().obj or {}).get("quiet"))


def counter(verb: str) -> Callable[[int, int], None]:
    """Counts long work in one line of a terminal: `… started 120 of 500`. Silent elsewhere, for few, and under `-q`."""

    def count(done: int, total: int) -> None:
        if total > FEW and sys.stderr.isatty() and not _is_quiet():
            click.secho(f"\r… {verb} {done} of {total}", err=True, dim=True, nl=done == total)

    return count


def is_verbose() -> bool:
    context = click.get_current_context(silent=True)
    return bool(context and (context.find_root().obj or {}).get("verbose"))


def has_colour() -> bool:
    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().color is False:
        return False
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def utc_now() -> datetime:
    return datetime.now(UTC)
