"""Questions to the reconciler over its control socket, by any user of the lab. Imports nothing of `supervise`."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from tests.lab import Lab

CONTROL = "/run/supervise/control.sock"
PATIENCE = 5.0
INSIDE = """
import socket, sys
control = socket.socket(socket.AF_UNIX)
control.settimeout(float(sys.argv[2]))
control.connect(sys.argv[1])
control.sendall(sys.argv[3].encode() + b"\\n")
answer = control.makefile()
while line := answer.readline():
    print(line, end="", flush=True)
    if '"ok":' in line or sys.argv[4:]:
        break
"""
"""One question from within, as the user who runs it: the kernel tells the reconciler who that is."""


class Refused(Exception):
    """The reconciler said no."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"{code}: {message}")


def ask(lab: Lab, op: str, *, patience: float = PATIENCE, **args: Any) -> Any:
    """The result of one operation, asked by root from outside. Raises Refused, or OSError where nobody answers."""
    with _connected(lab, patience) as lines:
        lines.write(_question(op, args))
        lines.flush()
        while "ok" not in (answer := json.loads(_line(lines))):
            continue
    return _result(answer)


def ask_as(lab: Lab, user: str, op: str, *, first_item: bool = False, **args: Any) -> Any:
    """The same by a user of the lab. `first_item`: of an operation that streams."""
    words = [CONTROL, str(PATIENCE), _question(op, args), *(["first"] if first_item else [])]
    done = lab.run("runuser", "-u", user, "--", "/usr/bin/python3", "-c", INSIDE, *words)
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["item"] if first_item and "ok" not in answer else _result(answer)


@contextmanager
def watching(lab: Lab, *, patience: float = PATIENCE, **args: Any) -> Iterator[Iterator[Any]]:
    """The items of `watch`, as they come."""
    with _connected(lab, patience) as lines:
        lines.write(_question("watch", args))
        lines.flush()
        yield (json.loads(line)["item"] for line in iter(lines.readline, ""))


def answers(lab: Lab) -> bool:
    """Whether it answers now."""
    try:
        ask(lab, "info", patience=0.25)
    except (OSError, ValueError):
        return False
    return True


def rows(lab: Lab, *names: str, patience: float = PATIENCE) -> dict[str, dict[str, Any]]:
    """The rows by name; of all agents, if none are named."""
    told = ask(lab, "rows", patience=patience, **({"names": names} if names else {}))
    return {row["name"]: row for row in told["rows"]}


def events(lab: Lab, name: str | None = None, **query: Any) -> list[dict[str, Any]]:
    """Oldest first."""
    found: list[dict[str, Any]] = ask(lab, "events", **{"limit": 10_000, "name": name, **query})
    return found


@contextmanager
def _connected(lab: Lab, patience: float) -> Iterator[IO[str]]:
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(patience)
        control.connect(str(lab.path(CONTROL)))
        with control.makefile("rw", encoding="utf-8") as lines:
            yield lines


def _question(op: str, args: dict[str, Any]) -> str:
    return json.dumps({"id": 1, "op": op, "args": args}) + "\n"


def _line(lines: IO[str]) -> str:
    line = lines.readline()
    if not line.endswith("\n"):
        raise ConnectionResetError("the reconciler has closed the connection")
    return line


def _result(answer: dict[str, Any]) -> Any:
    if answer["ok"]:
        return answer.get("result")
    raise Refused(answer["error"]["code"], answer["error"]["message"])
