"""The examples do what they say, as real processes on real sockets and files."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml

from tests.agent.listening import Listener
from tests.examples.running import EXAMPLES, Running, copied, running
from tests.lab import eventually

FEED = r"serving bars on (http://\S+:(\d+))"


def asked(url: str) -> tuple[int, Any]:
    try:
        with urlopen(url, timeout=5) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


# --- market_data ------------------------------------------------------------------------------------------------------


def test_market_data_is_healthy_while_bars_come_in_and_serves_the_newest(tmp_path: Path) -> None:
    with running(copied("market_data", tmp_path), "run_api.py", PORT="0", SPEED="200") as feed:
        url = feed.line(FEED)[1]
        eventually(lambda: len(asked(f"{url}/bars?symbol=BTC&n=3")[1]) == 3, "three bars")
        status, health = asked(f"{url}/health")
        eventually(
            lambda: asked(f"{url}/health")[1]["age"] > asked(f"{url}/health")[1]["age"], "a bar between two looks"
        )
        bars = asked(f"{url}/bars?symbol=BTC&n=3")[1]
    assert (status, health["fresh"], health["symbols"]) == (200, True, ["BTC", "ETH"])
    assert {bar["symbol"] for bar in bars} == {"BTC"}
    assert [bar["time"] for bar in bars] == sorted(bar["time"] for bar in bars)
    assert all(float(bar["low"]) <= float(bar["close"]) <= float(bar["high"]) for bar in bars)


def test_market_data_is_unhealthy_once_no_bars_come_in_any_more(tmp_path: Path) -> None:
    with running(copied("market_data", tmp_path), "run_api.py", PORT="0", SPEED="3000", REPLAYS="1") as feed:
        url = feed.line(FEED)[1]
        feed.line("no more bars")
        eventually(lambda: asked(f"{url}/health")[0] == 503, "a stale feed")


def test_market_data_refuses_questions_it_cannot_answer(tmp_path: Path) -> None:
    with running(copied("market_data", tmp_path), "run_api.py", PORT="0", SPEED="200") as feed:
        url = feed.line(FEED)[1]
        eventually(lambda: asked(f"{url}/bars?symbol=BTC")[0] == 200, "a bar")
        assert asked(f"{url}/bars?symbol=DOGE")[0] == 404
        assert asked(f"{url}/bars?symbol=BTC&n=0")[0] == 400
        assert asked(f"{url}/bars?symbol=BTC&n=many")[0] == 400
        assert asked(f"{url}/")[0] == 404


def test_market_data_stops_cleanly_when_told_to(tmp_path: Path) -> None:
    with running(copied("market_data", tmp_path), "run_api.py", PORT="0", SPEED="0.1") as feed:
        feed.line(FEED)
        feed.process.terminate()
        assert feed.exit_code() == 0
        feed.line("stopped")


def test_the_report_counts_every_recorded_bar(tmp_path: Path) -> None:
    folder = copied("market_data", tmp_path)
    done = subprocess.run([sys.executable, "report.py"], cwd=folder, capture_output=True, text=True, check=True)
    recorded = (folder / "bars.csv").read_text(encoding="utf-8").splitlines()
    for symbol in ("BTC", "ETH"):
        assert f"{symbol}: " in done.stdout
        assert f"in {sum(f',{symbol},' in line for line in recorded)} bars" in done.stdout


# --- sma --------------------------------------------------------------------------------------------------------------


class Feed(ThreadingHTTPServer):
    """A feed whose prices the test sets."""

    closes: list[float]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Feed

    def do_GET(self) -> None:
        content = json.dumps([{"close": str(close)} for close in self.server.closes]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.server.asked.set()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def feed_of(closes: list[float]) -> Iterator[Feed]:
    with Feed() as feed:
        feed.closes = closes
        threading.Thread(target=feed.serve_forever, args=(0.02,), daemon=True).start()
        yield feed
        feed.shutdown()


def test_sma_buys_when_prices_turn_up_and_sells_when_they_turn_down(tmp_path: Path) -> None:
    falling, rising = [float(price) for price in range(40, 20, -1)], [float(price) for price in range(20, 40)]
    with (
        feed_of(falling) as feed,
        running(copied("sma", tmp_path), "sma.py", MARKET_DATA_URL=feed.url, INTERVAL="0.02") as sma,
    ):
        for closes, signal_line in (
            (rising, "BUY BTC at 39.00"),
            (falling, "SELL BTC at 21.00"),
            (rising, "BUY BTC at 39.00"),
        ):
            feed.asked.clear()
            assert feed.asked.wait(10)
            feed.closes = closes
            sma.line(signal_line)
    assert len([line for line in sma.seen if "BTC at" in line]) == 3


def test_sma_finds_signals_in_the_recorded_bars(tmp_path: Path) -> None:
    with running(copied("market_data", tmp_path), "run_api.py", PORT="0", SPEED="200") as feed:
        url = feed.line(FEED)[1]
        with running(copied("sma", tmp_path), "sma.py", MARKET_DATA_URL=url, INTERVAL="0.02") as sma:
            sma.line(r"BUY BTC at \d+\.\d\d$")
            sma.line(r"SELL BTC at \d+\.\d\d$")


def test_sma_waits_for_a_feed_that_is_away_and_says_so_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
    folder = copied("market_data", tmp_path)
    with running(copied("sma", tmp_path), "sma.py", MARKET_DATA_URL=f"http://127.0.0.1:{port}", INTERVAL="0.02") as sma:
        sma.line("waiting for the feed: .*refused")
        for _ in range(2):
            with running(folder, "run_api.py", PORT=port, SPEED="200") as feed:
                feed.line(FEED)
                sma.line("the feed is back")
                sma.line("(BUY|SELL) BTC")
            sma.line("waiting for the feed")
        assert sma.process.poll() is None
    assert sum("waiting" in line for line in sma.seen) == 3


@pytest.mark.parametrize(
    "answer", [b"not HTTP at all\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n[1, 2]", b"HTTP/1.0 200 OK\r\n\r\n<html>"]
)
def test_sma_outlives_a_feed_that_talks_nonsense(tmp_path: Path, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as feed:
        feed.settimeout(10)
        url = f"http://127.0.0.1:{feed.getsockname()[1]}"
        with running(copied("sma", tmp_path), "sma.py", MARKET_DATA_URL=url, INTERVAL="0.02") as sma:
            for _ in range(2):  # it comes back after the first
                asker, _address = feed.accept()
                with asker:
                    asker.recv(4096)
                    asker.sendall(answer)
            sma.line("waiting for the feed")


# --- tweet_scraper ----------------------------------------------------------------------------------------------------


def test_the_scraper_reads_all_pages_once_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    folder = copied("tweet_scraper", tmp_path)
    argv = ["-m", "scraper", "--source", "main feed"]
    posts = json.loads((folder / "scraper/timeline.json").read_text(encoding="utf-8"))["main feed"]
    with running(folder, *argv, INTERVAL="0.02") as scraper:
        assert int(scraper.line(r"(\d+) new posts")[1]) == len(posts)
        assert [line.partition(": ")[2] for line in scraper.seen if line.startswith("@")] == [
            post["text"] for post in posts
        ]
        scraper.line("^0 new posts")
    with running(folder, *argv, SCRAPER_STATE="state") as again:
        again.line("^0 new posts")


def test_the_scraper_keeps_its_state_where_it_is_told_to_and_each_source_apart(tmp_path: Path) -> None:
    folder = copied("tweet_scraper", tmp_path)
    for source in ("main feed", "crypto"):
        with running(folder, "-m", "scraper", "--source", source, SCRAPER_STATE=str(tmp_path / "elsewhere")) as scraper:
            scraper.line(r"[1-9]\d* new posts")
    assert sorted(file.name for file in (tmp_path / "elsewhere").iterdir()) == ["crypto.json", "main_feed.json"]
    assert [file.name for file in (folder / "state").iterdir()] == [".gitignore"]


# --- content_collector ------------------------------------------------------------------------------------------------


def collection(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "data/content.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_collector_takes_each_file_once_also_over_a_restart(tmp_path: Path) -> None:
    folder = copied("content_collector", tmp_path)
    with running(folder, "collect.py", INTERVAL="0.02") as collector:
        collector.line("collected harbour.md: The harbour reopens, 20 words")
        collector.line("collected żuraw.txt")
        (folder / "inbox/late.txt").write_text("late\n", encoding="utf-8")
        collector.line("collected late.txt: late, 1 words")
    with running(folder, "collect.py", INTERVAL="0.02") as collector:
        collector.line("3 files collected before")
        (folder / "inbox/later.txt").write_text("later\n", encoding="utf-8")
        collector.line("collected later.txt")
    assert [entry["name"] for entry in collection(folder)] == ["harbour.md", "żuraw.txt", "late.txt", "later.txt"]


def test_the_collector_repairs_a_line_that_a_crash_cut_off(tmp_path: Path) -> None:
    folder = copied("content_collector", tmp_path)
    with running(folder, "collect.py") as collector:
        collector.line("collected żuraw.txt")
    file = folder / "data/content.jsonl"
    file.write_bytes(file.read_bytes()[:-40])
    with running(folder, "collect.py") as collector:
        collector.line("1 files collected before")
        collector.line("collected żuraw.txt")
    assert [entry["name"] for entry in collection(folder)] == ["harbour.md", "żuraw.txt"]


# --- chaos ------------------------------------------------------------------------------------------------------------


def tell(folder: Path, command: str) -> None:
    (folder / "chaos.cmd").write_text(f"{command}\n", encoding="utf-8")
    eventually(lambda: not (folder / "chaos.cmd").exists(), f"{command!r} to be taken")


def memory(chaos: Running) -> int:
    status = Path(f"/proc/{chaos.process.pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def test_chaos_exits_with_the_code_it_is_told(tmp_path: Path) -> None:
    folder = copied("chaos", tmp_path)
    with running(folder, "chaos.py") as chaos:
        chaos.line("behaving")
        tell(folder, "exit 7")
        assert chaos.exit_code() == 7


def test_chaos_obeys_its_arguments_and_a_command_file_elsewhere(tmp_path: Path) -> None:
    with running(copied("chaos", tmp_path), "chaos.py", "flood 3", CHAOS_COMMANDS=str(tmp_path / "elsewhere")) as chaos:
        chaos.line("flood 3 of 3")
        (tmp_path / "elsewhere").write_text("\nnonsense\nexit many\ncrash\n", encoding="utf-8")
        chaos.line("cannot do that")
        chaos.line("cannot do that")
        chaos.line("RuntimeError: told to crash")
        assert chaos.exit_code() == 1


def test_chaos_leaves_a_command_alone_whose_line_does_not_end_yet(tmp_path: Path, systemd: Listener) -> None:
    folder = copied("chaos", tmp_path)
    (folder / "chaos.cmd").write_text("exit 3", encoding="utf-8")
    with running(folder, "chaos.py", NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="150000") as chaos:
        for _ in range(3):  # it has looked at the file before the third
            systemd.hears("WATCHDOG=1")
        with (folder / "chaos.cmd").open("a", encoding="utf-8") as commands:
            commands.write("2\n")
        assert chaos.exit_code() == 32


def test_chaos_can_be_stopped_until_it_ignores_sigterm(tmp_path: Path) -> None:
    folder = copied("chaos", tmp_path)
    with running(folder, "chaos.py") as chaos:
        chaos.line("behaving")
        chaos.process.terminate()
        assert chaos.exit_code() == 0
    with running(folder, "chaos.py", "ignore-term", "flood 1") as chaos:
        chaos.line("flood 1 of 1")
        chaos.process.terminate()
        tell(folder, "flood 2")
        chaos.line("flood 2 of 2")


def test_chaos_takes_the_memory_it_is_told_to_and_keeps_it(tmp_path: Path) -> None:
    folder = copied("chaos", tmp_path)
    with running(folder, "chaos.py") as chaos:
        chaos.line("behaving")
        before = memory(chaos)
        tell(folder, "leak 40")
        eventually(lambda: memory(chaos) >= before + 40, "40 MB more")
        tell(folder, "flood 1")
        chaos.line("flood 1 of 1")
        assert memory(chaos) >= before + 40


def test_chaos_leaves_a_daemon_in_a_session_of_its_own_that_outlives_it(tmp_path: Path) -> None:
    with running(copied("chaos", tmp_path), "chaos.py", "fork", "exit 0") as chaos:
        daemon = int(chaos.line(r"daemon behind: (\d+)")[1])
        try:
            assert chaos.exit_code() == 0
            assert os.getsid(daemon) not in (os.getsid(0), chaos.process.pid)
        finally:
            os.kill(daemon, signal.SIGTERM)
        eventually(lambda: not alive(daemon), "the daemon to obey SIGTERM")


def alive(pid: int) -> bool:
    """A zombie that nobody has reaped yet is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_chaos_reports_readiness_unless_told_not_to(tmp_path: Path, systemd: Listener) -> None:
    folder = copied("chaos", tmp_path)
    with running(folder, "chaos.py", NOTIFY_SOCKET=str(systemd.path)):
        assert systemd.heard() == "READY=1\nSTATUS=behaving"
    with running(folder, "chaos.py", "never-ready", NOTIFY_SOCKET=str(systemd.path)):
        assert systemd.heard() == "STATUS=waiting: never ready"
        tell(folder, "ready")
        assert systemd.heard() == "READY=1"
        assert systemd.heard() == "STATUS=behaving"


