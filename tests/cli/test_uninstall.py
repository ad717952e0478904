"""`supervise uninstall`: whoever ends the watching is told of what runs on unwatched."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervise.cli import installing
from supervise.errors import ExitCode
from supervise.manifest import to_json
from supervise.model import Scope
from supervise.places import Places
from tests.cli.shell import Supervise
from tests.install.machine import Machine
from tests.nouns import spec
from tests.reconcile.rig import manifest_of

SLEEP = ("/bin/sleep", "86397")


class Connected(Machine):
    async def __aexit__(self, *exception: object) -> None:
        """Nothing is to be closed."""


@pytest.fixture
def there(there: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Two agents, of which one is all that a sleeping process could be."""
    own = {"scope": Scope.USER, "working_directory": tmp_path}
    agents = (spec("feed", command=("/bin/sleep", "86398"), **own), spec("sma", command=SLEEP, **own))
    there.manifest("trading").write_text(to_json(manifest_of(*agents, scope=Scope.USER)))

    async def opened(places: Places) -> Machine:
        return Connected(places)

    monkeypatch.setattr(installing, "open_platform", opened)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    return there


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[int]:
    """The PID of a copy of `sma` that somebody has started by hand."""
    with subprocess.Popen(SLEEP, cwd=tmp_path) as running:
        yield running.pid
        running.kill()


def test_what_runs_on_is_named_with_its_pid_and_not_ended(supervise: Supervise, there: Places, copy: int) -> None:
    answer = supervise("uninstall", "--user", "-p", "trading", "--yes")
    assert (answer.code, there.manifest("trading").exists()) == (ExitCode.OK, False)
    (told,) = [line for line in answer.err.splitlines() if line.startswith("!")]
    assert told.startswith(f"! sma: this runs on, and nobody watches it: PID {copy} of ")
    assert Path(f"/proc/{copy}").exists()


@pytest.mark.usefixtures("there")
def test_where_all_has_ended_nothing_is_named(supervise: Supervise) -> None:
    answer = supervise("uninstall", "--user", "-p", "trading", "--yes")
    assert (answer.code, "runs on" in answer.err) == (ExitCode.OK, False)
