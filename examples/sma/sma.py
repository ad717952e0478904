"""Simple moving averages: prints BUY when the fast one rises above the slow one, SELL when it falls below.

Lives on another agent's feed and outlives its absence: it says so, waits, and goes on where the feed does.

Environment: MARKET_DATA_URL (http://localhost:8000), SYMBOL (BTC), FAST (5), SLOW (20), INTERVAL (seconds, 1).
Needs the agent library: pip install supervise-agent
"""

import json
import os
import time
from http.client import HTTPException
from statistics import fmean
from urllib.parse import urlencode
from urllib.request import urlopen

from supervise.agent import Agent

FEED = os.environ.get("MARKET_DATA_URL", "http://localhost:8000")
SYMBOL = os.environ.get("SYMBOL", "BTC")
FAST = int(os.environ.get("FAST", "5"))
SLOW = int(os.environ.get("SLOW", "20"))
INTERVAL = float(os.environ.get("INTERVAL", "1"))


def closes():
    """The newest closing prices, oldest first."""
    with urlopen(f"{FEED}/bars?{urlencode({'symbol': SYMBOL, 'n': SLOW})}", timeout=5) as answer:
        return [float(bar["close"]) for bar in json.load(answer)]


def side(prices):
    """Where the fast average stands; None until there are enough bars."""
    if len(prices) < SLOW:
        return None
    return "above" if fmean(prices[-FAST:]) > fmean(prices) else "below"


def main():
    agent = Agent("sma")
    before, away = None, False
    print(f"watching {SYMBOL} on {FEED}: SMA {FAST} against SMA {SLOW}", flush=True)
    while True:
        try:
            prices = closes()
        except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:  # away, or talking nonsense
            if not away:
                print(f"waiting for the feed: {error}", flush=True)
            away = True
            agent.waiting(f"no answer from the feed: {error}")
        else:
            if away:
                print("the feed is back", flush=True)
            now, away = side(prices), False
            if before and now and now != before:
                print(f"{'BUY' if now == 'above' else 'SELL'} {SYMBOL} at {prices[-1]:.2f}", flush=True)
            before = now or before
            agent.beat(f"{SYMBOL} at {prices[-1]:.2f}" if prices else "no bars yet")
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main()
