"""What the reconciler makes of an agent: heartbeats, patience, jobs, names, alerts, and what it keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from supervise.model import Scope
from tests.e2e.keys.catalogue import shows
from tests.e2e.keys.fleet import Fleet
from tests.lab import Completed, eventually

pytestmark = pytest.mark.lab

LIBRARY = "/opt/supervise/.venv/bin/python -P -c"
CLAIMS = f"{LIBRARY} 'from supervise.agent import Agent; import signal; Agent(\"one\"); signal.pause()'"
RECEIVER = """
import http.server, sys
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with open(sys.argv[1], "a") as file:
            file.write(body + "\\n")
        self.send_response(204)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Receiver).serve_forever()
"""
METRICS = {Scope.SYSTEM: 9921, Scope.USER: 9922}
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"
PORTS = {Scope.SYSTEM: 9911, Scope.USER: 9912}


def events(fleet: Fleet, name: str) -> list[dict[str, Any]]:
    """The timeline of one agent, oldest first."""
    done = fleet.supervise("events", name, "--json", "-n", "1000")
    return [json.loads(line) for line in done.stdout.splitlines()]


def reasons(fleet: Fleet, name: str, kind: str = "status") -> list[str]:
    return [event["reason"] for event in events(fleet, name) if event["kind"] == kind]


def comes_to_be(fleet: Fleet, name: str, reason: str, *, within: float = 15) -> dict[str, Any]:
    row: dict[str, Any] = {}

    def there() -> bool:
        row.update(fleet.rows(name)[name])
        return bool(row["reason"] == reason)

    eventually(there, f"{name} to be {reason}, not {row.get('reason')}", timeout=within)
    return row


@shows(
    "heartbeat",
    agents="""
  pulse: {heartbeat: {late_after: 1s, silent_after: 4s}, restart: {policy: always, delay: 100ms}}
""",
)
def test_who_owes_a_heartbeat_and_gives_none_is_late_and_then_restarted(fleet: Fleet) -> None:
    fleet.heard("pulse", times=2)
    told = reasons(fleet, "pulse")
    assert {"Late", "Silent"} <= {*told}  # not in this order at first, where the whole fleet starts at once
    assert "Silent" in reasons(fleet, "pulse", kind="action")


def copy_of(fleet: Fleet, seconds: int) -> None:
    """What the agent runs, started by its owner by hand, and left to itself."""
    words = ("/usr/bin/python3", "-c", f"import time; time.sleep({seconds})")
    become = () if fleet.user else ("runuser", "-u", fleet.owner, "--")
    script = 'cd "$0" && setsid "$@" < /dev/null > /dev/null 2>&1 &'
    fleet.lab.run(*become, "sh", "-c", script, fleet.folder, *words, user=fleet.user)


def running(fleet: Fleet, seconds: int) -> int:
    return len(fleet.lab.run("pgrep", "-f", f"^/usr/bin/python3 -c .*sleep.{seconds}", check=False).stdout.split())


@shows(
    "hidden",
    agents="""
  shadowed: {command: [/usr/bin/python3, -c, import time; time.sleep(98701)]}
  unshadowed: {command: [/usr/bin/python3, -c, import time; time.sleep(98702)], hidden: stop}
