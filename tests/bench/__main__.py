"""All that is measured, part by part, on a machine made for it (`scripts/bench`): a table, or JSON.

The order in one size of fleet: first what leaves the agents as they are, while they grow old enough for an idle hour;
then what they take; then what kills them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Collection, Iterator

from tests.bench import beating, commands, deciding, hangs, hidden, kills, load, polling, resync
from tests.bench.aims import AIMS
from tests.bench.figures import MAIN, Figure, as_json, table
from tests.bench.fleet import Fleet, install, uninstall

SIZES = (100, MAIN, 2 * MAIN)
COMMANDS, PASSES, KILLS, LOOKS, COPIES, STARTS = 5, 5, 300, 30, 15, 5
ONCE = ("commands", "decide", "beat")
OF_A_FLEET = ("hidden", "user", "resync", "load", "hangs", "kills")
LIGHT = tuple(part for part in OF_A_FLEET if part != "load")
"""What is measured of fleets smaller than `MAIN`, unless somebody asks for more."""


def measured(parts: Collection[str], sizes: Collection[int], count: int, supabase: str) -> Iterator[Figure]:
    """Each figure as soon as it is known. No parts, no sizes: the usual ones."""
    once: dict[str, Callable[[], Iterator[Figure]]] = {
        "commands": lambda: commands.measure(COMMANDS, MAIN),
        "decide": lambda: deciding.measure(PASSES),
        "beat": beating.measure,
    }
    for part in ONCE:
        if part in (parts or ONCE):
            _say(part)
            yield from once[part]()
    for agents in sizes or SIZES:
        usual = OF_A_FLEET if sizes or agents >= MAIN else LIGHT
        chosen = [part for part in OF_A_FLEET if part in (parts or usual)]
        if chosen:
            yield from _of_a_fleet(agents, chosen, count, supabase)


def _of_a_fleet(agents: int, parts: Collection[str], count: int, supabase: str) -> Iterator[Figure]:
    began = time.monotonic()
    _say(f"install {agents} agents")
    fleet = install(agents, supabase=supabase)
    since = time.monotonic()
    yield Figure("install and start, until all rows are true", agents, "s", (since - began,))
    of: dict[str, Callable[[], Iterator[Figure]]] = {
        "hidden": lambda: hidden.measure(fleet, COPIES),
        "user": lambda: _of_a_user(agents),
        "resync": lambda: resync.measure(fleet, STARTS),
        "load": lambda: load.measure(fleet, since),
        "hangs": lambda: hangs.measure(fleet),
        "kills": lambda: _kills(fleet, count),
    }
    for part in parts:
        _say(f"{part}, {agents} agents")
        yield from of[part]()
    uninstall(fleet)


def _kills(fleet: Fleet, count: int) -> Iterator[Figure]:
    yield from kills.measure(fleet, count)
    yield from polling.measure(fleet, LOOKS)


def _of_a_user(agents: int) -> Iterator[Figure]:
    fleet = install(agents, user=True)
    yield from hidden.measure(fleet, COPIES)
    uninstall(fleet)


def _say(text: str) -> None:
    print(f"bench: {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=(*ONCE, *OF_A_FLEET), default=[], metavar="PART")
    parser.add_argument("--agents", action="append", type=int, default=[], metavar="N", help=f"default: {SIZES}")
    parser.add_argument("--kills", type=int, default=KILLS, metavar="N")
    parser.add_argument("--supabase", default="", metavar="URL", help="copy there meanwhile, or try to")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures: list[Figure] = []
    try:
        figures.extend(measured(options.only, options.agents, options.kills, options.supabase))
    finally:  # what is known by then is not lost with a part that fails
        print(json.dumps(as_json(figures, AIMS), indent=1) if options.json else table(figures, AIMS))


if __name__ == "__main__":
    main()
