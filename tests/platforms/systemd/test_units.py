"""Which files agents become, byte for byte. After a wanted change: `scripts/golden`, then read the difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervise.marker import edited, marker
from tests.platforms.systemd.golden import cases, expected, rendered


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_same_specs_give_the_same_bytes(case: Path) -> None:
    assert rendered(case) == expected(case)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_every_file_is_marked_as_ours_and_unedited(case: Path) -> None:
    for content in expected(case).values():
        assert marker(content)
        assert not edited(content)
        assert content.endswith("\n")
        assert not content.endswith("\n\n")


def test_there_are_cases() -> None:
    assert len(cases()) >= 10
