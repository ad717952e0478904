"""A real Prometheus scrapes a real reconciler, and is asked what it has understood."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.daemon.asking import ask, rows
from tests.e2e.daemon.machine import install, pids, reconciler, unit
from tests.lab import CHECKOUT, HOME, Lab, eventually

pytestmark = pytest.mark.lab

CREW = ("steady", "beats", "doomed")
AGENTS = """
project: metrics
reconciler: {metrics_listen: 127.0.0.1:9750}
agents:
  steady: {title: 'Steady "as" she\\ goes', command: [/usr/bin/python3, sleeper.py, steady]}
  beats: {command: [/usr/bin/python3, beater.py, beats], watchdog: 5s}
  doomed: {command: [/usr/bin/python3, sleeper.py, doomed], restart: {policy: never}}
  nightly: {command: [/bin/true], schedule: daily}
"""
CONFIG = """
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: supervise
    static_configs: [{targets: ["127.0.0.1:9750"]}]
"""
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"
AT = "http://127.0.0.1:9090/api/v1"
PATIENCE = 30
"""Seconds: Prometheus scrapes each second."""
MOST_MORE = 12 * 1024
"""Kilobytes that being asked may cost: prometheus-client, and the text."""


@pytest.fixture(scope="module")
def programs() -> Path:
    """Where the lab sees Prometheus."""
    subprocess.run([CHECKOUT / "scripts/prometheus"], check=True, capture_output=True)
    return HOME / ".venv/prometheus/usr/bin"


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Lab:
    """Nobody has asked for metrics yet."""
    install(lab, AGENTS)
    eventually(lambda: {rows(lab)[name]["status"] for name in CREW} == {"running"}, "all to run")
    return lab


@pytest.fixture(scope="module")
def host(machine: Lab, programs: Path) -> Iterator[Lab]:
    lab = machine
    lab.write("/tmp/prometheus.yml", CONFIG)
    options = [
        "--config.file=/tmp/prometheus.yml",
        "--storage.tsdb.path=/tmp/tsdb",
        "--web.listen-address=127.0.0.1:9090",
    ]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with lab.popen(programs / "prometheus", *options, **quiet) as scraping:
        eventually(lambda: query(lab, "up") == {(): 1.0}, "Prometheus to scrape", timeout=PATIENCE)
        yield lab
        lab.run("pkill", "-f", "prometheus.yml")
        scraping.wait(20)


def fetched(lab: Lab, url: str) -> str:
    return lab.run("/usr/bin/python3", "-c", FETCH, url, check=False).stdout


def query(lab: Lab, promql: str, *by: str) -> dict[tuple[str, ...], float]:
    """What Prometheus answers, by the values of these labels; nothing where it does not answer yet."""
    text = fetched(lab, f"{AT}/query?query={quote(promql)}")
    found: list[Any] = json.loads(text)["data"]["result"] if text else []
    return {tuple(one["metric"][label] for label in by): float(one["value"][1]) for one in found}


def test_being_asked_costs_little_memory(machine: Lab) -> None:
    before = _resident(machine)
    for _ in range(20):
        ask(machine, "metrics")
    print(f"not asked {before} kB, asked {_resident(machine)} kB")
    assert _resident(machine) - before < MOST_MORE


def _resident(lab: Lab) -> int:
    status = lab.path(f"/proc/{reconciler(lab)}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def test_prometheus_knows_which_agents_are_up(host: Lab) -> None:
    eventually(
        lambda: query(host, "supervise_agent_up", "agent") == {(name,): 1.0 for name in CREW},
        "all three to be up, and no job",
        timeout=PATIENCE,
    )


def test_it_follows_a_death_within_a_scrape(host: Lab) -> None:
    host.run("kill", "-9", str(pids(host, CREW)["doomed"]))
    eventually(lambda: query(host, 'supervise_agent_up{agent="doomed"}') == {(): 0.0}, "the death", timeout=PATIENCE)
    shown = query(host, 'supervise_agent_status{agent="doomed"} == 1', "status")
    assert shown == {("error",): 1.0}
    assert query(host, 'supervise_agent_reason{agent="doomed"}', "reason") == {("Crashed",): 1.0}
    host.run("systemctl", "start", unit("doomed"))
    eventually(lambda: query(host, 'supervise_agent_up{agent="doomed"}') == {(): 1.0}, "the start", timeout=PATIENCE)


def test_only_who_beats_has_a_heartbeat_and_it_is_young(host: Lab) -> None:
    found = query(host, "supervise_agent_heartbeat_age_seconds", "agent")
    assert found.keys() == {("beats",)}
    assert 0 <= found["beats",] < 3


def test_its_passes_can_be_asked_for_a_quantile(host: Lab) -> None:
    promql = "histogram_quantile(0.5, sum by (le) (supervise_reconcile_duration_seconds_bucket))"
    (median,) = query(host, promql).values()
    assert 0 < median < 0.25
    assert query(host, "supervise_beats_total")[()] > 0


def test_titles_of_any_kind_come_through(host: Lab) -> None:
    found = query(host, 'supervise_agent_info{agent="steady"}', "title", "project", "kind")
    assert found == {('Steady "as" she\\ goes', "metrics", "service"): 1.0}
    assert ("job",) in query(host, 'supervise_agent_info{agent="nightly"}', "kind")


def test_every_row_is_told_as_it_is(host: Lab) -> None:
    eventually(
        lambda: (
            query(host, "supervise_agent_health_score", "agent")
            == {(name,): float(row["health"]) for name, row in rows(host).items()}
        ),
        "the same health as in the rows",
        timeout=PATIENCE,
    )


def test_promtool_finds_nothing_to_complain_of(host: Lab, programs: Path) -> None:
    text = host.supervise("metrics").stdout
    done = host.run(programs / "promtool", "check", "metrics", input=text, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_address_that_is_taken_is_said(host: Lab) -> None:
    port = "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 9751)); s.listen(); time.sleep(60)"
    taken = host.popen("/usr/bin/python3", "-c", port)
    agents = AGENTS.replace("9750", "9751")
    host.write("/home/ops/agents.yaml", agents)
    host.supervise("install", "-f", "/home/ops/agents.yaml")
    try:
        eventually(lambda: "cannot serve metrics on 127.0.0.1:9751" in ask(host, "info")["message"], "the trouble")
    finally:
        host.run("pkill", "-f", "9751")
        taken.wait()
    eventually(lambda: "supervise_store_up" in fetched(host, "http://127.0.0.1:9751/metrics"), "it to listen")
    assert ask(host, "info")["message"] == ""
    assert fetched(host, "http://127.0.0.1:9750/metrics") == ""
