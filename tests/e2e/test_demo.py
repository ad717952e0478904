"""`scripts/demo`, the first thing that a stranger runs: each of its steps ends it where it does not work."""

from __future__ import annotations

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.lab


def test_the_demo_shows_what_it_says(own_lab: Lab) -> None:
    told = own_lab.run("/opt/supervise/examples/demo", timeout=180).stdout
    assert "DuplicateProcess" in told
    assert told.rstrip().endswith("✓ done\x1b[0m")
