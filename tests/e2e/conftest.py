"""The lab as a fixture: one machine a session for tests that tidy up, their own for those that break things."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab

REQUIRED = os.environ.get("SUPERVISE_REQUIRE_ALL") == "1"


def _possible() -> None:
    """Skip, by name, where the lab cannot be; where all is required that is a failure."""
    missing = [
        why
        for why, there in (("root", os.geteuid() == 0), ("systemd-nspawn", shutil.which("systemd-nspawn")))
        if not there
    ]
    if missing:
        text = f"the lab needs {' and '.join(missing)}"
        pytest.fail(text) if REQUIRED else pytest.skip(text)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A machine that the tests of a session share: each removes what it installs."""
    _possible()
    with Lab() as booted:
        yield booted


@pytest.fixture
def own_lab() -> Iterator[Lab]:
    """A machine for one test alone."""
    _possible()
    with Lab() as booted:
        yield booted


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests stay together on one worker, so that its fixtures are made once."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.name))
