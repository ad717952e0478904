"""What every agent of these tests runs: it says what it sees of itself, then does what its arguments say.

One line of JSON per fact goes to /run/said/NAME, which outlives it. Words that are no step are passed over.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

SAID = Path("/run/said", os.environ["SUPERVISE_AGENT"])


def say(event: str, **facts: Any) -> None:
    line = json.dumps({"event": event, "at": time.monotonic(), "wall": time.time(), "pid": os.getpid(), **facts})
    with SAID.open("a") as file:
        file.write(line + "\n")


def facts() -> dict[str, Any]:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {
        "argv": Path("/proc/self/cmdline").read_bytes().decode().split("\0")[:-1],
        "environment": dict(os.environ),
        "cwd": os.getcwd(),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "prefix": sys.prefix,
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "no_new_privileges": status["NoNewPrivs"],
        "credentials": credentials(),
    }


def credentials() -> dict[str, tuple[str, str, str]]:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    files = sorted(Path(folder).iterdir()) if folder else []
    return {one.name: (oct(one.stat().st_mode & 0o777), one.read_text(), str(one)) for one in files}


def notify(text: str) -> None:
    """To the socket that we were given, else to the manager's own: a program may try."""
    own = "/run/systemd/notify" if os.getuid() < 1000 or not os.environ.get("XDG_RUNTIME_DIR") else None
    path = os.environ.get("NOTIFY_SOCKET") or own or f"{os.environ['XDG_RUNTIME_DIR']}/systemd/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as talk:
        talk.sendto(text.encode(), path)
    say("notified", text=text)


def child_says(text: str) -> None:
    if os.fork() == 0:
        notify(f"STATUS={text}")
        rest()


def fork(most: str) -> None:
    for number in range(int(most)):
        try:
            if os.fork() == 0:
                rest()
        except OSError as error:
            say("forked", children=number, error=name_of(error))
            return
    say("forked", children=int(most), error=None)


def eat(megabytes: str) -> None:
    kept = [b"x" * (1 << 20) for _ in range(int(megabytes))]
    say("ate", megabytes=len(kept))


def busy(seconds: str) -> None:
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        pass
    say("busied", used=time.process_time())


def write(path: str) -> None:
    try:
        Path(path).write_text("written")
        result = "ok"
    except OSError as error:
        result = name_of(error)
    say("wrote", path=path, result=result)


def flood(lines: str) -> None:
    sys.stdout.write("".join(f"line {number}\n" for number in range(int(lines))))
    sys.stdout.flush()
    say("flooded")


def leave(code: str) -> None:
    say("left")
    os._exit(int(code))


def hear(number: int, _: object) -> None:
    say("signal", name=signal.Signals(number).name)
    if "stubborn" not in sys.argv:
        os._exit(0)


def name_of(error: OSError) -> str:
    return errno.errorcode[error.errno or 0]


def rest() -> NoReturn:
    while True:
        signal.pause()


STEPS: dict[str, Callable[[str], object]] = {
    "after": lambda seconds: time.sleep(float(seconds)),
    "ready": lambda _: notify("READY=1"),
    "arm": lambda _: notify(f"WATCHDOG_USEC={os.environ['SUPERVISE_WATCHDOG_USEC']}\nWATCHDOG=1"),
    "status": lambda text: notify(f"STATUS={text}"),
    "child-says": child_says,
    "fork": fork,
    "eat": eat,
    "busy": busy,
    "write": write,
    "flood": flood,
    "exit": leave,
}

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, hear)
say("start", **facts())
for word in sys.argv[1:]:
    name, _, value = word.partition("=")
    if name in STEPS:
        STEPS[name](value)
rest()
