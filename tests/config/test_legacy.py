"""The older layout is read as it was written for its own program."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from supervise.config import Config, find, load
from supervise.errors import ConfigError
from tests.config.loading import loaded, mistakes

DEVELOPMENT = """\
agents:
  market_data:
    url: "http://localhost:8000"
    timeout: 5
    health_check_interval: 10
    enabled: true
    auto_start: true              # NEW: Auto-start this agent
    start_command: ["python", "run_api.py"]  # NEW: Start command
    working_directory: "../market_data_agent"  # NEW: Relative path
    startup_timeout: 30           # NEW: Max time to wait for startup
    
  pattern_recognition:
    url: "http://localhost:8001"
    enabled: false
    auto_start: false
    
  risk_management:
    url: "http://localhost:8002"
    enabled: false
    auto_start: false
"""


def older(folder: Path, text: str, *, name: str = "development", environment: str | None = None) -> Config:
    file = folder / "trading-dashboard" / "config" / "environments" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return load(file, environment=environment, environ={})


def test_the_older_file_is_read_unchanged(tmp_path: Path) -> None:
    config = older(tmp_path, DEVELOPMENT)
    market = config.agents["market_data"]
    assert config.project == "trading-dashboard"
    assert config.folder == tmp_path / "trading-dashboard"
    assert config.warnings == ()
    assert market.command == ("python", "run_api.py")
    assert market.working_directory == "../market_data_agent"
    assert market.startup_timeout == timedelta(seconds=30)
    assert (market.enabled, market.auto_start) == (True, True)
    assert market.probes.live is not None
    assert market.probes.live.http == "/health"
    assert market.probes.live.interval == timedelta(seconds=10)
    assert market.probes.live.timeout == timedelta(seconds=5)
    for name in ("pattern_recognition", "risk_management"):
        assert config.agents[name].command == ()
        assert not config.agents[name].enabled
        assert config.agents[name].probes.live is None


def test_the_environment_chooses_the_older_file(tmp_path: Path) -> None:
    older(tmp_path, "agents: {a: {start_command: prod}}", name="production")
    config = older(tmp_path, "agents: {a: {start_command: dev}}", environment="production")
    assert config.agents["a"].command == ("prod",)
    assert [file.name for file in config.files] == ["production.yaml"]


def test_other_parts_of_the_older_file_are_left_alone(tmp_path: Path) -> None:
    config = older(tmp_path, "database: {host: x}\nagents: {a: {command: x}}\n")
    assert [str(warning).rpartition("/")[2] for warning in config.warnings] == [
        "development.yaml:1:1: database: not a key of supervise; left alone"
    ]


def test_older_names_are_read_in_the_newer_layout_too(tmp_path: Path) -> None:
    text = "agents: {a: {start_command: x, url: 'http://h', health_endpoint: /ping, timeout: 2}}"
    live = loaded(tmp_path, text).agents["a"].probes.live
    assert live is not None
    assert (live.http, live.timeout) == ("/ping", timedelta(seconds=2))


def test_older_times_go_with_a_newer_probe(tmp_path: Path) -> None:
    text = "agents: {a: {command: x, timeout: 2, probes: {live: {tcp: 'h:1'}}, url: 'http://h'}}"
    live = loaded(tmp_path, text).agents["a"].probes.live
    assert live is not None
    assert (live.http, live.tcp, live.timeout) == (None, "h:1", timedelta(seconds=2))


@pytest.mark.parametrize(
    ("older_key", "newer"),
    [
        ("start_command: y", "command: x"),
        ("timeout: 3", "probes: {live: {tcp: 'h:1', timeout: 4}}"),
        ("health_check_interval: 3", "probes: {live: {tcp: 'h:1', interval: 4}}"),
        ("health_endpoint: /x", "probes: {live: {http: 'http://h/'}}"),
    ],
)
def test_both_names_of_one_key_are_a_mistake(older_key: str, newer: str, tmp_path: Path) -> None:
    command = "" if newer.startswith("command") else "    command: x\n"
    found = mistakes(tmp_path, f"agents:\n  a:\n{command}    {newer}\n    {older_key}\n")
    assert len(found) == 1
    assert "is written too; keep one of them" in found[0]


def test_a_mistake_under_an_older_name_is_marked_where_it_stands(tmp_path: Path) -> None:
    text = "agents:\n  a:\n    start_command: x\n    url: http://h\n    timeout: soon\n"
    assert mistakes(tmp_path, text)[0].startswith("agents.yaml:5:14: agents.a.probes.live.timeout: 'soon' is not")


def test_an_older_agent_that_is_enabled_wants_a_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'command' is missing"):
        older(tmp_path, "agents: {a: {url: 'http://h', enabled: true}}")


def test_the_older_layout_is_found(tmp_path: Path) -> None:
    older(tmp_path, DEVELOPMENT)
    root = tmp_path / "trading-dashboard"
    (root / "src").mkdir()
    assert find(root / "src") == root / "config" / "environments" / "development.yaml"
