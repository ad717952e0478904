"""One install at a time; who comes second learns who is first."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from supervise.errors import SuperviseError
from supervise.install.lock import install_lock
from supervise.places import Places
from tests.nouns import places_in

DIES_LOCKED = """
import fcntl, os, signal, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setattr(sys, "argv", ["/opt/bin/supervise", "install", "--start"])
    return places_in(tmp_path)


def test_the_second_learns_who_is_first(there: Places) -> None:
    user = pwd.getpwuid(os.getuid()).pw_name
    with (
        install_lock(there),
        pytest.raises(SuperviseError) as error,
        install_lock(there),
    ):
        pytest.fail("two installs at once")
    assert str(error.value).startswith(
        f"cannot install now: `supervise install --start` (PID {os.getpid()}, {user}) has been at it since 20"
    )
    assert str(error.value).endswith("; try again when it is done")


def test_the_lock_is_free_after_the_first_is_done_or_has_failed(there: Places) -> None:
    with pytest.raises(ZeroDivisionError), install_lock(there):
        raise ZeroDivisionError
    with install_lock(there):
        assert there.lock.exists()
    with install_lock(there):
        pass


def test_the_kernel_frees_the_lock_of_a_dead_holder(there: Places) -> None:
    there.lock.parent.mkdir(parents=True)
    there.lock.write_text(json.dumps({"pid": 1, "user": "dead", "command": "x" * 4096, "since": "2020-01-01"}))
    subprocess.run([sys.executable, "-S", "-c", DIES_LOCKED, str(there.lock)], check=False)
    with install_lock(there):
        assert json.loads(there.lock.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("content", ["", "{", "{}", "[]"])
def test_a_holder_that_has_not_said_its_name_yet_still_holds(there: Places, content: str) -> None:
    with install_lock(there):
        there.lock.write_text(content)
        with pytest.raises(SuperviseError, match="another install has just begun"), install_lock(there):
            pytest.fail("two installs at once")


def test_the_lock_of_one_scope_does_not_bind_the_other(there: Places, tmp_path: Path) -> None:
    with install_lock(there), install_lock(places_in(tmp_path / "own")):
        pass