""",
)
def test_copies_outside_of_units_are_told_and_ended_where_that_is_wanted(fleet: Fleet) -> None:
    pids = {name: fleet.show(name, "MainPID") for name in ("shadowed", "unshadowed")}
    for seconds in (98701, 98702):
        copy_of(fleet, seconds)
    comes_to_be(fleet, "shadowed", "DuplicateProcess")
    eventually(lambda: "DuplicateProcess" in reasons(fleet, "unshadowed", kind="action"), "it to be ended")
    comes_to_be(fleet, "unshadowed", "AsWanted")
    assert (running(fleet, 98701), running(fleet, 98702)) == (2, 1)
    assert {name: fleet.show(name, "MainPID") for name in pids} == pids
    listed = json.loads(fleet.supervise("ps", "shadowed", "--json").stdout)
    assert sorted(one["class"] for one in listed) == ["duplicate", "managed"]
    duplicate = next(str(one["pid"]) for one in listed if one["class"] == "duplicate")
    fleet.lab.run("kill", duplicate)
    comes_to_be(fleet, "shadowed", "AsWanted", within=1)


@shows(
    "quarantine",
    agents="""
  given_up:
    restart: {policy: always, delay: 100ms, burst: 2, window: 1min, loop: off}
    quarantine: {first: 2s, factor: 3, max: 1min}
    command: /usr/bin/python3 probe.py exit=3
  left_down:
    restart: {policy: always, delay: 100ms, burst: 2, window: 1min, loop: off}
    quarantine: off
    command: /usr/bin/python3 probe.py exit=3
""",
)
def test_who_is_given_up_is_tried_again_after_growing_waits(fleet: Fleet) -> None:
    eventually(lambda: reasons(fleet, "given_up", kind="action").count("Quarantined") >= 2, "two new tries", timeout=40)
    tries = [one["at"] for one in events(fleet, "given_up") if one["kind"] == "action"]
    assert len(fleet.said("given_up")) > len(fleet.said("left_down")) == 2
    assert comes_to_be(fleet, "left_down", "Crashed")["message"].endswith("and systemd has stopped trying.")
    row = comes_to_be(fleet, "given_up", "Quarantined")
    assert row["next_try"] > max(tries)


@shows(
    "restart.loop",
    agents="""
  looping:
    restart: {policy: always, delay: 500ms, burst: 1000, window: 1s, loop: 4 in 1min}
    quarantine: {first: 30min}
    command: /usr/bin/python3 probe.py exit=3
""",
)
def test_who_dies_again_and_again_is_taken_out_of_service(fleet: Fleet) -> None:
    row = comes_to_be(fleet, "looping", "Quarantined")
    assert "taken out of service" in row["message"]
    assert "CrashLooping" in reasons(fleet, "looping", kind="action")
    assert len(fleet.said("looping")) in (4, 5)  # it may have begun once more while it was being stopped
    assert fleet.show("looping", "ActiveState") in ("inactive", "failed")  # as it was waiting, or ending by itself


@shows(
    "max_idle",
    agents="""
  idle: {max_idle: 2s}
""",
)
def test_who_reports_no_new_activity_is_idle(fleet: Fleet) -> None:
    assert comes_to_be(fleet, "idle", "Idle")["status"] == "warning"


@shows(
    "deadline",
    agents="""
  overrun: {schedule: "*-01-01", catch_up: true, deadline: 1s}
""",
)
def test_a_run_that_takes_longer_than_it_should_is_told(fleet: Fleet) -> None:
    fleet.ctl("start", "agent@overrun.service")
    assert comes_to_be(fleet, "overrun", "Overran")["status"] == "warning"


@shows(
    "single",
    agents=f"""
  one: {{command: {json.dumps(CLAIMS)}}}
  many: {{single: false, command: {json.dumps(CLAIMS.replace("one", "many"))}}}
