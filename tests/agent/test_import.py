"""What importing the library costs, and what it may not need."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.agent.listening import CHECKOUT

FOLDER = CHECKOUT / "supervise/agent"
HEAVY = {"asyncio", "dataclasses", "inspect", "pathlib", "random", "tempfile", "typing", "click", "pydantic", "yaml"}


def bare(code: str) -> str:
    """Run where nothing is imported yet but what Python itself needs."""
    sdnotify = find_spec("sdnotify")
    assert sdnotify
    assert sdnotify.origin
    paths = [str(CHECKOUT), str(Path(sdnotify.origin).parents[1])]
    argv = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path += {paths}\n{code}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_nothing_heavy_and_nothing_else_of_ours_is_imported() -> None:
    loaded = set(bare("import supervise.agent; print(*sys.modules)").split())
    assert not loaded & HEAVY
    assert {name for name in loaded if name.startswith("supervise.")} == {
        "supervise.agent",
        *(f"supervise.agent.{file.stem}" for file in FOLDER.glob("[a-z]*.py")),
    }


def test_it_is_written_in_the_python_of_old_agents() -> None:
    files = list(FOLDER.glob("*.py"))
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        ast.parse(text, feature_version=(3, 9))
        assert "from __future__ import annotations" in text, file


def test_ruff_finds_nothing_that_older_pythons_lack() -> None:
    argv = [sys.executable, "-m", "ruff", "check", "--no-cache", "--target-version", "py39", str(FOLDER)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr
