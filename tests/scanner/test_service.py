"""The scan service on a socket of its own, asked by the reconciler's own side; the processes are real."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from supervise.errors import PlatformError
from supervise.manifest import to_json
from supervise.model import AgentSpec, Findings, HiddenPolicy, Outcome
from supervise.reconcile import scanning as module
from supervise.reconcile.scanning import Asked, Here, Scanning
from supervise.scanner import service as service_module
from supervise.scanner.service import MOST_CLIENTS, Service
from tests.nouns import seconds, spec
from tests.observe.running import WAITS
from tests.reconcile.rig import in_a_loop, manifest_of, until

STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nopen('ready', 'w').close()\nsignal.pause()\n"
LONGEST = 1 << 24
"""Bytes of a line: what a busy machine has to tell of its processes is more than asyncio expects."""


@dataclass
class Stage:
    """A folder with a program, the agents that are sought, and what was told of them."""

    folder: Path
    agents: list[AgentSpec] = field(default_factory=list)
    told: list[tuple[Findings | None, frozenset[str]]] = field(default_factory=list)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def manifests(self) -> Path:
        return self.folder / "projects"

    @property
    def path(self) -> Path:
        return self.folder / "scan.sock"

    def seek(self, *agents: AgentSpec) -> None:
        self.agents[:] = agents
        (self.manifests / "new").write_text(to_json(manifest_of(*agents)))
        (self.manifests / "new").rename(self.manifests / "trading.json")

    def agent(self, name: str = "sma", **changes: Any) -> AgentSpec:
        plain = {"command": (sys.executable, f"{name}.py"), "working_directory": self.folder}
        return spec(name, **{**plain, "user": getpass.getuser(), "stop_timeout": seconds(0.05), **changes})

    def start(self, program: str = "sma.py") -> subprocess.Popen[bytes]:
        self.started.append(subprocess.Popen([sys.executable, program], cwd=self.folder))
        return self.started[-1]

    def take(self, found: Findings | None, concerned: Collection[str]) -> None:
        self.told.append((found, frozenset(concerned)))

    def outside(self, name: str = "sma") -> list[int]:
        """By what was told last."""
        found = self.told[-1][0] if self.told else None
        return [one.id.pid for one in found.outside.get(name, ())] if found else []


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(module, "GRACE", 0.2)
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        found = Stage(Path(folder).resolve())
        found.manifests.mkdir()
        for name in ("sma", "feed"):
            (found.folder / f"{name}.py").write_text(WAITS)
        (found.folder / "stubborn.py").write_text(STUBBORN)
        found.seek(found.agent())
        yield found
        for one in found.started:
            one.kill()
            one.wait()


@pytest.fixture
def rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unasked nobody looks again within a test."""
    for one in (module, service_module):
        monkeypatch.setattr(one, "EVERY", 3600.0)


@asynccontextmanager
async def serving(stage: Stage) -> AsyncIterator[None]:
    """A scan service; it is gone when the block ends."""
    listener = socket.socket(socket.AF_UNIX)
    stage.path.unlink(missing_ok=True)
    listener.bind(str(stage.path))
    listener.listen()
    service = asyncio.ensure_future(Service(stage.manifests).run(listener))
    try:
        yield
    finally:
        os.kill(os.getpid(), signal.SIGTERM)  # as systemd ends it
        await service
        listener.close()


@asynccontextmanager
async def asking(scanning: Scanning) -> AsyncIterator[Scanning]:
    running = asyncio.ensure_future(scanning.run())
    try:
        yield scanning
    finally:
        running.cancel()
        await asyncio.wait((running,))


@asynccontextmanager
async def seeing(stage: Stage, kind: str) -> AsyncIterator[Scanning]:
    """Either of the two ways to see."""
    if kind == "here":
        async with asking(Here(lambda: stage.agents, stage.take)) as scanning:
            yield scanning
    else:
        async with serving(stage), asking(Asked(stage.path, stage.take)) as scanning:
            yield scanning


both = pytest.mark.parametrize("kind", ["here", "asked"])


