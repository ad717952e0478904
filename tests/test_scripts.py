"""The scripts of the repository say what they are for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_lab_explains_itself_and_boots_nothing(option: str) -> None:
    done = subprocess.run([SCRIPTS / "lab", option], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("A throw-away machine with a real systemd")
    assert "scripts/lab systemctl status" in done.stdout
    assert "set -" not in done.stdout
