"""What runs older code, secrets or environment files than the disk has is flagged, and restarted on request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import _possible
from tests.e2e.daemon.asking import ask, events, rows
from tests.e2e.daemon.machine import FOLDER, OWNER, install, pids, reconciler
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab

PROJECT = "/srv/work"
AGENTS = f"""\
version: 1
project: outdated
defaults: {{command: [/usr/bin/python3, {FOLDER}/sleeper.py], user: {OWNER}, hardening: none}}
agents:
  coded: {{working_directory: {PROJECT}}}
  told: {{working_directory: {PROJECT}, environment: {{SUPERVISE_REVISION: v1}}}}
  keyed: {{working_directory: {FOLDER}, secrets: {{API_KEY: "file:/srv/open/key"}}}}
  closed: {{working_directory: {FOLDER}, secrets: {{API_KEY: "file:/srv/closed/key"}}}}
  set_up: {{working_directory: {FOLDER}, environment_file: /srv/open/env}}
"""
EVERYBODY = ("coded", "told", "keyed", "closed", "set_up")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Agents that take something of the disk each; of `closed` the reconciler cannot see what."""
    _possible()
    with Lab() as booted:
        booted.sh(f"""
            mkdir -p {PROJECT} /srv/open /srv/closed
            chmod 700 /srv/closed
            echo one | tee /srv/open/key >/srv/closed/key
            echo MODE=one >/srv/open/env
            git init -q -b main {PROJECT}""")
        commit(booted, "first")
        booted.sh(f"useradd --create-home {OWNER}; chown -R {OWNER}: {PROJECT}; userdel {OWNER}")
        install(booted, AGENTS)
        eventually(lambda: rows(booted)["coded"]["revision"] == head(booted), "the revision", timeout=30)
        yield booted


def git(lab: Lab, *words: str) -> str:
    config = ("-c", "safe.directory=*", "-c", "user.name=a", "-c", "user.email=a@b")
    return lab.run("git", *config, "-C", PROJECT, *words).stdout.strip()


def commit(lab: Lab, text: str) -> None:
    lab.write(f"{PROJECT}/code.py", text)
    git(lab, "add", ".")
    git(lab, "commit", "-qm", text)


def head(lab: Lab) -> str:
    return git(lab, "rev-parse", "HEAD")


def outdated(lab: Lab) -> dict[str, Any]:
    return {name: row["outdated_by"] for name, row in rows(lab).items() if row["outdated"]}


def test_each_row_has_the_revision_that_it_was_started_with(lab: Lab) -> None:
    eventually(lambda: rows(lab)["told"]["revision"] == "v1", "the revision that it is told")
    assert rows(lab)["coded"]["revision"] == head(lab)
    assert rows(lab)["keyed"]["revision"] is None
    assert outdated(lab) == {}


def test_code_that_changed_is_restarted_on_request_and_nobody_else(lab: Lab) -> None:
    before, old = pids(lab, EVERYBODY), head(lab)
    commit(lab, "second")
    eventually(lambda: outdated(lab) == {"coded": ["code"]}, "the new code to be seen", timeout=30)
    assert rows(lab)["coded"]["revision"] == old
    assert rows(lab)["coded"]["status"] == "running"
    assert "Outdated: code." in lab.supervise("status").stdout
    assert "code changed since its start; `supervise restart coded`" in lab.supervise("status", "coded").stdout
    answer = lab.supervise("restart", "--outdated")
    assert answer.stdout.startswith("✓ coded: restarted (PID ")
    after = pids(lab, EVERYBODY)
    assert {name for name in EVERYBODY if before[name] != after[name]} == {"coded"}
    assert outdated(lab) == {}
    eventually(lambda: rows(lab)["coded"]["revision"] == head(lab), "the revision of the new life", timeout=30)
    assert lab.supervise("restart", "--outdated").stdout == "nothing is outdated\n"
    assert pids(lab, EVERYBODY) == after
    assert not [one for one in events(lab, "coded") if one["after"] == "warning"]


def test_what_was_pulled_a_moment_ago_is_restarted_at_once(lab: Lab) -> None:
    commit(lab, "third")
    assert lab.supervise("restart", "--outdated").stdout.startswith("✓ coded: restarted (PID ")
    eventually(lambda: rows(lab)["coded"]["revision"] == head(lab), "the revision of the new life", timeout=30)


def test_files_that_changed_are_named_and_what_we_cannot_see_is_not_guessed(lab: Lab) -> None:
    lab.sh("echo two | tee /srv/open/key >/srv/closed/key; echo MODE=two >/srv/open/env")
    named = {"keyed": ["secret API_KEY"], "set_up": ["environment file /srv/open/env"]}
    eventually(lambda: outdated(lab) == named, "the files to be seen", timeout=30)
    old = reconciler(lab)
    lab.run("systemctl", "kill", "--signal=KILL", "supervise-reconciler")
    eventually(lambda: reconciler(lab) not in (0, old), "the reconciler to be back")
    eventually(lambda: outdated(lab) == named, "the same to be said by the next one", timeout=30)
    before = pids(lab, EVERYBODY)
    lab.run("touch", "/var/lib/supervise/hold/set_up")  # held, and not stopped yet
    try:
        first, second = lab.supervise("restart", "--outdated", "--batch", "1").stdout.splitlines()
        assert first == "○ set_up: outdated, but held"
        assert second.startswith("✓ keyed: restarted (PID ")
        assert pids(lab, ["set_up"])["set_up"] in (0, before["set_up"])
    finally:
        lab.supervise("release", "set_up", "--start")
        lab.supervise("restart", "set_up")
    assert outdated(lab) == {}


def test_a_rewritten_repository_is_no_other_code(lab: Lab) -> None:
    git(lab, "pack-refs", "--all")
    git(lab, "checkout", "-q", "-b", "same")
    ask(lab, "look")
    assert outdated(lab) == {}
    assert rows(lab)["coded"]["revision"] == head(lab)
