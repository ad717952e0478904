"""What systemd itself thinks of rendered units, before any of them is written to where it counts."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from supervise.analyze import analyze
from supervise.model import Scope, UnitFile
from supervise.places import Places

HARMLESS = re.compile("Special user nobody configured")
"""What systemd remarks and does all the same."""
OURS = re.compile("agent(-probe|-ready)?@|supervise")


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
    said = [line for line in done.stderr.replace(f"{folder}/", "").splitlines() if not HARMLESS.search(line)]
    ours = tuple(line for line in said if OURS.search(line))
    return ours or (tuple(said) if done.returncode else ())


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
    name = path.parent.name.removesuffix(".d") if path.suffix == ".conf" else path.name
    return None if "@." in name else name
