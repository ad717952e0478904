"""The two who listen to an agent, as in the tests of the library."""

from __future__ import annotations

from tests.agent.conftest import supervisor, systemd

__all__ = ["supervisor", "systemd"]
