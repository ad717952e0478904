"""A real reconciler of a user of its own, in a process: without a service manager, with its store and its copies."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from supervise.manifest import to_json
from supervise.model import Scope, SupabaseTarget
from supervise.places import Places, user_places
from tests.nouns import spec
from tests.reconcile.rig import manifest_of


@dataclass
class Reconciler:
    home: Path
    places: Places
    environ: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    def install(self, target: SupabaseTarget | None, names: Iterable[str] = ("sma", "feed")) -> None:
        self.places.manifests.mkdir(parents=True, exist_ok=True)
        agents = tuple(map(spec, names))
        manifest = manifest_of(*agents, scope=Scope.USER, source=self.home / "agents.yaml", supabase=target)
        self.places.manifest("trading").write_text(to_json(manifest))

    def start(self, **environ: str) -> None:
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "supervise", "reconcile", "--user"],
                env={**self.environ, **environ},
                stdout=log,
                stderr=log,
            )

    def command(self, *words: str, **environ: str) -> str:
        """What a command of ours says, whatever its exit code."""
        done = subprocess.run(
            [sys.executable, "-m", "supervise", *words],
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            assert self.process.wait(20) == 0, (self.home / "log").read_text()
            self.process = None

    def memory(self) -> int:
        """Bytes that it has in memory, shared ones included."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@contextmanager
def reconciler() -> Iterator[Reconciler]:
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        home = Path(folder)
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "XDG_RUNTIME_DIR": folder,
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={folder}/none",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        found = Reconciler(home, user_places(environ, uid=os.getuid()), environ)
        try:
            yield found
        finally:
            if found.process:
                found.process.kill()
                found.process.wait()
