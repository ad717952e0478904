"""The golden cases: `tests/golden/systemd/CASE/specs.yaml`, and below `expected/` the files that are to come of it.

As a program (`scripts/golden`) it writes the expected files anew.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest.mock import patch

import yaml
from pydantic import TypeAdapter

from supervise.model import AgentSpec, Scope
from supervise.places import SYSTEM, user_places
from supervise.platforms.systemd import units
from supervise.render import render

CASES = Path(__file__).parents[2] / "golden/systemd"
PLACES = {Scope.SYSTEM: SYSTEM, Scope.USER: user_places({"HOME": "/home/ada"}, uid=1000)}
SPECS = TypeAdapter(tuple[AgentSpec, ...])


def cases() -> list[Path]:
    return sorted(file.parent for file in CASES.glob("*/specs.yaml"))


def rendered(case: Path) -> dict[str, str]:
    """Every file by its path below `/`. The shared ones are a case of their own."""
    given = yaml.safe_load((case / "specs.yaml").read_text(encoding="utf-8"))
    places = PLACES[Scope(given.get("scope", "system"))]
    specs = SPECS.validate_python(given["agents"])
    with patch.object(units, "PYTHON", "/opt/supervise/bin/python"):
        shared = {file.path for file in units.shared_files(places)} if specs else set()
        files = render(specs, places=places, version=given.get("version", 252))
    return {str(file.path.relative_to("/")): file.content for file in files if file.path not in shared}


def expected(case: Path) -> dict[str, str]:
    root = case / "expected"
    return {str(file.relative_to(root)): file.read_bytes().decode() for file in root.rglob("*") if file.is_file()}


def write(case: Path) -> None:
    shutil.rmtree(case / "expected", ignore_errors=True)
    for path, content in rendered(case).items():
        target = case / "expected" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode())


if __name__ == "__main__":
    for one in cases():
        write(one)
