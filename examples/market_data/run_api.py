"""Market data over HTTP: replays recorded bars as if they came in now.

GET /health                 200 while bars come in, 503 once they have stopped
GET /bars?symbol=BTC&n=20   the newest n bars of one symbol, oldest first

Environment: PORT (8000; 0 takes any free one), HOST (127.0.0.1), SPEED (bars per second, 2),
REPLAYS (how often the file is replayed; without it, for ever).
Needs the agent library: pip install supervise-agent
"""

import csv
import itertools
import json
import os
import signal
import threading
import time
from collections import defaultdict, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from supervise.agent import Agent

SPEED = float(os.environ.get("SPEED", "2"))
REPLAYS = os.environ.get("REPLAYS")
RECORDING = Path(__file__).with_name("bars.csv")
FRESH = 1 + 5 / SPEED  # a feed that has said nothing for so many seconds is stale
KEPT = 500

bars = defaultdict(lambda: deque(maxlen=KEPT))
last_bar_at = time.monotonic()
stopping = threading.Event()


def replay(agent):
    """Publish one bar after the other until the last replay is over or somebody stops us."""
    global last_bar_at
    recorded = list(csv.DictReader(RECORDING.open(encoding="utf-8")))
    for _ in range(int(REPLAYS)) if REPLAYS else itertools.count():
        for bar in recorded:
            bars[bar["symbol"]].append(bar)
            last_bar_at = time.monotonic()
            agent.beat(f"bars up to {bar['time']}")
            if stopping.wait(1 / SPEED):
                return
    print("the recording is over, no more bars will come", flush=True)
    while not stopping.wait(1):
        agent.warning("the recording is over")


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        question = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if url.path == "/health":
            self.answer(*health())
        elif url.path == "/bars":
            self.answer(*newest(question.get("symbol", ""), question.get("n", "1")))
        else:
            self.answer(404, {"error": "there are only /health and /bars"})

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """One line per request would drown the log."""


def health():
    age = time.monotonic() - last_bar_at
    fresh = age < FRESH
    return (200 if fresh else 503), {"fresh": fresh, "age": round(age, 3), "symbols": sorted(bars)}


def newest(symbol, n):
    if symbol not in bars:
        return 404, {"error": f"no bars of {symbol!r}"}
    if not n.isascii() or not n.isdigit() or not 1 <= int(n) <= KEPT:
        return 400, {"error": f"n is a whole number from 1 to {KEPT}"}
    return 200, list(bars[symbol])[-int(n) :]


def main():
    agent = Agent("market_data")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"serving bars on http://{server.server_address[0]}:{server.server_port}", flush=True)
        agent.ready("serving bars")
        replay(agent)
        agent.stopping()
        server.shutdown()
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
