"""The two who listen to an agent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.listening import Listener, listening


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Listener]:
    """The receiving end of sd_notify."""
    with listening(tmp_path / "notify") as found:
        yield found


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Listener]:
    """The receiving end of beats."""
    with listening(tmp_path / "agent.sock") as found:
        yield found
