"""`scripts/chaos`: faults at random to agents on a throw-away machine, and whether every row stayed true."""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.chaos.crew import crew
from tests.chaos.faults import FAULTS
from tests.chaos.plan import plan
from tests.chaos.report import report
from tests.chaos.run import Run
from tests.lab import Lab, end_in_order

PACE = 1.2
"""Seconds between two faults, unless --minutes says otherwise."""


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    table = {name: one for name, one in FAULTS.items() if options.only in (None, name)}
    members = crew(options.agents)
    pace = options.minutes * 60 / options.faults if options.minutes else PACE
    steps = plan(options.seed, members, faults=options.faults, pace=pace, table=table)
    with Lab("chaos") as lab:
        result = Run(lab, members, tell=partial(print, flush=True)).go(steps)
    text = report(result, command=command(options))
    print(text)
    if options.log:
        options.log.write_text(f"{time.strftime('%Y-%m-%d')}\n{text}", encoding="utf-8")
    return 0 if result.ok else 1


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="fixes the faults and whom they befall (default 1)")
    parser.add_argument("--faults", type=int, default=150, help="how many (default 150)")
    parser.add_argument("--agents", type=int, default=15, help="how many, of several kinds (default 15)")
    parser.add_argument("--minutes", type=float, help=f"how long the faults go on (default: one every {PACE} s)")
    parser.add_argument("--only", choices=sorted(FAULTS), metavar="FAULT", help=f"one of {', '.join(sorted(FAULTS))}")
    parser.add_argument("--log", type=Path, metavar="FILE", help="write the report there too")
    return parser.parse_args(argv)


def command(options: argparse.Namespace) -> str:
    """What does the same again."""
    words = ["scripts/chaos", "--seed", options.seed, "--faults", options.faults, "--agents", options.agents]
    words += ["--minutes", options.minutes] if options.minutes else []
    words += ["--only", options.only] if options.only else []
    return shlex.join(map(str, words))


if __name__ == "__main__":
    end_in_order()
    raise SystemExit(main())