@pytest.mark.parametrize("command", ["hang", "silent"])
def test_chaos_pings_the_watchdog_of_its_unit_until_it_hangs_or_falls_silent(
    tmp_path: Path, systemd: Listener, command: str
) -> None:
    folder = copied("chaos", tmp_path)
    with running(folder, "chaos.py", NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="300000") as chaos:
        for _ in range(3):
            systemd.hears("WATCHDOG=1")
        tell(folder, command)
        chaos.line(f"told to: {command}")
        systemd.waiting()
        with pytest.raises(TimeoutError):
            systemd.heard(timeout=0.5)
        assert chaos.process.poll() is None


def test_chaos_that_is_silent_goes_on_obeying(tmp_path: Path) -> None:
    folder = copied("chaos", tmp_path)
    with running(folder, "chaos.py", "silent") as chaos:
        tell(folder, "flood 2")
        chaos.line("flood 2 of 2")


def test_chaos_asks_for_the_watchdog_that_its_environment_names(tmp_path: Path, systemd: Listener) -> None:
    address = {"NOTIFY_SOCKET": str(systemd.path), "SUPERVISE_WATCHDOG_USEC": "300000"}
    with running(copied("chaos", tmp_path), "chaos.py", **address):
        assert systemd.heard() == "READY=1\nWATCHDOG_USEC=300000\nWATCHDOG=1\nSTATUS=behaving"
        for _ in range(3):
            systemd.hears("WATCHDOG=1")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("activity page 3", {"status": "running", "activity": "page 3"}),
        ("waiting no route", {"status": "warning", "waiting": "no route"}),
        ("warning rate limit near", {"status": "warning", "error": "rate limit near"}),
        ("error login failed", {"status": "error", "error": "login failed"}),
    ],
)
def test_chaos_says_what_it_is_told_to(
    tmp_path: Path, supervisor: Listener, command: str, said: dict[str, object]
) -> None:
    folder = copied("chaos", tmp_path)
    with running(folder, "chaos.py", SUPERVISE_AGENT_SOCKET=str(supervisor.path)):
        assert supervisor.beat()["activity"] == "behaving"
        tell(folder, command)
        assert said.items() <= supervisor.beat().items()


