"""Does bad things when told to, so that one can see what becomes of an agent that does them.

Each argument is a command that is obeyed at the start, and so is each line that is written to the file `chaos.cmd`
(or $CHAOS_COMMANDS), which is taken away when read:   echo 'exit 3' > chaos.cmd

    exit N         leave with code N                never-ready    do not report readiness (as an argument)
    crash          raise an exception               ready          report it after all
    hang           stay alive, do nothing more      fork           leave a daemon child behind
    silent         go on, but never beat again      leak MB        take so much memory and keep it
    ignore-term    ignore SIGTERM from now on       flood N        write N lines

    activity TEXT, waiting TEXT, warning TEXT, error TEXT          say so from now on, until told otherwise

Needs the agent library: pip install supervise-agent
"""

import os
import signal
import sys
import time
from pathlib import Path

from supervise.agent import Agent

COMMANDS = Path(os.environ.get("CHAOS_COMMANDS", "chaos.cmd"))
LEAKED = []


def hang():
    while True:
        signal.pause()


def fork():
    """A daemon by the book: its parent and its session are gone, only its cgroup tells where it came from."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if child := os.fork():
        print(f"left a daemon behind: {child}", flush=True)
        os._exit(0)
    for descriptor in range(3):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    time.sleep(3600)
    os._exit(0)


def crash():
    raise RuntimeError("told to crash")


def flood(lines=1):
    for number in range(1, lines + 1):
        print(f"flood {number} of {lines}", flush=True)


ACTIONS = {
    "exit": lambda code=0: sys.exit(code),
    "hang": hang,
    "ignore-term": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "leak": lambda megabytes=1: LEAKED.append(b"x" * (megabytes << 20)),
    "fork": fork,
    "flood": flood,
    "crash": crash,
}
"""What it does once. The words after the command are whole numbers."""

SIGNS = {
    "activity": Agent.beat,
    "waiting": Agent.waiting,
    "warning": Agent.warning,
    "error": Agent.error,
    "never-ready": lambda agent, _: agent.waiting("never ready"),
    "ready": lambda agent, _: agent.beat("behaving"),
    "silent": lambda agent, _: None,
}
"""What it says each time its loop turns, from the command on. The words after it are the text."""


class Chaos:
    def __init__(self, agent):
        self.agent = agent
        self.say, self.text = Agent.beat, "behaving"

    def obey(self, line):
        name, *words = line.split()
        print(f"told to: {line}", flush=True)
        if name in SIGNS:
            self.say, self.text = SIGNS[name], " ".join(words)
            return
        try:
            action, numbers = ACTIONS[name], [int(word) for word in words]
        except (KeyError, ValueError):
            print(f"cannot do that; I know: {', '.join([*ACTIONS, *SIGNS])}", flush=True)
        else:
            action(*numbers)

    def turn(self):
        for line in taken():
            self.obey(line)
        self.say(self.agent, self.text)


def taken():
    """The lines of the command file. One that does not end yet is left to its writer."""
    try:
        text = COMMANDS.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    if not text.endswith("\n"):
        return []
    COMMANDS.unlink()
    return [line for line in text.splitlines() if line.strip()]


def main():
    with Agent("chaos") as agent:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        chaos = Chaos(agent)
        print("behaving, for now", flush=True)
        for line in sys.argv[1:]:
            chaos.obey(line)
        while True:
            chaos.turn()
            time.sleep(0.1)


if __name__ == "__main__":
    main()
