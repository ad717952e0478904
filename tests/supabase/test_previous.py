"""What the previous release writes fits these tables: expand first, contract a release later."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supabase.nouns import stored
from tests.supabase.stack import CHECKOUT, Api

HOST = "old"


def released() -> str:
    """The tag of the previous release; before there is one, what is checked out."""
    words = ["git", "-C", str(CHECKOUT), "tag", "--list", "v*", "--sort=-version:refname", "--no-contains", "HEAD"]
    tags = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return tags[0] if tags else "HEAD"


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which `supervise` is the previous release's wheel, and `tests` are those that it came with."""
    folder = tmp_path_factory.mktemp("previous")
    archive = folder / "source.tar"
    subprocess.run(["git", "-C", str(CHECKOUT), "archive", "-o", str(archive), released()], check=True)
    (folder / "source").mkdir()
    subprocess.run(["tar", "-x", "-f", str(archive), "-C", str(folder / "source")], check=True)
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(folder / "source"),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-qq",
        "--no-deps",
        "--target",
        str(folder / "wheel"),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    for there in (folder / "source/supervise", folder / "source/supervise_agents.egg-info"):
        there.rename(there.with_name(f"not-{there.name}"))
    return {**os.environ, "PYTHONPATH": f"{folder / 'wheel'}:{folder / 'source'}", "PYTHONSAFEPATH": "1"}


def test_the_previous_release_writes_to_these_tables(api: Api, previous: dict[str, str], tmp_path: Path) -> None:
    where = subprocess.run(
        [sys.executable, "-c", "import supervise, tests; print(supervise.__file__, tests.__file__)"],
        env=previous, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(CHECKOUT) not in where.stdout
    done = subprocess.run(
        [sys.executable, "-m", "tests.supabase.writer", api.url, api.secret_key, HOST],
        env=previous, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [(one["host"], one["name"], one["seq"], one["health"]) for one in stored(api)] == [
        (HOST, "ema", 3, 3),
        (HOST, "sma", 3, 3),
    ]
    assert len(api.call("agent_events?select=id")[1]) == 2
    assert api.call("host_status?select=message")[1] == [{"message": "fine"}]
    assert api.call("supervise_commands?select=state")[1] == [{"state": "done"}]
