"""What is installed here, how often, what starts at boot, and how it is found again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from supervise.model import Scope
from tests.e2e.keys.catalogue import OWN, shows
from tests.e2e.keys.fleet import Fleet
from tests.lab import Lab, eventually

pytestmark = pytest.mark.lab


@shows(
    "instances",
    agents="""
  crowd: {instances: 2}
""",
)
def test_instances_are_numbered(fleet: Fleet) -> None:
    assert set(fleet.rows("crowd")) == {"crowd.1", "crowd.2"}
    for number in ("1", "2"):
        environment = fleet.facts(f"crowd.{number}")["environment"]
        assert (environment["SUPERVISE_AGENT"], environment["SUPERVISE_INSTANCE"]) == (f"crowd.{number}", number)
        assert fleet.show(f"crowd.{number}", "Description") == f"crowd #{number}"


@shows(
    "hosts",
    agents="""
  of_this_host: {hosts: ["lab-*", nowhere]}
  of_its_tag: {hosts: ["tag:feed"]}
  of_another_host: {hosts: [nowhere]}
  of_another_tag: {hosts: ["tag:none"]}
""",
)
def test_it_is_installed_only_where_it_belongs(fleet: Fleet) -> None:
    placed = {name: fleet.installed(f"of_{name}") for name in ("this_host", "its_tag", "another_host", "another_tag")}
    assert placed == {"this_host": True, "its_tag": True, "another_host": False, "another_tag": False}
    fleet.facts("of_this_host")
    fleet.facts("of_its_tag")


@shows(
    "tags",
    agents="""
  painter: {tags: [craft, colour]}
  joiner: {tags: [craft]}
""",
)
def test_a_tag_selects(fleet: Fleet) -> None:
    assert set(fleet.rows("--tag", "craft")) == {"painter", "joiner"}
    fleet.facts("painter")
    fleet.supervise("stop", "--tag", "colour")
    assert (fleet.show("painter", "ActiveState"), fleet.show("joiner", "ActiveState")) == ("inactive", "active")


@shows(
    "url",
    agents="""
  addressed: {url: "http://localhost:8765/base"}
""",
)
def test_the_address_is_shown(fleet: Fleet) -> None:
    assert "http://localhost:8765/base" in fleet.supervise("status", "addressed").stdout


@shows(
    "auto_start",
    agents="""
  by_itself_at_boot: {}
  by_hand: {auto_start: false}
""",
)
def test_only_what_starts_by_itself_is_started_and_enabled(fleet: Fleet) -> None:
    fleet.facts("by_itself_at_boot")
    assert fleet.at_boot("agent@by_itself_at_boot.service")
    assert fleet.at_boot("supervise.target", "multi-user.target" if fleet.scope is Scope.SYSTEM else "default.target")
    assert not fleet.at_boot("agent@by_hand.service")
    assert fleet.said("by_hand") == []
    fleet.supervise("start", "by_hand")
    fleet.facts("by_hand")


@shows("auto_start", scopes=OWN)
def test_a_lingering_user_s_agents_start_at_boot(fleet: Fleet, traveller: Fleet) -> None:
    """The user's own manager is all that boots there; with linger it needs no login."""
    traveller.write("agents.yaml", traveller.file("  at_boot: {}\n  at_hand: {auto_start: false}", "booting"))
    traveller.supervise("install", "-f", f"{traveller.folder}/agents.yaml")
    assert traveller.said("at_boot") == []
    traveller.lab.run("systemctl", "restart", f"user@{traveller.uid}.service")
    assert traveller.facts("at_boot")["uid"] == traveller.uid
    assert traveller.said("at_hand") == []


# --- Projects that change ---------------------------------------------------------------------------------------------


@pytest.fixture
def changing(fleet: Fleet) -> Iterator[Fleet]:
    yield fleet
    fleet.supervise("uninstall", "--yes", "-p", "changing", check=False)


@shows("enabled", "project")
def test_what_is_no_longer_enabled_is_stopped_and_removed_of_this_project_alone(fleet: Fleet, changing: Fleet) -> None:
    install(changing, "  leaving: {}\n  staying: {}")
    pid = changing.facts("leaving")["pid"]
    stays = changing.facts("staying")["pid"]
    assert set(changing.rows("-p", "changing")) == {"leaving", "staying"}

    install(changing, "  leaving: {enabled: false}\n  staying: {}")
    assert not changing.lab.path(f"/proc/{pid}").exists()
    assert not changing.installed("leaving")
    assert not changing.at_boot("agent@leaving.service")
    assert set(changing.rows("-p", "changing")) == {"staying"}
    assert changing.show("staying", "MainPID") == str(stays)
    assert changing.installed("by_hand")


@shows("version")
def test_a_layout_of_another_version_changes_nothing(fleet: Fleet) -> None:
    text = fleet.file("  futuristic: {}", "changing").replace("version: 1", "version: 2")
    fleet.write("changing.yaml", text)
    done = fleet.supervise("install", "--start", "-f", f"{fleet.folder}/changing.yaml", check=False)
    assert done.returncode == 7
    assert "changing.yaml:1:10: version: " in done.stderr
    assert not fleet.installed("futuristic")


def install(fleet: Fleet, agents: str) -> None:
    fleet.write("changing.yaml", fleet.file(agents, "changing"))
    fleet.supervise("install", "--start", "-f", f"{fleet.folder}/changing.yaml")


@pytest.fixture
def traveller(lab: Lab) -> Iterator[Fleet]:
    """Another user with agents of their own."""
    made = Fleet(lab, Scope.USER, owner="grace")
    made.prepare()
    yield made
    made.supervise("uninstall", "--yes", "-p", "booting", check=False)
    lab.run("loginctl", "disable-linger", "grace")
    eventually(lambda: not lab.path(f"/run/user/{made.uid}/bus").exists(), "grace to be gone")
