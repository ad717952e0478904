"""The templates of this package, found in a wheel as in a checkout, and filled strictly."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def folder(name: str) -> Traversable:
    """`templates` or `units`: inside the package when installed, beside it in a checkout."""
    packaged = files("supervise") / name
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / name


def static(name: str) -> str:
    """The text of one file of `units/`."""
    return (folder("units") / name).read_text(encoding="utf-8")


def fill(template: str, **context: object) -> str:
    """One file of `templates/`, filled in; ends with one newline."""
    return _environment().get_template(template).render(context).rstrip("\n") + "\n"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def source(name: str) -> str | None:
        path = folder("templates")
        for part in name.split("/"):
            path = path / part
        return path.read_text(encoding="utf-8") if path.is_file() else None

    return Environment(
        loader=FunctionLoader(source),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - unit files, not HTML; values are quoted by directives.py
    )
