"""A probe's command: says in one line of JSON what it finds where it runs, and exits as the file NAME.exits has it.

`check.py ROLE …`. Where NAME.hangs lies it hangs, with a child that ignores SIGTERM. If another is still running
beside it, it says so in NAME.twice.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

NAME = os.environ["SUPERVISE_AGENT"]


def text(path: str) -> "str | None":
    try:
        return Path(path).read_text()
    except OSError:
        return None


def can_write(folder: str) -> bool:
    try:
        Path(folder, ".mark").write_text("x")
        Path(folder, ".mark").unlink()
    except OSError:
        return False
    return True


def found() -> "dict[str, object]":
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {
        "uid": os.getuid(),
        "directory": os.getcwd(),
        "environment": dict(os.environ),
        "cgroup": text("/proc/self/cgroup"),
        "no_new_privileges": status["NoNewPrivs"],
        "capabilities": status["CapBnd"],
        "writes": [folder for folder in (".", "data", "/etc", "/srv") if can_write(folder)],
        "mark_of_the_agent": text("/tmp/mark"),
        "secret": text(f"{os.environ.get('CREDENTIALS_DIRECTORY', '/nowhere')}/TOKEN"),
        "arguments": sys.argv[1:],
    }


def main() -> int:
    print(json.dumps(found()), flush=True)
    with suppress(OSError):
        alone = Path(f"{NAME}.lock").open("w")  # noqa: SIM115 (held to the end of the process)
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            Path(f"{NAME}.twice").touch()
        with Path(f"{NAME}.times").open("a") as times:
            times.write(f"{time.monotonic()} {os.getpid()}\n")
        time.sleep(float(text(f"{NAME}.takes") or 0))
    if Path(f"{NAME}.hangs").exists():
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"
        subprocess.Popen([sys.executable, "-c", code])
        while True:
            signal.pause()
    return int(text(f"{NAME}.exits") or 0)


if __name__ == "__main__":
    sys.exit(main())
