"""What the end-to-end tests share: one lab, booted when the first of them asks for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.lab import Lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A real systemd. Where none can be booted the test is skipped, unless SUPERVISE_REQUIRE_ALL=1 forbids that."""
    if missing := _missing():
        if os.environ.get("SUPERVISE_REQUIRE_ALL") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    with Lab() as booted:
        yield booted


def _missing() -> str | None:
    if os.geteuid() != 0:
        return "the lab needs root"
    if not shutil.which("systemd-nspawn"):
        return "the lab needs systemd-nspawn (Debian: systemd-container)"
    return None
