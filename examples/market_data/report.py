"""A job: two lines per symbol about the recorded day, then done. A program that ends is not a failure here.

Needs the agent library: pip install supervise-agent
"""

import csv
from collections import defaultdict
from pathlib import Path

from supervise.agent import Agent


def main():
    with Agent("daily_report") as agent:
        report(agent)


def report(agent):
    days = defaultdict(list)
    with Path(__file__).with_name("bars.csv").open(encoding="utf-8") as recording:
        for bar in csv.DictReader(recording):
            days[bar["symbol"]].append(bar)
    for done, (symbol, bars) in enumerate(sorted(days.items())):
        agent.beat(f"reporting {symbol}", progress=done / len(days))
        first, last = float(bars[0]["open"]), float(bars[-1]["close"])
        low, high = min(float(bar["low"]) for bar in bars), max(float(bar["high"]) for bar in bars)
        volume = sum(int(bar["volume"]) for bar in bars)
        print(f"{symbol}: {first:.2f} → {last:.2f} ({last / first - 1:+.2%}) in {len(bars)} bars")
        print(f"{symbol}: low {low:.2f}, high {high:.2f}, volume {volume}")


if __name__ == "__main__":
    main()
