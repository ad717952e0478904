"""The lab with the agents of a run on it, and the hands that do faults to them. Imports nothing of `supervise`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.crew import ELSEWHERE, FOLDER, OWNER, STRANGER, Member, agents_yaml
from tests.chaos.look import drop_in
from tests.lab import Lab, eventually

CONTROL = "/run/supervise/control.sock"
RECONCILER = "supervise-reconciler.service"
STATE = "/var/lib/supervise"
DISK = "16m"
"""The store's disk: small, so that it is soon full."""
KEPT = "/run/chaos"
NOTHING_TO_DO_IT_TO = 9
"""How a script ends that found its victim gone."""
FLOOD = """
import socket, sys, time
out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
out.setblocking(False)
words = [b'{"v":1,"status":"error","error":"it burns"}', b"[" * 8000, b"\\xff" * 100]
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    for word in words:
        try:
            out.sendto(word, "/run/supervise/agent.sock")
        except BlockingIOError:
            time.sleep(0.0005)
"""


def prepare(lab: Lab, members: Sequence[Member]) -> None:
    """Install the agents and start them."""
    for user in (OWNER, STRANGER):
        lab.run("useradd", "--create-home", user)
    lab.sh(f"mkdir -p {STATE} {KEPT} {ELSEWHERE} {FOLDER}; mount -t tmpfs -o size={DISK},mode=755 store {STATE}")
    for folder in (FOLDER, ELSEWHERE):
        lab.write(f"{folder}/agent.py", Path(__file__).with_name("program.py").read_text(encoding="utf-8"))
    lab.write(f"{FOLDER}/agents.yaml", json.dumps(agents_yaml(members)))
    lab.sh(f"chown -R {OWNER}: /home/{OWNER}; chmod 755 /home/{OWNER}")
    lab.supervise("install", "-f", f"{FOLDER}/agents.yaml", "--start", timeout=300)
    lab.sh(" ; ".join(f"cp -p {drop_in(one.name)} {KEPT}/{one.name}.conf" for one in members))
    eventually(lab.path(CONTROL).exists, "the control socket")


class Hands:
    """What is done to the lab. Each gives why nothing came of it, or an empty text."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def run(self, script: str, *, timeout: float = 60) -> str:
        done = self.lab.run("sh", "-c", script, check=False, timeout=timeout)
        if done.returncode == NOTHING_TO_DO_IT_TO:
            return "its victim had gone"
        if done.returncode:
            return f"exit {done.returncode}: {(done.stderr or done.stdout).strip()[-200:]}"
        return ""

    def signal(self, member: Member, number: int) -> str:
        """To its main process, of this very moment."""
        gone = f"exit {NOTHING_TO_DO_IT_TO}"
        return self.run(
            f"PID=$(systemctl show --value -p MainPID {member.unit}); "
            f'[ "$PID" != 0 ] || {gone}; kill -{int(number)} $PID || {gone}'
        )

    def flood(self, seconds: float) -> str:
        done = self.lab.run("/usr/bin/python3", "-c", FLOOD, str(seconds), check=False, timeout=60)
        return done.stderr.strip()[-200:]
