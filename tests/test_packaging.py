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

from supervise import __version__

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


# --- The small distribution -------------------------------------------------------------------------------------------

FEED = "from supervise.agent import Agent; Agent('packed').beat('works'); print('works')"
FOREIGN = "import sys; print(sorted({'click', 'jinja2', 'pydantic', 'rich', 'yaml'} & sys.modules.keys()))"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel of what agents install."""
    folder = tmp_path_factory.mktemp("small")
    run(CHECKOUT / "packaging/agent/build", folder, env={**os.environ, "PYTHON": sys.executable})
    return folder


def clean_environment(folder: Path) -> tuple[Path, dict[str, str]]:
    """The bin folder of a virtual environment with nothing in it, and settings that lead to nothing else."""
    venv.create(folder, with_pip=True)
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "NOTIFY_SOCKET")}
    return folder / "bin", {**kept, "TMPDIR": str(folder)}


@pytest.mark.slow
def test_the_small_distribution_is_the_agent_library_and_nothing_else(small: Path) -> None:
    (wheel,) = small.glob("*.whl")
    assert wheel.name == f"supervise_agent-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(f"supervise_agent-{__version__}.dist-info/METADATA").decode()
    library = CHECKOUT / "supervise/agent"
    assert names == {f"supervise/agent/{file.name}" for file in library.iterdir() if file.is_file()}
    assert "Requires-Python: >=3.9\n" in metadata
    assert [line for line in metadata.splitlines() if line.startswith("Requires-Dist")] == [
        "Requires-Dist: sdnotify>=0.3.2"
    ]


@pytest.mark.slow
def test_the_small_distribution_works_alone_in_an_empty_environment(small: Path, tmp_path: Path) -> None:
    bin_, clean = clean_environment(tmp_path / "venv")
    run(bin_ / "pip", "install", "-qq", next(small.glob("*.whl")), env=clean)
    assert run(bin_ / "python", "-c", f"{FEED}; {FOREIGN}", cwd=tmp_path, env=clean) == "works\n[]\n"
    installed = run(bin_ / "pip", "list", "--format=freeze", env=clean)
    assert {line.partition("==")[0] for line in installed.splitlines()} - {"pip", "setuptools", "wheel"} == {
        "sdnotify",
        "supervise-agent",
    }


@pytest.mark.slow
@pytest.mark.parametrize("first", ["small", "whole"])
def test_both_distributions_live_in_one_environment(small: Path, built: Path, tmp_path: Path, first: str) -> None:
    bin_, clean = clean_environment(tmp_path / "venv")
    run(bin_ / "pip", "install", "-qq", "-r", CHECKOUT / "requirements.txt", env=clean)
    wheels = [next(small.glob("*.whl")), next(built.glob("*.whl"))]
    for wheel in wheels if first == "small" else reversed(wheels):
        run(bin_ / "pip", "install", "-qq", "--no-deps", wheel, env=clean)
    assert run(bin_ / "python", "-c", FEED, cwd=tmp_path, env=clean) == "works\n"
    assert __version__ in run(bin_ / "supervise", "--version", cwd=tmp_path, env=clean)
