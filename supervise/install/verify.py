"""What systemd itself thinks of rendered units, before any of them is written to where it counts."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path

from supervise.analyze import analyze
from supervise.install.plan import unit_of
from supervise.model import Scope, UnitFile
from supervise.places import Places

HARMLESS = re.compile("Special user nobody configured")
"""What systemd remarks and does all the same."""
SUBJECT = re.compile(r"(?P<file>\S+\.(conf|service|timer|socket|target|slice|scope|mount|path))(:\d+)?: ")
"""What a line is about: a unit, or a file with a line number."""


def complaints(files: Iterable[UnitFile], *, places: Places) -> tuple[str, ...]:
    """Every line with which `systemd-analyze verify` finds fault; none means that systemd takes all of it.

    `--recursive-errors=yes` since a misspelt directive is only a warning otherwise.
    """
    units = [file for file in files if file.path.is_relative_to(places.units)]
    with tempfile.TemporaryDirectory(prefix="supervise-verify-") as folder:
        roots = [_write(Path(folder), file, places) for file in units]
        names = sorted({name for name in map(_verifiable, roots) if name})
        if not names:
            return ()
        user = ("--user",) if places.scope is Scope.USER else ()
        options = (*user, "verify", "--recursive-errors=yes", "--man=no")
        done = analyze(*options, *(f"{folder}/{name}" for name in names), **_environment(places, folder))
    return faults(done.stderr.replace(f"{folder}/", ""), frozenset(map(unit_of, roots)), failed=done.returncode != 0)


def faults(said: str, units: Collection[str], *, failed: bool) -> tuple[str, ...]:
    """The lines about these units and, where they `failed`, about no unit at all.

    Units of others that ours only meet, as what else `supervise.target` wants, may be broken: that is not our matter.
    """
    lines = [(line, SUBJECT.match(line)) for line in said.splitlines() if not HARMLESS.search(line)]
    ours = tuple(line for line, subject in lines if subject and unit_of(Path(subject["file"])) in units)
    return ours or (tuple(line for line, subject in lines if not subject) if failed else ())


def _environment(places: Places, folder: str) -> dict[str, str]:
    """A user's manager, which `--user` imitates, cannot be without its folders; the second need not be there yet."""
    return {} if places.scope is Scope.SYSTEM else {"HOME": str(Path.home()), "XDG_RUNTIME_DIR": folder}


def _write(folder: Path, file: UnitFile, places: Places) -> Path:
    inside = file.path.relative_to(places.units)
    target = folder / inside
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(file.content, encoding="utf-8")
    return inside


def _verifiable(path: Path) -> str | None:
    """The unit that a file belongs to; a template alone never verifies."""
    return None if "@." in (name := unit_of(path)) else name