""",
)
def test_a_second_copy_ends_with_a_sentence_unless_more_are_allowed(fleet: Fleet) -> None:
    for name in ("one", "many"):
        comes_to_be(fleet, name, "AsWanted")
    by_hand = ["timeout", "2", "sh", "-c", CLAIMS]
    eventually(lambda: "already running as PID" in fleet.as_owner(*by_hand).stderr, "the claim of the first")
    refused = fleet.as_owner(*by_hand)
    assert refused.returncode == 75
    assert "agent@one" in refused.stderr
    allowed = fleet.as_owner(*(word.replace("one", "many") for word in by_hand))
    assert allowed.returncode == 124  # it ran until its time was over


@pytest.fixture
def moving(fleet: Fleet) -> Iterator[Fleet]:
    yield fleet
    fleet.supervise("uninstall", "--yes", "-p", "moving", check=False)


def install(fleet: Fleet, agents: str, top: str = "", *, reconciler: str = "", check: bool = True) -> Completed:
    text = fleet.file(agents, "moving").replace("reconciler: {", f"reconciler: {{{reconciler}")
    fleet.write("moving.yaml", text + top)
    return fleet.supervise("install", "--start", "-f", f"{fleet.folder}/moving.yaml", check=check)


@shows("renamed_from")
def test_a_new_name_carries_the_history_over(fleet: Fleet, moving: Fleet) -> None:
    install(moving, "  old_name: {}")
    comes_to_be(moving, "old_name", "AsWanted")
    before = [event["at"] for event in events(moving, "old_name")]
    moving.write("moving.yaml", moving.file("  new_name: {renamed_from: old_name}", "moving"))
    moving.supervise("apply", "--yes", "-f", f"{moving.folder}/moving.yaml")
    comes_to_be(moving, "new_name", "AsWanted")
    assert [event["at"] for event in events(moving, "new_name")][: len(before)] == before


@shows("alerts")
def test_a_trouble_is_told_once_and_its_end_too(fleet: Fleet, moving: Fleet) -> None:
    port, heard = PORTS[fleet.scope], f"{fleet.folder}/heard"
    fleet.write("receiver.py", RECEIVER)
    receiver = fleet.lab.popen("/usr/bin/python3", f"{fleet.folder}/receiver.py", heard, str(port))
    try:
        url = f"http://127.0.0.1:{port}/"
        install(
            moving,
            "  fragile: {restart: {policy: always, delay: 3s}}",
            f"alerts: [{{webhook: {url}, hold_down: 0s}}]\n",
        )
        comes_to_be(moving, "fragile", "AsWanted")
        moving.ctl("kill", "--signal=KILL", "agent@fragile")

        def kinds() -> list[str]:
            file = fleet.lab.path(heard)
            return [json.loads(line)["kind"] for line in file.read_text().splitlines()] if file.exists() else []

        eventually(lambda: kinds() == ["firing", "resolved"], "both messages", timeout=40)
        first = json.loads(fleet.lab.path(heard).read_text().splitlines()[0])
        assert [(one["name"], one["reason"]) for one in first["agents"]] == [("fragile", "Crashed")]
    finally:
        fleet.lab.run("pkill", "-f", f"receiver.py {heard}")
        receiver.wait()


@shows("reconciler.metrics_listen", "reconciler.metrics_public")
def test_the_metrics_are_served_where_the_project_says_and_nowhere_any_more_without(
    fleet: Fleet, moving: Fleet
) -> None:
    port = METRICS[fleet.scope]
    agents = "  steady: {}"

    def served() -> str:
        return fleet.lab.run("/usr/bin/python3", "-c", FETCH, f"http://127.0.0.1:{port}/metrics", check=False).stdout

    written = f"metrics_listen: '0.0.0.0:{port}', "
    refused = install(moving, agents, reconciler=written, check=False)
    assert "metrics_public: true if that is meant" in refused.stderr
    install(moving, agents, reconciler=f"{written}metrics_public: true, ")
    eventually(lambda: 'supervise_agent_up{agent="steady",project="moving"} 1.0' in served(), "its metrics")
    install(moving, agents)
    eventually(lambda: served() == "", "nobody to listen there any more")


@shows(
    "reconciler.retention",
    agents="""
  remembered: {}
""",
)
def test_what_is_older_than_the_retention_is_forgotten(fleet: Fleet) -> None:
    comes_to_be(fleet, "remembered", "AsWanted")
    assert events(fleet, "remembered")
    fleet.lab.sh("sleep 2.5")  # the retention of this project is two seconds
    fleet.ctl("restart", "supervise-reconciler")
    eventually(lambda: events(fleet, "remembered") == [], "its events to be gone")
