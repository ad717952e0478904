"""Editors are told what we accept: the schema comes from the models that judge the file."""

from __future__ import annotations

from typing import Any, cast

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from supervise.config import AgentSettings, json_schema

EXAMPLE = """
version: 1
project: trading
defaults:                 # any key of an agent; an agent's own value wins, maps merge
  watchdog: 30s
agents:
  market_data:
    title: Market Data Agent
    command: [python, run_api.py]
    working_directory: ../market_data_agent
    auto_start: true
    startup_timeout: 30s
    url: http://localhost:8000
    probes:
      live: {http: /health, interval: 10s, timeout: 5s, failures: 3}
  tweet_scraper:
    title: Tweet Scraping Agent
    command: python -m scraper --source "main feed"
    depends_on: [market_data]
    resources: {memory: 512M, cpu: 50%}
"""
KEYS = """
title command python working_directory environment environment_file secrets user group dynamic_user enabled auto_start
notify notify_access watchdog startup_timeout stop_timeout stop_signal restart quarantine depends_on url probes
heartbeat max_idle resources hardening writable_paths hidden single instances schedule before_start renamed_from hosts
tags logs systemd allow_plain deadline max_runtime catch_up
""".split()  # noqa: SIM905 -- it reads better


def errors(text: str) -> list[str]:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return [each.message for each in Draft202012Validator(schema).iter_errors(yaml.safe_load(text))]


def agent_schema() -> dict[str, Any]:
    definitions = cast(dict[str, dict[str, dict[str, Any]]], json_schema()["$defs"])
    return definitions["AgentSettings"]["properties"]


def test_the_example_of_the_documentation_fits() -> None:
    assert errors(EXAMPLE) == []


@pytest.mark.parametrize(
    "text",
    [
        "agents: {a: {command: x, restrat: 1}}",
        "agents: {a: {command: x, probes: {live: {tcp: 'h:1', port: 1}}}}",
        "agents: {a: {command: x, restart: {polcy: always}}}",
        "agents: {Bad-Name: {command: x}}",
        "agents: {a: {command: x, systemd: {Socket: {}}}}",
        "agents: {a: {command: x, instances: 501}}",
        "agents: {a: {command: x, hardening: hard}}",
        "agents: {a: {command: x, secrets: {A: abc}}}",
        "agents: {a: {command: []}}",
        "agent: {}",
        "{}",
    ],
)
def test_what_we_refuse_does_not_fit(text: str) -> None:
    assert errors(text)


@pytest.mark.parametrize(
    "text",
    [
        "agents: {a: {command: x, instances: '${N}', enabled: '${E}', notify: true, quarantine: off}}",
        "agents: {a: {command: x, environment: {A: 1, B: true, C: 1.5}, systemd: {Service: {Nice: [1, 2]}}}}",
        "agents: {a: {command: [x, 1], depends_on: [a, {b: required}], schedule: [daily], environment_file: x}}",
        "{web: {listen: 'h:1'}, alerts: [{email: a@b}], reconciler: {retention: 30d}, agents: {}}",
    ],
)
def test_what_we_read_fits(text: str) -> None:
    assert errors(text.replace("quarantine: off", "quarantine: 'off'")) == []


def test_every_key_of_the_documentation_is_there_and_no_other() -> None:
    assert sorted(agent_schema()) == sorted(KEYS) == sorted(AgentSettings.model_fields)


def test_every_key_is_described() -> None:
    definitions = cast(dict[str, Any], json_schema()["$defs"])
    for name, definition in {"File": json_schema(), **definitions}.items():
        for key, described in definition["properties"].items():
            assert described.get("description"), f"{name}.{key}"


def test_defaults_are_written_as_in_the_file() -> None:
    keys = agent_schema()
    assert keys["watchdog"]["default"] == "30s"
    assert keys["startup_timeout"]["default"] == "1min 30s"
    assert keys["notify"]["default"] == "auto"
    assert keys["max_runtime"]["default"] == "infinity"
    assert keys["restart"]["default"]["loop"] == "5/15min"
    assert "default" not in keys["user"]
