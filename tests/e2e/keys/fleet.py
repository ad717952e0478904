"""The agents of all these tests, installed together from one `agents.yaml`, and questions about them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from supervise.model import Scope
from tests.lab import Completed, Lab, eventually

PROBE = Path(__file__).with_name("probe.py")
PROJECT = "keys"
TOP = """\
version: 1
project: {project}
vars: {{GREETING: hello from vars}}
reconciler: {{retention: 2s}}
defaults:
  command: [/usr/bin/python3, probe.py]
  environment: {{FROM_DEFAULTS: "yes"}}
  restart: {{policy: never}}
agents:
"""
OWNERS = {Scope.SYSTEM: "keeper", Scope.USER: "ada"}
MISSED = ("caught", "let_go", "endless")
"""Jobs whose last run seems to be years ago."""
FILES = {"settings/one.env": "FROM_FILE=one\nOF_BOTH=one\n", "settings/two.env": "OF_BOTH=two\n"}


class Fleet:
    """All agents in one scope, and whom to ask: their own words in /run/said, systemd, the journal."""

    def __init__(self, lab: Lab, scope: Scope, owner: str = "") -> None:
        self.lab = lab
        self.scope = scope
        self.owner = owner or OWNERS[scope]
        self.user = self.owner if scope is Scope.USER else None
        home = f"/home/{self.owner}"
        self.folder = "/srv/keys" if scope is Scope.SYSTEM else f"{home}/keys"
        self.units = "/etc/systemd/system" if scope is Scope.SYSTEM else f"{home}/.config/systemd/user"
        self.stamps = "/var/lib/systemd/timers" if scope is Scope.SYSTEM else f"{home}/.local/share/systemd/timers"
        self.uid = 0

    def install(self, agents: Iterable[str]) -> None:
        self.prepare()
        self._lay_out()
        self.write("agents.yaml", self.file("\n".join(agents)))
        options = ("--start", "--allow-root") if self.scope is Scope.SYSTEM else ("--start",)
        done = self.supervise("install", "-f", f"{self.folder}/agents.yaml", *options, check=False)
        assert done.returncode in (0, 5), done.stderr  # some are there to fail

    def remove(self) -> None:
        self.supervise("uninstall", "--yes", "-p", PROJECT)
        self.lab.sh("rm -rf /run/said /etc/keys")

    def file(self, agents: str, project: str = PROJECT) -> str:
        return TOP.format(project=project) + agents + "\n"

    # --- Acting -------------------------------------------------------------------------------------------------------

    def supervise(self, *argv: str, check: bool = True) -> Completed:
        """`supervise VERB …` in this scope, on a host with the tag `feed`."""
        verb, *rest = argv
        scope = ("--user",) if self.scope is Scope.USER else ()
        return self.lab.run(
            "env", "SUPERVISE_HOST_TAGS=feed", "supervise", verb, *scope, *rest, check=check, user=self.user
        )

    def as_owner(self, *argv: str) -> Completed:
        """A program started by hand by the agents' owner, however it ends."""
        if self.scope is Scope.USER:
            return self.lab.run(*argv, check=False, user=self.user)
        return self.lab.run("runuser", "-u", self.owner, "--", *argv, check=False)

    def ctl(self, *argv: str, check: bool = True) -> str:
        manager = ("--user",) if self.scope is Scope.USER else ()
        return self.lab.run("systemctl", *manager, *argv, check=check, user=self.user).stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file of the owner's below the folder."""
        self.lab.write(f"{self.folder}/{path}", text, mode=mode)
        self.own(self.folder)

    def own(self, *paths: str) -> None:
        self.lab.run("install", "-d", "--", *paths)
        self.lab.run("chown", "-R", f"{self.owner}:", "--", *paths)

    # --- Asking -------------------------------------------------------------------------------------------------------

    def said(self, name: str, event: str = "start") -> list[dict[str, Any]]:
        """All events of one kind, over all lives of an agent."""
        file = self.lab.path(f"/run/said/{name}")
        lines = file.read_text().splitlines() if file.exists() else []
        return [one for one in map(json.loads, lines) if one["event"] == event]

    def heard(self, name: str, event: str = "start", times: int = 1) -> list[dict[str, Any]]:
        """The same, once there are so many."""
        eventually(lambda: len(self.said(name, event)) >= times, f"{times} × {event} of {name}", timeout=20)
        return self.said(name, event)

    def facts(self, name: str) -> dict[str, Any]:
        """What an agent saw of itself when it first started."""
        return self.heard(name)[0]

    def show(self, name: str, what: str, kind: str = "service") -> str:
        return self.ctl("show", "--value", "-p", what, f"agent@{name}.{kind}").strip()

    def comes_to(self, name: str, what: str, wanted: str) -> None:
        """Waits until a property has this value."""
        eventually(lambda: self.show(name, what) == wanted, f"{what}={wanted} of {name}, not {self.show(name, what)}")

    def moment(self, name: str, what: str) -> float:
        """A time stamp of the unit, in seconds on the clock of `at`."""
        return int(self.show(name, what)) / 1e6

    def lasted(self, name: str) -> float:
        """Seconds from the start to the end of the main process."""
        return self.moment(name, "ExecMainExitTimestampMonotonic") - self.moment(
            name, "ExecMainStartTimestampMonotonic"
        )

    def lives_through(self, name: str, seconds: float) -> dict[str, Any]:
        """Waits until an agent is so old, and gives the facts of its only life."""
        start = self.facts(name)
        eventually(lambda: time.monotonic() > start["at"] + seconds, f"{name} to grow old")
        assert self.show(name, "ActiveState") == "active"
        assert len(self.said(name)) == 1
        return start

    def journal(self, name: str) -> list[str]:
        """The lines of an agent, and its manager's about it."""
        prefix = "USER_" if self.scope is Scope.USER else ""
        unit = f"agent@{name}.service"
        found = self.lab.run("journalctl", "-o", "cat", f"_SYSTEMD_{prefix}UNIT={unit}", "+", f"{prefix}UNIT={unit}")
        return found.stdout.splitlines()

    def rows(self, *choice: str) -> dict[str, dict[str, Any]]:
        """What `status` says of the chosen agents, by name."""
        done = self.supervise("status", "--json", *choice, check=False)
        return {row["name"]: row for row in json.loads(done.stdout)["agents"]}

    def installed(self, name: str) -> bool:
        return self.lab.path(f"{self.units}/agent@{name}.service.d").exists()

    def at_boot(self, unit: str, target: str = "supervise.target") -> bool:
        return self.lab.path(f"{self.units}/{target}.wants/{unit}").is_symlink()

    # --- Laying out ---------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """The owner, and a folder with the program."""
        self.uid = self.lab.add_user(self.owner, linger=self.scope is Scope.USER)
        self.lab.sh("install -d -m 1777 /run/said")
        self.write("probe.py", PROBE.read_text())

    def _lay_out(self) -> None:
        self.own("/etc/keys", f"{self.folder}/deeper", f"{self.folder}/data")
        self.lab.run("ln", "-s", "/usr/bin/python3", f"{self.folder}/python3")
        for environment in ("environment", "with_default/.venv"):
            self.lab.run("/usr/bin/python3", "-m", "venv", "--without-pip", f"{self.folder}/{environment}")
        for path, text in FILES.items():
            self.write(path, text)
        self.write("secrets/token", "open sesame", mode=0o600)
        for job in MISSED:
            self._missed(job)
        if self.scope is Scope.SYSTEM:
            self.lab.add_user("other")
            self.lab.run("groupadd", "crew")
            sealed = f"{self.folder}/secrets/sealed"
            self.lab.sh(f"printf 'sealed sesame' | systemd-creds encrypt --name=SEALED - {sealed}")

    def _missed(self, job: str) -> None:
        stamp = f"{self.stamps}/stamp-agent@{job}.timer"
        self.lab.write(stamp, "")
        if self.scope is Scope.USER:
            self.lab.run("chown", "-R", f"{self.owner}:", f"/home/{self.owner}/.local")
        os.utime(self.lab.path(stamp), (0, 1_000_000_000))
