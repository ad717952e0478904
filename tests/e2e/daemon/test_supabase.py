"""The reconciler's own service copies to a Supabase: in its sandbox, as its user, with a key that it alone may read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.daemon.asking import ask
from tests.e2e.daemon.machine import FOLDER, RECONCILER, install, reconciler
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

URL = "http://127.0.0.1:9800"
AGENTS = "project: copied\nagents:\n" + "".join(
    f"  {name}: {{command: [/usr/bin/python3, sleeper.py, {name}]}}\n" for name in ("feed", "sma")
)
KEY_FILE = "/etc/supervise/supabase.key"
WRITTEN = f"{AGENTS}supabase: {{url: '{URL}', key: 'file:{KEY_FILE}'}}\n"
SETTINGS = "/etc/supervise/supabase.env"
SUPABASE = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        function = self.path.rpartition("/")[2]
        rows = [{"name": one["name"], "applied": True, "row": None, "lock": None} for one in asked.get("rows", [])]
        answer = {
            "open_session": {"epoch": 1},
            "report_status": {"rows": rows, "superseded": False, "commands": 0},
        }.get(function, {"taken": 1})
        with open("/tmp/asked", "a") as file:
            heard = [function, self.headers["authorization"], asked.get("host"), [one["name"] for one in rows]]
            file.write(json.dumps(heard) + "\\n")
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
ThreadingHTTPServer(("127.0.0.1", 9800), Handler).serve_forever()
"""
"""Takes whatever it is sent, and says who sent it."""
MOST = 100 * 1024
"""Kilobytes that the reconciler may have in memory."""


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Iterator[Lab]:
    """Agents, and a Supabase that nobody was told of yet."""
    lab.write("/tmp/supabase.py", SUPABASE)
    with lab.popen("/usr/bin/python3", "/tmp/supabase.py", stdout=subprocess.DEVNULL) as serving:
        install(lab, AGENTS)
        yield lab
        lab.run("pkill", "-f", "/tmp/supabase.py")
        serving.wait(20)


def told(lab: Lab, key: str) -> set[str]:
    """The names of agents whose rows arrived with this key."""
    file = lab.path("/tmp/asked")
    heard: list[Any] = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return {name for _, said, _, names in heard if said == f"Bearer {key}" for name in names}


def resident(lab: Lab) -> int:
    status = lab.path(f"/proc/{reconciler(lab)}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def has_library(lab: Lab) -> bool:
    """Whether it has loaded Supabase's, by what that one brings along."""
    return "pydantic" in lab.path(f"/proc/{reconciler(lab)}/maps").read_text()


def state(lab: Lab) -> dict[str, Any]:
    found: dict[str, Any] = ask(lab, "info")["supabase"] or {}
    return found


def give_key(lab: Lab, path: str, text: str, mode: int = 0o640) -> None:
    lab.write(path, text, mode=mode)
    lab.run("chgrp", "supervise", path)


def test_who_copies_nothing_has_nothing_of_it_in_memory(machine: Lab) -> None:
    assert not state(machine)
    assert not has_library(machine)


def test_the_key_in_its_file_gets_through_the_sandbox(machine: Lab) -> None:
    before = resident(machine)
    give_key(machine, KEY_FILE, "sb_secret_InItsFile\n")
    machine.write(f"{FOLDER}/agents.yaml", WRITTEN)
    said = machine.supervise("install", "-f", f"{FOLDER}/agents.yaml")
    assert "cannot read" not in said.stdout + said.stderr
    eventually(lambda: told(machine, "sb_secret_InItsFile") == {"feed", "sma"}, "both rows", timeout=30)
    eventually(lambda: state(machine)["behind"] == 0, "all to be there", timeout=30)
    print(f"without copies {before >> 10} MiB, with them {resident(machine) >> 10} MiB")
    assert has_library(machine)
    assert resident(machine) < MOST


def test_a_key_that_it_may_not_read_is_told_and_used_once_it_may(machine: Lab) -> None:
    machine.write(KEY_FILE, "sb_secret_OfRoot\n", mode=0o600)
    machine.run("chown", "root:root", KEY_FILE)
    said = machine.supervise("check", "-f", f"{FOLDER}/agents.yaml")
    assert KEY_FILE in said.stdout + said.stderr
    machine.run("systemctl", "restart", RECONCILER)
    eventually(lambda: "Permission denied" in str(state(machine).get("why")), "status to say it", timeout=30)
    assert f'cannot read "{KEY_FILE}"' in machine.supervise("status", check=False).stdout
    assert f'supervise may not read "{KEY_FILE}"' in machine.supervise("doctor", check=False).stdout
    machine.run("chgrp", "supervise", KEY_FILE)
    machine.run("chmod", "640", KEY_FILE)
    eventually(lambda: told(machine, "sb_secret_OfRoot") == {"feed", "sma"}, "both rows", timeout=60)


def test_the_machine_s_own_settings_do_without_a_line_in_the_project(machine: Lab) -> None:
    give_key(machine, SETTINGS, f"SUPABASE_URL={URL}\nSUPABASE_SECRET_KEY=sb_secret_InSettings\n")
    machine.write(f"{FOLDER}/agents.yaml", AGENTS)
    machine.supervise("install", "-f", f"{FOLDER}/agents.yaml")
    machine.run("systemctl", "restart", RECONCILER)
    eventually(lambda: told(machine, "sb_secret_InSettings") == {"feed", "sma"}, "both rows", timeout=60)
    machine.run("rm", SETTINGS)
    eventually(lambda: not state(machine), "it to end", timeout=30)
