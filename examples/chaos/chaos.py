"""Does bad things when told to, so that one can see what becomes of an agent that does them.

Each argument is a command that is obeyed at the start, and so is each line that is written to the file `chaos.cmd`
(or $CHAOS_COMMANDS), which is taken away when read:   echo 'exit 3' > chaos.cmd

    exit N         leave with code N                never-ready    do not report readiness (as an argument)
    crash          raise an exception               ready          report it after all
    hang           stay alive, do nothing more      fork           leave a daemon child behind
    ignore-term    ignore SIGTERM from now on       leak MB        take so much memory and keep it
    flood N        write N lines
"""

import os
import signal
import socket
import sys
import time
from pathlib import Path

COMMANDS = Path(os.environ.get("CHAOS_COMMANDS", "chaos.cmd"))
LEAKED = []


def notify(*lines):
    """Tell the service manager; without one nobody listens, and that is all right."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto("\n".join(lines).encode(), "\0" + address[1:] if address[0] == "@" else address)


def watchdog():
    """Seconds between two pings, or None. A unit without a watchdog is asked for the one that its environment names."""
    if wanted := os.environ.get("SUPERVISE_WATCHDOG_USEC"):
        notify(f"WATCHDOG_USEC={wanted}", "WATCHDOG=1")
    interval = os.environ.get("WATCHDOG_USEC") or wanted
    return int(interval) / 1_000_000 / 3 if interval else None


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
    "never-ready": lambda: None,
    "flood": flood,
    "crash": crash,
    "ready": lambda: notify("READY=1"),
}


def obey(line):
    name, *numbers = line.split()
    print(f"told to: {line}", flush=True)
    notify(f"STATUS={line}")
    try:
        action, arguments = ACTIONS[name], [int(number) for number in numbers]
    except (KeyError, ValueError):
        print(f"cannot do that; I know: {', '.join(ACTIONS)}", flush=True)
    else:
        action(*arguments)


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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    interval, pinged = watchdog(), 0.0
    if "never-ready" not in sys.argv:
        notify("READY=1", "STATUS=behaving")
    print("behaving, for now", flush=True)
    for line in sys.argv[1:]:
        obey(line)
    while True:
        for line in taken():
            obey(line)
        if interval and time.monotonic() - pinged >= interval:
            notify("WATCHDOG=1")
            pinged = time.monotonic()
        time.sleep(min(0.1, interval or 0.1))


if __name__ == "__main__":
    main()
