"""Keys of `supervise top` act on real agents: for root, for an operator through the reconciler, and for nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from tests.e2e.daemon.asking import events, rows
from tests.e2e.daemon.machine import RECONCILER, install, pids, unit
from tests.lab import Lab, eventually
from tests.screen import DOWN, ENTER, Screen

pytestmark = pytest.mark.lab

CREW = ("first", "second", "third")
SPEAKER = "import time\nprint('hello from the agent', flush=True)\ntime.sleep(1e6)\n"
AGENTS = "project: top\ndefaults: {restart: {policy: never}}\nagents:\n" + "\n".join(
    f"  {name}: {{command: [/usr/bin/python3, speaker.py, {name}]}}" for name in CREW
)
PEOPLE = {"olga": ["usermod", "-aG", "supervise-operators"], "stranger": ["true"]}


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Lab:
    install(lab, AGENTS, speaker=SPEAKER)
    for name, more in PEOPLE.items():
        lab.add_user(name)
        lab.run(*more, name)
    return lab


@pytest.fixture
def host(machine: Lab) -> Lab:
    """All run, nobody is held."""
    for name in CREW:
        machine.supervise("release", name)
    machine.run("systemctl", "start", RECONCILER, *map(unit, CREW))
    eventually(lambda: {row["status"] for row in rows(machine).values()} == {"running"}, "all to run")
    return machine


@contextmanager
def top(lab: Lab, user: str | None = None, *words: str) -> Iterator[Screen]:
    command = [*lab._enter(None), *(["runuser", "-u", user, "--"] if user else [])]
    environ = ["env", "TERM=xterm-256color", f"USER={user or 'root'}"]
    with Screen([*command, *environ, "supervise", "top", "--sort", "name", *words], {}, width=130) as screen:
        screen.until(lambda text: "third" in text, "the agents")
        yield screen


def says(screen: Screen, words: str, *, timeout: float = 20) -> None:
    screen.until(lambda text: words in text.splitlines()[-1], f"{words!r} in the last line", timeout=timeout)


def status(lab: Lab, name: str) -> tuple[str, str]:
    row = rows(lab, name)[name]
    return row["status"], row["reason"]


@pytest.mark.parametrize(("user", "by"), [(None, "root"), ("olga", "olga")])
def test_keys_stop_start_restart_hold_and_release_an_agent(host: Lab, user: str | None, by: str) -> None:
    before, begin = pids(host, CREW), datetime.now(UTC)
    with top(host, user) as screen:
        screen.type(DOWN + "t")
        says(screen, "stop second? y/n")
        screen.type("y")
        says(screen, "✓ second: stopped")
        screen.until(lambda text: "StoppedByOperator" in text, "the stop in its row")
        assert status(host, "second") == ("stopped", "StoppedByOperator")

        screen.type("s")
        says(screen, "✓ second: started")
        assert status(host, "second")[0] == "running"

        screen.type("ry")
        says(screen, "✓ second: restarted")

        screen.type("h")
        says(screen, "hold second, and why?")
        screen.type("the exchange sleeps" + ENTER)
        says(screen, "✓ second: held")
        eventually(lambda: status(host, "second") == ("stopped", "Held"), "the hold")
        assert "the exchange sleeps" in rows(host, "second")["second"]["message"]

        screen.type("s")
        says(screen, "it is held by")
        screen.type("us")
        says(screen, "✓ second: started")
        screen.type("q")
        assert screen.ends() == 0
    now = pids(host, CREW)
    assert (now["first"], now["third"]) == (before["first"], before["third"])
    assert now["second"] not in (0, before["second"])
    orders = [one for one in events(host, "second", since=begin.isoformat()) if one["kind"] == "order"]
    assert [one["reason"] for one in orders] == ["stop", "start", "restart", "hold", "release", "start"]
    assert {one["by"] for one in orders} == {by}


def test_who_is_no_operator_sees_all_and_changes_nothing(host: Lab) -> None:
    before = pids(host, CREW)
    with top(host, "stranger") as screen:
        screen.type("ty")
        says(screen, "this needs root")
        screen.type("q")
        assert screen.ends() == 0
    assert pids(host, CREW) == before


def test_a_death_is_on_the_screen_at_once(host: Lab) -> None:
    with top(host) as screen:
        host.run("kill", "-9", str(pids(host, CREW)["third"]))
        screen.until(lambda text: "Crashed" in text and "1 error" in text, "the death", timeout=2)


def test_what_an_agent_takes_is_on_the_screen(host: Lab) -> None:
    with top(host) as screen:
        screen.until(lambda text: "MiB" in text, "memory", timeout=30)


def test_logs_come_as_they_are_written(host: Lab) -> None:
    with top(host, None, "first", "third") as screen:
        screen.type("l")
        screen.until(lambda text: "hello from the agent" in text, "what it wrote")
        host.run("systemctl", "restart", unit("first"))
        screen.until(lambda text: text.count("hello from the agent") >= 2, "what it writes now")
        screen.type("q")
        screen.until(lambda text: "MESSAGE" in text, "the table")


def test_an_agent_that_is_installed_meanwhile_appears(host: Lab) -> None:
    with top(host) as screen:
        host.write(
            "/srv/more/agents.yaml", "project: more\nagents: {fourth: {command: [/bin/sleep, inf], user: ops}}\n"
        )
        host.supervise("install", "-f", "/srv/more/agents.yaml", "--start")
        screen.until(lambda text: "fourth" in text, "the new agent")
        host.supervise("uninstall", "--yes", "-p", "more")
        screen.until(lambda text: "fourth" not in text, "it to go")


def test_without_a_reconciler_it_looks_for_itself_until_one_is_back(host: Lab) -> None:
    sockets = ("supervise-reconciler.socket", "supervise-agent.socket")
    with top(host) as screen:
        host.run("systemctl", "stop", *sockets, RECONCILER)
        screen.until(lambda text: "no reconciler is running" in text, "that it is gone")
        screen.type("ty")
        says(screen, "✓ first: stopped")
        screen.until(lambda text: "StoppedByOperator" in text, "the stop in its row")
        host.run("systemctl", "start", *sockets, RECONCILER)
        screen.until(lambda text: "reconciler: view" in text, "that it is back")


def test_a_pipe_gets_plain_tables(host: Lab) -> None:
    done = host.run("sh", "-c", "supervise top -n 2 -d 100ms | cat")
    assert done.stdout.count("3 agents") == 2
    assert "\x1b" not in done.stdout
