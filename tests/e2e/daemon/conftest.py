"""One machine for each file: these tests break what they share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import _possible
from tests.lab import Lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    _possible()
    with Lab() as booted:
        yield booted
