"""The README says what is there: every key, command, exit code and script, and its YAML is valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from supervise.cli import COMMANDS
from supervise.config import AgentSettings, load
from supervise.errors import ExitCode
from supervise.model import Status
from tests.readme import README, blocks, text

ROOT = README.parent


def test_the_example_is_valid(tmp_path: Path) -> None:
    first, probes, alerts, supabase = blocks("yaml")
    (tmp_path / "agents.yaml").write_text(first)
    assert set(load(tmp_path / "agents.yaml", environ={}).agents) == {"market_data", "tweet_scraper"}
    (tmp_path / "agents.yaml").write_text(probes)
    found = load(tmp_path / "agents.yaml", environ={}).agents
    assert [one.probes.live is not None for one in found.values()] == [True, True]
    (tmp_path / "agents.yaml").write_text(alerts)
    assert len(load(tmp_path / "agents.yaml", environ={}).alerts) == 2
    (tmp_path / "agents.yaml").write_text(supabase)
    assert load(tmp_path / "agents.yaml", environ={}).supabase.url == "https://PROJECT.supabase.co"


@pytest.mark.parametrize("key", sorted(AgentSettings.model_fields))
def test_every_key_is_explained(key: str) -> None:
    assert f"`{key}`" in text()


@pytest.mark.parametrize("command", [name for topic in COMMANDS.values() for name in topic])
def test_every_command_is_listed(command: str) -> None:
    assert f"`{command}`" in text()


@pytest.mark.parametrize("status", list(Status))
def test_every_status_word_is_listed(status: Status) -> None:
    assert f"`{status.value}`" in text()


def test_every_exit_code_is_listed() -> None:
    codes = re.search(r"\*\*Exit codes:\*\*(.*?)\n\n", text(), re.DOTALL)
    assert codes is not None
    assert [int(part.split()[0]) for part in codes[1].split("·")] == [code.value for code in ExitCode]


@pytest.mark.parametrize("script", sorted(set(re.findall(r"scripts/([\w-]+)", text()))))
def test_every_script_it_names_is_there(script: str) -> None:
    assert (ROOT / "scripts" / script).is_file()


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!http|#)[^)]+)\)", text()))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
