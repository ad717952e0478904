"""`agents.<environment>.yaml` over `agents.yaml`, and `defaults` under every agent, by one rule."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from supervise.config import load
from supervise.errors import ConfigError, UsageError
from tests.config.loading import loaded, mistakes

BASE = """
defaults: {watchdog: 1min, environment: {A: a, B: b}, probes: {live: {interval: 3s}}}
agents:
  one:
    command: [x, y]
    tags: [p, q]
    environment: {B: own, C: c}
  two:
    command: z
    title: Two
"""


def test_maps_merge_and_an_agents_own_value_wins(tmp_path: Path) -> None:
    one, two = loaded(tmp_path, BASE).agents.values()
    assert one.environment == {"A": "a", "B": "own", "C": "c"}
    assert two.environment == {"A": "a", "B": "b"}
    assert one.watchdog == two.watchdog == timedelta(minutes=1)


def test_null_takes_back_a_default(tmp_path: Path) -> None:
    text = BASE + "    watchdog: null\n    environment: {A: ~}\n"
    assert loaded(tmp_path, text).agents["two"].watchdog == timedelta(seconds=30)
    assert loaded(tmp_path, text).agents["two"].environment == {"B": "b"}


def test_an_overlay_merges_maps_replaces_lists_and_removes_with_null(tmp_path: Path) -> None:
    overlay = """
agents:
  one: {tags: [r], environment: {C: null, D: d}, command: [n]}
  two: {title: ~}
  three: {command: new}
"""
    agents = loaded(tmp_path, BASE, overlay=overlay).agents
    assert list(agents) == ["one", "two", "three"]
    assert agents["one"].command == ("n",)
    assert agents["one"].tags == ("r",)
    assert agents["one"].environment == {"A": "a", "B": "own", "D": "d"}
    assert agents["two"].title is None


def test_an_overlay_removes_an_agent(tmp_path: Path) -> None:
    assert list(loaded(tmp_path, BASE, overlay="agents: {one: null}").agents) == ["two"]


def test_a_null_that_removes_nothing_is_a_mistake(tmp_path: Path) -> None:
    found = mistakes(tmp_path, BASE, overlay="agents:\n  one:\n    url: null\n  tow: ~\n")
    assert [each.split(": ")[0] for each in found] == ["agents.test.yaml:3:5", "agents.test.yaml:4:8"]


def test_an_empty_overlay_changes_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, BASE, overlay="# nothing\n").agents == loaded(tmp_path, BASE).agents


def test_a_mistake_names_the_file_it_comes_from_and_all_are_told_in_order(tmp_path: Path) -> None:
    base = "agents:\n  a:\n    command: x\n    watchdog: soon\n    title: A\n"
    found = mistakes(tmp_path, base, overlay="agents:\n  a:\n    titel: B\n    stop_timeout: later\n")
    assert [each.split(": ")[0] for each in found] == [
        "agents.yaml:4:15",
        "agents.test.yaml:3:5",
        "agents.test.yaml:4:19",
    ]


def test_the_config_knows_its_files_and_marks(tmp_path: Path) -> None:
    config = loaded(tmp_path, BASE, overlay="agents:\n  two:\n    title: Over\n")
    assert config.files == (tmp_path / "agents.yaml", tmp_path / "agents.test.yaml")
    assert config.file == tmp_path / "agents.yaml"
    assert str(config.mark("agents", "two", "title")) == f"{tmp_path}/agents.test.yaml:3:12"
    assert str(config.mark("agents", "two", "command")) == f"{tmp_path}/agents.yaml:9:14"


def test_a_missing_overlay_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "agents.yaml").write_text(BASE)
    with pytest.raises(ConfigError, match=r"agents\.prod\.yaml:1:1: cannot read this file: No such file"):
        load(tmp_path / "agents.yaml", environment="prod", environ={})


def test_the_environment_variable_names_the_overlay_and_the_option_wins(tmp_path: Path) -> None:
    for name in ("agents.yaml", "agents.one.yaml", "agents.two.yaml"):
        (tmp_path / name).write_text("agents: {a: {command: %s}}" % name)  # noqa: UP031
    file = tmp_path / "agents.yaml"
    assert load(file, environ={"SUPERVISE_ENV": "one"}).agents["a"].command == ("agents.one.yaml",)
    assert load(file, environment="two", environ={"SUPERVISE_ENV": "one"}).agents["a"].command == ("agents.two.yaml",)
    assert load(file, environ={"SUPERVISE_ENV": ""}).agents["a"].command == ("agents.yaml",)


@pytest.mark.parametrize("environment", ["../../etc", "a/b", ".", " "])
def test_an_environment_cannot_lead_out_of_the_folder(environment: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be the name of an environment"):
        load(tmp_path / "agents.yaml", environment=environment, environ={})


def test_a_default_that_only_tunes_probes_makes_none(tmp_path: Path) -> None:
    text = BASE + "    probes: {live: {tcp: 'h:1'}}\n"
    agents = loaded(tmp_path, text).agents
    assert agents["one"].probes.live is None
    assert agents["two"].probes.live is not None
    assert agents["two"].probes.live.interval == timedelta(seconds=3)


def test_a_null_that_takes_back_the_target_of_a_probe_leaves_a_mistake(tmp_path: Path) -> None:
    text = """
defaults: {url: "http://h", probes: {live: {http: /x}}, command: y, schedule: daily, deadline: 1h}
agents:
  a: {probes: {live: {http: null}}}
  b: {url: null}
  c: {command: null}
  d: {schedule: null}
  e: {schedule: null, deadline: null, probes: null}
"""
    assert [each.partition(": ")[2].partition(",")[0] for each in mistakes(tmp_path, text)] == [
        "agents.b.probes.live.http: a path wants the agent's 'url'; write url: http://localhost:8000",
        "agents.a.probes.live: exactly one of http",
        "agents.c: 'command' is missing; write what to run",
    ]


def test_keys_of_a_job_in_defaults_bother_no_other_agent(tmp_path: Path) -> None:
    text = "defaults: {deadline: 1h}\nagents:\n  a: {command: x, schedule: daily}\n  b: {command: x}\n"
    assert loaded(tmp_path, text).agents["a"].deadline == timedelta(hours=1)
