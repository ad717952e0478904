"""One reconciler at a time: real locks, held by real processes."""

from __future__ import annotations

import logging
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from supervise.errors import SuperviseError
from supervise.places import Places
from supervise.reconcile.alone import alone
from tests.nouns import places_in, seconds

HOLDER = """
import sys
from pathlib import Path
from supervise.reconcile.alone import alone
from tests.nouns import places_in
with alone(places_in(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def there(tmp_path: Path) -> Places:
    return places_in(tmp_path)


@contextmanager
def held_by_another(there: Places) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(there.state.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_one_is_told_who_is_first(there: Places) -> None:
    with held_by_another(there) as first:
        with pytest.raises(SuperviseError) as refused, alone(there):
            pytest.fail("two keep the same agents")
        assert str(refused.value) == (
            f"cannot keep this machine's agents: another reconciler does (PID {first.pid});"
            " `supervise status` shows what it knows"
        )


def test_the_lock_of_one_that_was_killed_is_free(there: Places) -> None:
    with held_by_another(there) as first:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        with alone(there):
            assert there.reconciler_lock.read_text() == f"{os.getpid()}\n"


def test_the_lock_ends_with_its_owner_and_may_be_taken_again(there: Places) -> None:
    for _ in range(2):
        with alone(there), pytest.raises(SuperviseError), alone(there):
            pytest.fail("two keep the same agents")


def test_nobody_else_can_open_the_lock(there: Places) -> None:
    with alone(there):
        assert stat.S_IMODE(there.reconciler_lock.stat().st_mode) == 0o600


def test_who_is_patient_gets_the_lock_when_the_first_one_ends(there: Places) -> None:
    with held_by_another(there) as first:
        assert first.stdin is not None
        first.stdin.close()
        with alone(there, patience=timedelta(seconds=10)):
            assert first.wait(10) == 0


def test_patience_ends(there: Places) -> None:
    with held_by_another(there), pytest.raises(SuperviseError), alone(there, patience=seconds(0.15)):
        pytest.fail("two keep the same agents")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_by_hand_belongs_to_the_owner_of_the_folder(there: Places) -> None:
    there.state.mkdir()
    os.chown(there.state, 4242, 4343)
    with alone(there):
        status = there.reconciler_lock.stat()
        assert (status.st_uid, status.st_gid) == (4242, 4343)


def test_a_link_in_its_place_is_not_followed(there: Places, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    there.state.mkdir()
    there.reconciler_lock.symlink_to(precious)
    with pytest.raises(SuperviseError, match=r"^cannot lock .*reconciler\.lock"), alone(there):
        pytest.fail("it followed a link")
    assert precious.read_text() == "mine"


def test_a_disk_that_takes_no_file_is_said_and_keeps_nobody_from_watching(
    there: Places, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object) -> int:
        raise OSError(28, "No space left on device")

    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(os, "open", full)
    with alone(there):
        assert "No space left on device): nothing keeps a second reconciler away" in caplog.text


def test_a_file_that_may_only_be_read_is_lock_enough(there: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    with alone(there):
        pass
    real = os.open

    def read_only(path: Path, flags: int, *mode: int) -> int:
        if flags & os.O_RDWR:
            raise OSError(30, "Read-only file system")
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", read_only)
    with alone(there), pytest.raises(SuperviseError, match="another reconciler does"), alone(there):
        pytest.fail("two keep the same agents")