@both
@in_a_loop
async def test_who_asks_is_told_of_what_ran_before_the_question(stage: Stage, kind: str) -> None:
    async with seeing(stage, kind) as scanning:
        await scanning.fresh()
        pid = stage.start().pid
        found: list[int] = []
        while not found:  # until the child has become the program
            found = [one.id.pid for one in (await scanning.fresh()).outside.get("sma", ())]
        assert found == [pid]


@both
@in_a_loop
async def test_unasked_it_is_told(stage: Stage, kind: str) -> None:
    async with seeing(stage, kind):
        await until(lambda: stage.told)
        process = stage.start()
        await until(lambda: stage.outside() == [process.pid])
        assert any("sma" in concerned for _, concerned in stage.told)


@both
@in_a_loop
async def test_no_look_is_waited_for_to_tell_of_an_end(stage: Stage, kind: str, rarely: None) -> None:
    async with seeing(stage, kind) as scanning:
        process = stage.start()
        while stage.outside() != [process.pid]:
            await scanning.fresh()
        process.kill()
        process.wait()
        await until(lambda: stage.outside() == [])


@both
@in_a_loop
async def test_no_look_is_waited_for_to_see_a_suspect(stage: Stage, kind: str, rarely: None) -> None:
    async with seeing(stage, kind) as scanning:
        await until(lambda: stage.told)
        process = stage.start()
        await until(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes().endswith(b"sma.py\0"))
        scanning.suspect(process.pid)
        await until(lambda: stage.outside() == [process.pid])


@both
@in_a_loop
async def test_an_agent_that_is_installed_later_is_sought_too(stage: Stage, kind: str) -> None:
    async with seeing(stage, kind) as scanning:
        process = stage.start("feed.py")
        await until(lambda: stage.told)
        stage.seek(stage.agent(), stage.agent("feed"))
        while not (await scanning.fresh()).outside.get("feed"):
            await asyncio.sleep(0)
        assert stage.outside("feed") == [process.pid]


@both
@in_a_loop
async def test_those_who_ask_together_share_a_look(stage: Stage, kind: str) -> None:
    async with seeing(stage, kind) as scanning:
        await scanning.fresh()
        before = len(stage.told)
        answers = await asyncio.gather(*(scanning.fresh() for _ in range(50)))
        assert all(answers)
        assert len(stage.told) - before <= (3 if kind == "asked" else 60)


@both
@in_a_loop
async def test_a_copy_is_ended_as_the_manifest_allows(stage: Stage, kind: str) -> None:
    allowed = stage.agent(hidden=HiddenPolicy.STOP)
    async with seeing(stage, kind) as scanning:
        process = stage.start()
        await until(lambda: stage.outside() == [process.pid])
        seen = stage.told[-1][0]
        assert seen
        ids = [one.id for one in seen.outside["sma"]]
        refused = await scanning.end(stage.agent(), ids)
        assert (refused.ok, refused.denied) == (False, True)
        assert "does not say hidden: stop" in refused.detail
        assert process.poll() is None
        stage.seek(allowed)
        ended = asyncio.ensure_future(scanning.end(allowed, ids))
        await until(lambda: process.poll() is not None)
        assert await ended == Outcome(True)
        assert await scanning.end(allowed, ids) == Outcome(True)  # it has ended already


@both
@in_a_loop
async def test_who_ignores_the_request_to_end_is_killed(stage: Stage, kind: str) -> None:
    allowed = stage.agent("stubborn", hidden=HiddenPolicy.STOP)
    stage.seek(allowed)
    async with seeing(stage, kind) as scanning:
        process = stage.start("stubborn.py")
        await until((stage.folder / "ready").exists)
        await until(lambda: stage.outside("stubborn") == [process.pid])
        seen = stage.told[-1][0]
        assert seen
        ended = asyncio.ensure_future(scanning.end(allowed, [one.id for one in seen.outside["stubborn"]]))
        await until(lambda: process.poll() is not None)
        assert (await ended).ok
        assert process.returncode == -signal.SIGKILL


