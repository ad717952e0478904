"""The reconciler as any other program sees it: questions over the control socket, and its stream of rows, each with the
moment at which it came. Imports nothing of `supervise`."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PATIENCE = 30.0
Row = dict[str, Any]


class Control:
    """One question a connection."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def ask(self, op: str, **args: Any) -> Any:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(PATIENCE)
            control.connect(self._path)
            control.sendall(json.dumps({"id": 1, "op": op, "args": args}).encode() + b"\n")
            with control.makefile("rb") as lines:
                return json.loads(lines.readline())["result"]

    def rows(self) -> dict[str, Row]:
        return {row["name"]: row for row in self.ask("rows")["rows"]}

    def answers(self) -> bool:
        try:
            return bool(self.ask("whoami"))
        except OSError:
            return False


class Reader:
    """Everything that is said of agents, as it comes; `rows` is the newest of each."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._socket.sendall(b'{"id": 1, "op": "watch", "args": {}}\n')
        self._rest = b""
        self.rows: dict[str, Row] = {}
        self.wait(lambda row: True, "the first rows")

    def close(self) -> None:
        self._socket.close()

    def read(self, timeout: float) -> list[tuple[float, Row]]:
        """The rows that come first within the time, each with its moment."""
        return list(self._read(timeout))

    def wait(self, fits: Callable[[Row], bool], what: str, *, timeout: float = PATIENCE) -> tuple[float, Row]:
        """The first row that fits, and when it came."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            for at, row in self._read(left):
                if fits(row):
                    return at, row
        raise SystemExit(f"bench: waited {timeout:g} s in vain for {what}")

    def rest(self, seconds: float) -> None:
        """Go on reading for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.read(left)

    def _read(self, timeout: float) -> Iterator[tuple[float, Row]]:
        if not select.select([self._socket], [], [], timeout)[0]:
            return
        content = self._socket.recv(1 << 20)
        if not content:
            raise SystemExit("bench: the reconciler has closed the connection")
        at = time.monotonic()
        *lines, self._rest = (self._rest + content).split(b"\n")
        news = []
        for line in lines:
            item = json.loads(line)["item"]
            news += item.get("rows", [item["row"]] if "row" in item else [])
        for row in news:
            self.rows[row["name"]] = row
        yield from ((at, row) for row in news)