def test_chaos_leaves_its_last_words_when_it_crashes(tmp_path: Path, systemd: Listener) -> None:
    with running(copied("chaos", tmp_path), "chaos.py", "crash", NOTIFY_SOCKET=str(systemd.path)) as chaos:
        assert systemd.heard().endswith("STATUS=error: RuntimeError: told to crash")
        assert chaos.exit_code() == 1


# --- Signs of life ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "argv", "said"),
    [
        ("market_data", ["run_api.py"], {"agent": "market_data", "status": "running"}),
        ("market_data", ["report.py"], {"agent": "daily_report", "activity": "reporting BTC", "progress": 0.0}),
        ("sma", ["sma.py"], {"agent": "sma", "status": "warning"}),
        ("tweet_scraper", ["-m", "scraper", "--source", "crypto"], {"activity": "reading crypto from 0 on"}),
        ("content_collector", ["collect.py"], {"activity": "collected harbour.md"}),
    ],
)
def test_each_example_beats_from_its_loop(
    tmp_path: Path, supervisor: Listener, folder: str, argv: list[str], said: dict[str, object]
) -> None:
    settings = {"PORT": "0", "MARKET_DATA_URL": "http://127.0.0.1:1", "SUPERVISE_AGENT_SOCKET": str(supervisor.path)}
    with running(copied(folder, tmp_path), *argv, **settings):
        assert said.items() <= supervisor.beat().items()


def test_a_second_copy_of_an_example_does_not_start(tmp_path: Path) -> None:
    folder, settings = (
        copied("sma", tmp_path),
        {"SUPERVISE_SINGLE": "1", "SUPERVISE_AGENT": f"sma_{os.getpid()}", "TMPDIR": str(tmp_path)},
    )
    with running(folder, "sma.py", **settings) as one:
        one.line("watching")
        with running(folder, "sma.py", **settings) as other:
            other.line(f"already running as PID {one.process.pid} since")
            assert other.exit_code() == 75


# --- agents.yaml ------------------------------------------------------------------------------------------------------


def test_agents_yaml_names_files_that_exist() -> None:
    described = yaml.safe_load((EXAMPLES / "agents.yaml").read_text(encoding="utf-8"))
    assert sorted(described["agents"]) == sorted(
        ["market_data", "sma", "tweet_scraper", "content_collector", "chaos", "daily_report"]
    )
    for agent in described["agents"].values():
        folder = EXAMPLES / agent["working_directory"]
        command = agent["command"]
        assert (folder / ("scraper/__main__.py" if isinstance(command, str) else command[1])).is_file()
        assert all((folder / path).is_dir() for path in agent.get("writable_paths", []))
