"""Stopping real processes: with their children, and never somebody else who got their number."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from supervise.model import Process, ProcessId
from supervise.observe.ending import end
from supervise.observe.scan import process
from tests.observe.running import WAITS, Running, eventually, running

LONG = timedelta(seconds=30)
SHORT = timedelta(milliseconds=200)
READY = "import pathlib, signal\n{}\npathlib.Path('ready').touch()\nwhile True: signal.pause()\n"
STUBBORN = READY.format("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
PARENT = READY.format("import subprocess, sys\nsubprocess.Popen([sys.executable, 'child.py'])")
DAEMON = READY.format("import subprocess, sys\nsubprocess.Popen([sys.executable, 'child.py'], start_new_session=True)")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as programs:
        yield programs


def started(programs: Running, script: str) -> Process:
    """The process of a script, once it has said that it is ready."""
    (programs.folder / "run.py").write_text(script)
    child = programs.start(sys.executable, "run.py")
    assert eventually((programs.folder / "ready").exists)
    seen = process(child.pid)
    assert seen
    return seen


def ended(one: Process, grace: timedelta) -> bool:
    return asyncio.run(end(one, grace=grace))


def test_a_process_that_listens_ends_at_once(here: Running) -> None:
    victim = started(here, READY.format(""))
    begun = time.monotonic()
    assert ended(victim, LONG)
    assert time.monotonic() - begun < 10
    assert here.seen() == ()


def test_a_process_that_does_not_listen_is_killed_after_the_grace(here: Running) -> None:
    victim = started(here, STUBBORN)
    begun = time.monotonic()
    assert ended(victim, SHORT)
    assert time.monotonic() - begun >= SHORT.total_seconds()
    assert here.seen() == ()


@pytest.mark.parametrize("parent", [PARENT, DAEMON])
@pytest.mark.parametrize("child", [WAITS, STUBBORN.replace("ready", "child_ready")])
def test_children_go_with_their_parent(here: Running, parent: str, child: str) -> None:
    (here.folder / "child.py").write_text(child)
    victim = started(here, parent)
    assert child == WAITS or eventually((here.folder / "child_ready").exists)
    assert eventually(lambda: len(here.seen()) == 2)
    assert ended(victim, SHORT)
    assert here.seen() == ()


def test_a_child_that_was_born_during_the_grace_is_killed_too(here: Running) -> None:
    born = "import subprocess, sys\nsignal.signal(15, lambda *_: subprocess.Popen([sys.executable, 'child.py']))"
    (here.folder / "child.py").write_text(STUBBORN.replace("ready", "child_ready"))
    assert ended(started(here, READY.format(born)), SHORT)
    assert here.seen() == ()


def test_a_stopped_process_is_killed(here: Running) -> None:
    victim = started(here, READY.format(""))
    os.kill(victim.id.pid, 19)
    assert ended(victim, SHORT)
    assert here.seen() == ()


def test_a_process_that_is_gone_already_is_gone(here: Running) -> None:
    victim = started(here, READY.format(""))
    here.stop()
    assert ended(victim, LONG)


def test_a_zombie_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    seen = process(child.pid)
    assert seen
    assert child.stdin
    child.stdin.close()
    assert eventually(lambda: process(child.pid) is None)
    assert ended(seen, LONG)
    child.wait()


def test_a_later_process_of_the_same_number_is_not_touched(here: Running) -> None:
    victim = started(here, READY.format(""))
    earlier = replace(victim, id=ProcessId(victim.id.pid, victim.id.started - 1))
    assert ended(earlier, LONG), "the one that was meant is gone"
    assert [one.id for one in here.seen()] == [victim.id]


@pytest.mark.parametrize("change", [{"uid": 54321}, {"executable": Path("/usr/bin/other")}])
def test_a_process_that_became_something_else_is_not_touched(here: Running, change: dict[str, object]) -> None:
    victim = started(here, READY.format(""))
    assert not ended(replace(victim, **change), LONG)  # type: ignore[arg-type]
    assert [one.id for one in here.seen()] == [victim.id]


def test_a_process_whose_program_could_not_be_seen_is_ended_all_the_same(here: Running) -> None:
    assert ended(replace(started(here, READY.format("")), executable=None), LONG)


SUICIDAL = """
import asyncio, os, pathlib, sys
from datetime import timedelta
from supervise.observe.ending import end
from supervise.observe.scan import process, scan
ancestor = process(int(sys.argv[1]))
gone = asyncio.run(end(ancestor, grace=timedelta(0)))
pathlib.Path("answer").write_text(f"gone: {gone}")
"""


def test_an_ancestor_of_ours_is_not_ended_for_we_would_go_with_it(here: Running) -> None:
    """`supervise start --replace`, asked for by the very copy that it would stop."""
    (here.folder / "supervise_it.py").write_text(SUICIDAL)
    asks = f"import os, subprocess\nsubprocess.run([{sys.executable!r}, 'supervise_it.py', str(os.getpid())])"
    ancestor = started(here, READY.format(asks))
    assert (here.folder / "answer").read_text() == "gone: False"
    assert ancestor.id in {one.id for one in here.seen()}


def test_others_are_not_touched(here: Running) -> None:
    victim = started(here, READY.format(""))
    bystander = here.start(sys.executable, "run.py")
    assert ended(victim, LONG)
    assert [one.id.pid for one in here.seen()] == [bystander.pid]
