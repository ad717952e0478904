"""An agent that pings and beats, and does what its command file says: hang, eat memory, report, fall silent."""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from supervise.agent import Agent

MODE = sys.argv[1]
COMMANDS = Path(f"{os.environ['SUPERVISE_AGENT']}.cmd")
EATEN: list[bytearray] = []


def main() -> None:
    if MODE == "ignore-abort":
        signal.signal(signal.SIGABRT, signal.SIG_IGN)
    agent = Agent("misbehave")
    agent.ready()
    say = agent.beat
    while True:
        words = COMMANDS.read_text().split(maxsplit=1) if COMMANDS.exists() else []
        if words:
            COMMANDS.unlink()
            text = words[1].strip() if len(words) > 1 else ""
            match words[0]:
                case "hang":
                    while True:
                        signal.pause()
                case "eat":
                    while True:
                        EATEN.append(bytearray(os.urandom(1 << 20)))
                case "error":
                    say = partial(agent.error, text)
                case "waiting":
                    say = partial(agent.waiting, text)
                case "beat":
                    say = partial(agent.beat, text)
                case "silent":
                    say = partial(print, end="")
        say()
        time.sleep(0.05)


if __name__ == "__main__":
    main()
