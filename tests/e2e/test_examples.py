"""Every example at every hardening level, from every place where people keep projects, with a virtual environment."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.lab import CHECKOUT, Lab, eventually

pytestmark = pytest.mark.lab

PLACES = {"opt": "/opt/project", "srv": "/srv/project", "home": "/home/trader/project"}
LEVELS = ("none", "standard", "strict")
SAYS = {
    "market_data": "serving bars on",
    "sma": "watching BTC on",
    "tweet_scraper": "0 new posts",
    "content_collector": "collected harbour.md",
    "chaos": "behaving",
    "daily_report": "BTC: low",
}
"""What each example prints once it has done its work, its writes included."""
WRITES = {"tweet_scraper": ["state"], "content_collector": ["data"], "chaos": ["."]}
EVERY = [f"{place}_{level}_{name}" for place, level, name in itertools.product(PLACES, LEVELS, SAYS)]


def agent(name: str, entry: dict[str, Any], *, place: str, level: str, port: int) -> dict[str, Any]:
    """One example of `examples/agents.yaml`, moved: a folder of its own for each level, a port of its own."""
    entry = {**entry, "title": f"{name} in {place} at {level}", "hardening": level, "depends_on": []}
    entry["working_directory"] = f"{PLACES[place]}/{level}/{entry['working_directory']}"
    entry["writable_paths"] = WRITES.get(name, [])
    entry["python"] = f"{PLACES[place]}/venv"
    entry["auto_start"] = True
    entry["environment"] = {"PORT": str(port), "MARKET_DATA_URL": f"http://localhost:{port}", "INTERVAL": "0.2"}
    for key in ("url", "probes", "schedule", "deadline", "max_runtime", "catch_up"):
        entry.pop(key, None)
    if name == "daily_report":
        entry["restart"] = {"policy": "never"}
    return entry


def project() -> str:
    examples = yaml.safe_load((CHECKOUT / "examples/agents.yaml").read_text())["agents"]
    agents = {}
    for number, (place, level) in enumerate(itertools.product(PLACES, LEVELS)):
        for name, entry in examples.items():
            agents[f"{place}_{level}_{name}"] = agent(name, entry, place=place, level=level, port=8100 + number)
    agents["unmodified"] = {"command": "/usr/bin/python3 -m http.server 8099", "working_directory": PLACES["srv"]}
    return yaml.safe_dump({"version": 1, "project": "everywhere", "agents": agents}, sort_keys=False)


def install_agent_library(lab: Lab, venv: str) -> None:
    """As its wheel lays it: the package and what it needs, nothing else of supervise."""
    lab.sh(
        f"cd {venv}/lib/python3*/site-packages; mkdir supervise; cp -r /opt/supervise/supervise/agent supervise/;"
        "cp /opt/supervise/.venv/lib/python3*/site-packages/sdnotify* . -r"
    )


@pytest.fixture(scope="module")
def everywhere(lab: Lab) -> Iterator[Lab]:
    lab.add_user("trader")
    for folder in PLACES.values():
        lab.sh(f"mkdir -p {folder}; python3 -m venv --without-pip {folder}/venv")
        install_agent_library(lab, f"{folder}/venv")
        for level in LEVELS:
            lab.sh(f"cp -r /opt/supervise/examples {folder}/{level}")
        lab.sh(f"chown -R trader: {folder}")
    lab.write("/srv/project/agents.yaml", project())
    lab.supervise("install", "--start", "-f", "/srv/project/agents.yaml")
    yield lab
    lab.supervise("uninstall", "--yes", "-p", "everywhere")
    lab.run("userdel", "--remove", "--force", "trader", check=False)
    lab.sh("rm -rf /opt/project /srv/project")


@pytest.mark.parametrize("name", EVERY)
def test_an_example_does_its_work(everywhere: Lab, name: str) -> None:
    words = SAYS[name.split("_", 2)[2]]
    said = f"journalctl -q -o cat _SYSTEMD_UNIT=agent@{name}.service"
    eventually(lambda: words in everywhere.sh(said), f"{name} to say {words!r}", timeout=30)
    if not name.endswith("daily_report"):
        assert everywhere.sh(f"systemctl show -P NRestarts agent@{name}").strip() == "0"


def test_an_unmodified_program_runs_at_the_defaults(everywhere: Lab) -> None:
    fetch = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8099/agents.yaml').status)"
    eventually(lambda: everywhere.run("python3", "-c", fetch, check=False).stdout.strip() == "200", "an answer")


@pytest.mark.parametrize("place", PLACES)
def test_strict_scores_two_or_less(everywhere: Lab, place: str) -> None:
    everywhere.sh(f"systemd-analyze security --offline=yes --threshold=20 agent@{place}_strict_sma.service")


def test_the_threshold_can_be_missed(everywhere: Lab) -> None:
    done = everywhere.run(
        *("systemd-analyze", "security", "--offline=yes", "--threshold=20", "agent@opt_none_sma.service"), check=False
    )
    assert done.returncode == 1
