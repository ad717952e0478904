"""The `Config` as a whole: names, marks, the other top-level keys, and how long it takes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from supervise.config import SecretSource, load
from supervise.config.load import slug
from tests.config.loading import loaded, mistakes

TEXT = """\
defaults:
  stop_timeout: 5s
agents:
  market_data:
    command:
      - python
      - run.py
    environment: {A: x}
"""


@pytest.mark.parametrize(
    ("loc", "place"),
    [
        (("agents", "market_data", "command", 1), "7:9"),
        (("agents", "market_data", "command", 9), "5:5"),
        (("agents", "market_data", "command"), "5:5"),
        (("agents", "market_data", "environment", "A"), "8:22"),
        (("agents", "market_data", "environment"), "8:18"),
        (("agents", "market_data", "stop_timeout"), "2:17"),
        (("agents", "market_data", "user"), "4:3"),
        (("agents", "nobody", "user"), "3:1"),
        (("web", "listen"), "1:1"),
        ((), "1:1"),
    ],
)
def test_a_mark_is_the_nearest_place_that_is_written(loc: tuple[str | int, ...], place: str, tmp_path: Path) -> None:
    assert str(loaded(tmp_path, TEXT).mark(*loc)) == f"{tmp_path}/agents.yaml:{place}"


def test_a_problem_has_a_place_and_a_dotted_key(tmp_path: Path) -> None:
    config = loaded(tmp_path, TEXT)
    problem = config.problem("no such file", "agents", "market_data", "command", 0, warning=True)
    assert str(problem) == f"{tmp_path}/agents.yaml:6:9: agents.market_data.command.0: no such file"
    assert problem.warning


@pytest.mark.parametrize(
    ("folder", "project"),
    [
        ("trading", "trading"),
        ("My Project (2)", "my-project-2"),
        ("007 bond", "bond"),
        ("42", "agents"),
        ("é", "agents"),
    ],
)
def test_the_project_is_named_after_its_folder(folder: str, project: str) -> None:
    assert slug(folder) == project


def test_a_written_project_name_wins(tmp_path: Path) -> None:
    assert loaded(tmp_path, "project: mine-2\n" + TEXT).project == "mine-2"


def test_the_file_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded(tmp_path, TEXT)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    config = load(Path("../agents.yaml"), environ={})
    assert (config.file, config.folder) == (tmp_path / "agents.yaml", tmp_path)


def test_keys_of_later_parts_are_read(tmp_path: Path) -> None:
    text = (
        TEXT
        + """\
supabase: {url: "https://x.supabase.co", key: file:/etc/supervise/key, tables: {agent_status: public.agents}}
reconciler: {intervals: {resync: 60s}, retention: {events: 90d}, remote_control: true, metrics_listen: "[::1]:9750"}
web: {listen: "[::]:80", base_url: "https://x", token_file: t, tls_cert: c, tls_key: k, behind_proxy: true}
alerts:
  - {slack: file:hook, hold_down: 0, min_status: warning, agents: [market_data], tags: [a], repeat: 4h}
  - {email: [a@b.c, d@e.f], smtp: "mail:25", sender: x@y.z, secret: file:p, resolved: false}
  - {webhook: "https://h/x"}
"""
    )
    config = loaded(tmp_path, text)
    assert config.supabase.key == SecretSource("file", "/etc/supervise/key")
    assert config.supabase.tables["agent_status"].table == "public.agents"
    assert config.reconciler.intervals == {"resync": timedelta(minutes=1)}
    assert (config.reconciler.retention.events, config.reconciler.retention.samples) == (timedelta(days=90), None)
    assert config.reconciler.remote_control
    assert config.reconciler.metrics_listen == "[::1]:9750"
    assert (config.web.listen, config.web.behind_proxy) == ("[::]:80", True)
    assert [alert.hold_down for alert in config.alerts] == [timedelta(0), timedelta(seconds=30), timedelta(seconds=30)]
    assert config.alerts[1].email == ("a@b.c", "d@e.f")


def test_one_retention_stands_for_all(tmp_path: Path) -> None:
    retention = loaded(tmp_path, TEXT + "reconciler: {retention: 30d}").reconciler.retention
    assert retention.events == retention.samples == timedelta(days=30)


def test_unwritten_parts_have_defaults(tmp_path: Path) -> None:
    config = loaded(tmp_path, TEXT)
    assert config.web.listen == "127.0.0.1:8787"
    assert not config.reconciler.remote_control
    assert config.alerts == ()


def test_a_thousand_agents_load(tmp_path: Path) -> None:
    one = """\
  agent_{n}:
    title: Agent {n}
    command: [python, -m, agent, --number, "{n}"]
    working_directory: ../agent
    environment: {{PORT: {n}, VERSION: 1.10}}
    url: http://localhost:8000
    probes:
      live: {{http: /health, interval: 10s, timeout: 5s, failures: 3}}
    resources: {{memory: 512M, cpu: 50%}}
"""
    text = "agents:\n" + "".join(one.format(n=n) for n in range(1000))
    assert len(loaded(tmp_path, text).agents) == 1000


def test_of_a_thousand_wrong_agents_each_mistake_is_told(tmp_path: Path) -> None:

    text = "agents:\n" + "".join(f"  a{n}: {{command: x, watchdog: soon, restrat: 1}}\n" for n in range(1000))
    assert len(mistakes(tmp_path, text)) == 2000
