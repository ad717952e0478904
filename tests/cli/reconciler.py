"""An installation of the user's own for commands, below a folder that is short enough for a socket's address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from supervise.manifest import to_json
from supervise.model import AgentSpec, Scope
from supervise.places import Places, user_places
from tests.reconcile.rig import manifest_of

RIGHT_TO_LEFT, NEXT_LINE = "\u202e", "\u0085"
HOSTILE = f"\x1b]0;owned\x07\x1b[2J[/red][link=x]{RIGHT_TO_LEFT}{NEXT_LINE}\n2nd line"
"""What an agent, a unit or a person may have put into a text."""
INERT = "␛]0;owned␇␛[2J[/red][link=x]\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}␊2nd line"
"""The same, as it must look."""


@contextmanager
def installed(home: Path, patch: pytest.MonkeyPatch, *specs: AgentSpec) -> Iterator[Places]:
    """With one project of these agents, in the scope of the user whose home this is."""
    with TemporaryDirectory(prefix="s") as runtime:
        patch.setenv("XDG_RUNTIME_DIR", runtime)
        patch.setenv("SUDO_USER", "alice")
        there = user_places({"HOME": str(home), "XDG_RUNTIME_DIR": runtime}, uid=0)
        there.manifests.mkdir(parents=True)
        there.manifest("trading").write_text(to_json(manifest_of(*specs, scope=Scope.USER)))
        yield there
