"""The way to the shared database for people: its URL from the environment or a file, never from an argument."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from supervise.stores.postgres import Connection

VARIABLE, SECRET = "SUPABASE_DB_URL", "SUPABASE_JWT_SECRET"
Command = TypeVar("Command", bound=Callable[..., Any])


def url_option(command: Command) -> Command:
    return click.option(
        "--url-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"A file with the URL of the database; else {VARIABLE} says it.",
    )(command)


@contextmanager
def shared_database(url_file: Path | None) -> Iterator[Connection]:
    from supervise.stores.postgres import connected

    why = f"say where it is: set {VARIABLE} to postgresql://USER:PASSWORD@HOST:PORT/NAME, or use --url-file FILE"
    with connected(secret_of(VARIABLE, url_file, why)) as db:
        yield db


def secret_of(variable: str, file: Path | None, otherwise: str) -> str:
    """What a file or the environment holds. Raises UsageError with `otherwise` where neither says anything."""
    from supervise.errors import UsageError

    try:
        found = file.read_text(encoding="utf-8").strip() if file else os.environ.get(variable, "")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f'cannot read "{file}": {getattr(error, "strerror", None) or "it is no text"}') from error
    if not found:
        raise UsageError(otherwise)
    return found
