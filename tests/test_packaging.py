"""The package as a stranger gets it: wheel and sdist, in an environment with nothing of this checkout in it."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
AGENTS = "version: 1\nproject: packed\nagents:\n  one:\n    command: [/bin/sleep, infinity]\n    user: daemon\n"


def run(*argv: str | Path, **options: object) -> str:
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that is made of that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, CHECKOUT)
    return folder


def test_every_package_is_listed() -> None:
    listed = configparser.ConfigParser()
    listed.read(CHECKOUT / "setup.cfg")
    found = {
        ".".join(file.parent.relative_to(CHECKOUT).parts) for file in (CHECKOUT / "supervise").rglob("__init__.py")
    }
    assert set(listed["options"]["packages"].split()) == found | {"supervise.templates", "supervise.units"}


@pytest.mark.slow
def test_templates_and_units_are_in_wheel_and_sdist(built: Path) -> None:
    wheel = zipfile.ZipFile(next(built.glob("*.whl"))).namelist()
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        sdist = archive.getnames()
    for name in ("templates/systemd/unit.j2", "units/agent@.service"):
        assert f"supervise/{name}" in wheel
        assert any(entry.endswith(f"/{name}") for entry in sdist)


@pytest.mark.slow
def test_the_wheel_renders_in_an_empty_environment(built: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run(tmp_path / "venv/bin/pip", "install", "-qq", "-r", CHECKOUT / "requirements.txt", env=clean)
    run(tmp_path / "venv/bin/pip", "install", "-qq", "--no-deps", next(built.glob("*.whl")), env=clean)
    (tmp_path / "agents.yaml").write_text(AGENTS)
    rendered = run(tmp_path / "venv/bin/supervise", "render", cwd=tmp_path, env=clean)
    assert "ExecStart=/bin/sleep infinity" in rendered
    assert "supervise.slice" in rendered