@in_a_loop
async def test_of_an_end_is_told_also_while_the_service_is_away(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE", 3600.0)
    async with asking(Asked(stage.path, stage.take)):
        async with serving(stage):
            process = stage.start()
            await until(lambda: stage.outside() == [process.pid])
        process.kill()
        process.wait()
        await until(lambda: stage.outside() == [])
    assert "sma" in stage.told[-1][1]


@in_a_loop
async def test_a_service_that_dies_is_missed_after_a_while_and_all_is_told_again_when_it_is_back(stage: Stage) -> None:
    async with asking(Asked(stage.path, stage.take)) as scanning:
        async with serving(stage):
            first = stage.start()
            await until(lambda: stage.outside() == [first.pid])
        await until(lambda: stage.told[-1] == (None, frozenset()))
        first.kill()
        first.wait()
        async with serving(stage):
            await until(lambda: stage.told[-1][0] is not None)
            assert stage.outside() == []
            back = len(stage.told) - stage.told[::-1].index((None, frozenset()))  # more may have been told since
            assert "sma" in stage.told[back][1]
            assert await scanning.fresh()


@in_a_loop
async def test_without_a_service_nobody_waits_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    async with asking(Asked(stage.path, stage.take)) as scanning:
        with pytest.raises(PlatformError, match="the scan service does not answer"):
            await scanning.fresh()
        scanning.suspect(1)  # nobody is told, and nobody is troubled


# --- What the service does not do -------------------------------------------------------------------------------------


async def said(stage: Stage, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers of the service to these requests, without findings."""
    reader, writer = await asyncio.open_unix_connection(str(stage.path), limit=LONGEST)
    answers = []
    for request in requests:
        writer.write(json.dumps(request).encode() + b"\n")
        while "done" not in (answer := json.loads(await reader.readline())):
            continue
        answers.append(answer)
    writer.close()
    return answers


def end(process: subprocess.Popen[bytes], **changes: Any) -> dict[str, Any]:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    plain = {"id": 1, "op": "end", "name": "sma", "pid": process.pid, "started": int(fields[19]), "grace": 0}
    return {**plain, **changes}


@in_a_loop
async def test_it_ends_only_what_a_manifest_lets_it_end_whatever_it_is_told(stage: Stage) -> None:
    stage.seek(stage.agent(hidden=HiddenPolicy.STOP), stage.agent("feed", hidden=HiddenPolicy.STOP, user="nobody"))
    async with serving(stage):
        process, feed = stage.start(), stage.start("feed.py")
        await until(lambda: Path(f"/proc/{feed.pid}/cmdline").read_bytes().endswith(b"feed.py\0"))
        answers = await said(
            stage, end(process, name="nobody"), end(process, name="feed"), end(feed, name="feed"), end(feed)
        )
        assert [answer["ok"] for answer in answers] == [False] * 4
        assert "another user" in answers[2]["detail"]
        other = await said(stage, end(process, started=1))
        assert other[0]["ok"]  # that one has ended; what has its PID now is left alone
        assert (process.poll(), feed.poll()) == (None, None)


@pytest.mark.parametrize("line", [b"{\n", b"[]\n", b'{"op": "look"}\n', b'{"op": "end", "id": 1}\n', b"x" * 100_000])
@in_a_loop
async def test_who_talks_nonsense_is_let_go_and_nobody_else_notices(stage: Stage, line: bytes) -> None:
    async with serving(stage), asking(Asked(stage.path, stage.take)) as scanning:
        await scanning.fresh()
        reader, writer = await asyncio.open_unix_connection(str(stage.path), limit=LONGEST)
        writer.write(line)
        while await reader.readline():
            continue
        writer.close()
        assert await scanning.fresh()


@in_a_loop
async def test_only_so_many_are_served(stage: Stage) -> None:
    async with serving(stage):
        lines = [await asyncio.open_unix_connection(str(stage.path), limit=LONGEST) for _ in range(MOST_CLIENTS + 1)]
        told = [await reader.readline() for reader, _ in lines]
        assert [bool(one) for one in told] == [True] * MOST_CLIENTS + [False]
        for _, writer in lines:
            writer.close()


def test_it_imports_little() -> None:
    """Nothing of a third party but sdnotify: who may look into everybody should be small."""
    code = "import sys, supervise.scanner.service; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in found if name not in sys.stdlib_module_names and not name.startswith("_")}
    assert ours <= {"supervise", "sdnotify", "distutils-precedence", "sitecustomize", "usercustomize"}
